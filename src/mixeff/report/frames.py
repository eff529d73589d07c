"""The first rows of a data frame, as R's ``head`` prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixeff.errors import DataError, OptionError
from mixeff.frames.columns import Column, NumericColumn, column_names, read_columns
from mixeff.report.layout import text_matrix
from mixeff.report.numbers import format_column

MISSING_LABEL = "<NA>"


def format_head(frame: Any, n: int = 6) -> str:
    """The first rows of a data frame in R's layout.

    Parameters
    ----------
    frame : any data frame `mixeff.lmer` takes
    n : int
        Rows shown, at least 1.

    Returns
    -------
    str
        Numbers with up to seven significant digits, one format per column; rows numbered from 1.

    Raises
    ------
    OptionError
        ``n`` is not a positive whole number.

    Examples
    --------
    >>> print(format_head({"lang": [46, 45], "IQ": [15.0, 14.5], "COMB": ["0", "1"]}))
      lang   IQ COMB
    1   46 15.0    0
    2   45 14.5    1
    """
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise OptionError(f"format_head: n must be a positive whole number, not {n!r}.")
    first = _first_rows(frame, n)
    names = column_names(first)
    columns = [_texts(first, name, n) for name in names]
    cells = [list(row) for row in zip(*columns, strict=True)]
    return "\n".join(text_matrix([str(i + 1) for i in range(len(cells))], names, cells))


def _first_rows(frame: Any, n: int) -> Any:
    """A small piece of the frame, so that a large one is not read for six rows."""
    if isinstance(frame, Mapping):
        return {name: values[:n] for name, values in frame.items()}
    for method in ("head", "limit"):
        if callable(getattr(frame, method, None)):
            return getattr(frame, method)(n)
    if callable(getattr(frame, "slice", None)):
        return frame.slice(0, n)
    return frame


def _texts(frame: Any, name: str, n: int) -> list[str]:
    try:
        column = read_columns(frame, [name])[name]
    except DataError:
        # Dates, lists and the like cannot enter a model, but they can be looked at.
        return [str(value) for value in list(frame[name])[:n]]
    return _column_texts(column, n)


def _column_texts(column: Column, n: int) -> list[str]:
    if isinstance(column, NumericColumn):
        values = column.values[:n]
        known = ~np.isnan(values)
        texts = np.full(len(values), "NA", dtype=object)
        numbers = values[known].tolist()
        # Whole numbers are never written with a power of ten.
        whole = column.kind == "integer"
        texts[known] = [f"{v:.0f}" for v in numbers] if whole else format_column(numbers)
        return list(texts)
    missing = "NA" if column.kind == "boolean" else MISSING_LABEL
    return _labels(column.codes[:n].tolist(), column.levels, missing)


def _labels(codes: Sequence[int], levels: Sequence[str], missing: str) -> list[str]:
    return [levels[c] if c >= 0 else missing for c in codes]
