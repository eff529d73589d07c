"""Which columns an expression uses."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mixeff.formula.functions import CONSTANTS, RESERVED_CONSTANTS
from mixeff.formula.tree import Binary, Call, Expression, Name, Parenthesis, Unary


def variables_of(expression: Expression, columns: Collection[str] = ()) -> tuple[str, ...]:
    """Names of the columns used, in order of first appearance, each once.

    ``TRUE``, ``NULL``, ``Inf`` and their like are constants. ``pi``, ``T`` and ``F`` are constants
    inside a function call (``sin(2 * pi * x)``, ``poly(x, 2, raw = T)``) unless ``columns`` has
    them; outside a call they name columns.

    Parameters
    ----------
    expression : Expression
    columns : collection of str, optional
        Names the data has, where known.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> from mixeff.formula import parse_expression
    >>> variables_of(parse_expression("log(b) ~ a + sin(2 * pi * b)"))
    ('b', 'a')
    """
    found: dict[str, None] = {}
    for name, in_call in _names(expression):
        if name in RESERVED_CONSTANTS and name not in columns:
            continue
        if name in CONSTANTS and in_call and name not in columns:
            continue
        found.setdefault(name)
    return tuple(found)


def _names(expression: Expression) -> Iterator[tuple[str, bool]]:
    """Every name from left to right, with whether it stands inside a function call."""
    stack: list[tuple[Expression, bool]] = [(expression, False)]
    while stack:
        node, in_call = stack.pop()
        if isinstance(node, Name):
            yield node.name, in_call
        elif isinstance(node, Binary):
            stack.extend(((node.right, in_call), (node.left, in_call)))
        elif isinstance(node, Unary):
            stack.append((node.operand, in_call))
        elif isinstance(node, Parenthesis):
            stack.append((node.inner, in_call))
        elif isinstance(node, Call):
            stack.extend((a.value, True) for a in reversed(node.arguments))
