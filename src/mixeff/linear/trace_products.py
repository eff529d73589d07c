"""tr(W V_j W V_k) for every pair of covariance parameters, exactly, without any n x n matrix.

W = V^-1, V = I + sum_i Z_i (I x Sigma_i) Z_i' in weighted rows, V_j = Z_i (I x E_j) Z_i'. With
N = Z'WZ the trace sums tr(E_j N_lm E_k N_ml) over all pairs of levels. For one grouping factor N is
block-diagonal. For several the factors are eliminated one after the other as in the penalized
system. A is what is left of Z'Z of the later factors (Z'W_0 Z with the factors before in W_0),
and per level of the factor that goes, with G and B its blocks of A,

    Y = (I + G Sigma)^-1,   N_0 = Y G,   Omega = Sigma Y,   Bt = Y B,   A' = A - B' Omega B.

The later columns enter through Q = (Sigma'^-1 + A')^-1 and R_j = Bt' E_j Bt = -dA'/dphi_j:

    j, k of this factor:   sum_l tr(E_j N_0 E_k N_0) - 2 tr(E_j N_0 E_k Bt Q Bt') + tr(Q R_j Q R_k)
    j of this, k later:    tr(R_j dQ/dphi_k)

(the second derivatives of log|V|; Harville 1977 has them for dense matrices). A factor eliminated
later transforms R_j by the congruence Psi = [-Omega B; I]. Of the columns that are not nested, the
dense tail, Q and A' are (T, T) matrices.

Cost: a nested chain is linear in the number of levels. A tail of T columns takes about
(3 + 2 k) T^3 multiplications and (4 + k) T^2 numbers, k the covariance parameters of the chain, and
the sparse products B'B, which are those of one factorization. Nothing grows with the levels of the
leading factor times anything but the tail's columns its levels meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts
from mixeff.factor.elimination import Plan, choose_plan, nested_in
from mixeff.linear.sparse_blocks import (
    DENSE,
    assemble,
    blocks_of,
    diagonal_products,
    interleave,
    product,
    spread,
    through,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TraceWork:
    """What ``trace_products`` takes.

    Attributes
    ----------
    multiplications : float, those of the dense tail
    memory : float, bytes
    tail : int, columns of the dense tail
    """

    multiplications: float
    memory: float
    tail: int


def work_of(products: CrossProducts) -> TraceWork:
    """The cost, known before anything is computed."""
    plan = _plan(products)
    groups = products.groups
    T = sum(groups[i].n_levels * groups[i].n_columns for i in plan.tail)
    sizes = (groups[i].n_columns for i in plan.chain)
    carried = sum(q * (q + 1) // 2 for q in sizes)
    return TraceWork((3.0 + 2.0 * carried) * T**3, 8.0 * (4.0 + carried) * T**2, T)


def _plan(products: CrossProducts) -> Plan:
    groups = products.groups
    if len(groups) == 1:
        return Plan((0,), ())
    levels, widths = [g.n_levels for g in groups], [g.n_columns for g in groups]
    return choose_plan(nested_in(products), levels, widths)


def trace_products(
    products: CrossProducts, Lambda: Sequence[Floats], directions: Sequence[Floats]
) -> Floats:
    """K_jk = tr(W V_j W V_k).

    Parameters
    ----------
    products : CrossProducts
    Lambda : sequence of (q, q) arrays, one per grouping factor
    directions : sequence of (m, q, q) arrays, symmetric E_j per grouping factor

    Returns
    -------
    (M, M) array, the coordinates of the factors one after the other
    """
    ends = np.cumsum([0, *(len(E) for E in directions)])
    own = [np.arange(a, b) for a, b in pairwise(ends.tolist())]
    K = np.zeros((int(ends[-1]), int(ends[-1])))
    if len(products.groups) == 1:
        level = LevelInverse.of(products.groups[0].gram, Lambda[0])
        return _pair_sums(level.N, level.N, directions[0], directions[0])
    plan = _plan(products)
    rest = _Remainder(assemble(products, (*plan.chain, *plan.tail)))
    for i in plan.chain:
        rest.eliminate(Lambda[i], directions[i], own[i], products.groups[i].n_levels, K)
    if plan.tail:
        sizes = [products.groups[i].n_levels for i in plan.tail]
        tail = _Tail.of(rest.A, [Lambda[i] for i in plan.tail], sizes)
        tail.finish(rest, [directions[i] for i in plan.tail], [own[i] for i in plan.tail], K)
    for stage in rest.stages:
        stage.settle(K)
    return np.asarray(0.5 * (K + K.T))


@dataclass(frozen=True, slots=True)
class LevelInverse:
    """Y = (I + G Sigma)^-1, N = Y G and Omega = Sigma Y for every level, (J, q, q) each."""

    Y: Floats
    N: Floats
    Omega: Floats

    @classmethod
    def of(cls, G: Floats, Lambda: Floats) -> LevelInverse:
        """From the Gram matrices of the levels; any Lambda, also a singular one."""
        Sigma = Lambda @ Lambda.T
        q = Sigma.shape[0]
        if q == 1:
            return cls(1.0 / (1.0 + G * Sigma), G / (1.0 + G * Sigma), Sigma / (1.0 + G * Sigma))
        Y: Floats = np.asarray(np.linalg.inv(np.eye(q) + G @ Sigma), dtype=np.float64)
        N, Omega = Y @ G, Sigma @ Y
        half = [0.5 * (M + M.transpose(0, 2, 1)) for M in (N, Omega)]
        return cls(Y, *half)


def _pair_sums(N: Floats, M: Floats, E: Floats, F: Floats) -> Floats:
    """(j, k) sums over levels of tr(E_j N_l F_k M_l), for (J, q, r) N and (J, r, q) M."""
    sums = (N.reshape(N.shape[0], -1).T @ M.reshape(M.shape[0], -1)).reshape(
        *N.shape[1:], *M.shape[1:]
    )
    half = np.einsum("jab,bcda->jcd", E, sums, optimize=True)
    return np.asarray(np.einsum("jcd,kcd->jk", half, F, optimize=True))


@dataclass(slots=True)
class _Stage:
    """An eliminated factor: what is still to come of its traces, through later columns.

    Attributes
    ----------
    C : sparse (J r, later columns), per level the rows of Bt, then those of R_j Psi for every
        parameter j eliminated before
    P : (J, r, r) array, the diagonal blocks of C Q C'
    level : LevelInverse
    E : (m, q, q) array
    own, before : positions of its parameters and of those eliminated before
    """

    C: Any
    P: Floats
    level: LevelInverse
    E: Floats
    own: NDArray[np.intp]
    before: NDArray[np.intp]

    def settle(self, K: Floats) -> None:
        """Add the terms that are linear in Q."""
        q = self.E.shape[1]
        N, Y, Omega = self.level.N, self.level.Y, self.level.Omega
        at = [slice(s * q, (s + 1) * q) for s in range(len(self.before) + 1)]
        first = _pair_sums(N, self.P[:, at[0], at[0]], self.E, self.E)
        K[np.ix_(self.own, self.own)] -= first + first.T
        for s, j in enumerate(self.before, start=1):
            # -2 tr(Y' E_k Y0 B Q C_j'): P[Bt, C_j] is (J, q, q).
            inner = np.einsum("lab,lbc->ac", self.P[:, at[0], at[s]], Y.transpose(0, 2, 1))
            found = -2.0 * np.einsum("kab,ba->k", self.E, inner)
            K[j, self.own] += found
            K[self.own, j] += found
            for t, k in enumerate(self.before, start=1):
                K[j, k] += 2.0 * np.einsum("lab,lba->", Omega, self.P[:, at[t], at[s]])


@dataclass(slots=True)
class _Remainder:
    """A of the factors not yet eliminated, and R_j of those that are (sparse, upper left first)."""

    A: Any
    R: list[Any] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    stages: list[_Stage] = field(default_factory=list)

    def eliminate(
        self, Lambda: Floats, E: Floats, own: NDArray[np.intp], J: int, K: Floats
    ) -> None:
        """Take the first factor out: K gets all that does not depend on later columns."""
        q = Lambda.shape[0]
        m = J * q
        level = LevelInverse.of(blocks_of(self.A[:m, :m], J, q, q), Lambda)
        B, later = self.A[:m, m:], self.A[m:, m:]
        K[np.ix_(own, own)] += _pair_sums(level.N, level.N, E, E)
        OB, Bt = spread(level.Omega) @ B, spread(level.Y) @ B
        heads = [blocks_of(R[:m, :m], J, q, q) for R in self.R]
        C = [R[:m, m:] - spread(H) @ OB for R, H in zip(self.R, heads, strict=True)]
        self._own_heads(level, E, own, heads, K)
        for stage in self.stages:
            first = stage.C[:, :m]
            stage.P += diagonal_products(first @ spread(level.Omega), first, stage.P.shape[1])
            stage.C = (stage.C[:, m:] - first @ OB).tocsr()
        # Psi' R Psi = R_22 - R_20 Omega B - (Omega B)' C
        self.R = [
            (R[m:, m:] - R[:m, m:].T @ OB - OB.T @ c).tocsr()
            for R, c in zip(self.R, C, strict=True)
        ]
        self.R += [product(Bt, spread(np.broadcast_to(e, (J, q, q))) @ Bt) for e in E]
        rows = interleave([Bt, *C], J, q)
        r = q * (1 + len(C))
        self.stages.append(
            _Stage(rows, np.zeros((J, r, r)), level, E, own, np.array(self.known, dtype=np.intp))
        )
        self.known += own.tolist()
        self.A = (later - product(B, OB)).tocsr()

    def _own_heads(
        self,
        level: LevelInverse,
        E: Floats,
        own: NDArray[np.intp],
        heads: Sequence[Floats],
        K: Floats,
    ) -> None:
        """The terms of parameters eliminated before with this factor's own block of Q."""
        slope = np.einsum("lba,kbc,lcd->klad", level.Y, E, level.Y, optimize=True)
        for j, H in zip(self.known, heads, strict=True):
            found = np.einsum("lab,klba->k", H, slope)
            K[j, own] += found
            K[own, j] += found
            for k, other in zip(self.known, heads, strict=True):
                K[j, k] += np.einsum(
                    "lab,lbc,lcd,lda->", level.Omega, H, level.Omega, other, optimize=True
                )


