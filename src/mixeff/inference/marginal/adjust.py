"""P values and intervals of a family of tests, adjusted for its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc, fdtri

from mixeff.inference.marginal.multivariate_t import MaximalT
from mixeff.inference.marginal.studentized_range import (
    studentized_range_quantile,
    studentized_range_sf,
)
from mixeff.inference.method import t_quantile, t_tail
from mixeff.model.options import choose

Floats = NDArray[np.float64]

_ALIASES = {"dunnett": "mvt", "single-step": "mvt", "bh": "fdr", "fdr_bh": "fdr"}
ADJUSTMENTS = (
    "tukey", "mvt", "sidak", "bonferroni", "holm", "hochberg", "scheffe", "dunnettx", "fdr", "BY",
    "none",
)  # fmt: skip
# Step-wise methods have no intervals of their own: theirs are Bonferroni's.
STEPWISE = ("holm", "hochberg", "fdr", "BY")


@dataclass(frozen=True, slots=True)
class Family:
    """Tests judged together.

    Attributes
    ----------
    statistic, df : (m,) arrays; NaN for a test that cannot be made
    correlation : (m, m) array of the estimates; NaN rows where there is none
    rank : int, of the linear functions tested
    compared : int, number of estimates compared, where the tests are all their pairs
    """

    statistic: Floats
    df: Floats
    correlation: Floats
    rank: int
    compared: int

    @property
    def known(self) -> NDArray[np.bool_]:
        """(m,) tests that can be made."""
        return np.asarray(np.isfinite(self.statistic) & ~np.isnan(self.df))

    @property
    def size(self) -> int:
        """Number of tests that can be made."""
        return int(self.known.sum())


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Adjusted results of a family.

    Attributes
    ----------
    p_value : (m,) array
    half_width : (m,) array, of simultaneous intervals in standard errors
    accuracy : float, relative standard error of the p values where they were simulated, else 0
    """

    p_value: Floats
    half_width: Floats
    accuracy: float = 0.0


def adjustment(adjust: object) -> str:
    """The canonical name of an adjustment, or OptionError."""
    known = _ALIASES.get(adjust.casefold(), adjust) if isinstance(adjust, str) else adjust
    return choose("contrast", "adjust", known, ADJUSTMENTS)


def adjusted(family: Family, adjust: str, level: float) -> Adjusted:
    """P values and interval half widths of a family by one of `ADJUSTMENTS`."""
    plain = t_tail(family.statistic, family.df)
    if family.size <= 1 and adjust != "scheffe":
        return Adjusted(plain, t_quantile(level, family.df))
    if adjust == "mvt":
        return _multivariate(family, level)
    if adjust == "tukey":
        return _tukey(family, level)
    if adjust == "scheffe":
        return _scheffe(family, level)
    if adjust == "dunnettx":
        return _dunnettx(family, level)
    p = np.full(plain.shape, np.nan)
    p[family.known] = _from_p(plain[family.known], adjust)
    return Adjusted(p, _widths(family, adjust, level))


def _from_p(p: Floats, adjust: str) -> Floats:
    n = p.size
    if adjust == "none":
        return p
    if adjust == "bonferroni":
        return np.asarray(np.minimum(n * p, 1.0))
    if adjust == "sidak":
        return np.asarray(-np.expm1(n * np.log1p(-p)))
    order = np.argsort(p)
    rank = np.empty(n)
    rank[order] = np.arange(1, n + 1)
    factor = n - rank + 1.0 if adjust in ("holm", "hochberg") else n / rank
    if adjust == "BY":
        factor = factor * (1.0 / np.arange(1, n + 1)).sum()
    out = np.empty(n)
    if adjust == "holm":  # steps down from the smallest, the others up from the largest
        out[order] = np.maximum.accumulate((factor * p)[order])
    else:
        out[order[::-1]] = np.minimum.accumulate((factor * p)[order[::-1]])
    return np.asarray(np.minimum(out, 1.0))


