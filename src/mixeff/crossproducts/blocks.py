"""The cross-products of a model in blocks: independent of n, mergeable by addition.

ENGINE section 1: A = [Z X y]' W [Z X y], of which only the blocks that can be nonzero are kept. Two
sets of rows give two of these; their sum belongs to all rows together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import DesignError

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GroupBlock:
    """The random-effect columns of one grouping factor (all its terms merged).

    A working column is ``(value - shift) / scale``, applied on the fly.

    Attributes
    ----------
    codes : (n,) int32 array, level of each row, 0 .. J-1
    n_levels : int, J (levels without rows are allowed)
    values : (n, q) float64 array, C-contiguous
    shift, scale : (q,) arrays or None (0 and 1)
    """

    codes: Codes
    n_levels: int
    values: Floats
    shift: Floats | None = None
    scale: Floats | None = None

    @property
    def n_columns(self) -> int:
        """q."""
        return int(self.values.shape[1])

    @property
    def working(self) -> tuple[Floats, Floats, Floats]:
        """Values, shift and scale, with 0 and 1 filled in."""
        q = self.n_columns
        shift = np.zeros(q) if self.shift is None else self.shift
        return self.values, shift, np.ones(q) if self.scale is None else self.scale


@dataclass(frozen=True, slots=True)
class GroupProducts:
    """Products within one grouping factor and with the dense columns X and y.

    Attributes
    ----------
    gram : (J, q, q) array, Z_l'Z_l of every level
    dense : (J, p + 1, q) array, [X y]'Z_l of every level
    """

    gram: Floats
    dense: Floats

    @property
    def n_levels(self) -> int:
        """J."""
        return int(self.gram.shape[0])

    @property
    def n_columns(self) -> int:
        """q."""
        return int(self.gram.shape[1])

    def __add__(self, other: GroupProducts) -> GroupProducts:
        return GroupProducts(self.gram + other.gram, self.dense + other.dense)


@dataclass(frozen=True, slots=True)
class PairProducts:
    """Products between the levels of two grouping factors, compressed by rows.

    Level l of the row factor meets the levels ``indices[indptr[l]:indptr[l + 1]]`` (ascending) of
    the column factor.

    Attributes
    ----------
    indptr : (J_row + 1,) int64 array
    indices : (nnz,) int32 array
    values : (nnz, q_row, q_column) array, Z_row,l' Z_column,j
    n_columns : int, levels of the column factor
    """

    indptr: Longs
    indices: Codes
    values: Floats
    n_columns: int

    def row_counts(self) -> Longs:
        """Levels met by each level of the row factor."""
        return np.diff(self.indptr)

    def column_counts(self) -> Longs:
        """Levels met by each level of the column factor."""
        return np.bincount(self.indices, minlength=self.n_columns).astype(np.int64)

    def row_of_pair(self) -> Longs:
        """Level of the row factor, pair by pair."""
        return np.repeat(np.arange(self.indptr.size - 1), self.row_counts())

    def transpose(self) -> PairProducts:
        """The same products compressed by the levels of the column factor."""
        order = np.argsort(self.indices, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(self.column_counts())])
        return PairProducts(
            indptr=indptr.astype(np.int64),
            indices=self.row_of_pair()[order].astype(np.int32),
            values=np.ascontiguousarray(self.values[order].transpose(0, 2, 1)),
            n_columns=self.indptr.size - 1,
        )

    def __add__(self, other: PairProducts) -> PairProducts:
        same = np.array_equal(self.indptr, other.indptr)
        if same and np.array_equal(self.indices, other.indices):
            total = self.values + other.values
            return PairProducts(self.indptr, self.indices, total, self.n_columns)
        keys = [p.row_of_pair() * p.n_columns + p.indices for p in (self, other)]
        union, place = np.unique(np.concatenate(keys), return_inverse=True)
        values = np.zeros((union.size, *self.values.shape[1:]))
        # Each pair occurs once in either part, so fancy-index addition loses nothing.
        values[place[: keys[0].size]] += self.values
        values[place[keys[0].size :]] += other.values
        counts = np.bincount(union // self.n_columns, minlength=self.indptr.size - 1)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        indices = (union % self.n_columns).astype(np.int32)
        return PairProducts(indptr, indices, values, self.n_columns)


@dataclass(frozen=True, slots=True)
class CrossProducts:
    """All blocks of [Z X y]' W [Z X y].

    Attributes
    ----------
    n : int, rows seen
    fixed : (p + 1, p + 1) array, [X y]' W [X y]
    groups : tuple of GroupProducts, one per grouping factor, the caller's order
    pairs : mapping (i, k) -> PairProducts for every two grouping factors, rows from factor i,
        which is the one with more levels (at a tie the first)
    """

    n: int
    fixed: Floats
    groups: tuple[GroupProducts, ...]
    pairs: Mapping[tuple[int, int], PairProducts]

    @property
    def p(self) -> int:
        """Columns of X."""
        return int(self.fixed.shape[0]) - 1

    def pair(self, row: int, column: int) -> PairProducts:
        """The products of two factors with ``row`` as the row factor."""
        found = self.pairs.get((row, column))
        return self.pairs[column, row].transpose() if found is None else found

    def with_response(self, fixed: Floats, groups: Sequence[Floats]) -> CrossProducts:
        """The same columns with another response; the pairs of factors are shared.

        Parameters
        ----------
        fixed : (p + 1,) array, [X y]' W y
        groups : sequence of (J, q) arrays, Z_l' W y of every grouping factor
        """
        new = self.fixed.copy()
        new[-1] = new[:, -1] = fixed
        changed = []
        for old, products in zip(self.groups, groups, strict=True):
            dense = old.dense.copy()
            dense[:, -1] = products
            changed.append(GroupProducts(old.gram, dense))
        return CrossProducts(self.n, new, tuple(changed), self.pairs)

    def transformed(
        self, *, columns: Sequence[Floats] | None = None, fixed: Floats | None = None
    ) -> CrossProducts:
        """Those of other columns: combinations of the old ones, the rows not read again.

        Parameters
        ----------
        columns : sequence of (q, q) arrays, optional
            The new columns of every grouping factor are Z_l times its matrix.
        fixed : (p + 1, m + 1) array, optional
            The new fixed columns and response are [X y] times this.
        """
        groups, pairs, inner = self.groups, self.pairs, self.fixed
        if columns is not None:
            groups = tuple(
                GroupProducts(np.ascontiguousarray(C.T @ g.gram @ C), g.dense @ C)
                for g, C in zip(groups, columns, strict=True)
            )
            pairs = {
                (i, k): PairProducts(
                    p.indptr,
                    p.indices,
                    np.ascontiguousarray(columns[i].T @ p.values @ columns[k]),
                    p.n_columns,
                )
                for (i, k), p in pairs.items()
            }
        if fixed is not None:
            groups = tuple(
                GroupProducts(g.gram, np.ascontiguousarray(fixed.T @ g.dense)) for g in groups
            )
            inner = np.ascontiguousarray(fixed.T @ inner @ fixed)
        return CrossProducts(self.n, inner, groups, pairs)

    def __add__(self, other: CrossProducts) -> CrossProducts:
        shape = [(g.n_levels, g.n_columns) for g in self.groups]
        if self.p != other.p or shape != [(g.n_levels, g.n_columns) for g in other.groups]:
            raise DesignError(
                "cross-products can be added only when they belong to the same model: "
                "the numbers of fixed columns, levels and random columns must agree."
            )
        return CrossProducts(
            n=self.n + other.n,
            fixed=self.fixed + other.fixed,
            groups=tuple(a + b for a, b in zip(self.groups, other.groups, strict=True)),
            pairs={key: pair + other.pairs[key] for key, pair in self.pairs.items()},
        )


def pair_keys(n_levels: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Which factor gives the rows of every pair: the one with more levels, then the first."""
    order = sorted(range(len(n_levels)), key=lambda i: (-n_levels[i], i))
    return tuple((order[a], order[b]) for a in range(len(order)) for b in range(a + 1, len(order)))
