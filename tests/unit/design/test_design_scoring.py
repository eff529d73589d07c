"""New data are scored the way the training data were, or refused with a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mixeff.design.build import build_design
from mixeff.design.design import Design
from mixeff.errors import PredictionError, UnknownColumnError
from mixeff.formula import parse_formula

RNG = np.random.default_rng(11)
N = 60


def data() -> dict[str, Any]:
    rows = np.arange(N)
    return {
        "y": np.sin(rows * 1.7),
        "x": rows / 7.0,
        "f": np.array(["lo", "mid", "hi"])[rows % 3],
        "g": rows // 10,
        "h": np.array(["p", "q"])[rows % 2],
        "off": rows / 3.0,
    }


def design(formula: str, **options: Any) -> Design:
    return build_design(parse_formula(formula), data(), **options)


@pytest.mark.parametrize(
    "fixed", ["poly(x, 2) * f", "scale(x) * f + log(g + 1)", "bs(x, df = 4) + f", "ns(x, df = 3)"]
)
def test_a_row_alone_has_the_columns_it_had_among_others(fixed: str) -> None:
    # Transforms and factor codings must come from training, not from the one row.
    fit = design(f"y ~ {fixed} + (1 | g)")
    d = data()
    for row in (0, 17, 59):
        one = {k: v[row : row + 1] for k, v in d.items() if k != "y"}
        X, offset, complete = fit.state.fixed_matrix(one)
        np.testing.assert_allclose(X[0], fit.X[row], rtol=1e-12, atol=1e-13)
        assert offset is None
        assert complete.tolist() == [True]


def test_factors_may_come_in_any_type_and_level_order() -> None:
    fit = design("y ~ f + (1 | g)")
    expected = fit.state.fixed_matrix({"f": ["mid", "hi"], "g": [1, 2]})[0]
    new = pd.DataFrame({"f": pd.Categorical(["mid", "hi"], ["zz", "mid", "hi", "lo"])})
    np.testing.assert_array_equal(fit.state.fixed_matrix(new)[0], expected)


def test_unseen_level_of_a_fixed_factor() -> None:
    fit = design("y ~ f + (1 | g)")
    with pytest.raises(
        PredictionError, match=r"f has a level .*: 'top'\. It knows 'hi', 'lo', 'mid'"
    ):
        fit.state.fixed_matrix({"f": ["mid", "top"]})


def test_numbers_and_factors_are_not_confused() -> None:
    fit = design("y ~ x + f + (1 | g)")
    with pytest.raises(PredictionError, match="x is a factor in the new data"):
        fit.state.fixed_matrix({"x": ["a"], "f": ["lo"]})


def test_missing_columns_name_the_nearest() -> None:
    fit = design("y ~ x + f + (1 | g)")
    with pytest.raises(UnknownColumnError, match="no column 'x'"):
        fit.state.fixed_matrix({"X": [1.0], "f": ["lo"]})
    with pytest.raises(UnknownColumnError, match="no column 'g'"):
        fit.state.random_matrix({"x": [1.0]}, 0)


def test_missing_values_give_nan_rows() -> None:
    fit = design("y ~ x * f + (x | g)")
    X, _, complete = fit.state.fixed_matrix({"x": [1.0, np.nan, 2.0], "f": ["lo", "lo", None]})
    assert complete.tolist() == [True, False, False]
    assert np.isfinite(X[0]).all()
    assert np.isnan(X[1]).any()
    assert np.isnan(X[2]).any()


def test_groups_unseen_and_missing() -> None:
    fit = design("y ~ x + (x | g)")
    new = {"x": [1.0, 2.0, 3.0, 4.0], "g": [5.0, 99.0, np.nan, 0.0]}
    codes, values = fit.state.random_matrix(new, 0)
    assert codes.tolist() == [5, -1, -2, 0]
    np.testing.assert_array_equal(values, [[1, 1], [1, 2], [1, 3], [1, 4]])


def test_nested_groups_are_matched_by_both_parts() -> None:
    fit = design("y ~ x + (1 | g / h)")
    assert fit.random[0].group == "h:g"
    codes, _ = fit.state.random_matrix({"g": [0, 5, 7], "h": ["q", "p", "p"]}, 0)
    labels = [fit.random[0].levels[k] if k >= 0 else None for k in codes]
    assert labels == ["q:0", "p:5", None]
    codes, _ = fit.state.random_matrix({"g": [0, 5, 7], "h": ["q", "p", None]}, 0)
    assert codes.tolist()[2] == -2


def test_split_terms_score_their_own_column() -> None:
    fit = design("y ~ x + (x || g)")
    codes, values = fit.state.random_matrix({"x": [3.0], "g": [2]}, 1)
    assert (fit.random[1].columns, values.tolist(), codes.tolist()) == (("x",), [[3.0]], [2])


def test_offsets_are_evaluated_on_new_data() -> None:
    by_formula = design("y ~ x + offset(log(off + 1)) + (1 | g)")
    by_name = design("y ~ x + (1 | g)", offset="off")
    by_both = design("y ~ x + offset(x) + (1 | g)", offset="2 * off")
    new = {"x": [1.0, 2.0], "off": [0.0, 3.0]}
    np.testing.assert_allclose(by_formula.state.fixed_matrix(new)[1], [0, np.log(4)], rtol=1e-15)
    np.testing.assert_array_equal(by_name.state.fixed_matrix(new)[1], [0, 3])
    np.testing.assert_array_equal(by_both.state.fixed_matrix(new)[1], [1, 8])
    with pytest.raises(UnknownColumnError, match="no column 'off'"):
        by_name.state.fixed_matrix({"x": [1.0]})


def test_an_offset_given_as_an_array_must_be_given_again() -> None:
    fit = design("y ~ x + (1 | g)", offset=np.arange(N))
    with pytest.raises(PredictionError, match="offset given as an array"):
        fit.state.fixed_matrix({"x": [1.0]})
    assert fit.state.fixed_matrix({"x": [1.0]}, offset=[7.0])[1].tolist() == [7.0]
    with pytest.raises(PredictionError, match="one number for each of the 1 new rows"):
        fit.state.fixed_matrix({"x": [1.0]}, offset=[7.0, 8.0])


def test_a_stream_is_opened_once_for_all_uses() -> None:
    fit = design("y ~ x + f + (x | g)")
    table = pa.table({k: v for k, v in data().items() if k != "y"})
    opened = fit.state.open(table.to_reader())
    np.testing.assert_array_equal(fit.state.fixed_matrix(opened)[0], fit.X)
    codes, values = fit.state.random_matrix(opened, 0)
    np.testing.assert_array_equal(codes, fit.random[0].codes)
    np.testing.assert_array_equal(values, fit.random[0].values)


def test_an_intercept_alone_takes_the_length_of_the_new_data() -> None:
    fit = design("y ~ 1 + (1 | g)")
    X, _, complete = fit.state.fixed_matrix({"anything": [1, 2, 3]})
    assert X.tolist() == [[1.0]] * 3
    assert complete.all()


def test_integer_groups_match_the_same_numbers_stored_as_floats() -> None:
    d = data()
    d["g"] = (d["g"] + 1) * 100_000
    fit = build_design(parse_formula("y ~ x + (1 | g)"), d)
    assert fit.random[0].levels[0] == "100000"
    codes, _ = fit.state.random_matrix({"g": [200_000.0]}, 0)
    assert codes.tolist() == [1]
