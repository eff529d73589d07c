"""Text to a ``ModelFormula``: the response, the fixed terms, the random terms, the offsets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from mixeff.errors import OptionError
from mixeff.formula.bars import (
    BARS,
    contains_bar,
    random_parts,
    split_bars,
    strip,
    summands,
    total,
    with_parentheses,
    written_out,
)
from mixeff.formula.checks import check_calls, check_response, check_terms
from mixeff.formula.deparse import deparse, deparse_lines
from mixeff.formula.functions import CONSTANTS
from mixeff.formula.problems import formula_error
from mixeff.formula.syntax import parse_expression
from mixeff.formula.terms import Expanded, expand_terms
from mixeff.formula.tree import (
    Binary,
    Call,
    Expression,
    ModelFormula,
    Number,
    Parenthesis,
    RandomPart,
    Unary,
)
from mixeff.formula.variables import variables_of

DoubleBar = Literal["independent", "lme4"]


def parse_formula(
    text: str,
    *,
    double_bar: DoubleBar = "independent",
    columns: Iterable[str] | None = None,
    one_sided: bool = False,
) -> ModelFormula:
    """Read a mixed-model formula.

    Parameters
    ----------
    text : str
        ``"y ~ x + (1 | g)"``, in R's language.
    double_bar : {"independent", "lme4"}, optional
        Whether the terms of ``(f || g)`` are marked to be split into one variance per column, or
        only taken apart term by term as lme4 does.
    columns : iterable of str, optional
        Names of all columns of the data. ``.`` stands for those the response does not use;
        without ``columns`` it is left a term of its own (``has_dot``), see ``expand_dot``.
    one_sided : bool, optional
        Allow a formula without response: ``"~ (1 | g)"`` or ``"(1 | g)"``.

    Returns
    -------
    ModelFormula

    Raises
    ------
    FormulaError
        The formula cannot be read; the message shows where, with a caret.
    OptionError
        ``text`` is no text, or ``double_bar`` is misspelt.

    Notes
    -----
    The last 256 formulas are remembered (per set of arguments), so that fitting the same formula
    again does not read it again.

    Examples
    --------
    >>> formula = parse_formula("lang ~ IQ * COMB + (1 | school / class)")
    >>> [term.label for term in formula.fixed.terms]
    ['IQ', 'COMB', 'IQ:COMB']
    >>> [part.group_label for part in formula.random]
    ['class:school', 'school']
    """
    if double_bar not in ("independent", "lme4"):
        raise OptionError(f'double_bar must be "independent" or "lme4", not {double_bar!r}.')
    known = None if columns is None else tuple(dict.fromkeys(columns))
    if not isinstance(text, str):
        parse_expression(text)  # says what is expected
    return _parse(text, double_bar, known, bool(one_sided))


@lru_cache(maxsize=256)
def _parse(
    text: str, double_bar: DoubleBar, known: tuple[str, ...] | None, one_sided: bool
) -> ModelFormula:
    """The formula of a text, remembered: it depends on nothing else and is never changed."""
    tree = parse_expression(text)
    response, rhs = _sides(tree, text, one_sided)
    check_calls(tree, text)
    if response is not None:
        check_response(response, text)
    return _assemble(text, response, rhs, double_bar, known)


@lru_cache(maxsize=256)
def depends_on_columns(text: str) -> bool:
    """Whether ``parse_formula`` of this text can depend on ``columns``; remembered.

    It can where a dot may stand for columns, or a name may be a constant's or a column's.

    Examples
    --------
    >>> depends_on_columns("y ~ x + (1 | g)"), depends_on_columns("y ~ ."), depends_on_columns("pi")
    (False, True, True)
    """
    return "." in text or not CONSTANTS.isdisjoint(re.findall(r"\w+", text))


def expand_dot(formula: ModelFormula, columns: Iterable[str]) -> ModelFormula:
    """Replace ``.`` in the fixed part by the columns the response does not use.

    Parameters
    ----------
    formula : ModelFormula
        A formula with ``has_dot``; another one is returned as it is.
    columns : iterable of str
        Names of all columns of the data, in order.

    Returns
    -------
    ModelFormula
    """
    if not formula.has_dot:
        return formula
    expanded = parse_formula(formula.text, columns=columns, one_sided=formula.response is None)
    return replace(expanded, random=formula.random)


def _assemble(
    text: str,
    response: Expression | None,
    rhs: Expression,
    double_bar: DoubleBar,
    columns: tuple[str, ...] | None,
) -> ModelFormula:
    known = columns or ()
    if isinstance(rhs, Binary) and rhs.operator in BARS:
        _bar_without_parentheses(response, rhs, text)
    split = split_bars(rhs, text)
    fixed = Number(1.0, "1", rhs.position) if split.fixed is None else split.fixed
    used = () if response is None else variables_of(response, known)
    dot = None if columns is None else tuple(c for c in columns if c not in used)
    expanded = expand_terms(fixed, text, dot=dot, columns=known)
    _check_fixed(response, expanded, text)
    random = tuple(p for bar in split.bars for p in random_parts(bar, text, double_bar, known))
    _check_repeated(random, text)
    parts = (expanded.part, *(p.effects for p in random))
    check_terms([v for part in parts for t in part.terms for v in t.variables], text, known)
    display = _with_response(response, _display(rhs, text, known))
    return ModelFormula(
        text=text,
        display=deparse(display),
        response=response,
        fixed=expanded.part,
        random=random,
        offsets=expanded.offsets,
        variables=_variables(response, rhs, dot, known),
        fixed_display=deparse(_with_response(response, fixed)),
        display_lines=tuple(deparse_lines(display)),
        has_dot=expanded.has_dot,
    )


def _sides(tree: Expression, text: str, one_sided: bool) -> tuple[Expression | None, Expression]:
    """Response and right-hand side of the one tilde."""
    if isinstance(tree, Binary) and tree.operator == "~":
        _no_tilde(tree.left, text)
        _no_tilde(tree.right, text)
        return tree.left, tree.right
    if isinstance(tree, Unary) and tree.operator == "~":
        _no_tilde(tree.operand, text)
        if one_sided:
            return None, tree.operand
        raise formula_error(
            "Nothing stands on the left of `~`; write the response there.",
            text,
            tree.position,
        )
    _no_tilde(tree, text)
    if one_sided:
        return None, tree
    raise formula_error(
        'The formula has no `~`; write the response, `~` and the terms: "y ~ x + (1 | g)".',
        text,
        len(text.rstrip()),
    )


def _no_tilde(node: Expression, text: str) -> None:
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, Binary | Unary) and one.operator == "~":
            raise formula_error(
                "A formula has one `~`, between response and terms, outside all parentheses.",
                text,
                one.position,
            )
        if isinstance(one, Binary):
            stack.extend((one.right, one.left))
        elif isinstance(one, Unary):
            stack.append(one.operand)
        elif isinstance(one, Parenthesis):
            stack.append(one.inner)
        elif isinstance(one, Call):
            stack.extend(a.value for a in one.arguments)


def _bar_without_parentheses(response: Expression | None, rhs: Binary, text: str) -> None:
    meant = with_parentheses(rhs)
    advice = "write it `(x | g)`"
    if meant is not None and not _nested_bar(meant):
        advice = f"write `{deparse(_with_response(response, meant))}`"
    raise formula_error(
        f"A random term needs parentheses: {advice}.",
        text,
        rhs.position,
        len(rhs.operator),
    )


def _nested_bar(node: Expression) -> bool:
    """A random term inside another one, which no suggestion should contain."""
    for _, part in summands(node):
        inner = strip(part)
        if not (isinstance(inner, Binary) and inner.operator in BARS):
            continue
        if contains_bar(inner.left) or contains_bar(inner.right):
            return True
    return False


def _check_fixed(response: Expression | None, expanded: Expanded, text: str) -> None:
    if response is None:
        return
    for term in expanded.part.terms:
        if response in term.variables:
            where = term.variables[term.variables.index(response)]
            raise formula_error(
                f"The response `{deparse(response)}` stands among the terms, too; remove it there.",
                text,
                where.position,
            )


def _check_repeated(random: tuple[RandomPart, ...], text: str) -> None:
    seen: set[tuple[object, ...]] = set()
    for part in random:
        terms = frozenset(frozenset(t.variables) for t in part.effects.terms)
        key = (part.effects.intercept, terms, frozenset(part.group))
        if key in seen:
            raise formula_error(
                f"The random term {part.label} occurs twice; its variance could not be divided "
                "between the two. Remove one.",
                text,
                part.position,
            )
        seen.add(key)


def _with_response(response: Expression | None, rhs: Expression) -> Expression:
    if response is None:
        return Unary("~", rhs)
    return Binary("~", response, rhs)


def _display(node: Expression, text: str, columns: tuple[str, ...]) -> Expression:
    """The right-hand side with every ``||`` written out as lme4 does."""
    parts: list[tuple[str, Expression]] = []
    for sign, part in summands(node):
        if isinstance(part, Parenthesis) and contains_bar(part):
            inner = part.inner
            if isinstance(inner, Binary) and inner.operator in BARS:
                shown = written_out(inner, text, columns)
            else:
                shown = _display(inner, text, columns)
            parts.append((sign, Parenthesis(shown, part.position)))
        else:
            parts.append((sign, part))
    return total(parts) or node


def _variables(
    response: Expression | None,
    rhs: Expression,
    dot: tuple[str, ...] | None,
    columns: tuple[str, ...],
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for side in (response, rhs):
        for name in () if side is None else variables_of(side, columns):
            for one in dot if name == "." and dot is not None else (name,):
                found.setdefault(one)
    return tuple(found)
