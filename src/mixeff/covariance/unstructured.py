"""The unstructured covariance matrix: every entry of the lower triangle is a parameter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance.triangle import lower_factor

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@cache
def _triangle(q: int) -> tuple[Indices, Indices]:
    """Rows and columns of the lower triangle, by columns."""
    columns, rows = np.triu_indices(q)
    return rows, columns


@dataclass(frozen=True, slots=True)
class Unstructured:
    """Sigma = Lambda Lambda', theta the lower triangle of Lambda by columns (lme4's order).

    Parameters
    ----------
    size : int
        q, the number of random-effect columns of the term.

    Examples
    --------
    >>> Unstructured(2).expand(np.array([1.0, 0.5, 2.0]))
    array([[1. , 0. ],
           [0.5, 2. ]])
    """

    size: int

    @property
    def n_theta(self) -> int:
        """q (q + 1) / 2."""
        return self.size * (self.size + 1) // 2

    @property
    def entries(self) -> tuple[Indices, Indices]:
        """Row and column in Lambda of every parameter."""
        return _triangle(self.size)

    @property
    def is_diagonal(self) -> NDArray[np.bool_]:
        """(n_theta,) which parameters lie on the diagonal; those are reported non-negative."""
        rows, columns = self.entries
        same: NDArray[np.bool_] = rows == columns
        return same

    def start(self) -> Floats:
        """Start value: Lambda the identity."""
        return self.is_diagonal.astype(np.float64)

    def expand(self, theta: Floats) -> Floats:
        """Theta -> Lambda (q, q)."""
        Lambda = np.zeros((self.size, self.size))
        Lambda[self.entries] = theta
        return Lambda

    def pack(self, Lambda: Floats) -> Floats:
        """Lambda -> theta; the strict upper triangle is ignored."""
        return Lambda[self.entries]

    def pull_back(self, slope: Floats) -> Floats:
        """Chain rule: dd/dLambda (q, q) -> dd/dtheta."""
        return slope[self.entries]

    def from_root(self, root: Floats) -> Floats:
        """Theta of the covariance matrix root root', for any (q, m) ``root``."""
        return self.pack(lower_factor(root))

    def canonical(self, theta: Floats) -> Floats:
        """The same covariance matrix with every diagonal entry >= 0 (columns flipped)."""
        Lambda = self.expand(theta)
        signs = np.where(np.diagonal(Lambda) < 0, -1.0, 1.0)
        return self.pack(Lambda * signs) + 0.0

    def directions(self, theta: Floats, scores: Floats) -> Floats:
        """(J, q, n_theta) the vectors z_l' dSigma_j for every parameter j (ENGINE section 3).

        dSigma_j = e_r Lambda_c' + Lambda_c e_r' for the parameter at row r, column c of Lambda.
        """
        rows, columns = self.entries
        Lambda = self.expand(theta)
        j = np.arange(self.n_theta)
        out = scores[:, rows][:, None, :] * Lambda[:, columns][None, :, :]
        out[:, rows, j] += (scores @ Lambda)[:, columns]
        return out

    def second_order(self, slope: Floats) -> Floats:
        """(n_theta, n_theta) <slope, d2Sigma>: 2 slope_rs for (r, c), (s, c) of one column."""
        rows, columns = self.entries
        same = columns[:, None] == columns[None, :]
        return 2.0 * np.where(same, slope[rows[:, None], rows[None, :]], 0.0)
