"""Expansion of the fixed part against R 4.2's terms()."""

from __future__ import annotations

import pytest

from mixeff.errors import FormulaError
from mixeff.formula import expand_dot, parse_formula

# R: for (f in formulas) { t <- terms(as.formula(f))
#      cat(f, "->", attr(t, "intercept"), ";", paste(attr(t, "term.labels"), collapse = " ; ")) }
TERMS = r"""
y~a%in%b -> 1 ; a:b
y~(a+b)%in%c -> 1 ; a:c ; b:c
y~a%in%(b+c) -> 1 ; a:b:c
y~(a+b)%in%(c+d) -> 1 ; a:c:d ; b:c:d
y~a/(b+c) -> 1 ; a ; a:b ; a:c
y~(a+b)/c -> 1 ; a ; b ; a:b:c
y~(a+b+c)^2 -> 1 ; a ; b ; c ; a:b ; a:c ; b:c
y~(a*b)^2 -> 1 ; a ; b ; a:b
y~a:b+b:a -> 1 ; a:b
y~b:a+a -> 1 ; a ; b:a
y~0+1+a -> 1 ; a
y~1-1 -> 0 ;
y~a-1+1 -> 1 ; a
y~-1+a -> 0 ; a
y~a-0 -> 1 ; a
y~a*b-a -> 1 ; b ; a:b
y~a*0 -> 0 ; a
y~a:1 -> 1 ;
y~1:a -> 1 ;
y~a/1 -> 1 ; a
y~a%in%1 -> 1 ; a
y~(a+1):b -> 1 ; a:b
y~(a-1):b -> 0 ; a:b
y~(a+0)*b -> 0 ; a ; b ; a:b
y~a-(b-1) -> 1 ; a
y~a*b*c-a:b:c -> 1 ; a ; b ; c ; a:b ; a:c ; b:c
y~offset(z)+a -> 1 ; a
y~a+offset(z):b -> 1 ; a
y~a*offset(z) -> 1 ; a
y~I(a^2)+I(a^2.0)+I(a^2L) -> 1 ; I(a^2)
y~a+(b+a) -> 1 ; a ; b
y~+a -> 1 ; a
y~-a -> 1 ;
y~--a -> 1 ;
y~!a -> 1 ; !a
y~a+!b -> 1 ; a ; !b
y~a>b -> 1 ; a > b
y~(a>b)*c -> 1 ; a > b ; c ; a > b:c
y~a&b -> 1 ; a & b
y~`a b`+`in` -> 1 ; `a b` ; `in`
y~a^2 -> 1 ; a
y~a+b-a:b -> 1 ; a ; b
y~(a+b)^2-a -> 1 ; b ; a:b
y~log(a)+log(  a) -> 1 ; log(a)
y~a+TRUE -> 1 ; a
y~a+1.0 -> 1 ; a
y~a + 1L -> 1 ; a
y~a-1L -> 0 ; a
y~0 -> 0 ;
y~1 -> 1 ;
y~a+0+b -> 0 ; a ; b
y~b+a:b+a -> 1 ; b ; a ; b:a
y~c:b:a+a:b+b -> 1 ; b ; b:a ; c:b:a
y~ a -a -> 1 ;
y~a:a -> 1 ; a
y~a*a -> 1 ; a
y~ pi*a -> 1 ; pi ; a ; pi:a
y~a==b -> 1 ; a == b
y~-1-1 -> 0 ;
y~a-(1+b) -> 0 ; a
y~a-(-1) -> 1 ; a
y~ -(1) -> 0 ;
y~(0)+a -> 0 ; a
y~a/b/c -> 1 ; a ; a:b ; a:b:c
y~a/b-a -> 1 ; a:b
y~a/(b*c) -> 1 ; a ; a:b ; a:c ; a:b:c
y~a*(b/c) -> 1 ; a ; b ; b:c ; a:b ; a:b:c
y~(a/b)^2 -> 1 ; a ; a:b
y~(a+b)/(c+d) -> 1 ; a ; b ; a:b:c ; a:b:d
y~(a:b)/c -> 1 ; a:b ; a:b:c
y~a %in% b %in% c -> 1 ; a:b:c
y~a + b %in% a -> 1 ; a ; a:b
y~poly(a,2)*log(b)+sin(2*pi*c) -> 1 ; poly(a, 2) ; log(b) ; sin(2 * pi * c) ; poly(a, 2):log(b)
y~ns(a,df=3):b+factor(b) -> 1 ; factor(b) ; ns(a, df = 3):b
y~a/b*c -> 1 ; a ; c ; a:b ; a:c ; a:b:c
y~a*b/c -> 1 ; a ; b ; a:b ; a:b:c
y~I(a>1|b<2)+I(-a) -> 1 ; I(a > 1 | b < 2) ; I(-a)
y~(a+b+c)^2/d -> 1 ; a ; b ; c ; a:b ; a:c ; b:c ; a:b:c:d
y~a:(b+c)-a:b+d%in%a -> 1 ; a:c ; a:d
y~-1+a-(b+0) -> 1 ; a
"""

