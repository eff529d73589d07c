"""Weights, offset, missing rows and the response."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mixeff.design.build import build_design
from mixeff.errors import (
    DataError,
    DataWarning,
    DesignError,
    FormulaError,
    OptionError,
    UnknownColumnError,
)
from mixeff.formula import parse_formula

N = 12
FORMULA = parse_formula("y ~ x + (1 | g)")


def data() -> dict[str, Any]:
    rows = np.arange(N)
    return {
        "y": np.sin(rows),
        "x": np.cos(rows),
        "g": rows % 3,
        "w": rows + 1.0,
        "s": ["u", "v"] * 6,
    }


def test_weights_as_column_expression_and_array_agree() -> None:
    d = data()
    by_name = build_design(FORMULA, d, weights="w").weights
    by_array = build_design(FORMULA, d, weights=d["w"].tolist()).weights
    by_series = build_design(FORMULA, d, weights=pd.Series(d["w"])).weights
    assert by_name is not None
    np.testing.assert_array_equal(by_name, d["w"])
    np.testing.assert_array_equal(by_name, by_array)
    np.testing.assert_array_equal(by_name, by_series)
    squared = build_design(FORMULA, d, weights="1 / w^2").weights
    np.testing.assert_allclose(squared, 1 / d["w"] ** 2, rtol=1e-15)


def test_missing_weights_join_the_mask() -> None:
    d = data()
    w = d["w"].copy()
    w[[2, 5]] = np.nan
    design = build_design(FORMULA, d, weights=w)
    assert design.n_omitted == 2
    assert design.rows.tolist() == [0, 1, 3, 4, 6, 7, 8, 9, 10, 11]
    np.testing.assert_array_equal(design.weights, d["w"][design.rows])


def test_zero_weights_are_left_out_with_a_warning() -> None:
    d = data()
    d["w"][[0, 4]] = 0.0
    with pytest.warns(DataWarning, match=r"2 rows have weight zero \(rows 0, 4"):
        design = build_design(FORMULA, d, weights="w")
    assert design.n == 10
    assert design.n_omitted == 0
    assert design.weights is not None
    assert design.weights.min() > 0
    assert 0 not in design.rows
    assert 4 not in design.rows


@pytest.mark.parametrize(
    ("weights", "error", "says"),
    [
        (np.where(np.arange(N) == 3, -1.0, 1.0), DataError, r"negative: row 3 .* weight -1"),
        (np.where(np.arange(N) == 3, np.inf, 1.0), DataError, "infinite: row 3"),
        (np.zeros(N), DataError, "all weights are zero"),
        (np.ones(N - 1), DataError, "weights has 11 values, the data have 12 rows"),
        ("ww", UnknownColumnError, "no column 'ww'; did you mean 'w'"),
        ("s", DataError, "weights must be numbers, but s is a factor"),
        ("w +", FormulaError, "w +"),
        (2.0, DataError, "single float"),
        (["a"] * N, DataError, "weights must be numbers"),
    ],
)
def test_bad_weights(weights: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        build_design(FORMULA, data(), weights=weights)


def test_offsets_of_formula_and_argument_add_up() -> None:
    d = data()
    formula = parse_formula("y ~ x + offset(2 * x) + offset(w) + (1 | g)")
    design = build_design(formula, d, offset="log(w)")
    expected = 2 * d["x"] + d["w"] + np.log(d["w"])
    np.testing.assert_allclose(design.offset, expected, rtol=1e-15)
    np.testing.assert_array_equal(design.response, d["y"])  # the offset is not subtracted
    assert build_design(FORMULA, d).offset is None


def test_bad_offset() -> None:
    with pytest.raises(DataError, match="offset has 3 values, the data have 12 rows"):
        build_design(FORMULA, data(), offset=[1, 2, 3])
    with pytest.raises(DataError, match="infinite"):
        build_design(FORMULA, data(), offset="log(w - 1)")


def test_missing_in_any_variable_leaves_the_row_out() -> None:
    d = data()
    d["y"][1] = np.nan
    d["x"][2] = np.nan
    d["g"] = [None if k == 3 else int(v) for k, v in enumerate(d["g"])]
    d["s"][4] = None
    design = build_design(parse_formula("y ~ x + s + (1 | g)"), d)
    assert design.rows.tolist() == [0, 5, 6, 7, 8, 9, 10, 11]
    assert design.n_omitted == 4
    assert design.n == 8
    assert design.X.shape == (8, 3)
    assert design.random[0].codes.shape == (8,)
    np.testing.assert_array_equal(design.response, d["y"][design.rows])


def test_na_actions() -> None:
    d = data()
    d["x"][2] = np.nan
    with pytest.raises(DataError, match=r"x 1 \(first row 2"):
        build_design(FORMULA, d, na_action="fail")
    design = build_design(FORMULA, d, na_action="exclude")
    assert (design.state.na_action, design.state.n_rows, design.n_omitted) == ("exclude", 12, 1)
    with pytest.raises(OptionError, match="na_action"):
        build_design(FORMULA, d, na_action="drop")


def test_infinities_are_named() -> None:
    d = data()
    d["x"][[3, 7]] = np.inf
    with pytest.raises(DataError, match=r"column 'x' is infinite in 2 of 12 rows \(rows 3, 7"):
        build_design(FORMULA, d)
    with pytest.raises(DataError, match=r"log\(g\) is infinite in 4 of 12 rows"):
        build_design(parse_formula("y ~ log(g) + (1 | g)"), data())


def test_infinity_in_a_row_left_out_does_not_matter() -> None:
    d = data()
    d["x"][3], d["y"][3] = np.inf, np.nan
    assert build_design(FORMULA, d).n == 11


def test_numbers_out_of_a_function_s_domain_are_refused() -> None:
    with pytest.raises(DataError, match=r"'log\(x\)' is not a number in rows 2, 3"):
        build_design(parse_formula("y ~ log(x) + (1 | g)"), data())


@pytest.mark.parametrize(
    ("y", "error", "says"),
    [
        (["a", "b"] * 6, DataError, "text with the levels 'a', 'b'"),
        (pd.Categorical(["a", "b"] * 6), DataError, "is a factor"),
        ([True, False] * 6, DataError, r"as.numeric\(y\)"),
        (np.full(N, 3.0), DesignError, r"constant \(3 in all 12 rows used\)"),
        (np.full(N, np.nan), DataError, "no row is complete"),
    ],
)
def test_bad_responses(y: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        build_design(FORMULA, data() | {"y": y})


def test_matrix_response() -> None:
    with pytest.raises(DesignError, match="matrix of 2 columns"):
        build_design(parse_formula("cbind(y, w) ~ x + (1 | g)"), data())


def test_empty_data() -> None:
    with pytest.raises(DataError, match="no rows"):
        build_design(FORMULA, {k: v[:0] for k, v in data().items()})


def test_response_may_be_an_expression() -> None:
    design = build_design(parse_formula("log(w) ~ x + (1 | g)"), data())
    assert design.response_name == "log(w)"
    np.testing.assert_allclose(design.response, np.log(np.arange(1.0, 13.0)), rtol=1e-15)


def test_design_without_a_response() -> None:
    formula = parse_formula("~ x + (1 | g)", one_sided=True)
    with pytest.raises(DesignError, match="no response"):
        build_design(formula, data())
    design = build_design(formula, data(), response_required=False)
    assert np.isnan(design.response).all()
    assert design.names == ("(Intercept)", "x")


def test_dot_stands_for_the_other_columns() -> None:
    d = {k: data()[k] for k in ("y", "x", "w")}
    design = build_design(parse_formula("y ~ ."), d)
    assert design.names == ("(Intercept)", "x", "w")


def test_only_the_columns_used_are_read() -> None:
    d = data() | {"bad": [object()] * N, "y2": np.array(["2020"] * N, dtype="M8[Y]")}
    assert build_design(FORMULA, d).n == N


def test_arrays_are_contiguous_doubles() -> None:
    frame = pd.DataFrame(np.asfortranarray(np.random.default_rng(1).normal(size=(N, 3)))[:, ::-1])
    frame.columns = ["y", "x", "w"]
    frame["g"] = data()["g"]
    design = build_design(FORMULA, frame, weights="w^2")
    for array in (design.response, design.X, design.weights, design.random[0].values):
        assert array is not None
        assert array.flags.c_contiguous
        assert array.dtype == np.float64
    assert design.random[0].codes.dtype == np.int32
    assert design.rows.dtype == np.int64
