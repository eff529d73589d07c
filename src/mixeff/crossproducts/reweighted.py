"""Cross-products of the same rows for many weights: the pattern is found once.

Penalized IRLS changes the weights of the rows in every iteration and nothing else. Which levels
meet in which rows, and the order in which rows are added, stay; only the sums are made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts, GroupProducts, PairProducts, pair_keys
from mixeff.factor import kernels

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]

NONE = np.empty(0)


@dataclass(frozen=True, slots=True)
class LevelRows:
    """One grouping factor's rows: working columns, and the rows level by level.

    Attributes
    ----------
    codes : (n,) int32 array
    Z : (n, q) array, working columns
    pointer : (J + 1,) int64 array
    order : (n,) int64 array, rows of level l at ``pointer[l]:pointer[l + 1]``
    """

    codes: Codes
    Z: Floats
    pointer: Longs
    order: Longs

    @classmethod
    def of(cls, codes: Codes, n_levels: int, Z: Floats) -> LevelRows:
        """Sort the rows by level."""
        codes = np.ascontiguousarray(codes, dtype=np.int32)
        pointer, order = kernels.level_order(codes, n_levels, None)
        return cls(codes, np.ascontiguousarray(Z, dtype=np.float64), pointer, order)

    @property
    def n_levels(self) -> int:
        """J."""
        return int(self.pointer.size) - 1


@dataclass(frozen=True, slots=True)
class PairRows:
    """The pairs of levels of two factors that meet in a row.

    Attributes
    ----------
    indptr, indices : as in ``PairProducts``
    start : (nnz + 1,) int64 array
    order : (n,) int64 array, rows of pair e at ``start[e]:start[e + 1]``
    position : (n,) int32 array, pair of every row
    """

    indptr: Longs
    indices: Codes
    start: Longs
    order: Longs
    position: Codes

    @classmethod
    def of(cls, row: LevelRows, column: LevelRows) -> PairRows:
        """Sort the rows by level of ``row``, then by level of ``column``."""
        pointer, order = kernels.level_order(row.codes, row.n_levels, column.order)
        indices = column.codes[order]
        new = np.empty(order.size, dtype=bool)
        new[:1] = True
        np.not_equal(indices[1:], indices[:-1], out=new[1:])
        new[pointer[:-1][np.diff(pointer) > 0]] = True
        first = np.flatnonzero(new)
        position = np.empty(order.size, dtype=np.int32)
        position[order] = np.cumsum(new) - 1
        indptr = np.searchsorted(first, pointer)
        return cls(
            indptr.astype(np.int64),
            np.ascontiguousarray(indices[first]),
            np.append(first, order.size).astype(np.int64),
            order,
            position,
        )


@dataclass(frozen=True, slots=True)
class WeightedRows:
    """Rows in working coordinates whose cross-products are wanted for many weights.

    Attributes
    ----------
    X : (n, p) array
    groups : tuple of LevelRows, one per grouping factor
    pairs : dict as in ``CrossProducts``
    threads : int
    """

    X: Floats
    groups: tuple[LevelRows, ...]
    pairs: dict[tuple[int, int], PairRows]
    threads: int

    @classmethod
    def of(cls, X: Floats, groups: Sequence[LevelRows], threads: int = 1) -> WeightedRows:
        """Find which levels meet."""
        keys = pair_keys(tuple(g.n_levels for g in groups))
        pairs = {(i, k): PairRows.of(groups[i], groups[k]) for i, k in keys}
        return cls(np.ascontiguousarray(X, dtype=np.float64), tuple(groups), pairs, threads)

    def without_fixed(self) -> WeightedRows:
        """The same rows with no X; orders and patterns are shared."""
        return replace(self, X=np.empty((self.X.shape[0], 0)))

    def empty(self) -> CrossProducts:
        """Cross-products of the right shape; their values are undefined."""
        p = self.X.shape[1]
        shapes = [(g.n_levels, g.Z.shape[1]) for g in self.groups]
        groups = tuple(
            GroupProducts(np.empty((J, q, q)), np.empty((J, p + 1, q))) for J, q in shapes
        )
        pairs = {}
        for (i, k), rows in self.pairs.items():
            values = np.empty((rows.indices.size, shapes[i][1], shapes[k][1]))
            pairs[i, k] = PairProducts(rows.indptr, rows.indices, values, shapes[k][0])
        return CrossProducts(self.X.shape[0], np.empty((p + 1, p + 1)), groups, pairs)

    def fill(self, out: CrossProducts, weights: Floats, products: Floats = NONE) -> None:
        """Write [Z X]'W [Z X] and, in the place of the response, [Z X]'c.

        Parameters
        ----------
        out : CrossProducts, made by ``empty``
        weights : (n,) array, of any sign
        products : (n,) array c; an empty one, all that penalized IRLS needs, stands for zeros
        """
        for g, to in zip(self.groups, out.groups, strict=True):
            kernels.weighted_levels(
                g.codes, g.pointer, g.order, g.Z, self.X, weights, products, to.gram, to.dense,
                self.threads,
            )  # fmt: skip
        for (i, k), rows in self.pairs.items():
            kernels.weighted_pairs(
                rows.start, rows.order, self.groups[i].Z, self.groups[k].Z, weights,
                out.pairs[i, k].values, self.threads,
            )  # fmt: skip
        kernels.weighted_fixed(self.X, weights, products, out.fixed, self.threads)

    def add_effects(self, out: Floats, effects: Sequence[Floats]) -> None:
        """``out`` (n,) += Z b, in place; ``effects`` (J, q) per factor."""
        for g, b in zip(self.groups, effects, strict=True):
            kernels.add_effects(g.codes, g.Z, np.ascontiguousarray(b), out, self.threads)

    def products(self, values: Floats) -> tuple[tuple[Floats, ...], Floats]:
        """Z'v, (J, q) per factor, and X'v (p,)."""
        found = []
        for g in self.groups:
            out = np.empty((g.n_levels, g.Z.shape[1]))
            kernels.level_products(g.codes, g.pointer, g.order, g.Z, values, out, self.threads)
            found.append(out)
        return tuple(found), values @ self.X

    def quadratic(
        self, diagonal: Sequence[Floats], between: dict[tuple[int, int], Floats]
    ) -> Floats:
        """(n,) z_r'Q z_r from the blocks of a symmetric Q.

        Parameters
        ----------
        diagonal : sequence of (J, q, q) arrays
        between : dict (i, k) -> (nnz, q_i, q_k) array, in the order of ``pairs``
        """
        out = np.zeros(self.X.shape[0])
        for g, blocks in zip(self.groups, diagonal, strict=True):
            kernels.add_quadratic(g.codes, g.Z, blocks, out, self.threads)
        for (i, k), rows in self.pairs.items():
            kernels.add_bilinear(
                rows.position, self.groups[i].Z, self.groups[k].Z, between[i, k], out, self.threads
            )
        return out
