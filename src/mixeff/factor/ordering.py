"""A fill-reducing order of the tail's levels, and what a sparse factor in that order costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts
from mixeff.factor import kernels

Codes = NDArray[np.int32]
Longs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cliques:
    """The levels of the tail and the sets of them that eliminating the chain connects.

    Attributes
    ----------
    pointer : (c + 1,) int64 array, starts of the sets
    nodes : int32 array, their levels, counted through the tail's factors
    weights : (N,) int32 array, columns of every level
    factors : (N,) int32 array, tail factor of every level
    border : int, dense columns after them: X and y
    """

    pointer: Longs
    nodes: Codes
    weights: Codes
    factors: Codes
    border: int

    @classmethod
    def of(cls, products: CrossProducts, chain: tuple[int, ...], tail: tuple[int, ...]) -> Cliques:
        """The sets are those of the chain's last factor: earlier ones are parts of them."""
        groups = [products.groups[i] for i in tail]
        counts = [g.n_levels for g in groups]
        first = np.cumsum([0, *counts])
        pairs = [products.pair(chain[-1], i) for i in tail]
        level = np.concatenate([pair.row_of_pair() for pair in pairs])
        nodes = np.concatenate([p.indices + at for p, at in zip(pairs, first, strict=False)])
        sizes = np.bincount(level, minlength=products.groups[chain[-1]].n_levels)
        return cls(
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            nodes[np.argsort(level, kind="stable")].astype(np.int32),
            np.repeat([g.n_columns for g in groups], counts).astype(np.int32),
            np.repeat(np.arange(len(tail)), counts).astype(np.int32),
            products.p + 1,
        )

    @property
    def size(self) -> int:
        """All columns of the tail."""
        return int(self.weights.sum()) + self.border


@dataclass(frozen=True, slots=True)
class Ordering:
    """An order of elimination of the tail's levels.

    Attributes
    ----------
    cliques : Cliques
    order : (N,) int32 array, the levels in their order
    flops : float, sum over the columns of the factor of the square of their entries
    entries : float, of the factor
    """

    cliques: Cliques
    order: Codes
    flops: float
    entries: float


def order_levels(cliques: Cliques, limit: float) -> Ordering | None:
    """The order of approximate minimum degree; None once the work must exceed ``limit``.

    Examples
    --------
    A path of five levels fills nothing: each column has one entry below its diagonal, and y.

    >>> import numpy as np
    >>> from mixeff.factor.ordering import Cliques, order_levels
    >>> nodes = np.array([0, 1, 1, 2, 2, 3, 3, 4], dtype=np.int32)
    >>> one = np.ones(5, dtype=np.int32)
    >>> path = Cliques(np.arange(0, 9, 2), nodes, one, 0 * one, 1)
    >>> found = order_levels(path, np.inf)
    >>> found.entries
    14.0
    """
    order, flops, entries = kernels.sparse_order(
        cliques.pointer, cliques.nodes, cliques.weights, cliques.border, limit
    )
    if order.size < cliques.weights.size:
        return None
    return Ordering(cliques, order, flops, entries)
