"""The densities of a profile: how far from normal the uncertainty of each parameter is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.plots.figure import LINE, POINT, panel_grid, tidy_axes
from mixeff.plots.profile_data import profile_density_data, profile_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AWAY = 0.25  # |zeta| from which on the density tells the height of a panel
_LEAST = 0.005  # part of the height below which a tail is not drawn


def profile_density(
    fit: Any, parameters: str | Sequence[str] | None = None, *, level: float = 0.95
) -> Figure:
    """Draw for every parameter the density that makes its zeta standard normal.

    Parameters
    ----------
    fit : Profile or fitted model
        A fitted model is profiled first.
    parameters : str or sequence of str, optional
    level : float
        Of the interval that is shaded.

    Returns
    -------
    matplotlib.figure.Figure

    See Also
    --------
    profile_density_data : the numbers drawn.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"), reml=False)
    >>> picture = plots.profile_density(m)
    """
    profile = profile_of(fit, parameters)
    numbers, marks = profile_density_data(profile, parameters), profile.confint(level).to_frame()
    names = profile.shown(parameters)
    figure, panels = panel_grid(len(names), 2.2)
    for axes, name in zip(panels, names, strict=False):
        tidy_axes(axes)
        own = numbers[numbers["parameter"] == name]
        value, density = own["value"].to_numpy(), own["density"].to_numpy()
        low, high = marks.loc[name]
        inside = (value >= low) & (value <= high) & np.isfinite(density)
        axes.fill_between(value, 0.0, density, where=inside, color=POINT, alpha=0.18, lw=0)
        axes.plot(value, density, color=POINT, lw=1.6)
        axes.axvline(profile.curve(name).estimate, color=LINE, lw=1.0)
        top = _top(density, profile.zeta(name, value))
        axes.set_ylim(0.0, top)
        seen = value[inside | (density > _LEAST * top)]
        margin = 0.04 * (seen[-1] - seen[0])
        axes.set_xlim(seen[0] - margin, seen[-1] + margin)
        axes.set_yticks([])
        axes.set_title(name, fontsize=9)
    return figure


def _top(density: Any, zeta: Any) -> float:
    """Height of a panel: at an estimate on the bound of a correlation the density is infinite."""
    known = density[np.isfinite(density) & (np.abs(zeta) >= _AWAY)]
    return 1.15 * float(known.max(initial=0.0)) or 1.0
