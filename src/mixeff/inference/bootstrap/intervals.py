"""Confidence intervals from bootstrap draws of one statistic.

References: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 12 to 14;
Davison and Hinkley (1997), Bootstrap Methods and their Application, chapter 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]


def percentile(draws: Floats, estimate: float, level: float) -> Interval:
    """Quantiles of the draws (Efron and Tibshirani 1993, eq. 13.3)."""
    lower, upper = quantiles(draws, _tails(level))
    return lower, upper


def basic(draws: Floats, estimate: float, level: float) -> Interval:
    """The quantiles reflected at the estimate (Davison and Hinkley 1997, eq. 5.6)."""
    lower, upper = quantiles(draws, _tails(level))
    return 2.0 * estimate - upper, 2.0 * estimate - lower


def normal(draws: Floats, estimate: float, level: float) -> Interval:
    """Estimate minus bias -/+ normal quantile times bootstrap standard error (ibid., eq. 5.5)."""
    from scipy.special import ndtri

    half = float(ndtri(0.5 + level / 2) * draws.std(ddof=1))
    middle = 2.0 * estimate - float(draws.mean())
    return middle - half, middle + half


def shortest(draws: Floats, estimate: float, level: float) -> Interval:
    """The narrowest of the intervals that hold ceil(n level) draws; the first of equals."""
    ordered = np.sort(draws)
    # The ceiling of 0.95 * 1000, not of the number next above it.
    count = math.ceil(round(ordered.size * level, 9))
    widths = ordered[count - 1 :] - ordered[: ordered.size - count + 1]
    first = int(np.argmin(widths))
    return float(ordered[first]), float(ordered[first + count - 1])


def bias_corrected(draws: Floats, estimate: float, level: float) -> Interval:
    """Percentiles moved by the median bias (Efron and Tibshirani 1993, eq. 14.10 with a = 0)."""
    return accelerated(draws, estimate, level, 0.0)


def accelerated(draws: Floats, estimate: float, level: float, acceleration: float) -> Interval:
    """BCa: as `bias_corrected`, for a standard error that changes with the parameter (ibid.).

    NaN where all draws lie on one side of the estimate.
    """
    from scipy.special import ndtr, ndtri

    z0 = float(ndtri(np.mean(draws < estimate)))
    if not math.isfinite(z0):
        return math.nan, math.nan
    z = z0 + ndtri(np.asarray(_tails(level)))
    lower, upper = quantiles(draws, tuple(ndtr(z0 + z / (1.0 - acceleration * z)).tolist()))
    return lower, upper


def quantiles(draws: Floats, probabilities: tuple[float, ...]) -> list[float]:
    """Order statistics of rank (R + 1) p, between two of them on the scale of normal quantiles.

    Davison and Hinkley (1997), eq. 5.8. Where the rank lies outside the draws the extreme one is
    taken.

    Parameters
    ----------
    draws : (R,) array without NaN
    probabilities : tuple of float
    """
    from scipy.special import ndtri

    ordered = np.sort(draws)
    R = ordered.size
    found = []
    for p in probabilities:
        rank = (R + 1) * p
        k = math.floor(rank + 1e-9)
        if k < 1 or k >= R:
            found.append(float(ordered[0 if k < 1 else -1]))
            continue
        low, high = float(ordered[k - 1]), float(ordered[k])
        if rank - k < 1e-9:
            found.append(low)
            continue
        z, z_low, z_high = ndtri([p, k / (R + 1), (k + 1) / (R + 1)])
        part = min(max((z - z_low) / (z_high - z_low), 0.0), 1.0)
        found.append(low + float(part) * (high - low))
    return found


def _tails(level: float) -> tuple[float, float]:
    return (1.0 - level) / 2, (1.0 + level) / 2


METHODS: dict[str, Callable[[Floats, float, float], Interval]] = {
    "percentile": percentile,
    "basic": basic,
    "normal": normal,
    "shortest": shortest,
    "bias-corrected": bias_corrected,
}
