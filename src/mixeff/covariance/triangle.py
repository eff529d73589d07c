"""Square roots of a covariance matrix: to lower triangular form, and their null space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PIVOT = 1e-13  # a pivot below this part of its row is rounding, not a variance


def lower_factor(root: Floats) -> Floats:
    """Lower triangular Lambda with Lambda Lambda' = root root' and diagonal >= 0.

    Householder reflections from the right, so the product is never formed and small variances keep
    their digits. Where the covariance matrix is singular the column of a vanishing pivot is exactly
    zero (the semidefinite Cholesky convention, which is also what lme4 reports).

    Parameters
    ----------
    root : (q, m) array
        Any square root of the covariance matrix, one row per random-effect column.

    Returns
    -------
    (q, q) array

    Examples
    --------
    >>> lower_factor(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[5., 0.],
           [0., 0.]])
    """
    rest = np.array(root, dtype=np.float64)
    q = rest.shape[0]
    out = np.zeros((q, q))
    for i in range(q):
        if rest.shape[1] == 0:
            break
        row = rest[i]
        pivot = float(np.linalg.norm(row))
        if pivot == 0.0 or pivot <= _PIVOT * np.hypot(pivot, np.linalg.norm(out[i])):
            continue
        rest = _reflect(rest, row.copy(), pivot)
        column = rest[:, 0]
        if column[i] < 0:
            column = -column
        out[i:, i] = column[i:] + 0.0  # no negative zeros
        rest = rest[:, 1:]
    return out


def _reflect(matrix: Floats, row: Floats, length: float) -> Floats:
    """Householder reflection of the columns that sends ``row`` to a multiple of e_1."""
    if row.shape[0] == 1 or not np.any(row[1:]):
        return matrix
    v = row / length
    v[0] += 1.0 if v[0] >= 0 else -1.0
    return matrix - np.outer(matrix @ v, v * (2.0 / (v @ v)))


def null_space(Lambda: Floats, tolerance: float = 0.0) -> Floats:
    """Orthonormal basis (q, m) of the directions v with |Lambda' v| <= tolerance.

    With ``tolerance`` 0 only directions that are zero to rounding count.
    """
    if Lambda.shape == (1, 1):
        return np.ones((1, 1 if abs(float(Lambda[0, 0])) <= tolerance else 0))
    u, s, _ = np.linalg.svd(Lambda)
    limit = max(tolerance, 1e-14 * float(s[0]) if s.size else 0.0)
    return np.ascontiguousarray(u[:, s <= limit])
