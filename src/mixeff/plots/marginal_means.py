"""Marginal means, slopes or contrasts with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.errors import OptionError
from mixeff.inference.marginal.estimates import combinations_of
from mixeff.inference.marginal.tables import EstimateTable
from mixeff.plots.figure import GREY, LINE, POINT, new_figure, ratio_axis, tidy_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour and mark part the series together: one of them is enough to read them.
_COLOURS = (POINT, LINE, "#4d4d4d", "#7fa65a", "#b98a2f", "#7a5ba8")
_MARKS = ("o", "s", "^", "D", "v", "P")
_LINE_HEIGHT = 0.3


def marginal_means_data(table: Any) -> pd.DataFrame:
    """The numbers of a picture of estimates.

    Parameters
    ----------
    table : what ``m.marginal_means``, ``m.slopes`` or ``.contrast`` of them gave

    Returns
    -------
    DataFrame
        One row per estimate: ``panel`` (levels of the ``by`` variables), ``row`` (levels of the
        first variable), ``series`` (levels of the others), ``estimate, lower, upper``.

    Raises
    ------
    OptionError
        ``table`` is no such table.
    """
    import pandas as pd

    if not isinstance(table, EstimateTable):
        raise OptionError(
            "plots.marginal_means draws the tables of m.marginal_means, m.slopes and of their "
            f".contrast, not a {type(table).__name__}."
        )
    estimates = table.estimates
    rows = estimates.rows
    axes, places = estimates.axes, [at[rows] for at in combinations_of(estimates.axes)]
    primary = len(estimates.primary)
    texts = [[a.labels[j] for j in at] for a, at in zip(axes, places, strict=True)]
    named = [
        [f"{a.name} = {text}" for text in column] for a, column in zip(axes, texts, strict=True)
    ]
    size = len(table)
    return pd.DataFrame(
        {
            "panel": _joined(named[primary:], size),
            "row": texts[0] if primary else [""] * size,
            "series": _joined(named[1:primary], size),
            **{n: np.asarray(table[n], dtype=float) for n in ("estimate", "lower", "upper")},
        }
    )


def _joined(columns: list[list[str]], size: int) -> list[str]:
    if not columns:
        return [""] * size
    return [", ".join(parts) for parts in zip(*columns, strict=True)]


def marginal_means(table: Any) -> Figure:
    """Draw estimates with their intervals, one panel for each combination of the ``by`` variables.

    Contrasts have a line where there is no difference; ratios are drawn on a logarithmic axis,
    with the line at 1.

    Parameters
    ----------
    table : what ``m.marginal_means``, ``m.slopes`` or ``.contrast`` of them gave

    Returns
    -------
    matplotlib.figure.Figure

    See Also
    --------
    marginal_means_data : the numbers drawn.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("effort ~ Type + (1 | Subject)", mx.load_dataset("ergoStool"))
    >>> picture = plots.marginal_means(m.marginal_means("Type").contrast("pairwise"))
    """
    numbers = marginal_means_data(table)
    panels, rows, series = (
        list(dict.fromkeys(numbers[name])) for name in ("panel", "row", "series")
    )
    lines = len(rows) * (1 + 0.6 * (len(series) - 1))
    across = min(len(panels), 4)
    down = -(-len(panels) // across)
    height = min(9.0, down * max(1.5, 0.7 + _LINE_HEIGHT * lines) + 0.5)
    figure = new_figure(max(4.8, 1.4 + 2.6 * across), height)
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for axes in grid.ravel()[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.ravel(), panels, strict=False):
        _draw(axes, numbers[numbers["panel"] == panel], rows, series, _nothing(table))
        axes.set_title(panel, fontsize=9)
        if _are_ratios(table):
            ratio_axis(axes, numbers["lower"].min(), numbers["upper"].max())
    if _are_means(table) and table.estimates.primary:
        figure.supylabel(table.estimates.primary[0].name, fontsize=9)
    if len(series) > 1:
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper right", fontsize=8, frameon=False, ncols=3
        )
    figure.supxlabel(_label(table), fontsize=9)
    return figure


def _label(table: EstimateTable) -> str:
    """What the x axis shows, on which scale."""
    scale = table.estimates.scale
    title = table.title.partition(" within ")[0].partition(": ")[0]
    shown = "" if scale is None else f" ({scale.what if table.estimates.response else scale.name})"
    return f"{title}{shown}, {table.estimates.level:.0%} intervals"


def _are_means(table: EstimateTable) -> bool:
    return table.estimates.subject.startswith("marginal means")


def _are_ratios(table: EstimateTable) -> bool:
    estimates = table.estimates
    return not _are_means(table) and estimates.response and estimates.scale is not None


def _nothing(table: EstimateTable) -> float | None:
    """Where no effect lies; means have no such place."""
    if _are_means(table):
        return None
    return 1.0 if _are_ratios(table) else 0.0


def _draw(
    axes: Axes, own: pd.DataFrame, rows: list[str], series: list[str], nothing: float | None
) -> None:
    tidy_axes(axes)
    if nothing is not None:
        axes.axvline(nothing, color=GREY, lw=0.9)
    for k, name in enumerate(series):
        part = own[own["series"] == name].set_index("row").reindex(rows)
        shift = 0.0 if len(series) == 1 else 0.5 * (k / (len(series) - 1) - 0.5)
        place = np.arange(len(rows)) + shift
        colour, mark = _COLOURS[k % len(_COLOURS)], _MARKS[k % len(_MARKS)]
        axes.hlines(place, part["lower"], part["upper"], color=colour, lw=1.2)
        axes.plot(part["estimate"], place, mark, ms=4, color=colour, label=name)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
