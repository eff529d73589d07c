"""bs and ns against R's splines package, inside, at and beyond the boundary knots."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixeff.design.evaluate import apply, train
from mixeff.design.splines import SplineBasis, quantile_knots
from mixeff.design.values import Numeric
from mixeff.errors import DataError, DataWarning, FormulaError
from mixeff.formula import parse_expression
from mixeff.frames.columns import NumericColumn

X = np.array([1, 2, 3, 4, 5.5, 7])
NEW = np.array([0.5, 3.3, 7, 9])
# R's values are printed to 1e-13 absolute; one more digit for the arithmetic of both sides
PRINTED = 1e-12

# R: library(splines); x <- c(1, 2, 3, 4, 5.5, 7); t(unclass(<call>)), row by row
TRAINING = {
    "bs(x, df = 5)": """
        0 0 0 0 0 0.57355102040816 0.33387755102041 0.02857142857143 0 0 0.15027829313544
        0.62394748109034 0.22469837854453 0.00107584722969 0 0.00556586270872 0.40202654488369
        0.52355336970722 0.06885422270038 0 0 0.05192307692308 0.37464497041420 0.50943195266272
        0.064 0 0 0 0 1""",
    "bs(x)": """
        0 0 0 0.34722222222222 0.06944444444444 0.00462962962963 0.44444444444444
        0.22222222222222 0.03703703703704 0.375 0.375 0.125 0.140625 0.421875 0.421875 0 0 1""",
    "bs(x, degree = 2, knots = c(2, 4), intercept = TRUE, Boundary.knots = c(0, 8))": """
        0.25 0.625 0.125 0 0 0 0.5 0.5 0 0 0 0.125 0.7916666666667 0.0833333333333 0 0 0
        0.6666666666667 0.3333333333333 0 0 0 0.2604166666667 0.5989583333333 0.140625 0 0
        0.0416666666667 0.3958333333333 0.5625""",
    "bs(x, df = 4, Boundary.knots = c(2, 6))": """
        -4.2824074074074 0.6944444444444 -0.0416666666667 0 0 0 0 0 0.6157407407407
        0.3055555555556 0.0416666666667 0 0.2 0.48 0.312 0.008 0.003125 0.06375 0.421125 0.512
        -0.025 0.39 -2.109 2.744""",
    "bs(x, degree = 1, df = 3)": """
        0 0 0 0.6 0 0 0.818181818181818 0.181818181818182 0 0.272727272727273 0.727272727272727
        0 0 0.6 0.4 0 0 1""",
    "ns(x, df = 3)": """
        0 0 0 -0.1196976149629 0.4052687189937 -0.2569996754594 0.0164615747116
        0.5702564443731 -0.3609437933105 0.3808795450780 0.4588293433534 -0.2473012960239
        0.4390837366070 0.3332993250690 0.1756938614009 -0.1510457010070 0.4128582494191
        0.7381874515879""",
    "ns(x)": """
        0 0.133630620956 0.267261241912 0.400891862869 0.601337794303 0.801783725737""",
    "ns(x, knots = c(2, 4), intercept = TRUE)": """
        -0.1961161351382 -0.2377286555251 0.6339430814003 -0.3962144258752 0.5309411329264
        -0.0467271742128 0.2727539460489 -0.1704712162806 0.5908521867870 0.2716217853652
        0.1608604242114 -0.0880377651321 0.2927355600956 0.5207860057896 0.2112373178943
        -0.0320233236840 0.0365919450119 0.3788737609278 0.3146699708592 0.2689562682130 0
        -0.1530612244898 0.4081632653061 0.7448979591837""",
    "ns(x, df = 2, Boundary.knots = c(2, 6))": """
        -0.4273411298280 0.2629791568172 0 0 0.3915074902858 -0.2152866606887 0.5751798712265
        -0.1539568438317 0.4179972451649 0.5139247722062 0.0941881952318 1.4035764952420""",
    "ns(x, df = 4, intercept = TRUE)": """
        -0.2580269290956 -0.2361238564216 0.6454052075525 -0.4092813511309 0.3797218840479
        -0.1012765886714 0.3549179137971 -0.2250698965543 0.6171213262522 0.1547654932671
        0.1922257336546 -0.1212170011475 0.3854119415985 0.4774829505969 0.1947800349353
        -0.0798553931246 0.0496810206046 0.4516193901450 0.2990352053984 0.1974223275335 0
        -0.1510457010070 0.4128582494191 0.7381874515879""",
    "ns(x, df = 6)": """
        0 0 0 0 0 0 0.28275 0.00125 0 -0.15990318499464 0.47970955498391 -0.31980636998927
        0.56434090909091 0.39179668304668 0.00786240786241 -0.00912766595107 0.02738299785320
        -0.01825533190214 0.02556818181818 0.53790438165438 0.42065442065442 0.01473922902494
        0.00340136054422 -0.00226757369615 0 0.00180180180180 0.30232518232518 0.55473922902494
        0.16740136054422 -0.02626757369615 0 0 0 -0.14285714285714 0.42857142857143
        0.71428571428571""",
}
# R: t(predict(<call>, c(0.5, 3.3, 7, 9))): 0.5 and 9 lie beyond the boundary knots
PREDICTED = {
    "bs(x, df = 5)": """
        -1.34455102040816 0.15112244897959 -0.00357142857143 0 0 0.07694248608534
        0.59461495647210 0.32106332129409 0.00737923614847 0 0 0 0 0 1 0 -0.12307692307692
        1.69656804733728 -6.40549112426035 5.832""",
    "ns(x, df = 3)": """
        0.0815638951298 -0.2229413133548 0.1413774182250 0.1208174140841 0.5547180491892
        -0.3470929058307 -0.1510457010070 0.4128582494191 0.7381874515879 -1.0852052672347
        0.5662277304415 1.5189775367932""",
    "ns(x, knots = c(2, 4), intercept = TRUE)": """
        -0.6355791359344 -0.3158696126657 0.8423189671085 -0.5264493544428 0.5138402004495
        0.3662617965346 0.1667203944262 -0.0767377465164 0 -0.1530612244898 0.4081632653061
        0.7448979591837 0 -0.9489795918367 0.5306122448980 1.4183673469388""",
}


def numbers(text: str) -> np.ndarray:
    return np.array(text.split(), dtype=float)


def evaluate(text: str, x: np.ndarray = X) -> Numeric:
    value, _ = train(parse_expression(text), {"x": NumericColumn("x", x)}, x.shape[0])
    assert isinstance(value, Numeric)
    return value


@pytest.mark.filterwarnings("ignore::mixeff.errors.DataWarning")
@pytest.mark.parametrize("text", TRAINING)
def test_bases_equal_r(text: str) -> None:
    value = evaluate(text)
    expected = numbers(TRAINING[text])
    np.testing.assert_allclose(value.values.ravel(), expected, atol=PRINTED)
    df = expected.size // 6
    assert value.suffixes == (tuple(str(k + 1) for k in range(df)) if df > 1 else ())


@pytest.mark.filterwarnings("ignore::mixeff.errors.DataWarning")
@pytest.mark.parametrize("text", PREDICTED)
def test_new_points_equal_r(text: str) -> None:
    expression = parse_expression(text)
    _, state = train(expression, {"x": NumericColumn("x", X)}, 6)
    value = apply(expression, {"x": NumericColumn("x", NEW)}, 4, state)
    assert isinstance(value, Numeric)
    np.testing.assert_allclose(value.values.ravel(), numbers(PREDICTED[text]), atol=PRINTED)


def test_bs_warns_beyond_the_boundary_and_ns_does_not() -> None:
    for name, warns in (("bs", True), ("ns", False)):
        expression = parse_expression(f"{name}(x, df = 4)")
        _, state = train(expression, {"x": NumericColumn("x", X)}, 6)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            apply(expression, {"x": NumericColumn("x", NEW)}, 4, state)
        found = [item for item in caught if issubclass(item.category, DataWarning)]
        assert bool(found) is warns
        assert not warns or "boundary knots 1 and 7" in str(found[0].message)


@pytest.mark.parametrize(("text", "columns"), [("bs(x, df = 2)", 3), ("ns(x, df = 0)", 1)])
def test_too_small_a_df_is_raised_with_a_warning(text: str, columns: int) -> None:
    # R: bs(x, df = 2) warns "'df' was too small; have used 3"
    with pytest.warns(DataWarning, match=f"df = {columns} is used"):
        value = evaluate(text)
    assert value.values.reshape(6, -1).shape[1] == columns


def test_missing_points_are_missing_rows() -> None:
    gappy = np.insert(X, 3, np.nan)
    value = evaluate("ns(x, df = 3)", gappy)
    assert np.isnan(value.values[3]).all()
    kept = np.delete(value.values, 3, axis=0)
    np.testing.assert_allclose(kept.ravel(), numbers(TRAINING["ns(x, df = 3)"]), atol=PRINTED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bs(x, knots = c(0, 3))", "between the boundary knots 1 and 7"),
        ("ns(x, Boundary.knots = c(3, 3))", "boundary knots must differ"),
    ],
)
def test_impossible_knots_are_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(text)


def test_a_constant_column_is_refused() -> None:
    with pytest.raises(DataError, match="is x constant"):
        evaluate("ns(x, df = 3)", np.ones(5))


@pytest.mark.parametrize("text", ["bs(x, df = -1)", "bs(x, degree = 0)", 'ns(x, df = "a")'])
def test_senseless_options_are_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        evaluate(text)


knot_sets = st.lists(
    st.integers(min_value=1, max_value=9), min_size=1, max_size=4, unique=True
).map(lambda values: tuple(float(v) for v in sorted(values)))


@settings(max_examples=30, deadline=None)
@given(knot_sets, st.booleans())
def test_ns_is_linear_beyond_the_boundary(knots: tuple[float, ...], intercept: bool) -> None:
    basis = SplineBasis(True, 3, intercept, knots, (0.0, 10.0))
    for start in (-9.0, 10.0):
        values = basis(start + np.array([0.0, 3.0, 6.0, 9.0]))
        # second differences of a straight line vanish
        np.testing.assert_allclose(np.diff(values, n=2, axis=0), 0.0, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(knot_sets)
def test_ns_joins_smoothly_at_the_boundary(knots: tuple[float, ...]) -> None:
    basis = SplineBasis(True, 3, False, knots, (0.0, 10.0))
    step = 1e-4
    for edge in (0.0, 10.0):
        values = basis(edge + step * np.array([-1.0, 0.0, 1.0]))
        # curvature is continuous and zero at the edge: the second difference is O(step^3)
        np.testing.assert_allclose(values[0] - 2 * values[1] + values[2], 0.0, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(knot_sets, st.integers(min_value=1, max_value=4))
def test_b_splines_sum_to_one_everywhere(knots: tuple[float, ...], degree: int) -> None:
    basis = SplineBasis(False, degree, True, knots, (0.0, 10.0))
    x = np.linspace(-2, 12, 29)
    # extrapolated pieces grow like (distance / spacing)^degree, and so does their rounding
    np.testing.assert_allclose(basis(x).sum(axis=1), 1.0, atol=1e-8)


def test_natural_basis_spans_what_the_full_one_does_with_an_intercept() -> None:
    # closed form: a straight line is a natural cubic spline
    basis = SplineBasis(True, 3, True, (2.0, 4.0), (1.0, 7.0))(X)
    line = 3.0 - 2.0 * X
    residual = line - basis @ np.linalg.lstsq(basis, line, rcond=None)[0]
    np.testing.assert_allclose(residual, 0.0, atol=1e-12)


def test_quantile_knots_use_the_points_inside() -> None:
    # R: quantile(c(2, 3, 4, 5.5), c(1, 2) / 3, type = 7) is 3, 4
    assert quantile_knots(X, 2, (2.0, 6.0)) == pytest.approx((3.0, 4.0))
