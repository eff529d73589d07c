"""The products of the dense tail's columns with each other, before anything is eliminated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

FULL_SIZE = 512
"""Up to this size (2 MB) the full matrix is kept; above only where a quarter of it is not zero."""


@dataclass(frozen=True, slots=True)
class TailProducts:
    """A symmetric (T, T) matrix; the diagonal blocks of crossed factors are mostly zeros.

    Attributes
    ----------
    size : int, T
    full : (T, T) array, or (0, 0) where only the nonzero entries are kept
    where : int64 array, row * T + column of the entries on and above the diagonal
    values : array, those entries
    """

    size: int
    full: Floats
    where: Longs
    values: Floats

    @classmethod
    def of(
        cls, products: CrossProducts, groups: tuple[int, ...], starts: Longs, sparse: bool = False
    ) -> TailProducts:
        """Arrange the products of the tail's factors, X and y last; ``sparse``: never in full."""
        size = int(starts[-1]) + products.p + 1
        parts = entries(products, groups, starts)
        if sparse or size > FULL_SIZE:
            found = list(parts)
            where = np.concatenate([rows * size + columns for rows, columns, _ in found])
            if sparse or 4 * where.size < size * size:
                values = np.concatenate([v for *_, v in found])
                return cls(size, np.empty((0, 0)), where, values)
            parts = iter(found)
        full = np.zeros((size, size))
        for rows, columns, values in parts:
            full[rows, columns] = values
            full[columns, rows] = values
        none = np.empty(0, dtype=np.int64)
        return cls(size, full, none, np.empty(0))

    def fill(self, S: Floats) -> None:
        """Write the upper triangle; what lies below it is undefined."""
        if self.full.size:
            np.copyto(S, self.full)
            return
        S.fill(0.0)
        S.reshape(-1)[self.where] = self.values

    def times(self, c: Floats) -> Floats:
        """(T, m) product with c (T, m)."""
        if self.full.size:
            return np.asarray(self.full @ c)
        rows, columns = np.divmod(self.where, self.size)
        below = np.where(rows == columns, 0.0, self.values)
        out = np.empty_like(c)
        for k in range(c.shape[1]):
            out[:, k] = np.bincount(rows, self.values * c[columns, k], self.size)
            out[:, k] += np.bincount(columns, below * c[rows, k], self.size)
        return out

    def dense(self) -> Floats:
        """The full matrix; made anew where it is not kept."""
        if self.full.size:
            return self.full
        A = np.zeros((self.size, self.size))
        rows, columns = np.divmod(self.where, self.size)
        A[rows, columns] = A[columns, rows] = self.values
        return A


@lru_cache(maxsize=64)
def upper_triangle(size: int) -> tuple[Longs, Longs]:
    """Rows and columns on and above the diagonal; remembered, and so not to be written to."""
    rows, columns = np.triu_indices(size)
    rows.flags.writeable = columns.flags.writeable = False
    return rows, columns


def columns_of(own: slice, levels: NDArray[np.integer], q: int) -> Longs:
    """(m, q) tail columns of m levels of the factor whose columns are ``own``."""
    columns: Longs = own.start + levels[:, None].astype(np.int64) * q + np.arange(q)
    return columns


def scale_rows(M: Floats, starts: Longs, Lambda: tuple[Floats, ...], transpose: bool) -> Floats:
    """Lt M (or Lt' M) for M with a row per tail column."""
    out = np.array(M)
    for i, L in enumerate(Lambda):
        rows = slice(starts[i], starts[i + 1])
        block = M[rows].reshape(-1, L.shape[0], M.shape[1])
        out[rows] = ((L.T if transpose else L) @ block).reshape(-1, M.shape[1])
    return out


def entries(
    products: CrossProducts, groups: tuple[int, ...], starts: Longs
) -> Iterator[tuple[Longs, Longs, Floats]]:
    """Rows, columns and values of all entries on and above the diagonal, each once."""
    first, width = int(starts[-1]), products.p + 1
    rows, columns = upper_triangle(width)
    yield rows + first, columns + first, products.fixed[rows, columns]
    for a, i in enumerate(groups):
        group = products.groups[i]
        q = group.n_columns
        own = slice(int(starts[a]), int(starts[a + 1]))
        at = columns_of(own, np.arange(group.n_levels), q)
        dense = np.broadcast_to((first + np.arange(width))[None, :, None], group.dense.shape)
        rows = np.broadcast_to(at[:, None, :], group.dense.shape)
        yield rows.ravel(), dense.ravel(), group.dense.ravel()
        left, right = upper_triangle(q)
        yield at[:, left].ravel(), at[:, right].ravel(), group.gram[:, left, right].ravel()
        for b in range(a):
            pair = products.pair(groups[b], i)
            other = slice(int(starts[b]), int(starts[b + 1]))
            above = columns_of(other, pair.row_of_pair(), pair.values.shape[1])
            beside = columns_of(own, pair.indices, q)
            shape = pair.values.shape
            yield (
                np.broadcast_to(above[:, :, None], shape).ravel(),
                np.broadcast_to(beside[:, None, :], shape).ravel(),
                pair.values.ravel(),
            )
