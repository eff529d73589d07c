"""The rows of a design in working coordinates: read through shifts and scales, never stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.blocks import CrossProducts, GroupBlock
from mixeff.crossproducts.gram import Columns, accumulate
from mixeff.design.design import Design, RandomTerm
from mixeff.design.moments import NO_WEIGHTS
from mixeff.factor import kernels
from mixeff.linear.coordinates import Coordinates
from mixeff.linear.standardize import Basis

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RowColumns:
    """The rows of X and Z in working coordinates, for products with many responses."""

    X: tuple[Floats, Floats, Floats]  # values, shift, scale
    blocks: tuple[GroupBlock, ...]
    weights: Floats | None

    @classmethod
    def of(cls, design: Design, chosen: Coordinates, partition: Partition) -> RowColumns:
        """Nothing is copied unless columns must be rotated or terms share a factor."""
        blocks = [
            _block([design.random[t] for t in terms], [chosen.random[t] for t in terms])
            for terms in partition.members
        ]
        return cls(chosen.fixed.working(design.X), tuple(blocks), design.weights)

    @property
    def roots(self) -> Floats:
        """Square roots of the weights, empty without."""
        return NO_WEIGHTS if self.weights is None else np.sqrt(self.weights)

    def cross_products(self, response: Floats, threads: int) -> CrossProducts:
        """All cross-products with a working response (n,)."""
        y = Columns.of(response.reshape(-1, 1), None, None)
        X = Columns.of(*self.X)
        return accumulate(y, X, self.blocks, weights=self.weights, threads=threads)

    def products(self, values: Floats, threads: int) -> tuple[Floats, list[Floats]]:
        """[X y]'W y (m, p + 1) and Z_i'W y (m, J q) per factor, for m working responses (n, m)."""
        weighted = values if self.weights is None else values * self.weights[:, None]
        weighted = np.ascontiguousarray(weighted)
        everywhere = np.zeros(values.shape[0], dtype=np.int32)
        fixed = kernels.response_products(everywhere, 1, *self.X, weighted, threads)
        squares = np.einsum("ij,ij->j", values, weighted)
        found = [
            kernels.response_products(
                b.codes,
                b.n_levels,
                *b.working,
                weighted,
                threads,
            )
            for b in self.blocks
        ]
        return np.column_stack([fixed, squares]), found


def _block(terms: list[RandomTerm], bases: list[Basis]) -> GroupBlock:
    """The columns of all terms of one grouping factor, side by side."""
    first = terms[0]
    codes = np.ascontiguousarray(first.codes, dtype=np.int32)
    if any(b.rotation is not None for b in bases):
        pairs = zip(terms, bases, strict=True)
        values = np.ascontiguousarray(np.hstack([b.apply(t.values) for t, b in pairs]))
        return GroupBlock(codes, first.n_levels, values)
    if len(terms) == 1:
        values = np.ascontiguousarray(first.values, dtype=np.float64)
        return GroupBlock(codes, first.n_levels, values, bases[0].shift, bases[0].scale)
    return GroupBlock(
        codes,
        first.n_levels,
        np.ascontiguousarray(np.hstack([t.values for t in terms]), dtype=np.float64),
        np.concatenate([b.shift for b in bases]),
        np.concatenate([b.scale for b in bases]),
    )
