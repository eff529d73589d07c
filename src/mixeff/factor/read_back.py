"""Products of two grouping factors read back from the rows of a stage, not kept beside them.

Large models hold the products of the first factor with every other one twice: in the cross-products
and, laid out for elimination, in ``B`` of its stage. The search itself needs only ``B``; a refit
and the moments find the same numbers there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts, PairProducts
from mixeff.factor import stages
from mixeff.factor.stages import Layout, Stage

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]
Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rows:
    """Where one pair's products stand in ``B``, level by level of the stage.

    Attributes
    ----------
    B : (R, q) array, shared with the stage
    first : (J,) int64 array, the first row of ``B`` with products of each level
    indptr, indices : as in ``PairProducts``
    n_columns, width : int, levels of the other factor and columns of each
    """

    B: Floats
    first: Longs
    indptr: Longs
    indices: Codes
    n_columns: int
    width: int

    def pair(self) -> PairProducts:
        """The products, made anew."""
        counts = np.diff(self.indptr)
        first = np.repeat(self.first - self.indptr[:-1] * self.width, counts)
        rows = (first + np.arange(first.size) * self.width)[:, None] + np.arange(self.width)
        values = np.ascontiguousarray(self.B[rows].transpose(0, 2, 1))
        return PairProducts(self.indptr, self.indices, values, self.n_columns)


@dataclass(frozen=True, slots=True)
class ReadBack(Mapping[Key, PairProducts]):
    """The pairs of ``CrossProducts``, some kept and some read back when asked for.

    Attributes
    ----------
    keys_in_order : tuple of (i, k)
    kept : dict of PairProducts
    rows : dict of Rows
    """

    keys_in_order: tuple[Key, ...]
    kept: dict[Key, PairProducts]
    rows: dict[Key, Rows]

    def __getitem__(self, key: Key) -> PairProducts:
        found = self.kept.get(key)
        return self.rows[key].pair() if found is None else found

    def __contains__(self, key: object) -> bool:
        return key in self.kept or key in self.rows  # nothing is made to answer this

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys_in_order)

    def __len__(self) -> int:
        return len(self.keys_in_order)


def read_back(products: CrossProducts, layout: Layout) -> tuple[CrossProducts, Layout]:
    """The same cross-products and layout without what stands in a stage's ``B`` as well.

    Read back are the pairs with the factor of a stage for rows and a factor of the tail for
    columns; others, of which the layout holds the transpose or the sums, are kept.
    """
    rows: dict[Key, Rows] = {}
    for stage in layout.stages:
        rows |= _rows_of(products, stage, layout.tail_groups)
    kept = {key: pair for key, pair in products.pairs.items() if key not in rows}
    return _with_pairs(products, layout, ReadBack(tuple(products.pairs), kept, rows))


def exchanged(products: CrossProducts, layout: Layout) -> tuple[CrossProducts, Layout]:
    """Another response in a layout made before; what was read back from it is from the new one."""
    new = stages.exchanged(layout, products)
    pairs = products.pairs
    if not isinstance(pairs, ReadBack):
        return products, new
    homes = {id(a.B): b.B for a, b in zip(layout.stages, new.stages, strict=True)}
    # A pair read back from elsewhere would keep that alive, nothing worse.
    rows = {key: replace(r, B=homes.get(id(r.B), r.B)) for key, r in pairs.rows.items()}
    return _with_pairs(products, new, replace(pairs, rows=rows))


def _with_pairs(
    products: CrossProducts, layout: Layout, pairs: ReadBack
) -> tuple[CrossProducts, Layout]:
    lean = replace(products, pairs=pairs)
    return lean, replace(layout, products=replace(layout.products, products=lean))


def _rows_of(
    products: CrossProducts, stage: Stage, tail_groups: tuple[int, ...]
) -> dict[Key, Rows]:
    """As ``stages.build_stage`` laid them out: factor after factor within every level."""
    found: dict[Key, Rows] = {}
    first = stage.pointer[:-1] + stage.skip
    for k in tail_groups:
        key, width = (stage.group, k), products.groups[k].n_columns
        if key not in products.pairs:
            first = first + products.pairs[k, stage.group].column_counts() * width
            continue
        pair = products.pairs[key]
        found[key] = Rows(stage.B, first, pair.indptr, pair.indices, pair.n_columns, width)
        first = first + pair.row_counts() * width
    return found
