"""tr(W V_j W V_k) for every pair of covariance parameters, exactly, without any n x n matrix.

W = V^-1, V = I + sum_i Z_i (I x Sigma_i) Z_i' in weighted rows, V_j = Z_i (I x E_j) Z_i'. With
N = Z'WZ the trace sums tr(E_j N_lm E_k N_ml) over all pairs of levels. For one grouping factor N is
block-diagonal. For several the factors are eliminated as in the penalized system, whose factor is
at hand (``factor/cholesky.py``): A is what is left of Z'Z of the later factors (Z'W_0 Z with the
factors before in W_0), and per level of the factor that goes, with G and B its blocks of A,

    Y = (I + G Sigma)^-1,   N_0 = Y G,   Omega = Sigma Y,   Bt = Y B,   A' = A - B' Omega B.

The later columns enter through Q = (Sigma'^-1 + A')^-1 and R_j = Bt' E_j Bt = -dA'/dphi_j:

    j, k of this factor:   sum_l tr(E_j N_0 E_k N_0) - 2 tr(E_j N_0 E_k Bt Q Bt') + tr(Q R_j Q R_k)
    j of this, k later:    tr(R_j dQ/dphi_k)

(the second derivatives of log|V|; Harville 1977 has them for dense matrices). A factor eliminated
later transforms R_j by the congruence Psi = [-Omega B; I]; R_j never leaves the pattern of A'.

Cost: a nested chain is linear in the number of levels. Of a dense tail of T columns the inverse is
at hand from the traces tr(W V_j); a product R_j Q for each of the k parameters of the chain takes
T^3 multiplications, and what is kept is 3 + 2 k squares of T^2 numbers. Of a sparse tail Q R_j Q is
needed on the pattern of the factor only, a derivative of the inverse there: each takes some six
times the work of the factor, and nothing has T^2 numbers. Where a variance of the tail vanishes its
columns of N are solved for, some at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts
from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.dense_tail import DenseTail
from mixeff.factor.elimination import Plan, plan_elimination
from mixeff.factor.sparse_tail import SHORT, SparseTail
from mixeff.factor.stages import Layout
from mixeff.factor.threads import one_blas_thread
from mixeff.linear.chain_traces import Chain
from mixeff.linear.dense_traces import add_dense
from mixeff.linear.level_blocks import LevelInverse, pair_sums
from mixeff.linear.sparse_traces import add_sparse
from mixeff.linear.tail_columns import TOGETHER, Tail, no_variance

Floats = NDArray[np.float64]

_ROWS = 40.0  # times a multiplication takes longer in a sparse factor's solves, row by row


@dataclass(frozen=True, slots=True)
class TraceWork:
    """What ``trace_products`` takes.

    Attributes
    ----------
    multiplications : float, those of the tail, in terms of large dense blocks
    memory : float, bytes
    tail : int, columns of the tail
    """

    multiplications: float
    memory: float
    tail: int


def work_of(
    products: CrossProducts,
    layout: Layout | None = None,
    Lambda: Sequence[Floats] | None = None,
    *,
    vanished: bool = True,
) -> TraceWork:
    """The cost, known before anything is computed.

    Parameters
    ----------
    products : CrossProducts
    layout : Layout, optional
        Of a fit with a dense tail, which need not be planned again.
    Lambda : sequence of (q, q) arrays, optional
        One per grouping factor: of a variance of zero columns are solved for one by one.
    vanished : bool, as ``trace_products`` takes it
    """
    groups = products.groups
    if len(groups) == 1:
        return TraceWork(0.0, 0.0, 0)
    plan = plan_elimination(products) if layout is None else plan_of(layout)
    sizes = [g.n_levels * g.n_columns for g in groups]
    counts = [g.n_columns * (g.n_columns + 1) // 2 for g in groups]
    T, k = sum(sizes[i] for i in plan.tail), sum(counts[i] for i in plan.chain)
    zero = 0
    if Lambda is not None:
        left_out = frozenset() if vanished else without_variance(Lambda)
        typical = [products.n / g.n_levels for g in groups]
        slow = [i for i in plan.tail if i not in left_out and no_variance(Lambda[i], typical[i])]
        zero = sum(sizes[i] for i in slow)
    if plan.ordering is None:
        work = (1.0 + k) * T**3 + (2.0 + k) * T**2 * zero
        return TraceWork(work, 8.0 * (3.0 + 2.0 * k) * T**2, T)
    flops, entries, all_ = plan.ordering.flops, plan.ordering.entries, sum(counts)
    work = SHORT * (5.0 + 6.0 * all_) * flops + _ROWS * (3.0 + k) * entries * zero
    memory = 8.0 * ((4.0 + k + 2.0 * all_) * entries + 8.0 * TOGETHER * T * (zero > 0))
    return TraceWork(work, memory, T)


def without_variance(Lambda: Sequence[Floats]) -> frozenset[int]:
    """Grouping factors whose Lambda is zero."""
    return frozenset(i for i, L in enumerate(Lambda) if not L.any())


def plan_of(layout: Layout) -> Plan:
    """The plan of a layout with a dense tail."""
    return Plan(tuple(stage.group for stage in layout.stages), layout.tail_groups)


def trace_products(
    factor: BlockedFactor, directions: Sequence[Floats], *, vanished: bool = True
) -> tuple[tuple[Floats, ...], Floats]:
    """H and K_jk = tr(W V_j W V_k).

    Parameters
    ----------
    factor : BlockedFactor, the last one of its system
    directions : sequence of (m, q, q) arrays, symmetric E_j per grouping factor
    vanished : bool
        Without, what belongs to factors whose Lambda is zero may be missing: it takes longest.

    Returns
    -------
    tuple of (q, q) arrays
        H_i, tr(W V_j) = <E_j, H_i>, per grouping factor.
    (M, M) array
        K, the coordinates of the factors one after the other.
    """
    H = factor.trace_blocks(False)
    ends = np.cumsum([0, *(len(E) for E in directions)])
    own = [np.arange(a, b) for a, b in pairwise(ends.tolist())]
    groups = factor.system.products.groups
    if len(groups) == 1:
        level = LevelInverse.of(groups[0].gram, factor.Lambda[0])
        return H, pair_sums(level.N, level.N, directions[0], directions[0])
    K = np.zeros((int(ends[-1]), int(ends[-1])))
    with one_blas_thread():
        chain = Chain.of(factor)
        for stage in range(len(factor.layout.stages)):
            chain.eliminate(stage, directions, own, K)
        chain.settle(K)
        left_out = frozenset() if vanished else without_variance(factor.Lambda)
        _add_tail(factor, chain.tail_changes(), directions, own, H, left_out, K)
    return H, 0.5 * (K + K.T)


def _add_tail(
    factor: BlockedFactor,
    changes: dict[int, Floats],
    directions: Sequence[Floats],
    own: Sequence[NDArray[np.intp]],
    H: Sequence[Floats],
    left_out: frozenset[int],
    K: Floats,
) -> None:
    """Everything that involves the tail's columns; ``changes``, -R_j, are used up."""
    groups = factor.layout.tail_groups
    if not groups:
        return
    E, traces = ([part[i] for i in groups] for part in (directions, H))
    skipped = frozenset(a for a, i in enumerate(groups) if i in left_out)
    tail = Tail(factor, changes, E, [own[i] for i in groups], traces, skipped, K)
    kind = factor.system.tail
    if isinstance(kind, DenseTail):
        add_dense(tail)
    else:
        assert isinstance(kind, SparseTail)
        add_sparse(tail, kind)
