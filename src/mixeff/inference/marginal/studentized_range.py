"""The distribution of the studentized range: Tukey's test of all pairs.

The range of k standard normal variables over an independent root-mean-square with nu degrees of
freedom (Tukey 1953). Tail probabilities are sums of positive terms only, so small ones keep their
relative accuracy (about 1e-9 down to 1e-100), which differences from one would not.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaln, log_ndtr, ndtr

Floats = NDArray[np.float64]

# Trapezoidal sums of analytic integrands that vanish at both ends converge exponentially: with
# these numbers of points halving the step changes nothing beyond 1e-10.
_INNER = 161
_OUTER = 241
_STEP = 0.02
# Parts of the integrand below this part of its largest value are left out.
_NEGLIGIBLE = 42.0  # natural log


def range_sf(q: Floats | float, k: float) -> Floats:
    """P(range of k standard normals > q), any shape.

    With z the smallest of the k: k times the integral of phi(z) [a^(k-1) - b^(k-1)], where
    a = P(Z > z), b = P(z < Z < z + q).
    """
    q = np.asarray(q, dtype=np.float64)
    z = np.linspace(-9.0, 6.5, _INNER)
    upper = ndtr(-z)
    beyond = ndtr(-(z + q[..., None]))
    # The smallest lies where the largest can be q above it: for large q near -q/2 or lower.
    far = q > 6.0
    if far.any():
        shifted = z + np.where(far, -0.5 * q + 0.75, 0.0)[..., None]
        upper, beyond = ndtr(-shifted), ndtr(-(shifted + q[..., None]))
        z = shifted
    # a^(k-1) - b^(k-1) = a^(k-1) [1 - (1 - x)^(k-1)] with x = 1 - b/a, without cancellation.
    with np.errstate(divide="ignore"):
        x = np.minimum(beyond / upper, 1.0)
        powers = upper ** (k - 1) * -np.expm1((k - 1) * np.log1p(-x))
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    step = 15.5 / (_INNER - 1)
    return np.asarray(k * step * (density * powers).sum(axis=-1))


def studentized_range_sf(q: float, k: float, df: float) -> float:
    """P(Q > q) of the studentized range of k means with df degrees of freedom (may be infinite).

    Examples
    --------
    >>> round(studentized_range_sf(3.876777, 3, 10.0), 6)
    0.05
    """
    if np.isnan(q) or np.isnan(df) or df <= 0:
        return np.nan
    if q <= 0:
        return 1.0
    if np.isinf(df):
        return float(range_sf(q, k))
    u, log_density = _log_scale(df, q, k)
    values = range_sf(q * np.exp(u), k)
    step = u[1] - u[0]
    return min(1.0, float(step * (np.exp(log_density) * values).sum()))


def _log_scale(df: float, q: float, k: float) -> tuple[Floats, Floats]:
    """Points u = log s, s the root-mean-square, where the integrand lives, and its log density.

    s^2 df is chi-square; d/du adds s to the density. Rough bounds of the tail find the places.
    """
    # The density falls as exp(df u): few df reach far down.
    u = np.linspace(-max(12.0, 50.0 / df), 3.0, 1601)
    density = _log_density(u, df)
    x = q * np.exp(u) / np.sqrt(2.0)
    tail = np.minimum(log_ndtr(-x) + np.log(float(k * (k - 1))), 0.0)
    height = density + tail
    alive = u[height > height.max() - _NEGLIGIBLE]
    first, last = alive[0] - 0.02, alive[-1] + 0.02
    fine = np.linspace(first, last, max(_OUTER, int((last - first) / _STEP)))
    return fine, _log_density(fine, df)


def _log_density(u: Floats, df: float) -> Floats:
    half = 0.5 * df
    constant = half * np.log(half) - gammaln(half) + np.log(2.0)
    return np.asarray(constant + df * u - half * np.exp(2.0 * u))


@lru_cache(maxsize=512)
def studentized_range_quantile(level: float, k: int, df: float) -> float:
    """The q that the studentized range exceeds with probability 1 - level."""
    if np.isnan(df) or df <= 0:
        return np.nan
    target = 1.0 - level
    low, high = 0.0, 4.0
    while studentized_range_sf(high, k, df) > target:
        low, high = high, 2.0 * high
    return float(
        brentq(lambda q: studentized_range_sf(q, k, df) - target, low, high, xtol=1e-10, rtol=1e-12)
    )
