"""Coefficient tables, abbreviations and wrapping against what R 4.2.2 prints."""

# ruff: noqa: RUF001 - the tables are R's output, one case a line

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from mixeff.report.abbreviation import abbreviate
from mixeff.report.coefmat import coefficient_lines
from mixeff.report.correlation import correlation_lines, correlation_of
from mixeff.report.layout import column_blocks, display_width, named_vector, text_matrix
from mixeff.report.pieces import filled

# abbreviate(x, n, named = FALSE)
ABBREVIATED = [
    (["(Intercept)", "IQ", "GS"], 4, ["(In)", "IQ", "GS"]),
    (["(Intercept)", "IQ", "GS"], 6, ["(Intr)", "IQ", "GS"]),
    (["(Intercept)", "IQ", "GS"], 11, ["(Intercept)", "IQ", "GS"]),
    (
        ["meanses", "cses", "sectorCatholic", "meanses:cses", "cses:sectorCatholic"],
        4,
        ["mnss", "cses", "sctC", "mns:", "cs:C"],
    ),
    (
        ["meanses", "cses", "sectorCatholic", "meanses:cses", "cses:sectorCatholic"],
        6,
        ["meanss", "cses", "sctrCt", "mnss:c", "css:sC"],
    ),
    (
        ["meanses", "cses", "sectorCatholic", "meanses:cses", "cses:sectorCatholic"],
        11,
        ["meanses", "cses", "sectorCthlc", "meanses:css", "css:sctrCth"],
    ),
    (
        ["statusPetri.Plate", "statusTransplant", "nutrient:amdunclipped"],
        4,
        ["sP.P", "sttT", "ntr:"],
    ),
    (
        ["statusPetri.Plate", "statusTransplant", "nutrient:amdunclipped"],
        6,
        ["sttP.P", "sttsTr", "ntrnt:"],
    ),
    (
        ["statusPetri.Plate", "statusTransplant", "nutrient:amdunclipped"],
        11,
        ["sttsPtr.Plt", "sttsTrnspln", "ntrnt:mdncl"],
    ),
    (["poly(IQ, 2)1", "poly(IQ, 2)2"], 4, ["p(IQ,2)1", "p(IQ,2)2"]),
    (["poly(IQ, 2)1", "poly(IQ, 2)2"], 6, ["p(IQ,2)1", "p(IQ,2)2"]),
    (["poly(IQ, 2)1", "poly(IQ, 2)2"], 11, ["poly(IQ,2)1", "poly(IQ,2)2"]),
    (["ns(age, df = 3)1", "ns(age, df = 3)2"], 4, ["n(,d=3)1", "n(,d=3)2"]),
    (["ns(age, df = 3)1", "ns(age, df = 3)2"], 6, ["n(,d=3)1", "n(,d=3)2"]),
    (["ns(age, df = 3)1", "ns(age, df = 3)2"], 11, ["ns(g,df=3)1", "ns(g,df=3)2"]),
    (["I(g - 1)", "sin(2 * pi * Time)"], 4, ["I(-1", "s*p*T"]),
    (["I(g - 1)", "sin(2 * pi * Time)"], 6, ["I(g-1)", "s(*p*T"]),
    (["I(g - 1)", "sin(2 * pi * Time)"], 11, ["I(g - 1)", "sin(2*p*Tm)"]),
    (["recipeA po", "zz topaeiou", "a b c d e aeiou"], 4, ["rcAp", "zztp", "abcdea"]),
    (["recipeA po", "zz topaeiou", "a b c d e aeiou"], 6, ["recpAp", "zztopa", "abcdea"]),
    (
        ["recipeA po", "zz topaeiou", "a b c d e aeiou"],
        11,
        ["recipeA po", "zz topaeiou", "abcdeaeiou"],
    ),
    (
        ["N0.2cwt:VMarvellous", "N0.4cwt:VMarvellous", "N0.2cwt:VVictory"],
        4,
        ["N0.2:VM", "N0.4", "N0.2:VV"],
    ),
    (
        ["N0.2cwt:VMarvellous", "N0.4cwt:VMarvellous", "N0.2cwt:VVictory"],
        6,
        ["N0.2:VM", "N0.4:V", "N0.2:VV"],
    ),
    (
        ["N0.2cwt:VMarvellous", "N0.4cwt:VMarvellous", "N0.2cwt:VVictory"],
        11,
        ["N0.2cwt:VMr", "N0.4cwt:VMr", "N0.2cwt:VVc"],
    ),
    (["ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOQ"], 4, ["ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOQ"]),
    (["ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOQ"], 6, ["ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOQ"]),
    (["ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOQ"], 11, ["ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOQ"]),
    (["x", "x", "xyzzyxyz"], 4, ["x", "x", "xyzz"]),
    (["x", "x", "xyzzyxyz"], 6, ["x", "x", "xyzzyx"]),
    (["x", "x", "xyzzyxyz"], 11, ["x", "x", "xyzzyxyz"]),
    (["aeiouaeiouaeiou"], 4, ["aeio"]),
    (["aeiouaeiouaeiou"], 6, ["aeioua"]),
    (["aeiouaeiouaeiou"], 11, ["aeiouaeioua"]),
    (["  leading words here"], 4, ["ldwh"]),
    (["  leading words here"], 6, ["ldngwh"]),
    (["  leading words here"], 11, ["ledngwrdshr"]),
]


