"""polars -> columns. polars is never imported: a polars frame has already brought it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixeff.frames.arrays import DATES, DATES_REMEDY, column_from_items, integers_to_floats
from mixeff.frames.columns import (
    LOGICAL_LEVELS,
    Column,
    FactorColumn,
    NumericColumn,
    Opened,
    refused,
    unknown_column,
)
from mixeff.frames.levels import sort_levels


@dataclass(frozen=True, slots=True)
class PolarsFrame(Opened):
    """A polars DataFrame."""

    data: Any

    def names(self) -> tuple[str, ...]:
        """All column names."""
        return tuple(self.data.columns)

    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.data.height)

    def read(self, names: Iterable[str]) -> dict[str, Column]:
        """The named columns."""
        known = set(self.data.columns)
        out: dict[str, Column] = {}
        for name in names:
            if name not in known:
                raise unknown_column(name, self.names())
            out[name] = column_from_polars(name, self.data.get_column(name))
        return out


@dataclass(frozen=True, slots=True)
class PolarsLazyFrame(Opened):
    """A polars LazyFrame: only the columns a model uses are collected."""

    data: Any

    def names(self) -> tuple[str, ...]:
        """All column names, from the schema alone."""
        return tuple(self.data.collect_schema().names())

    def n_rows(self) -> int:
        """Number of rows; counts them in a query of its own."""
        first = self.names()[:1]
        return int(self.data.select(first).collect().height)

    def read(self, names: Iterable[str]) -> dict[str, Column]:
        """Collect the named columns."""
        wanted = list(dict.fromkeys(names))
        known = self.names()
        for name in wanted:
            if name not in known:
                raise unknown_column(name, known)
        return PolarsFrame(self.data.select(wanted).collect()).read(wanted)


def column_from_polars(name: str, series: Any) -> Column:
    """A column from a polars Series.

    An ``Enum`` keeps its order of categories; a ``Categorical``, whose order is only that of first
    appearance, is sorted like text.
    """
    dtype = series.dtype
    kind = type(dtype).__name__ if not isinstance(dtype, type) else dtype.__name__
    if kind in {"Categorical", "Enum"}:
        return _from_categories(name, series, kind)
    if dtype.is_integer():
        if series.null_count():
            floats = np.asarray(series.to_numpy(), dtype=np.float64)
            return NumericColumn(name, floats, "integer")
        return NumericColumn(name, integers_to_floats(name, series.to_numpy()), "integer")
    if dtype.is_numeric():
        values = np.asarray(series.cast(float).to_numpy(), dtype=np.float64)
        return NumericColumn(name, values)
    if kind == "Null":
        return NumericColumn(name, np.full(len(series), np.nan))
    if kind == "Boolean":
        codes = series.cast(int).fill_null(-1).to_numpy().astype(np.int32)
        return FactorColumn(name, codes, LOGICAL_LEVELS, kind="boolean")
    if kind in {"String", "Utf8"}:
        # polars interns text in parallel; one pass over Python strings would cost ten times that.
        categories = series.cast(sys.modules["polars"].Categorical)
        column = _from_categories(name, categories, "Categorical")
        return FactorColumn(name, column.codes, column.levels, kind="string")
    if kind == "Object":
        return column_from_items(name, series.to_list())
    if dtype.is_temporal():
        raise refused(name, DATES, DATES_REMEDY)
    raise refused(name, f"values of type {dtype}", "convert them to numbers or text first")


def _from_categories(name: str, series: Any, kind: str) -> FactorColumn:
    """Enum and Categorical: the physical codes with the table of the categories present."""
    physical = series.to_physical().cast(int).fill_null(-1).to_numpy()
    if kind == "Enum":
        levels = tuple(series.dtype.categories.to_list())
        return FactorColumn(name, physical.astype(np.int32), levels)
    distinct = series.drop_nulls().unique()
    labels: list[str] = distinct.cast(str).to_list()
    places: list[int] = distinct.to_physical().to_list()
    table = np.full(max(places, default=-1) + 2, -1, dtype=np.int32)
    for code, place in enumerate(places):
        table[place] = code
    codes, levels = sort_levels(table[physical], tuple(labels))
    return FactorColumn(name, codes, levels)
