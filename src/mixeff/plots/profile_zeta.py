"""The zeta curves of a profile: straight where Wald intervals are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.plots.figure import GREY, LINE, POINT, panel_grid, tidy_axes
from mixeff.plots.profile_data import profile_of, profile_zeta_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixeff.inference.profile import Profile


def profile_zeta(
    fit: Any,
    parameters: str | Sequence[str] | None = None,
    *,
    level: float = 0.95,
    absolute: bool = False,
) -> Figure:
    """Draw zeta against every parameter, with the interval of one level.

    zeta is the signed root of the increase of the deviance. Where its curve is straight the Wald
    interval would do; where it bends, or ends at the bound of a range, it would not. The dashed
    line is the one with the slope at the estimate.

    Parameters
    ----------
    fit : Profile or fitted model
        A fitted model is profiled first.
    parameters : str or sequence of str, optional
    level : float
        Of the interval marked.
    absolute : bool
        Draw |zeta| in its place.

    Returns
    -------
    matplotlib.figure.Figure

    See Also
    --------
    profile_zeta_data : the numbers drawn.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"), reml=False)
    >>> picture = plots.profile_zeta(m)
    """
    profile = profile_of(fit, parameters)
    numbers, marks = profile_zeta_data(profile, parameters), profile.confint(level).to_frame()
    names = profile.shown(parameters)
    figure, panels = panel_grid(len(names), 2.4, sharey=True)
    for axes, name in zip(panels, names, strict=False):
        own = numbers[numbers["parameter"] == name]
        _draw(axes, profile, name, own["value"].to_numpy(), own["zeta"].to_numpy(), absolute)
        _mark(axes, profile, name, marks.loc[name].to_numpy(), absolute)
        axes.set_title(name, fontsize=9)
    for first in panels[::3]:
        first.set_ylabel("|zeta|" if absolute else "zeta", fontsize=9)
    return figure


def _draw(axes: Axes, profile: Profile, name: str, values: Any, zeta: Any, absolute: bool) -> None:
    tidy_axes(axes)
    curve = profile.curve(name)
    slope = curve.slope(np.array([curve.estimate]))[0]
    if np.isfinite(slope) and not absolute:
        low, high = np.nanmin(zeta), np.nanmax(zeta)
        at = np.clip(curve.estimate + np.array([low, high]) / slope, values[0], values[-1])
        axes.plot(at, slope * (at - curve.estimate), color=GREY, lw=0.8, ls="--")
    axes.plot(values, np.abs(zeta) if absolute else zeta, color=POINT, lw=1.6)


def _mark(axes: Axes, profile: Profile, name: str, ends: Any, absolute: bool) -> None:
    """Where the interval ends, and the estimate."""
    for end in ends[np.isfinite(ends)]:
        zeta = profile.zeta(name, [end])[0]
        top = abs(zeta) if absolute else zeta
        axes.plot([end, end], [0.0, top], color=LINE, lw=1.2)
    axes.axhline(0.0, color=GREY, lw=0.7)
    axes.plot([profile.curve(name).estimate], [0.0], "o", ms=3.5, color=LINE)
