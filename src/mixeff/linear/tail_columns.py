"""The part of tr(W V_j W V_k) that belongs to the tail, the columns left by the chain.

Formulas and symbols: ``linear/trace_products.py``. With Y = I - Q A' and N = A' Y of the tail,

    j, k of the chain:     tr(Q R_j Q R_k)
    j of it, k here:       tr(R_j Y E_k Y')
    j, k here:             tr(E_j N E_k N) .

Y = Q Sigma^-1 and N = Sigma^-1 - Sigma^-1 Q Sigma^-1 where Sigma can be divided by. Then R_k =
Sigma^-1 E_k Sigma^-1 makes all of them <R_j, Q R_k Q>, but for a part of the last that is linear in
the diagonal blocks of Q.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.solves import inverse_if_sound
from mixeff.linear.level_blocks import level_sums, pairs_of_levels

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

TOGETHER = 256
"""Columns of the tail that are worked on together."""

_NO_LOSS = 1e-4
"""Smallest Sigma A for which I - (I + Sigma A)^-1 may be taken as a difference: 12 digits stay."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What both kinds of tail know.

    Attributes
    ----------
    factor : BlockedFactor
    changes : dict j -> array, -R_j of the chain's parameters, laid out as the tail's ``S``
    E : (m, q, q) arrays per tail factor
    own : positions of their parameters
    H : (q, q) arrays per tail factor, sums of the diagonal blocks of N
    left_out : tail factors without any variance whose parameters were not asked for
    K : (M, M) array, added to
    """

    factor: BlockedFactor
    changes: dict[int, Floats]
    E: Sequence[Floats]
    own: Sequence[Indices]
    H: Sequence[Floats]
    left_out: frozenset[int]
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

    def add(self, j: Indices | int, k: Indices | int, found: Floats | float) -> None:
        """``found`` to both places of K."""
        rows, columns = np.atleast_1d(j), np.atleast_1d(k)
        block = np.reshape(found, (rows.size, columns.size))
        self.K[np.ix_(rows, columns)] += block
        self.K[np.ix_(columns, rows)] += block.T


class Operators(Protocol):
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


def inverse_without_loss(tail: Tail, a: int, diagonal: Floats) -> Floats | None:
    """Sigma^-1, also where it is large, as long as Sigma A' is not; ``diagonal`` is that of A'."""
    Lambda = tail.factor.Lambda[tail.factor.layout.tail_groups[a]]
    typical = float(diagonal.reshape(-1, Lambda.shape[0]).mean(axis=0).min())
    if no_variance(Lambda, typical):
        return None
    inverse = np.linalg.inv(Lambda)
    return np.asarray(inverse.T @ inverse)


def no_variance(Lambda: Floats, typical: float) -> bool:
    """Whether Sigma A nearly vanishes, in some direction, for A of a typical size."""
    if inverse_if_sound(Lambda) is None:
        return True
    return float(np.linalg.svd(Lambda, compute_uv=False)[-1]) ** 2 * typical < _NO_LOSS


def add_columns(tail: Tail, by: Operators, a: int, others: Sequence[int]) -> None:
    """The terms of tail factor a with the chain and with ``others``, from columns of Y and N."""
    T, q, E = tail.size, tail.E[a].shape[1], tail.E[a]
    inner = {j: np.zeros((q, q)) for j in tail.changes}
    found = {b: np.zeros((len(tail.E[b]), len(E))) for b in others}
    for cols in tail.pieces(a):
        unit = np.zeros((T, cols.stop - cols.start))
        unit[cols] = np.eye(cols.stop - cols.start)
        Y = unit - by.Q(by.A(unit))
        by_rows = np.ascontiguousarray(Y.T)
        for j in inner:
            inner[j] += level_sums(by_rows, np.ascontiguousarray(by.R(j, Y).T), q)
        N = by.A(Y)
        for b in others:
            found[b] += pairs_of_levels(N[tail.columns(b)], tail.E[b], E)
    for j, G in inner.items():
        tail.add(j, tail.own[a], np.einsum("kcd,cd->k", E, G))
    for b, block in found.items():
        tail.add(tail.own[b], tail.own[a], 0.5 * block if a == b else block)
