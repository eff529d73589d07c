"""NumPy twins of ``weighted.cpp``: the same signatures, written for clarity.

Rows have weights ``w`` of any sign and products ``c`` that stand for the weighted response; an
empty ``c`` is one of zeros.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]


def weighted_levels(
    codes: Codes, pointer: Longs, order: Longs, Z: Floats, X: Floats, w: Floats, c: Floats,
    gram: Floats, dense: Floats, threads: int,
) -> None:  # fmt: skip
    """Z_l'W Z_l into ``gram`` (J, q, q), and X'W Z_l with c'Z_l below it into ``dense``."""
    gram[...] = 0.0
    dense[...] = 0.0
    for level in range(pointer.size - 1):
        rows = order[pointer[level] : pointer[level + 1]]
        gram[level] = (Z[rows] * w[rows, None]).T @ Z[rows]
        dense[level, :-1] = (X[rows] * w[rows, None]).T @ Z[rows]
        if c.size:
            dense[level, -1] = c[rows] @ Z[rows]


def weighted_pairs(
    start: Longs, order: Longs, Z: Floats, other: Floats, w: Floats, values: Floats, threads: int
) -> None:
    """Z' W other over the rows ``order[start[e]:start[e + 1]]`` of every pair e of levels."""
    for e in range(start.size - 1):
        rows = order[start[e] : start[e + 1]]
        values[e] = (Z[rows] * w[rows, None]).T @ other[rows]


def weighted_fixed(X: Floats, w: Floats, c: Floats, fixed: Floats, threads: int) -> None:
    """X'W X and X'c into the symmetric ``fixed`` (p + 1, p + 1); its last entry is 0."""
    fixed[...] = 0.0
    fixed[:-1, :-1] = (X * w[:, None]).T @ X
    if c.size:
        fixed[-1, :-1] = fixed[:-1, -1] = c @ X


def add_effects(codes: Codes, Z: Floats, effects: Floats, out: Floats, threads: int) -> None:
    """``out`` += z_r'b of the level of every row; ``effects`` (J, q)."""
    out += np.einsum("rk,rk->r", Z, effects[codes])


def add_quadratic(codes: Codes, Z: Floats, blocks: Floats, out: Floats, threads: int) -> None:
    """``out`` += z_r'D z_r with D of the level of every row; ``blocks`` (J, q, q)."""
    out += np.einsum("ra,rak,rk->r", Z, blocks[codes], Z)


def add_bilinear(
    position: Codes, Z: Floats, other: Floats, blocks: Floats, out: Floats, threads: int
) -> None:
    """``out`` += 2 z_r'D x_r with D of the pair of levels of every row; ``blocks`` (nnz, q, m)."""
    out += 2.0 * np.einsum("ra,rak,rk->r", Z, blocks[position], other)


def level_products(
    codes: Codes, pointer: Longs, order: Longs, Z: Floats, values: Floats, out: Floats, threads: int
) -> None:
    """Z_l'v of every level into ``out`` (J, q)."""
    out[...] = 0.0
    np.add.at(out, codes, Z * values[:, None])


def subtract_outer(
    pointer: Longs, columns: Longs, a: Floats, b: Floats, meets: Longs, order: Longs,
    level: Codes, out: Floats, threads: int,
) -> None:  # fmt: skip
    """The lower triangle of ``out`` -= a b' + b a' of every level, half of it on the diagonal."""
    for first, last in pairwise(pointer.tolist()):
        at = columns[first:last]
        product = a[first:last] @ b[first:last].T
        whole = np.tril(product + product.T, -1) + np.diag(np.diagonal(product))
        out[np.ix_(at, at)] -= whole
