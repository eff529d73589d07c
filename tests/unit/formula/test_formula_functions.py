"""The closed list of functions and R's matching of their arguments."""

from __future__ import annotations

import pytest

from mixeff.errors import FormulaError
from mixeff.formula import deparse, lookup, match_arguments, parse_expression
from mixeff.formula.functions import FUNCTIONS, FunctionKind
from mixeff.formula.tree import Call


def matched(text: str) -> dict[str, str]:
    call = parse_expression(text)
    assert isinstance(call, Call)
    return {name: deparse(value) for name, value in match_arguments(call).items()}


# R: as.list(match.call(f, quote(...)))[-1]; poly(x, 2) as poly() itself reads its dots.
@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("log(x, 2)", {"x": "x", "base": "2"}),
        ("log(base = 2, x)", {"x": "x", "base": "2"}),
        ("log(b = 2, x)", {"x": "x", "base": "2"}),
        ("bs(x, df = 4)", {"x": "x", "df": "4"}),
        ("bs(x, 4, NULL, 2)", {"x": "x", "df": "4", "knots": "NULL", "degree": "2"}),
        (
            "bs(x, kn = c(2, 5), Bound = c(0, 9))",
            {"x": "x", "knots": "c(2, 5)", "Boundary.knots": "c(0, 9)"},
        ),
        ("ns(df = 3, age)", {"x": "age", "df": "3"}),
        ("poly(x, 2)", {"x": "x", "degree": "2"}),
        ("poly(x, 2, raw = TRUE)", {"x": "x", "degree": "2", "raw": "TRUE"}),
        ("poly(degree = 3, x)", {"x": "x", "degree": "3"}),
        ("cut(x, c(1, 2), right = FALSE)", {"x": "x", "breaks": "c(1, 2)", "right": "FALSE"}),
        ("cut(x, 3, inc = T)", {"x": "x", "breaks": "3", "include.lowest": "T"}),
        ("interaction(a, b, sep = '_')", {"...1": "a", "...2": "b", "sep": '"_"'}),
        ("cbind(s, n - s)", {"...1": "s", "...2": "n - s"}),
        ("cbind(a = s, b = f)", {"...1": "s", "...2": "f"}),
        ("scale(x, scale = FALSE)", {"x": "x", "scale": "FALSE"}),
        ("scale(x, FALSE)", {"x": "x", "center": "FALSE"}),
        ("factor(g, labels = c('a', 'b'))", {"x": "g", "labels": 'c("a", "b")'}),
        ("relevel(g, 'b')", {"x": "g", "ref": '"b"'}),
        ("offset(log(z))", {"object": "log(z)"}),
    ],
)  # fmt: skip
def test_matching_as_r(text: str, arguments: dict[str, str]) -> None:
    assert matched(text) == arguments


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("bs(x, d = 3)", "may mean `df` or `degree`"),
        ("bs(x, df = 3, df = 4)", "twice"),
        ("interaction(a, b, s = '_')", "no argument `s`"),
        ("cut(x)", "lacks its argument `breaks`"),
        ("exp(x, 2)", "too many arguments"),
        ("interaction()", "without a value"),
        ("nope(x)", "no function"),
    ],
)
def test_matching_refuses(text: str, sentence: str) -> None:
    with pytest.raises(FormulaError, match=sentence):
        matched(text)


def test_the_list_holds_what_the_issue_asks_for() -> None:
    wanted = (
        "I log log2 log10 log1p exp expm1 sqrt abs sin cos tan factor as.factor as.integer "
        "as.numeric ordered interaction cut poly bs ns scale center offset cbind"
    )
    assert set(wanted.split()) <= set(FUNCTIONS)
    assert lookup("poly").kind is FunctionKind.BASIS
    assert lookup("cut").kind is FunctionKind.FACTOR
