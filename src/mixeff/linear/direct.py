"""Small models: from the rows to the arrays of the compiled search in one pass.

A fit of a few hundred rows takes less time than making cross-products, plan, stages and tail one
after the other. What a fit may be asked for later makes them when it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.blocks import CrossProducts, GroupBlock
from mixeff.factor import kernels
from mixeff.factor.cholesky import BlockedFactor, BlockedSystem
from mixeff.factor.elimination import Plan, choose_plan
from mixeff.linear.rows import RowColumns
from mixeff.linear.small_arrays import (
    LARGEST_TAIL,
    LARGEST_THETA,
    LARGEST_WORK,
    Arrangement,
    SmallArrays,
)

Floats = NDArray[np.float64]

LARGEST_ROWS = 10_000  # beyond, the pass over the rows is what takes time, and it has threads


class DirectSystem:
    """The system of a small model, known by the arrays of the compiled search.

    Satisfies ``mixeff.factor.system.System``: the blocked system is made from the same rows when
    it is asked for, which a fit that ends well never does.

    Parameters
    ----------
    rows : RowColumns
    response : (n,) array, the working response
    arrays : SmallArrays
    threads : int

    Attributes
    ----------
    n, p : int
    n_levels, n_columns : tuple of int, per grouping factor in the caller's order
    """

    __slots__ = (
        "_blocked",
        "arrays",
        "n",
        "n_columns",
        "n_levels",
        "p",
        "response",
        "rows",
        "threads",
    )

    def __init__(
        self, rows: RowColumns, response: Floats, arrays: SmallArrays, threads: int
    ) -> None:
        self.rows, self.response, self.arrays, self.threads = rows, response, arrays, threads
        self.n, self.p = int(response.shape[0]), int(rows.X[0].shape[1])
        self.n_levels = tuple([b.n_levels for b in rows.blocks])
        self.n_columns = tuple([b.n_columns for b in rows.blocks])
        self._blocked: BlockedSystem | None = None

    @property
    def blocked(self) -> BlockedSystem:
        """The blocked system, made at the first call."""
        if self._blocked is None:
            products = self.rows.cross_products(self.response, self.threads)
            self._blocked = BlockedSystem(products, threads=self.threads)
        return self._blocked

    @property
    def products(self) -> CrossProducts:
        """All cross-products."""
        return self.blocked.products

    def factorize(self, Lambda: Sequence[Floats]) -> BlockedFactor:
        """See ``BlockedSystem.factorize``."""
        return self.blocked.factorize(Lambda)

    def with_response(self, response: Floats, threads: int) -> DirectSystem:
        """The same rows with another working response (n,)."""
        arrays = _arrays(self.rows, response, self.arrays.arrangement)
        return DirectSystem(self.rows, response, arrays, threads)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles leave out what can be made again.
        return DirectSystem, (self.rows, self.response, self.arrays, self.threads)


def direct_system(
    rows: RowColumns, response: Floats, partition: Partition, threads: int
) -> DirectSystem | None:
    """The system of a model small enough for the compiled search, else None."""
    if response.shape[0] > LARGEST_ROWS or partition.n_theta > LARGEST_THETA:
        return None
    blocks = rows.blocks
    levels, columns = [b.n_levels for b in blocks], [b.n_columns for b in blocks]
    sizes = [j * q for j, q in zip(levels, columns, strict=True)]
    # The tail holds at least all factors but the largest.
    dense = rows.X[0].shape[1] + 1
    if sum(sizes) - max(sizes) + dense > LARGEST_TAIL or max(columns) > LARGEST_THETA:
        return None
    plan = _plan(blocks, levels, columns)
    lead, *chain = plan.chain
    width = sum(sizes) - sizes[lead] + dense
    if width > LARGEST_TAIL or float(levels[lead] * width**2 * columns[lead]) > LARGEST_WORK:
        return None
    arrangement = Arrangement.of(partition, tuple(levels), lead, (*chain, *plan.tail))
    return DirectSystem(rows, response, _arrays(rows, response, arrangement), threads)


def _plan(blocks: tuple[GroupBlock, ...], levels: list[int], columns: list[int]) -> Plan:
    """The plan the blocked system would have, from the codes."""
    if len(blocks) == 1:
        return Plan((0,), ())
    nested: dict[tuple[int, int], bool] = {}
    for i, a in enumerate(blocks):
        for k, b in enumerate(blocks[:i]):
            down, up = kernels.nested_codes(a.codes, a.n_levels, b.codes, b.n_levels)
            nested[i, k], nested[k, i] = down, up
    return choose_plan(nested, levels, columns)


def _arrays(rows: RowColumns, response: Floats, where: Arrangement) -> SmallArrays:
    """One pass over the rows; the sums are those of the blocked system to the last bit."""
    lead, tail = rows.blocks[where.lead], [rows.blocks[i] for i in where.tail]
    found = kernels.small_arrays(
        lead.codes,
        lead.n_levels,
        *lead.working,
        [b.codes for b in tail],
        [b.n_levels for b in tail],
        [b.values for b in tail],
        [b.working[1] for b in tail],
        [b.working[2] for b in tail],
        *rows.X,
        response,
        rows.roots,
    )
    return SmallArrays(*found, where)