# R: d <- data.frame(y = 1, a = 1, b = 1, c = 1); the same with terms(as.formula(f), data = d)
DOTS = r"""
y ~ . -> 1 ; a ; b ; c
y ~ .^2 -> 1 ; a ; b ; c ; a:b ; a:c ; b:c
log(y) ~ . -> 1 ; a ; b ; c
y ~ . - a -> 1 ; b ; c
y ~ a + . -> 1 ; a ; b ; c
y ~ .:a -> 1 ; a ; a:b ; a:c
y + a ~ . -> 1 ; b ; c
y ~ log(a) + . -> 1 ; log(a) ; a ; b ; c
cbind(y, a) ~ . -> 1 ; b ; c
y ~ b * . -> 1 ; b ; a ; c ; b:a ; b:c
y ~ .*. - a:b - 1 -> 0 ; a ; b ; c ; a:c ; b:c
"""


def rows(table: str) -> list[tuple[str, bool, list[str]]]:
    found = []
    for line in table.strip().splitlines():
        formula, _, result = line.partition(" -> ")
        intercept, *labels = [piece.strip() for piece in result.split(" ;")]
        found.append((formula, intercept == "1", [label for label in labels if label]))
    return found


@pytest.mark.parametrize(("text", "intercept", "labels"), rows(TERMS))
def test_terms_as_r(text: str, intercept: bool, labels: list[str]) -> None:
    fixed = parse_formula(text).fixed
    assert fixed.intercept == intercept
    assert [term.label for term in fixed.terms] == labels


@pytest.mark.parametrize(("text", "intercept", "labels"), rows(DOTS))
def test_dot_as_r(text: str, intercept: bool, labels: list[str]) -> None:
    columns = ["y", "a", "b", "c"]
    given_columns = parse_formula(text, columns=columns)
    assert given_columns.fixed.intercept == intercept
    assert [term.label for term in given_columns.fixed.terms] == labels
    assert not given_columns.has_dot
    later = parse_formula(text)
    assert later.has_dot
    assert expand_dot(later, columns) == given_columns


def test_dot_takes_grouping_columns_as_lme4_does() -> None:
    # R: lmer(Reaction ~ . + (1 | Subject), sleepstudy) has fixed effects Days, Subject309, ...
    formula = parse_formula("Reaction ~ . + (1 | Subject)", columns=["Reaction", "Days", "Subject"])
    assert [term.label for term in formula.fixed.terms] == ["Days", "Subject"]
    assert formula.variables == ("Reaction", "Days", "Subject")
    assert formula.display == "Reaction ~ . + (1 | Subject)"


def test_expand_dot_leaves_a_formula_without_dot_and_keeps_random_parts() -> None:
    plain = parse_formula("y ~ a + (1 | g)")
    assert expand_dot(plain, ["y", "a", "g"]) is plain
    dotted = parse_formula("y ~ . + (a || g)", double_bar="lme4")
    assert expand_dot(dotted, ["y", "a", "g"]).random == dotted.random


