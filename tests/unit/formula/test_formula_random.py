"""Random terms: bars, double bars, nested grouping factors, what is printed."""

from __future__ import annotations

import pytest

from mixeff.errors import FormulaError
from mixeff.formula import deparse, parse_formula

# R: sapply(lme4::findbars(f), deparse), except (a:b)/c and a:b/c, which lme4 1.1-31 garbles, and
# `*` and `+` right of the bar, which it expands from 1.1-36 on.
BARS = [
    ("(1 | a/b/c)", ["1 | c:(b:a)", "1 | b:a", "1 | a"]),
    ("(1 | a/(b:c))", ["1 | (b:c):a", "1 | a"]),
    ("(1 | a/b:c)", ["1 | b:c:a", "1 | a"]),
    ("(1 | (a:b))", ["1 | (a:b)"]),
    ("(x || g)", ["1 | g", "0 + x | g"]),
    ("(0 + x || g)", ["0 + x | g"]),
    ("(x - 1 || g)", ["0 + x | g"]),
    ("(a + b - 1 || g)", ["0 + a | g", "0 + b | g"]),
    ("(a * b || g)", ["1 | g", "0 + a | g", "0 + b | g", "0 + a:b | g"]),
    ("(1 + x || a/b)", ["1 | b:a", "1 | a", "0 + x | b:a", "0 + x | a"]),
    ("((1 | a) + (1 | b))", ["1 | a", "1 | b"]),
    ("(x + (1 | g))", ["1 | g"]),
    ("(1 | a/b) + (1 | c)", ["1 | b:a", "1 | a", "1 | c"]),
    ("(1 | (a:b)/c)", ["1 | c:(a:b)", "1 | (a:b)"]),
    ("(1 | a:b/c)", ["1 | c:(a:b)", "1 | a:b"]),
    ("(1 | a * b)", ["1 | a", "1 | b", "1 | a:b"]),
    ("(1 | a + b)", ["1 | a", "1 | b"]),
    ("(x | (a + b)/c)", ["x | c:(a:b)", "x | a", "x | b"]),
    ("(1 | b %in% a)", ["1 | b:a"]),
    ("(1 || g)", ["1 | g"]),
    ("+(1 | g)", ["1 | g"]),
    ("(1 | interaction(a, b))", ["1 | interaction(a, b)"]),
    ("(1 | factor(g))", ["1 | factor(g)"]),
    ("(x | g) + (0 + z | g)", ["x | g", "0 + z | g"]),
]


@pytest.mark.parametrize(("text", "bars"), BARS)
@pytest.mark.parametrize("double_bar", ["independent", "lme4"])
def test_bars_as_lme4(text: str, bars: list[str], double_bar: str) -> None:
    formula = parse_formula(f"y ~ {text}", double_bar=double_bar)
    assert [part.label for part in formula.random] == [f"({bar})" for bar in bars]


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        (
            "reg/popu/gen",
            [("gen:(popu:reg)", "gen popu reg"), ("popu:reg", "popu reg"), ("reg", "reg")],
        ),
        ("a:b", [("a:b", "a b")]),
        ("(a:b):c", [("(a:b):c", "a b c")]),
        ("interaction(a, b)", [("interaction(a, b)", "interaction(a, b)")]),
        ("a:a", [("a:a", "a")]),
    ],
)  # fmt: skip
def test_groups_and_their_factors(text: str, groups: list[tuple[str, str]]) -> None:
    random = parse_formula(f"y ~ (1 | {text})").random
    found = [(p.group_label, " ".join(deparse(e) for e in p.group)) for p in random]
    assert found == groups


def test_effects_are_expanded() -> None:
    (part,) = parse_formula("y ~ x + (0 + a * b | g)").random
    assert not part.effects.intercept
    assert [term.label for term in part.effects.terms] == ["a", "b", "a:b"]


def test_double_bar_marks_pieces_independent_only_when_asked() -> None:
    independent = parse_formula("y ~ late + (late || Subject)").random
    assert [p.independent for p in independent] == [True, True]
    textual = parse_formula("y ~ late + (late || Subject)", double_bar="lme4").random
    assert [p.independent for p in textual] == [False, False]
    assert [p.independent for p in parse_formula("y ~ (x | g)").random] == [False]


# R: deparse(formula(lmer(...))), and deparse(nobars(f)) for the second.
@pytest.mark.parametrize(
    ("text", "display", "fixed"),
    [
        ("y~Days+(Days||g)", "y ~ Days + ((1 | g) + (0 + Days | g))", "y ~ Days"),
        ("y~(a*b||g)", "y ~ ((1 | g) + (0 + a | g) + (0 + b | g) + (0 + a:b | g))", "y ~ 1"),
        ("y~z+(1+x||a/b)", "y ~ z + ((1 | a/b) + (0 + x | a/b))", "y ~ z"),
        ("y~(x+(1|g))", "y ~ (x + (1 | g))", "y ~ (x)"),
        ("y~(1|g)+x", "y ~ (1 | g) + x", "y ~ x"),
        ("y~0+(1|g)", "y ~ 0 + (1 | g)", "y ~ 0"),
        ("y~1+x+(1|g)-z", "y ~ 1 + x + (1 | g) - z", "y ~ 1 + x - z"),
    ],
)
def test_display(text: str, display: str, fixed: str) -> None:
    formula = parse_formula(text)
    assert formula.display == display
    assert formula.fixed_display == fixed


def test_a_minus_after_a_random_term_still_subtracts() -> None:
    # lme4 1.1-31's nobars() turns this into y ~ 1: the minus is lost.
    formula = parse_formula("y ~ (1 | g) - 1")
    assert not formula.fixed.intercept


def test_no_random_term_is_not_an_error_here() -> None:
    assert parse_formula("y ~ x").random == ()


def test_one_sided_formulas_when_asked() -> None:
    for text in ("~ (1 | g)", "(1 | g)", "~(x | g) + (1|h)"):
        formula = parse_formula(text, one_sided=True)
        assert formula.response is None
        assert formula.random[0].group_label == "g"
    with pytest.raises(FormulaError, match="on the left of `~`"):
        parse_formula("~ (1 | g)")


def test_the_same_random_term_twice_is_refused() -> None:
    with pytest.raises(FormulaError, match="occurs twice"):
        parse_formula("y ~ (1 | a/b) + (1 | a)")
    with pytest.raises(FormulaError, match="occurs twice"):
        parse_formula("y ~ (1 + x | g) + (x | g)")


def test_a_lone_grouping_column_is_named_without_backquotes():
    # R: names(ranef(lmer(Reaction ~ Days + (1 | `2nd`), s))) is "2nd"; with (1 | `2nd`:a) it is
    # "`2nd`:a"; formula(m) keeps the backquotes.
    formula = parse_formula("y ~ x + (x || `2nd`) + (1 | `2nd`:a)", double_bar="lme4")
    assert [p.group_label for p in formula.random] == ["2nd", "2nd", "`2nd`:a"]
    assert formula.random[0].label == "(1 | `2nd`)"
