"""The fixed layout of the penalized system: what the loop over theta never changes.

Global column order: the chain's factors one after the other, the tail's factors, X, y. A sparse
tail orders its levels for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts, PairProducts
from mixeff.factor import kernels
from mixeff.factor.elimination import Plan
from mixeff.factor.tail_products import TailProducts

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]

PANEL_ROWS = 256
"""Columns packed at a time for BLAS: 128 levels of a scalar term and their products."""

INDEXED_TAIL = 512
"""From this size of the dense tail on (2 MB) it is walked row by row, to stay in the cache."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a stage's rows lie in a later stage (nested: each level has one ancestor there).

    Attributes
    ----------
    stage : int, the later stage
    offset : int, first of the rows of a level that belong to it
    ancestor : (J,) int32 array, the level there
    place : (R,) int32 array, row of the later stage's ``B`` for each later row
    """

    stage: int
    offset: int
    ancestor: Codes
    place: Codes


@dataclass(frozen=True, slots=True)
class ColumnIndex:
    """The tail rows of a stage listed tail column by tail column, levels ascending.

    A tail too big for the cache is walked one of its rows at a time; this says which rows of ``B``
    belong to each. Levels that touch more than a quarter of a dense tail are left out (they are
    packed for BLAS instead). All arrays are empty where a dense tail is small.

    Attributes
    ----------
    meets : (T + 1,) int64 array, starts of every tail column
    row : int32 array, row of ``B``
    level : int32 array, its level
    """

    meets: Longs
    row: Codes
    level: Codes


@dataclass(frozen=True, slots=True)
class Stage:
    """One factor of the chain: diagonal blocks ``G`` and the rows ``B`` below them.

    Attributes
    ----------
    group : int, position in the caller's order
    start : int, first global column
    G : (J, q, q) array
    pointer : (J + 1,) int64 array, rows of each level
    columns : (R,) int32 array, global column of each row, ascending within a level
    B : (R, q) array
    skip : int, rows at the start of each level that belong to later stages
    links : tuple of Link, one per later stage
    by_column : ColumnIndex
    """

    group: int
    start: int
    G: Floats
    pointer: Longs
    columns: Codes
    B: Floats
    skip: int
    links: tuple[Link, ...]
    by_column: ColumnIndex


@dataclass(frozen=True, slots=True)
class Layout:
    """Stages and tail.

    Attributes
    ----------
    stages : tuple of Stage
    tail_groups : tuple of int, caller's positions of the tail's factors
    starts : (k + 1,) int64 array, first tail column of each; the last entry is the first of X
    tail : int, global position of the first tail column
    products : TailProducts, products of the T tail columns, X and y last
    position : tuple of int, first global column of every grouping factor, the caller's order
    """

    stages: tuple[Stage, ...]
    tail_groups: tuple[int, ...]
    starts: Longs
    tail: int
    products: TailProducts
    position: tuple[int, ...]

    @property
    def width(self) -> int:
        """All columns of Z, X and y."""
        return self.tail + self.products.size

    @property
    def A(self) -> Floats:
        """(T, T) products of the tail columns; for a large tail a new array every time."""
        return self.products.dense()


def build_layout(products: CrossProducts, plan: Plan) -> Layout:
    """Arrange the cross-products in elimination order."""
    position = [0] * len(products.groups)
    at = 0
    for i in (*plan.chain, *plan.tail):
        position[i] = at
        at += products.groups[i].n_levels * products.groups[i].n_columns
    tail = position[plan.tail[0]] if plan.tail else at
    starts = np.array([*(position[i] - tail for i in plan.tail), at - tail], dtype=np.int64)
    stages: list[Stage] = []
    for s in reversed(range(len(plan.chain))):
        stages.insert(0, build_stage(products, plan, position, s, stages))
    inner = TailProducts.of(products, plan.tail, starts)
    return Layout(tuple(stages), plan.tail, starts, tail, inner, tuple(position))


def exchanged(layout: Layout, products: CrossProducts) -> Layout:
    """The layout of the same cross-products with another response: only rows of y are copied anew.

    Pattern, places and the index by column are shared.
    """
    stages = []
    for stage in layout.stages:
        group = products.groups[stage.group]
        if stage.B.size == group.dense.size:  # no rows but those of X and y
            B = group.dense.reshape(stage.B.shape)
        else:
            B = stage.B.copy()
            B[stage.pointer[1:] - 1] = group.dense[:, -1]
        stages.append(replace(stage, B=B))
    return replace(
        layout, stages=tuple(stages), products=replace(layout.products, products=products)
    )


def build_stage(
    products: CrossProducts, plan: Plan, position: list[int], s: int, later: list[Stage]
) -> Stage:
    """Stage s of the chain, given the later ones."""
    group = products.groups[plan.chain[s]]
    J, q = group.n_levels, group.n_columns
    ancestors = [products.pair(plan.chain[s], t.group) for t in later]
    crossed = [products.pair(plan.chain[s], k) for k in plan.tail]
    skip = sum(t.G.shape[1] for t in later)
    counts = np.full(J, skip + products.p + 1, dtype=np.int64)
    for pair in crossed:
        counts += pair.row_counts() * pair.values.shape[2]
    pointer = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns = np.zeros(pointer[-1], dtype=np.int32)
    # Alone, a factor's rows are its products with X and y as they stand: nothing is copied.
    alone = not ancestors and not crossed
    B = group.dense.reshape(-1, q) if alone else np.zeros((pointer[-1], q))
    offset, levels = 0, single_ancestor(ancestors[0], J) if later else np.zeros(J, np.int32)
    chain: list[tuple[int, Codes]] = []
    for stage, pair in zip(later, ancestors, strict=True):
        if chain:
            levels = later[len(chain) - 1].links[0].ancestor[levels]
        put_ancestor(columns, B, pointer, offset, stage, levels, pair)
        chain.append((offset, levels))
        offset += stage.G.shape[1]
    row = pointer[:-1] + skip
    for k, pair in zip(plan.tail, crossed, strict=True):
        put_crossed(columns, B, row, position[k], pair)
        row = row + pair.row_counts() * pair.values.shape[2]
    width = sum(g.n_levels * g.n_columns for g in products.groups)
    dense = row[:, None] + np.arange(products.p + 1)
    columns[dense] = width + np.arange(products.p + 1)
    if not alone:
        B[dense] = group.dense
    links = tuple(
        Link(s + 1 + i, at, to, places(pointer, columns, later[i], to))
        for i, (at, to) in enumerate(chain)
    )
    tail = position[plan.tail[0]] if plan.tail else width
    inner = width + products.p + 1 - tail
    by_column = column_index(pointer, skip, columns, tail, inner, q, plan.ordering is None)
    return Stage(
        plan.chain[s], position[plan.chain[s]], group.gram, pointer, columns, B, skip, links,
        by_column,
    )  # fmt: skip


def column_index(
    pointer: Longs, skip: int, columns: Codes, tail: int, width: int, q: int, dense: bool
) -> ColumnIndex:
    """The index by column where the tail is sparse or too big for the cache, else an empty one."""
    if dense and width < INDEXED_TAIL:
        none = np.empty(0, dtype=np.int32)
        return ColumnIndex(np.empty(0, dtype=np.int64), none, none)
    room = PANEL_ROWS if dense else 0  # no room: no level is packed
    return ColumnIndex(*kernels.index_columns(pointer, skip, columns, tail, width, q, room))


def single_ancestor(pair: PairProducts, n_levels: int) -> Codes:
    """The one level met by each level; 0 for a level without rows."""
    ancestor = np.zeros(n_levels, dtype=np.int32)
    ancestor[pair.row_of_pair()] = pair.indices
    return ancestor


def put_ancestor(
    columns: Codes, B: Floats, pointer: Longs, offset: int, stage: Stage, to: Codes,
    pair: PairProducts,
) -> None:  # fmt: skip
    """Rows of the one level of a later stage that each level meets."""
    q = stage.G.shape[1]
    rows = pointer[:-1, None] + offset + np.arange(q)
    columns[rows] = stage.start + to[:, None] * q + np.arange(q)
    B[rows[pair.row_of_pair()]] = pair.values.transpose(0, 2, 1)


def put_crossed(columns: Codes, B: Floats, row: Longs, start: int, pair: PairProducts) -> None:
    """Rows of the levels of one tail factor; ``row`` is the first such row of every level."""
    q = pair.values.shape[2]
    level = pair.row_of_pair()
    first = row[level] + (np.arange(level.size) - pair.indptr[level]) * q
    rows = first[:, None] + np.arange(q)
    columns[rows] = start + pair.indices[:, None] * q + np.arange(q)
    B[rows] = pair.values.transpose(0, 2, 1)


def places(pointer: Longs, columns: Codes, stage: Stage, to: Codes) -> Codes:
    """Row of the later stage's B with the same column under the ancestor, -1 for earlier rows."""
    n_columns = int(columns.max(initial=0)) + 1
    level = np.repeat(np.arange(stage.pointer.size - 1), np.diff(stage.pointer))
    keys = level * n_columns + stage.columns
    wanted = np.repeat(to.astype(np.int64), np.diff(pointer)) * n_columns + columns
    found = np.searchsorted(keys, wanted).astype(np.int32)
    found[columns < stage.start + stage.G.shape[0] * stage.G.shape[1]] = -1
    return found
