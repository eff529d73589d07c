"""Training and new data: one state, the same numbers; nothing of Python is evaluated."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixeff.design.evaluate import TransformState, apply, column_value, train
from mixeff.design.values import Categorical, Numeric, Value, recode
from mixeff.errors import DataError, FormulaError, PredictionError, UnknownColumnError
from mixeff.formula import parse_expression
from mixeff.formula.tree import Argument, Binary, Call, Name
from mixeff.frames.columns import Column, FactorColumn, NumericColumn

N = 40
RNG = np.random.default_rng(20)
COLUMNS: dict[str, Column] = {
    "x": NumericColumn("x", np.where(RNG.random(N) < 0.1, np.nan, RNG.normal(3, 2, N))),
    "z": NumericColumn("z", RNG.uniform(1, 9, N)),
    "k": NumericColumn("k", RNG.integers(1, 5, N).astype(float), "integer"),
    "f": FactorColumn(
        "f", RNG.integers(-1, 3, N).astype(np.int32), ("mid", "low", "high"), False, "factor"
    ),
    "o": FactorColumn("o", RNG.integers(0, 3, N).astype(np.int32), ("s", "m", "l"), True, "factor"),
    "t": FactorColumn(
        "t", RNG.integers(0, 3, N).astype(np.int32), ("a", "b", "c"), False, "string"
    ),
    "b": FactorColumn(
        "b", RNG.integers(0, 2, N).astype(np.int32), ("FALSE", "TRUE"), False, "boolean"
    ),
}

STATEFUL = [
    "poly(x, 3)",
    "poly(log(z), 2)",
    "bs(z, df = 5)",
    "ns(x, df = 4)",
    "ns(log(z), knots = c(1, 1.5))",
    "scale(x)",
    "scale(cbind(x, z))",
    "center(x)",
    "scale(scale(z) + center(x))",
    "I(scale(x)^2 + poly(z, 1))",
    "factor(k)",
    'factor(k, labels = c("p", "q", "r", "s"))',
    "factor(f)",
    "ordered(t)",
    "as.integer(factor(t))",
    "as.numeric(f)",
    "as.character(k)",
    'relevel(f, ref = "high")',
    "interaction(f, t)",
    "interaction(k, b, drop = TRUE)",
    "cut(z, 4)",
    "cut(scale(z), 3)",
    "cut(z, c(0, 3, 10))",
    'o < "l"',
    'I(f == "low")',
    "x > 2 & b",
    "pmin(x, z, 3)",
    "x * 2 - z / k",
]


def subset(columns: dict[str, Column], rows: np.ndarray, *, as_text: bool) -> dict[str, Column]:
    """The rows chosen; factors as text with only the levels present, sorted, if ``as_text``."""
    result: dict[str, Column] = {}
    for name, column in columns.items():
        if isinstance(column, NumericColumn):
            result[name] = NumericColumn(name, column.values[rows], column.kind)
        elif column.kind == "boolean" or not as_text:
            result[name] = FactorColumn(
                name, column.codes[rows], column.levels, column.ordered, column.kind
            )
        else:
            codes = column.codes[rows]
            present = sorted(column.levels[code] for code in np.unique(codes[codes >= 0]))
            table = [present.index(lev) if lev in present else -1 for lev in column.levels] + [-1]
            result[name] = FactorColumn(
                name, np.array(table, dtype=np.int32)[codes], tuple(present), False, "string"
            )
    return result


def same_rows(value: Value, whole: Value, rows: np.ndarray) -> None:
    if isinstance(whole, Numeric):
        assert isinstance(value, Numeric)
        assert value.suffixes == whole.suffixes
        # the recurrence of poly against its QR at degree 3: a few units in the 14th digit
        np.testing.assert_allclose(value.values, whole.values[rows], rtol=1e-11, atol=1e-12)
    else:
        assert isinstance(value, Categorical)
        assert value.levels == whole.levels
        assert value.ordered == whole.ordered
        assert value.logical == whole.logical
        np.testing.assert_array_equal(value.codes, whole.codes[rows])


@pytest.mark.parametrize("text", STATEFUL)
@pytest.mark.parametrize("as_text", [False, True])
def test_new_data_from_the_training_rows_get_the_training_values(text: str, as_text: bool) -> None:
    expression = parse_expression(text)
    whole, state = train(expression, COLUMNS, N)
    rows = np.array([7, 3, 30, 31, 2])
    value = apply(expression, subset(COLUMNS, rows, as_text=as_text), rows.size, state)
    same_rows(value, whole, rows)


@pytest.mark.parametrize("text", STATEFUL)
def test_the_state_survives_json(text: str) -> None:
    expression = parse_expression(text)
    whole, state = train(expression, COLUMNS, N)
    # allow_nan=False: the file must be JSON for every reader
    again = TransformState.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False)))
    assert again == state
    same_rows(apply(expression, COLUMNS, N, again), whole, np.arange(N))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, N - 1), min_size=1, max_size=12), st.sampled_from(STATEFUL))
def test_any_rows_get_their_training_values(chosen: list[int], text: str) -> None:
    expression = parse_expression(text)
    whole, state = train(expression, COLUMNS, N)
    rows = np.array(chosen)
    same_rows(apply(expression, subset(COLUMNS, rows, as_text=True), rows.size, state), whole, rows)


@pytest.mark.parametrize("text", ["x", "(z)", "f", "o", "b"])
def test_a_lone_column_is_its_values_and_needs_no_state(text: str) -> None:
    value, state = train(parse_expression(text), COLUMNS, N)
    expected = column_value(COLUMNS[text.strip("()")])
    assert state == TransformState()
    if isinstance(expected, Numeric):
        assert isinstance(value, Numeric)
        np.testing.assert_array_equal(value.values, expected.values)
    else:
        assert isinstance(value, Categorical)
        np.testing.assert_array_equal(value.codes, expected.codes)
        assert value.levels == expected.levels


def test_transforms_learn_from_every_row_with_their_variable() -> None:
    # R evaluates scale(x) before rows missing elsewhere are dropped
    x = COLUMNS["x"]
    assert isinstance(x, NumericColumn)
    value, _ = train(parse_expression("scale(x)"), COLUMNS, N)
    assert isinstance(value, Numeric)
    present = x.values[~np.isnan(x.values)]
    expected = (x.values - present.mean()) / present.std(ddof=1)
    np.testing.assert_allclose(value.values, expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("text", "level"),
    [("factor(t)", "zz"), ("as.factor(t)", "zz"), ('relevel(factor(t), ref = "b")', "zz")],
)
def test_unseen_levels_come_last(text: str, level: str) -> None:
    expression = parse_expression(text)
    whole, state = train(expression, COLUMNS, N)
    assert isinstance(whole, Categorical)
    new = FactorColumn("t", np.array([1, 0, -1], dtype=np.int32), ("b", level), False, "string")
    value = apply(expression, {"t": new}, 3, state)
    assert isinstance(value, Categorical)
    assert value.levels == (*whole.levels, level)
    assert value.codes.tolist() == [3, whole.levels.index("b"), -1]


def test_combinations_without_rows_are_no_unseen_levels() -> None:
    expression = parse_expression("interaction(f, t)")
    whole, state = train(expression, COLUMNS, N)
    new = {
        "f": FactorColumn("f", np.array([0], dtype=np.int32), ("low", "other"), False, "factor"),
        "t": FactorColumn("t", np.array([0], dtype=np.int32), ("c",), False, "string"),
    }
    value = apply(expression, new, 1, state)
    assert isinstance(value, Categorical)
    assert isinstance(whole, Categorical)
    assert value.levels == whole.levels
    assert value.levels[value.codes[0]] == "low.c"


def test_an_unseen_level_has_no_number() -> None:
    expression = parse_expression("as.integer(f)")
    _, state = train(expression, COLUMNS, N)
    new = FactorColumn("f", np.array([0], dtype=np.int32), ("other",), False, "factor")
    with pytest.raises(PredictionError, match="'other' is not among"):
        apply(expression, {"f": new}, 1, state)


def test_a_factor_may_come_back_as_numbers() -> None:
    columns: dict[str, Column] = {
        "g": FactorColumn(
            "g", np.array([0, 1, 2], dtype=np.int32), ("1", "2", "10"), False, "factor"
        )
    }
    expression = parse_expression('relevel(g, ref = "10")')
    whole, state = train(expression, columns, 3)
    value = apply(expression, {"g": NumericColumn("g", np.array([1.0, 2, 10]))}, 3, state)
    same_rows(value, whole, np.arange(3))


def test_text_where_training_had_numbers_is_refused() -> None:
    expression = parse_expression("log(z)")
    _, state = train(expression, COLUMNS, N)
    with pytest.raises(DataError, match="'z' is text"):
        apply(expression, {"z": COLUMNS["t"]}, N, state)


def test_recode_keeps_meaning() -> None:
    value = Categorical(np.array([0, 1, -1, 2], dtype=np.int32), ("a", "b", "c"))
    again = recode(value, ("c", "x", "a"))
    assert again.levels == ("c", "x", "a", "b")
    assert again.codes.tolist() == [2, 3, -1, 0]


def test_constants_of_r_and_columns_of_their_name() -> None:
    value, _ = train(parse_expression("I(z + T + pi)"), COLUMNS, N)
    z = COLUMNS["z"]
    assert isinstance(value, Numeric)
    assert isinstance(z, NumericColumn)
    np.testing.assert_allclose(value.values, z.values + 1 + np.pi, rtol=1e-15)
    shadowed = {**COLUMNS, "T": NumericColumn("T", np.full(N, 5.0))}
    value, _ = train(parse_expression("I(z + T)"), shadowed, N)
    assert isinstance(value, Numeric)
    np.testing.assert_allclose(value.values, z.values + 5, rtol=1e-15)


def test_an_unknown_column_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownColumnError, match="no column 'zz'; did you mean 'z'"):
        train(parse_expression("log(zz)"), COLUMNS, N)


def test_the_callers_columns_are_never_written_to() -> None:
    z = np.linspace(1, 2, 5)
    z.setflags(write=False)
    codes = np.array([0, 1, -1, 1, 0], dtype=np.int32)
    codes.setflags(write=False)
    columns: dict[str, Column] = {
        "z": NumericColumn("z", z),
        "f": FactorColumn("f", codes, ("u", "v"), False, "factor"),
    }
    for text in ("scale(z)", "poly(z, 2)", "ns(z, df = 2)", "-z", "factor(f)", "as.numeric(f)",
                 "cut(z, 2)", "round(z, 1)", 'f == "u"', "pmax(z, 1.5)"):  # fmt: skip
        value, _ = train(parse_expression(text), columns, 5)
        rows = value.values if isinstance(value, Numeric) else value.codes
        assert rows.shape[0] == 5


@pytest.mark.parametrize(
    "expression",
    [
        Call("system", (Argument(None, Name("x")),)),
        Call("__import__", (Argument(None, Name("x")),)),
        Call("eval", (Argument(None, Name("x")),)),
    ],
)
def test_functions_outside_the_list_do_not_run(expression: Call) -> None:
    with pytest.raises(FormulaError):
        train(expression, COLUMNS, N)


def test_operators_of_the_formula_are_refused_inside_functions() -> None:
    for operator in ("~", ":"):
        with pytest.raises(FormulaError, match="belongs between terms"):
            train(Binary(operator, Name("z"), Name("x")), COLUMNS, N)


def test_deep_expressions_are_evaluated() -> None:
    text = "I(" + "+".join(["z"] * 150) + ")"
    value, _ = train(parse_expression(text), COLUMNS, N)
    z = COLUMNS["z"]
    assert isinstance(value, Numeric)
    assert isinstance(z, NumericColumn)
    np.testing.assert_allclose(value.values, 150 * z.values, rtol=1e-13)
