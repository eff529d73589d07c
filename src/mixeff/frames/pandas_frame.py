"""pandas -> columns. pandas is never imported: a pandas frame has already brought it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mixeff.errors import DataError
from mixeff.frames.arrays import (
    DATES,
    DATES_REMEDY,
    column_from_array,
    column_from_items,
    integers_to_floats,
)
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
from mixeff.frames.labels import LazyLevels
from mixeff.frames.levels import category_labels


@dataclass(frozen=True, slots=True)
class PandasFrame(Opened):
    """A pandas DataFrame."""

    data: Any

    def names(self) -> tuple[str, ...]:
        """All column names."""
        return tuple([x if type(x) is str else str(x) for x in self.data.columns.tolist()])

    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.data)

    def read(self, names: Iterable[str]) -> dict[str, Column]:
        """The named columns."""
        # ``data[name]`` makes a Series, which takes longer than a small model's whole design. The
        # array alone is had from a method that pandas keeps for itself: used only where it is
        # there, and only on plain frames, whose columns no subclass can have redefined.
        direct = getattr(self.data, "_get_column_array", None)
        pandas = sys.modules["pandas"]
        columns = self.data.columns
        if direct is None or type(self.data) is not pandas.DataFrame or columns.nlevels > 1:
            return {name: self._column(name) for name in names}
        out: dict[str, Column] = {}
        for name in names:
            try:
                place = columns.get_loc(name)
            except KeyError:
                place = None
            if type(place) is int:
                out[name] = _column_of(name, direct(place))
            else:  # duplicated, not text, or absent
                out[name] = self._column(name)
        return out

    def _column(self, name: str) -> Column:
        try:
            series = self.data[name]
        except KeyError:
            series = self._by_text(name)
        if series.ndim != 1:
            if self.data.columns.nlevels > 1:
                raise DataError(
                    f"the columns of data have several levels and {name!r} is not a single "
                    "column; flatten the column index first."
                )
            raise duplicate_column(name)
        return column_from_series(name, series)

    def _by_text(self, name: str) -> Any:
        """A column whose label is not text but reads like ``name``."""
        labels = [label for label in self.data.columns if str(label) == name]
        if not labels:
            hint = ""
            if name in self.data.index.names:
                hint = f"{name!r} is in the index: use data.reset_index()."
            raise unknown_column(name, self.names(), hint)
        return self.data[labels[0]]


def column_from_series(name: str, series: Any) -> Column:
    """A column from a pandas Series of any dtype; NumPy float64 is not copied."""
    if isinstance(series.dtype, np.dtype):
        return column_from_array(name, series.to_numpy())
    return _column_of(name, series.array)


def _column_of(name: str, array: Any) -> Column:
    """A column from an array as pandas holds it."""
    dtype = array.dtype
    if isinstance(dtype, np.dtype):
        return column_from_array(name, np.asarray(array))
    kind = type(dtype).__name__
    if kind == "CategoricalDtype":
        categories = array.categories
        levels = LazyLevels(len(categories), partial(_category_labels, categories))
        return FactorColumn(name, array.codes.astype(np.int32), levels, bool(array.ordered))
    if kind == "ArrowDtype" or (kind == "StringDtype" and dtype.storage == "pyarrow"):
        from mixeff.frames.arrow_frame import column_from_arrow

        return column_from_arrow(name, array.__arrow_array__())
    if kind == "StringDtype":
        return column_from_items(name, array.to_numpy(dtype=object).tolist())
    if kind in {"DatetimeTZDtype", "PeriodDtype"}:
        raise refused(name, DATES, DATES_REMEDY)
    if kind == "IntervalDtype":
        raise refused(name, "intervals", "turn them into a category first")
    return _from_masked(name, array, dtype)


def _category_labels(categories: Any) -> tuple[str, ...]:
    array = categories.array
    if type(array).__name__ == "ArrowStringArray":  # far quicker than through NumPy objects
        return tuple(array.__arrow_array__().to_pylist())
    return category_labels(categories.tolist())


def _from_masked(name: str, array: Any, dtype: Any) -> Column:
    """Nullable numbers and truth values, sparse arrays."""
    code = getattr(dtype, "kind", "O")
    missing = np.asarray(array.isna())
    if code in "iu" and not missing.any():
        integers = array.to_numpy(
            dtype=dtype.numpy_dtype if hasattr(dtype, "numpy_dtype") else None
        )
        return NumericColumn(name, integers_to_floats(name, np.asarray(integers)), "integer")
    if code in "iuf":
        values = np.asarray(array.astype("float64"), dtype=np.float64)
        if hasattr(array, "to_numpy") and missing.any():
            values = np.where(missing, np.nan, np.asarray(array.to_numpy(np.float64, na_value=0.0)))
        return NumericColumn(name, values, "float" if code == "f" else "integer")
    if code == "b":
        truth = np.asarray(array.to_numpy(dtype=bool, na_value=False))
        codes = np.where(missing, -1, truth).astype(np.int32)
        return FactorColumn(name, codes, LOGICAL_LEVELS, kind="boolean")
    return column_from_items(name, list(array))
