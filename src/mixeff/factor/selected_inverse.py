"""Diagonal blocks of the inverse: traces for the gradient, conditional variances.

ENGINE section 3. Q = Lambda M^-1 Lambda' in unscaled coordinates is found from the tail upwards:
the tail from its own factor, every stage on the pattern of its rows B_l only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.factor import kernels
from mixeff.factor.dense_tail import DenseTail
from mixeff.factor.stages import Layout
from mixeff.factor.tail import Tail
from mixeff.factor.tail_curvature import tail_squares

if TYPE_CHECKING:
    from mixeff.factor.cholesky import BlockedFactor, Store

Floats = NDArray[np.float64]

SQUARED = 200
"""From this size of the dense tail on its second derivatives are kept with the traces."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """Room for what no factor keeps.

    Attributes
    ----------
    Q : array, the tail's part of the inverse; empty where it takes the place of the factor
    rows : per stage (R, q): C = B R while factoring, then Q B_l, for later stages the inverse
    K : per stage (J, q, q), B_l' Q B_l
    diagonal : per stage but the first (J, q, q), the diagonal blocks
    """

    Q: Floats
    rows: tuple[Floats, ...]
    K: tuple[Floats, ...]
    diagonal: tuple[Floats, ...]

    @classmethod
    def of(cls, layout: Layout, tail: Tail) -> Scratch:
        """Allocate."""
        return cls(
            tail.inverse_array(),
            tuple(np.empty_like(s.B) for s in layout.stages),
            tuple(np.empty_like(s.G) for s in layout.stages),
            (np.empty((0, 0, 0)), *(np.empty_like(s.G) for s in layout.stages[1:])),
        )


def trace_blocks(factor: BlockedFactor, reml: bool, squares: bool) -> tuple[Floats, ...]:
    """H_i per grouping factor in the caller's order; ``squares``: their curvature is wanted too."""
    layout, tail, inner = factor.layout, factor.system.tail, factor.tail_Lambda
    store, scratch = factor.inverting(), factor.system.scratch()
    size = int(layout.starts[-1]) + (factor.system.p if reml else 0)
    inverses = [factor.inverses[group] for group in layout.tail_groups]
    # They need the factor itself, which is lost where the inverse takes its place.
    directly = {
        a: tail.trace_directly(store.S, store.L, a, size, inner)
        for a, inverse in enumerate(inverses)
        if inverse is None
    }
    Q = invert_tail(factor, store, size)
    found: dict[int, Floats] = {}
    for a, product in enumerate(tail.traces(store.S, Q, size, inner)):
        inverse = inverses[a]
        H = directly[a] if inverse is None else product @ inverse
        found[layout.tail_groups[a]] = (H + H.T) / 2
    if squares and isinstance(tail, DenseTail) and layout.products.size >= SQUARED:
        factor.tail_squares = tail_squares(tail, Q, factor.inverses)
    tail.scale_inverse(Q, size, inner)
    invert_stages(factor, store, size, Q)
    for s, (stage, at) in enumerate(zip(layout.stages, store.stages, strict=True)):
        Lambda = factor.Lambda[stage.group]
        divide = factor.inverses[stage.group] is not None
        found[stage.group] = kernels.stage_traces(at.G, Lambda, at.T, at.R, scratch.K[s], divide)
    return tuple(found[i] for i in range(len(found)))


def invert_tail(factor: BlockedFactor, store: Store, size: int) -> Floats:
    """The inverse of the first ``size`` columns of the tail, in the place of L or its own."""
    tail = factor.system.tail
    Q = store.L if tail.in_place else factor.system.scratch().Q
    tail.invert(store.L, size, Q)
    return Q


def invert_stages(
    factor: BlockedFactor, store: Store, size: int, Q: Floats, full: bool = False
) -> None:
    """From the last stage to the first: K_l, and for all but the first the inverse itself.

    With ``full`` the inverse on the rows of the first stage's ``B`` is made too.
    """
    layout, scratch = factor.layout, factor.system.scratch()
    drop = layout.products.size - size
    for s in reversed(range(len(layout.stages))):
        stage, at = layout.stages[s], store.stages[s]
        QB, K = scratch.rows[s], scratch.K[s]
        factor.system.tail.inverse_rows(s, drop, at.B, Q, QB, half=s == 0 and not full)
        for link in stage.links:
            kernels.inverse_stage(
                stage.pointer, link.offset, drop, link.ancestor, link.place, at.B,
                scratch.diagonal[link.stage], scratch.rows[link.stage], QB,
            )  # fmt: skip
        kernels.level_quadratic(stage.pointer, at.B, QB, K)
        if s > 0:
            kernels.stage_inverse(at.R, K, scratch.diagonal[s])
        if s > 0 or full:
            kernels.stage_off_inverse(stage.pointer, at.R, QB)


def conditional_variances(factor: BlockedFactor) -> tuple[Floats, ...]:
    """Diagonal blocks of Lambda (Lambda'Z'Z Lambda + I)^-1 Lambda', the caller's order."""
    layout, tail = factor.layout, factor.system.tail
    store, scratch = factor.inverting(), factor.system.scratch()
    size = int(layout.starts[-1])
    found: dict[int, Floats] = {}
    Q = invert_tail(factor, store, size)
    tail.scale_inverse(Q, size, factor.tail_Lambda)
    for a, group in enumerate(layout.tail_groups):
        found[group] = tail.diagonal_blocks(Q, a, factor.system.n_columns[group])
    invert_stages(factor, store, size, Q)
    for s, (stage, at) in enumerate(zip(layout.stages, store.stages, strict=True)):
        variances = np.empty_like(at.G)
        kernels.stage_inverse(at.R, scratch.K[s], variances)
        found[stage.group] = variances
    return tuple(found[i] for i in range(len(found)))


def tail_inverse(factor: BlockedFactor) -> Floats:
    """Lt M^-1 Lt' of the tail, laid out as the tail has it; ``trace_blocks`` was the last call."""
    store = factor.eliminated
    return store.L if factor.system.tail.in_place else factor.system.scratch().Q
