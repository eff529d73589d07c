"""Printing of expressions against R 4.2's deparse(), and that what is printed can be read."""

# ruff: noqa: E501 -- formulas and their lines stand here as R reads and prints them

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixeff.formula import deparse, deparse_lines, parse_expression, quote_name
from mixeff.formula.tokens import number_text
from mixeff.formula.tree import (
    Argument,
    Binary,
    Call,
    Expression,
    Name,
    Number,
    Parenthesis,
    String,
    Unary,
)

# R: deparse(str2lang(text), width.cutoff = 60L)
CASES: list[tuple[str, list[str]]] = [
    (
        "-a:b",
        ["-a:b"],
    ),
    (
        "-a^b",
        ["-a^b"],
    ),
    (
        "a^-b",
        ["a^-b"],
    ),
    (
        "a^-b:c",
        ["a^-b:c"],
    ),
    (
        "-a*b",
        ["-a * b"],
    ),
    (
        "a + !b",
        ["a + !b"],
    ),
    (
        "!a + b",
        ["!a + b"],
    ),
    (
        "!a == b",
        ["!a == b"],
    ),
    (
        "a / b %in% c",
        ["a/b %in% c"],
    ),
    (
        "a*b/c%in%d:e^f^g",
        ["a * b/c %in% d:e^f^g"],
    ),
    (
        "(a+b)^2",
        ["(a + b)^2"],
    ),
    (
        "a - -b",
        ["a - -b"],
    ),
    (
        "- - a",
        ["--a"],
    ),
    (
        "!(!a)",
        ["!(!a)"],
    ),
    (
        "a < b",
        ["a < b"],
    ),
    (
        "a<b & c>=d | e != f && g || h",
        ["a < b & c >= d | e != f && g || h"],
    ),
    (
        "log(1+total.fruits)~nutrient*amd+rack+status+(1|reg/popu/gen)",
        ["log(1 + total.fruits) ~ nutrient * amd + rack + status + (1 | ", "    reg/popu/gen)"],
    ),
    (
        "langPOST~IQ.ver.cen+avg.IQ.ver.cen+sex+(IQ.ver.cen|schoolNR)",
        ["langPOST ~ IQ.ver.cen + avg.IQ.ver.cen + sex + (IQ.ver.cen | ", "    schoolNR)"],
    ),
    (
        "y ~ `a b` + `in` + `if` + .x + `_z` + `1a`",
        ["y ~ `a b` + `in` + `if` + .x + `_z` + `1a`"],
    ),
    (
        "f(a, b = 2, \"c'd\", 'e\"f', `my arg` = 3, TRUE, `if` = 1)",
        ['f(a, b = 2, "c\'d", "e\\"f", `my arg` = 3, TRUE, `if` = 1)'],
    ),
    (
        "y ~ averyveryverylongnameindeed + anotherveryverylongname + athirdverylongname + afourthlongname + poly(averyveryverylongnameindeed, 2, raw = TRUE) + bs(anotherveryverylongname, knots = c(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20), df = 3)*zzzzzz:yyyyyyyyyyyyyyyyyyyyyyyyyyyy",
        [
            "y ~ averyveryverylongnameindeed + anotherveryverylongname + athirdverylongname + ",
            "    afourthlongname + poly(averyveryverylongnameindeed, 2, raw = TRUE) + ",
            "    bs(anotherveryverylongname, knots = c(1, 2, 3, 4, 5, 6, 7, ",
            "        8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20), df = 3) * ",
            "        zzzzzz:yyyyyyyyyyyyyyyyyyyyyyyyyyyy",
        ],
    ),
    (
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ~ bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb*cccccccccccccccccccccccccccccccccccccccccc + ddddddddddddddddddddddddddddddddddddddddddd",
        [
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ~ ",
            "    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb * cccccccccccccccccccccccccccccccccccccccccc + ",
            "        ddddddddddddddddddddddddddddddddddddddddddd",
        ],
    ),
    (
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa %in% bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb + ccccccccccccccccccc",
        [
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa %in% ",
            "    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb + ccccccccccccccccccc",
        ],
    ),
    (
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:ccccccccccccccccccc + d",
        [
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:ccccccccccccccccccc + ",
            "    d",
        ],
    ),
    (
        "y ~ (aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + bbbbbbbbbbbb*(cccccccccccccccccccccccccccccccccccccccccccccc + dddddddddddddddddddd *(eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee+ffffffffffffffffffffffffffff + (ggggggggggggggggggggggggggggggggggggggggggg + hhhhhhhhhhhhhhhhhhhhhhhhhh) + iiiiii)))",
        [
            "y ~ (aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + ",
            "    bbbbbbbbbbbb * (cccccccccccccccccccccccccccccccccccccccccccccc + ",
            "        dddddddddddddddddddd * (eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee + ",
            "            ffffffffffffffffffffffffffff + (ggggggggggggggggggggggggggggggggggggggggggg + ",
            "            hhhhhhhhhhhhhhhhhhhhhhhhhh) + iiiiii)))",
        ],
    ),
    (
        "y ~ log(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + f(bbbbbbbbbbbbbbbbbbbbbbbbbbbb, ccccccccccccccccccccccccccccccccccccccccccccccccccccccccc, dddddddddddddddddddddddddddd)+ eeeeeeeeeeeeeeeeeee)",
        [
            "y ~ log(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + ",
            "    f(bbbbbbbbbbbbbbbbbbbbbbbbbbbb, ccccccccccccccccccccccccccccccccccccccccccccccccccccccccc, ",
            "        dddddddddddddddddddddddddddd) + eeeeeeeeeeeeeeeeeee)",
        ],
    ),
    (
        "y ~ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa < bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb & ccccccccccccccccccccccccccccccccccccc | ddddddddddddddddddddddddddd",
        [
            "y ~ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa < ",
            "    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb & ccccccccccccccccccccccccccccccccccccc | ",
            "    ddddddddddddddddddddddddddd",
        ],
    ),
    (
        "I(2*x) + I(x/3) + 1e5 + 1e-3 + 0.1 + 2L + .5",
        ["I(2 * x) + I(x/3) + 1e+05 + 0.001 + 0.1 + 2L + 0.5"],
    ),
    (
        "~ a",
        ["~a"],
    ),
    (
        "y ~ -1 + x",
        ["y ~ -1 + x"],
    ),
    (
        "a*(b+c)/(d-e)",
        ["a * (b + c)/(d - e)"],
    ),
    (
        "-(a+b)",
        ["-(a + b)"],
    ),
    (
        "-a + -b",
        ["-a + -b"],
    ),
    (
        "(-a)^2",
        ["(-a)^2"],
    ),
    (
        "y ~ x + ((1 | g) + (0 + aaaaaaaaaaaaaaaaaaaaaaa | g) + (0 + bbbbbbbbbbbbbbbbbbbbbbbbbbbbb | g) + (0 + cccccccccccccccccccccc | g))",
        [
            "y ~ x + ((1 | g) + (0 + aaaaaaaaaaaaaaaaaaaaaaa | g) + (0 + bbbbbbbbbbbbbbbbbbbbbbbbbbbbb | ",
            "    g) + (0 + cccccccccccccccccccccc | g))",
        ],
    ),
    (
        "a-(b-c)",
        ["a - (b - c)"],
    ),
    (
        "x**2 + a|b||c",
        ["x^2 + a | b || c"],
    ),
    (
        "bs(x,knots=c(2,5),Boundary.knots=c(0,9))",
        ["bs(x, knots = c(2, 5), Boundary.knots = c(0, 9))"],
    ),
    (
        'I(x>=2)+I(x!="z")',
        ['I(x >= 2) + I(x != "z")'],
    ),
    (
        "1e5+123456+1e-5+0.0001+1e15+123456789012345678+0.333333333333333314+300000+1200000+0.00012+0x1F",
        [
            "1e+05 + 123456 + 1e-05 + 1e-04 + 1e+15 + 123456789012345680 + ",
            "    0.333333333333333 + 3e+05 + 1200000 + 0.00012 + 31",
        ],
    ),
]


