"""Rank of a model matrix by R's rule: later columns that add nothing are dropped.

R sweeps the columns from left to right and drops one whose norm, after projecting out the columns
kept before it, is below 1e-7 of what it was (LINPACK's dqrdc2). The rule is kept, but the norm is
that of the column about its mean as soon as the constant lies in the span of the columns: adding
1e8 to a predictor then neither drops it nor costs digits.

Two steps make it fast and safe. The Gram matrix of the centred, normalized columns costs one
blocked pass; its Cholesky pivots are squared relative norms with an absolute error of a few
multiples of p * 1e-16, so a pivot above 1e-9 proves a relative norm above 3e-5, far from the
tolerance: full rank, nothing to do. Otherwise a Householder QR, which loses no digits by squaring,
decides by the rule itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular
from scipy.linalg.lapack import dpotrf

from mixeff.compiled import plainly_full_rank
from mixeff.design.moments import Moments

Floats = NDArray[np.float64]

TOLERANCE = 1e-7
_CLEAR = 3e-5  # relative norm above which a Gram pivot is beyond doubt
_ROUNDING = 64 * np.finfo(np.float64).eps  # a centred constant is this small, relative to itself
_NOISE = 8 * np.finfo(np.float64).eps  # rounding of an entry, relative to its size
_BLOCK = 16_384


def independent_columns(
    X: Floats, *, intercept: bool, constant_in_span: bool, moments: Moments | None = None
) -> NDArray[np.intp]:
    """Positions of the columns to keep.

    Parameters
    ----------
    X : (n, p) float64 array
    intercept : bool
        The first column is the constant 1.
    constant_in_span : bool
        The constant is a linear combination of the columns (an intercept, or a factor with an
        indicator for every level).
    moments : Moments of X without weights, if they are known

    Returns
    -------
    (rank,) int array, increasing

    Examples
    --------
    >>> x = np.arange(5.0)
    >>> X = np.column_stack([np.ones(5), x, 2 * x, x**2])
    >>> independent_columns(X, intercept=True, constant_in_span=True)
    array([0, 1, 3])
    """
    p = X.shape[1]
    if p == 0 or (p == 1 and intercept):
        return np.arange(p)
    first = 1 if intercept else 0
    if moments is None:
        moments = Moments.of(np.ascontiguousarray(X))
    if constant_in_span:
        # Few operations, for the everyday model; what this doubts is looked at closely.
        if intercept and plainly_full_rank(
            moments.mean, moments.centred, first, X.shape[0], _CLEAR
        ):
            return np.arange(p)
        means, gram = moments.mean[first:], moments.centred[first:, first:]
    else:
        means = np.zeros(p - first)
        gram = moments.about(np.zeros(p))[first:, first:]
    norms = np.sqrt(np.diagonal(gram))
    sizes = np.sqrt(norms**2 + X.shape[0] * means**2)
    alive = norms > _ROUNDING * sizes
    scale = np.where(alive, norms, 1.0)
    # Entries of size 1e10 are themselves only right to 1e-6: no residual below that is more than
    # rounding of the data.
    tolerance = np.maximum(TOLERANCE, _NOISE * sizes / scale)
    if not intercept and constant_in_span:  # one dimension short when centred: test as they are
        if _clearly_full_rank(gram + X.shape[0] * np.outer(means, means), sizes, tolerance):
            return np.arange(p)
    elif alive.all() and _clearly_full_rank(gram, norms, tolerance):
        return np.arange(p)
    R = _triangle(X, first, means, scale)
    tolerance[~alive] = np.inf
    kept = _sweep(R, tolerance, means / scale if constant_in_span and not intercept else None)
    return np.array([0] * first + [first + j for j in kept], dtype=np.intp)


def _clearly_full_rank(gram: Floats, norms: Floats, tolerance: Floats) -> bool:
    """True if every Cholesky pivot of the normalized Gram matrix is far from zero."""
    if not norms.all():
        return False
    if norms.size == 1:
        return True
    L, info = dpotrf(gram / (norms[:, None] * norms), lower=1)
    return info == 0 and bool((np.diagonal(L) > np.maximum(_CLEAR, 2.0 * tolerance)).all())


def _triangle(X: Floats, first: int, means: Floats, scale: Floats) -> Floats:
    """R of the QR of the centred, normalized columns, block after block (TSQR): small memory."""
    p = X.shape[1] - first
    R = np.zeros((0, p))
    step = max(_BLOCK, 8 * p)
    for start in range(0, X.shape[0], step):
        block = (X[start : start + step, first:] - means) / scale
        R = qr(np.vstack([R, block]), mode="r", overwrite_a=True, check_finite=False)[0][:p]
    return np.asarray(R)


def _sweep(R: Floats, tolerance: Floats, means: Floats | None) -> list[int]:
    """R's left-to-right sweep over columns of the same inner products as the centred ones.

    ``means`` (scaled) are given when the constant is in the span without a column of its own: the
    centred columns are then one dimension short of the true ones, and the first column whose
    dependence on the earlier ones needs the constant is independent after all.
    """
    Q = np.empty_like(R, shape=(R.shape[0], R.shape[1]))
    kept: list[int] = []
    centred: list[int] = []  # the kept columns that Q spans
    for j in range(R.shape[1]):
        basis = Q[:, : len(centred)]
        residual = R[:, j].copy()
        for _ in range(2):  # twice is enough (Kahan, Parlett)
            residual -= basis @ (basis.T @ residual)
        norm = float(np.linalg.norm(residual))
        if norm >= tolerance[j]:
            Q[:, len(centred)] = residual / norm
            kept.append(j)
            centred.append(j)
        elif means is not None and _needs_constant(R, means, centred, basis, j):
            kept.append(j)
            means = None
    return kept


def _needs_constant(R: Floats, means: Floats, kept: list[int], Q: Floats, j: int) -> bool:
    """True if column j is a combination of the kept columns only with the help of the constant."""
    weights = np.zeros(0)
    if kept:
        weights = solve_triangular(Q.T @ R[:, kept], Q.T @ R[:, j], check_finite=False)
    shift = means[j] - weights @ means[kept]
    size = abs(means[j]) + np.abs(weights * means[kept]).sum()
    return bool(abs(shift) > TOLERANCE * size)
