"""The negative binomial log-likelihood in its size, shared by NB1 and NB2."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.families.base import times
from mixeff.generalized.families.special import (
    deviance_part,
    expit,
    log1p_minus,
    log1p_ratio,
    log_binomial,
    softplus,
)

Floats = NDArray[np.float64]


def log_pascal(y: Floats, mu: Floats, log_odds: Floats, size: Floats) -> Floats:
    """Log-likelihood of y with mean mu and the given size; ``log_odds`` = log(mu / size).

    C(y + s, y) p^y q^s times s / (s + y), p = mu / (mu + s): the saddle-point form keeps its
    digits for counts and sizes of any magnitude, to the Poisson limit.
    """
    p, q = expit(log_odds), expit(-log_odds)
    n = y + size
    # Where the mean is huge y - mu may be infinite times zero; the other form is size and y.
    gap = np.where(log_odds > 0.0, y * q - size * p, (y - mu) * q)
    logs = (-softplus(-log_odds), -softplus(log_odds))
    return log_binomial(y, size, gap, (n * p, n * q), logs) - log1p_ratio(y, size)


def size_gaps(y: Floats, mu: Floats, size: Floats) -> tuple[Floats, Floats]:
    """s u and s (log(1 + u) - u) with 1 + u = (y + s) / (mu + s), also where u overflows."""
    pull = (y - mu) * (size / (mu + size))
    near = np.abs(y - mu) < 0.25 * (mu + size)
    u = np.where(near, y - mu, 0.0) / (mu + size)
    far = size * (np.log(y + size) - np.log(mu + size)) - pull
    return pull, np.where(near, size * log1p_minus(u), far)


def pascal_deviance(y: Floats, mu: Floats, size: Floats | float, weights: Floats | None) -> Floats:
    """2 w (y log(y / mu) - (y + s) log((y + s) / (mu + s)))."""
    n = y + size
    q = size / (mu + size)
    gap = (y - mu) * q
    some = y > 0
    x = np.where(some, y, 1.0)
    p = mu / (mu + size)
    successes = np.where(some, deviance_part(x, gap, n * p, np.log(n * p)), n * p)
    failures = deviance_part(np.broadcast_to(size, y.shape), -gap, n * q, np.log(n * q))
    (total,) = times(weights, 2.0 * (successes + failures))
    return total
