"""Means and cross-products of columns from one pass, for rank check and coordinates alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.compiled import column_moments

Floats = NDArray[np.float64]

NO_WEIGHTS: Floats = np.empty(0)
_CONSTANT, _INDICATOR, _ZERO = 1, 2, 4  # as mixeff.compiled.twins


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What one pass over the rows of some columns (n, k) tells.

    Attributes
    ----------
    columns : (n, k) array, the columns themselves
    weights : (n,) array or None
    mean : (k,) weighted means
    centred : (k, k) weighted sums of products about the means
    kinds : (k,) int32, bits as in ``mixeff.compiled.twins``
    total : float, sum of the weights (n without)
    """

    columns: Floats
    weights: Floats | None
    mean: Floats
    centred: Floats
    kinds: NDArray[np.int32]
    total: float

    @classmethod
    def of(cls, columns: Floats, weights: Floats | None = None, threads: int = 1) -> Moments:
        """Pass over the rows once; the numbers do not depend on ``threads``."""
        found = column_moments(columns, NO_WEIGHTS if weights is None else weights, threads)
        return cls(columns, weights, *found)

    def first_constant(self) -> int | None:
        """The first column whose entries are all equal and not zero."""
        for j, kind in enumerate(self.kinds.tolist()):
            if kind & _CONSTANT and not kind & _ZERO:
                return j
        return None

    @property
    def indicator(self) -> NDArray[np.bool_]:
        """(k,) columns of zeros and ones."""
        return np.asarray((self.kinds & _INDICATOR) != 0)

    @property
    def zero(self) -> NDArray[np.bool_]:
        """(k,) columns of zeros."""
        return np.asarray((self.kinds & _ZERO) != 0)

    def about(self, shift: Floats) -> Floats:
        """(k, k) weighted sums of products about any point."""
        off = self.mean - shift
        out: Floats = self.centred + (self.total * off)[:, None] * off
        return out


def moments_of(
    columns: Floats, weights: Floats | None, known: Iterable[Moments], threads: int = 1
) -> Moments:
    """The moments of exactly these arrays: one of those known, or a new pass."""
    for one in known:
        if one.columns is columns and one.weights is weights:
            return one
    return Moments.of(columns, weights, threads)
