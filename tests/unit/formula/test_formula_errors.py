"""Formulas that cannot be read: the sentence, the place, and that nothing else ever escapes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixeff.errors import FormulaError, OptionError
from mixeff.formula import parse_expression, parse_formula

# Formula, a piece of the sentence, the characters the carets must underline.
MISTAKES = [
    ("y", "has no `~`", ""),
    ("y ~", "Nothing stands on the right", "~"),
    ("~ x", "Nothing stands on the left", "~"),
    ("y ~ x ~ z", "has one `~`", "~"),
    ("(y ~ x)", "outside all parentheses", "~"),
    ("y = x + (1|g)", "Write `~`", "="),
    ("y ~ x = 1", "Write `~`", "="),
    ("y ~ x +", "Nothing follows `+`", "+"),
    ("y ~ x + (1 | g", "never closed", "("),
    ("y ~ log(x", "never closed", "("),
    ("y ~ a + (1|g))", "closes none", ")"),
    ("y ~ x + 1 | g", "write `y ~ x + (1 | g)`", "|"),
    ("y ~ x + x | g", "write `y ~ x + (x | g)`", "|"),
    ("y ~ x | g", "write `y ~ x + (x | g)`", "|"),
    ("y ~ 1 | g", "write `y ~ (1 | g)`", "|"),
    ("y ~ x + 1|a + 1|b", "write `y ~ x + (1 | a) + (1 | b)`", "|"),
    ("y ~ x + (1|a) + 1|b", "write `y ~ x + (1 | a) + (1 | b)`", "|"),
    ("y ~ x + 1 || g", "write `y ~ x + (1 || g)`", "||"),
    ("y ~ (1|g|h)", "second bar", "|"),
    ("y ~ (|g)", "Nothing stands before this bar", "|"),
    ("y ~ (1|)", "grouping factor is missing", "|"),
    ("y ~ a:(1|g)", "stands alone in the sum", ":"),
    ("y ~ x - (1|g)", "cannot be subtracted", "("),
    ("y ~ I((1|g))", "cannot stand inside `I()`", "|"),
    ("y ~ (0|g)", "No effect is left", "|"),
    ("y ~ (1|1)", "1 is no grouping factor", "1"),
    ("y ~ (1|g-h)", "`g - h` is no grouping factor", "-"),
    ("y ~ (1|scale(g))", "makes no grouping factor", "s"),
    ("y ~ (.|g)", "name its columns", "."),
    ("y ~ (offset(x)|g)", "outside the bars", "o"),
    ("y ~ (1|" + "*".join("abcdefgh") + ")", "more than 64 grouping factors", "*"),
    ("y ~ d$x", "Name the column alone", "$"),
    ("y ~ x[1]", "indexed", "["),
    ("y ~ x \x00 z", "Stray character `U+0000`", " "),
    ("y ~ x \N{MINUS SIGN} 1", "typographic minus", "\N{MINUS SIGN}"),
    ("y ~ x # c", "Comments", "#"),
    ("y ~ x %% 2", "`%%` is no operator", "%%"),
    ("y ~ splines::ns(x)", "Packages are not named", "::"),
    ("y ~ x <- 3", "assigns", "<-"),
    ("y ~ I(x <-1)", "leave a blank", "<-"),
    ("y ~ I(a<b<c)", "cannot be chained", "<"),
    ("y ~ C(x)", "factor(x)", "C"),
    ('y ~ Q("x")', "backquotes", "Q"),
    ("y ~ np.log(x)", "`log(...)`", "np.log"),
    ("y ~ a and b", "the operator is `&`", "and"),
    ("y ~ not a", "the operator is `!`", "not"),
    ("y ~ lgo(x)", "Did you mean `log`", "lgo"),
    ("y ~ zzz(x)", "Known are abs", "zzz"),
    ("y ~ s(x)", "Smooth terms", "s"),
    ("y ~ cs(1 + x | g)", "covariance structure", "cs"),
    ("y ~ a b", "operator is missing before `b`", "b"),
    ("y ~ log x", "stands in parentheses", "x"),
    ("y ~ x (1|g)", "no function", "x"),
    ("y ~ I(x) (1|g)", "operator is missing between", "("),
    ("y ~ 2x", "neither a number nor a name", "2x"),
    ("y ~ 2 + x", "only 0 and 1", "2"),
    ("y ~ 'x' + z", "without quotes", "'"),
    ("y ~ 'abc", "never closed", "'"),
    ("y ~ `abc", "never closed", "`"),
    ("y ~ ``", "no name", "``"),
    (r"y ~ factor('\q')", "backslash", r"\q"),
    ("y ~ _x", "starts with an underscore", "_"),
    ("y ~ x, z", "comma", ","),
    ("y ~ ()", "nothing between", "("),
    ("y ~ x */ z", "`/` cannot follow `*`", "/"),
    ("y ~ (a+b)^c", "whole number", "^"),
    ("y ~ poly(x, dgree=2)", "Did you mean `degree`", "poly"),
    ("y ~ poly(x, 2, 3)", "too many arguments", "poly"),
    ("y ~ log()", "lacks its argument `x`", "log"),
    ("y ~ log(, x)", "missing before this comma", ","),
    ("y ~ log(x, )", "missing after this comma", ","),
    ("y ~ log(x = )", "has no value", "="),
    ("y ~ I(x = 1)", "to compare write `==`", "I"),
    ("y ~ I((x = 1))", "to compare write `==`", "="),
    ("y ~ cbind(a, b)", "can only be the response", "cbind"),
    ("y ~ c(a, b)", "value of an argument", "c"),
    ("y ~ log(offset(x))", "stand alone in the sum", "offset"),
    ("y ~ I(.)", "name the column", "."),
    ("y ~ y + x", "remove it there", "y"),
    ("1 ~ x", "names no column", "1"),
    (". ~ x", "only in `update()`", "."),
    ("(1|g) ~ x", "on the right of `~`", "("),
    ("poly(y, 2) ~ x", "cannot be the response", "poly"),
    ("y ~ NULL", "is no term", "NULL"),
    ("y ~ 1e999", "too large", "1e999"),
]


@pytest.mark.parametrize(("text", "sentence", "place"), MISTAKES)
def test_sentence_and_caret(text: str, sentence: str, place: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    message, line, carets = str(caught.value).rsplit("\n", 2)
    assert sentence in message
    assert line.strip() == text.replace("\x00", " ")
    start = carets.index("^")
    assert line[start : start + carets.count("^")] == place


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_empty(text: str) -> None:
    with pytest.raises(FormulaError, match="The formula is empty"):
        parse_formula(text)


@pytest.mark.parametrize("text", [None, 3, b"y ~ x", ["y ~ x"]])
def test_not_a_text(text: object) -> None:
    with pytest.raises(OptionError, match="A formula is a text"):
        parse_formula(text)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        parse_formula(text)  # type: ignore[arg-type]


def test_misspelt_double_bar() -> None:
    with pytest.raises(OptionError, match="double_bar"):
        parse_formula("y ~ x", double_bar="lme5")  # type: ignore[arg-type]


def test_a_long_formula_is_shown_around_the_place() -> None:
    text = "y ~ " + " + ".join(f"x{i}" for i in range(500)) + " + $ + z"
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    _, line, carets = str(caught.value).rsplit("\n", 2)
    assert len(line) <= 2 + 70 + 2 * len("...")
    assert line[carets.index("^")] == "$"


def test_ten_megabytes_are_refused_unread() -> None:
    with pytest.raises(FormulaError, match="10,000,004 characters; at most 100,000"):
        parse_formula("y ~ " + "x+" * 5_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ " + "(" * 49_000 + "x" + ")" * 49_000,
        "y ~ " + "-" * 90_000 + "x",
        "y ~ " + "!" * 90_000 + "x",
        "y ~ " + "log(" * 20_000,
        "y ~ " + "^".join("a" * 40_000),
        "y ~ " + ":".join("a" * 40_000),
        "y ~ " + "|".join("a" * 40_000),
        "y ~ (" + "|".join("a" * 40_000) + ")",
        "y ~ I(" + "+".join("a" * 40_000) + ")",
        "y ~ (1 | " + "+".join("a" * 40_000) + ")",
        "y ~ a > " + "+".join("a" * 40_000),
        "+".join("a" * 40_000) + " ~ x",
        "y ~ " + "(a + " * 10_000,
    ],
)
def test_depth_never_overflows_the_stack(text: str) -> None:
    with pytest.raises(FormulaError, match=r"nested more than|operators are chained|never closed"):
        parse_formula(text)


def test_python_keywords_are_plain_names() -> None:
    formula = parse_formula("class ~ lambda + in + for + not + (None | def)")
    assert formula.variables == ("class", "lambda", "in", "for", "not", "None", "def")


pieces = st.lists(
    st.sampled_from(
        ["y", "x", "g", "~", "~", "+", "-", "*", "/", ":", "^", "%in%", "|", "||", "(", ")", ",",
         "=", "==", "<", "!", "&", " ", "1", "0", "2", ".5", "1e5", "2L", "'s'", "`a b`", ".",
         "log(", "poly(x, 2)", "I(", "factor(g)", "offset(z)", "(1 | g)", "y ~ ", "\n", "T", "pi",
         "c(1, 2)", "cbind(", "$", "\\", '"', "%", "é"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(pieces, st.text(max_size=40), pieces.map(lambda s: "y ~ x + " + s)))
def test_junk_raises_formula_errors_only(text: str) -> None:
    for read in (
        parse_formula,
        parse_expression,
        lambda t: parse_formula(t, columns=["x", "y", "z"], one_sided=True, double_bar="lme4"),
    ):
        # Anything but a FormulaError leaves the test as an error of its own.
        with suppress(FormulaError):
            assert read(text) is not None
