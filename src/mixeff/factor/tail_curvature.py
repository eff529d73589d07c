"""Squares of Z_i'PZ_k over the dense tail: the exact second derivatives of log|V| there.

d2 log|V| / dSigma_i dSigma_k sums squares of the entries of Z_i'PZ_k over all pairs of levels.
The inverse of the dense tail, at hand when traces are computed, holds those of its factors; one
pass over it costs the square of its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.factor.dense_tail import DenseTail

Floats = NDArray[np.float64]

Squares = dict[tuple[int, int], Floats]
"""(q_i, q_i, q_k, q_k) arrays sum_lm N_lm[a, c] N_lm[b, d], N = Z_i'PZ_k, per pair of groups."""

_ROWS = 64  # levels looked at together: what is made of their own corner stays small


def tail_squares(tail: DenseTail, Q: Floats, inverses: Sequence[Floats | None]) -> Squares | None:
    """For the factors of the tail, from the lower triangle of Q = M^-1 in scaled coordinates.

    ``inverses`` are those of Lambda, per grouping factor in the caller's order: Z_i'PZ_k is
    Lambda_i^-T (I - M^-1)_ik Lambda_k^-1. None where one of the tail's is missing.
    """
    groups = tail.layout.tail_groups
    found: Squares = {}
    for a, i in enumerate(groups):
        for b, k in enumerate(groups[: a + 1]):
            left, right = inverses[i], inverses[k]
            if left is None or right is None:
                return None
            block = Q[tail.columns(a), tail.columns(b)]
            if a == b:
                raw = _own_products(block, left.shape[0])
            else:
                raw = _products(block, left.shape[0], right.shape[0])
            U = np.einsum("abcd,ae,bf,cg,dh->efgh", raw, left, left, right, right, optimize=True)
            found[i, k] = U
            found[k, i] = np.ascontiguousarray(U.transpose(2, 3, 0, 1))
    return found


def _products(block: Floats, q: int, r: int) -> Floats:
    """(q, q, r, r) sums over level pairs of M_lm[a, c] M_lm[b, d]."""
    out = np.zeros((q, q, r, r))
    step = _ROWS * q
    for first in range(0, block.shape[0], step):
        rows = block[first : first + step]
        for a in range(q):
            for c in range(r):
                left = rows[a::q, c::r]
                for b in range(a + 1):
                    for d in range(r):
                        out[a, b, c, d] += np.einsum("lm,lm->", left, rows[b::q, d::r])
    for a in range(q):
        for b in range(a):
            out[b, a] = out[a, b].T
    return out


def _own_products(block: Floats, q: int) -> Floats:
    """The same of N = I - M for a factor with itself, from the lower triangle of M."""
    below, square = np.zeros((q, q, q, q)), np.zeros((q, q, q, q))
    trace = np.zeros((q, q))
    step = _ROWS * q
    for first in range(0, block.shape[0], step):
        rows = block[first : first + step]
        below += _products(rows[:, :first], q, q)
        own = np.tril(rows[:, first : first + step])
        own += np.tril(own, -1).T
        square += _products(own, q, q)
        trace += np.einsum("lalb->ab", own.reshape(-1, q, own.shape[0] // q, q))
    total = below + below.transpose(2, 3, 0, 1) + square
    return _from_identity(total, trace, block.shape[0] // q)


def _from_identity(raw: Floats, trace: Floats, J: int) -> Floats:
    """The products of I - M, given those of M and the sum of its J diagonal blocks."""
    eye = np.eye(trace.shape[0])
    cross = np.einsum("ac,bd->abcd", eye, trace)
    both = cross + cross.transpose(1, 0, 3, 2)
    return np.asarray(raw - both + J * np.einsum("ac,bd->abcd", eye, eye))
