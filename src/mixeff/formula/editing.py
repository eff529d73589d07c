"""Changing a formula: ``. ~ . - IQ``, as R's ``update.formula`` reads it."""

from __future__ import annotations

from mixeff.formula.bars import (
    BARS,
    contains_bar,
    random_parts,
    split_bars,
    strip,
    summands,
    term_expression,
    total,
)
from mixeff.formula.checks import check_calls
from mixeff.formula.deparse import deparse
from mixeff.formula.problems import formula_error
from mixeff.formula.syntax import parse_expression
from mixeff.formula.terms import expand_terms
from mixeff.formula.tree import (
    Argument,
    Binary,
    Call,
    Expression,
    ModelFormula,
    Name,
    Number,
    Parenthesis,
    RandomPart,
    Unary,
)
from mixeff.formula.variables import variables_of

Key = tuple[bool, frozenset[frozenset[Expression]], frozenset[Expression]]
# A name no column can have stands for a random term while the sum is worked out.
_MARK = "\0random"


def update_formula(old: ModelFormula, new: str) -> str:
    """The old formula changed as the new one says, its dots standing for the old sides.

    Parameters
    ----------
    old : ModelFormula
    new : str
        ``". ~ . - IQ"``, ``". ~ . + (1 | g)"``, ``"log(.) ~ ."``, ``"~ . + x"`` (the response is
        kept). A dot on the right stands for all old terms, the random ones and offsets included;
        inside a product (``. * x``) only the fixed ones are multiplied.

    Returns
    -------
    str
        The new formula, terms sorted by degree as R writes them.

    Raises
    ------
    FormulaError
        ``new`` cannot be read, or subtracts a random term the old formula does not have.

    Examples
    --------
    >>> from mixeff.formula import parse_formula
    >>> update_formula(parse_formula("y ~ a * b + (1 | g)"), "log(.) ~ . - a:b")
    'log(y) ~ a + b + (1 | g)'
    """
    tree = parse_expression(new)
    response, rhs = _sides(tree, new)
    check_calls(rhs, new)
    editor = _Editor(old, new)
    left = old.response if response is None else _replace_dot(response, old.response)
    if left is None or "." in variables_of(left):
        raise formula_error("The old formula has no response for the dot to stand for.", new, 0)
    return deparse(Binary("~", left, editor.result(rhs)))


def _sides(tree: Expression, text: str) -> tuple[Expression | None, Expression]:
    if isinstance(tree, Binary) and tree.operator == "~":
        return tree.left, tree.right
    if isinstance(tree, Unary) and tree.operator == "~":
        return None, tree.operand
    raise formula_error(
        "A change of a formula has a `~`, for example `. ~ . + x`.",
        text,
        len(text.rstrip()),
    )


def _replace_dot(node: Expression, by: Expression | None) -> Expression:
    """Every ``.`` in a left-hand side replaced by the old response."""
    if isinstance(node, Name):
        return by if node.name == "." and by is not None else node
    if isinstance(node, Parenthesis):
        return Parenthesis(_replace_dot(node.inner, by))
    if isinstance(node, Unary):
        return Unary(node.operator, _replace_dot(node.operand, by))
    if isinstance(node, Binary):
        return Binary(node.operator, _replace_dot(node.left, by), _replace_dot(node.right, by))
    if isinstance(node, Call):
        arguments = tuple(Argument(a.name, _replace_dot(a.value, by)) for a in node.arguments)
        return Call(node.function, arguments)
    return node


