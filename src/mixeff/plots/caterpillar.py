"""Conditional modes of a grouping factor with intervals, in increasing order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.plots.data import caterpillar_data
from mixeff.plots.figure import GREY, LINE, POINT, new_figure, tidy_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_LABELS = 45


def caterpillar(fit: Any, group: str, *, level: float = 0.95) -> Figure:
    """Draw the conditional modes of one grouping factor with their intervals.

    One panel per random-effect column. Levels are ordered by the first column and keep that
    order in the others, so that a correlation shows. Levels whose interval excludes zero stand
    out in colour.

    Parameters
    ----------
    fit : fitted model
    group : str
        A key of ``fit.ranef``.
    level : float
        Coverage of the intervals.

    Returns
    -------
    matplotlib.figure.Figure

    See Also
    --------
    caterpillar_data : the numbers drawn.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"))
    >>> picture = plots.caterpillar(m, "Rail")
    """
    numbers = caterpillar_data(fit, group, level=level)
    terms = list(dict.fromkeys(numbers["term"]))
    first = numbers[numbers["term"] == terms[0]]
    order = first.sort_values("mode", kind="stable")["level"].tolist()
    height = min(8.0, max(2.2, 0.9 + 0.16 * len(order)))
    figure = new_figure(max(4.6, 3.2 * len(terms)), height)
    panels = figure.subplots(1, len(terms), sharey=True, squeeze=False)[0]
    for axes, term in zip(panels, terms, strict=True):
        own = numbers[numbers["term"] == term].set_index("level").loc[order]
        _draw(axes, own)
        axes.set_title(term, fontsize=10)
    _label_levels(panels[0], order, group)
    figure.supxlabel(f"Conditional mode, {level:.0%} interval", fontsize=10)
    return figure


def _draw(axes: Axes, own: pd.DataFrame) -> None:
    tidy_axes(axes)
    axes.axvline(0, color=GREY, lw=0.9)
    place = np.arange(len(own))
    apart = (own["lower"] > 0) | (own["upper"] < 0)
    for chosen, colour in ((~apart, POINT), (apart, LINE)):
        keep = chosen.to_numpy()
        part = own[keep]
        axes.hlines(place[keep], part["lower"], part["upper"], color=colour, lw=1.0)
        axes.plot(part["mode"], place[keep], "o", ms=2.8, color=colour)
    axes.set_ylim(-0.8, len(own) - 0.2)


def _label_levels(axes: Axes, order: list[str], group: str) -> None:
    if len(order) <= _MOST_LABELS:
        axes.set_yticks(range(len(order)), order, fontsize=8)
        axes.set_ylabel(group)
        return
    axes.set_yticks([])
    axes.set_ylabel(f"{group}, {len(order)} levels in increasing order")
