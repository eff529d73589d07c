"""Every pair of parameters: profile traces and joint confidence regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.errors import OptionError
from mixeff.plots.figure import GREY, LINE, POINT, new_figure, tidy_axes
from mixeff.plots.profile_data import profile_of, profile_pairs_data

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 10


def profile_pairs(
    fit: Any,
    parameters: Sequence[str] | None = None,
    *,
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95, 0.99),
) -> Figure:
    """Draw for every pair the two profile traces and contours of the joint profile deviance.

    Below the diagonal in the units of the parameters, above it in those of zeta, where the
    contours of a quadratic deviance are ellipses and its traces straight lines; as lme4's
    ``splom``.

    Parameters
    ----------
    fit : Profile or fitted model
        A fitted model is profiled first.
    parameters : sequence of str, optional
    levels : sequence of float
        Of the joint confidence regions.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        Fewer than two parameters, or more than 10.

    See Also
    --------
    profile_pairs_data : the numbers drawn.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"), reml=False)
    >>> picture = plots.profile_pairs(m)
    """
    profile = profile_of(fit, parameters)
    names = profile.shown(parameters)
    if not 2 <= len(names) <= _MOST:
        raise OptionError(
            f"profile_pairs: {len(names)} parameters; from 2 to {_MOST} can be drawn. Choose some "
            f"with parameters=: {', '.join(names)}."
        )
    numbers = profile_pairs_data(profile, names, levels=levels)
    count = len(names)
    figure = new_figure(max(4.0, 1.7 * count), max(4.0, 1.7 * count))
    panels = figure.subplots(count, count, squeeze=False)
    for row, y in enumerate(names):
        for column, x in enumerate(names):
            axes = panels[count - 1 - row][column]
            if row == column:
                _label(axes, x)
                continue
            first, second = (x, y) if column < row else (y, x)
            own = numbers[(numbers["x"] == first) & (numbers["y"] == second)]
            # Above the diagonal of the picture (the later parameter upwards): values.
            _draw(axes, own, "value" if column < row else "zeta", swapped=column > row)
    return figure


def _label(axes: Axes, name: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(GREY)
    axes.text(
        0.5, 0.5, name.replace("|", "|\n"), transform=axes.transAxes, ha="center", va="center",
        fontsize=7,
    )  # fmt: skip


def _draw(axes: Axes, own: pd.DataFrame, units: str, swapped: bool) -> None:
    """One panel; ``own`` belongs to (x, y), which stand the other way round if ``swapped``."""
    tidy_axes(axes)
    axes.tick_params(labelsize=6)
    across, up = (f"y_{units}", f"x_{units}") if swapped else (f"x_{units}", f"y_{units}")
    contours = own[own["kind"] == "contour"]
    for _, part in contours.groupby("level"):
        axes.plot(part[across], part[up], color=POINT, lw=0.9)
    traces = own[own["kind"] == "trace"]
    reach = np.abs(contours[["x_zeta", "y_zeta"]].to_numpy()).max() if len(contours) else np.inf
    inside = (traces[["x_zeta", "y_zeta"]].abs() <= reach).all(axis=1).to_numpy()
    for which in ("x", "y"):
        part = traces[inside & (traces["along"] == which).to_numpy()]
        axes.plot(part[across], part[up], color=LINE, lw=0.8)
