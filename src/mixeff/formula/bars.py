"""Random terms: finding the bars, splitting ``||``, expanding nested grouping factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mixeff.formula.deparse import deparse, left_spine
from mixeff.formula.functions import FunctionKind, lookup
from mixeff.formula.problems import formula_error
from mixeff.formula.terms import expand_terms, is_offset
from mixeff.formula.tree import (
    Binary,
    Call,
    Expression,
    LinearPart,
    Name,
    Number,
    Parenthesis,
    RandomPart,
    Term,
    Unary,
)

BARS = ("|", "||")
#: One bar may stand for so many grouping factors.
MAX_GROUPS = 64
_GROUPING = frozenset({FunctionKind.FACTOR, FunctionKind.ELEMENTWISE, FunctionKind.IDENTITY})


@dataclass(frozen=True, slots=True)
class Split:
    """A right-hand side taken apart: what is left without bars, and the bars in order."""

    fixed: Expression | None
    bars: tuple[Binary, ...]


def strip(node: Expression) -> Expression:
    """The expression inside any number of parentheses."""
    while isinstance(node, Parenthesis):
        node = node.inner
    return node


def contains_bar(node: Expression) -> bool:
    """A bar stands in the expression, outside of function calls."""
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, Binary):
            if one.operator in BARS:
                return True
            stack.extend((one.left, one.right))
        elif isinstance(one, Unary):
            stack.append(one.operand)
        elif isinstance(one, Parenthesis):
            stack.append(one.inner)
    return False


def summands(node: Expression) -> list[tuple[str, Expression]]:
    """The expression as signed summands, parentheses left closed."""
    if not (isinstance(node, Binary) and node.operator in ("+", "-")):
        return [("+", node)]
    spine = [level for level in left_spine(node) if level.operator in ("+", "-")]
    return [("+", spine[-1].left), *((s.operator, s.right) for s in reversed(spine))]


def total(parts: list[tuple[str, Expression]]) -> Expression | None:
    """Signed summands joined again; None without any."""
    whole: Expression | None = None
    for sign, part in parts:
        if whole is None:
            whole = part if sign == "+" else Unary("-", part, part.position)
        else:
            whole = Binary(sign, whole, part, part.position)
    return whole


def split_bars(rhs: Expression, text: str) -> Split:
    """Take the random terms out of a right-hand side.

    Raises
    ------
    FormulaError
        A bar outside parentheses, or inside an interaction, a difference, a power.
    """
    kept: list[tuple[str, Expression]] = []
    bars: list[Binary] = []
    for sign, written in summands(rhs):
        if not contains_bar(written):
            kept.append((sign, written))
            continue
        part = written
        while isinstance(part, Unary) and part.operator == "+":
            part = part.operand
        inner = strip(part)
        if sign == "-":
            raise formula_error(
                "A random term cannot be subtracted; leave it out.", text, part.position
            )
        if not isinstance(part, Parenthesis):
            _misplaced_bar(part, text)
        elif isinstance(inner, Binary) and inner.operator in BARS:
            bars.append(inner)
        else:
            nested = split_bars(inner, text)
            bars.extend(nested.bars)
            if nested.fixed is not None:
                kept.append((sign, Parenthesis(nested.fixed, part.position)))
    return Split(total(kept), tuple(bars))


def _misplaced_bar(node: Expression, text: str) -> None:
    at = node.position
    raise formula_error(
        "A random term stands alone in the sum, as in `y ~ x + (1 | g)`; it cannot be multiplied, "
        "nested, negated or raised to a power.",
        text,
        at,
    )


def with_parentheses(rhs: Expression) -> Expression | None:
    """``x + 1 | g`` as it was probably meant, ``x + (1 | g)``; None where that is unclear."""
    pieces: list[Expression] = []
    operators: list[str] = []
    node = rhs
    while isinstance(node, Binary) and node.operator in BARS:
        pieces.append(node.right)
        operators.append(node.operator)
        node = node.left
    pieces.append(node)
    sums = [summands(p) for p in reversed(pieces)]
    operators.reverse()
    if any(len(s) < 2 for s in sums[1:-1]):
        return None
    result = sums[0][:-1]
    effect = sums[0][-1]
    for index, operator in enumerate(operators):
        following = sums[index + 1]
        if effect[0] != "+":
            return None
        bar = Parenthesis(Binary(operator, effect[1], following[0][1]))
        if not result and not isinstance(strip(effect[1]), Number):
            result.append(effect)  # y ~ x | g: x was meant to be a fixed effect, too
        result.append(("+", bar))
        last = index == len(operators) - 1
        result.extend(following[1:] if last else following[1:-1])
        effect = following[-1]
    return total(result)


# -- one random term -----------------------------------------------------------------------------


def random_parts(
    bar: Binary,
    text: str,
    double_bar: Literal["independent", "lme4"],
    columns: tuple[str, ...],
) -> list[RandomPart]:
    """Every random term one bar stands for, in lme4's order."""
    effects = _effects(bar, text, columns)
    groups = _groups(bar, text)
    pieces: list[tuple[Expression, LinearPart]] = [(bar.left, effects)]
    independent = False
    if bar.operator == "||":
        pieces = _pieces(effects, bar.position)
        independent = double_bar == "independent"
    parts = []
    for written, part in pieces:
        for group in groups:
            label = deparse(group)
            # lme4 names a single column without backquotes, an interaction with them.
            name = group.name if isinstance(group, Name) else label
            parts.append(
                RandomPart(
                    effects=part,
                    group=_factors(group),
                    group_label=name,
                    independent=independent,
                    label=f"({deparse(written)} | {label})",
                    position=bar.position,
                )
            )
    return parts


