"""The dense tail: S_0, its Cholesky factor and its inverse in one square (kernels/tail.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.factor import kernels
from mixeff.factor.stages import INDEXED_TAIL, PANEL_ROWS, Layout, Stage
from mixeff.factor.tail_products import columns_of, scale_rows

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Lambdas = tuple[Floats, ...]

SHARED_TAIL = 1000
"""Above this size (8 MB) all factors of a system share one set of arrays, S, L and Q one square."""

SHARED_IN_FITS = 200
"""The same for linear fits, which ask a factor for nothing that its inverse has overwritten."""

SMALL_PANEL = 64
"""Columns packed at a time below ``INDEXED_TAIL``, where the panel would be as large as S."""

COLUMNS, FEWEST = 128, 32
"""Columns of S solved for at a time where all would take as much room as S; fewer of a small S."""


@dataclass(frozen=True, slots=True)
class DenseTail:
    """See ``mixeff.factor.tail.Tail``.

    Attributes
    ----------
    layout : Layout
    threads : int, of the kernels
    room : array with rows of T numbers, ``PANEL_ROWS`` where there is so much to pack
    shared : int or None, in the place of ``SHARED_TAIL``
    """

    layout: Layout
    threads: int
    room: Floats
    shared: int | None = None

    @classmethod
    def of(cls, layout: Layout, threads: int, columns: int, lean: bool = False) -> DenseTail:
        """Allocate; ``columns`` is the largest number of columns of any level."""
        # Room for two rows per column of a level and 32 more, and to pack levels that meet much of
        # the tail: 128 scalar ones at a time if there are so many.
        size = layout.products.size
        packed = max((packed_columns(stage, size) for stage in layout.stages), default=0)
        panel = PANEL_ROWS if size >= INDEXED_TAIL else SMALL_PANEL
        rows = max(32 + 2 * columns, min(panel, 2 * packed))
        return cls(layout, threads, np.empty((rows, size)), SHARED_IN_FITS if lean else None)

    def arrays(self) -> tuple[Floats, Floats]:
        """S and L in the same memory: ``L`` is ``S`` moved down by one row."""
        size = self.layout.products.size
        both = np.zeros((size + 1, size))
        return both[:-1], both[1:]

    @property
    def work(self) -> float:
        """A third of the cube for the factor, two thirds for the inverse."""
        return float(self.layout.products.size) ** 3

    @property
    def memory(self) -> float:
        """One square where the inverse takes the factor's place, else one more."""
        squares = 1.0 if self.in_place else 2.0
        return 8.0 * squares * self.layout.products.size**2

    @property
    def in_place(self) -> bool:
        """Only where memory matters: what needs L again has to factor again."""
        return self.layout.products.size > (SHARED_TAIL if self.shared is None else self.shared)

    def inverse_array(self) -> Floats:
        """(T, T), its lower triangle in use."""
        size = 0 if self.in_place else self.layout.products.size
        return np.zeros((size, size))

    def fill(self, S: Floats) -> None:
        """The products of the tail's columns; only what lies on and above the diagonal counts."""
        self.layout.products.fill(S)

    def subtract(self, s: int, C: Floats, S: Floats) -> None:
        """S -= C_l C_l' for every level of stage s."""
        stage = self.layout.stages[s]
        kernels.scatter_tail(
            stage.pointer, stage.skip, stage.columns, self.layout.tail, C, S,
            self.room[:PANEL_ROWS], stage.by_column.meets, stage.by_column.row,
            stage.by_column.level, self.threads,
        )  # fmt: skip

    def factor(self, S: Floats, L: Floats, Lambda: Lambdas, scalars: Floats) -> int:
        """L L' = Lt' S Lt + I; 0, or the number of the bad pivot."""
        return kernels.factor_tail(S, L, self.layout.starts, Lambda, scalars, self.threads)

    def solve(self, L: Floats, right: Floats, transpose: bool) -> None:
        """In place L^-1 right (or L^-T right), all columns but y."""
        kernels.solve_tail(L, right, transpose)

    def times(self, S: Floats, a: int, c: Floats, at: int, out: Floats) -> None:
        """Columns from ``at`` on of ``out`` (T, m) = S c for c on the columns of tail factor a."""
        own = self.columns(a)
        kernels.symmetric_times(S, own.start, own.stop, c, at, out)

    def response_row(self, L: Floats) -> Floats:
        """(T - 1,) the row of y in L."""
        return np.asarray(L[-1, :-1])

    def fixed_part(self, L: Floats) -> Floats:
        """(p, p) the rows and columns of X in L."""
        first = int(self.layout.starts[-1])
        return np.asarray(L[first:-1, first:-1])

    def residual(self, S: Floats, a: int, b: Floats) -> Floats:
        """Z_a'(y - [Z X] b) after the stages, for tail factor a."""
        # All rows at once: the columns of one factor alone would be a copy of much of S.
        inner, found = np.append(-b, 1.0)[:, None], np.zeros((b.size + 1, 1))
        kernels.symmetric_times(S, 0, b.size + 1, inner, 0, found)
        return np.asarray(found[self.columns(a), 0])

    def invert(self, L: Floats, size: int, Q: Floats) -> None:
        """Q = (L L')^-1 of the first ``size`` columns."""
        kernels.invert_tail(L, size, Q, self.threads)

    def traces(self, S: Floats, Q: Floats, size: int, Lambda: Lambdas) -> list[Floats]:
        """(H Lambda)_a of every tail factor: sums of the diagonal blocks of S Lt Q."""
        return kernels.tail_traces(S, Q, size, self.layout.starts, Lambda, self.room)

    def trace_directly(self, S: Floats, L: Floats, a: int, size: int, Lambda: Lambdas) -> Floats:
        """H of tail factor a as S_0 - V'V with V = L^-1 Lt' S_0: no division by Lambda."""
        cols, q = self.columns(a), Lambda[a].shape[0]
        total = np.zeros((q, q))
        wide = COLUMNS if self.in_place and size > SHARED_TAIL else FEWEST
        step = q * max(1, wide // q)
        for first in range(cols.start, cols.stop, step):
            some = slice(first, min(first + step, cols.stop))
            own = symmetric_columns(S, some)[:size]
            V = scale_rows(own, self.layout.starts, Lambda, transpose=True)
            kernels.solve_tail(L, V, False)
            total += diagonal_blocks(own[some], slice(0, own.shape[1]), q).sum(axis=0)
            V = V.reshape(-1, q)
            total -= V.T @ V
        return total

    def scale_inverse(self, Q: Floats, size: int, Lambda: Lambdas) -> None:
        """Q <- Lt Q Lt'."""
        kernels.scale_inverse(Q, size, self.layout.starts, Lambda)

    def inverse_rows(self, s: int, drop: int, B: Floats, Q: Floats, QB: Floats, half: bool) -> None:
        """QB_l = Q B_l for every level of stage s, without the last ``drop`` rows."""
        stage = self.layout.stages[s]
        kernels.inverse_tail(
            stage.pointer, stage.skip, drop, stage.columns, self.layout.tail, B, Q, QB,
            self.room[:PANEL_ROWS], stage.by_column.meets, stage.by_column.row,
            stage.by_column.level, half, self.threads,
        )  # fmt: skip

    def at(self, Q: Floats, rows: Longs, columns: Longs) -> Floats:
        """The entries of Q, of whose lower triangle they are read."""
        return np.asarray(Q[np.maximum(rows, columns), np.minimum(rows, columns)])

    def diagonal_blocks(self, Q: Floats, a: int, q: int) -> Floats:
        """(J, q, q) of tail factor a."""
        return diagonal_blocks(Q, self.columns(a), q)

    def columns(self, a: int) -> slice:
        """Tail columns of tail factor a."""
        return slice(int(self.layout.starts[a]), int(self.layout.starts[a + 1]))


def packed_columns(stage: Stage, size: int) -> int:
    """Columns of the levels that touch more than a quarter of the tail."""
    rows = np.diff(stage.pointer) - stage.skip
    return int(np.count_nonzero(4 * rows > size) * stage.G.shape[1])


def symmetric_columns(S: Floats, own: slice) -> Floats:
    """(T, m) columns of the symmetric matrix of which only the upper triangle of S counts."""
    out = np.array(S[:, own])
    block = np.triu(out[own])
    out[own] = block + np.triu(block, 1).T
    out[own.stop :] = S[own, own.stop :].T
    return out


def diagonal_blocks(M: Floats, cols: slice, q: int) -> Floats:
    """(J, q, q) diagonal blocks of the part of a lower triangle that belongs to one tail factor."""
    at = columns_of(cols, np.arange((cols.stop - cols.start) // q), q)
    rows, columns = at[:, :, None], at[:, None, :]
    return np.asarray(M[np.maximum(rows, columns), np.minimum(rows, columns)])
