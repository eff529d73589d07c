"""Right-hand side of a formula to terms, as R's ``terms.formula`` expands it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mixeff.formula.deparse import deparse_label, left_spine
from mixeff.formula.problems import formula_error
from mixeff.formula.tree import (
    Binary,
    Call,
    Expression,
    LinearPart,
    Name,
    Number,
    Parenthesis,
    String,
    Term,
    Unary,
)

#: A formula that multiplies out to more terms is refused.
MAX_TERMS = 50_000
_SETS = frozenset({"+", "-", "*", "/", ":", "^", "%in%"})
_LOGICALS = {"TRUE": 1, "FALSE": 0}
_NO_TERMS = frozenset({"NULL", "Inf", "NaN", "NA"})


@dataclass(frozen=True, slots=True)
class Expanded:
    """An expanded right-hand side and the offsets taken out of it."""

    part: LinearPart
    offsets: tuple[Expression, ...]
    has_dot: bool


def expand_terms(
    expression: Expression,
    text: str,
    *,
    dot: Sequence[str] | None = None,
    columns: Sequence[str] = (),
) -> Expanded:
    """Multiply a right-hand side out into terms.

    Parameters
    ----------
    expression : Expression
        The right-hand side without random terms.
    text : str
        The whole formula, for messages.
    dot : sequence of str, optional
        The columns ``.`` stands for; None leaves ``.`` a term of its own.
    columns : sequence of str, optional
        Every column of the data (only to tell columns from constants such as ``TRUE``).

    Returns
    -------
    Expanded
        Terms by degree, within a degree as they appear; each set of variables once.

    Raises
    ------
    FormulaError
        A number other than 0 and 1, a text, a bad power, more than 50,000 terms.

    Notes
    -----
    A term is a set of variables, kept as an integer whose bits are the variables in order of
    appearance; R documents the algebra in ``?formula`` and ``?terms.object`` (after Wilkinson and
    Rogers 1973).

    Examples
    --------
    >>> from mixeff.formula import parse_expression
    >>> part = expand_terms(parse_expression("b * a - 1"), "b * a - 1").part
    >>> part.intercept, [t.label for t in part.terms]
    (False, ['b', 'a', 'b:a'])
    """
    expansion = _Expansion(text, dot, columns)
    expansion.collect(expression)
    masks = expansion.encode(expression)
    return expansion.result(masks)


class _Expansion:
    """The variables of one right-hand side and the state of its intercept."""

    def __init__(self, text: str, dot: Sequence[str] | None, columns: Sequence[str]) -> None:
        self.source = text
        self.dot = dot
        self.columns = frozenset(columns)
        self.bits: dict[Expression, int] = {}
        self.intercept = True
        self.adding = True  # False while encoding what stands after a minus

    # -- variables -----------------------------------------------------------------------------

    def collect(self, node: Expression) -> None:
        """Number the variables in order of appearance."""
        if isinstance(node, Parenthesis):
            self.collect(node.inner)
        elif isinstance(node, Unary) and node.operator != "!":
            self.collect(node.operand)
        elif isinstance(node, Binary) and node.operator in _SETS:
            spine = list(left_spine(node))
            self.collect(spine[-1].left)
            for level in reversed(spine):
                if level.operator != "^":
                    self.collect(level.right)
        elif self._is_dot(node) and self.dot is not None:
            for name in self.dot:
                self._install(Name(name, node.position))
        elif self._constant(node) is None:
            self._install(node)

    def _install(self, node: Expression) -> int:
        return self.bits.setdefault(node, 1 << len(self.bits))

    @staticmethod
    def _is_dot(node: Expression) -> bool:
        return isinstance(node, Name) and node.name == "."

    def _constant(self, node: Expression) -> int | None:
        """0 or 1 for what switches the intercept, None for a variable."""
        if isinstance(node, Number):
            if node.value in (0.0, 1.0):
                return int(node.value)
            raise formula_error(
                f"The number {node.text} is no term: only 0 and 1 (no intercept, intercept) are; "
                f"arithmetic is written inside `I()`, for example `I({node.text} * x)`.",
                self.source,
                node.position,
                len(node.text),
            )
        if isinstance(node, String):
            raise formula_error(
                "A quoted text is no term; names of columns are written without quotes "
                "(in backquotes where they contain blanks).",
                self.source,
                node.position,
            )
        if isinstance(node, Name) and node.name not in self.columns:
            if node.name in _LOGICALS:
                return _LOGICALS[node.name]
            if node.name in _NO_TERMS:
                raise formula_error(
                    f"`{node.name}` is no term.",
                    self.source,
                    node.position,
                    len(node.name),
                )
        return None

    # -- algebra of sets -----------------------------------------------------------------------

    def encode(self, node: Expression) -> list[int]:
        """The terms of an expression, each once, as sets of bits."""
        if isinstance(node, Parenthesis):
            return self.encode(node.inner)
        if isinstance(node, Unary) and node.operator == "+":
            return self.encode(node.operand)
        if isinstance(node, Unary) and node.operator == "-":
            self._negative(node.operand)
            return []
        if isinstance(node, Binary) and node.operator in ("+", "-"):
            return self._sum(node)
        if isinstance(node, Binary) and node.operator == "^":
            return self._power(node)
        if isinstance(node, Binary) and node.operator in _SETS:
            left = self.encode(node.left)
            right = self.encode(node.right)
            return self._product(node, left, right)
        if self._is_dot(node) and self.dot is not None:
            return [self.bits[Name(name)] for name in dict.fromkeys(self.dot)]
        value = self._constant(node)
        if value is None:
            return [self._install(node)]
        self.intercept = self.adding if value == 1 else not self.adding
        return []

    def _negative(self, node: Expression) -> list[int]:
        self.adding = not self.adding
        masks = self.encode(node)
        self.adding = not self.adding
        return masks

    def _sum(self, node: Binary) -> list[int]:
        spine = list(left_spine(node))
        start = len(spine)
        while start and spine[start - 1].operator not in ("+", "-"):
            start -= 1  # the left end may be a product: it is one operand
        first = spine[start - 1].left
        found = dict.fromkeys(self.encode(first))
        for level in reversed(spine[:start]):
            if level.operator == "+":
                found.update(dict.fromkeys(self.encode(level.right)))
            else:
                for mask in self._negative(level.right):
                    found.pop(mask, None)
        return list(found)

    def _product(self, node: Binary, left: list[int], right: list[int]) -> list[int]:
        self._check_size(node, len(left) * max(len(right), 1))
        if node.operator == "/":
            whole = _union(left)
            return _unique(left + [whole | r for r in right])
        if node.operator == "%in%":
            whole = _union(right)
            return _unique([mask | whole for mask in left])
        crossed = [one | other for one in left for other in right]
        if node.operator == ":":
            return _unique(crossed)
        return _unique(left + right + crossed)

    def _power(self, node: Binary) -> list[int]:
        exponent = node.right
        while isinstance(exponent, Parenthesis):
            exponent = exponent.inner
        if not isinstance(exponent, Number) or exponent.value < 1 or exponent.value % 1:
            raise formula_error(
                "The power of terms must be a whole number of at least 1, as in `(a + b)^2`; "
                "the power of a column is written `I(x^2)`.",
                self.source,
                node.position,
            )
        base = self.encode(node.left)
        masks = base
        for _ in range(min(int(exponent.value), len(base)) - 1):
            self._check_size(node, len(masks) * len(base))
            masks = _unique([one | other for one in masks for other in base])
        return masks

    def _check_size(self, node: Binary, size: int) -> None:
        if size > MAX_TERMS:
            raise formula_error(
                f"Multiplied out, the formula has more than {MAX_TERMS:,} terms here; write only "
                "the interactions you need.",
                self.source,
                node.position,
            )

    # -- result --------------------------------------------------------------------------------

    def result(self, masks: list[int]) -> Expanded:
        variables = list(self.bits)
        offset_bits = _union([bit for v, bit in self.bits.items() if is_offset(v)])
        used = _union(masks)
        offsets = tuple(v for v, bit in self.bits.items() if bit & offset_bits & used)
        labels = [deparse_label(v) for v in variables]
        terms = []
        for mask in sorted((m for m in masks if not m & offset_bits), key=int.bit_count):
            members = _members(mask)
            label = ":".join(labels[i] for i in members)
            terms.append(Term(tuple(variables[i] for i in members), label))
        has_dot = any(self._is_dot(v) for v in variables)
        return Expanded(LinearPart(self.intercept, tuple(terms)), offsets, has_dot)


def is_offset(node: Expression) -> bool:
    """The expression is a call ``offset(...)``."""
    return isinstance(node, Call) and node.function == "offset"


def _union(masks: list[int]) -> int:
    whole = 0
    for mask in masks:
        whole |= mask
    return whole


def _unique(masks: list[int]) -> list[int]:
    return list(dict.fromkeys(masks))


def _members(mask: int) -> list[int]:
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
