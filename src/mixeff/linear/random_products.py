"""Products of Z'Z with a few vectors.

SciPy's sparse matrices are imported when they are made, which a fit never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts, PairProducts

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RandomProducts:
    """Z'Z by pairs of grouping factors.

    Attributes
    ----------
    grams : tuple of (J, q, q) arrays, of every factor
    pairs : dict (i, k) -> sparse matrix, rows of factor i
    """

    grams: tuple[Floats, ...]
    pairs: dict[tuple[int, int], Any]

    @classmethod
    def of(cls, products: CrossProducts) -> RandomProducts:
        """The numbers are shared with the cross-products."""
        grams = tuple(g.gram for g in products.groups)
        return cls(grams, {key: _matrix(pair) for key, pair in products.pairs.items()})

    def times(self, right: Mapping[int, Floats]) -> list[Floats]:
        """Z'Z c, (J, q, columns) per factor; factors that ``right`` does not name have c = 0."""
        columns = next(iter(right.values())).shape[2]
        found = [np.zeros((*gram.shape[:2], columns)) for gram in self.grams]
        for i, c in right.items():
            found[i] += self.grams[i] @ c
        for (i, k), matrix in self.pairs.items():
            if k in right:
                found[i] += (matrix @ flat(right[k])).reshape(found[i].shape)
            if i in right:
                found[k] += (matrix.T @ flat(right[i])).reshape(found[k].shape)
        return found


def flat(blocks: Floats) -> Floats:
    """(J q, columns) of (J, q, columns), also where there are no columns."""
    J, q, columns = blocks.shape
    return blocks.reshape(J * q, columns)


def _matrix(pair: PairProducts) -> Any:
    from scipy import sparse

    _, q, r = pair.values.shape
    shape = ((pair.indptr.size - 1) * q, pair.n_columns * r)
    if q == r == 1:
        return sparse.csr_matrix((pair.values.ravel(), pair.indices, pair.indptr), shape=shape)
    return sparse.bsr_matrix((pair.values, pair.indices, pair.indptr), shape=shape)
