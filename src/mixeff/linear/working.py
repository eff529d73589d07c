"""A design in working coordinates: cross-products made, ready to be factored at any theta."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.blocks import CrossProducts
from mixeff.design.design import Design
from mixeff.factor.cholesky import BlockedSystem
from mixeff.factor.dense_tail import DenseTail
from mixeff.factor.stages import Layout
from mixeff.linear.coordinates import Coordinates, coordinates, response
from mixeff.linear.direct import DirectSystem, direct_system
from mixeff.linear.rows import RowColumns
from mixeff.linear.traces import ExactTraces

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WorkingModel:
    """Everything a fit needs after the one pass over the rows.

    The cross-products of Z and X do not depend on the response: a refit to another response needs
    only new products with it, ``coordinates.response``, and can start from the old theta.
    """

    system: BlockedSystem | DirectSystem
    partition: Partition
    coordinates: Coordinates

    @property
    def prepared(self) -> Prepared:
        """What outlives the fit."""
        if isinstance(self.system, DirectSystem):  # few rows: its response may stay
            return Prepared(self.system, self.partition, self.coordinates)
        bare = replace(self.coordinates.response, values=np.empty(0))
        dense = isinstance(self.system.tail, DenseTail)
        return Prepared(
            self.system.products,
            self.partition,
            replace(self.coordinates, response=bare),
            layout=self.system.layout if dense else None,
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """Cross-products and coordinates kept with a fit: small, sparse, no rows.

    A fit of another response to the same X, random terms and weights starts from here. Of a small
    model the source is its system, which shares the rows of the design and makes the
    cross-products when they are asked for.
    ``traces`` do not depend on the response: those nearest to the optimum found, where dear.
    ``layout`` is that of the fit's system, where its tail is dense: beside what ``source`` holds
    anyway, 4 bytes per row of ``B`` and 8 more where the tail is indexed by column.
    """

    source: CrossProducts | DirectSystem
    partition: Partition
    coordinates: Coordinates
    traces: ExactTraces | None = None
    layout: Layout | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles leave out what can be made again.
        return Prepared, (self.source, self.partition, self.coordinates, self.traces)

    @property
    def products(self) -> CrossProducts:
        """All cross-products."""
        source = self.source
        return source.products if isinstance(source, DirectSystem) else source

    def system(self, threads: int | None = None) -> BlockedSystem:
        """Ready to be factored again; the pattern is that of the fit, where it was kept."""
        threads = usable_threads() if threads is None else threads
        return BlockedSystem(self.products, threads=threads, like=self.layout)

    def with_response(self, design: Design, threads: int | None = None) -> WorkingModel:
        """The working model of ``design``, which differs in the response (or the offset) only.

        Raises
        ------
        DesignError
            If the fixed effects leave no residual.
        """
        threads = usable_threads() if threads is None else threads
        chosen, partition = self.coordinates, self.partition
        new = response(design, chosen.fixed, design.moments, threads)
        chosen = replace(chosen, response=new)
        if isinstance(self.source, DirectSystem):
            return WorkingModel(self.source.with_response(new.values, threads), partition, chosen)
        rows = RowColumns.of(design, chosen, partition)
        fixed, groups = rows.products(new.values[:, None], threads)
        products = self.exchanged(fixed[0], [g[0] for g in groups])
        return WorkingModel(_system(products, threads, self.layout), partition, chosen)

    def exchanged(self, fixed: Floats, groups: Sequence[Floats]) -> CrossProducts:
        """The cross-products with those of another response: (p + 1,) and (J q,) per factor."""
        pairs = zip(groups, self.products.groups, strict=True)
        levels = [g.reshape(old.n_levels, old.n_columns) for g, old in pairs]
        return self.products.with_response(fixed, levels)


def working_model(design: Design, threads: int | None = None) -> WorkingModel:
    """Choose working coordinates and form the cross-products.

    Raises
    ------
    DesignError
        If the fixed effects leave no residual (see ``coordinates``).
    """
    partition = Partition.of_groups(
        [t.group for t in design.random], [t.n_columns for t in design.random]
    )
    threads = usable_threads() if threads is None else threads
    chosen = coordinates(design, threads)
    rows = RowColumns.of(design, chosen, partition)
    values = chosen.response.values
    system = direct_system(rows, values, partition, threads)
    if system is not None:
        return WorkingModel(system, partition, chosen)
    products = rows.cross_products(values, threads)
    return WorkingModel(_system(products, threads), partition, chosen)


def _system(products: CrossProducts, threads: int, like: Layout | None = None) -> BlockedSystem:
    """To be fitted, with less room than a system of which any factor may be asked anything."""
    return BlockedSystem(products, threads=threads, lean=True, like=like)


def usable_threads() -> int:
    """Cores given to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
