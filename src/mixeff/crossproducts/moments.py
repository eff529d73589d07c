"""Covariances of the random effects from moments: where to start when an evaluation is dear."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts

Floats = NDArray[np.float64]

SMALLEST, LARGEST = 0.1, 10.0
"""Standard deviations relative to the residual's are kept between these: no start at a boundary."""

CHUNK = 2**15
"""Numbers of the pairs' products (256 kB) that are worked on at a time."""


def moment_factors(products: CrossProducts) -> tuple[Floats, ...] | None:
    """Lower triangular (q, q) square roots of Sigma_i, one per grouping factor, or None.

    Quadratic moments as in Henderson's method 3 and MINQUE (Searle, Casella and McCulloch 1992,
    chapters 5 and 11): with t_l = (G_l + I)^-1 Z_l'y, the means of t_l t_l' and of y'y are
    linear in the covariances. The response is taken as free of X, which it is in working
    coordinates up to the degrees of freedom of X. Costs one pass over the pairs of levels.

    Returns
    -------
    tuple of arrays
        None where the equations have no usable solution.
    """
    sizes = [g.n_columns for g in products.groups]
    ends = np.cumsum([0, *(q * q for q in sizes)])
    equations = np.zeros((ends[-1] + 1, ends[-1] + 1))
    right = np.zeros(ends[-1] + 1)
    right[-1], equations[-1, -1] = products.fixed[-1, -1], products.n
    shrunk = [np.linalg.inv(g.gram + np.eye(g.n_columns)) for g in products.groups]
    own = [slice(int(a), int(b)) for a, b in pairwise(ends)]
    for i, (g, F) in enumerate(zip(products.groups, shrunk, strict=True)):
        t = np.einsum("lab,lb->la", F, g.dense[:, -1, :])
        FG = F @ g.gram
        right[own[i]] = (t.T @ t).ravel()
        equations[own[i], own[i]] = _squares(FG)
        equations[own[i], -1] = np.einsum("lab,lcb->ac", FG, F).ravel()
        equations[-1, own[i]] = g.gram.sum(axis=0).ravel()
    for (i, k), pair in products.pairs.items():
        rows, values, columns = pair.row_of_pair(), pair.values, pair.indices
        step = max(1, CHUNK // values[0].size) if values.size else 1
        for first in range(0, values.shape[0], step):
            some = slice(first, first + step)
            part = values[some]
            equations[own[i], own[k]] += _squares(shrunk[i][rows[some]] @ part)
            turned = part.transpose(0, 2, 1)
            equations[own[k], own[i]] += _squares(shrunk[k][columns[some]] @ turned)
    if not np.isfinite(equations).all() or not np.isfinite(right).all():
        return None
    found = np.linalg.lstsq(equations, right, rcond=1e-10)[0]
    if not found[-1] > 1e-3 * products.fixed[-1, -1] / products.n:
        return None
    parts = [found[s].reshape(q, q) / found[-1] for s, q in zip(own, sizes, strict=True)]
    return tuple(_root(part) for part in parts)


def _squares(A: Floats) -> Floats:
    """The matrix of Sigma -> sum A_n Sigma A_n' on vectorized matrices."""
    n, a, b = A.shape
    flat = A.reshape(n, a * b)
    total = (flat.T @ flat).reshape(a, b, a, b)
    return total.transpose(0, 2, 1, 3).reshape(a * a, b * b)


def _root(Sigma: Floats) -> Floats:
    """Cholesky factor of the nearest matrix with standard deviations in the allowed range."""
    values, vectors = np.linalg.eigh(0.5 * (Sigma + Sigma.T))
    values = np.clip(values, SMALLEST**2, LARGEST**2)
    return np.asarray(np.linalg.cholesky((vectors * values) @ vectors.T))
