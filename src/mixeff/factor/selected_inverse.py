"""Diagonal blocks of the inverse: traces for the gradient, conditional variances.

ENGINE section 3. Q = Lambda M^-1 Lambda' in unscaled coordinates is found from the tail upwards:
the dense tail by inversion of its factor, every stage on the pattern of its rows B_l only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.factor import kernels
from mixeff.factor.solves import scale_tail_rows, symmetric_columns
from mixeff.factor.stages import Layout
from mixeff.factor.tail_products import columns_of

if TYPE_CHECKING:
    from mixeff.factor.cholesky import BlockedFactor

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scratch:
    """Arrays of the selected inverse.

    Attributes
    ----------
    Q : (T, T) array, the tail
    QB : per stage (R, q): first Q B_l, for later stages then the blocks of the inverse itself
    K : per stage (J, q, q), B_l' Q B_l
    diagonal : per stage (J, q, q), the diagonal blocks
    """

    Q: Floats
    QB: tuple[Floats, ...]
    K: tuple[Floats, ...]
    diagonal: tuple[Floats, ...]

    @classmethod
    def of(cls, layout: Layout) -> Scratch:
        """Allocate for a layout."""
        return cls(
            np.zeros((layout.products.size, layout.products.size)),
            tuple(np.empty_like(s.B) for s in layout.stages),
            tuple(np.empty_like(s.G) for s in layout.stages),
            tuple(np.empty_like(s.G) for s in layout.stages),
        )


def trace_blocks(factor: BlockedFactor, reml: bool) -> tuple[Floats, ...]:
    """H_i per grouping factor in the caller's order."""
    layout = factor.layout
    scratch = factor.system.scratch()
    size = int(layout.starts[-1]) + (factor.system.p if reml else 0)
    found: dict[int, Floats] = {}
    kernels.invert_tail(factor.store.L, size, scratch.Q, factor.system.threads)
    products = kernels.tail_traces(
        factor.store.S, scratch.Q, size, layout.starts, factor.tail_Lambda, factor.system.room
    )
    for a, product in enumerate(products):
        group = layout.tail_groups[a]
        inverse = factor.inverses[group]
        H = tail_trace_directly(factor, a, size) if inverse is None else product @ inverse
        found[group] = (H + H.T) / 2
    kernels.scale_inverse(scratch.Q, size, layout.starts, factor.tail_Lambda)
    invert_stages(factor, size, scratch)
    for s, (stage, at) in enumerate(zip(layout.stages, factor.store.stages, strict=True)):
        Lambda = factor.Lambda[stage.group]
        divide = factor.inverses[stage.group] is not None
        found[stage.group] = kernels.stage_traces(at.G, Lambda, at.T, at.R, scratch.K[s], divide)
    return tuple(found[i] for i in range(len(found)))


def tail_trace_directly(factor: BlockedFactor, a: int, size: int) -> Floats:
    """H of tail factor a as S_0 - V'V with V = L^-1 Lt' S_0: no division by Lambda."""
    layout, S = factor.layout, factor.store.S
    cols = slice(int(layout.starts[a]), int(layout.starts[a + 1]))
    q = factor.tail_Lambda[a].shape[0]
    own = symmetric_columns(S, cols)[:size]
    V = scale_tail_rows(factor, own, transpose=True)
    kernels.solve_tail(factor.store.L, V, False)
    V = V.reshape(size, -1, q)
    total = diagonal_blocks(own[cols], slice(0, own.shape[1]), q).sum(axis=0)
    return np.asarray(total - np.einsum("kla,klb->ab", V, V, optimize=True))


def diagonal_blocks(M: Floats, cols: slice, q: int) -> Floats:
    """(J, q, q) diagonal blocks of the part of M that belongs to one tail factor."""
    at = columns_of(cols, np.arange((cols.stop - cols.start) // q), q)
    return np.asarray(M[at[:, :, None], at[:, None, :]])


def invert_stages(factor: BlockedFactor, size: int, scratch: Scratch) -> None:
    """From the last stage to the first: K_l, and for all but the first the inverse itself."""
    layout, store = factor.layout, factor.store
    drop = store.S.shape[0] - size
    for s in reversed(range(len(layout.stages))):
        stage, at = layout.stages[s], store.stages[s]
        QB, K = scratch.QB[s], scratch.K[s]
        kernels.inverse_tail(
            stage.pointer, stage.skip, drop, stage.columns, layout.tail, at.B, scratch.Q, QB,
            factor.system.panel, stage.by_column.meets, stage.by_column.row,
            stage.by_column.level, s == 0, factor.system.threads,
        )  # fmt: skip
        for link in stage.links:
            kernels.inverse_stage(
                stage.pointer, link.offset, drop, link.ancestor, link.place, at.B,
                scratch.diagonal[link.stage], scratch.QB[link.stage], QB,
            )  # fmt: skip
        kernels.level_quadratic(stage.pointer, at.B, QB, K)
        if s > 0:
            kernels.stage_inverse(at.R, K, scratch.diagonal[s])
            kernels.stage_off_inverse(stage.pointer, at.R, QB)


def conditional_variances(factor: BlockedFactor) -> tuple[Floats, ...]:
    """Diagonal blocks of Lambda (Lambda'Z'Z Lambda + I)^-1 Lambda', the caller's order."""
    layout = factor.layout
    scratch = factor.system.scratch()
    size = int(layout.starts[-1])
    found: dict[int, Floats] = {}
    kernels.invert_tail(factor.store.L, size, scratch.Q, factor.system.threads)
    kernels.scale_inverse(scratch.Q, size, layout.starts, factor.tail_Lambda)
    for a, group in enumerate(layout.tail_groups):
        cols = slice(int(layout.starts[a]), int(layout.starts[a + 1]))
        found[group] = diagonal_blocks(scratch.Q, cols, factor.system.n_columns[group])
    invert_stages(factor, size, scratch)
    for s, (stage, at) in enumerate(zip(layout.stages, factor.store.stages, strict=True)):
        variances = np.empty_like(at.G)
        kernels.stage_inverse(at.R, scratch.K[s], variances)
        found[stage.group] = variances
    return tuple(found[i] for i in range(len(found)))
