"""A packed data set as a pandas, polars or pyarrow table, or as a dict of arrays."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

import numpy as np

from mixeff.datasets.catalogue import check_name
from mixeff.datasets.stored import StoredColumn, read_stored
from mixeff.errors import OptionError

Backend = Literal["pandas", "polars", "pyarrow", "dict"]


def load_dataset(name: str, *, backend: Backend = "pandas") -> Any:
    """Load one of the data sets that come with the package.

    Parameters
    ----------
    name : str
        One of ``mixeff.datasets.list_datasets()``.
    backend : {"pandas", "polars", "pyarrow", "dict"}
        What to return. Factors keep their level order: ``Categorical`` in pandas (ordered where R
        has an ordered factor), dictionary columns in pyarrow, ``Enum`` in polars (which cannot tell
        an ordered factor: give ``contrasts={"temperature": "poly"}`` where R would take polynomial
        contrasts by itself). ``"dict"`` gives NumPy arrays and needs no other library; its factors
        are arrays of text, whose levels sort like text.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame, pyarrow.Table or dict of numpy.ndarray
        Integer columns are int64, numeric ones float64. A pandas frame carries its name in
        ``frame.attrs["mixeff_name"]``.

    Raises
    ------
    OptionError
        No set, or no backend, has that name, or the backend is not installed.

    Examples
    --------
    >>> import mixeff as mx
    >>> mx.load_dataset("sleepstudy").shape
    (180, 3)
    >>> mx.load_dataset("Rail", backend="dict")["travel"][:3]
    array([55., 53., 54.])
    """
    check_name(name)
    build = _BUILDERS.get(backend)
    if build is None:
        known = ", ".join(f'"{b}"' for b in _BUILDERS)
        raise OptionError(f"backend must be one of {known}, not {backend!r}.")
    return build(read_stored(name), name)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise OptionError(
            f'backend="{name}" needs {name}, which is not installed: pip install {name}, '
            'or take backend="dict".'
        ) from error


def _pandas(columns: tuple[StoredColumn, ...], name: str) -> Any:
    pd = _library("pandas")

    def series(column: StoredColumn) -> Any:
        if not column.is_factor:
            return column.values
        return pd.Categorical.from_codes(
            column.values, categories=list(column.levels), ordered=column.type == "ordered"
        )

    frame = pd.DataFrame({column.name: series(column) for column in columns})
    frame.attrs["mixeff_name"] = name
    return frame


def _polars(columns: tuple[StoredColumn, ...], name: str) -> Any:
    pl = _library("polars")

    def series(column: StoredColumn) -> Any:
        if not column.is_factor:
            return pl.Series(column.name, column.values)
        return pl.Series(column.name, column.labels(), dtype=pl.Enum(list(column.levels)))

    return pl.DataFrame([series(column) for column in columns])


def _pyarrow(columns: tuple[StoredColumn, ...], name: str) -> Any:
    pa = _library("pyarrow")

    def array(column: StoredColumn) -> Any:
        if not column.is_factor:
            return pa.array(column.values)
        codes = pa.array(column.values, mask=column.values < 0)
        return pa.DictionaryArray.from_arrays(
            codes, pa.array(column.levels), ordered=column.type == "ordered"
        )

    table = pa.table({column.name: array(column) for column in columns})
    return table.replace_schema_metadata({"mixeff_name": name})


def _dict(columns: tuple[StoredColumn, ...], name: str) -> dict[str, Any]:
    return {
        c.name: np.array(c.labels(), dtype=object if (c.values < 0).any() else None)
        if c.is_factor
        else c.values
        for c in columns
    }


_BUILDERS: dict[str, Callable[[tuple[StoredColumn, ...], str], Any]] = {
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
    "dict": _dict,
}
