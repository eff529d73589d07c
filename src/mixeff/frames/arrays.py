"""NumPy arrays and Python lists -> columns; the reader of a dict of them."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import DataError
from mixeff.frames.columns import (
    LOGICAL_LEVELS,
    Column,
    FactorColumn,
    NumericColumn,
    Opened,
    duplicate_column,
    refused,
    unknown_column,
)

DATES = "dates or times"
DATES_REMEDY = (
    "turn them into a number (days since the first one, say) or a category before the fit"
)
_EXACT = 2**53
_NUMBERS = (int, float, np.integer, np.floating, Decimal, Fraction)
_MISSING_NAMES = ("NoneType", "NAType", "NaTType")


@dataclass(frozen=True, slots=True)
class MappingFrame(Opened):
    """A mapping of column names to one-dimensional arrays, lists or series."""

    data: Mapping[Any, Any]

    def names(self) -> tuple[str, ...]:
        """All column names."""
        return tuple(str(key) for key in self.data)

    def n_rows(self) -> int:
        """Length of the first column."""
        for value in self.data.values():
            return len(value) if hasattr(value, "__len__") else 0
        return 0

    def read(self, names: Iterable[str]) -> dict[str, Column]:
        """The named columns; all must have the same length."""
        columns = {name: self._column(name) for name in names}
        lengths = {name: column_length(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise DataError(f"the columns of data differ in length (rows: {listed}).")
        return columns

    def _column(self, name: str) -> Column:
        if name in self.data:
            return column_from_values(name, self.data[name])
        matches = [key for key in self.data if str(key) == name]
        if not matches:
            raise unknown_column(name, self.names())
        if len(matches) > 1:
            raise duplicate_column(name)
        return column_from_values(name, self.data[matches[0]])


def column_length(column: Column) -> int:
    """Number of rows of a column."""
    values = column.values if isinstance(column, NumericColumn) else column.codes
    return int(values.shape[0])


def column_from_values(name: str, values: Any) -> Column:
    """One column from whatever holds one value per row: an array, a list, a series."""
    if isinstance(values, np.ndarray):
        return column_from_array(name, values)
    if isinstance(values, list | tuple | range):
        return column_from_items(name, list(values))
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(
        values, pandas.Series | pandas.Index | pandas.api.extensions.ExtensionArray
    ):
        from mixeff.frames.pandas_frame import column_from_series

        return column_from_series(name, pandas.Series(values))
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(values, polars.Series):
        from mixeff.frames.polars_frame import column_from_polars

        return column_from_polars(name, values)
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(values, arrow.Array | arrow.ChunkedArray):
        from mixeff.frames.arrow_frame import column_from_arrow

        return column_from_arrow(name, values)
    if hasattr(values, "__array__"):
        return column_from_array(name, np.asarray(values))
    raise DataError(
        f"column {name!r} is a {type(values).__name__}; it must be a one-dimensional array, "
        "list or series with one value per row."
    )


def column_from_array(name: str, values: NDArray[Any]) -> Column:
    """A column from a NumPy array; float64 is taken as it is, without a copy."""
    if values.ndim != 1:
        raise DataError(
            f"column {name!r} is an array of shape {values.shape}; a column has one dimension."
        )
    kind = values.dtype.kind
    if isinstance(values, np.ma.MaskedArray):
        return _from_masked(name, values)
    if kind == "f":
        return NumericColumn(name, np.asarray(values, dtype=np.float64))
    if kind in "iu":
        return NumericColumn(name, integers_to_floats(name, values), "integer")
    if kind == "b":
        return FactorColumn(name, values.astype(np.int32), LOGICAL_LEVELS, kind="boolean")
    if kind in "UOT":
        return column_from_items(name, values.tolist())
    if kind in "Mm":
        raise refused(name, DATES, DATES_REMEDY)
    if kind == "c":
        raise refused(name, "complex numbers", "take their real part or modulus first")
    if kind == "S":
        raise refused(name, "bytes", "decode them to text first")
    raise refused(name, f"values of type {values.dtype}", "convert them to numbers or text first")


def _from_masked(name: str, values: np.ma.MaskedArray[Any, Any]) -> Column:
    """A masked array: masked entries are missing."""
    column = column_from_array(name, np.asarray(values.data))
    mask = np.ma.getmaskarray(values)
    if not mask.any():
        return column
    if isinstance(column, NumericColumn):
        return NumericColumn(name, np.where(mask, np.nan, column.values), column.kind)
    codes = np.where(mask, -1, column.codes).astype(np.int32)
    return FactorColumn(name, codes, column.levels, column.ordered, column.kind)


def integers_to_floats(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Integers as float64, refusing the ones that would be merged with a neighbour."""
    floats = values.astype(np.float64)
    if values.dtype.itemsize == 8 and values.size:
        largest = max(floats.max(), -floats.min())
        if largest > _EXACT and (floats.astype(values.dtype) != values).any():
            raise refused(
                name,
                "integers beyond 2**53 that 64-bit floating point cannot tell apart",
                "if they are identifiers, store them as text or as a category",
            )
    return floats


