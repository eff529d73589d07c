"""Sparse matrices of the blocks of grouping factors: what exact traces are computed with.

SciPy's sparse matrices are imported when they are made, which a fit never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts

Floats = NDArray[np.float64]

DENSE = 0.05
"""A larger part of nonzeros is multiplied faster in dense form."""

_CHUNK = 4_000_000  # numbers in a dense piece of a sparse matrix


def assemble(products: CrossProducts, order: Sequence[int]) -> Any:
    """Z'Z as one sparse matrix, the factors in the given order."""
    from scipy import sparse

    grid: list[list[Any]] = [[None] * len(order) for _ in order]
    for a, i in enumerate(order):
        grid[a][a] = spread(products.groups[i].gram)
        for b in range(a):
            pair = products.pair(order[b], i)
            shape = (
                (pair.indptr.size - 1) * pair.values.shape[1],
                pair.n_columns * pair.values.shape[2],
            )
            block = sparse.bsr_matrix((pair.values, pair.indices, pair.indptr), shape=shape)
            grid[b][a], grid[a][b] = block, block.T
    return sparse.bmat(grid, format="csr")


def spread(blocks: Floats) -> Any:
    """Block-diagonal sparse matrix of (J, q, r) blocks."""
    from scipy import sparse

    J, q, r = blocks.shape
    if q == r == 1:
        return sparse.diags(np.ascontiguousarray(blocks[:, 0, 0]), format="csr")
    made = sparse.bsr_matrix(
        (np.ascontiguousarray(blocks), np.arange(J), np.arange(J + 1)), shape=(J * q, J * r)
    )
    return made.tocsr()


def blocks_of(matrix: Any, J: int, q: int, r: int) -> Floats:
    """The (J, q, r) diagonal blocks of a block-diagonal sparse matrix."""
    found = matrix.tocoo()
    out = np.zeros((J, q, r))
    np.add.at(out, (found.row // q, found.row % q, found.col % r), found.data)
    return out


def product(left: Any, right: Any) -> Any:
    """left' right of sparse matrices; through dense pieces where they are hardly sparse."""
    from scipy import sparse

    rows, T = left.shape
    if not T or left.nnz <= DENSE * rows * T:
        return (left.T @ right).tocsr()
    total = np.zeros((T, T))
    step = max(1, _CHUNK // T)
    for first in range(0, rows, step):
        own = slice(first, first + step)
        total += left[own].toarray().T @ right[own].toarray()
    return sparse.csr_matrix(total)


def interleave(parts: Sequence[Any], J: int, q: int) -> Any:
    """Rows level by level: those of the first matrix, then those of the second ..."""
    from scipy import sparse

    if len(parts) == 1:
        return parts[0].tocsr()
    place = np.arange(len(parts) * J * q).reshape(len(parts), J, q).transpose(1, 0, 2).ravel()
    return sparse.vstack(parts, format="csr")[place]


def diagonal_products(left: Any, right: Any, r: int) -> Floats:
    """(J, r, r) diagonal blocks of left right' for sparse matrices of J r rows."""
    out = np.empty((left.shape[0] // r, r, r))
    for a in range(r):
        for b in range(r):
            out[:, a, b] = np.asarray(left[a::r].multiply(right[b::r]).sum(axis=1)).ravel()
    return out


def through(C: Any, Q: Floats, r: int) -> Floats:
    """(J, r, r) diagonal blocks of C Q C', some levels at a time."""
    rows, T = C.shape
    out = np.empty((rows // r, r, r))
    step = max(1, _CHUNK // (T * r)) * r
    for first in range(0, rows, step):
        some = C[first : first + step]
        dense = some.toarray().reshape(-1, r, T)
        out[first // r : (first + step) // r] = (some @ Q).reshape(-1, r, T) @ dense.transpose(
            0, 2, 1
        )
    return out
