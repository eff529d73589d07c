"""The part of tr(W V_j W V_k) that belongs to the tail, the columns left by the chain.

Formulas and symbols: ``linear/trace_products.py``. With Y = I - Q A' and N = A' Y of the tail,

    j, k of the chain:     tr(Q R_j Q R_k)
    j of it, k here:       tr(R_j Y E_k Y')
    j, k here:             tr(E_j N E_k N) .

Y = Q Sigma^-1 and N = Sigma^-1 - Sigma^-1 Q Sigma^-1 where Sigma can be divided by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from mixeff.factor import kernels
from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.dense_tail import DenseTail
from mixeff.factor.selected_inverse import tail_inverse
from mixeff.factor.sparse_tail import SparseTail
from mixeff.factor.tail_products import scale_rows
from mixeff.linear.level_blocks import level_sums, pairs_of_levels

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

TOGETHER = 256
"""Columns of the tail that are worked on together."""

_NO_LOSS = 1e-4  # smallest Sigma A for which I - (I + Sigma A)^-1 may be taken as a difference
_SHARED = 512  # columns from which on products are shared among threads


@dataclass(frozen=True, slots=True)
class _Tail:
    """What both kinds of tail know.

    Attributes
    ----------
    factor : BlockedFactor
    changes : dict j -> array, -R_j of the chain's parameters, laid out as the tail's ``S``
    E : (m, q, q) arrays per tail factor
    own : positions of their parameters
    K : (M, M) array, added to
    """

    factor: BlockedFactor
    changes: dict[int, Floats]
    E: Sequence[Floats]
    own: Sequence[Indices]
    K: Floats

    @property
    def size(self) -> int:
        """Random columns of the tail."""
        return int(self.factor.layout.starts[-1])

    def columns(self, a: int) -> slice:
        """Those of tail factor a."""
        starts = self.factor.layout.starts
        return slice(int(starts[a]), int(starts[a + 1]))

    def pieces(self, a: int) -> Iterator[slice]:
        """The same in pieces, no level cut."""
        own, q = self.columns(a), self.E[a].shape[1]
        step = q * max(1, TOGETHER // q)
        for first in range(own.start, own.stop, step):
            yield slice(first, min(first + step, own.stop))

    def inverse(self, a: int) -> Floats | None:
        """Sigma^-1 of tail factor a; None where Lambda cannot be divided by."""
        L = self.factor.inverses[self.factor.layout.tail_groups[a]]
        return None if L is None else np.asarray(L.T @ L)

    def add(self, j: Indices | int, k: Indices | int, found: Floats | float) -> None:
        """``found`` to both places of K."""
        rows, columns = np.atleast_1d(j), np.atleast_1d(k)
        block = np.reshape(found, (rows.size, columns.size))
        self.K[np.ix_(rows, columns)] += block
        self.K[np.ix_(columns, rows)] += block.T


class _Operators(Protocol):
    """Products of symmetric (T, T) matrices of the tail with (T, m) ones."""

    def Q(self, right: Floats) -> Floats:
        """Q right."""
        ...

    def A(self, right: Floats) -> Floats:
        """A' right."""
        ...

    def R(self, j: int, right: Floats) -> Floats:
        """R_j right."""
        ...


def add_tail(
    factor: BlockedFactor,
    changes: dict[int, Floats],
    directions: Sequence[Floats],
    own: Sequence[Indices],
    K: Floats,
) -> None:
    """Everything that involves the tail's columns, to K.

    Parameters
    ----------
    factor : BlockedFactor, of which ``trace_blocks`` was asked last
    changes : dict j -> array, -R_j, used up
    directions, own : E_j and the positions of its parameters, per grouping factor
    K : (M, M) array
    """
    groups = factor.layout.tail_groups
    if not groups:
        return
    tail = _Tail(factor, changes, [directions[i] for i in groups], [own[i] for i in groups], K)
    if isinstance(factor.system.tail, DenseTail):
        _add_dense(tail)
    else:
        assert isinstance(factor.system.tail, SparseTail)
        _add_sparse(tail, _Sparse.of(tail, factor.system.tail))


def _add_dense(tail: _Tail) -> None:
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
    inverses = [_inverse_without_loss(tail, a) for a in range(len(tail.E))]
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
    rest = [a for a, Sigma in enumerate(inverses) if Sigma is None]
    if rest:
        full = np.ascontiguousarray(A[:T, :T])
        by_columns = _Dense(Q, full, tail.changes, threads)
        for a in rest:
            others = [b for b in range(len(tail.E)) if b not in rest or b <= a]
            _add_columns(tail, by_columns, a, others, None)


def _add_pair(tail: _Tail, Q: Floats, a: int, b: int, left: Floats, right: Floats) -> None:
    """tr(E_j N E_k N) of tail factors a and b from Q, some rows at a time."""
    cols, q, r = tail.columns(b), left.shape[0], right.shape[0]
    found = np.zeros((len(tail.E[a]), len(tail.E[b])))
    for rows in tail.pieces(a):
        N = _blocks_times(Q[rows, cols], left, right)
        if a == b:
            at = np.arange(rows.start, rows.stop).reshape(-1, q)
            own, other = at - rows.start, at - cols.start
            N[own[:, :, None], other[:, None, :]] += left
        found += pairs_of_levels(N, tail.E[a], tail.E[b])
    assert r == tail.E[b].shape[1]
    tail.add(tail.own[a], tail.own[b], 0.5 * found if a == b else found)


