"""The first look at grouped data: one panel per group, points and a least-squares line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.plots.data import FacetLines, facet_lines_data
from mixeff.plots.figure import LINE, POINT, new_figure, strip, tidy_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches. Panels sit on a fixed grid, so that strips are equally high however many panels there are.
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 7.0, 0.62, 0.12, 0.12, 0.52
_STRIP, _GAP, _PANEL_HEIGHT = 0.2, 0.1, 1.2


def facet_lines(
    data: Any, x: str, y: str, group: str, *, rows: int | slice | None = None
) -> Figure:
    """Draw ``y`` against ``x``, one panel per level of ``group``, with least-squares lines.

    All panels share their axes; they are read like text, in the order of the levels.

    Parameters
    ----------
    data : data frame
        Anything ``lmer`` takes.
    x, y : str
        Numeric columns.
    group : str
        Column that makes the panels.
    rows : int or slice, optional
        The first so many rows, or a slice of the rows; default all.

    Returns
    -------
    matplotlib.figure.Figure

    See Also
    --------
    facet_lines_data : the numbers drawn.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> picture = plots.facet_lines(mx.load_dataset("sleepstudy"), "Days", "Reaction", "Subject")
    >>> len(picture.axes)
    18
    """
    numbers = facet_lines_data(data, x, y, group, rows=rows)
    figure, panels = _panels(len(numbers.lines))
    x_limits, y_limits = _limits(numbers.points["x"]), _limits(numbers.points["y"])
    for axes, label in zip(panels, numbers.lines.index, strict=True):
        _draw(axes, numbers, str(label))
        axes.set(xlim=x_limits, ylim=y_limits)
        strip(axes, str(label), _STRIP / _PANEL_HEIGHT)
    height = figure.get_figheight()
    middle = (_LEFT + _WIDTH - _RIGHT) / 2 / _WIDTH
    figure.text(middle, 0.14 / height, x, ha="center", va="center", fontsize=10)
    figure.text(0.14 / _WIDTH, 0.5, y, ha="center", va="center", fontsize=10, rotation=90)
    return figure


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    """One axes per panel on a grid of equal panels, at most seven across."""
    across = min(7, n, math.ceil(math.sqrt(2 * n)))
    down = math.ceil(n / across)
    height = _BOTTOM + _TOP + down * (_STRIP + _PANEL_HEIGHT) + (down - 1) * _GAP
    panel = (_WIDTH - _LEFT - _RIGHT - (across - 1) * _GAP) / across
    figure = new_figure(_WIDTH, height, constrained=False)
    made = []
    for i in range(n):
        row, column = divmod(i, across)
        left = _LEFT + column * (panel + _GAP)
        bottom = height - _TOP - (row + 1) * (_STRIP + _PANEL_HEIGHT) - row * _GAP
        box = (left / _WIDTH, bottom / height, panel / _WIDTH, _PANEL_HEIGHT / height)
        axes = figure.add_axes(box)
        tidy_axes(axes)
        # Numbers only where no other panel stands below, or to the left.
        axes.tick_params(labelbottom=i + across >= n, labelleft=column == 0)
        made.append(axes)
    return figure, made


def _limits(values: Any) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def _draw(axes: Axes, numbers: FacetLines, label: str) -> None:
    own = numbers.points[numbers.points["group"] == label]
    axes.plot(own["x"], own["y"], "o", ms=3.6, mfc="none", mec=POINT, mew=0.9)
    line = numbers.lines.loc[label]
    ends = np.array([line["x_min"], line["x_max"]])
    axes.plot(ends, line["intercept"] + line["slope"] * ends, color=LINE, lw=1.6)