class _Editor:
    """The random terms of both formulas, marked by name, while the fixed algebra is done."""

    def __init__(self, old: ModelFormula, new: str) -> None:
        self.old = old
        self.new = new
        self.bars: dict[str, Binary] = {}
        self.removed: dict[Key, tuple[str, int]] = {}

    def result(self, rhs: Expression) -> Expression:
        marked = self._marked(rhs, self._old_rhs(), "+")
        whole = Number(0.0, "0") if marked is None else marked
        expanded = expand_terms(whole, self.new)
        intercept = expanded.part.intercept if marked is not None else True
        kept = self._kept()
        parts: list[tuple[str, Expression]] = []
        for term in expanded.part.terms:
            marks = [v.name for v in term.variables if isinstance(v, Name) and v.name in self.bars]
            if not marks:
                parts.append(("+", term_expression(term)))
            for mark in marks:
                # `. * x` must not lose a random term: it is kept, never multiplied.
                parts.extend(("+", bar) for bar in kept.pop(mark, ()))
        parts.extend(("+", offset) for offset in expanded.offsets)
        if not parts:
            return Number(1.0, "1") if intercept else Unary("-", Number(1.0, "1"))
        if not intercept:
            parts.append(("-", Number(1.0, "1")))
        joined = total(parts)
        assert joined is not None
        return joined

    def _old_rhs(self) -> Expression:
        """The old right-hand side with its random terms marked."""
        tree = parse_expression(self.old.text)
        rhs = tree.right if isinstance(tree, Binary) and tree.operator == "~" else tree
        if isinstance(rhs, Unary) and rhs.operator == "~":
            rhs = rhs.operand
        if "." in variables_of(rhs):
            rhs = self._from_terms(rhs)
        marked = self._marked(rhs, None, "+")
        return Number(1.0, "1") if marked is None else marked

    def _from_terms(self, rhs: Expression) -> Expression:
        """The old right-hand side when a dot in it already stood for the columns of the data."""
        parts: list[tuple[str, Expression]] = [
            ("+", term_expression(term)) for term in self.old.fixed.terms
        ]
        parts.extend(("+", offset) for offset in self.old.offsets)
        parts.extend(("+", Parenthesis(bar)) for bar in split_bars(rhs, self.old.text).bars)
        parts.append(("+", Number(1.0, "1")) if self.old.fixed.intercept else ("+", Number(0, "0")))
        return total(parts) or rhs

    def _marked(self, node: Expression, dot: Expression | None, outer: str) -> Expression | None:
        """The expression with dots filled in and random terms replaced by marks."""
        parts: list[tuple[str, Expression]] = []
        for sign, part in summands(node):
            inner = strip(part)
            if not contains_bar(part):
                parts.append((sign, self._fill(part, dot)))
            elif isinstance(inner, Binary) and inner.operator in BARS and inner is not part:
                negative = (sign == "-") != (outer == "-")
                if negative:
                    self._remove(inner)
                else:
                    parts.append((sign, self._mark(inner)))
            elif isinstance(part, Parenthesis):
                flipped = "-" if (sign == "-") != (outer == "-") else "+"
                nested = self._marked(inner, dot, flipped)
                if nested is not None:
                    parts.append((sign, Parenthesis(nested)))
            else:
                raise formula_error(
                    "A random term stands alone in the sum, in parentheses: `. ~ . + (1 | g)`.",
                    self.new,
                    part.position,
                )
        return total(parts)

    def _fill(self, node: Expression, dot: Expression | None) -> Expression:
        if dot is None:
            return node
        if isinstance(node, Name) and node.name == ".":
            return Parenthesis(dot)
        if isinstance(node, Parenthesis):
            return Parenthesis(self._fill(node.inner, dot), node.position)
        if isinstance(node, Unary):
            return Unary(node.operator, self._fill(node.operand, dot), node.position)
        if isinstance(node, Binary):
            left, right = self._fill(node.left, dot), self._fill(node.right, dot)
            return Binary(node.operator, left, right, node.position)
        return node

    # -- random terms --------------------------------------------------------------------------

    def _parts(self, bar: Binary, text: str) -> list[RandomPart]:
        return random_parts(bar, text, "lme4", ())

    def _mark(self, bar: Binary) -> Name:
        keys = {_key(p) for p in self._parts(bar, self.new)}
        for mark, known in self.bars.items():
            if keys == {_key(p) for p in self._parts(known, self.new)}:
                return Name(mark)
        mark = f"{_MARK}{len(self.bars)}"
        self.bars[mark] = bar
        return Name(mark)

    def _remove(self, bar: Binary) -> None:
        for part in self._parts(bar, self.new):
            self.removed[_key(part)] = (part.label, bar.position)

    def _kept(self) -> dict[str, list[Expression]]:
        """What is left of each marked random term, as it is to be written."""
        missing = dict(self.removed)
        kept: dict[str, list[Expression]] = {}
        for mark, bar in self.bars.items():
            parts = self._parts(bar, self.new)
            rest = [p for p in parts if _key(p) not in self.removed]
            for part in parts:
                missing.pop(_key(part), None)
            if len(rest) == len(parts):
                kept[mark] = [Parenthesis(bar)]
            else:
                kept[mark] = [Parenthesis(_bar_of(p, bar.operator)) for p in rest]
        for label, position in missing.values():
            has = ", ".join(p.label for p in self.old.random) or "none"
            raise formula_error(
                f"There is no random term {label} to remove; the formula has {has}.",
                self.new,
                position,
            )
        return kept


def _key(part: RandomPart) -> Key:
    terms = frozenset(frozenset(t.variables) for t in part.effects.terms)
    return part.effects.intercept, terms, frozenset(part.group)


def _bar_of(part: RandomPart, operator: str) -> Binary:
    """One random term written with its bar; an intercept alone needs no double one."""
    effects: list[tuple[str, Expression]] = [
        ("+", Number(1.0, "1") if part.effects.intercept else Number(0.0, "0"))
    ]
    effects.extend(("+", term_expression(term)) for term in part.effects.terms)
    lone = part.group[0] if len(part.group) == 1 else None
    group = lone if isinstance(lone, Name) else parse_expression(part.group_label)
    left = total(effects) or Number(1.0, "1")
    return Binary(operator if part.effects.terms else "|", left, group)
