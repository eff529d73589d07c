"""Tables of inference, in text and for a notebook."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.table import role_of
from mixeff.report.coefmat import coefficient_cells
from mixeff.report.html import html_table, page_part, paragraph
from mixeff.report.layout import LINE_WIDTH, pad_left, pad_right, widest
from mixeff.report.numbers import LEGEND, format_p_values, stars_of

if TYPE_CHECKING:
    from mixeff.inference.table import ResultTable

DIGITS = 5


def format_result(table: ResultTable) -> str:
    """Title, columns, legend of the stars where there are any, notes.

    Examples
    --------
    >>> import numpy as np
    >>> from mixeff.inference.table import ResultTable
    >>> print(ResultTable(
    ...     "Slopes", ("a", "b"),
    ...     {"estimate": np.array([1.25, -0.5]), "p_value": np.array([0.003, 0.7])},
    ...     ("Wald tests.",)))  # doctest: +NORMALIZE_WHITESPACE
    Slopes
      estimate p_value
    a     1.25   0.003 **
    b    -0.50   0.700
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    <BLANKLINE>
    Wald tests.
    """
    headings, cells, left = result_cells(table)
    starred = any(row[-1].strip() for row in cells) if _tested(table) else False
    if _tested(table) and not starred:
        headings, cells, left = headings[:-1], [row[:-1] for row in cells], left[:-1]
    widths = [widest([h, *(row[j] for row in cells)]) for j, h in enumerate(headings)]
    pads = [pad_right if is_left else pad_left for is_left in left]
    lines = [
        " ".join(pad(text, w) for pad, text, w in zip(pads, row, widths, strict=True)).rstrip()
        for row in [headings, *cells]
    ]
    if not any(table.index):
        lines = [line[1:] for line in lines]
    legend = ["---", LEGEND] if starred else []
    notes = [textwrap.fill(note, LINE_WIDTH - 1, break_on_hyphens=False) for note in table.notes]
    return "\n".join([table.title, *lines, *legend, *([""] if notes else []), *notes])


def result_html(table: ResultTable) -> str:
    """The table for a notebook."""
    headings, cells, left = result_cells(table)
    labels = left.index(False) if False in left else len(left)
    notes = (paragraph(note, quiet=True) for note in table.notes)
    return page_part(html_table(headings, cells, caption=table.title, labels=labels), *notes)


def _tested(table: ResultTable) -> bool:
    return "p_value" in table.columns


def result_cells(table: ResultTable) -> tuple[list[str], list[list[str]], list[bool]]:
    """Headings, texts row by row, and which columns are aligned on the left.

    Row labels come first; a column of stars last where there are p values.
    """
    roles = {name: role_of(name, column) for name, column in table.columns.items()}
    numbers = [n for n, role in roles.items() if role in ("estimate", "statistic", "number")]
    texts = dict(zip(numbers, _number_cells(table, numbers, roles), strict=True))
    for name, role in roles.items():
        column = table.columns[name]
        if role == "label":
            texts[name] = [str(v) for v in column]
        elif role == "p_value":
            texts[name] = _p_cells(np.asarray(column, dtype=np.float64))
    headings = ["", *roles]
    columns = [list(table.index), *(texts[name] for name in roles)]
    left = [True, *(role == "label" for role in roles.values())]
    if _tested(table):
        headings.append("")
        columns.append([stars_of(p) for p in _judged(table).tolist()])
        left.append(True)
    return headings, [list(row) for row in zip(*columns, strict=True)], left


def _judged(table: ResultTable) -> NDArray[np.float64]:
    """The p values the stars are for: that of the boundary where there is one."""
    plain = np.asarray(table.columns["p_value"], dtype=np.float64)
    boundary = np.asarray(table.columns.get("p_boundary", plain), dtype=np.float64)
    return np.where(np.isnan(boundary), plain, boundary)


def _number_cells(
    table: ResultTable, names: list[str], roles: Mapping[str, str]
) -> list[list[str]]:
    if not names or not len(table):
        return [[] for _ in names]
    values = np.column_stack([np.asarray(table.columns[n], dtype=np.float64) for n in names])
    rows = coefficient_cells(
        values,
        digits=DIGITS,
        estimates=[j for j, n in enumerate(names) if roles[n] == "estimate"],
        tests=[j for j, n in enumerate(names) if roles[n] == "statistic"],
        missing="",
    )
    return [list(column) for column in zip(*rows, strict=True)]


def _p_cells(values: NDArray[np.float64]) -> list[str]:
    known = ~np.isnan(values)
    cells = np.full(values.shape, "", dtype=object)
    cells[known] = format_p_values(values[known].tolist(), DIGITS - 1)
    return list(cells)
