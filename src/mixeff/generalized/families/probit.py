"""log of the normal distribution function with four derivatives, also far in the tail."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

from mixeff.generalized.families.jets import Jet

Floats = NDArray[np.float64]

_TAIL = -2.0
# Laplace's continued fraction: an error at level n shrinks by exp(-2 |eta| sqrt(n)) on its way up.
_TERMS = 100


def normal_log_jet(eta: Floats) -> Jet:
    """log Phi(eta) and its first four derivatives.

    With m = phi/Phi: L' = m, L'' = -m (eta + m), ... cancels in the lower tail, where the
    continued fraction m = x + K1, K_n = n / (x + K_(n+1)), x = -eta, gives every difference as
    a product: dK_n/dx = K_n (K_n - K_(n+1)).
    """
    body = _body(np.maximum(eta, _TAIL))
    tail = eta < _TAIL
    parts = [np.array(part) for part in body]
    if tail.any():
        for part, value in zip(parts, _far(-eta[tail]), strict=True):
            part[tail] = value
    first, second, third, fourth = parts
    return np.asarray(log_ndtr(eta)), first, second, third, fourth


def _body(eta: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    # phi underflows beyond; erfcx of a large negative argument would overflow.
    x = np.minimum(eta, 37.6)
    m = np.where(eta < 38.0, math.sqrt(2.0 / math.pi) / erfcx(-x / math.sqrt(2.0)), 0.0)
    v = x + m
    slope = 1.0 - m * v
    third = m * (v * v - slope)
    fourth = m * v * (2.0 * slope - v * v + slope) - m * third
    return m, -m * v, third, fourth


def _far(x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    # Starts at what the next level would be if it did not depend on n.
    k = 0.5 * (np.sqrt(x * x + 4.0 * (_TERMS + 1)) - x)
    ladder: list[Floats] = []
    for n in range(_TERMS, 0, -1):
        k = n / (x + k)
        if n <= 4:
            ladder.append(k)
    k4, k3, k2, k1 = ladder
    m = x + k1
    step = k3 - k2
    third = m * k1 * k1 * k2 * step
    # The logarithmic derivative of the third along x; the fourth is along eta = -x.
    rate = 3.0 * k1 - k2 - k3
    fourth = -(third * rate + m * k1 * k1 * k2 * (k3 * (k3 - k4) + k2 * step))
    return m, -m * k1, third, fourth
