"""The traces of a sparse tail, on the pattern of its factor; see ``linear/tail_columns.py``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.factor import kernels
from mixeff.factor.sparse_tail import SparseTail
from mixeff.factor.tail_products import scale_rows
from mixeff.linear.tail_columns import Tail, add_columns, inverse_without_loss

Floats = NDArray[np.float64]


def add_sparse(tail: Tail, kind: SparseTail) -> None:
    """By <R_j, Q R_k Q> on the pattern of the factor, with Sigma^-1 E_k Sigma^-1 for R_k here."""
    names: list[int] = list(tail.changes)
    inverses = [inverse_without_loss(tail, a, _diagonal(kind, tail, a)) for a in range(len(tail.E))]
    for a, Sigma in enumerate(inverses):
        names += tail.own[a].tolist() if Sigma is not None else []
    R = np.zeros((len(names), kind.entries))
    for row, change in zip(R, tail.changes.values(), strict=False):
        np.negative(change, out=row)
    at = len(tail.changes)
    for a, Sigma in enumerate(inverses):
        if Sigma is None:
            continue
        q = Sigma.shape[0]
        columns = np.arange(tail.columns(a).start, tail.columns(a).stop).reshape(-1, q)
        places = kind.places(columns[:, :, None], columns[:, None, :])
        for E in tail.E[a]:
            R[at, places] = Sigma @ E @ Sigma
            at += 1
    moved = R.copy()
    kind.moved(tail.factor.store.L, tail.size, moved, tail.factor.tail_Lambda)
    owner = {j: a for a in range(len(tail.E)) for j in tail.own[a].tolist()}
    for s, j in enumerate(names):
        for t, k in enumerate(names[: s + 1]):
            # Of one factor of the tail not so: N is not Sigma^-1 Q Sigma^-1 on its diagonal.
            if j not in owner or owner[j] != owner.get(k):
                found = kind.inner(R[s], moved[t])
                tail.add(j, k, 0.5 * found if j == k else found)
    at = len(tail.changes)
    for a, Sigma in enumerate(inverses):
        if Sigma is not None:
            m = len(tail.E[a])
            _add_own(tail, kind, a, Sigma, moved[at : at + m])
            at += m
    del R, moved
    rest = [a for a, Sigma in enumerate(inverses) if Sigma is None and a not in tail.left_out]
    if rest:
        by = _Sparse.of(tail, kind)
        for a in rest:
            add_columns(
                tail, by, a, [b for b in range(len(tail.E)) if inverses[b] is not None or b <= a]
            )


def _add_own(tail: Tail, kind: SparseTail, a: int, Sigma: Floats, moved: Floats) -> None:
    """tr(E_j N E_k N) of one factor; ``moved`` are T_k = Y E_k Y'.

    With N = A' Y and Y E_k N = (Y E_k - T_k) Sigma^-1 the diagonal blocks of N E_k N sum up to
    (H E_k - sum_l (A' T_k)_ll) Sigma^-1.
    """
    Lambda = tail.factor.tail_Lambda
    units = tuple(np.eye(len(L)) for L in Lambda)
    H, S = tail.H[a], tail.factor.eliminated.S
    found = []
    for E, T in zip(tail.E[a], moved, strict=True):
        G = kind.traces(S, T, tail.size, units)[a]
        found.append(np.einsum("jab,ba->j", tail.E[a], (H @ E - G) @ Sigma))
    block = np.array(found)
    tail.add(tail.own[a], tail.own[a], 0.25 * (block + block.T))


def _diagonal(kind: SparseTail, tail: Tail, a: int) -> Floats:
    own = np.arange(tail.columns(a).start, tail.columns(a).stop)
    return tail.factor.eliminated.S[kind.places(own, own)]


@dataclass(frozen=True, slots=True)
class _Sparse:
    """Solves for Q; A' and -R_j on the pattern of the factor."""

    tail: Tail
    kind: SparseTail
    S: Floats
    L: Floats

    @classmethod
    def of(cls, tail: Tail, kind: SparseTail) -> _Sparse:
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
