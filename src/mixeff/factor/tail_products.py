"""The products of the dense tail's columns with each other, before anything is eliminated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts
from mixeff.factor import kernels

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

SMALL = 64
"""Up to this size the indices of the upper triangle are remembered."""


@dataclass(frozen=True, slots=True)
class TailProducts:
    """A symmetric (T, T) matrix, mostly zeros: written where it is wanted, never kept.

    Attributes
    ----------
    size : int, T
    products : CrossProducts, where its entries stand
    groups : tuple of int, the caller's positions of the tail's factors
    starts : (k + 1,) int64 array, first tail column of each; the last entry is the first of X
    """

    size: int
    products: CrossProducts
    groups: tuple[int, ...]
    starts: Longs

    @classmethod
    def of(cls, products: CrossProducts, groups: tuple[int, ...], starts: Longs) -> TailProducts:
        """The products of the tail's factors, X and y last."""
        return cls(int(starts[-1]) + products.p + 1, products, groups, starts)

    def fill(self, S: Floats) -> None:
        """Write the upper triangle; what lies below it is undefined."""
        first = int(self.starts[-1])
        S.fill(0.0)
        S[first:, first:] = self.products.fixed
        for a, i in enumerate(self.groups):
            group, start = self.products.groups[i], int(self.starts[a])
            J, q = group.n_levels, group.n_columns
            rows = S[start : start + J * q].reshape(J, q, self.size)
            rows[:, :, first:] = group.dense.transpose(0, 2, 1)
            for b in range(a):
                pair = self.products.pair(self.groups[b], i)
                kernels.place_pairs(
                    pair.indptr, pair.indices, pair.values, int(self.starts[b]), start, S
                )
            step = S.strides[0] + S.strides[1]
            blocks = as_strided(S[start:, start:], group.gram.shape, (q * step, *S.strides))
            blocks[...] = group.gram

    def dense(self) -> Floats:
        """The full matrix, made anew."""
        A = np.empty((self.size, self.size))
        self.fill(A)
        if self.size <= SMALL:
            rows, columns = upper_triangle(self.size)
            A[columns, rows] = A[rows, columns]
            return A
        return np.asarray(np.triu(A) + np.triu(A, 1).T)

    @property
    def where(self) -> Longs:
        """Row * T + column of the entries on and above the diagonal, made anew."""
        found = entries(self.products, self.groups, self.starts)
        return np.concatenate([rows * self.size + columns for rows, columns, _ in found])

    @property
    def values(self) -> Floats:
        """Those entries as the products are at present."""
        return np.concatenate([v.ravel() for v in entry_values(self.products, self.groups)])


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


def scale_rows(
    M: Floats, starts: Longs, Lambda: tuple[Floats, ...], transpose: bool, *, here: bool = False
) -> Floats:
    """Lt M (or Lt' M) for M with a row per tail column; ``here``: in the place of M."""
    out = M if here else np.array(M)
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


def entry_values(products: CrossProducts, groups: tuple[int, ...]) -> Iterator[Floats]:
    """The values of ``entries``, in its order."""
    yield products.fixed[upper_triangle(products.p + 1)]
    for a, i in enumerate(groups):
        group = products.groups[i]
        yield group.dense
        left, right = upper_triangle(group.n_columns)
        yield group.gram[:, left, right]
        for b in range(a):
            yield products.pair(groups[b], i).values
