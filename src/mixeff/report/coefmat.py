"""Tables of estimates and tests, by the rules R documents for ``printCoefmat``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixeff.report.layout import pad_right, text_matrix, widest
from mixeff.report.numbers import (
    LEGEND,
    format_column,
    format_p_values,
    round_decimals,
    stars_of,
    zap_small,
)

Floats = NDArray[np.float64]


def coefficient_lines(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Floats,
    *,
    digits: int,
    estimates: Sequence[int] = (),
    tests: Sequence[int] = (),
    zap: Sequence[int] = (),
    p_value: bool = False,
    missing: str = "NA",
) -> list[str]:
    """Lines of a table of coefficients or tests.

    Parameters
    ----------
    rows : sequence of m str
    columns : sequence of k str, headings
    values : (m, k) float array, NaN where there is no value
    digits : int
        Significant digits of estimates and other columns; test statistics get
        ``min(5, digits - 1)`` decimals at most.
    estimates : positions of estimates and standard errors, which share their decimals
    tests : positions of test statistics
    zap : positions of columns in which what is negligible beside the largest becomes zero
    p_value : bool
        The last column holds p values: stars and their legend follow if one is below 0.1.
    missing : str
        Written where there is no value.

    Returns
    -------
    list of str
    """
    cells = coefficient_cells(
        values,
        digits=digits,
        estimates=estimates,
        tests=tests,
        zap=zap,
        p_value=p_value,
        missing=missing,
    )
    headings = list(columns)
    starred = p_value and bool(np.any(values[:, -1] < 0.1))
    if starred:
        stars = [stars_of(p) for p in values[:, -1]]
        width = widest(stars)
        cells = [[*row, pad_right(s, width)] for row, s in zip(cells, stars, strict=True)]
        headings.append("")
    lines = text_matrix(rows, headings, cells)
    return [*lines, "---", LEGEND] if starred else lines


def coefficient_cells(
    values: Floats,
    *,
    digits: int,
    estimates: Sequence[int] = (),
    tests: Sequence[int] = (),
    zap: Sequence[int] = (),
    p_value: bool = False,
    missing: str = "NA",
) -> list[list[str]]:
    """The texts of the table, row by row, before alignment; see `coefficient_lines`."""
    table = np.array(values, dtype=np.float64)
    for j in zap:
        table[:, j] = zap_small(table[:, j].tolist(), digits)
    cells = np.full(table.shape, missing, dtype=object)
    count = table.shape[1] - p_value
    test_decimals = max(1, min(5, digits - 1))
    if len(estimates):
        _fill(cells, table, estimates, digits, _estimate_decimals(table[:, estimates], digits))
    if len(tests):
        _fill(cells, table, tests, digits, test_decimals)
    plain = [j for j in range(count) if j not in (*estimates, *tests)]
    for j in plain:
        _fill(cells, table, [j], digits, None)
    _restore_vanished(cells, table, [j for j in range(count) if j not in tests], digits)
    if p_value:
        known = ~np.isnan(table[:, -1])
        cells[known, -1] = format_p_values(table[known, -1].tolist(), test_decimals)
    return [list(row) for row in cells]


def _estimate_decimals(block: Floats, digits: int) -> int:
    """Decimals that leave the smallest estimate or standard error ``digits`` significant ones."""
    size = np.abs(block[np.isfinite(block) & (block != 0)])
    leading = 1 + math.floor(math.log10(size.min())) if size.size else 1
    return max(1, digits - leading)


def _fill(
    cells: NDArray[np.object_],
    table: Floats,
    columns: Sequence[int],
    digits: int,
    decimals: int | None,
) -> None:
    """Format columns together, rounded first where ``decimals`` says so."""
    block = table[:, list(columns)]
    known = ~np.isnan(block)
    numbers = block[known].tolist()
    rounded = numbers if decimals is None else round_decimals(numbers, decimals)
    texts = np.full(block.shape, None, dtype=object)
    texts[known] = format_column(rounded, digits)
    for k, j in enumerate(columns):
        cells[known[:, k], j] = texts[known[:, k], k]


def _restore_vanished(
    cells: NDArray[np.object_], table: Floats, columns: Sequence[int], digits: int
) -> None:
    """Write what rounding turned to zero with a digit less, in its own format."""
    vanished = [
        (i, j)
        for j in columns
        for i in range(table.shape[0])
        if np.isfinite(table[i, j]) and table[i, j] != 0 and float(cells[i, j]) == 0
    ]
    texts = format_column([table[i, j] for i, j in vanished], max(1, digits - 1))
    for (i, j), text in zip(vanished, texts, strict=True):
        cells[i, j] = text
