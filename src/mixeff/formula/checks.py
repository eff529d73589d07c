"""What a syntactically right formula may still not contain."""

from __future__ import annotations

from collections.abc import Collection

from mixeff.formula.bars import BARS, contains_bar, strip, summands
from mixeff.formula.deparse import deparse
from mixeff.formula.functions import (
    FUNCTIONS,
    FunctionKind,
    match_arguments,
    unknown_function_message,
)
from mixeff.formula.problems import formula_error
from mixeff.formula.tree import (
    Binary,
    Call,
    Expression,
    Name,
    Number,
    Parenthesis,
    Unary,
)
from mixeff.formula.variables import variables_of

#: Names lme4 and glmmTMB give covariance structures.
STRUCTURES = frozenset(
    {"us", "diag", "homdiag", "cs", "homcs", "ar1", "hetar1", "toep", "homtoep", "ou", "exp",
     "gau", "mat", "rr", "propto", "equalto"}
)  # fmt: skip


def check_calls(tree: Expression, text: str) -> None:
    """Every call is of a known function, rightly used, with arguments it has.

    Raises
    ------
    FormulaError
        With the place of the call.
    """
    # each node with the call it stands in
    stack: list[tuple[Expression, Call | None]] = [(tree, None)]
    while stack:
        node, outer = stack.pop()
        if isinstance(node, Call):
            _check_call(node, outer, text)
            stack.extend((a.value, node) for a in reversed(node.arguments))
        elif isinstance(node, Binary):
            if outer is not None and node.operator in BARS:
                _check_logical(node, outer, text)
            stack.extend(((node.right, outer), (node.left, outer)))
        elif isinstance(node, Unary):
            stack.append((node.operand, outer))
        elif isinstance(node, Parenthesis):
            stack.append((node.inner, outer))
        elif isinstance(node, Name) and node.name == "." and outer is not None:
            raise formula_error(
                f"`.` cannot be used inside `{outer.function}()`; name the column.",
                text,
                node.position,
            )


def _check_call(call: Call, outer: Call | None, text: str) -> None:
    name = call.function
    if name in STRUCTURES and any(contains_bar(a.value) for a in call.arguments):
        raise formula_error(
            f"The covariance structure `{name}(x | g)` is not available; `(x | g)` estimates all "
            "variances and correlations, `(x || g)` variances only.",
            text, call.position, len(name),
        )  # fmt: skip
    if name not in FUNCTIONS:
        raise formula_error(unknown_function_message(name), text, call.position, len(name))
    match_arguments(call, text)
    kind = FUNCTIONS[name].kind
    if kind is FunctionKind.VALUE and outer is None:
        message = f"`{name}()` can only be the value of an argument, `bs(x, knots = c(2, 5))`; "
        raise formula_error(message + "join terms with `+`.", text, call.position, len(name))
    if kind is FunctionKind.OFFSET and outer is not None:
        raise formula_error(
            f"`offset()` must stand alone in the sum, not inside `{outer.function}()`.",
            text, call.position, len(name),
        )  # fmt: skip
    if kind is FunctionKind.BIND and outer is not None:
        raise formula_error(
            f"`cbind()` can only be the whole response, not stand inside `{outer.function}()`.",
            text, call.position, len(name),
        )  # fmt: skip


def _check_logical(node: Binary, outer: Call, text: str) -> None:
    """Inside a call a bar means "or"; a random term there is a mistake."""
    if any(isinstance(strip(part), Number) for _, part in summands(strip(node.left))):
        raise formula_error(
            f"A random term cannot stand inside `{outer.function}()`; write it as a summand, "
            "`y ~ x + (1 | g)`.",
            text, node.position, len(node.operator),
        )  # fmt: skip


def check_terms(expressions: list[Expression], text: str, columns: Collection[str] = ()) -> None:
    """Every term on the right uses a column, and none is ``cbind()``."""
    for node in expressions:
        if not variables_of(node, columns):
            hint = (
                "; to compare write `==`"
                if isinstance(node, Call) and any(a.name is not None for a in node.arguments)
                else ""
            )
            raise formula_error(
                f"The term `{deparse(node)}` names no column{hint}.", text, node.position
            )
        if isinstance(node, Call) and FUNCTIONS[node.function].kind is FunctionKind.BIND:
            raise formula_error(
                "`cbind()` can only be the response, on the left of `~`.",
                text,
                node.position,
                5,
            )


def check_response(response: Expression, text: str) -> None:
    """The left-hand side is arithmetic on columns.

    Raises
    ------
    FormulaError
        A dot, a bar, no column at all, or a function that gives no response.
    """
    if contains_bar(response):
        raise formula_error("Random terms stand on the right of `~`.", text, response.position)
    names = variables_of(response)
    if "." in names:
        raise formula_error(
            "`.` cannot be the response; only in `update()` does it stand for the old one.",
            text, response.position,
        )  # fmt: skip
    if not names:
        raise formula_error(
            f"The response `{deparse(response)}` names no column.",
            text,
            response.position,
        )
    node = strip(response)
    if isinstance(node, Call) and FUNCTIONS[node.function].kind in (
        FunctionKind.BASIS, FunctionKind.OFFSET, FunctionKind.VALUE,
    ):  # fmt: skip
        raise formula_error(
            f"`{node.function}()` cannot be the response.",
            text, node.position, len(node.function),
        )  # fmt: skip
