"""What the factored system needs of its tail, dense or sparse (ENGINE section 2)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Lambdas = tuple[Floats, ...]


class Tail(Protocol):
    """The columns not eliminated stage by stage: some factors, X and y last.

    How its matrices lie in their arrays is its own matter: S (what the stages leave of the
    products), L (the Cholesky factor of Lt' S Lt + I) and Q (the inverse, on the pattern of L at
    least). Vectors have a row per tail column, factor by factor. ``Lambda`` is that of the tail's
    factors; ``size`` counts the columns that take part: without y, for ML without X too.
    """

    @property
    def work(self) -> float:
        """Multiplications of one evaluation with its gradient, in those of large dense blocks."""
        ...

    @property
    def memory(self) -> float:
        """Bytes its arrays take while a model is fitted."""
        ...

    @property
    def in_place(self) -> bool:
        """Whether the inverse takes the place of L, which is lost then."""
        ...

    def arrays(self) -> tuple[Floats, Floats]:
        """New arrays for S and L."""
        ...

    def inverse_array(self) -> Floats:
        """A new array for Q; where it takes the place of L an empty one."""
        ...

    def fill(self, S: Floats) -> None:
        """The products of the tail's columns before anything is eliminated."""
        ...

    def subtract(self, s: int, C: Floats, S: Floats) -> None:
        """S -= C_l C_l' for every level of stage s."""
        ...

    def factor(self, S: Floats, L: Floats, Lambda: Lambdas, scalars: Floats) -> int:
        """Factor; ``scalars`` gets log-determinants of the random and fixed part and r^2.

        Returns 0, or the number of a bad pivot: above the number of random columns for X only.
        """
        ...

    def solve(self, L: Floats, right: Floats, transpose: bool) -> None:
        """In place L^-1 right (or L^-T right) for (T - 1, m), all columns but y."""
        ...

    def times(self, S: Floats, a: int, c: Floats, at: int, out: Floats) -> None:
        """Columns from ``at`` on of ``out`` (T, m) = S c for c on the columns of tail factor a."""
        ...

    def response_row(self, L: Floats) -> Floats:
        """(T - 1,) the row of y in L."""
        ...

    def fixed_part(self, L: Floats) -> Floats:
        """(p, p) the rows and columns of X in L, lower triangle."""
        ...

    def residual(self, S: Floats, a: int, b: Floats) -> Floats:
        """Z_a'(y - [Z X] b) after the stages, for tail factor a; ``b`` (T - 1,)."""
        ...

    def invert(self, L: Floats, size: int, Q: Floats) -> None:
        """Q = (L L')^-1 of the columns that take part."""
        ...

    def traces(self, S: Floats, Q: Floats, size: int, Lambda: Lambdas) -> list[Floats]:
        """(H Lambda)_a of every tail factor: sums of the diagonal blocks of S Lt Q."""
        ...

    def trace_directly(self, S: Floats, L: Floats, a: int, size: int, Lambda: Lambdas) -> Floats:
        """H of tail factor a without division by its Lambda."""
        ...

    def scale_inverse(self, Q: Floats, size: int, Lambda: Lambdas) -> None:
        """Q <- Lt Q Lt'."""
        ...

    def inverse_rows(self, s: int, drop: int, B: Floats, Q: Floats, QB: Floats, half: bool) -> None:
        """QB_l = Q B_l for every level of stage s, without the last ``drop`` rows.

        ``half``: B_l' QB_l must be right, QB itself need not.
        """
        ...

    def at(self, Q: Floats, rows: Longs, columns: Longs) -> Floats:
        """The entries of Q between levels that meet; ``rows`` and ``columns`` broadcast."""
        ...

    def diagonal_blocks(self, Q: Floats, a: int, q: int) -> Floats:
        """(J, q, q) of tail factor a."""
        ...
