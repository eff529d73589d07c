"""The packed data sets: one gzipped JSON file each, column by column."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ColumnType = Literal["numeric", "integer", "factor", "ordered"]


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """One column as packed.

    Attributes
    ----------
    name : str
    type : {"numeric", "integer", "factor", "ordered"}
    values : (n,) array
        float64 for numeric (NaN is missing), int64 for integer, int32 codes for factors
        (-1 is missing). Integers with a missing value come as float64.
    levels : tuple of str
        Levels of a factor in R's order; empty for numbers.
    """

    name: str
    type: ColumnType
    values: NDArray[Any]
    levels: tuple[str, ...] = ()

    @property
    def is_factor(self) -> bool:
        """A factor, ordered or not."""
        return self.type in ("factor", "ordered")

    def labels(self) -> list[str | None]:
        """The values of a factor as text, None where missing."""
        table = (*self.levels, None)
        return [table[code] for code in self.values]


def read_stored(name: str) -> tuple[StoredColumn, ...]:
    """The columns of one packed set."""
    packed = files("mixeff.datasets").joinpath("data", f"{name}.json.gz").read_bytes()
    return tuple(_column(c) for c in json.loads(gzip.decompress(packed))["columns"])


def _column(packed: dict[str, Any]) -> StoredColumn:
    kind, values = packed["type"], packed["values"]
    if kind in ("factor", "ordered"):
        codes = np.array([-1 if v is None else v for v in values], dtype=np.int32)
        return StoredColumn(packed["name"], kind, codes, tuple(packed["levels"]))
    whole = kind == "integer" and None not in values
    return StoredColumn(
        packed["name"], kind, np.array(values, dtype=np.int64 if whole else np.float64)
    )
