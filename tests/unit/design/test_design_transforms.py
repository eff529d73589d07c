"""Every function a formula may call, against values printed by R."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixeff.design.arithmetic import binary
from mixeff.design.evaluate import apply, train
from mixeff.design.transforms import TRANSFORMS
from mixeff.design.values import Categorical, Numeric, Value
from mixeff.errors import DataError, FormulaError, PredictionError
from mixeff.formula import parse_expression
from mixeff.formula.functions import FUNCTIONS
from mixeff.frames import read_columns
from mixeff.frames.columns import FactorColumn, NumericColumn

NAN = float("nan")
# R: f <- factor(c("lo", "hi", NA, "mid"), levels = c("lo", "mid", "hi"))
#    o <- factor(f, ordered = TRUE)
#    n <- c(3, 1, NA, 2); s <- c("b", "a", NA, "b"); b <- c(TRUE, FALSE, NA, TRUE)
_F = np.array([0, 2, -1, 1], dtype=np.int32)
COLUMNS = {
    "f": FactorColumn("f", _F, ("lo", "mid", "hi"), False, "factor"),
    "o": FactorColumn("o", _F, ("lo", "mid", "hi"), True, "factor"),
    "n": NumericColumn("n", np.array([3.0, 1, NAN, 2]), "float"),
    "s": FactorColumn("s", np.array([1, 0, -1, 1], dtype=np.int32), ("a", "b"), False, "string"),
    "b": FactorColumn(
        "b", np.array([1, 0, -1, 1], dtype=np.int32), ("FALSE", "TRUE"), False, "boolean"
    ),
}

# R: as.character(<call>) and levels(<call>)
FACTORS = [
    ("factor(f)", "lo | hi | NA | mid", "lo | mid | hi"),
    ("factor(n)", "3 | 1 | NA | 2", "1 | 2 | 3"),
    ("factor(s)", "b | a | NA | b", "a | b"),
    ("factor(b)", "TRUE | FALSE | NA | TRUE", "FALSE | TRUE"),
    ("factor(n, levels = c(2, 3))", "3 | NA | NA | 2", "2 | 3"),
    ('factor(n, labels = c("x", "y", "z"))', "z | x | NA | y", "x | y | z"),
    ('factor(n, labels = "L")', "L3 | L1 | NA | L2", "L1 | L2 | L3"),
    ('factor(f, levels = c("hi", "lo"))', "lo | hi | NA | NA", "hi | lo"),
    ('factor(f, labels = c("A", "B", "A"))', "A | A | NA | B", "A | B"),
    ("ordered(n)", "3 | 1 | NA | 2", "1 | 2 | 3"),
    ('ordered(s, levels = c("b", "a"))', "b | a | NA | b", "b | a"),
    ("factor(o)", "lo | hi | NA | mid", "lo | mid | hi"),
    ("as.factor(n)", "3 | 1 | NA | 2", "1 | 2 | 3"),
    ("as.character(f)", "lo | hi | NA | mid", "hi | lo | mid"),
    ('relevel(f, ref = "mid")', "lo | hi | NA | mid", "mid | lo | hi"),
    ("relevel(f, ref = 3)", "lo | hi | NA | mid", "hi | lo | mid"),
    (
        "interaction(f, s)",
        "lo.b | hi.a | NA | mid.b",
        "lo.a | mid.a | hi.a | lo.b | mid.b | hi.b",
    ),
    (
        'interaction(s, n, sep = "_")',
        "b_3 | a_1 | NA | b_2",
        "a_1 | b_1 | a_2 | b_2 | a_3 | b_3",
    ),
    ("interaction(s, n, drop = TRUE)", "b.3 | a.1 | NA | b.2", "a.1 | b.2 | b.3"),
    (
        "interaction(s, n, lex.order = TRUE)",
        "b.3 | a.1 | NA | b.2",
        "a.1 | a.2 | a.3 | b.1 | b.2 | b.3",
    ),
    (
        "interaction(s, f, b, drop = TRUE)",
        "b.lo.TRUE | a.hi.FALSE | NA | b.mid.TRUE",
        "a.hi.FALSE | b.lo.TRUE | b.mid.TRUE",
    ),
    ('cut(n, 2, labels = c("u", "v"))', "v | u | NA | u", "u | v"),
    ("cut(n, seq(0, 4, by = 2))", "(2,4] | (0,2] | NA | (0,2]", "(0,2] | (2,4]"),
    ("cut(n, seq(0, 4, length.out = 3))", "(2,4] | (0,2] | NA | (0,2]", "(0,2] | (2,4]"),
    ("cut(n, 0:3)", "(2,3] | (0,1] | NA | (1,2]", "(0,1] | (1,2] | (2,3]"),
    ("cut(n, c(3, 0, 1))", "(1,3] | (0,1] | NA | (1,3]", "(0,1] | (1,3]"),
    ('cut(n, c(0, 2, 3), labels = c("a", "a"))', "a | a | NA | a", "a"),
]
# R: as.character(<call>)
LOGICALS = [
    ('f == "hi"', "FALSE | TRUE | NA | FALSE"),
    ('f != "hi"', "TRUE | FALSE | NA | TRUE"),
    ('o < "hi"', "TRUE | FALSE | NA | TRUE"),
    ('"mid" <= o', "FALSE | TRUE | NA | TRUE"),
    ("n > 1", "TRUE | FALSE | NA | TRUE"),
    ("I(n >= 2)", "TRUE | FALSE | NA | TRUE"),
    ("n == 2 & b", "FALSE | FALSE | NA | TRUE"),
    ("b | n > 2", "TRUE | FALSE | NA | TRUE"),
    ("b & FALSE", "FALSE | FALSE | FALSE | FALSE"),
    ("b | T", "TRUE | TRUE | TRUE | TRUE"),
    ("!b", "FALSE | TRUE | NA | FALSE"),
    ("!n", "FALSE | FALSE | NA | FALSE"),
    ('f %in% c("hi", "lo")', "TRUE | TRUE | FALSE | FALSE"),
    ("n %in% c(1, 2)", "FALSE | TRUE | FALSE | TRUE"),
    ("n == f", "FALSE | FALSE | NA | FALSE"),
    ("b == TRUE", "TRUE | FALSE | NA | TRUE"),
    ("b == 1", "TRUE | FALSE | NA | TRUE"),
    ('s == "zz"', "FALSE | FALSE | NA | FALSE"),
    ("factor(n) == 2", "FALSE | FALSE | NA | TRUE"),
]
# R: print(<call>, digits = 15)
NUMBERS = [
    ("as.integer(f)", [1, 3, NAN, 2]),
    ("as.numeric(b)", [1, 0, NAN, 1]),
    ("as.integer(n / 2 * -1)", [-1, 0, NAN, -1]),
    ("as.numeric(as.character(factor(n)))", [3, 1, NAN, 2]),
    ("as.integer(factor(n))", [3, 1, NAN, 2]),
    ("b + n", [4, 1, NAN, 3]),
    ("n^0", [1, 1, 1, 1]),
    ("2 * b - n / 2", [0.5, -0.5, NAN, 1]),
    ("abs(-n)", [3, 1, NAN, 2]),
    ("-n^2", [-9, -1, NAN, -4]),
    ("(-n)^2", [9, 1, NAN, 4]),
    ("+n", [3, 1, NAN, 2]),
    ("log(n)", [1.09861228866811, 0, NAN, 0.693147180559945]),
    ("log(n, base = 2)", [1.58496250072116, 0, NAN, 1]),
    ("log(n, 3)", [1, 0, NAN, 0.630929753571457]),
    ("log2(n)", [1.58496250072116, 0, NAN, 1]),
    ("log10(n)", [0.477121254719662, 0, NAN, 0.301029995663981]),
    ("log1p(n / 10)", [0.262364264467491, 0.0953101798043249, NAN, 0.182321556793955]),
    ("exp(n)", [20.0855369231877, 2.71828182845905, NAN, 7.38905609893065]),
    ("expm1(n / 10)", [0.349858807576003, 0.105170918075648, NAN, 0.22140275816017]),
    ("sqrt(n)", [1.73205080756888, 1, NAN, 1.4142135623731]),
    ("sin(n)", [0.141120008059867, 0.841470984807897, NAN, 0.909297426825682]),
    ("cos(n)", [-0.989992496600445, 0.54030230586814, NAN, -0.416146836547142]),
    ("tan(n)", [-0.142546543074278, 1.5574077246549, NAN, -2.18503986326152]),
    ("asin(n / 10)", [0.304692654015398, 0.10016742116156, NAN, 0.201357920790331]),
    ("acos(n / 10)", [1.2661036727795, 1.47062890563334, NAN, 1.36943840600457]),
    ("atan(n)", [1.24904577239825, 0.785398163397448, NAN, 1.10714871779409]),
    ("sinh(n / 10)", [0.304520293447143, 0.100166750019844, NAN, 0.201336002541094]),
    ("cosh(n / 10)", [1.04533851412886, 1.00500416805580, NAN, 1.02006675561908]),
    ("tanh(n / 10)", [0.291312612451591, 0.0996679946249558, NAN, 0.197375320224904]),
    ("sign(n - 2)", [1, -1, NAN, 0]),
    ("floor(n / 2)", [1, 0, NAN, 1]),
    ("ceiling(n / 2)", [2, 1, NAN, 1]),
    ("sin(pi * n / 2)", [-1, 1, NAN, 0]),
    ("pmin(n, 2)", [2, 1, NAN, 2]),
    ("pmax(n, 2, na.rm = TRUE)", [3, 2, 2, 2]),
    ("cut(n, c(0, 1, 2), labels = FALSE)", [NAN, 1, NAN, 2]),
    ("offset(log(n))", [1.09861228866811, 0, NAN, 0.693147180559945]),
    ("5 / (n - 1)", [2.5, np.inf, NAN, 5]),
]


def value_of(text: str) -> Value:
    return train(parse_expression(text), COLUMNS, 4)[0]


def labels_of(value: Value) -> str:
    assert isinstance(value, Categorical)
    return " | ".join("NA" if code < 0 else value.levels[code] for code in value.codes)


def numeric(text: str, x: np.ndarray) -> Numeric:
    value = train(parse_expression(text), {"x": NumericColumn("x", x)}, x.shape[0])[0]
    assert isinstance(value, Numeric)
    return value


@pytest.mark.parametrize(("text", "labels", "levels"), FACTORS)
def test_factor_functions_equal_r(text: str, labels: str, levels: str) -> None:
    value = value_of(text)
    assert labels_of(value) == labels
    assert isinstance(value, Categorical)
    assert " | ".join(value.levels) == levels
    assert value.codes.dtype == np.int32
    assert value.ordered is (text.startswith("ordered") or "(o" in text)


@pytest.mark.parametrize(("text", "labels"), LOGICALS)
def test_comparisons_equal_r(text: str, labels: str) -> None:
    value = value_of(text)
    assert labels_of(value) == labels
    assert isinstance(value, Categorical)
    assert value.logical
    assert value.levels == ("FALSE", "TRUE")


@pytest.mark.parametrize(("text", "expected"), NUMBERS)
def test_numeric_functions_equal_r(text: str, expected: list[float]) -> None:
    value = value_of(text)
    assert isinstance(value, Numeric)
    # 15 printed digits; libm differs by a unit in the last place, sin(pi) by 1.2e-16
    np.testing.assert_allclose(value.values, expected, rtol=5e-15, atol=2e-16)


@pytest.mark.parametrize(
    ("operator", "left", "right", "expected"),
    # R: 5.5 %% 2; -5.5 %% 2; -7 %% 3; 7 %% -3; 5 %% Inf; -5 %% Inf; 5.5 %/% -2; -7 %/% 3; 5 %/% 0
    [
        ("%%", 5.5, 2, 1.5),
        ("%%", -5.5, 2, 0.5),
        ("%%", -7, 3, 2),
        ("%%", 7, -3, -2),
        ("%%", 5, np.inf, 5),
        ("%%", -5, np.inf, np.inf),
        ("%/%", 5.5, -2, -3),
        ("%/%", -7, 3, -3),
        ("%/%", 5, 0, np.inf),
    ],
)
def test_whole_division_equals_r(operator: str, left: float, right: float, expected: float) -> None:
    value = binary(operator, Numeric(np.array([left])), Numeric(np.array([right])), "x")
    assert value.values[0] == expected


def test_remainder_of_nothing_is_refused() -> None:
    # R: 5 %% 0 is NaN
    with pytest.raises(DataError, match="not a number in row 1"):
        binary("%%", Numeric(np.array([NAN, 5])), Numeric(np.array([0.0, 0])), "x %% z")


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        # R: round(c(0.15, 0.25, 0.35, 2.675, 1.005, 5.015, 1234.5, -0.15), 1) and so on
        (
            "round(x, 1)",
            [0.15, 0.25, 0.35, 2.675, 1.005, 5.015, 1234.5, -0.15],
            [0.1, 0.2, 0.3, 2.7, 1.0, 5.0, 1234.5, -0.1],
        ),
        (
            "round(x, digits = 2)",
            [0.15, 0.35, 2.675, 1.005, 5.015, 1234.565, -0.155],
            [0.15, 0.35, 2.67, 1.00, 5.02, 1234.57, -0.16],
        ),
        ("round(x)", [0.5, 1.5, 2.5, -0.5, NAN], [0, 2, 2, 0, NAN]),
        ("round(x, -2)", [1234.5, 1250, 1350, -1250], [1200, 1200, 1400, -1200]),
        ("round(x, 400)", [0.1, 1e-300], [0.1, 1e-300]),
        ("round(x, -400)", [0.1, 1e300], [0, 0]),
        ("round(x, 3)", [1.5e300, 0.0, np.inf], [1.5e300, 0.0, np.inf]),
    ],
)
def test_round_equals_r(text: str, x: list[float], expected: list[float]) -> None:
    # exact: both sides are the double nearest to a decimal
    np.testing.assert_array_equal(numeric(text, np.array(x)).values, expected)


X = np.array([1, 2, 3, 4, 5.5, 7])


@pytest.mark.parametrize(
    ("text", "levels"),
    # R: x <- c(1, 2, 3, 4, 5.5, 7); levels(<call>)
    [
        ("cut(x, 3)", ["(0.994,3]", "(3,5]", "(5,7.01]"]),
        (
            "cut(x * 1000 + 0.123, 4, dig.lab = 4)",
            ["(994.1,2500]", "(2500,4000]", "(4000,5500]", "(5500,7006]"],
        ),
        ("cut(x, c(1, 3.14159, 7), dig.lab = 2)", ["(1,3.1]", "(3.1,7]"]),
        ("cut(x, c(1, 2.5, 10), include.lowest = TRUE)", ["[1,2.5]", "(2.5,10]"]),
        ("cut(x, c(1, 2.5, 10), right = FALSE, include.lowest = TRUE)", ["[1,2.5)", "[2.5,10]"]),
        ("cut(x, c(-Inf, 1.5, Inf))", ["(-Inf,1.5]", "(1.5, Inf]"]),
        ("cut(x, c(1, 1.0000001, 7))", ["(1,1.0000001]", "(1.0000001,7]"]),
        ("cut(x / x * 5, 2)", ["(4.995,5]", "(5,5.005]"]),
        ("cut(x, c(-1e-17, 5, 1e7))", ["(-1e-17,5]", "(5,1e+07]"]),
    ],
)
def test_cut_labels_equal_r(text: str, levels: list[str]) -> None:
    value = train(parse_expression(text), {"x": NumericColumn("x", X)}, 6)[0]
    assert isinstance(value, Categorical)
    assert list(value.levels) == levels


def test_cut_closes_the_side_asked() -> None:
    # R: as.integer(cut(x, c(1, 3, 7))); with include.lowest; with right = FALSE
    for options, expected in (
        ("", [-1, 0, 0, 1, 1, 1]),
        (", include.lowest = TRUE", [0, 0, 0, 1, 1, 1]),
        (", right = FALSE", [0, 0, 1, 1, 1, -1]),
        (", right = FALSE, include.lowest = TRUE", [0, 0, 1, 1, 1, 1]),
    ):
        text = f"cut(x, c(1, 3, 7){options}, ordered_result = TRUE)"
        value = train(parse_expression(text), {"x": NumericColumn("x", X)}, 6)[0]
        assert isinstance(value, Categorical)
        assert value.ordered
        assert value.codes.tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    # R: as.vector(<call>)
    [
        (
            "scale(x)",
            (
                "-1.232923559071 -0.784587719409 -0.336251879747 0.112083959916 0.784587719409 "
                "1.457091478902"
            ),
        ),
        (
            "scale(x, center = FALSE)",
            (
                "0.213931274920 0.427862549841 0.641793824761 0.855725099681 1.176622012062 "
                "1.497518924442"
            ),
        ),
        ("scale(x, scale = FALSE)", "-2.75 -1.75 -0.75 0.25 1.75 3.25"),
        ("center(x)", "-2.75 -1.75 -0.75 0.25 1.75 3.25"),
        ("scale(x, center = 2, scale = 4)", "-0.25 0 0.25 0.5 0.875 1.25"),
        (
            "scale(x, center = 2)",
            "-0.340010200459 0 0.340010200459 0.680020400918 1.190035701607 1.700051002295",
        ),
    ],
)
def test_scale_equals_r(text: str, expected: str) -> None:
    # printed to 12 decimals
    result = numeric(text, X)
    assert result.suffixes == ()
    np.testing.assert_allclose(result.values, np.array(expected.split(), float), atol=1e-12)


def test_scale_ignores_missing_values() -> None:
    # R: scale(c(1, NA, 3, 8))
    result = numeric("scale(x)", np.array([1, NAN, 3, 8])).values
    expected = [-0.832050294338, NAN, -0.277350098113, 1.109400392450]
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "suffixes"),
    # R: colnames(model.matrix(~ <call>)) without the label
    [
        ("cbind(x, log(z))", ("x", "")),
        ("cbind(u = x, z)", ("u", "z")),
        ("cbind(log(x), log(z))", ("1", "2")),
        ("cbind(poly(x, 2), z)", ("1", "2", "z")),
        ("log(cbind(x, z))", ("x", "z")),
        ("scale(cbind(x, z))", ("x", "z")),
        ("I(poly(x, 2) * 2)", ("1", "2")),
        ("cbind(x)", ()),
    ],
)
def test_matrix_column_names_equal_r(text: str, suffixes: tuple[str, ...]) -> None:
    columns = {"x": NumericColumn("x", X), "z": NumericColumn("z", X**2)}
    value = train(parse_expression(text), columns, 6)[0]
    assert isinstance(value, Numeric)
    assert value.suffixes == suffixes
    assert value.values.shape == ((6, len(suffixes)) if suffixes else (6,))


def test_matrix_arithmetic_works_column_by_column() -> None:
    columns = {"x": NumericColumn("x", X), "z": NumericColumn("z", X**2)}
    value = train(parse_expression("cbind(x, z) / x + 1"), columns, 6)[0]
    assert isinstance(value, Numeric)
    np.testing.assert_allclose(value.values, np.column_stack([X / X + 1, X + 1]), rtol=1e-15)


@pytest.mark.parametrize(
    ("numbers", "labels"),
    [
        # R: levels(factor(c(1e5, 1e-5, 1234567.1, 1/3))); levels(factor(c(0.1 + 0.2, 0.3)))
        ([1e5, 1e-5, 1234567.1, 1 / 3], ("1e-05", "0.333333333333333", "1e+05", "1234567.1")),
        ([0.1 + 0.2, 0.3], ("0.3",)),
        ([-1.5, 10.0, 9.0], ("-1.5", "9", "10")),
    ],
)
def test_numbers_become_levels_as_in_r(numbers: list[float], labels: tuple[str, ...]) -> None:
    x = np.array(numbers)
    value = train(parse_expression("factor(x)"), {"x": NumericColumn("x", x)}, x.size)[0]
    assert isinstance(value, Categorical)
    assert value.levels == labels


def test_integers_become_levels_in_full() -> None:
    # R: levels(factor(c(100000L, 5L))) is "5" "100000"
    columns = read_columns({"k": np.array([100000, 5])}, ["k"])
    for text in ("factor(k)", "factor(k, levels = c(5, 100000))", "factor(k + k - k)"):
        value = train(parse_expression(text), columns, 2)[0]
        assert isinstance(value, Categorical)
        assert value.levels == ("5", "100000")
        assert value.codes.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log(f)", r"'log\(f\)' needs numbers, but 'f' is a factor with the levels lo, mid, hi"),
        ("n + s", "'n \\+ s' needs numbers, but 's' is text with the levels a, b"),
        ("poly(relevel(f, ref = 2), 2)", r"\(of column f\) is a factor"),
        ("scale(s)", "needs numbers"),
        ("cbind(n, f)", "needs numbers"),
        ("log(n - 2)", r"row 1 \(counting from 0\): there it is computed from -1.0"),
        ("sqrt(-n)", r"rows 0, 1, 3 \(counting from 0\)"),
        ("(n - 1) / (n - 1)", r"row 1 \(counting from 0\): .* 0.0 and 0.0"),
        ("(1 - n)^0.5", "is not a number in rows 0, 3"),
        ("acos(n)", "is not a number in rows 0, 3"),
        ('f < "hi"', "unordered factor"),
        ('o < "high"', "'high', which is no level .* lo, mid, hi"),
        ("f & b", "needs TRUE or FALSE"),
        ("as.numeric(s)", "'a' does not"),
        ('relevel(f, ref = "x")', "'x' is not a level; the levels are lo, mid, hi"),
        ("relevel(f, ref = 4)", "only 3 levels"),
        ("relevel(o, ref = 1)", "ordered factor has no reference"),
        ("relevel(n, ref = 1)", "needs a factor"),
        ('factor(n, labels = c("x", "y"))', "2 labels for 3 levels"),
        ("cut(n, 1)", "at least 2"),
        ("cut(n, 1e9)", "at most"),
        ("scale(n / Inf + 0.1)", "constant"),
        ("scale(1 / (n - 1))", r"infinite value in row 1"),
        ("poly(1 / (n - 1), 1)", r"infinite value in row 1"),
        ("ns(1 / (n - 1), df = 2)", r"infinite value in row 1"),
        ("cut(n, c(1, 1, 2))", "same break twice"),
        ('cut(n, c(0, 1, 2), labels = c("a"))', "1 labels for 2 intervals"),
        ("scale(n - n)", "constant"),
        ("nope * 2", "no column 'nope'"),
    ],
)
def test_what_the_data_do_not_allow_is_a_data_error(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        value_of(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scale(n, center = n)", "'center' of 'scale\\(n, center = n\\)' must be a constant"),
        ("c(1, 2)", "stands where a column is expected"),
        ("I(n:b)", "belongs between terms"),
        ("log(n, base = c(2, 3))", "must be one number"),
        ('scale(n, scale = "a")', "must be numbers"),
        ("factor(n, levels = c(1, 1))", "contain one twice"),
        ("factor(cbind(n, n))", "needs one column"),
        ("poly(cbind(n, n), 2)", "needs one column"),
        ("cbind(n, n) > 1", "compares a matrix"),
        ('interaction(s, n, drop = "x")', "must be TRUE or FALSE"),
        ("scale(cbind(n, n), center = c(1, 2, 3))", "3 numbers as 'center' for 2 columns"),
        ("f %in% s", "must be c"),
        ("poly(n, 1e9)", "at most 1000"),
        ("poly(n, Inf)", "whole number"),
        ("poly(n, 5000, raw = TRUE)", "at most 1000"),
        ("bs(n, df = 1e9)", "from 1 to 1000"),
        ("cut(n, 1:1e12)", "at most 100000 numbers"),
        ("cut(n, seq(0, 1, by = 0))", "cannot get from its start"),
        ("cut(n, seq(0, 1, by = 1e-9))", "at most 100000 numbers"),
        ("cut(n, c(0, NA, 3))", "must not be missing"),
        ("cut(n, sqrt(-1))", "not a number"),
        ("round(n, Inf)", "whole number"),
        ("log(n, base = TRUE == 1)", "must be a constant"),
    ],
)
def test_what_makes_no_sense_is_a_formula_error(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        value_of(text)


def test_interactions_too_large_to_hold_say_what_to_write() -> None:
    n = 4000
    columns = {name: NumericColumn(name, np.arange(n, dtype=float)) for name in ("a", "b")}
    with pytest.raises(DataError, match="16000000 combinations; write drop = TRUE"):
        train(parse_expression("interaction(a, b)"), columns, n)
    value = train(parse_expression("interaction(a, b, drop = TRUE)"), columns, n)[0]
    assert isinstance(value, Categorical)
    assert len(value.levels) == n
    assert set(value.codes.tolist()) == set(range(n))


def test_text_that_says_na_is_missing() -> None:
    # R: as.numeric(c("1.5", "NA", " 2e3 ")) is 1.5 NA 2000
    codes = np.array([0, 1, 2], dtype=np.int32)
    column = FactorColumn("q", codes, ("1.5", "NA", " 2e3 ", "unused"), False, "string")
    value = train(parse_expression("as.numeric(q)"), {"q": column}, 3)[0]
    assert isinstance(value, Numeric)
    np.testing.assert_array_equal(value.values, [1.5, NAN, 2000])


def test_whole_literals_are_integers() -> None:
    # R: levels(factor(c(99999L) + 1L)) is "100000"; levels(factor(c(99999L) + 1)) is "1e+05"
    column = NumericColumn("k", np.array([99999.0]), "integer")
    for text, label in (("factor(k + 1L)", "100000"), ("factor(k + 1)", "1e+05")):
        value = train(parse_expression(text), {"k": column}, 1)[0]
        assert isinstance(value, Categorical)
        assert value.levels == (label,)


def test_every_function_of_the_formula_room_is_here() -> None:
    assert set(TRANSFORMS) == set(FUNCTIONS)


def test_labels_of_unseen_levels_do_not_exist() -> None:
    expression = parse_expression('factor(n, labels = c("x", "y", "z"))')
    _, state = train(expression, COLUMNS, 4)
    new = {"n": NumericColumn("n", np.array([2.0, 9.0]))}
    with pytest.raises(PredictionError, match="no label for '9'"):
        apply(expression, new, 2, state)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-1000, 1000), min_size=3, max_size=20, unique=True),
    st.sampled_from([0.5, 3.0, 1024.0]),
    st.sampled_from([0.0, 7.0, 1e5]),
)
def test_scale_undoes_shift_and_scale(values: list[int], factor: float, shift: float) -> None:
    x = np.array(values, dtype=float)
    plain = numeric("scale(x)", x).values
    np.testing.assert_allclose(numeric("scale(x)", factor * x + shift).values, plain, atol=1e-9)
    np.testing.assert_allclose(numeric("scale(x)", -x).values, -plain, atol=1e-12)
    assert plain.mean() == pytest.approx(0, abs=1e-12)
    assert plain.std(ddof=1) == pytest.approx(1, rel=1e-12)
