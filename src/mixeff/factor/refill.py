"""New values into a layout whose pattern stays: the penalized system of another set of weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts
from mixeff.factor.cholesky import BlockedFactor, BlockedSystem, Store
from mixeff.factor.dense_tail import DenseTail
from mixeff.factor.stages import Layout

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

KEPT_TAIL = 3000
"""Up to this size (72 MB) the inverse has its own room: the factor is solved with after it."""


@dataclass(frozen=True, slots=True)
class PairPlaces:
    """Where the products of a stage with another factor lie in the rows of its ``B``.

    Attributes
    ----------
    key : (i, k), the pair in ``CrossProducts.pairs``
    flip : bool, the stage is factor i (else k)
    rows : (nnz, q) int64 array
        Row of ``B`` for every column of the other factor's level, in the order of the pair.
    """

    key: tuple[int, int]
    flip: bool
    rows: Longs

    def block(self, values: Floats) -> Floats:
        """(nnz, q, q_stage) products of a pair as ``B`` has them."""
        return values.transpose(0, 2, 1) if self.flip else values


@dataclass(frozen=True, slots=True)
class StagePlaces:
    """Where the products of one stage lie; ``dense`` (J, p + 1) are the rows of X and y."""

    pairs: tuple[PairPlaces, ...]
    dense: Longs


def stage_places(layout: Layout, s: int, products: CrossProducts) -> StagePlaces:
    """As ``stages.build_stage`` laid them out."""
    stage = layout.stages[s]
    first = np.array(stage.pointer[:-1])
    found: list[PairPlaces] = []
    for later in layout.stages[s + 1 :]:
        pair = products.pair(stage.group, later.group)
        q = later.G.shape[1]
        found.append(_places(products, stage.group, later.group, first[pair.row_of_pair()], q))
        first += q
    for k in layout.tail_groups:
        pair = products.pair(stage.group, k)
        q, level = pair.values.shape[2], pair.row_of_pair()
        rows = first[level] + (np.arange(level.size) - pair.indptr[level]) * q
        found.append(_places(products, stage.group, k, rows, q))
        first += pair.row_counts() * q
    return StagePlaces(tuple(found), first[:, None] + np.arange(products.p + 1))


def _places(products: CrossProducts, own: int, other: int, rows: Longs, q: int) -> PairPlaces:
    """``rows`` are in the order of the pair with ``own`` as row factor."""
    if (own, other) in products.pairs:
        return PairPlaces((own, other), True, rows[:, None] + np.arange(q))
    order = np.argsort(products.pairs[other, own].indices, kind="stable")
    stored = np.empty_like(rows)
    stored[order] = rows
    return PairPlaces((other, own), False, stored[:, None] + np.arange(q))


class Refillable:
    """A system whose cross-products change in value only.

    Parameters
    ----------
    products : CrossProducts
        Its arrays hold the values of the present weights; new ones are written into them.
    threads : int, of the kernels

    Attributes
    ----------
    system : BlockedSystem
    products : CrossProducts, as given
    places : tuple of StagePlaces, one per stage
    latest : BlockedFactor or None, the last factor of the present values
    weights : (n,) array or None, the row weights the present values belong to (the very object)
    Lambda : sequence of arrays, those of ``latest`` (the very object)
    """

    def __init__(self, products: CrossProducts, *, threads: int = 1) -> None:
        self.products = products
        self.latest: BlockedFactor | None = None
        self.weights: Floats | None = None
        self.Lambda: Sequence[Floats] = ()
        self.system = BlockedSystem(products, threads=threads)
        if isinstance(self.system.tail, DenseTail):
            self.system.tail = replace(self.system.tail, shared=KEPT_TAIL)
        layout = self.system.layout
        self.places = tuple(stage_places(layout, s, products) for s in range(len(layout.stages)))

    def factorize(self, Lambda: Sequence[Floats], weights: Floats) -> BlockedFactor:
        """Factor at the present values of ``products``, which belong to ``weights``."""
        self.latest, self.weights, self.Lambda = None, weights, Lambda
        self.refresh()
        self.latest = self.system.factorize(Lambda)
        return self.latest

    def forget(self) -> None:
        """Let go of the last factor and of what it belongs to."""
        self.latest, self.weights, self.Lambda = None, None, ()

    def lend(self) -> tuple[Store, Sequence[Floats]]:
        """Arrays to factor in, and the Lambda of the latest factor if they hold it (else empty).

        That factor counts as lost: give the arrays back by ``adopt`` or ``system.release``.
        """
        latest, self.latest, self.weights, self.Lambda = self.latest, None, None, ()
        store = None if latest is None else latest.give_up()
        if latest is None or store is None:
            return self.system.room(), ()
        return store, latest.Lambda

    def adopt(
        self, Lambda: Sequence[Floats], weights: Floats | None, store: Store, logdet: float
    ) -> BlockedFactor:
        """Take the factor that was made, with its cross-products, in what was lent.

        ``logdet`` is that of the stages; ``weights`` is None for weights nobody asks for again.
        """
        matrices = tuple([np.ascontiguousarray(L, dtype=np.float64) for L in Lambda])
        self.weights, self.Lambda = weights, Lambda
        self.latest = self.system.adopt(matrices, store, logdet)
        return self.latest

    def refresh(self) -> None:
        """Carry the present values of ``products`` into the stages; the tail reads them there.

        Factors made before must not be asked for anything but solutions afterwards.
        """
        layout, products = self.system.layout, self.products
        for stage, places in zip(layout.stages, self.places, strict=True):
            group = products.groups[stage.group]
            if stage.G is not group.gram:
                np.copyto(stage.G, group.gram)
            for pair in places.pairs:
                stage.B[pair.rows] = pair.block(products.pairs[pair.key].values)
            if not np.shares_memory(stage.B, group.dense):
                stage.B[places.dense] = group.dense