def written_out(bar: Binary, text: str, columns: tuple[str, ...]) -> Expression:
    """``x || g`` as lme4 writes it out: ``(1 | g) + (0 + x | g)``; a single bar unchanged."""
    if bar.operator != "||":
        return bar
    pieces = _pieces(_effects(bar, text, columns), bar.position)
    terms: list[tuple[str, Expression]] = [
        ("+", Parenthesis(Binary("|", effect, bar.right))) for effect, _ in pieces
    ]
    return total(terms) or bar


def _effects(bar: Binary, text: str, columns: tuple[str, ...]) -> LinearPart:
    for side, what in ((bar.left, "left"), (bar.right, "right")):
        if contains_bar(side):
            raise formula_error(
                f"There is a second bar on the {what} of this one; a random term has one bar, "
                "`(x | g)`, and several terms are joined by `+`.",
                text,
                bar.position,
                len(bar.operator),
            )
    expanded = expand_terms(bar.left, text, columns=columns)
    if expanded.has_dot:
        raise formula_error(
            "`.` cannot be used in a random term; name its columns.",
            text,
            bar.left.position,
        )
    if expanded.offsets or any(is_offset(v) for t in expanded.part.terms for v in t.variables):
        raise formula_error(
            "An offset belongs to the fixed part, outside the bars.",
            text,
            bar.left.position,
        )
    if not expanded.part.intercept and not expanded.part.terms:
        raise formula_error(
            "No effect is left before this bar; a random intercept is written `(1 | g)`.",
            text,
            bar.position,
            len(bar.operator),
        )
    return expanded.part


def _pieces(effects: LinearPart, position: int) -> list[tuple[Expression, LinearPart]]:
    """The terms before ``||`` one by one, the intercept first."""
    pieces: list[tuple[Expression, LinearPart]] = []
    if effects.intercept:
        pieces.append((Number(1.0, "1", position), LinearPart(True, ())))
    for term in effects.terms:
        written = Binary("+", Number(0.0, "0", position), term_expression(term), position)
        pieces.append((written, LinearPart(False, (term,))))
    return pieces


def term_expression(term: Term) -> Expression:
    whole = term.variables[0]
    for variable in term.variables[1:]:
        whole = Binary(":", whole, variable, whole.position)
    return whole


# -- grouping factors ----------------------------------------------------------------------------


def _groups(bar: Binary, text: str) -> list[Expression]:
    """The grouping factors of a bar as lme4 writes them, innermost first for ``/``."""
    found: dict[frozenset[Expression], Expression] = {}
    for group in _expand_group(bar.right, text):
        found.setdefault(frozenset(_factors(group)), group)
    return list(found.values())


def _expand_group(node: Expression, text: str) -> list[Expression]:
    if isinstance(node, Parenthesis):
        inner = _expand_group(node.inner, text)
        return [node] if inner == [node.inner] else inner
    if isinstance(node, Binary) and node.operator in ("+", "*", "/", ":", "%in%"):
        left = _expand_group(node.left, text)
        right = _expand_group(node.right, text)
        if len(left) * len(right) > MAX_GROUPS:
            raise formula_error(
                f"This bar stands for more than {MAX_GROUPS} grouping factors; write only those "
                "you need.",
                text,
                node.position,
            )
        return _combine(node, left, right)
    _check_group(node, text)
    return [node]


def _combine(node: Binary, left: list[Expression], right: list[Expression]) -> list[Expression]:
    at = node.position
    if node.operator == "+":
        return left + right
    if node.operator == "/":
        outer = _whole(left, at)
        return [Binary(":", inner, outer, at) for inner in right] + left
    crossed: list[Expression] = [Binary(":", a, b, at) for a in left for b in right]
    return left + right + crossed if node.operator == "*" else crossed


def _whole(groups: list[Expression], position: int) -> Expression:
    """The interaction of all factors of several groups (the first one, if it has them all)."""
    every = {factor for group in groups for factor in _factors(group)}
    if set(_factors(groups[0])) == every:
        return groups[0]
    whole = groups[0]
    for group in groups[1:]:
        if not set(_factors(group)) <= set(_factors(whole)):
            whole = Binary(":", whole, group, position)
    return whole


def _factors(group: Expression) -> tuple[Expression, ...]:
    """The factors interacting in a group, left to right, each once."""
    group = strip(group)
    if isinstance(group, Binary) and group.operator == ":":
        return tuple(dict.fromkeys(_factors(group.left) + _factors(group.right)))
    return (group,)


def _check_group(node: Expression, text: str) -> None:
    if isinstance(node, Name) and node.name != ".":
        return
    if isinstance(node, Call) and lookup(node.function).kind in _GROUPING:
        return
    if isinstance(node, Call):
        message = f"`{node.function}()` makes no grouping factor; name a column."
    elif isinstance(node, Number):
        message = f"{node.text} is no grouping factor; name a column after the bar, `(1 | g)`."
    else:
        message = (
            f"`{deparse(node)}` is no grouping factor: columns are joined there by `:`, `/`, `*` "
            "or `+` only."
        )
    raise formula_error(message, text, node.position)
