"""Factors nested in others: combinations of levels that cannot occur.

A factor is nested in another if each of its levels occurs with one level of the other only, as
treatments within kinds of treatment or classes within schools. Means are then averages over the
combinations that do occur, and the other combinations have no place in a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.inference.marginal.predictors import Codes, Predictor

Nests = tuple[tuple[str, str], ...]


def nests_of(predictors: Mapping[str, Predictor]) -> Nests:
    """Pairs of the name of a nested factor and that of the one it is nested in.

    Of two factors that say the same, the later is nested in the earlier.
    """
    factors = [p for p in predictors.values() if p.is_factor and p.in_model and len(p) > 1]
    found: list[tuple[str, str]] = []
    for outer, inner in permutations(factors, 2):
        assert inner.codes is not None
        assert outer.codes is not None
        # Nested factors have more levels than what they are nested in, unless they say the same.
        if len(inner) < len(outer) or (outer.name, inner.name) in found:
            continue
        if _within_one(inner.codes, outer.codes, len(inner)):
            found.append((inner.name, outer.name))
    return tuple(found)


def _within_one(inner: Codes, outer: Codes, size: int) -> bool:
    """Whether each inner code occurs with one outer code only."""
    first = np.full(size, -1, dtype=outer.dtype)
    first[inner] = outer
    return bool((first[inner] == outer).all())


def absent_rows(
    predictors: Sequence[Predictor], places: Sequence[NDArray[np.intp]], size: int, nests: Nests
) -> NDArray[np.bool_]:
    """(G,) the rows of a grid that combine a nested level with one it does not occur in."""
    position = {p.name: j for j, p in enumerate(predictors)}
    out = np.zeros(size, dtype=bool)
    for names in nests:
        j, k = (position[name] for name in names)
        inner, outer = predictors[j], predictors[k]
        if inner.codes is None or outer.codes is None:
            continue
        occurs = np.zeros((len(inner), len(outer)), dtype=bool)
        inside = (inner.codes >= 0) & (outer.codes >= 0)
        occurs[inner.codes[inside], outer.codes[inside]] = True
        out |= ~occurs[places[j], places[k]]
    return out


def outer_names(nests: Nests, names: Sequence[str]) -> frozenset[str]:
    """What the named factors are nested in."""
    return frozenset(outer for inner, outer in nests if inner in names)
