"""The two protocols between the penalized system and what is computed from it.

Everything is in WORKING coordinates (columns centred, scaled, rotated as ``linear/coordinates.py``
decided) and relative to sigma: V = I + Z Lambda Lambda' Z' for weights folded into the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Factor(Protocol):
    """The system factored at one set of Lambda (ENGINE section 2)."""

    logdet_random: float  # log |Lambda' Z'Z Lambda + I|
    logdet_fixed: float  # log |R_X|^2 = log |X' V^-1 X|
    pwrss: float  # r^2, penalized residual sum of squares
    inverts_in_place: bool  # trace_blocks overwrites what information, solve ... need

    def beta(self) -> Floats:
        """(p,) generalized least squares coefficients."""
        ...

    def unscaled_covariance(self) -> Floats:
        """(p, p) (X' V^-1 X)^-1."""
        ...

    def modes(self) -> tuple[Floats, ...]:
        """Conditional modes b = Lambda u per term, (J, q) each."""
        ...

    def scores(self) -> tuple[Floats, ...]:
        """z_i = Z_i' P y per term, (J, q) each (exact at Lambda = 0)."""
        ...

    def trace_blocks(self, reml: bool, squares: bool = False) -> tuple[Floats, ...]:
        """H_i = sum over levels of the diagonal blocks of Z_i' P Z_i, (q, q) symmetric each.

        ``reml=False`` uses V^-1 in place of P. Exact also at singular Lambda. With ``squares`` what
        their curvature needs is computed too, where the factor knows how.
        """
        ...

    def information(self, scores: Sequence[Floats], slopes: Sequence[Floats]) -> Floats:
        """(m, m) matrix c_j' Z' P Z c_k for c_j = slope_j z_l in the levels of one factor.

        ``scores`` z (J, q) and ``slopes`` (m_i, q, q) per factor. Where ``inverts_in_place``, the
        factor is computed again if this is asked for after ``trace_blocks``.
        """
        ...

    def conditional_variances(self) -> tuple[Floats, ...]:
        """Per term (J, q, q): diagonal blocks of Lambda (Lambda'Z'Z Lambda + I)^-1 Lambda'."""
        ...

    def solve(self, right: Floats) -> Floats:
        """Solve [[Lambda'Z'Z Lambda + I, Lambda'Z'X], [X'Z Lambda, X'X]] s = right.

        Many columns at once.
        """
        ...


class System(Protocol):
    """The cross-products of one model, ready to be factored at any Lambda."""

    n: int
    p: int
    n_levels: tuple[int, ...]
    n_columns: tuple[int, ...]

    def factorize(self, Lambda: Sequence[Floats]) -> Factor:
        """Factor at the given lower triangular (q, q) matrices, one per grouping block."""
        ...