@dataclass(frozen=True, slots=True)
class _Tail:
    """Q, Y = I - Q A and N = A Y of the columns that are left, (T, T) each."""

    Q: Floats
    Y: Floats
    N: Floats
    columns: tuple[slice, ...]

    @classmethod
    def of(cls, sparse: Any, Lambda: Sequence[Floats], levels: Sequence[int]) -> _Tail:
        """From A and Lambda per factor."""
        A = sparse.toarray()
        ends = np.cumsum([0, *(J * L.shape[0] for J, L in zip(levels, Lambda, strict=True))])
        columns = tuple(slice(a, b) for a, b in pairwise(ends.tolist()))
        scaled = _rows_times(A, Lambda, columns)  # Lt' A
        M = _rows_times(np.ascontiguousarray(scaled.T), Lambda, columns)
        M[np.diag_indices_from(M)] += 1.0
        L = scipy.linalg.cholesky(M, lower=True, overwrite_a=True, check_finite=False)
        V = scipy.linalg.solve_triangular(L, scaled, lower=True, check_finite=False)
        root = scipy.linalg.solve_triangular(
            L, _rows_times(np.eye(A.shape[0]), Lambda, columns), lower=True, check_finite=False
        )
        Y = -(root.T @ V)
        Y[np.diag_indices_from(Y)] += 1.0
        return cls(root.T @ root, Y, A - V.T @ V, columns)

    def finish(
        self,
        rest: _Remainder,
        directions: Sequence[Floats],
        own: Sequence[NDArray[np.intp]],
        K: Floats,
    ) -> None:
        """Everything that involves later columns."""
        for a, (left, E) in enumerate(zip(self.columns, directions, strict=True)):
            for b in range(a + 1):
                right, F = self.columns[b], directions[b]
                found = _level_pairs(self.N[left, right], E, F)
                K[np.ix_(own[a], own[b])] += found
                if a != b:
                    K[np.ix_(own[b], own[a])] += found.T
        products: list[Floats] = []
        for R, j in zip(rest.R, rest.known, strict=True):
            R = R.toarray() if R.nnz > DENSE * self.Q.size else R
            self._with_tail(R @ self.Y, directions, own, j, K)
            products.append(R @ self.Q)
        for s, j in enumerate(rest.known):
            for t in range(s + 1):
                trace = float(np.einsum("ab,ba->", products[s], products[t]))
                K[j, rest.known[t]] += trace
                if s != t:
                    K[rest.known[t], j] += trace
        for stage in rest.stages:
            stage.P += through(stage.C, self.Q, stage.P.shape[1])

    def _with_tail(
        self,
        RY: Floats,
        directions: Sequence[Floats],
        own: Sequence[NDArray[np.intp]],
        j: int,
        K: Floats,
    ) -> None:
        """tr(R_j Y E_k Y') for the parameters k of every factor of the tail."""
        for columns, E, mine in zip(self.columns, directions, own, strict=True):
            q = E.shape[1]
            inner = np.empty((q, q))
            for c in range(q):
                for d in range(q):
                    left = self.Y[:, columns][:, c::q]
                    inner[c, d] = np.einsum("tm,tm->", left, RY[:, columns][:, d::q])
            found = np.einsum("kcd,cd->k", E, inner)
            K[j, mine] += found
            K[mine, j] += found


def _rows_times(M: Floats, Lambda: Sequence[Floats], columns: Sequence[slice]) -> Floats:
    """Lt' M."""
    out = np.empty_like(M)
    for L, own in zip(Lambda, columns, strict=True):
        out[own] = (L.T @ M[own].reshape(-1, L.shape[0], M.shape[1])).reshape(-1, M.shape[1])
    return out


def _level_pairs(N: Floats, E: Floats, F: Floats) -> Floats:
    """(j, k) sums over pairs of levels of tr(E_j N_lm F_k N_lm')."""
    q, r = E.shape[1], F.shape[1]
    parts = (
        N.reshape(N.shape[0] // q, q, N.shape[1] // r, r).transpose(1, 3, 0, 2).reshape(q * r, -1)
    )
    sums = (parts @ parts.T).reshape(q, r, q, r)
    return np.asarray(np.einsum("jab,kcd,bcad->jk", E, F, sums, optimize=True))
