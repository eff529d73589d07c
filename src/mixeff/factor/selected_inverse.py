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
from mixeff.factor.stages import Layout
from mixeff.factor.tail import Tail

if TYPE_CHECKING:
    from mixeff.factor.cholesky import BlockedFactor

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scratch:
    """Arrays of the selected inverse.

    Attributes
    ----------
    Q : array, the tail's part, laid out as the tail says
    QB : per stage (R, q): first Q B_l, for later stages then the blocks of the inverse itself
    K : per stage (J, q, q), B_l' Q B_l
    diagonal : per stage (J, q, q), the diagonal blocks
    """

    Q: Floats
    QB: tuple[Floats, ...]
    K: tuple[Floats, ...]
    diagonal: tuple[Floats, ...]

    @classmethod
    def of(cls, layout: Layout, tail: Tail) -> Scratch:
        """Allocate."""
        return cls(
            tail.inverse_array(),
            tuple(np.empty_like(s.B) for s in layout.stages),
            tuple(np.empty_like(s.G) for s in layout.stages),
            tuple(np.empty_like(s.G) for s in layout.stages),
        )


def trace_blocks(factor: BlockedFactor, reml: bool) -> tuple[Floats, ...]:
    """H_i per grouping factor in the caller's order."""
    layout, store, tail = factor.layout, factor.store, factor.system.tail
    scratch, inner = factor.system.scratch(), factor.tail_Lambda
    size = int(layout.starts[-1]) + (factor.system.p if reml else 0)
    found: dict[int, Floats] = {}
    tail.invert(store.L, size, scratch.Q)
    for a, product in enumerate(tail.traces(store.S, scratch.Q, size, inner)):
        group = layout.tail_groups[a]
        inverse = factor.inverses[group]
        if inverse is None:
            H = tail.trace_directly(store.S, store.L, a, size, inner)
        else:
            H = product @ inverse
        found[group] = (H + H.T) / 2
    tail.scale_inverse(scratch.Q, size, inner)
    invert_stages(factor, size, scratch)
    for s, (stage, at) in enumerate(zip(layout.stages, store.stages, strict=True)):
        Lambda = factor.Lambda[stage.group]
        divide = factor.inverses[stage.group] is not None
        found[stage.group] = kernels.stage_traces(at.G, Lambda, at.T, at.R, scratch.K[s], divide)
    return tuple(found[i] for i in range(len(found)))


def invert_stages(factor: BlockedFactor, size: int, scratch: Scratch) -> None:
    """From the last stage to the first: K_l, and for all but the first the inverse itself."""
    layout, store = factor.layout, factor.store
    drop = layout.products.size - size
    for s in reversed(range(len(layout.stages))):
        stage, at = layout.stages[s], store.stages[s]
        QB, K = scratch.QB[s], scratch.K[s]
        factor.system.tail.inverse_rows(s, drop, at.B, scratch.Q, QB, half=s == 0)
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
    layout, tail = factor.layout, factor.system.tail
    scratch = factor.system.scratch()
    size = int(layout.starts[-1])
    found: dict[int, Floats] = {}
    tail.invert(factor.store.L, size, scratch.Q)
    tail.scale_inverse(scratch.Q, size, factor.tail_Lambda)
    for a, group in enumerate(layout.tail_groups):
        found[group] = tail.diagonal_blocks(scratch.Q, a, factor.system.n_columns[group])
    invert_stages(factor, size, scratch)
    for s, (stage, at) in enumerate(zip(layout.stages, factor.store.stages, strict=True)):
        variances = np.empty_like(at.G)
        kernels.stage_inverse(at.R, scratch.K[s], variances)
        found[stage.group] = variances
    return tuple(found[i] for i in range(len(found)))
