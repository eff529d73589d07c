"""Log-densities of the families in mpmath, written from their textbook definitions."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

Number = mp.mpf
Density = Callable[[Number, Number], Number]

MEANS: dict[str, Callable[[Number], Number]] = {
    "logit": lambda e: 1 / (1 + mp.exp(-e)),
    "probit": lambda e: mp.erfc(-e / mp.sqrt(2)) / 2,
    "cloglog": lambda e: -mp.expm1(-mp.exp(e)),
    "cauchit": lambda e: mp.mpf(1) / 2 + mp.atan(e) / mp.pi,
    "log": mp.exp,
    "identity": lambda e: e,
    "inverse": lambda e: 1 / e,
    "1/mu^2": lambda e: 1 / mp.sqrt(e),
    "sqrt": lambda e: e * e,
}
# One minus the mean where that difference would lose every digit.
COMPLEMENTS: dict[str, Callable[[Number], Number]] = {
    "logit": lambda e: 1 / (1 + mp.exp(e)),
    "probit": lambda e: mp.erfc(e / mp.sqrt(2)) / 2,
    "cloglog": lambda e: mp.exp(-mp.exp(e)),
    "cauchit": lambda e: mp.mpf(1) / 2 - mp.atan(e) / mp.pi,
}
VARIANCES: dict[str, Callable[[Number, Number], Number]] = {
    "binomial": lambda m, d: m * (1 - m),
    "poisson": lambda m, d: m,
    "gamma": lambda m, d: d * m**2,
    "inverse_gaussian": lambda m, d: d * m**3,
    "gaussian": lambda m, d: d,
    "nbinom2": lambda m, d: m + m**2 / d,
    "nbinom1": lambda m, d: m * (1 + d),
}


def log_density(
    family: str, y: float, w: float, mu: Number, d: Number, complement: Number
) -> Number:
    """log p(y) with mean mu, dispersion (or shape) d and prior weight w; complement = 1 - mu."""
    y, w = mp.mpf(y), mp.mpf(w)
    if family == "binomial":
        log_mean = mp.log(mu) if mu < 0.5 else mp.log1p(-complement)
        some = w * y * log_mean if y else 0
        log_rest = mp.log(complement) if complement < 0.5 else mp.log1p(-mu)
        other = w * (1 - y) * log_rest if y != 1 else 0
        return mp.log(mp.binomial(w, w * y)) + some + other
    if family == "poisson":
        return w * ((y * mp.log(mu) if y else 0) - mu - mp.loggamma(y + 1))
    if family == "gamma":
        a = w / d
        return (a - 1) * mp.log(y) - a * y / mu - a * mp.log(mu / a) - mp.loggamma(a)
    if family == "inverse_gaussian":
        lam = w / d
        return mp.log(lam / (2 * mp.pi * y**3)) / 2 - lam * (y - mu) ** 2 / (2 * mu**2 * y)
    if family == "gaussian":
        return mp.log(w / (2 * mp.pi * d)) / 2 - w * (y - mu) ** 2 / (2 * d)
    size = d if family == "nbinom2" else mu / d
    p = size / (size + mu)
    count = mp.loggamma(y + size) - mp.loggamma(size) - mp.loggamma(y + 1)
    return w * (count + size * mp.log(p) + y * mp.log(1 - p))


def exact_terms(
    family: str, link: str, y: float, eta: float, w: float, dispersion: float, expected: bool
) -> dict[str, Number]:
    """Every entry of RowTerms by numerical differentiation with 45 digits."""
    mean = MEANS[link]
    other = COMPLEMENTS.get(link, lambda e: 1 - mean(e))
    with mp.workdps(45):
        e0, r0 = mp.mpf(eta), mp.log(mp.mpf(dispersion))

        def density(e: Number, r: Number) -> Number:
            return log_density(family, y, w, mean(e), mp.exp(r), other(e))

        def information(e: Number, r: Number) -> Number:
            slope = mp.diff(mean, e)
            return w * slope**2 / VARIANCES[family](mean(e), mp.exp(r))

        def d(n: int, m: int) -> Number:
            return mp.diff(density, (e0, r0), (n, m)) if n + m else density(e0, r0)

        def i(n: int, m: int) -> Number:
            if not expected:
                return -d(n + 2, m)
            with mp.workdps(90):
                return mp.diff(information, (e0, r0), (n, m)) if n + m else information(e0, r0)

        return {
            "loglik": d(0, 0),
            "score": d(1, 0),
            "weight": i(0, 0),
            "weight_slope": i(1, 0),
            "loglik_r": d(0, 1),
            "score_r": d(1, 1),
            "weight_r": i(0, 1),
            "weight_curvature": i(2, 0),
            "loglik_rr": d(0, 2),
            "score_rr": d(1, 2),
            "weight_rr": i(0, 2),
            "weight_slope_r": i(1, 1),
        }
