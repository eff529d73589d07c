"""Undoing the transformation of a response, one elementary function after the other.

``2 * log(y + 1)`` is read from the outside in: a multiple, a logarithm, a shift. Each has an
inverse with a derivative; what is left (``y``) is the response itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.formula.tree import Binary, Call, Expression, Number, Parenthesis, Unary

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]

_EVERYWHERE = (-math.inf, math.inf)
_BASES = {"log": math.e, "log2": 2.0, "log10": 10.0}


@dataclass(frozen=True, slots=True)
class Step:
    """One elementary function, undone.

    Attributes
    ----------
    inverse, slope : the argument that gives a value, and its derivative in that value
    domain : (float, float), the values the function can take
    base : float or None, of a logarithm
    factor : float or None, of a multiple with or without a shift
    shift : float, what such a function adds
    """

    inverse: Function
    slope: Function
    domain: tuple[float, float] = _EVERYWHERE
    base: float | None = None
    factor: float | None = None
    shift: float = 0.0


def steps_of(expression: Expression, learnt: Mapping[str, Any]) -> tuple[Step, ...]:
    """The functions that make a response of the innermost expression, outermost first.

    Parameters
    ----------
    expression : Expression
    learnt : what ``scale(y)`` and ``center(y)`` took from the data, by place in the tree

    Returns
    -------
    tuple of Step
        Up to the first expression that is no known function of one argument and numbers; empty for
        a response as it stands in the data.
    """
    steps: list[Step] = []
    node, place = expression, ""
    while True:
        if isinstance(node, Parenthesis):
            node = node.inner
            continue
        found = _step(node, place, learnt)
        if found is None:
            return tuple(steps)
        step, node, place = found
        if step is not None:
            steps.append(step)


Found = tuple[Step | None, Expression, str] | None


def _step(node: Expression, place: str, learnt: Mapping[str, Any]) -> Found:
    """The outermost function of an expression, its argument and where that stands."""
    if isinstance(node, Unary) and node.operator in "+-":
        return _affine(-1.0 if node.operator == "-" else 1.0, 0.0), node.operand, place
    if isinstance(node, Binary):
        return _of_operator(node, place)
    if not isinstance(node, Call) or not node.arguments:
        return None
    inside = node.arguments[0].value, f"{place}/x"
    if node.function == "I":
        return None, *inside
    if node.function in ("scale", "center"):
        return (_standardized(learnt[f"{place}/"]), *inside) if f"{place}/" in learnt else None
    step = _of_function(node)
    return None if step is None else (step, *inside)


def _of_operator(node: Binary, place: str) -> Found:
    """A sum, product, quotient or power of which one side is a number."""
    left, right = constant(node.left), constant(node.right)
    if (left is None) == (right is None):
        return None
    number = left if right is None else right
    assert number is not None
    step = _of_number(node.operator, number, number_first=right is None)
    if step is None:
        return None
    inner = (node.right, f"{place}/right") if right is None else (node.left, f"{place}/left")
    return step, *inner


def _of_number(operator: str, c: float, *, number_first: bool) -> Step | None:
    if operator == "+":
        return _affine(1.0, c)
    if operator == "-":
        return _affine(-1.0, c) if number_first else _affine(1.0, -c)
    if operator == "*" and c:
        return _affine(c, 0.0)
    if operator == "/" and c:
        return _reciprocal(c) if number_first else _affine(1.0 / c, 0.0)
    if operator == "^" and number_first and c > 0 and c != 1:
        return Step(partial(_log, c), partial(_log_slope, c), (0.0, math.inf))
    if operator == "^" and not number_first and c:
        return _power(c)
    return None


def _of_function(call: Call) -> Step | None:
    base = _BASES.get(call.function)
    if base is not None:
        given = [a.value for a in call.arguments[1:]]
        base = constant(given[0]) if given else base
        return None if base is None or base <= 0 or base == 1 else logarithm(base)
    return _FUNCTIONS.get(call.function)


def undo(steps: tuple[Step, ...], value: Floats) -> Floats:
    """The response behind values of the transformed one."""
    for step in steps:
        value = step.inverse(value)
    return value


def undo_slope(steps: tuple[Step, ...], value: Floats) -> Floats:
    """The derivative of `undo`."""
    slope = np.ones_like(value)
    for step in steps:
        slope, value = slope * step.slope(value), step.inverse(value)
    return slope


def undo_interval(
    steps: tuple[Step, ...], value: Floats, low: Floats, high: Floats
) -> tuple[Floats, Floats]:
    """The responses between two ends around a value.

    An interval for ``sqrt(y)`` that goes below zero contains what lies above: its ends are cut to
    the values the function can take wherever ``value`` itself is one.
    """
    for step in steps:
        first, last = step.domain
        inside = (value >= first) & (value <= last)
        low = np.where(inside & (low < first), first, low)
        high = np.where(inside & (high > last), last, high)
        value, low, high = step.inverse(value), step.inverse(low), step.inverse(high)
        low, high = np.minimum(low, high), np.maximum(low, high)
    return low, high


def constant(node: Expression) -> float | None:
    """The value of an expression of numbers only, else None."""
    if isinstance(node, Number):
        return float(node.value)
    if isinstance(node, Parenthesis):
        return constant(node.inner)
    if isinstance(node, Unary) and node.operator in "+-":
        inner = constant(node.operand)
        return inner if inner is None or node.operator == "+" else -inner
    if not isinstance(node, Binary):
        return None
    left, right = constant(node.left), constant(node.right)
    if left is None or right is None:
        return None
    if node.operator == "/":
        return left / right if right else None
    parts = {"+": left + right, "-": left - right, "*": left * right}
    return parts.get(node.operator)


def logarithm(base: float) -> Step:
    """The step that undoes a logarithm."""
    return Step(partial(_exp, base), partial(_exp_slope, base), base=base)


def _affine(factor: float, shift: float) -> Step:
    return Step(
        partial(_line, factor, shift), partial(_line_slope, factor), factor=factor, shift=shift
    )


def _standardized(learnt: Any) -> Step:
    centers, spreads = learnt
    center = 0.0 if centers is None else float(centers[0])
    spread = 1.0 if spreads is None else float(spreads[0])
    return _affine(1.0 / spread, -center / spread)


def _reciprocal(c: float) -> Step:
    domain = (0.0, math.inf) if c > 0 else (-math.inf, 0.0)
    return Step(partial(_quotient, c), partial(_quotient_slope, c), domain)


def _power(exponent: float) -> Step | None:
    if exponent == -1.0:
        return _reciprocal(1.0)
    # An odd power of any number is a number; other powers are taken of positive ones.
    domain = _EVERYWHERE if exponent > 0 and exponent % 2 == 1 else (0.0, math.inf)
    return Step(partial(_root, exponent), partial(_root_slope, exponent), domain)


# Functions of a module, not closures: tables can be pickled.


def _line(factor: float, shift: float, x: Floats) -> Floats:
    return np.asarray((x - shift) / factor)


def _line_slope(factor: float, x: Floats) -> Floats:
    return np.full_like(x, 1.0 / factor)


def _exp(base: float, x: Floats) -> Floats:
    return np.asarray(np.exp(math.log(base) * x))


def _exp_slope(base: float, x: Floats) -> Floats:
    rate = math.log(base)
    return np.asarray(rate * np.exp(rate * x))


def _log(base: float, x: Floats) -> Floats:
    return np.asarray(np.log(x) / math.log(base))


def _log_slope(base: float, x: Floats) -> Floats:
    return np.asarray(1.0 / (x * math.log(base)))


def _quotient(c: float, x: Floats) -> Floats:
    return np.asarray(c / x)


def _quotient_slope(c: float, x: Floats) -> Floats:
    return np.asarray(-c / x**2)


def _root(exponent: float, x: Floats) -> Floats:
    # Below zero sqrt(y) is no root of anything; as in R the square is still given.
    odd = exponent > 0 and exponent % 2 == 1
    size = np.power(np.abs(x) if odd else x, 1.0 / exponent)
    return np.asarray(np.copysign(size, x) if odd else size)


def _root_slope(exponent: float, x: Floats) -> Floats:
    odd = exponent > 0 and exponent % 2 == 1
    return np.asarray(np.power(np.abs(x) if odd else x, 1.0 / exponent - 1.0) / exponent)


def _expm1_slope(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + x))


_POSITIVE = (0.0, math.inf)
_FUNCTIONS = {
    "log1p": Step(np.expm1, np.exp),
    "exp": Step(np.log, np.reciprocal, _POSITIVE),
    "expm1": Step(np.log1p, _expm1_slope, (-1.0, math.inf)),
    "sqrt": Step(partial(_root, 0.5), partial(_root_slope, 0.5), _POSITIVE),
    "asin": Step(np.sin, np.cos, (-0.5 * math.pi, 0.5 * math.pi)),
}
