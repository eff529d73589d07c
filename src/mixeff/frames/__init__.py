"""Any data frame -> named columns, one missing-row mask, level tables."""

from __future__ import annotations

from mixeff.frames.columns import (
    Column,
    FactorColumn,
    NumericColumn,
    column_names,
    n_rows,
    open_frame,
    read_columns,
)

__all__ = [
    "Column",
    "FactorColumn",
    "NumericColumn",
    "column_names",
    "n_rows",
    "open_frame",
    "read_columns",
]
