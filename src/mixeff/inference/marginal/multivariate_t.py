"""The largest of several correlated t statistics: P(max |T_j| > t), by quasi-Monte Carlo.

T = y / s with y standard normal in r dimensions seen along unit vectors a_j (a_i'a_j the
correlations, which may be singular) and s an independent root-mean-square with nu degrees of
freedom. With u the direction of y, |y|^2 / (r s^2) is F(r, nu) and independent of u, so

    P(max |T_j| > t) = E_u [ P(F > t^2 / (r m(u)^2)) ],   m(u) = max_j |a_j'u|

(spherical-radial form: Deak 1980; Genz and Bretz 2009, section 4.1.1). Directions are drawn from
the mixture over j of their distribution given |T_j| > t (importance sampling of a union: Owen,
Maximov and Chertkov 2019), which bounds every weight between 1/k and 1: tails of any size come out
with about the same relative accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtrc, fdtrc, gammaincinv, ndtr, ndtri, stdtr, stdtrit

Floats = NDArray[np.float64]

SEED = 20_040_517
# Scrambled Sobol points in independent replicates: their spread is the error.
_REPLICATES = 8
_POINTS = 4096
# Nodes of the tables by which tails and quantiles are looked up (errors below 1e-5).
_NODES = 8192
_EDGE = 1e-15
# Directions drawn for one threshold serve larger ones up to this step.
_LADDER = (0.0, 1.0, 2.0, 3.0, 4.2, 6.0, 9.0, 14.0, 22.0, 35.0)
_RANK = 1e-10
# Points of an interpolation in 1 / df.
_CURVE = 6


@dataclass(frozen=True, slots=True)
class Draws:
    """Directions drawn for a threshold.

    Attributes
    ----------
    nearest : (N,) array, m(u)^2
    weight : (N,) array, of each direction relative to uniform ones
    """

    nearest: Floats
    weight: Floats


class MaximalT:
    """The distribution of the largest |T_j| of a family.

    Parameters
    ----------
    correlation : (k, k) array, positive semidefinite with unit diagonal
    df : float
        The smallest degrees of freedom it will be asked about; infinite for a normal reference.

    Examples
    --------
    >>> import numpy as np
    >>> family = MaximalT(np.full((3, 3), 0.5) + np.eye(3) / 2, df=20.0)
    >>> round(family.tail(2.54, 20.0), 3)  # Dunnett's 5 % point for 3 treatments
    0.05
    """

    def __init__(self, correlation: Floats, df: float) -> None:
        values, vectors = np.linalg.eigh(0.5 * (correlation + correlation.T))
        kept = values > _RANK * values[-1]
        axes = vectors[:, kept] * np.sqrt(values[kept])
        axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
        self._axes = _distinct(axes)
        self._df = float(df)
        self._draws: dict[float, Draws] = {}

    @property
    def rank(self) -> int:
        """r."""
        return int(self._axes.shape[1])

    def tail(self, t: float, df: float) -> float:
        """P(max |T_j| > t)."""
        return self.tail_with_error(t, df)[0]

    def tail_with_error(self, t: float, df: float) -> tuple[float, float]:
        """`tail` and its standard error, from independent scramblings."""
        values = self._replicates(t, df)
        return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(values.size))

    def quantiles(self, level: float, df: Floats) -> Floats:
        """`quantile` for many df; smooth in 1 / df, and so interpolated where they are many."""
        rate = 1.0 / df
        low, high = float(rate.min()), float(rate.max())
        if np.unique(rate).size <= _CURVE or high - low < 1e-9:
            known = {x: self.quantile(level, float(x)) for x in set(df.tolist())}
            return np.array([known[x] for x in df.tolist()])
        nodes = np.cos(np.pi * (np.arange(_CURVE) + 0.5) / _CURVE)
        at = 0.5 * (low + high) + 0.5 * (high - low) * nodes
        values = [self.quantile(level, float(1.0 / x)) for x in at]
        fit = np.polynomial.chebyshev.chebfit(nodes, values, _CURVE - 1)
        scaled = (2.0 * rate - low - high) / (high - low)
        return np.asarray(np.polynomial.chebyshev.chebval(scaled, fit))

    def quantile(self, level: float, df: float) -> float:
        """The value that max |T_j| stays below with probability ``level``."""
        if np.isnan(df):
            return np.nan
        alpha = 1.0 - level
        # Between a single test and Bonferroni; all evaluations from the same directions.
        low, high = (float(_two_sided_quantile(p, df)) for p in (alpha, alpha / len(self._axes)))
        base = self._directions(low)
        return float(
            brentq(
                lambda t: float(np.mean(self._from(base, t, df))) - alpha,
                0.9 * low, 1.1 * high, xtol=1e-9,
            )
        )  # fmt: skip

    def _replicates(self, t: float, df: float) -> Floats:
        if np.isnan(t) or np.isnan(df):
            return np.full(_REPLICATES, np.nan)
        if len(self._axes) == 1:
            return np.full(_REPLICATES, _two_sided(t, df))
        return self._from(self._directions(t), t, df)

    def _from(self, draws: Draws, t: float, df: float) -> Floats:
        values = draws.weight * _radial_tail(t * t / draws.nearest, self.rank, df)
        return np.asarray(np.minimum(values.reshape(_REPLICATES, -1).mean(axis=1), 1.0))

    def _directions(self, t: float) -> Draws:
        base = max((step for step in _LADDER if step <= t), default=0.0)
        if base not in self._draws:
            self._draws[base] = self._draw(base)
        return self._draws[base]

    def _draw(self, t: float) -> Draws:
        """Directions from the mixture of conditional ones, and their weights."""
        axes, r = self._axes, self.rank
        points = sobol(r + 2)
        k = len(axes)
        own = axes[np.minimum((points[:, 0] * k).astype(np.intp), k - 1)]
        # T_j beyond t, then s given T_j, then y across a_j (a_j' y is T_j s).
        p = _two_sided(t, self._df)
        along = _beyond(points[:, 1], p, self._df)
        if np.isfinite(self._df):
            chi = _chi_square(points[:, 2], self._df + 1.0)
            along = along * np.sqrt(chi / (self._df + along**2))
        y = along[:, None] * own + _across(own, points[:, 3:])
        squares = (y @ axes.T) ** 2 / (y**2).sum(axis=1)[:, None]
        squares = np.clip(squares, 1e-300, 1.0)
        density = _tail_table(squares, t, r, self._df).sum(axis=1)
        return Draws(squares.max(axis=1), k * p / density)


def _distinct(axes: Floats) -> Floats:
    """Axes without repeats (up to sign): a repeated statistic adds no event."""
    kept: list[int] = []
    near = np.abs(axes @ axes.T) > 1.0 - 1e-12
    for j in range(len(axes)):
        if not near[j, kept].any():
            kept.append(j)
    return axes[kept]


def _across(own: Floats, uniform: Floats) -> Floats:
    """Standard normal vectors in the complement of unit vectors, from r - 1 uniforms each.

    The reflection that takes the first axis to ``own`` carries the others to its complement.
    """
    normal = ndtri(uniform)
    first = np.zeros_like(own)
    first[:, 1:] = normal
    v = own.copy()
    v[:, 0] -= 1.0
    length = (v**2).sum(axis=1)
    scale = np.where(length > 1e-30, 2.0 / np.maximum(length, 1e-30), 0.0)
    return np.asarray(first - (scale * (v * first).sum(axis=1))[:, None] * v)


def _radial_tail(squared: Floats, r: int, df: float) -> Floats:
    """P(|y|^2 / s^2 > squared)."""
    if np.isinf(df):
        return np.asarray(chdtrc(float(r), squared))
    return np.asarray(fdtrc(float(r), df, squared / r))


def _tail_table(squares: Floats, t: float, r: int, df: float) -> Floats:
    """`_radial_tail` at t^2 / squares by interpolating its logarithm in the root of ``squares``."""
    nodes = np.linspace(1e-9, 1.0, _NODES)
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = np.log(_radial_tail(t * t / nodes**2, r, df))
    table = np.where(np.isfinite(exact), exact, -745.0)
    return np.asarray(np.exp(np.interp(np.sqrt(squares), nodes, table)))


def _beyond(uniform: Floats, p: float, df: float) -> Floats:
    """|T| given that it lies in its tail of probability p."""
    nodes = np.linspace(np.log(_EDGE), 0.0, _NODES)
    table = _two_sided_quantile(np.exp(nodes) * p, df)
    return np.asarray(np.interp(np.log(uniform), nodes, table))


def _chi_square(uniform: Floats, df: float) -> Floats:
    nodes = np.linspace(float(ndtri(_EDGE)), -float(ndtri(_EDGE)), _NODES)
    table = 2.0 * gammaincinv(0.5 * df, ndtr(nodes))
    return np.asarray(np.interp(ndtri(uniform), nodes, table))


def _two_sided(t: Floats | float, df: float) -> float:
    size = -np.abs(t)
    return float(2.0 * (ndtr(size) if np.isinf(df) else stdtr(df, size)))


def _two_sided_quantile(p: Floats | float, df: float) -> Floats:
    half = 0.5 * np.asarray(p, dtype=np.float64)
    return np.asarray(-(ndtri(half) if np.isinf(df) else stdtrit(df, half)))


@lru_cache(maxsize=4)
def sobol(dimension: int) -> Floats:
    """(N, dimension) scrambled Sobol points, replicate by replicate; the same in every run."""
    from scipy.stats import qmc

    parts = [
        qmc.Sobol(dimension, scramble=True, seed=SEED + j).random(_POINTS)
        for j in range(_REPLICATES)
    ]
    # Inside the open interval: quantiles of 0 are infinite.
    points = np.clip(np.concatenate(parts), _EDGE, 1.0 - _EDGE)
    points.setflags(write=False)
    return np.asarray(points)