# printCoefmat(x, digits = d, cs.ind = 1:2, tst.ind = <the test>); the one with sums of squares as
# print.anova calls it: cs.ind = NULL, zap.ind = c(1, 3), tst.ind = 4, na.print = ""
COEFFICIENTS = [
    (
        ["Estimate", "Std. Error", "df", "t value", "Pr(>|t|)"],
        [
            [251.405104848484, 6.82455653228642, 17.0000001, 36.8383064392692, 1.17e-17],
            [10.4672859595957, 1.54578889629006, 16.9999999961388, 6.77148476400462, 3.264e-06],
        ],
        4,
        [
            "   Estimate Std. Error df t value Pr(>|t|)    ",
            "r1  251.405      6.825 17  36.838  < 2e-16 ***",
            "r2   10.467      1.546 17   6.771 3.26e-06 ***",
            "---",
            "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1",
        ],
    ),
    (
        ["Estimate", "Std. Error", "t value"],
        [[0, 1, 0], [1e-08, 2e-09, 5], [123.4, 0.5, 246.8]],
        4,
        [
            "    Estimate Std. Error t value",
            "r1 0.000e+00  1.000e+00     0.0",
            "r2 1.000e-08  2.000e-09     5.0",
            "r3 1.234e+02  5.000e-01   246.8",
        ],
    ),
    (
        ["Estimate", "Std. Error", "z value", "Pr(>|z|)"],
        [[nan, nan, nan, nan], [-0.004, 0.1, -0.04, 0.968]],
        4,
        [
            "   Estimate Std. Error z value Pr(>|z|)",
            "r1       NA         NA      NA       NA",
            "r2   -0.004      0.100   -0.04    0.968",
        ],
    ),
    (
        ["Sum Sq", "Df", "Mean Sq", "F value", "Pr(>F)"],
        [
            [20010.5, 3, 6670.17, 123066.6, 1e-30],
            [1e-12, 1, 1e-12, 2e-11, 0.99],
            [3.25, 60, 0.0542, nan, nan],
        ],
        5,
        [
            "    Sum Sq Df Mean Sq F value Pr(>F)    ",
            "r1 20010.5  3  6670.2  123067 <2e-16 ***",
            "r2     0.0  1     0.0       0   0.99    ",
            "r3     3.2 60     0.1                   ",
            "---",
            "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1",
        ],
    ),
    (
        ["Estimate", "Std. Error", "t value"],
        [[1234567.8, 12, 102880.6], [0.00012, 1e-05, 12]],
        4,
        [
            "    Estimate Std. Error t value",
            "r1 1.235e+06  1.200e+01  102881",
            "r2 1.200e-04  1.000e-05      12",
        ],
    ),
    (
        ["Estimate", "Std. Error", "t value", "Pr(>|t|)"],
        [[1.5, 1.25, 1.2, 0.099], [2.5, 1.5, 1.667, 0.04]],
        4,
        [
            "   Estimate Std. Error t value Pr(>|t|)  ",
            "r1     1.50       1.25   1.200    0.099 .",
            "r2     2.50       1.50   1.667    0.040 *",
            "---",
            "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1",
        ],
    ),
]