def column_from_items(name: str, items: list[Any]) -> Column:
    """A column from Python objects: all text, all numbers or all truth values; None is missing."""
    types = set(map(type, items))
    missing = {t for t in types if t.__name__ in _MISSING_NAMES}
    present = types - missing
    if present and all(issubclass(t, str) for t in present):
        return _text(name, items, present if missing else None)
    if any(issubclass(t, str) for t in present) and _only_nan(items, present):
        return _text(name, items, {t for t in present if issubclass(t, str)})
    if present and all(issubclass(t, bool | np.bool_) for t in present):
        codes = [-1 if type(item) in missing else int(item) for item in items]
        return FactorColumn(name, np.array(codes, np.int32), LOGICAL_LEVELS, kind="boolean")
    if all(issubclass(t, _NUMBERS) and not issubclass(t, bool) for t in present):
        return _numbers(name, items, missing, present)
    if len(present) == 2 and _only_nan(items, present):
        return column_from_items(name, [None if _is_nan(item) else item for item in items])
    raise _cannot_use(name, items, present)


def _is_nan(item: Any) -> bool:
    return isinstance(item, float) and math.isnan(item)


def _only_nan(items: list[Any], present: set[type]) -> bool:
    """True if the only floats among the items are NaN, pandas' old mark of a missing text."""
    floats = {t for t in present if issubclass(t, float)}
    if not floats or any(
        not issubclass(t, str | bool | np.bool_) for t in present if t not in floats
    ):
        return False
    return all(math.isnan(item) for item in items if type(item) in floats)


def _text(name: str, items: list[Any], strings: set[type] | None) -> FactorColumn:
    """Text -> codes over levels sorted by code point; ``strings`` given if others are missing."""
    if strings is not None:
        items = [item if type(item) in strings else None for item in items]
    distinct = dict.fromkeys(items)
    distinct.pop(None, None)
    levels = sorted(map(str, distinct))
    index: dict[Any, int] = {level: code for code, level in enumerate(levels)}
    index[None] = -1
    codes = np.fromiter(map(index.__getitem__, items), np.int32, len(items))
    return FactorColumn(name, codes, tuple(levels), kind="string")


def _numbers(name: str, items: list[Any], missing: set[type], present: set[type]) -> NumericColumn:
    """Numbers with None as NaN."""
    integer = bool(present) and all(issubclass(t, int | np.integer) for t in present)
    if not missing:
        values = np.array(items) if integer else np.array(items, dtype=np.float64)
        if integer and values.dtype.kind in "iu":
            return NumericColumn(name, integers_to_floats(name, values), "integer")
    else:
        values = np.array([np.nan if type(item) in missing else item for item in items], np.float64)
    return NumericColumn(name, values.astype(np.float64), "integer" if integer else "float")


def _cannot_use(name: str, items: list[Any], present: set[type]) -> DataError:
    """Says which types a column of objects holds, with an example of each."""
    if len(present) == 1:
        kind = next(iter(present))
        if kind.__name__ in {"date", "datetime", "time", "timedelta", "Timestamp", "Timedelta"}:
            return refused(name, DATES, DATES_REMEDY)
        if issubclass(kind, complex):
            return refused(name, "complex numbers", "take their real part or modulus first")
        return refused(
            name, f"objects of type {kind.__name__}", "convert them to numbers or text first"
        )
    examples = []
    for kind in sorted(present, key=lambda t: t.__name__):
        row = next(i for i, item in enumerate(items) if type(item) is kind)
        examples.append(f"{kind.__name__} (row {row}: {items[row]!r:.40})")
    return DataError(
        f"column {name!r} mixes types: {', '.join(examples)}; convert it to all numbers or all "
        "text before the fit (rows are counted from 0)."
    )
