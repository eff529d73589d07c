"""A function of eta with its first four derivatives, and the chain rule for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Value and first to fourth derivative, (n,) each.
Jet = tuple[Floats, Floats, Floats, Floats, Floats]


def compose(outer: Jet, inner: Jet) -> Jet:
    """Jet of f(g(eta)): ``outer`` has the derivatives of f at g(eta); Faà di Bruno's formula."""
    f0, f1, f2, f3, f4 = outer
    _, g1, g2, g3, g4 = inner
    square = g1 * g1
    return (
        f0,
        f1 * g1,
        f2 * square + f1 * g2,
        f3 * square * g1 + 3.0 * f2 * g1 * g2 + f1 * g3,
        f4 * square * square
        + 6.0 * f3 * square * g2
        + f2 * (3.0 * g2 * g2 + 4.0 * g1 * g3)
        + f1 * g4,
    )


def log_of(inner: Jet) -> Jet:
    """Jet of log g; derivatives relative to g, so that a tiny g does not overflow their powers."""
    value = inner[0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        a, b, c, d = (part / value for part in inner[1:])
        return (
            np.log(value),
            a,
            b - a * a,
            c - 3.0 * a * b + 2.0 * a**3,
            d - 4.0 * a * c - 3.0 * b * b + 12.0 * a * a * b - 6.0 * a**4,
        )


def power_of(inner: Jet, exponent: float) -> Jet:
    """Jet of g ** exponent."""
    value, p = inner[0], exponent
    if p == 1.0:
        return inner
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        outer = value**p
        a, b, c, d = (part / value for part in inner[1:])
        p2, p3, p4 = p * (p - 1), p * (p - 1) * (p - 2), p * (p - 1) * (p - 2) * (p - 3)
        return (
            outer,
            outer * p * a,
            outer * (p2 * a * a + p * b),
            outer * (p3 * a**3 + 3.0 * p2 * a * b + p * c),
            outer * (p4 * a**4 + 6.0 * p3 * a * a * b + p2 * (3.0 * b * b + 4.0 * a * c) + p * d),
        )


def slope_product(left: Jet, right: Jet) -> tuple[Floats, Floats, Floats]:
    """left' right' with its first two derivatives: expected information is such a product."""
    _, a, da, dda, _ = left
    _, b, db, ddb, _ = right
    return a * b, da * b + a * db, dda * b + 2.0 * da * db + a * ddb