@pytest.mark.parametrize(("names", "length", "expected"), ABBREVIATED)
def test_abbreviate(names: list[str], length: int, expected: list[str]) -> None:
    assert abbreviate(names, length) == expected


@pytest.mark.parametrize(("columns", "values", "digits", "expected"), COEFFICIENTS)
def test_coefficient_tables(
    columns: list[str], values: list[list[float]], digits: int, expected: list[str]
) -> None:
    rows = [f"r{i + 1}" for i in range(len(values))]
    test = next(j for j, c in enumerate(columns) if c.endswith("value"))
    sums = columns[0] == "Sum Sq"
    got = coefficient_lines(
        rows,
        columns,
        np.array(values),
        digits=digits,
        estimates=() if sums else (0, 1),
        tests=(test,),
        zap=(0, 2) if sums else (),
        p_value=columns[-1].startswith("Pr("),
        missing="" if sums else "NA",
    )
    assert got == expected


def test_matrix_wraps_at_the_width_of_a_line() -> None:
    # x <- matrix(c("1", "22", "333", "4"), 2, dimnames = list(c("a", "bb"), c("first", "second")))
    # options(width = 10); print(x, quote = FALSE, right = TRUE); print(x, quote = FALSE)
    cells = [["1", "333"], ["22", "4"]]
    assert text_matrix(["a", "bb"], ["first", "second"], cells, width=10) == [
        "   first", "a      1", "bb    22", "   second", "a     333", "bb      4",
    ]  # fmt: skip
    assert text_matrix(["a", "bb"], ["first", "second"], cells, right=False, width=10) == [
        "   first", "a  1    ", "bb 22   ", "   second", "a  333   ", "bb 4     ",
    ]  # fmt: skip


def test_named_vector_wraps() -> None:
    # options(width = 10); print(c(a = 1, bbb = 22.5, cc = 3))
    assert named_vector(["a", "bbb", "cc"], ["1.0", "22.5", "3.0"], width=10) == [
        "   a  bbb ", " 1.0 22.5 ", "  cc ", " 3.0 ",
    ]  # fmt: skip


def test_wide_characters_take_two_columns() -> None:
    assert display_width("\u65e5\u672c") == 4
    assert display_width("e\u0301") == 1
    assert text_matrix(["\u65e5", "a"], ["x"], [["1"], ["2"]]) == ["   x", "\u65e5 1", "a  2"]


def test_fill_breaks_before_an_item_that_does_not_fit() -> None:
    # for (k in c(68, 69, 71)) cat("Formula:", strrep("x", k), "y", fill = TRUE)
    assert filled(["Formula:", "x" * 68, "y"]) == ["Formula: " + "x" * 68 + " y"]
    assert filled(["Formula:", "x" * 69, "y"]) == ["Formula: " + "x" * 69 + " ", "y"]
    assert filled(["Formula:", "x" * 71, "y"]) == ["Formula: ", "x" * 71 + " y"]


def test_correlations_of_two_coefficients() -> None:
    # lmer(Reaction ~ Days + (Days | Subject), sleepstudy): vcov and the printed block
    covariance = np.array(
        [[46.5745718623732, -1.45109570560469], [-1.45109570560469, 2.38946331189365]]
    )
    lines = correlation_lines(["(Intercept)", "Days"], correlation_of(covariance))
    assert lines == ["     (Intr)", "Days -0.138"]


def test_correlation_with_a_variance_of_zero_is_missing() -> None:
    assert np.isnan(correlation_of(np.diag([0.0, 1.0]))[0]).all()


def test_a_block_of_columns_leaves_the_last_place_of_the_line_empty() -> None:
    """R: print(matrix(strrep("x", 9), 2, 7, dimnames = list(c(strrep("a", L), "b"), NULL)))

    has one block for L = 9 (79 wide) and two for L = 10 (80 wide).
    """
    assert column_blocks([9] * 7, 9, 80) == [range(7)]
    assert column_blocks([9] * 7, 10, 80) == [range(6), range(6, 7)]
