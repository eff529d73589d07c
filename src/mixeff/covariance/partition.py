"""How theta is divided among random terms, and terms among grouping blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance.triangle import lower_factor
from mixeff.covariance.unstructured import Unstructured

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Partition:
    """Terms of one grouping factor share a block, in which Lambda is block-diagonal.

    Attributes
    ----------
    structures : tuple of Unstructured, one per random term in the design's order
    members : tuple of tuples of int
        For each grouping block the terms in it, in order; the columns of the block are the
        columns of its terms one after the other.
    """

    structures: tuple[Unstructured, ...]
    members: tuple[tuple[int, ...], ...]

    @classmethod
    def of_groups(cls, groups: Sequence[str], sizes: Sequence[int]) -> Partition:
        """One unstructured term per entry; equal group names share a block."""
        return _of_groups(tuple(groups), tuple(sizes))

    @property
    def n_theta(self) -> int:
        """Length of theta."""
        return sum(s.n_theta for s in self.structures)

    @property
    def is_diagonal(self) -> NDArray[np.bool_]:
        """(n_theta,) which parameters are diagonal entries."""
        return np.concatenate([s.is_diagonal for s in self.structures])

    def start(self) -> Floats:
        """Identity for every term."""
        return _start(self).copy()

    def split(self, theta: Floats) -> tuple[Floats, ...]:
        """Theta per term."""
        parts, first = [], 0
        for s in self.structures:
            last = first + s.n_theta
            parts.append(theta[first:last])
            first = last
        return tuple(parts)

    def term_factors(self, theta: Floats) -> tuple[Floats, ...]:
        """Lambda (q, q) per term."""
        parts = self.split(theta)
        return tuple(s.expand(t) for s, t in zip(self.structures, parts, strict=True))

    def block_factors(self, theta: Floats) -> tuple[Floats, ...]:
        """Block-diagonal lower triangular Lambda per grouping block."""
        pairs = zip(self.structures, self.term_factors(theta), strict=True)
        factors = [lower_factor(L) if s.order else L for s, L in pairs]
        return tuple(self._join([factors[t] for t in terms]) for terms in self.members)

    def from_factors(self, factors: Sequence[Floats]) -> Floats:
        """Theta from one square root (q, m) of Sigma per term."""
        pairs = zip(self.structures, factors, strict=True)
        return np.concatenate([s.from_root(f) for s, f in pairs])

    def moved(self, theta: Floats, factors: Sequence[Floats]) -> Floats:
        """``from_factors``; parameters that are no covariances would be taken from ``theta``."""
        return self.from_factors(factors)

    def pivoted(self, theta: Floats) -> Partition:
        """Every term in the order of its pivoted factor (self where no term gains by it)."""
        pairs = zip(self.structures, self.split(theta), strict=True)
        structures = tuple(s.pivoted(t) if s.size > 1 else s for s, t in pairs)
        return self if structures == self.structures else Partition(structures, self.members)

    def canonical(self, theta: Floats) -> Floats:
        """Diagonal entries made non-negative, term by term."""
        pairs = zip(self.structures, self.split(theta), strict=True)
        return np.concatenate([s.canonical(t) for s, t in pairs])

    def pull_back(self, slopes: Sequence[Floats]) -> Floats:
        """dd/dLambda per term -> dd/dtheta."""
        pairs = zip(self.structures, slopes, strict=True)
        return np.concatenate([s.pull_back(d) for s, d in pairs])

    def columns_of_terms(self) -> tuple[tuple[int, slice], ...]:
        """Per term: its block and the slice of columns it takes there."""
        return _columns_of_terms(self)

    def block_slopes(self, slopes: Sequence[Floats]) -> tuple[list[Floats], NDArray[np.intp]]:
        """(m, q, q) arrays per term -> (M, Q, Q) arrays per block, M summing up those of its terms.

        With them the place of every entry of the terms, taken in their order, among the entries of
        the blocks.
        """
        places = self.columns_of_terms()
        out, first = [], np.zeros(len(slopes), dtype=np.intp)
        at = 0
        for terms in self.members:
            size = sum(self.structures[t].size for t in terms)
            counts = [slopes[t].shape[0] for t in terms]
            block = np.zeros((sum(counts), size, size))
            inside = 0
            for t, count in zip(terms, counts, strict=True):
                columns = places[t][1]
                block[inside : inside + count, columns, columns] = slopes[t]
                first[t] = at + inside
                inside += count
            out.append(block)
            at += inside
        where = [f + np.arange(s.shape[0]) for f, s in zip(first, slopes, strict=True)]
        return out, np.concatenate(where)

    def per_term(self, blocks: Sequence[Floats]) -> tuple[Floats, ...]:
        """(J, Q) arrays per block -> (J, q) arrays per term."""
        return tuple(
            np.ascontiguousarray(blocks[b][:, columns]) for b, columns in self.columns_of_terms()
        )

    def per_term_square(self, blocks: Sequence[Floats]) -> tuple[Floats, ...]:
        """(..., Q, Q) arrays per block -> their diagonal sub-blocks (..., q, q) per term."""
        return tuple(
            np.ascontiguousarray(blocks[b][..., columns, columns])
            for b, columns in self.columns_of_terms()
        )

    @staticmethod
    def _join(factors: Sequence[Floats]) -> Floats:
        if len(factors) == 1:
            return factors[0]
        size = sum(f.shape[0] for f in factors)
        out = np.zeros((size, size))
        first = 0
        for f in factors:
            last = first + f.shape[0]
            out[first:last, first:last] = f
            first = last
        return out


@lru_cache(maxsize=256)
def _of_groups(groups: tuple[str, ...], sizes: tuple[int, ...]) -> Partition:
    """See ``Partition.of_groups``; remembered, as it depends on nothing else."""
    blocks: dict[str, list[int]] = {}
    for term, group in enumerate(groups):
        blocks.setdefault(group, []).append(term)
    structures = tuple(Unstructured(q) for q in sizes)
    return Partition(structures, tuple(tuple(m) for m in blocks.values()))


@lru_cache(maxsize=256)
def _start(partition: Partition) -> Floats:
    return np.concatenate([s.start() for s in partition.structures])


@lru_cache(maxsize=256)
def _columns_of_terms(partition: Partition) -> tuple[tuple[int, slice], ...]:
    places: dict[int, tuple[int, slice]] = {}
    for block, terms in enumerate(partition.members):
        first = 0
        for t in terms:
            last = first + partition.structures[t].size
            places[t] = (block, slice(first, last))
            first = last
    return tuple(places[t] for t in range(len(partition.structures)))
