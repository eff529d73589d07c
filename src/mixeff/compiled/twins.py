"""What the compiled passes over columns compute, in NumPy: what their tests compare them with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]

#: Bits of ``kinds`` of ``column_moments``.
CONSTANT, INDICATOR, ZERO = 1, 2, 4


def column_moments(
    values: Floats, weights: Floats, threads: int
) -> tuple[Floats, Floats, Codes, float]:
    """Weighted means and centred cross-products of the columns of ``values`` (n, k).

    Parameters
    ----------
    values : (n, k) float64 array, C-contiguous, finite
    weights : (n,) array, or an empty one for weights of 1
    threads : int; the result does not depend on it

    Returns
    -------
    mean : (k,) weighted means; the very value for a constant column
    gram : (k, k) sums over rows of w (x - mean)(x - mean)'; zero for a constant column
    kinds : (k,) int32, bits CONSTANT (all equal to the first), INDICATOR (all 0 or 1), ZERO
    total : float, sum of the weights
    """
    n, k = values.shape
    w = weights if weights.size else np.ones(n)
    total = float(w.sum())
    constant = (values == values[:1]).all(axis=0)
    mean = w @ values / total if total > 0 else np.zeros(k)
    if n:
        mean = np.where(constant, values[0], mean)
    centred = values - mean
    gram = (centred * w[:, None]).T @ centred
    indicator = ((values == 0) | (values == 1)).all(axis=0)
    zero = (values == 0).all(axis=0)
    kinds = constant * CONSTANT + indicator * INDICATOR + zero * ZERO
    return mean, gram, kinds.astype(np.int32), total


def subtract_fit(
    X: Floats,
    shift: Floats,
    scale: Floats,
    change: Floats,
    left: Floats,
    weights: Floats,
    threads: int,
) -> tuple[Floats, float]:
    """Subtract ``W @ change`` from ``left`` in place, W = (X - shift) / scale.

    Returns
    -------
    products : (k,) array, W' diag(weights) left, with what is left
    squares : float, the weighted sum of squares of what is left
    """
    work = (X - shift) / scale
    left -= work @ change
    weighted = left * weights if weights.size else left
    return work.T @ weighted, float(left @ weighted)


def used_levels(codes: Codes, n_levels: int) -> tuple[NDArray[np.bool_], int, int]:
    """Which of the levels 0 .. n_levels - 1 occur, how many do, and how many codes are none."""
    inside = (codes >= 0) & (codes < n_levels)
    used = np.bincount(codes[inside], minlength=n_levels) > 0
    return used, int(used.sum()), int((~inside).sum())


def place_integers(values: Floats, low: float, size: int) -> tuple[Codes, Longs] | None:
    """Codes of whole numbers by counting: places among the distinct values, -1 for NaN.

    Returns
    -------
    codes : (n,) int32 array
    keys : sorted distinct ``values - low``
        None instead of both if some value is not ``low`` plus one of 0 .. size - 1.
    """
    present = ~np.isnan(values)
    off = values[present] - low
    if ((off != np.floor(off)) | (off < 0) | (off >= size) | (low + off != values[present])).any():
        return None
    keys, inverse = np.unique(off.astype(np.int64), return_inverse=True)
    codes = np.full(values.shape, -1, dtype=np.int32)
    codes[present] = inverse
    return codes, keys


def index_numbers(values: Floats) -> tuple[Codes, Floats]:
    """Places of the values among the sorted distinct ones, -1 for NaN; by hashing."""
    present = ~np.isnan(values)
    distinct, inverse = np.unique(values[present] + 0.0, return_inverse=True)
    codes = np.full(values.shape, -1, dtype=np.int32)
    codes[present] = inverse
    return codes, distinct


def combine_codes(left: Codes, n_left: int, right: Codes, n_right: int) -> tuple[Codes, Longs]:
    """Codes of the pairs that occur, the right one varying fastest; -1 where either is missing.

    Returns
    -------
    codes : (n,) int32 array
    keys : sorted distinct ``left * n_right + right``
    """
    present = (left >= 0) & (right >= 0)
    pairs = left[present].astype(np.int64) * n_right + right[present]
    keys, inverse = np.unique(pairs, return_inverse=True)
    codes = np.full(left.shape, -1, dtype=np.int32)
    codes[present] = inverse
    return codes, keys