def test_offsets_are_taken_out_anywhere_in_the_sum() -> None:
    formula = parse_formula("y ~ offset(log(z)) + a + offset(w) + (1 | g)")
    assert [term.label for term in formula.fixed.terms] == ["a"]
    assert [offset.function for offset in formula.offsets] == ["offset", "offset"]
    assert formula.variables == ("y", "z", "a", "w", "g")
    assert parse_formula("y ~ a + offset(z) - offset(z)").offsets == ()


def test_variables_in_order_of_appearance_without_constants() -> None:
    formula = parse_formula("log(y) ~ b:a + sin(2 * pi * t) + poly(u, 2, raw = TRUE) + (v | g / h)")
    assert formula.variables == ("y", "b", "a", "t", "u", "v", "g", "h")


def test_t_f_and_pi_are_columns_outside_calls_or_when_the_data_has_them() -> None:
    assert parse_formula("y ~ T + pi").variables == ("y", "T", "pi")
    assert parse_formula("y ~ poly(x, 2, raw = T)").variables == ("y", "x")
    assert parse_formula("y ~ log(T)", columns=["y", "T"]).variables == ("y", "T")


def test_thousands_of_terms_do_not_overflow_the_stack() -> None:
    names = [f"x{i}" for i in range(5000)]
    formula = parse_formula("y ~ " + " + ".join(names) + " + (1 | g)")
    assert [term.label for term in formula.fixed.terms] == names
    assert parse_formula(formula.display).fixed == formula.fixed


@pytest.mark.parametrize(
    "text",
    [
        "y ~ (" + " + ".join(f"x{i}" for i in range(300)) + ")^3",
        "y ~ " + " * ".join(f"x{i}" for i in range(40)),
        "y ~ (" + " + ".join(f"x{i}" for i in range(300)) + "):("
        + " + ".join(f"z{i}" for i in range(300)) + ")",
    ],
)  # fmt: skip
def test_too_many_terms_is_said_at_once(text: str) -> None:
    with pytest.raises(FormulaError, match="more than 50,000 terms"):
        parse_formula(text)


def test_a_remembered_formula_depends_on_all_it_is_asked_with() -> None:
    # What a parse returns is remembered; every argument that matters must tell entries apart.
    text = "y ~ . + (a || g)"
    one = parse_formula(text, columns=["y", "a", "b", "g"])
    other = parse_formula(text, columns=["y", "a", "c", "g"])
    assert one.variables == ("y", "a", "b", "g")
    assert other.variables == ("y", "a", "c", "g")
    assert parse_formula(text).has_dot
    assert not one.has_dot
    assert one.random[0].independent
    textual = parse_formula(text, columns=["y", "a", "b", "g"], double_bar="lme4")
    assert not textual.random[0].independent
    assert parse_formula(text, columns=iter(["y", "a", "b", "g"])) == one
    # pi is a column where the data have one.
    assert "pi" in parse_formula("y ~ sin(pi * x)", columns=["y", "x", "pi"]).variables
    assert "pi" not in parse_formula("y ~ sin(pi * x)", columns=["y", "x"]).variables
    # An error is raised every time.
    for _ in range(2):
        with pytest.raises(FormulaError, match="no `~`"):
            parse_formula("a + b")
    assert parse_formula("a + b", one_sided=True).response is None


def test_labels_write_integers_without_their_suffix():
    # R: attr(terms(y ~ I(k/2L) + poly(k, 2L):f + I(k * 1e5L)), "term.labels") is
    # "I(k/2)" "I(k * 100000)" "poly(k, 2):f"; deparse of the formula keeps the L.
    formula = parse_formula("y ~ I(k/2L) + poly(k, 2L):f + I(k * 1e5L)")
    labels = [term.label for term in formula.fixed.terms]
    assert labels == ["I(k/2)", "I(k * 100000)", "poly(k, 2):f"]
    assert formula.display == "y ~ I(k/2L) + poly(k, 2L):f + I(k * 100000L)"
