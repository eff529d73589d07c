"""The first rows of a data frame, laid out as R prints them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixeff.frames import Column, FactorColumn, column_names, n_rows, read_columns
from mixeff.report.numbers import format_column


def head(data: Any, n: int = 6) -> str:
    """The first ``n`` rows as R's ``head`` prints them: rows from 1, columns right-aligned.

    Parameters
    ----------
    data : data frame
        Anything ``lmer`` takes.
    n : int
        Number of rows.

    Returns
    -------
    str

    Examples
    --------
    >>> import mixeff as mx
    >>> print(head(mx.load_dataset("Rail"), 3))
      Rail travel
    1    1     55
    2    1     53
    3    1     54
    """
    names = list(column_names(data))
    shown = max(0, min(n, n_rows(data)))
    columns = read_columns(data, names)
    rows = [["", *(str(i + 1) for i in range(shown))]]
    rows += [[name, *_cells(columns[name], shown)] for name in names]
    widths = [max(len(cell) for cell in column) for column in rows]
    lines = []
    for i in range(shown + 1):
        first = rows[0][i].ljust(widths[0])
        rest = [c[i].rjust(w) for c, w in zip(rows[1:], widths[1:], strict=True)]
        lines.append(" ".join([first, *rest]))
    return "\n".join(lines)


def _cells(column: Column, n: int) -> list[str]:
    if isinstance(column, FactorColumn):
        return ["<NA>" if code < 0 else column.levels[code] for code in column.codes[:n]]
    values = column.values[:n]
    known = iter(format_column(values[~np.isnan(values)], pad=False))
    return ["NA" if np.isnan(value) else next(known) for value in values]
