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


def regress(
    X: Floats,
    shift: Floats,
    scale: Floats,
    mean: Floats,
    centred: Floats,
    total: float,
    response: Floats,
    weights: Floats,
    centre: bool,
    threads: int,
) -> tuple[float, Floats, float, Floats, float, float]:
    """Least-squares residuals of the response on the working columns W = (X - shift) / scale.

    Parameters
    ----------
    X : (n, k) float64 array, C-contiguous
    shift, scale : (k,) arrays
    mean, centred, total : weighted moments of X, as ``column_moments`` gives them; the kernel
        solves by them and corrects by the residuals, so they need not be exact
    response : (n,) array
    weights : (n,) array, or an empty one for weights of 1
    centre : bool, whether to take out the (weighted) mean first
    threads : int; the result does not depend on it

    Returns
    -------
    center : float, what was taken out first
    projection : (k,) coefficients of W
    unit : float, root of the weighted sum of squared residuals over n
    left : (n,) residuals / unit
    largest : float, largest absolute response
    start : float, as ``unit``, before the columns were taken out
    """
    n, k = X.shape
    w = weights if weights.size else np.ones(n)
    center = float(w @ response / w.sum()) if centre else 0.0
    y = response - center
    work, root = (X - shift) / scale, np.sqrt(w)
    projection: Floats = np.zeros(k)
    if k:
        found = np.linalg.lstsq(work * root[:, None], y * root, rcond=None)[0]
        projection = np.asarray(found, dtype=np.float64)
    left = y - work @ projection
    unit, start = (float(np.sqrt(w @ v**2 / n)) for v in (left, y))
    return center, projection, unit, left / unit, float(np.abs(response).max(initial=0.0)), start


def plainly_full_rank(mean: Floats, centred: Floats, first: int, n: int, clear: float) -> bool:
    """Whether columns ``first`` to the last are independent beyond doubt, beside the constant.

    Parameters
    ----------
    mean, centred : moments of the columns without weights, as ``column_moments`` gives them
    first : int, columns before it are left out
    n : int, rows
    clear : float
        Every Cholesky pivot of ``centred`` must exceed this part of its column's norm; and every
        column must vary by more than 1e-9 of its size.
    """
    gram, means = centred[first:, first:], mean[first:]
    squares = np.diagonal(gram)
    if not ((squares * 1e18 > n * means**2) & (squares > 0)).all():
        return False
    try:
        pivots = np.diagonal(np.linalg.cholesky(gram))
    except np.linalg.LinAlgError:
        return False
    return bool((pivots > clear * np.sqrt(squares)).all())


def standard_basis(
    mean: Floats, centred: Floats, total: float, n: int, constant: Floats, collinear: float
) -> tuple[Floats, Floats, Floats, bool]:
    """Shift and scale that centre columns along the constant and make their mean squares 1.

    Parameters
    ----------
    mean, centred, total : moments of the columns, as ``column_moments`` gives them
    n : int, rows
    constant : (k,) array c with columns @ c = 1, or an empty one if there is none
    collinear : float, see ``sound``

    Returns
    -------
    shift : (k,) array, the means where c is zero; zero everywhere without c, and for a column that
        is constant to rounding (its spread below 1e-13 of its size)
    scale : (k,) array, root mean squares about the shift, 1 in place of 0
    matrix : (k, k) array, (I - c shift') diag(1 / scale)
    sound : bool
        Every working column keeps more than ``collinear`` of itself beside those before it.
    """
    k = mean.shape[0]
    c = constant if constant.size else np.zeros(k)
    shift = np.where((c == 0) & bool(constant.size), mean, 0.0)

    def products() -> Floats:
        off = mean - shift
        about: Floats = (centred + total * np.outer(off, off)) / n
        return about

    still = np.sqrt(np.diagonal(products())) <= 1e-13 * np.abs(shift) * np.sqrt(total / n)
    shift = np.where(still, 0.0, shift)
    squares = products()
    scale = np.sqrt(np.diagonal(squares))
    scale = np.where(scale > 0, scale, 1.0)
    matrix = (np.eye(k) - np.outer(c, shift)) / scale
    correlation = squares / np.outer(scale, scale)
    try:
        pivots = np.diagonal(np.linalg.cholesky(correlation))
    except np.linalg.LinAlgError:
        return shift, scale, matrix, k < 2
    kept = pivots / np.sqrt(np.diagonal(correlation))
    return shift, scale, matrix, k < 2 or bool(kept.min() > collinear)


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
