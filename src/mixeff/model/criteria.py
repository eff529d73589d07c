"""Information criteria from a log-likelihood and a count of parameters."""

from __future__ import annotations

import math


def akaike(loglik: float, df: int) -> float:
    """-2 log L + 2 df (Akaike 1974)."""
    return -2.0 * loglik + 2.0 * df


def schwarz(loglik: float, df: int, nobs: int) -> float:
    """-2 log L + df log n (Schwarz 1978)."""
    return -2.0 * loglik + df * math.log(nobs)


def akaike_corrected(loglik: float, df: int, nobs: int) -> float:
    """AIC with the small-sample correction of Hurvich and Tsai (1989); infinite if n <= df + 1."""
    if nobs <= df + 1:
        return math.inf
    return akaike(loglik, df) + 2.0 * df * (df + 1) / (nobs - df - 1)
