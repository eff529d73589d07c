"""Any data frame -> named columns: the two column types and the door every frame enters by.

Only the columns asked for are touched. A frame is recognised by the library it comes from, and a
library is looked up, never imported, before its frames can exist: fitting a dict of NumPy arrays
loads neither pandas nor narwhals.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import DataError, UnknownColumnError
from mixeff.frames.labels import Levels

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

LOGICAL_LEVELS = ("FALSE", "TRUE")
_SHORT_LIST = 20


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """Numbers, one per row.

    Attributes
    ----------
    name : str
    values : (n,) float64 array, NaN where missing; a view of the caller's data where it can be
    kind : {"float", "integer"}
    """

    name: str
    values: Floats
    kind: Literal["float", "integer"] = "float"


@dataclass(frozen=True, slots=True)
class FactorColumn:
    """Categories, one per row.

    Attributes
    ----------
    name : str
    codes : (n,) int32 array, position in ``levels``, -1 where missing
    levels : tuple of str, or LazyLevels that behave as one
        A category's own order; text sorted by code point; ``FALSE, TRUE`` for truth values.
    ordered : bool
    kind : {"factor", "string", "boolean"}
    """

    name: str
    codes: Codes
    levels: Levels
    ordered: bool = False
    kind: Literal["factor", "string", "boolean"] = "factor"


Column = NumericColumn | FactorColumn


class Frame(Protocol):
    """A data frame of any library, opened for reading."""

    def names(self) -> tuple[str, ...]:
        """All column names."""
        ...

    def n_rows(self) -> int:
        """Number of rows."""
        ...

    def read(self, names: Iterable[str]) -> dict[str, Column]:
        """The named columns, nothing else touched."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """Base of the readers: lets an opened frame be handed to ``open_frame`` again."""


def open_frame(data: Any) -> Frame:
    """The reader for the caller's data.

    Parameters
    ----------
    data : pandas, polars (eager or lazy) or pyarrow frame; mapping of names to 1-d arrays or
        lists; structured NumPy array; any object with ``__arrow_c_stream__``; anything narwhals
        reads

    Raises
    ------
    DataError
        The object is no data frame.
    """
    if isinstance(data, Opened):
        return data  # type: ignore[return-value]
    if isinstance(data, Mapping):
        from mixeff.frames.arrays import MappingFrame

        return MappingFrame(data)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        from mixeff.frames.pandas_frame import PandasFrame

        return PandasFrame(data)
    return _open_other(data)


def _open_other(data: Any) -> Frame:
    """Readers tried after the everyday ones."""
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(data, polars.DataFrame | polars.LazyFrame):
        from mixeff.frames.polars_frame import PolarsFrame, PolarsLazyFrame

        return PolarsFrame(data) if isinstance(data, polars.DataFrame) else PolarsLazyFrame(data)
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(data, arrow.Table | arrow.RecordBatch):
        from mixeff.frames.arrow_frame import ArrowFrame

        return ArrowFrame(data)
    if isinstance(data, np.ndarray) and data.dtype.names:
        from mixeff.frames.arrays import MappingFrame

        return MappingFrame({name: data[name] for name in data.dtype.names})
    from mixeff.frames.other_frames import open_foreign

    frame = open_foreign(data)
    if frame is None:
        raise DataError(_not_a_frame(data))
    return frame


def _not_a_frame(data: Any) -> str:
    """The sentence for an object that is no data frame."""
    kind = type(data)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if isinstance(data, str):
        hint = "read the file first, e.g. with pandas.read_csv or polars.read_csv"
    elif data is None:
        hint = "a model needs the data its formula speaks of"
    elif isinstance(data, np.ndarray):
        hint = 'name its columns, e.g. {"y": a[:, 0], "x": a[:, 1]}'
    else:
        hint = "put the columns in a dict, e.g. {'y': ..., 'x': ...}"
    return (
        f"data must be a data frame (pandas, polars, pyarrow, an Arrow stream, a dict of "
        f"arrays), not {name}: {hint}."
    )


def read_columns(data: Any, names: Iterable[str]) -> dict[str, Column]:
    """Read the named columns of any data frame.

    Parameters
    ----------
    data : see `open_frame`
    names : iterable of str

    Returns
    -------
    dict of str to NumericColumn or FactorColumn, in the order of ``names``

    Raises
    ------
    UnknownColumnError
        A name is not a column; the message lists the nearest names.
    DataError
        A column's type cannot enter a model (dates, mixed types, lists), a name occurs twice,
        or columns differ in length.

    Examples
    --------
    >>> read_columns({"x": [1, 2], "g": ["b", "a"]}, ["g"])["g"].levels
    ('a', 'b')
    """
    return open_frame(data).read(names)


def column_names(data: Any) -> tuple[str, ...]:
    """Names of all columns of any data frame."""
    return open_frame(data).names()


def n_rows(data: Any) -> int:
    """Number of rows of any data frame."""
    return open_frame(data).n_rows()


def unknown_column(name: str, names: Iterable[str], hint: str = "") -> UnknownColumnError:
    """The error for a name the data does not have, with the nearest names it has."""
    known = list(names)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    folded = [k for k in known if k.lower() == name.lower() and k not in near]
    near = (folded + near)[:3]
    text = f"the data has no column {name!r}"
    if near:
        text += "; did you mean " + " or ".join(repr(k) for k in near) + "?"
    else:
        text += "."
    if known and len(known) <= _SHORT_LIST:
        text += " Its columns: " + ", ".join(known) + "."
    return UnknownColumnError(f"{text} {hint}".rstrip())


def duplicate_column(name: str) -> DataError:
    """The error for a name that several columns bear."""
    return DataError(
        f"the data has more than one column named {name!r}; rename or drop all but one, "
        "the model cannot know which is meant."
    )


def refused(name: str, kind: str, remedy: str) -> DataError:
    """The error for a column whose type cannot enter a model."""
    return DataError(f"column {name!r} holds {kind}, which a model cannot use; {remedy}.")
