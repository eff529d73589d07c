"""A design in working coordinates: cross-products made, ready to be factored at any theta."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.blocks import CrossProducts, GroupBlock
from mixeff.crossproducts.in_memory import build_system
from mixeff.design.design import Design, RandomTerm
from mixeff.factor import kernels
from mixeff.factor.cholesky import BlockedSystem
from mixeff.linear.coordinates import Coordinates, coordinates, response
from mixeff.linear.standardize import Basis

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WorkingModel:
    """Everything a fit needs after the one pass over the rows.

    The cross-products of Z and X do not depend on the response: a refit to another response needs
    only new products with it, ``coordinates.response``, and can start from the old theta.
    """

    system: BlockedSystem
    partition: Partition
    coordinates: Coordinates

    @property
    def prepared(self) -> Prepared:
        """What outlives the fit."""
        bare = replace(self.coordinates.response, values=np.empty(0))
        return Prepared(
            self.system.products, self.partition, replace(self.coordinates, response=bare)
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """Cross-products and coordinates kept with a fit: small, sparse, no rows.

    A fit of another response to the same X, random terms and weights starts from here.
    """

    products: CrossProducts
    partition: Partition
    coordinates: Coordinates

    def system(self, threads: int | None = None) -> BlockedSystem:
        """Ready to be factored again."""
        return BlockedSystem(
            self.products, threads=usable_threads() if threads is None else threads
        )

    def with_response(self, design: Design, threads: int | None = None) -> WorkingModel:
        """The working model of ``design``, which differs in the response (or the offset) only.

        Raises
        ------
        DesignError
            If the fixed effects leave no residual.
        """
        threads = usable_threads() if threads is None else threads
        chosen = self.coordinates
        new = response(design, chosen.fixed, threads=threads)
        fixed, groups = RowColumns.of(design, chosen).products(new.values[:, None], threads)
        products = self.exchanged(fixed[0], [g[0] for g in groups])
        system = BlockedSystem(products, threads=threads)
        return WorkingModel(system, self.partition, replace(chosen, response=new))

    def exchanged(self, fixed: Floats, groups: Sequence[Floats]) -> CrossProducts:
        """The cross-products with those of another response: (p + 1,) and (J q,) per factor."""
        pairs = zip(groups, self.products.groups, strict=True)
        levels = [g.reshape(old.n_levels, old.n_columns) for g, old in pairs]
        return self.products.with_response(fixed, levels)


@dataclass(frozen=True, slots=True)
class RowColumns:
    """The rows of X and Z in working coordinates, for products with many responses."""

    X: tuple[Floats, Floats, Floats]  # values, shift, scale
    blocks: tuple[GroupBlock, ...]
    weights: Floats | None

    @classmethod
    def of(cls, design: Design, chosen: Coordinates) -> RowColumns:
        """Nothing is copied unless columns must be rotated or terms share a factor."""
        groups = [t.group for t in design.random]
        members = Partition.of_groups(groups, [t.n_columns for t in design.random]).members
        blocks = [
            _block([design.random[t] for t in terms], [chosen.random[t] for t in terms])
            for terms in members
        ]
        return cls(chosen.fixed.working(design.X), tuple(blocks), design.weights)

    def products(self, values: Floats, threads: int) -> tuple[Floats, list[Floats]]:
        """[X y]'W y (m, p + 1) and Z_i'W y (m, J q) per factor, for m working responses (n, m)."""
        weighted = values if self.weights is None else values * self.weights[:, None]
        weighted = np.ascontiguousarray(weighted)
        everywhere = np.zeros(values.shape[0], dtype=np.int32)
        fixed = kernels.response_products(everywhere, 1, *self.X, weighted, threads)
        squares = np.einsum("ij,ij->j", values, weighted)
        found = [
            kernels.response_products(
                np.ascontiguousarray(b.codes),
                b.n_levels,
                b.values,
                np.zeros(b.n_columns) if b.shift is None else b.shift,
                np.ones(b.n_columns) if b.scale is None else b.scale,
                weighted,
                threads,
            )
            for b in self.blocks
        ]
        return np.column_stack([fixed, squares]), found


def working_model(design: Design, threads: int | None = None) -> WorkingModel:
    """Choose working coordinates and form the cross-products.

    Raises
    ------
    DesignError
        If the fixed effects leave no residual (see ``coordinates``).
    """
    groups = [t.group for t in design.random]
    partition = Partition.of_groups(groups, [t.n_columns for t in design.random])
    threads = usable_threads() if threads is None else threads
    chosen = coordinates(design, threads)
    blocks = [
        _block([design.random[t] for t in terms], [chosen.random[t] for t in terms])
        for terms in partition.members
    ]
    X, shift, scale = chosen.fixed.working(design.X)
    system = build_system(
        chosen.response.values,
        X,
        blocks,
        weights=design.weights,
        X_shift=shift,
        X_scale=scale,
        threads=threads,
    )
    return WorkingModel(system, partition, chosen)


def usable_threads() -> int:
    """Cores given to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _block(terms: list[RandomTerm], bases: list[Basis]) -> GroupBlock:
    """The columns of all terms of one grouping factor, side by side."""
    first = terms[0]
    if any(b.rotation is not None for b in bases):
        pairs = zip(terms, bases, strict=True)
        values = np.ascontiguousarray(np.hstack([b.apply(t.values) for t, b in pairs]))
        return GroupBlock(first.codes, first.n_levels, values)
    values = first.values if len(terms) == 1 else np.hstack([t.values for t in terms])
    return GroupBlock(
        first.codes,
        first.n_levels,
        np.ascontiguousarray(values, dtype=np.float64),
        np.concatenate([b.shift for b in bases]),
        np.concatenate([b.scale for b in bases]),
    )
