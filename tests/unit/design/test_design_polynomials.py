"""Orthogonal polynomials against R's poly, and their own algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixeff.design.evaluate import apply, train
from mixeff.design.polynomials import orthogonal_polynomials
from mixeff.design.values import Numeric
from mixeff.errors import DataError, FormulaError
from mixeff.formula import parse_expression
from mixeff.frames.columns import NumericColumn

X = np.array([1, 2, 3, 4, 5.5, 7])
NEW = np.array([0.5, 3.3, 7, 9])

# R: x <- c(1, 2, 3, 4, 5.5, 7); t(unclass(poly(x, 3))), printed to 12 digits
POLY_3 = """
-0.5513801778288 0.5519232699835 -0.3978640406464 -0.3508782949820 -0.0181378775924
0.4218936493091 -0.1503764121351 -0.3614280739087 0.3775413717611 0.0501254707117
-0.4779473189654 -0.0924941073486 0.3508782949820 -0.2275306529388 -0.6366447784440
0.6516311192522 0.5331206534218 0.3275679053688
"""
# R: t(predict(poly(x, 3), c(0.5, 3.3, 7, 9)))
POLY_3_NEW = """
-0.6516311192522 0.9219929504938 -1.2687924877947 -0.0902258472811 -0.4201947973079
0.2612790463418 0.6516311192522 0.5331206534218 0.3275679053688 1.0526348849459
2.3410207246444 6.5170172816362
"""
# R: t(unclass(poly(c(1, 1, 2, 5, 9, 9), 3)))
POLY_TIES = """
-0.4139186771924 0.2927577226138 -0.2762201619264 -0.4139186771924 0.2927577226138
-0.2762201619264 -0.2956561979945 -0.1930549841097 0.8418138268235 0.0591312395989
-0.8331846682630 -0.3682935492353 0.5321811563902 0.2203621035726 0.0394600231323
0.5321811563902 0.2203621035726 0.0394600231323
"""
# R's values are printed to 1e-13 absolute; one more digit for the arithmetic of both sides
PRINTED = 1e-12


def matrix(text: str, columns: int) -> np.ndarray:
    return np.array(text.split(), dtype=float).reshape(-1, columns)


def evaluate(text: str, x: np.ndarray) -> Numeric:
    value, _ = train(parse_expression(text), {"x": NumericColumn("x", x)}, x.shape[0])
    assert isinstance(value, Numeric)
    return value


def test_poly_equals_r() -> None:
    value = evaluate("poly(x, 3)", X)
    assert value.suffixes == ("1", "2", "3")
    np.testing.assert_allclose(value.values, matrix(POLY_3, 3), atol=PRINTED)


def test_poly_with_ties_equals_r() -> None:
    value = evaluate("poly(x, degree = 3)", np.array([1.0, 1, 2, 5, 9, 9]))
    np.testing.assert_allclose(value.values, matrix(POLY_TIES, 3), atol=PRINTED)


def test_poly_of_new_points_equals_r() -> None:
    expression = parse_expression("poly(x, 3)")
    _, state = train(expression, {"x": NumericColumn("x", X)}, 6)
    value = apply(expression, {"x": NumericColumn("x", NEW)}, 4, state)
    assert isinstance(value, Numeric)
    np.testing.assert_allclose(value.values, matrix(POLY_3_NEW, 3), atol=5 * PRINTED)


def test_raw_poly_is_powers() -> None:
    value = evaluate("poly(x, 3, raw = TRUE)", X)
    np.testing.assert_array_equal(value.values, np.column_stack([X, X**2, X**3]))
    assert value.suffixes == ("1", "2", "3")


def test_missing_rows_stay_missing_and_teach_nothing() -> None:
    gappy = np.insert(X, [2, 5], np.nan)
    value = evaluate("poly(x, 3)", gappy)
    present = ~np.isnan(gappy)
    np.testing.assert_array_equal(np.isnan(value.values).all(axis=1), ~present)
    np.testing.assert_allclose(value.values[present], matrix(POLY_3, 3), atol=PRINTED)


def test_degree_one_is_a_plain_column() -> None:
    # R: colnames(model.matrix(~ poly(x, 1))) is "poly(x, 1)", no suffix
    value = evaluate("poly(x)", X)
    assert value.values.shape == (6,)
    assert value.suffixes == ()


@pytest.mark.parametrize("text", ["poly(x, 6)", "poly(x, 10)"])
def test_too_high_a_degree_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="distinct values, the data have 6"):
        evaluate(text, X)


def test_infinite_points_are_refused() -> None:
    with pytest.raises(DataError, match=r"infinite value in row 2 \(counting from 0\)"):
        evaluate("poly(x, 2)", np.array([1.0, 2, np.inf, 4]))


@pytest.mark.parametrize("text", ["poly(x, x)", "poly(x, 0)", "poly(x, 1.5)", "poly(x, NULL)"])
def test_a_degree_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        evaluate(text, X)


points = st.lists(
    st.integers(min_value=-50, max_value=50), min_size=6, max_size=25, unique=True
).map(lambda values: np.array(values, dtype=float))


@settings(max_examples=40, deadline=None)
@given(points, st.integers(min_value=1, max_value=4))
def test_columns_are_orthonormal_and_orthogonal_to_the_constant(x: np.ndarray, degree: int) -> None:
    values, _ = orthogonal_polynomials(x, degree)
    full = np.column_stack([np.ones_like(x) / np.sqrt(x.size), values])
    np.testing.assert_allclose(full.T @ full, np.eye(degree + 1), atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(points, st.integers(min_value=1, max_value=4))
def test_recurrence_agrees_with_training_values(x: np.ndarray, degree: int) -> None:
    values, recurrence = orthogonal_polynomials(x, degree)
    # cancellation in the recurrence grows with the degree; four degrees lose few digits
    np.testing.assert_allclose(recurrence(x), values, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(points, st.sampled_from([1e-6, 2.0, 1e6]), st.sampled_from([0.0, 64.0, 1e6]))
def test_shift_and_scale_change_nothing(x: np.ndarray, factor: float, shift: float) -> None:
    values, _ = orthogonal_polynomials(x, 3)
    # shifting by s costs log10(s / spread) digits of x itself
    moved, _ = orthogonal_polynomials((x + shift) * factor, 3)
    np.testing.assert_allclose(moved, values, atol=1e-7)


def test_negative_scale_flips_the_odd_degrees() -> None:
    values, _ = orthogonal_polynomials(X, 3)
    flipped, _ = orthogonal_polynomials(-X, 3)
    np.testing.assert_allclose(flipped, values * [-1, 1, -1], atol=1e-13)


def test_high_powers_of_large_numbers_do_not_overflow() -> None:
    x = np.linspace(1e60, 2e60, 9)
    values, _ = orthogonal_polynomials(x, 6)
    reference, _ = orthogonal_polynomials(np.arange(9.0), 6)
    np.testing.assert_allclose(values, reference, atol=1e-11)
