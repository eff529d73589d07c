"""The traces of a dense tail, from its inverse; see ``linear/tail_columns.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from mixeff.factor.selected_inverse import tail_inverse
from mixeff.linear.level_blocks import level_sums, pairs_of_levels
from mixeff.linear.tail_columns import TOGETHER, Tail, add_columns, inverse_without_loss

Floats = NDArray[np.float64]

_SHARED = 512  # columns from which on products are shared among threads


def add_dense(tail: Tail) -> None:
    T, threads = tail.size, tail.factor.system.threads
    Q = symmetric_from_lower(tail_inverse(tail.factor), T)
    A, products = tail.factor.eliminated.S, {}
    for j, change in tail.changes.items():
        change = np.ascontiguousarray(change[:T, :T])
        tail.changes[j] = change
        products[j] = symmetric_times(change, Q, -1.0, threads)  # rows are columns of R_j Q
    names = list(products)
    for s, j in enumerate(names):
        for k in names[: s + 1]:
            trace = _trace_of_product(products[j], products[k])
            tail.add(j, k, 0.5 * trace if j == k else trace)
    diagonal = np.diagonal(A)
    inverses = [
        inverse_without_loss(tail, a, diagonal[tail.columns(a)]) for a in range(len(tail.E))
    ]
    for a, Sigma in enumerate(inverses):
        if Sigma is None:
            continue
        cols, q = tail.columns(a), tail.E[a].shape[1]
        for j, product in products.items():
            G = Sigma @ level_sums(Q[cols], product[cols], q) @ Sigma
            tail.add(j, tail.own[a], np.einsum("kcd,cd->k", tail.E[a], G))
        for b in range(a + 1):
            other = inverses[b]
            if other is not None:
                _add_pair(tail, Q, a, b, Sigma, other)
    del products
    rest = [a for a, Sigma in enumerate(inverses) if Sigma is None and a not in tail.left_out]
    if rest:
        full = np.ascontiguousarray(A[:T, :T])
        by_columns = _Dense(Q, full, tail.changes, threads)
        for a in rest:
            others = [b for b in range(len(tail.E)) if inverses[b] is not None or b <= a]
            add_columns(tail, by_columns, a, others)


def _add_pair(tail: Tail, Q: Floats, a: int, b: int, left: Floats, right: Floats) -> None:
    """tr(E_j N E_k N) of tail factors a and b from Q, some rows at a time."""
    cols, q = tail.columns(b), left.shape[0]
    found = np.zeros((len(tail.E[a]), len(tail.E[b])))
    for rows in tail.pieces(a):
        N = _blocks_times(Q[rows, cols], left, right)
        if a == b:
            at = np.arange(rows.start, rows.stop).reshape(-1, q)
            own, other = at - rows.start, at - cols.start
            N[own[:, :, None], other[:, None, :]] += left
        found += pairs_of_levels(N, tail.E[a], tail.E[b])
    tail.add(tail.own[a], tail.own[b], 0.5 * found if a == b else found)


def _blocks_times(M: Floats, left: Floats, right: Floats) -> Floats:
    """-(I x left) M (I x right)."""
    if left.size == right.size == 1:
        return np.asarray(M * -(left[0, 0] * right[0, 0]))
    q, r = left.shape[0], right.shape[0]
    half = left @ M.reshape(-1, q, M.shape[1])
    found = half.reshape(M.shape[0], -1, r) @ -right
    return np.asarray(found.reshape(M.shape))


@dataclass(frozen=True, slots=True)
class _Dense:
    """Upper triangles of A' and -R_j, all of Q."""

    inverse: Floats
    matrix: Floats
    changes: Mapping[int, Floats]
    threads: int

    def Q(self, right: Floats) -> Floats:
        """Q right."""
        return np.asarray(self.inverse @ right)

    def A(self, right: Floats) -> Floats:
        """A' right."""
        return symmetric_times(self.matrix, right.T, 1.0, self.threads).T

    def R(self, j: int, right: Floats) -> Floats:
        """R_j right."""
        return symmetric_times(self.changes[j], right.T, -1.0, self.threads).T


def symmetric_from_lower(M: Floats, size: int) -> Floats:
    """All of the leading part of a symmetric matrix of which the lower triangle counts."""
    out = np.array(M[:size, :size])
    for first in range(0, size, TOGETHER):
        own = slice(first, first + TOGETHER)
        out[own, own] = np.tril(out[own, own]) + np.tril(out[own, own], -1).T
        out[own, own.stop :] = out[own.stop :, own].T
    return out


def symmetric_times(upper: Floats, columns: Floats, factor: float, threads: int) -> Floats:
    """factor S C for symmetric S, given by its upper triangle, and C, given by its columns.

    Parameters
    ----------
    upper : (T, T) array, C-contiguous
    columns : (m, T) array, C', and so is what is returned
    threads : int, that share the columns; the numbers do not depend on it
    """
    columns = np.ascontiguousarray(columns)
    out = np.empty_like(columns)

    def some(first: int) -> None:
        own = slice(first, first + TOGETHER)
        blas.dsymm(factor, upper.T, columns[own].T, c=out[own].T, overwrite_c=1, lower=1)

    _share(some, range(0, len(columns), TOGETHER), threads if len(upper) >= _SHARED else 1)
    return out


def _share(work: Callable[[int], None], parts: Sequence[int], threads: int) -> None:
    """BLAS releases the interpreter: Python's threads do."""
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(threads, len(parts))) as pool:
        list(pool.map(work, parts))


def _trace_of_product(left: Floats, right: Floats) -> float:
    """tr(L R), square by square: one of them is read across."""
    total = 0.0
    for i in range(0, len(left), TOGETHER):
        for j in range(0, len(left), TOGETHER):
            one, two = slice(i, i + TOGETHER), slice(j, j + TOGETHER)
            total += float(np.einsum("ab,ba->", left[one, two], right[two, one]))
    return total
