"""The scale of the response: what the linear predictor is a transformation of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.formula.deparse import deparse
from mixeff.formula.tree import Binary, Call, Expression, Number, Parenthesis

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Scale:
    """A transformation of the response, the linear predictor's, and its inverse.

    Attributes
    ----------
    name : str, ``logit``, ``log``, ``log(y)`` ...
    inverse, slope : the response of a linear predictor, and its derivative
    what : str, what a back-transformed mean is
    base : float or None
        Of a logarithm (or log odds): differences are then logarithms of ratios.
    ratio : str, what such a ratio is
    """

    name: str
    inverse: Function
    slope: Function
    what: str = "mean response"
    base: float | None = None
    ratio: str = "ratio"


def response_scale(fit: MixedModel) -> Scale | None:
    """The link of a generalized model, or the transformation of the response of a linear one.

    None where the linear predictor is on the scale of the response, or the transformation is none
    that can be undone.
    """
    link = getattr(fit, "link", None)
    if link is not None:
        return _of_link(fit)
    response = fit.request.parsed.response
    return None if response is None else _of_expression(response)


def _of_link(fit: MixedModel) -> Scale | None:
    link = fit.request.family.link if fit.request.family is not None else None
    link = getattr(getattr(fit.estimate, "family", None), "link", link)
    if link is None or link.name == "identity":
        return None
    return Scale(
        name=link.name,
        inverse=link.mu,
        slope=partial(_link_slope, link),
        what="probability" if fit.family == "binomial" else "mean response",
        base=math.e if link.name in ("log", "logit") else None,
        ratio="odds ratio" if link.name == "logit" else "ratio",
    )


def _of_expression(response: Expression) -> Scale | None:
    """The transformations of a response that a user of R writes: logs, roots, powers."""
    node = response
    while isinstance(node, Parenthesis) or (isinstance(node, Call) and node.function == "I"):
        node = node.inner if isinstance(node, Parenthesis) else node.arguments[0].value
    name = deparse(node)
    if isinstance(node, Call):
        return _of_call(name, node)
    if not isinstance(node, Binary):
        return None
    if node.operator == "^" and isinstance(node.right, Number):
        return _power(name, node.right.value)
    if node.operator == "^" and isinstance(node.right, Parenthesis):
        exponent = _quotient(node.right.inner)
        return None if exponent is None else _power(name, exponent)
    if node.operator == "/" and isinstance(node.left, Number) and node.left.value == 1:
        return _power(name, -1.0)
    return None


def _quotient(node: Expression) -> float | None:
    if isinstance(node, Number):
        return node.value
    if not (isinstance(node, Binary) and node.operator == "/"):
        return None
    if isinstance(node.left, Number) and isinstance(node.right, Number) and node.right.value:
        return node.left.value / node.right.value
    return None


def _of_call(name: str, call: Call) -> Scale | None:
    if call.function == "sqrt":
        return _power(name, 0.5)
    if call.function == "log1p":
        return Scale(name, np.expm1, np.exp)
    if call.function == "exp":
        return Scale(name, np.log, np.reciprocal)
    base = {"log2": 2.0, "log10": 10.0}.get(call.function)
    if call.function == "log":
        base = _log_base(call)
    if base is None:
        return None
    return _logarithm(name, base, _added(call.arguments[0].value))


def _log_base(call: Call) -> float | None:
    if len(call.arguments) == 1:
        return math.e
    given = call.arguments[1].value
    return given.value if isinstance(given, Number) and given.value > 1 else None


def _added(argument: Expression) -> float:
    """The constant c of ``log(y + c)``."""
    if isinstance(argument, Binary) and argument.operator in "+-":
        sign = 1.0 if argument.operator == "+" else -1.0
        if isinstance(argument.right, Number):
            return sign * argument.right.value
        if isinstance(argument.left, Number) and sign > 0:
            return argument.left.value
    return 0.0


def _logarithm(name: str, base: float, added: float) -> Scale:
    return Scale(
        name,
        partial(exponential, base, added),
        partial(exponential_slope, base),
        what="geometric mean" if added == 0 else "mean response",
        base=base,
        ratio="ratio" if added == 0 else f"ratio of response {added:+g}",
    )


def _power(name: str, exponent: float) -> Scale | None:
    if exponent == 0:
        return None
    return Scale(name, partial(_root, exponent), partial(_root_slope, exponent))


# Functions of a module, not closures: tables can be pickled.


def exponential(base: float, added: float, x: Floats) -> Floats:
    """y of x = log(y + added) to a base."""
    return np.asarray(np.exp(math.log(base) * x) - added)


def exponential_slope(base: float, x: Floats) -> Floats:
    """Derivative of base ** x."""
    rate = math.log(base)
    return np.asarray(rate * np.exp(rate * x))


def _root(exponent: float, x: Floats) -> Floats:
    # sqrt(y) below zero is no root of anything; as in R the square is still given.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.power(x, 1.0 / exponent))


def _root_slope(exponent: float, x: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.power(x, 1.0 / exponent - 1.0) / exponent)


def _link_slope(link: Any, eta: Floats) -> Floats:
    return np.asarray(link.derivatives(eta)[0])
