"""Functions of the log-likelihoods that lose digits when written down naively."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, expit, gammaln, log_ndtr, ndtr, polygamma

Floats = NDArray[np.float64]

__all__ = [
    "GammaRatio",
    "deviance_part",
    "digamma_gap",
    "expit",
    "gamma_ratio",
    "log1p_minus",
    "log1p_ratio",
    "log_binomial",
    "log_factorial",
    "log_ndtr",
    "log_poisson",
    "ndtr",
    "softplus",
    "stirling_remainder",
]

# Bernoulli numbers B_2, B_4, ... B_16.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
# From here on eight terms of Stirling's series are exact to double precision.
_LARGE = 16.0
_HALF_LOG_2PI = 0.918938533204672741780329736406


def softplus(x: Floats) -> Floats:
    """log(1 + exp(x)) without overflow."""
    out: Floats = np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))
    return out


def log1p_minus(v: Floats) -> Floats:
    """log(1 + v) - v, exact near zero; -inf at -1."""
    s = v / (2.0 + v)
    square = s * s
    series = np.zeros_like(v)
    # log(1 + v) = 2 artanh(s), and 2 s - v = -s v: what is left after the linear term.
    for odd in range(21, 1, -2):
        series = series * square + 1.0 / odd
    near = s * (2.0 * square * series - v)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(v) < 0.25, near, np.log1p(v) - v)


def log_factorial(x: Floats) -> Floats:
    """log x!, for real x >= 0 too."""
    return np.asarray(gammaln(x + 1.0))


def log1p_ratio(y: Floats, s: Floats) -> Floats:
    """log(1 + y/s), also where y/s overflows."""
    tiny = s < 1e-8
    return np.where(tiny, np.log(y + s) - np.log(s), np.log1p(y / np.maximum(s, 1e-8)))


def stirling_remainder(x: Floats) -> Floats:
    """lgamma(x) - ((x - 1/2) log x - x + log(2 pi)/2) for x > 0."""
    safe = np.maximum(x, _LARGE)
    inverse = 1.0 / safe
    square = inverse * inverse
    series = np.zeros_like(safe)
    for i in range(len(_BERNOULLI), 0, -1):
        series = series * square + _BERNOULLI[i - 1] / (2 * i * (2 * i - 1))
    small = np.minimum(x, _LARGE)
    direct = gammaln(small) - ((small - 0.5) * np.log(small) - small + _HALF_LOG_2PI)
    return np.where(x < _LARGE, direct, series * inverse)


def deviance_part(x: Floats, gap: Floats, mean: Floats, log_mean: Floats) -> Floats:
    """x log(x / mean) - gap with gap = x - mean: half a Poisson deviance, >= 0, for x > 0.

    Loader (2000), Fast and accurate computation of binomial probabilities. ``log_mean`` serves
    where the mean itself has left the range of doubles.
    """
    near = np.abs(gap) < 0.1 * (x + mean)
    base = np.where(near, mean, 1.0)
    v = np.where(near, gap, 0.0) / base
    near = near & (v > -1.0)  # x = 0 has no log, and a direct formula elsewhere
    v = np.where(near, v, 0.0)
    close = base * (log1p_minus(v) + v * np.log1p(v))
    return np.where(near, close, x * (np.log(x) - log_mean) - gap)


def log_poisson(y: Floats, mean: Floats, log_mean: Floats) -> Floats:
    """log of the Poisson probability of y, also where both are large."""
    some = y > 0
    x = np.where(some, y, 1.0)
    tail = stirling_remainder(x) + 0.5 * np.log(x) + _HALF_LOG_2PI
    positive = -deviance_part(x, x - mean, mean, log_mean) - tail
    return np.where(some, positive, -mean)


def log_binomial(
    x: Floats,
    rest: Floats,
    gap: Floats,
    means: tuple[Floats, Floats],
    logs: tuple[Floats, Floats],
) -> Floats:
    """log of (x + rest choose x) p^x q^rest for real x, rest >= 0; saddle-point form.

    Parameters
    ----------
    x, rest : successes and failures
    gap : x - n p, n = x + rest
    means : n p and n q
    logs : log p and log q
    """
    inner = (x > 0) & (rest > 0)
    a, b = np.where(inner, x, 1.0), np.where(inner, rest, 1.0)
    d = np.where(inner, gap, 0.0)
    first, second = (np.where(inner, mean, 1.0) for mean in means)
    n = a + b
    log_n = np.log(n)
    constant = stirling_remainder(n) - stirling_remainder(a) - stirling_remainder(b)
    constant += 0.5 * (log_n - np.log(a) - np.log(b)) - _HALF_LOG_2PI
    with np.errstate(invalid="ignore"):
        loss = deviance_part(a, d, first, log_n + logs[0])
        loss += deviance_part(b, -d, second, log_n + logs[1])
    edge = np.where(x > 0, x * np.where(x > 0, logs[0], 0.0), 0.0)
    edge += np.where(rest > 0, rest * np.where(rest > 0, logs[1], 0.0), 0.0)
    return np.where(inner, constant - loss, edge)


def digamma_gap(a: Floats) -> tuple[Floats, Floats]:
    """``a (log a - digamma(a))`` and ``a^2 (1/a - trigamma(a))``, exact for large a too."""
    safe = np.maximum(a, _LARGE)
    inverse = 1.0 / safe
    first, second = np.full_like(safe, 0.5), np.full_like(safe, -0.5)
    power = inverse
    for i, bernoulli in enumerate(_BERNOULLI, start=1):
        first += bernoulli / (2 * i) * power
        second -= bernoulli * power
        power = power * inverse * inverse
    small = np.minimum(a, _LARGE)
    direct = small * (np.log(small) - digamma(small))
    direct_second = small - small * small * polygamma(1, small)
    large = a >= _LARGE
    return np.where(large, first, direct), np.where(large, second, direct_second)


@dataclass(frozen=True, slots=True)
class GammaRatio:
    """Derivatives of lgamma(y + s) - lgamma(s) with respect to log s.

    Attributes
    ----------
    slopes : four arrays, first to fourth derivative
    beyond_log : ``slopes[0] - s log(1 + y/s)``, without the cancellation at large s
    beyond_both : ``slopes[1] - s log(1 + y/s) + s y / (y + s)``, likewise
    """

    slopes: tuple[Floats, Floats, Floats, Floats]
    beyond_log: Floats
    beyond_both: Floats


def gamma_ratio(y: Floats, s: Floats) -> GammaRatio:
    """Differences of polygamma functions of y + s and s, for counts y >= 0 and s > 0."""
    large = s >= _LARGE
    far = _ratio_far(y, np.where(large, s, _LARGE))
    near = _ratio_near(y, np.where(large, _LARGE, s))
    pick = [np.where(large, a, b) for a, b in zip(far, near, strict=True)]
    return GammaRatio((pick[0], pick[1], pick[2], pick[3]), pick[4], pick[5])


def _slopes(b1: Floats, b2: Floats, b3: Floats, b4: Floats) -> tuple[Floats, ...]:
    """From s^j times the j-th derivative in s to the derivatives in log s."""
    return b1, b1 + b2, b1 + 3.0 * b2 + b3, b1 + 7.0 * b2 + 6.0 * b3 + b4


def _ratio_near(y: Floats, s: Floats) -> tuple[Floats, ...]:
    """lgamma(y + s) - lgamma(s + 1) + log s: the last has the slopes 1, 0, 0, 0, whatever s."""
    some = y > 0
    # lgamma(y + s) itself is singular at y = 0; that row is zero anyway.
    top = np.where(some, y, 1.0) + s
    first = np.where(some, s * (digamma(top) - digamma(s + 1.0)), 0.0)
    others = (
        np.where(some, s ** (n + 1) * (polygamma(n, top) - polygamma(n, s + 1.0)), 0.0)
        for n in (1, 2, 3)
    )
    g1, g2, g3, g4 = _slopes(first, *others)
    g1 = g1 + some
    logarithm = s * log1p_ratio(y, s)
    return g1, g2, g3, g4, g1 - logarithm, g2 - logarithm + s * (y / (y + s))


def _ratio_far(y: Floats, s: Floats) -> tuple[Floats, ...]:
    """Stirling's series term by term: (y + s)^-j - s^-j = s^-j expm1(-j log1p(y/s))."""
    log_ratio = np.log1p(y / s)
    drop = [np.expm1(-j * log_ratio) for j in range(2 * len(_BERNOULLI) + 4)]
    inverse_square = (1.0 / s) * (1.0 / s)
    beyond = [-0.5 * drop[1], 0.5 * drop[2], -drop[3], 3.0 * drop[4]]
    power = 1.0 / s
    for i, bernoulli in enumerate(_BERNOULLI, start=1):
        term, j = bernoulli * power, 2 * i
        beyond[0] = beyond[0] - term / j * drop[j]
        beyond[1] = beyond[1] + term * drop[j + 1]
        beyond[2] = beyond[2] - term * (j + 1) * drop[j + 2]
        beyond[3] = beyond[3] + term * (j + 1) * (j + 2) * drop[j + 3]
        power = power * inverse_square
    leading = (s * log_ratio, s * drop[1], -s * drop[2], 2.0 * s * drop[3])
    scaled = [a + b for a, b in zip(leading, beyond, strict=True)]
    return *_slopes(*scaled), beyond[0], beyond[0] + beyond[1]
