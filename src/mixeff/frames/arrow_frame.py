"""pyarrow tables, record batches and arrays -> columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixeff.frames.arrays import DATES, DATES_REMEDY, column_from_items, integers_to_floats
from mixeff.frames.columns import (
    LOGICAL_LEVELS,
    Codes,
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
class ArrowFrame(Opened):
    """A pyarrow Table or RecordBatch."""

    data: Any

    def names(self) -> tuple[str, ...]:
        """All column names."""
        return tuple(self.data.schema.names)

    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.data.num_rows)

    def read(self, names: Iterable[str]) -> dict[str, Column]:
        """The named columns."""
        out: dict[str, Column] = {}
        for name in names:
            places = self.data.schema.get_all_field_indices(name)
            if not places:
                raise unknown_column(name, self.names())
            if len(places) > 1:
                raise duplicate_column(name)
            out[name] = column_from_arrow(name, self.data.column(places[0]))
        return out


def column_from_arrow(name: str, array: Any) -> Column:
    """A column from an Arrow array or chunked array; float64 in one piece is not copied."""
    import pyarrow as pa

    kind = array.type
    types = pa.types
    if types.is_dictionary(kind):
        return _from_dictionary(name, array)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        if types.is_string_view(kind):
            array = array.cast(pa.string())
        return _from_text(name, array)
    if types.is_boolean(kind):
        codes = _numpy(array.cast(pa.int8()).fill_null(-1)).astype(np.int32)
        return FactorColumn(name, codes, LOGICAL_LEVELS, kind="boolean")
    if types.is_null(kind):
        return NumericColumn(name, np.full(len(array), np.nan))
    if types.is_integer(kind):
        values = _numpy(array)
        if array.null_count:
            return NumericColumn(name, values.astype(np.float64), "integer")
        return NumericColumn(name, integers_to_floats(name, values), "integer")
    if types.is_decimal(kind):
        array = array.cast(pa.float64())
    if types.is_floating(kind) or types.is_decimal(kind):
        return NumericColumn(name, np.asarray(_numpy(array), dtype=np.float64))
    if types.is_temporal(kind):
        raise refused(name, DATES, DATES_REMEDY)
    if types.is_binary(kind) or types.is_large_binary(kind):
        raise refused(name, "bytes", "decode them to text first")
    raise refused(name, f"values of type {kind}", "convert them to numbers or text first")


def _numpy(array: Any) -> Any:
    """NumPy values; nulls become NaN."""
    if hasattr(array, "num_chunks"):
        return (
            array.chunk(0).to_numpy(zero_copy_only=False)
            if array.num_chunks == 1
            else (array.to_numpy())
        )
    return array.to_numpy(zero_copy_only=False)


def _from_text(name: str, array: Any) -> FactorColumn:
    """Text: the distinct ones sorted by code point, which is the byte order of UTF-8."""
    from pyarrow import compute

    encoded = _in_one_piece(array.dictionary_encode())
    if encoded is None:
        return FactorColumn(name, np.empty(0, np.int32), (), kind="string")
    order = compute.array_sort_indices(encoded.dictionary)
    table = np.full(len(order) + 1, -1, dtype=np.int32)
    table[_numpy(order)] = np.arange(len(order), dtype=np.int32)
    labels = encoded.dictionary.take(order)
    levels = LazyLevels(len(order), labels.to_pylist)
    return FactorColumn(name, table[_codes(encoded)], levels, kind="string")


def _in_one_piece(array: Any) -> Any:
    """A dictionary array, chunked or not, as one array; None for no rows at all."""
    if not hasattr(array, "num_chunks"):
        return array
    array = array.unify_dictionaries().combine_chunks()
    if hasattr(array, "num_chunks"):
        return array.chunk(0) if array.num_chunks else None
    return array


def _codes(array: Any) -> Codes:
    """Indices of a dictionary array, -1 where null; a copy."""
    indices = array.indices
    codes: Codes = _numpy(indices.fill_null(0) if indices.null_count else indices).astype(np.int32)
    if indices.null_count:
        codes[_numpy(indices.is_null())] = -1
    return codes


def _from_dictionary(name: str, array: Any) -> FactorColumn:
    """Dictionary-encoded values: the dictionary is the level table."""
    import pyarrow as pa

    ordered = bool(array.type.ordered)
    array = _in_one_piece(array)
    if array is None:
        return FactorColumn(name, np.empty(0, np.int32), (), ordered)
    codes, dictionary = _codes(array), array.dictionary
    text = pa.types.is_string(dictionary.type) or pa.types.is_large_string(dictionary.type)
    if text and not dictionary.null_count:
        return FactorColumn(name, codes, LazyLevels(len(dictionary), dictionary.to_pylist), ordered)
    entries = dictionary.to_pylist()
    if None in entries:
        keep = [entry is not None for entry in entries]
        table = np.where(keep, np.cumsum(keep) - 1, -1)
        codes = np.append(table, -1).astype(np.int32)[codes]
        entries = [entry for entry in entries if entry is not None]
    if entries and not isinstance(entries[0], str | int | float):
        column_from_items(name, entries)
    return FactorColumn(name, codes, category_labels(entries), ordered)
