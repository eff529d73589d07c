"""What the compiled search of small models takes of a system."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.factor.stages import Layout

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]

LARGEST_TAIL = 48  # columns of the dense tail, X and y included
LARGEST_THETA = 12
LARGEST_WORK = 3e7  # multiplications per evaluation; beyond, BLAS and threads are faster


@dataclass(frozen=True, slots=True, eq=False)
class Arrangement:
    """Where the columns of every factor and term stand; depends on no number of the data.

    Attributes
    ----------
    lead : int, position in the caller's order of the factor that is eliminated
    tail : tuple of int, positions of the others
    starts : tuple of int, first tail column of each, then the first of X
    blocks : int64 array, first and last column and columns per level of every tail factor
    terms : int64 array, block (0 the eliminated one), first column, columns of every term
    """

    lead: int
    tail: tuple[int, ...]
    starts: tuple[int, ...]
    blocks: Longs
    terms: Longs

    @classmethod
    def of(
        cls, partition: Partition, n_levels: tuple[int, ...], lead: int, tail: tuple[int, ...]
    ) -> Arrangement:
        """The last few are remembered; their arrays are not to be written to."""
        return _arrange(partition, n_levels, lead, tail)


@lru_cache(maxsize=256)
def _arrange(
    partition: Partition, n_levels: tuple[int, ...], lead: int, tail: tuple[int, ...]
) -> Arrangement:
    place = {lead: 0} | {group: i + 1 for i, group in enumerate(tail)}
    terms: list[int] = []
    widths = dict.fromkeys(place, 0)
    for block, columns in partition.columns_of_terms():
        terms += (place[block], columns.start, columns.stop - columns.start)
        widths[block] += columns.stop - columns.start
    starts = [0]
    blocks: list[int] = []
    for group in tail:
        starts.append(starts[-1] + n_levels[group] * widths[group])
        blocks += (starts[-2], starts[-1], widths[group])
    arrays = np.array(blocks, dtype=np.int64), np.array(terms, dtype=np.int64)
    for array in arrays:
        array.flags.writeable = False
    return Arrangement(lead, tail, tuple(starts), *arrays)


@dataclass(frozen=True, slots=True, eq=False)
class SmallArrays:
    """The numbers and their arrangement; y stands last in every level and in ``A``.

    Attributes
    ----------
    G : (J, q, q) array
    pointer : (J + 1,) int64 array
    columns : (R,) int32 array, tail column of each row of ``B``
    B : (R, q) array
    A : (T, T) array
    arrangement : Arrangement
    """

    G: Floats
    pointer: Longs
    columns: Codes
    B: Floats
    A: Floats
    arrangement: Arrangement

    @classmethod
    def of(cls, layout: Layout, partition: Partition) -> SmallArrays:
        """The arrays of a layout with one stage."""
        (stage,) = layout.stages
        sizes = {stage.group: stage.G.shape[0]}
        for i, group in enumerate(layout.tail_groups):
            columns = int(layout.starts[i + 1] - layout.starts[i])
            sizes[group] = columns // _columns(partition, group)
        n_levels = tuple(sizes[i] for i in range(len(sizes)))
        return cls(
            stage.G,
            stage.pointer,
            stage.columns - np.int32(layout.tail),
            stage.B,
            layout.A,
            Arrangement.of(partition, n_levels, stage.group, layout.tail_groups),
        )

    @property
    def parts(self) -> tuple[Floats, Longs, Codes, Floats, Floats, Longs, Longs]:
        """In the order the kernels take them."""
        where = self.arrangement
        return self.G, self.pointer, self.columns, self.B, self.A, where.blocks, where.terms


def _columns(partition: Partition, block: int) -> int:
    """Columns per level of a grouping block."""
    return sum(partition.structures[t].size for t in partition.members[block])
