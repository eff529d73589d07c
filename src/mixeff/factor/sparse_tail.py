"""The sparse tail: S_0, its Cholesky factor and its inverse on the factor's pattern only.

The levels are eliminated in a fill-reducing order; neighbouring columns of (nearly) the same
pattern lie together in dense panels (kernels/sparse.hpp). Outside, the tail's columns keep their
order: everything is permuted on the way in and out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixeff.factor import kernels
from mixeff.factor.ordering import Ordering
from mixeff.factor.stages import Layout
from mixeff.factor.tail_products import columns_of

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]
Lambdas = tuple[Floats, ...]
Panels = tuple[Longs, Longs, Codes, Longs, Longs, Longs, Longs, Longs, Codes, Codes]

TOGETHER = 32
"""Columns solved for at a time where a trace cannot be taken from the inverse."""

SHORT = 3.0
"""Times a multiplication takes longer than in a large dense block (measured on planar designs)."""


@dataclass(frozen=True)
class SparseTail:
    """See ``mixeff.factor.tail.Tail``.

    Attributes
    ----------
    layout : Layout
    threads : int, of the kernels
    panels : tuple of arrays, the pattern (kernels/sparse.hpp): first column of each panel, starts
        of its rows, rows, start in the flat array, starts of its updates, updates, starts and
        numbers of those it receives, rows of updates, factor of every column
    place : (T,) int32 array, place in elimination order of every tail column
    column : (T,) int32 array, the tail column at every place
    room : array, for one panel's intermediate results
    flops : float, sum of squares of the factor's columns
    """

    layout: Layout
    threads: int
    panels: Panels
    place: Codes
    column: Codes
    room: Floats
    flops: float

    @classmethod
    def of(cls, layout: Layout, ordering: Ordering, threads: int) -> SparseTail:
        """The pattern of the factor in the given order."""
        c = ordering.cliques
        found = kernels.sparse_pattern(
            c.pointer, c.nodes, ordering.order, c.weights, c.factors, c.border
        )
        order, panels = found[0], found[1:]
        first = np.concatenate([[0], np.cumsum(c.weights)])[order]
        within = np.arange(c.weights.sum()) - np.repeat(
            np.cumsum(c.weights[order]) - c.weights[order], c.weights[order]
        )
        random = np.repeat(first, c.weights[order]) + within
        column = np.concatenate([random, np.arange(random.size, c.size)]).astype(np.int32)
        place = np.empty_like(column)
        place[column] = np.arange(column.size, dtype=np.int32)
        room = np.empty(room_of(panels))
        return cls(layout, threads, panels, place, column, room, ordering.flops)

    @property
    def work(self) -> float:
        """Multiplications of an evaluation: factor, inverse, and what short columns cost more."""
        return SHORT * 3.0 * self.flops

    @property
    def memory(self) -> float:
        """Bytes of S, L and Q."""
        return 3.0 * 8.0 * self.entries

    @property
    def entries(self) -> int:
        """Numbers in S, in L and in Q."""
        return int(self.panels[3][-1])

    @property
    def in_place(self) -> bool:
        """Never: a sparse factor is small."""
        return False

    def arrays(self) -> tuple[Floats, Floats]:
        """Flat arrays of panels."""
        return np.zeros(self.entries), np.zeros(self.entries)

    def inverse_array(self) -> Floats:
        """Flat array of panels."""
        return np.zeros(self.entries)

    def fill(self, S: Floats) -> None:
        """The products of the tail's columns."""
        S.fill(0.0)
        S[self._products] = self.layout.products.values

    @cached_property
    def _products(self) -> Longs:
        """Place of every product."""
        products = self.layout.products
        return self.places(*np.divmod(products.where, products.size))

    def places(self, rows: Longs, columns: Longs) -> Longs:
        """Where the entries of the given tail rows and columns lie in the flat array."""
        shape = np.broadcast_shapes(rows.shape, columns.shape)
        i, j = (np.broadcast_to(self.place[k], shape).ravel() for k in (rows, columns))
        return np.asarray(kernels.sparse_places(*self.panels, i, j)).reshape(shape)

    def subtract(self, s: int, C: Floats, S: Floats) -> None:
        """S -= C_l C_l' for every level of stage s."""
        stage = self.layout.stages[s]
        kernels.sparse_scatter(
            *self.panels, self.place, stage.pointer, stage.skip, stage.columns, self.layout.tail,
            C, S, stage.by_column.meets, stage.by_column.row, stage.by_column.level, self.column,
            self.threads,
        )  # fmt: skip

    def factor(self, S: Floats, L: Floats, Lambda: Lambdas, scalars: Floats) -> int:
        """L L' = Lt' S Lt + I; 0, or the number of the bad pivot."""
        return kernels.sparse_factor(*self.panels, S, L, Lambda, scalars, self.room)

    def solve(self, L: Floats, right: Floats, transpose: bool) -> None:
        """In place L^-1 right (or L^-T right), all columns but y."""
        inner = right[self.column[:-1]]
        kernels.sparse_solve(*self.panels, L, inner, transpose)
        right[self.column[:-1]] = inner

    def times(self, S: Floats, a: int, c: Floats, at: int, out: Floats) -> None:
        """Columns from ``at`` on of ``out`` (T, m) = S c for c on the columns of tail factor a."""
        inner = np.zeros((self.place.size, c.shape[1]))
        inner[self.place[self.layout.starts[a] : self.layout.starts[a + 1]]] = c
        found = np.empty_like(inner)
        kernels.sparse_multiply(*self.panels, S, inner, found)
        out[:, at : at + c.shape[1]] = found[self.place]

    def response_row(self, L: Floats) -> Floats:
        """(T - 1,) the row of y in L."""
        return L[self._response]

    @cached_property
    def _response(self) -> Longs:
        last = self.place.size - 1
        return self.places(np.array(last), np.arange(last))

    def fixed_part(self, L: Floats) -> Floats:
        """(p, p) the rows and columns of X in L, lower triangle."""
        border = self.place.size - int(self.layout.starts[-1])
        corner = L[L.size - border * border :].reshape(border, border)
        return np.asarray(corner[:-1, :-1])

    def residual(self, S: Floats, a: int, b: Floats) -> Floats:
        """Z_a'(y - [Z X] b) after the stages, for tail factor a."""
        inner = np.append(-b, 1.0)[self.column, None]
        found = np.empty_like(inner)
        kernels.sparse_multiply(*self.panels, S, inner, found)
        own = self.place[self.layout.starts[a] : self.layout.starts[a + 1]]
        return np.asarray(found[own, 0])

    def invert(self, L: Floats, size: int, Q: Floats) -> None:
        """Q = (L L')^-1 of the columns that take part, on the pattern of L."""
        kernels.sparse_invert(*self.panels, L, size, Q, self.room)

    def traces(self, S: Floats, Q: Floats, size: int, Lambda: Lambdas) -> list[Floats]:
        """(H Lambda)_a of every tail factor: sums of the diagonal blocks of S Lt Q."""
        return kernels.sparse_traces(*self.panels, S, Q, size, Lambda)

    def trace_directly(self, S: Floats, L: Floats, a: int, size: int, Lambda: Lambdas) -> Floats:
        """H of tail factor a as S_0 - V'V with V = L^-1 Lt' S_0: no division by Lambda."""
        room = np.empty((self.place.size, max(TOGETHER, Lambda[a].shape[0])))
        return kernels.sparse_trace_directly(*self.panels, S, L, size, Lambda, a, room)

    def scale_inverse(self, Q: Floats, size: int, Lambda: Lambdas) -> None:
        """Q <- Lt Q Lt'."""
        kernels.sparse_scale(*self.panels, Q, Lambda)

    def moved(self, L: Floats, size: int, R: Floats, Lambda: Lambdas) -> None:
        """Q R_d Q for the symmetric R_d (k, entries), on the pattern and in the place of R.

        Q = Lt (L L')^-1 Lt' of the random columns, of which there are ``size``. Of the diagonal
        blocks of R the lower triangles count; every panel of the result is complete.
        """
        X = self.inverse_array()
        self.invert(L, size, X)
        kernels.sparse_moved(*self.panels, L, X, R, Lambda)

    def inner(self, left: Floats, right: Floats) -> float:
        """Sum of products of the entries of two symmetric matrices on the pattern."""
        return float(np.einsum("e,e,e->", self._counts, left, right))

    @cached_property
    def _counts(self) -> Floats:
        """How often every entry of the panels stands in the symmetric matrix; 0 for X and y."""
        found = np.full(self.entries, 2.0)
        first, rows_at, _, start = self.panels[:4]
        border = self.place.size - int(first[-2])
        widths = np.diff(first)
        for at, width, below in zip(start, widths, np.diff(rows_at), strict=False):
            own = found[at : at + (width + below) * width].reshape(-1, width)
            own[:width] = 2.0 * np.tri(width, k=-1) + np.eye(width)
            own[width + below - border :] = 0.0
        found[start[-2] :] = 0.0
        return found

    def inverse_rows(self, s: int, drop: int, B: Floats, Q: Floats, QB: Floats, half: bool) -> None:
        """QB_l = Q B_l for every level of stage s, without the last ``drop`` rows."""
        stage = self.layout.stages[s]
        kernels.sparse_rows(
            *self.panels, self.place, stage.pointer, stage.skip, drop, stage.columns,
            self.layout.tail, B, Q, QB, stage.by_column.meets, stage.by_column.row,
            stage.by_column.level, self.column, half, self.threads,
        )  # fmt: skip

    def at(self, Q: Floats, rows: Longs, columns: Longs) -> Floats:
        """The entries of Q between levels that meet; ``rows`` and ``columns`` broadcast."""
        return Q[self.places(rows, columns)]

    def diagonal_blocks(self, Q: Floats, a: int, q: int) -> Floats:
        """(J, q, q) of tail factor a."""
        own = slice(int(self.layout.starts[a]), int(self.layout.starts[a + 1]))
        at = columns_of(own, np.arange((own.stop - own.start) // q), q)
        return self.at(Q, at[:, :, None], at[:, None, :])


def room_of(panels: Panels) -> int:
    """Numbers the largest update or the inverse of the largest panel needs beside the panels."""
    widths, below = np.diff(panels[0]), np.diff(panels[1])
    inverse = below * (below + widths)
    _, _, begin, end, _ = updates = panels[5].reshape(-1, 5).T
    update = (below[updates[0]] - begin) * (end - begin)
    return int(max(inverse.max(initial=0), update.max(initial=0)))
