"""Tail probabilities and quantiles of the reference distributions of tests and intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def f_tail(f: float, num_df: float, den_df: float) -> float:
    """P(F > f); chi-square over its df where the denominator is infinite."""
    from scipy.special import chdtrc, fdtrc

    if np.isnan(f) or num_df <= 0 or np.isnan(den_df) or den_df <= 0:
        return np.nan
    # Kenward and Roger's scale may be negative where F has no mean; infinite: no variance left.
    if f <= 0 or np.isinf(f):
        return float(f <= 0)
    if np.isinf(den_df):
        return float(chdtrc(num_df, num_df * f))
    return float(fdtrc(num_df, den_df, f))


def t_tail(statistic: Floats, df: Floats) -> Floats:
    """P(|T| > |t|), normal where df is infinite, NaN where it is not known."""
    from scipy.special import ndtr, stdtr

    size, df = -np.abs(statistic), np.asarray(df, dtype=np.float64)
    finite = np.isfinite(df)
    with np.errstate(invalid="ignore"):
        tail = np.where(np.isinf(df), ndtr(size), np.nan)
        tail[finite] = stdtr(df[finite], size[finite])
    return np.asarray(2.0 * tail)


def t_quantile(level: float, df: Floats) -> Floats:
    """Half width of a two-sided interval in standard errors."""
    from scipy.special import ndtri, stdtrit

    df = np.asarray(df, dtype=np.float64)
    half = np.full(df.shape, np.nan)
    half[np.isinf(df)] = ndtri(0.5 + level / 2)
    finite = np.isfinite(df) & (df > 0)
    half[finite] = stdtrit(df[finite], 0.5 + level / 2)
    return half
