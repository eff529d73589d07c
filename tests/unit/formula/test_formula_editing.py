"""update_formula against R 4.2's update.formula."""

from __future__ import annotations

import pytest

from mixeff.errors import FormulaError
from mixeff.formula import parse_expression, parse_formula
from mixeff.formula.editing import update_formula

LANG = "lang ~ IQ + GS + (1 | class)"
SQUARE = "y ~ (a + b)^2 + poly(c, 2) + (a | g) + (1 | h)"
NESTED = "y ~ 0 + a * b + (1 | g/h)"

# R: deparse(update.formula(old, new), 500)
AS_R = [
    (LANG, ". ~ . - IQ", "lang ~ GS + (1 | class)"),
    (LANG, ". ~ . + (1 | g)", "lang ~ IQ + GS + (1 | class) + (1 | g)"),
    (LANG, "log(.) ~ .", "log(lang) ~ IQ + GS + (1 | class)"),
    (LANG, ". ~ IQ", "lang ~ IQ"),
    (LANG, "~. + x", "lang ~ IQ + GS + (1 | class) + x"),
    (LANG, ". ~ . - (1 | class)", "lang ~ IQ + GS"),
    (LANG, ". ~ . - 1", "lang ~ IQ + GS + (1 | class) - 1"),
    (LANG, ". ~ 0 + .", "lang ~ IQ + GS + (1 | class) - 1"),
    (LANG, "y ~ .", "y ~ IQ + GS + (1 | class)"),
    (LANG, ". ~ . + IQ", "lang ~ IQ + GS + (1 | class)"),
    (LANG, ". ~ . + I(IQ^2)", "lang ~ IQ + GS + (1 | class) + I(IQ^2)"),
    (LANG, ". ~ . + offset(z)", "lang ~ IQ + GS + (1 | class) + offset(z)"),
    (LANG, ". ~ . - GS + (0 + GS | class)", "lang ~ IQ + (1 | class) + (0 + GS | class)"),
    (LANG, ". ~ . + (IQ || class)", "lang ~ IQ + GS + (1 | class) + (IQ || class)"),
    (LANG, ". ~ . - IQ - GS", "lang ~ (1 | class)"),
    (NESTED, ". ~ . - a:b", "y ~ a + b + (1 | g/h) - 1"),
    (NESTED, ". ~ . + 1", "y ~ a + b + (1 | g/h) + a:b"),
    (NESTED, ". ~ . + c", "y ~ a + b + (1 | g/h) + c + a:b - 1"),
    (NESTED, ". ~ . - (1 | g/h)", "y ~ a + b + a:b - 1"),
    (SQUARE, ". ~ . - a:b", "y ~ a + b + poly(c, 2) + (a | g) + (1 | h)"),
    (SQUARE, "log(.) ~ . - (1 | h)", "log(y) ~ a + b + poly(c, 2) + (a | g) + a:b"),
    (SQUARE, ". ~ . - poly(c, 2)", "y ~ a + b + (a | g) + (1 | h) + a:b"),
    (SQUARE, ". ~ .", "y ~ a + b + poly(c, 2) + (a | g) + (1 | h) + a:b"),
    ("y ~ 1 + (1 | g)", ". ~ . + x", "y ~ (1 | g) + x"),
    ("y ~ 1 + (1 | g)", ". ~ . - (1 | g)", "y ~ 1"),
    ("y ~ x + ((1 | g) + (0 + x | g))", ". ~ . - (1 | g)", "y ~ x + (0 + x | g)"),
    ("y ~ x - 1 + (1 | g)", ". ~ . + 1", "y ~ x + (1 | g)"),
    (
        "cbind(a, n - a) ~ x + offset(w) + (1 | g)",
        ". ~ . + offset(v)",
        "cbind(a, n - a) ~ x + (1 | g) + offset(w) + offset(v)",
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), AS_R)
def test_as_r(old: str, new: str, expected: str) -> None:
    assert update_formula(parse_formula(old), new) == expected
    parse_expression(expected)


# Where R's answer is useless (it multiplies the bar, or cannot remove an offset), ours is meant.
OURS = [
    (LANG, ". ~ . * COMB", "lang ~ IQ + GS + (1 | class) + COMB + IQ:COMB + GS:COMB"),
    (LANG, ". ~ (.)^2", "lang ~ IQ + GS + (1 | class) + IQ:GS"),
    ("y ~ x + offset(w) + (1 | g)", ". ~ . - offset(w)", "y ~ x + (1 | g)"),
    ("y ~ a + (1 | a/b)", ". ~ . - (1 | a)", "y ~ a + (1 | b:a)"),
    ("y ~ a + (a + x || g)", ". ~ . - (0 + x | g)", "y ~ a + (1 | g) + (0 + a || g)"),
]


@pytest.mark.parametrize(("old", "new", "expected"), OURS)
def test_better_than_r(old: str, new: str, expected: str) -> None:
    assert update_formula(parse_formula(old), new) == expected


def test_a_dot_of_the_old_formula_stands_for_its_columns() -> None:
    old = parse_formula("y ~ . + (1 | g)", columns=["y", "a", "b", "g"])
    assert update_formula(old, ". ~ . - g") == "y ~ a + b + (1 | g)"


def test_mistakes() -> None:
    old = parse_formula(LANG)
    with pytest.raises(FormulaError, match=r"no random term \(IQ \| class\) to remove"):
        update_formula(old, ". ~ . - (IQ | class)")
    with pytest.raises(FormulaError, match="has a `~`"):
        update_formula(old, ". + x")
    with pytest.raises(FormulaError, match="stands alone"):
        update_formula(old, ". ~ .:(1 | g)")
    with pytest.raises(FormulaError, match="no response"):
        update_formula(parse_formula("~ (1 | g)", one_sided=True), ". ~ . + x")


def test_a_grouping_column_in_backquotes_keeps_them():
    # R: update() of y ~ x + (1 | `2nd`) + (0 + x | `2nd`) without its last term.
    old = parse_formula("y ~ x + (x || `2nd`)")
    assert update_formula(old, ". ~ . - (0 + x | `2nd`)") == "y ~ x + (1 | `2nd`)"