def _blocks_times(M: Floats, left: Floats, right: Floats) -> Floats:
    """-(I x left) M (I x right)."""
    if left.size == right.size == 1:
        return np.asarray(M * -(left[0, 0] * right[0, 0]))
    q, r = left.shape[0], right.shape[0]
    half = left @ M.reshape(-1, q, M.shape[1])
    found = half.reshape(M.shape[0], -1, r) @ -right
    return np.asarray(found.reshape(M.shape))


def _inverse_without_loss(tail: _Tail, a: int) -> Floats | None:
    """Sigma^-1, also where it is large, as long as Sigma A' is not."""
    Sigma = tail.inverse(a)
    if Sigma is None:
        return None
    q = tail.E[a].shape[1]
    A = np.diagonal(tail.factor.eliminated.S)[tail.columns(a)].reshape(-1, q)
    typical = float(A.mean(axis=0).min())
    return Sigma if float(np.linalg.eigvalsh(Sigma)[-1]) * _NO_LOSS < typical else None


def _add_columns(
    tail: _Tail, by: _Operators, a: int, others: Sequence[int], Sigma: Floats | None
) -> None:
    """The terms of tail factor a with the chain and with ``others``, from columns of Y and N."""
    T, q, E = tail.size, tail.E[a].shape[1], tail.E[a]
    inner = {j: np.zeros((q, q)) for j in tail.changes}
    found = {b: np.zeros((len(tail.E[b]), len(E))) for b in others}
    for cols in tail.pieces(a):
        unit = np.zeros((T, cols.stop - cols.start))
        unit[cols] = np.eye(cols.stop - cols.start)
        if Sigma is None:
            Y = unit - by.Q(by.A(unit))
        else:
            Y = _blocks_times(by.Q(unit), np.eye(1), -Sigma)
        for j in inner:
            inner[j] += level_sums(np.ascontiguousarray(Y.T), np.ascontiguousarray(by.R(j, Y).T), q)
        N = by.A(Y)
        for b in others:
            found[b] += pairs_of_levels(N[tail.columns(b)], tail.E[b], E)
    for j, G in inner.items():
        tail.add(j, tail.own[a], np.einsum("kcd,cd->k", E, G))
    for b, block in found.items():
        tail.add(tail.own[b], tail.own[a], 0.5 * block if a == b else block)


def _add_sparse(tail: _Tail, by: _Sparse) -> None:
    for a in range(len(tail.E)):
        _add_columns(tail, by, a, range(a + 1), tail.inverse(a))
        for cols in tail.pieces(a):
            unit = np.zeros((tail.size, cols.stop - cols.start))
            unit[cols] = np.eye(cols.stop - cols.start)
            own = {j: by.R(j, unit) for j in tail.changes}
            right = by.Q(unit)
            names = list(own)
            for s, j in enumerate(names):
                through = by.Q(by.R(j, right))
                for k in names[: s + 1]:
                    trace = float(np.einsum("ab,ab->", own[k], through))
                    tail.add(j, k, 0.5 * trace if j == k else trace)


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


@dataclass(frozen=True, slots=True)
class _Sparse:
    """Solves for Q; A' and -R_j on the pattern of the factor."""

    tail: _Tail
    kind: SparseTail
    S: Floats
    L: Floats

    @classmethod
    def of(cls, tail: _Tail, kind: SparseTail) -> _Sparse:
        """The scatter wrote the lower triangles of the panels' own columns only."""
        store = tail.factor.store
        first, _, _, start = kind.panels[:4]
        for change in tail.changes.values():
            for at, width in zip(start, np.diff(first), strict=False):
                block = change[at : at + width * width].reshape(width, width)
                block[...] = np.tril(block) + np.tril(block, -1).T
        return cls(tail, kind, store.S, store.L)

    def Q(self, right: Floats) -> Floats:
        """Lt (L L')^-1 Lt' right, X left out."""
        layout, Lambda = self.tail.factor.layout, self.tail.factor.tail_Lambda
        T = self.tail.size
        x = np.zeros((layout.products.size - 1, right.shape[1]))
        x[:T] = scale_rows(right, layout.starts, Lambda, transpose=True)
        self.kind.solve(self.L, x, False)
        x[T:] = 0.0
        self.kind.solve(self.L, x, True)
        return scale_rows(x[:T], layout.starts, Lambda, transpose=False, here=True)

    def A(self, right: Floats) -> Floats:
        """A' right."""
        return self._times(self.S, right)

    def R(self, j: int, right: Floats) -> Floats:
        """R_j right."""
        return -self._times(self.tail.changes[j], right)

    def _times(self, flat: Floats, right: Floats) -> Floats:
        kind, T = self.kind, self.tail.size
        inner = np.zeros((kind.column.size, right.shape[1]))
        inner[kind.place[:T]] = right
        found = np.empty_like(inner)
        kernels.sparse_multiply(*kind.panels, flat, inner, found)
        return np.asarray(found[kind.place[:T]])


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
