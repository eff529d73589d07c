"""Expressions back to text, in R's spelling."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from mixeff.formula.tokens import is_name_part, is_name_start
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

#: Binding strength of R's binary operators, weak to strong (R, ?Syntax).
PRECEDENCE: Final[dict[str, int]] = {
    "~": 1, "|": 2, "||": 2, "&": 3, "&&": 3,
    "<": 5, ">": 5, "<=": 5, ">=": 5, "==": 5, "!=": 5,
    "+": 6, "-": 6, "*": 7, "/": 7, "%in%": 8, ":": 9, "^": 11,
}  # fmt: skip
#: Binding strength of the prefix operators.
PREFIX_PRECEDENCE: Final[dict[str, int]] = {"~": 1, "!": 4, "-": 10, "+": 10}
_COMPARISONS = frozenset({"<", ">", "<=", ">=", "==", "!="})
_TIGHT = frozenset({"^", ":", "/"})  # written without blanks, never broken after
_RESERVED = frozenset({"if", "else", "repeat", "while", "function", "for", "next", "break", "in"})
_LITERALS = frozenset(
    {
        "TRUE",
        "FALSE",
        "NULL",
        "Inf",
        "NaN",
        "NA",
        "NA_integer_",
        "NA_real_",
        "NA_character_",
    }
)
_STRING_ESCAPES = {
    "\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b",
    "\f": "\\f", "\v": "\\v", "\0": "\\0",
}  # fmt: skip


def deparse(expression: Expression) -> str:
    """The expression on one line, spelt as R's ``deparse`` spells it.

    Parameters
    ----------
    expression : Expression
        A tree of ``mixeff.formula.tree``.

    Returns
    -------
    str
        Parsing it gives an equal tree (parentheses are added where a tree lacks needed ones).

    Examples
    --------
    >>> from mixeff.formula import parse_expression
    >>> deparse(parse_expression("I( x**2 )+a :b / c"))
    'I(x^2) + a:b/c'
    """
    try:
        return _remembered(expression)
    except RecursionError:  # a sum of thousands of columns is deeper than its hash can go
        return _one_line(expression)


def _one_line(expression: Expression) -> str:
    writer = _Writer(cutoff=None)
    writer.expression(expression)
    return "".join(writer.finish())


_remembered = lru_cache(maxsize=4096)(_one_line)


def deparse_label(expression: Expression) -> str:
    """The expression as R's ``terms`` names it: like ``deparse``, integers without their ``L``.

    Examples
    --------
    >>> from mixeff.formula import parse_expression
    >>> deparse_label(parse_expression("poly(x, 2L)"))
    'poly(x, 2)'
    """
    writer = _Writer(cutoff=None, suffix=False)
    writer.expression(expression)
    return "".join(writer.finish())


def deparse_lines(expression: Expression, width: int = 60) -> list[str]:
    """The expression in lines, broken where R's ``deparse(width.cutoff = width)`` breaks.

    A line is ended after an operator or a comma once it is longer than ``width``; the lines that
    follow are indented by four blanks. A broken line keeps its last blank, as in R.

    Parameters
    ----------
    expression : Expression
    width : int, optional
        R's ``width.cutoff``.

    Returns
    -------
    list of str
    """
    writer = _Writer(cutoff=width)
    writer.expression(expression)
    return writer.finish()


def quote_name(name: str) -> str:
    """The name, in backquotes where R needs them.

    Examples
    --------
    >>> quote_name("total.fruits"), quote_name("my column"), quote_name("in")
    ('total.fruits', '`my column`', '`in`')
    """
    plain = (
        bool(name)
        and is_name_start(name, 0)
        and all(is_name_part(c) for c in name)
        and name not in _RESERVED
    )
    if plain:
        return name
    escaped = "".join(_STRING_ESCAPES.get(c, c) if c != '"' else c for c in name)
    return "`" + escaped.replace("`", "\\`") + "`"


class _Writer:
    """Collects text in lines by R's rule for breaking them."""

    def __init__(self, cutoff: int | None, suffix: bool = True) -> None:
        self.cutoff = cutoff
        self.suffix = suffix  # the L of integers
        self.lines: list[str] = []
        self.current: list[str] = []
        self.length = 0
        self.indent = 0

    def text(self, piece: str) -> None:
        if not self.current and self.indent:
            tabs = "    " * min(self.indent, 4) + "  " * max(self.indent - 4, 0)
            self.current.append(tabs)
            self.length += len(tabs)
        self.current.append(piece)
        self.length += len(piece)

    def may_break(self, broken: bool) -> bool:
        """End the line if it is long enough; tell whether this construct has broken a line."""
        if self.cutoff is None or self.length <= self.cutoff:
            return broken
        if not broken:
            self.indent += 1
        self.lines.append("".join(self.current))
        self.current = []
        self.length = 0
        return True

    def finish(self) -> list[str]:
        if self.current or not self.lines:
            self.lines.append("".join(self.current))
        self.current = []
        return self.lines

    def expression(self, node: Expression) -> None:
        if isinstance(node, Binary):
            self._binary(node)
        elif isinstance(node, Number):
            self.text(node.text if self.suffix else node.text.removesuffix("L"))
        elif isinstance(node, String):
            self.text('"' + "".join(_STRING_ESCAPES.get(c, c) for c in node.value) + '"')
        elif isinstance(node, Name):
            self.text(quote_name(node.name))
        elif isinstance(node, Unary):
            self.text(node.operator)
            self._operand(node.operand, _unary_needs_parentheses(node))
        elif isinstance(node, Parenthesis):
            self._operand(node.inner, True)
        else:
            self._call(node)

    def _operand(self, node: Expression, parentheses: bool) -> None:
        if parentheses:
            self.text("(")
        self.expression(node)
        if parentheses:
            self.text(")")

    def _binary(self, node: Binary) -> None:
        # A sum of a thousand terms leans to the left: walk it, do not recurse.
        spine = list(left_spine(node))
        first = spine[-1]
        self._operand(first.left, _left_needs_parentheses(first))
        for level in reversed(spine):
            operator = level.operator
            self.text(operator if operator in _TIGHT else f" {operator} ")
            broken = operator not in _TIGHT and self.may_break(False)
            self._operand(level.right, _right_needs_parentheses(level))
            if broken:
                self.indent -= 1

    def _call(self, node: Call) -> None:
        self.text(quote_name(node.function) + "(")
        broken = False
        for index, argument in enumerate(node.arguments):
            if index:
                self.text(", ")
                broken = self.may_break(broken)
            self._argument(argument)
        self.text(")")
        if broken:
            self.indent -= 1

    def _argument(self, argument: Argument) -> None:
        if argument.name is not None:
            name = argument.name
            self.text(f"`{name}`" if name in _LITERALS else quote_name(name))
            self.text(" = ")
        self._operand(argument.value, False)


