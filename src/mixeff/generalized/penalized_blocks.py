"""A penalized information and its derivatives on the pattern of the levels that meet in a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

_ROOM = 2_000_000  # numbers in one batch of levels (16 MB)
FULL = 0.25  # levels that meet more of the dense rest are treated as if they met all of it


@dataclass(frozen=True, slots=True)
class Pair:
    """Blocks between levels of two grouping factors.

    Attributes
    ----------
    row, column : (nnz,) int64 arrays, levels; ascending in ``row``
    values : (K, nnz, q, r) array, M first and its derivatives behind
    """

    row: Longs
    column: Longs
    values: Floats


@dataclass(frozen=True, slots=True)
class Blocks:
    """M and its K - 1 derivatives.

    Attributes
    ----------
    diagonal : tuple of (K, J, q, q) arrays, factors with most levels first
    pairs : dict (i, k), i < k -> Pair, rows are levels of i
    """

    diagonal: tuple[Floats, ...]
    pairs: dict[tuple[int, int], Pair]

    @property
    def rest(self) -> Blocks:
        """Without the first factor."""
        kept = {(i - 1, k - 1): p for (i, k), p in self.pairs.items() if i > 0}
        return Blocks(self.diagonal[1:], kept)

    @property
    def nested(self) -> bool:
        """Every level of the first factor lies in one level of each of the others."""
        J = self.diagonal[0].shape[1]
        own = [p.row for (i, _), p in self.pairs.items() if i == 0]
        return all(row.size == J and bool((row == np.arange(J)).all()) for row in own)


@dataclass(frozen=True, slots=True)
class Curvature:
    """What the second derivatives of log|M| are made of.

    Attributes
    ----------
    squares : (K - 1, K - 1) array, tr(M^-1 M_k M^-1 M_l)
    diagonal : tuple of (J, q, q) arrays, blocks of M^-1
    between : dict (i, k) -> (nnz, q, r) array, blocks of M^-1 in the order of the pairs
    """

    squares: Floats
    diagonal: tuple[Floats, ...]
    between: dict[tuple[int, int], Floats]


@dataclass(frozen=True, slots=True)
class LevelColumns:
    """The columns of the rest that each level of the first factor meets.

    Attributes
    ----------
    pointer : (J + 1,) int64 array
    column : (R + 1,) int64 array, column of the rest, level by level
    values : (R + 1, K, q) array
        The last entry of both is no level's: it fills up levels with fewer columns by zeros.
    source : per factor of the rest (nnz, r) int64 array, its entries' places among the R
    size : int, columns of the rest
    """

    pointer: Longs
    column: Longs
    values: Floats
    source: tuple[Longs, ...]
    size: int

    @classmethod
    def of(cls, blocks: Blocks) -> LevelColumns:
        """Sort the entries of all pairs of the first factor by its levels."""
        J, q = blocks.diagonal[0].shape[1:3]
        levels, columns, values, shapes = [], [], [], []
        first = 0
        for k, d in enumerate(blocks.diagonal[1:], start=1):
            pair, r = blocks.pairs[0, k], d.shape[2]
            levels.append(np.repeat(pair.row, r))
            columns.append((first + pair.column[:, None] * r + np.arange(r)).ravel())
            values.append(pair.values.transpose(1, 3, 0, 2).reshape(-1, d.shape[0], q))
            shapes.append((pair.row.size, r))
            first += d.shape[1] * r
        level = np.concatenate(levels)
        order = np.argsort(level, kind="stable")
        place = np.empty(order.size, dtype=np.int64)
        place[order] = np.arange(order.size)
        ends = np.cumsum([0, *(n * r for n, r in shapes)])
        source = tuple(
            place[a : a + n * r].reshape(n, r) for a, (n, r) in zip(ends[:-1], shapes, strict=True)
        )
        pointer = np.concatenate([[0], np.cumsum(np.bincount(level, minlength=J))])
        column = np.append(np.concatenate(columns)[order], 0)
        nothing = np.zeros((1, *values[0].shape[1:]))
        return cls(
            pointer, column, np.concatenate([*values, nothing])[np.append(order, -1)], source, first
        )

    def batches(self) -> Iterator[tuple[Longs, Longs | None]]:
        """Levels, and their places (b, n) among the R where all have few and nearly n columns."""
        counts = np.diff(self.pointer)
        _, K, q = self.values.shape
        unit = 2 ** np.maximum(np.frexp(counts)[1] - 3, 0)
        width = np.where(counts > FULL * self.size, self.size, -(-counts // unit) * unit)
        for n in np.unique(width).tolist():
            levels = np.flatnonzero(width == n)
            square = 0 if n == self.size else n
            step = max(1, _ROOM // max(1, n * (K * q + square)))
            for at in range(0, levels.size, step):
                some = levels[at : at + step]
                yield some, None if n == self.size else self._places(some, n)

    def _places(self, levels: Longs, n: int) -> Longs:
        """(b, n) places, the last one repeated behind those of a level."""
        inside = np.arange(n)
        counts = self.pointer[levels + 1] - self.pointer[levels]
        found = self.pointer[levels][:, None] + inside
        return np.where(inside < counts[:, None], found, self.column.size - 1)

    def gather(self, levels: Longs, places: Longs | None) -> Floats:
        """(b, K, q, n) entries; zeros where a level does not meet a column."""
        _, K, q = self.values.shape
        if places is not None:
            return self.values[places].transpose(0, 2, 3, 1)
        out = np.zeros((levels.size, K, q, self.size))
        level, entry = self.entries(levels)
        out[level, :, :, self.column[entry]] = self.values[entry]
        return out

    def entries(self, levels: Longs) -> tuple[Longs, Longs]:
        """Of these levels: position of the level, place among the R."""
        counts = self.pointer[levels + 1] - self.pointer[levels]
        level = np.repeat(np.arange(levels.size), counts)
        inside = np.arange(level.size) - np.repeat(np.cumsum(counts) - counts, counts)
        return level, self.pointer[levels][level] + inside