@pytest.mark.parametrize(("text", "lines"), CASES)
def test_lines_as_r(text: str, lines: list[str]) -> None:
    assert deparse_lines(parse_expression(text)) == lines


@pytest.mark.parametrize(("text", "lines"), CASES)
def test_one_line_is_the_lines_joined(text: str, lines: list[str]) -> None:
    assert deparse(parse_expression(text)) == "".join([lines[0], *(x.lstrip() for x in lines[1:])])


# R: for (x in ...) cat(deparse(x), "")
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (100000, "1e+05"), (123456, "123456"), (1e-5, "1e-05"), (0.0001, "1e-04"),
        (0.001, "0.001"), (1e15, "1e+15"), (123456789012345678, "123456789012345680"),
        (0.1 + 0.2, "0.3"), (1 / 3, "0.333333333333333"), (2 / 3 * 1e-10, "6.66666666666667e-11"),
        (1234567.5, "1234567.5"), (1e300, "1e+300"), (5e-324, "4.94065645841247e-324"),
        (0.1234567890123456, "0.123456789012346"), (300000, "3e+05"), (1200000, "1200000"),
        (0.00012, "0.00012"),
    ],
)  # fmt: skip
def test_numbers_as_r(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("x", "x"), (".x", ".x"), ("x.y_z1", "x.y_z1"), ("a b", "`a b`"), ("1a", "`1a`"),
        ("_z", "`_z`"), (".1", "`.1`"), ("in", "`in`"), ("function", "`function`"),
        ("class", "class"), ("a`b", r"`a\`b`"), ("héllo", "héllo"), ("a\\b", r"`a\\b`"),
    ],
)  # fmt: skip
def test_backquotes_only_where_needed(name: str, quoted: str) -> None:
    assert quote_name(name) == quoted
    assert parse_expression(quoted) == Name(name)