def left_spine(node: Binary) -> Iterator[Binary]:
    """``node``, its left child, and so on, while no parentheses have to be written between."""
    yield node
    while isinstance(node.left, Binary) and not _left_needs_parentheses(node):
        node = node.left
        yield node


def _left_needs_parentheses(node: Binary) -> bool:
    own = PRECEDENCE[node.operator]
    left = node.left
    if isinstance(left, Binary):
        strength = PRECEDENCE[left.operator]
        chained = node.operator == "^" or node.operator in _COMPARISONS
        if strength < own or (chained and strength == own):
            return True
    return _open_prefix(left, own)


def _open_prefix(node: Expression, strength: int) -> bool:
    """``node`` ends in a prefix operator that would swallow a following operator's left side."""
    while True:
        if isinstance(node, Binary) and not _right_needs_parentheses(node):
            node = node.right
        elif isinstance(node, Unary):
            if PREFIX_PRECEDENCE[node.operator] < strength:
                return True
            if _unary_needs_parentheses(node):
                return False
            node = node.operand
        else:
            return False


def _right_needs_parentheses(node: Binary) -> bool:
    own = PRECEDENCE[node.operator]
    right = node.right
    if isinstance(right, Binary):
        strength = PRECEDENCE[right.operator]
        return strength < own or (strength == own and node.operator != "^")
    return False


def _unary_needs_parentheses(node: Unary) -> bool:
    own = PREFIX_PRECEDENCE[node.operator]
    inner = node.operand
    return isinstance(inner, Binary) and PRECEDENCE[inner.operator] <= own
