"""Blocks of Q = Lambda M^-1 Lambda' where two levels meet, with the traces of the gradient.

A row's leverage z_r'Q z_r needs the diagonal block of each of its levels and the blocks between
them; all lie on the pattern of the selected inverse (ENGINE sections 3 and 6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.factor import kernels
from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.refill import Refillable
from mixeff.factor.selected_inverse import invert_stages, invert_tail
from mixeff.factor.tail_products import columns_of
from mixeff.factor.threads import one_blas_thread

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class InverseBlocks:
    """What the gradient of a log-determinant needs, grouping factors in the caller's order.

    Attributes
    ----------
    traces : tuple of (q, q) arrays
        Sums of the diagonal blocks of Z'V^-1 Z, as ``Factor.trace_blocks`` gives them.
    diagonal : tuple of (J, q, q) arrays, blocks of Q
    between : dict (i, k) -> (nnz, q_i, q_k) array, as ``CrossProducts.pairs`` is ordered
    """

    traces: tuple[Floats, ...]
    diagonal: tuple[Floats, ...]
    between: dict[tuple[int, int], Floats]


def inverse_blocks(cell: Refillable, factor: BlockedFactor) -> InverseBlocks:
    """Selected inverse of a factor of ``cell.system`` made from its present values."""
    with one_blas_thread():
        return _inverse_blocks(cell, factor)


def _inverse_blocks(cell: Refillable, factor: BlockedFactor) -> InverseBlocks:
    layout, tail, inner = factor.layout, factor.system.tail, factor.tail_Lambda
    store, scratch = factor.inverting(), factor.system.scratch()
    size = int(layout.starts[-1])
    traces: dict[int, Floats] = {}
    diagonal: dict[int, Floats] = {}
    between: dict[tuple[int, int], Floats] = {}
    inverses = [factor.inverses[group] for group in layout.tail_groups]
    directly = {
        a: tail.trace_directly(store.S, store.L, a, size, inner)
        for a, inverse in enumerate(inverses)
        if inverse is None
    }
    Q = invert_tail(factor, store, size)
    sums = tail.traces(store.S, Q, size, inner)
    tail.scale_inverse(Q, size, inner)
    for a, group in enumerate(layout.tail_groups):
        inverse = inverses[a]
        H = directly[a] if inverse is None else sums[a] @ inverse
        traces[group] = (H + H.T) / 2
        diagonal[group] = tail.diagonal_blocks(Q, a, factor.system.n_columns[group])
    _tail_pairs(cell, factor, Q, between)
    invert_stages(factor, store, size, Q, full=True)
    for s, (stage, at) in enumerate(zip(layout.stages, store.stages, strict=True)):
        divide = factor.inverses[stage.group] is not None
        Lambda = factor.Lambda[stage.group]
        traces[stage.group] = kernels.stage_traces(at.G, Lambda, at.T, at.R, scratch.K[s], divide)
        blocks = np.empty_like(at.G)
        kernels.stage_inverse(at.R, scratch.K[s], blocks)
        diagonal[stage.group] = blocks
        for pair in cell.places[s].pairs:
            found = np.take(scratch.rows[s], pair.rows, axis=0)
            between[pair.key] = np.ascontiguousarray(pair.block(found))
    order = range(len(diagonal))
    return InverseBlocks(
        tuple(traces[i] for i in order), tuple(diagonal[i] for i in order), between
    )


def _tail_pairs(
    cell: Refillable, factor: BlockedFactor, Q: Floats, between: dict[tuple[int, int], Floats]
) -> None:
    """Blocks between levels of two factors of the tail."""
    layout = factor.layout
    place = {group: a for a, group in enumerate(layout.tail_groups)}
    for (i, k), pair in cell.products.pairs.items():
        if i in place and k in place:
            one, two = (
                slice(int(layout.starts[place[g]]), int(layout.starts[place[g] + 1]))
                for g in (i, k)
            )
            rows = columns_of(one, pair.row_of_pair(), pair.values.shape[1])
            columns = columns_of(two, pair.indices, pair.values.shape[2])
            between[i, k] = factor.system.tail.at(Q, rows[:, :, None], columns[:, None, :])