# -- random trees ----------------------------------------------------------------------------------

names = st.sampled_from(["x", "y", "total.fruits", ".z", "my column", "in", "a`b", "ü"])
leaves: st.SearchStrategy[Expression] = st.one_of(
    names.map(Name),
    st.sampled_from([0.0, 1.0, 2.0, 0.5, 100000.0, 1e-7]).map(lambda v: Number(v, number_text(v))),
    st.text(max_size=4).filter(lambda s: s.isprintable()).map(String),
)


def branches(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    operators = st.sampled_from(
        ["+", "-", "*", "/", "^", ":", "%in%", "|", "||", "&", "&&", "<", ">=", "==", "~"]
    )
    argument = st.builds(Argument, st.one_of(st.none(), names), inner)
    return st.one_of(
        st.builds(Binary, operators, inner, inner),
        st.builds(Unary, st.sampled_from(["-", "+", "!", "~"]), inner),
        st.builds(Parenthesis, inner),
        st.builds(Call, names, st.lists(argument, max_size=3).map(tuple)),
    )


trees = st.recursive(leaves, branches, max_leaves=12)


@settings(max_examples=200, deadline=None)
@given(trees)
def test_printing_is_stable_for_any_tree(tree: Expression) -> None:
    text = deparse(tree)
    once = parse_expression(text)
    assert deparse(once) == text
    assert bare(once) == bare(tree)
    assert parse_expression(" ".join(deparse_lines(tree))) == once


def bare(node: Expression) -> Expression:
    """The tree without its parentheses, which printing adds where a tree needs them."""
    if isinstance(node, Parenthesis):
        return bare(node.inner)
    if isinstance(node, Binary):
        return Binary(node.operator, bare(node.left), bare(node.right))
    if isinstance(node, Unary):
        return Unary(node.operator, bare(node.operand))
    if isinstance(node, Call):
        arguments = tuple(Argument(a.name, bare(a.value)) for a in node.arguments)
        return Call(node.function, arguments)
    return node
