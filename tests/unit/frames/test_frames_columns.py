"""Every kind of frame gives the same columns; what cannot enter a model is refused in words."""

from __future__ import annotations

import datetime
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixeff.errors import DataError, UnknownColumnError
from mixeff.frames import (
    FactorColumn,
    NumericColumn,
    column_names,
    n_rows,
    open_frame,
    read_columns,
)

NAMES = ["y", "count", "text", "flag", "site"]
SITES = ["north", "south", "east"]


class Stream:
    """An object that offers nothing but the Arrow C stream protocol, as duckdb's results do."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def pandas_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "y": [1.5, np.nan, -2.0, 0.25],
            "count": [3, 2, 10, 2],
            "text": ["b", "a", None, "B"],
            "flag": pd.array([True, None, False, True], dtype="boolean"),
            "site": pd.Categorical(["south", "north", "south", None], categories=SITES),
            "unused": [datetime.date(2020, 1, 1)] * 4,
        }
    )


def polars_frame() -> pl.DataFrame:
    d = pandas_frame()
    return pl.DataFrame(
        {
            "y": [1.5, None, -2.0, 0.25],
            "count": d["count"].to_list(),
            "text": ["b", "a", None, "B"],
            "flag": [True, None, False, True],
            "site": pl.Series(["south", "north", "south", None], dtype=pl.Enum(SITES)),
        }
    )


def arrow_table() -> pa.Table:
    site = pa.DictionaryArray.from_arrays(pa.array([1, 0, 1, None]), SITES)
    return pa.table(
        {
            "y": [1.5, None, -2.0, 0.25],
            "count": [3, 2, 10, 2],
            "text": ["b", "a", None, "B"],
            "flag": [True, None, False, True],
            "site": site,
        }
    )


def arrays() -> dict[str, Any]:
    return {
        "y": np.array([1.5, np.nan, -2.0, 0.25]),
        "count": np.array([3, 2, 10, 2]),
        "text": ["b", "a", None, "B"],
        "flag": [True, None, False, True],
        "site": pd.Categorical(["south", "north", "south", None], categories=SITES),
    }


def arrow_backed() -> pd.DataFrame:
    d = arrow_table().to_pandas(types_mapper=pd.ArrowDtype)
    return d.assign(site=pandas_frame()["site"])


SOURCES: dict[str, Any] = {
    "pandas": pandas_frame,
    "pandas-object": lambda: pandas_frame().astype({"text": object, "flag": object}),
    "pandas-arrow": arrow_backed,
    "pandas-nullable": lambda: pandas_frame().astype({"y": "Float64", "count": "Int64"}),
    "polars": polars_frame,
    "polars-lazy": lambda: polars_frame().lazy(),
    "pyarrow": arrow_table,
    "pyarrow-batch": lambda: arrow_table().to_batches()[0],
    "pyarrow-chunks": lambda: pa.concat_tables([arrow_table()[:1], arrow_table()[1:]]),
    "arrow-stream": lambda: Stream(arrow_table()),
    "reader": lambda: arrow_table().to_reader(),
    "dict": arrays,
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_frame_gives_the_same_columns(source: str) -> None:
    columns = read_columns(SOURCES[source](), NAMES)
    y, count = columns["y"], columns["count"]
    assert isinstance(y, NumericColumn)
    assert isinstance(count, NumericColumn)
    np.testing.assert_array_equal(y.values, [1.5, np.nan, -2.0, 0.25])
    np.testing.assert_array_equal(count.values, [3, 2, 10, 2])
    assert (y.kind, count.kind) == ("float", "integer")
    assert y.values.dtype == np.float64
    expected = {
        "text": ([2, 1, -1, 0], ("B", "a", "b"), "string"),
        "flag": ([1, -1, 0, 1], ("FALSE", "TRUE"), "boolean"),
        "site": ([1, 0, 1, -1], ("north", "south", "east"), "factor"),
    }
    for name, (codes, levels, kind) in expected.items():
        column = columns[name]
        assert isinstance(column, FactorColumn)
        assert column.codes.dtype == np.int32
        assert (column.codes.tolist(), column.levels, column.kind) == (codes, levels, kind)
        assert not column.ordered


@pytest.mark.parametrize("source", SOURCES)
def test_names_and_length(source: str) -> None:
    assert set(column_names(SOURCES[source]())) - {"unused"} == set(NAMES)
    assert n_rows(SOURCES[source]()) == 4


def test_float64_is_not_copied() -> None:
    values = np.array([1.0, 2.0])
    for frame in ({"x": values}, pa.table({"x": values}), pl.DataFrame({"x": values})):
        column = read_columns(frame, ["x"])["x"]
        assert isinstance(column, NumericColumn)
        assert np.shares_memory(column.values, open_frame(frame).read(["x"])["x"].values)
    d = pd.DataFrame({"x": values})
    assert np.shares_memory(read_columns(d, ["x"])["x"].values, d["x"].to_numpy())


def test_ordered_category_stays_ordered() -> None:
    d = pd.DataFrame({"o": pd.Categorical(["a", "b"], ["b", "a"], ordered=True)})
    for frame in (d, pa.table(d)):
        column = read_columns(frame, ["o"])["o"]
        assert isinstance(column, FactorColumn)
        assert column.ordered
        assert column.levels == ("b", "a")


def test_categories_that_are_numbers_are_labelled_as_in_r() -> None:
    # R: as.character(c(1, 1.5, 1e5)) is "1" "1.5" "1e+05"
    d = pd.DataFrame({"g": pd.Categorical([1.5, 100000.0, 1.0])})
    assert read_columns(d, ["g"])["g"].levels == ("1", "1.5", "1e+05")


def test_polars_categorical_is_sorted_like_text() -> None:
    column = pl.Series(["b", None, "a"], dtype=pl.Categorical)
    got = read_columns(pl.DataFrame({"g": column}), ["g"])["g"]
    assert isinstance(got, FactorColumn)
    assert (got.levels, got.codes.tolist()) == (("a", "b"), [1, -1, 0])


def test_decimals_masked_arrays_and_small_types() -> None:
    columns = read_columns(
        {
            "d": [Decimal("1.25"), None],
            "m": np.ma.array([1, 2], mask=[False, True]),
            "f": np.array([1, 2], dtype=np.float32),
            "big": np.array([1, 2], dtype=">f8"),
            "none": [None, None],
            "np": np.array(["b", "a"]),
        },
        ["d", "m", "f", "big", "none", "np"],
    )
    for name, expected in {
        "d": [1.25, np.nan], "m": [1, np.nan], "f": [1, 2], "big": [1, 2], "none": [np.nan] * 2,
    }.items():  # fmt: skip
        column = columns[name]
        assert isinstance(column, NumericColumn)
        np.testing.assert_array_equal(column.values, expected)
        assert column.values.dtype == np.dtype("float64")
    assert columns["np"].levels == ("a", "b")


def test_column_labels_that_are_not_text() -> None:
    d = pd.DataFrame({1: [1.0, 2.0], "x": [1, 2]})
    assert read_columns(d, ["1"])["1"].values.tolist() == [1, 2]
    assert column_names(d) == ("1", "x")


def test_unknown_column_names_the_nearest() -> None:
    for make in SOURCES.values():
        with pytest.raises(UnknownColumnError, match="no column 'sites'; did you mean 'site'"):
            read_columns(make(), ["sites"])
    with pytest.raises(KeyError, match="Its columns: y, count"):
        read_columns(arrays(), ["zzz"])
    with pytest.raises(UnknownColumnError, match="did you mean 'text'"):
        read_columns(arrays(), ["TEXT"])


def test_name_in_the_index_gets_a_hint() -> None:
    with pytest.raises(UnknownColumnError, match="reset_index"):
        read_columns(pandas_frame().set_index("site"), ["site"])


def test_duplicate_names_are_refused_only_when_used() -> None:
    d = pandas_frame()[["y", "y", "count"]]
    with pytest.raises(DataError, match="more than one column named 'y'"):
        read_columns(d, ["y"])
    assert read_columns(d, ["count"])["count"].values.tolist() == [3, 2, 10, 2]
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["y", "y"])
    with pytest.raises(DataError, match="more than one column named 'y'"):
        read_columns(table, ["y"])


DAY = datetime.date(2020, 1, 1)
REFUSED = [
    ([1, "a", 2.5], r"float \(row 2: 2.5\), int \(row 0: 1\), str \(row 1: 'a'\)"),
    ([DAY, DAY], "dates or times"),
    ([datetime.timedelta(1)], "dates or times"),
    (pd.Series(pd.date_range("2020", periods=2)), "dates or times"),
    (pd.Series(pd.date_range("2020", periods=2, tz="UTC")), "dates or times"),
    (pd.Series(pd.period_range("2020", periods=2)), "dates or times"),
    (np.array(["2020"], dtype="M8[Y]"), "dates or times"),
    (pl.Series([DAY]), "dates or times"),
    (pa.array([DAY]), "dates or times"),
    ([1j], "complex"),
    (np.array([1j]), "complex"),
    ([[1], [2]], "objects of type list"),
    (pl.Series([[1], [2]]), "List"),
    (pa.array([[1], [2]]), "list"),
    (np.array([b"a"]), "bytes"),
    (np.ones((2, 2)), r"shape \(2, 2\)"),
    (5, "a int"),
    (np.array([2**60 + 1, 2**60]), r"beyond 2\*\*53"),
    ([True, 1], "mixes types"),
]


@pytest.mark.parametrize(("values", "says"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_columns_no_model_can_use(values: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_columns({"c": values}, ["c"])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "not NoneType"),
        ("x.csv", "read the file first"),
        ([1, 2], "not list"),
        (np.ones((2, 2)), "name its columns"),
        (pd.Series([1.0]), "pandas.Series"),
        (3, "not int"),
    ],
)
def test_objects_that_are_no_frame(data: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_columns(data, ["y"])


def test_columns_of_unequal_length() -> None:
    with pytest.raises(DataError, match="y 3, x 2"):
        read_columns({"y": [1, 2, 3], "x": [1, 2]}, ["y", "x"])


def test_a_stream_read_without_a_column_says_so() -> None:
    frame = open_frame(arrow_table().to_reader())
    frame.read(["y"])
    with pytest.raises(DataError, match="cannot be read again"):
        frame.read(["count"])


def test_structured_array() -> None:
    array = np.array([(1.0, "b"), (2.0, "a")], dtype=[("x", "f8"), ("g", "U1")])
    columns = read_columns(array, ["x", "g"])
    assert columns["g"].levels == ("a", "b")


def test_arrays_need_neither_pandas_nor_narwhals() -> None:
    code = (
        "import sys, numpy as np\n"
        "from mixeff.design.build import build_design\n"
        "from mixeff.formula import parse_formula\n"
        "d = {'y': np.arange(6.0), 'x': np.arange(6) % 2, 'g': list('aabbcc')}\n"
        "build_design(parse_formula('y ~ x + (1 | g)'), d)\n"
        "print([m for m in ('pandas', 'narwhals', 'polars', 'pyarrow') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_frames_narwhals_knows() -> None:
    narwhals = pytest.importorskip("narwhals")
    for native in (polars_frame(), polars_frame().lazy(), pandas_frame()):
        frame = narwhals.from_native(native)
        columns = read_columns(frame, NAMES)
        assert [getattr(c, "levels", ()) for c in columns.values()][2:] == [
            ("B", "a", "b"),
            ("FALSE", "TRUE"),
            ("north", "south", "east"),
        ]
        with pytest.raises(UnknownColumnError, match="did you mean 'site'"):
            read_columns(frame, ["sites"])


def test_a_duckdb_relation_is_asked_for_the_columns_used_only() -> None:
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.sql(
        "select range::double as x, if(range % 2 = 0, 'b', 'a') as g, DATE '2020-01-01' as day "
        "from range(3) order by range"
    )
    assert column_names(relation) == ("x", "g", "day")
    assert n_rows(relation) == 3
    columns = read_columns(relation, ["x", "g"])
    assert columns["x"].values.tolist() == [0, 1, 2]
    assert (columns["g"].levels, columns["g"].codes.tolist()) == (("a", "b"), [1, 0, 1])
    with pytest.raises(DataError, match="dates or times"):
        read_columns(relation, ["day"])
