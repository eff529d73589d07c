"""One pass over the rows: accumulate the cross-products of a set of rows (ENGINE section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import (
    CrossProducts,
    GroupBlock,
    GroupProducts,
    PairProducts,
    pair_keys,
)
from mixeff.factor import kernels

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Dense columns with the shift and scale that make them working columns.

    ``values`` (n, k) C-contiguous; ``shift`` and ``scale`` (k,): working = (value - shift) / scale.
    """

    values: Floats
    shift: Floats
    scale: Floats

    @classmethod
    def of(cls, values: Floats, shift: Floats | None, scale: Floats | None) -> Columns:
        """Fill in shift 0 and scale 1; copies only what is not already float64 and contiguous."""
        values = np.ascontiguousarray(values, dtype=np.float64)
        k = values.shape[1]
        shift = np.zeros(k) if shift is None else np.array(shift, dtype=np.float64, ndmin=1)
        scale = np.ones(k) if scale is None else np.array(scale, dtype=np.float64, ndmin=1)
        return cls(values, shift, scale)


def accumulate(
    response: Columns,
    X: Columns,
    blocks: Sequence[GroupBlock],
    *,
    weights: Floats | None = None,
    threads: int = 1,
) -> CrossProducts:
    """Cross-products of the given rows.

    Parameters
    ----------
    response : Columns, (n, 1)
    X : Columns, (n, p)
    blocks : sequence of GroupBlock with distinct grouping factors
    weights : (n,) array or None, folded into the rows by their square root
    threads : int
        Every sum runs in an order fixed by the data, so results are the same for any number.
    """
    root = np.empty(0) if weights is None else np.sqrt(np.asarray(weights, dtype=np.float64))
    dense = (X.values, X.shift, X.scale, response.values, response.shift, response.scale, root)
    columns = [Columns.of(b.values, b.shift, b.scale) for b in blocks]
    codes = [np.ascontiguousarray(b.codes, dtype=np.int32) for b in blocks]
    sizes = [b.n_levels for b in blocks]
    orders = [kernels.level_order(c, j, None) for c, j in zip(codes, sizes, strict=True)]
    groups = tuple(
        GroupProducts(*kernels.level_gram(k, *order, c.values, c.shift, c.scale, *dense, threads))
        for k, order, c in zip(codes, orders, columns, strict=True)
    )
    pairs = {}
    for i, k in pair_keys(tuple(sizes)):
        # Stable: rows sorted by level of k, then by level of i.
        pointer, order = kernels.level_order(codes[i], sizes[i], orders[k][1])
        a, b = columns[i], columns[k]
        found = kernels.pair_gram(
            pointer, order, codes[k],
            a.values, a.shift, a.scale, b.values, b.shift, b.scale, root, threads,
        )  # fmt: skip
        pairs[i, k] = PairProducts(*found, n_columns=sizes[k])
    return CrossProducts(
        n=int(response.values.shape[0]),
        fixed=kernels.fixed_gram(*dense, threads),
        groups=groups,
        pairs=pairs,
    )