def _widths(family: Family, adjust: str, level: float) -> Floats:
    n = family.size
    if adjust == "none":
        return t_quantile(level, family.df)
    if adjust == "sidak":
        return t_quantile(level ** (1.0 / n), family.df)
    return t_quantile(1.0 - (1.0 - level) / n, family.df)


def _per_test(
    family: Family,
    tail: Callable[[float, float], float],
    quantile: Callable[[float], float],
) -> tuple[Floats, Floats]:
    """P values and half widths, test by test (their df differ)."""
    p, half = (np.full(family.statistic.shape, np.nan) for _ in range(2))
    for j in np.flatnonzero(family.known):
        t, df = abs(float(family.statistic[j])), float(family.df[j])
        p[j] = tail(t, df)
        # Degrees of freedom that differ by rounding share one quantile.
        half[j] = quantile(float(f"{df:.9g}"))
    return p, half


def _tukey(family: Family, level: float) -> Adjusted:
    k, root = family.compared, float(np.sqrt(2.0))
    p, half = _per_test(
        family,
        lambda t, df: studentized_range_sf(root * t, k, df),
        lambda df: studentized_range_quantile(level, k, df) / root,
    )
    return Adjusted(p, half)


def _multivariate(family: Family, level: float) -> Adjusted:
    known = family.known
    # Families alike but for rounding (the same factors within each level of another) share draws.
    correlation = np.round(family.correlation[np.ix_(known, known)], 9) + 0.0
    df = float(f"{family.df[known].min():.9g}")
    largest = _maximal(correlation.tobytes(), correlation.shape[0], df)
    p, half = (np.full(known.shape, np.nan) for _ in range(2))
    # Degrees of freedom that differ by rounding share one quantile.
    half[known] = largest.quantiles(level, np.array([float(f"{x:.9g}") for x in family.df[known]]))
    accuracy = 0.0
    for j in np.flatnonzero(known):
        t, own = abs(float(family.statistic[j])), float(family.df[j])
        p[j], error = largest.tail_with_error(t, own)
        accuracy = max(accuracy, error / p[j] if p[j] > 0 else 0.0)
    return Adjusted(p, half, accuracy)


@lru_cache(maxsize=8)
def _maximal(correlation: bytes, size: int, df: float) -> MaximalT:
    return MaximalT(np.frombuffer(correlation).reshape(size, size), df)


def _scheffe(family: Family, level: float) -> Adjusted:
    """Every linear combination of the family at once: t^2 / r against F(r, df)."""
    r = float(max(family.rank, 1))
    df = np.where(np.isinf(family.df), 1e12, family.df)
    with np.errstate(invalid="ignore"):
        p = fdtrc(r, df, family.statistic**2 / r)
        half = np.sqrt(r * fdtri(r, df, level))
    return Adjusted(np.where(family.known, p, np.nan), np.where(family.known, half, np.nan))


def _dunnettx(family: Family, level: float) -> Adjusted:
    """emmeans' quick approximation to Dunnett's distribution, a mixture of two others.

    With n tests, weight (n - 1) / n on Tukey's distribution for (1 + sqrt(1 + 8 n)) / 2 means
    and the rest on Sidak's (Lenth, documentation of emmeans, `summary.emmGrid`).
    """
    n = family.size
    means, weight = 0.5 * (1.0 + np.sqrt(1.0 + 8.0 * n)), (n - 1.0) / n
    root = float(np.sqrt(2.0))

    def tail(t: float, df: float) -> float:
        plain = float(t_tail(np.array(t), np.array(df)))
        sidak = -np.expm1(n * np.log1p(-plain))
        return float(weight * studentized_range_sf(root * t, means, df) + (1.0 - weight) * sidak)

    def quantile(df: float) -> float:
        from scipy.optimize import brentq

        return float(brentq(lambda t: tail(t, df) - (1.0 - level), 1e-6, 1e4, xtol=1e-10))

    return Adjusted(*_per_test(family, tail, quantile))
