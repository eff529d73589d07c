"""Tests of terms as R prints analysis of variance tables."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from mixeff.report.coefmat import coefficient_cells, coefficient_lines
from mixeff.report.html import html_table, page_part, paragraph
from mixeff.report.layout import LINE_WIDTH
from mixeff.report.numbers import stars_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixeff.inference.table import ResultTable

DIGITS = 5

HEADINGS = {
    "sum_sq": "Sum Sq",
    "mean_sq": "Mean Sq",
    "num_df": "NumDF",
    "den_df": "DenDF",
    "f_value": "F value",
    "chisq": "Chisq",
    "df": "Df",
}
STATISTICS = ("f_value", "chisq")

_NO_ROWS = " " * 4  # R indents the headings of a table without rows


def format_f_table(table: ResultTable) -> str:
    """Title, tests, legend of the stars, notes.

    Examples
    --------
    >>> import numpy as np
    >>> from mixeff.inference.table import ResultTable
    >>> print(format_f_table(ResultTable("Title", ("a",), {
    ...     "num_df": np.array([2.0]), "den_df": np.array([17.03]), "f_value": np.array([4.2]),
    ...     "p_value": np.array([0.033])})))  # doctest: +NORMALIZE_WHITESPACE
    Title
      NumDF DenDF F value Pr(>F)
    a     2 17.03     4.2  0.033 *
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    """
    headings, values, tests, zap, tested = _parts(table)
    lines = coefficient_lines(
        table.index, headings, values,
        digits=DIGITS, tests=tests, zap=zap, p_value=tested, missing="",
    )  # fmt: skip
    if not table.index:
        lines = [_NO_ROWS + lines[0]]
    notes = [textwrap.fill(note, LINE_WIDTH - 1) for note in table.notes]
    return "\n".join([table.title, *lines, *([""] if notes else []), *notes])


def f_table_html(table: ResultTable) -> str:
    """The table for a notebook."""
    headings, values, tests, zap, tested = _parts(table)
    cells = coefficient_cells(
        values, digits=DIGITS, tests=tests, zap=zap, p_value=tested, missing=""
    )
    rows = [
        [label, *row, *([stars_of(p)] if tested else [])]
        for label, row, p in zip(table.index, cells, values[:, -1], strict=True)
    ]
    notes = (paragraph(note, quiet=True) for note in table.notes)
    names = ["", *headings, *([""] if tested else [])]
    return page_part(html_table(names, rows, caption=table.title), *notes)


def _parts(
    table: ResultTable,
) -> tuple[list[str], NDArray[np.float64], list[int], list[int], bool]:
    """Headings, values, positions of statistics and of columns to be zapped, any p values."""
    names = list(table.columns)
    tested = "p_value" in names
    chisq = "chisq" in names
    p_heading = "Pr(>Chisq)" if chisq else "Pr(>F)"
    headings = [HEADINGS.get(name, p_heading) for name in names]
    values = np.column_stack([np.asarray(c, dtype=np.float64) for c in table.columns.values()])
    tests = [j for j, name in enumerate(names) if name in STATISTICS]
    others = [j for j, name in enumerate(names) if name not in (*STATISTICS, "p_value", "df")]
    return headings, values, tests, others, tested
