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
def _triangle(q: int, order: tuple[int, ...]) -> tuple[Indices, Indices]:
    """Rows and columns of the lower triangle, by columns; rows in the given order."""
    columns, rows = np.triu_indices(q)
    return (np.array(order)[rows] if order else rows), columns


@dataclass(frozen=True, slots=True)
class Unstructured:
    """Sigma = Lambda Lambda', theta the lower triangle of Lambda by columns (lme4's order).

    Parameters
    ----------
    size : int
        q, the number of random-effect columns of the term.
    order : tuple of int
        Lambda[order] is lower triangular; empty for the plain order. Any order describes the same
        covariance matrices; near a singular one the plain order may be a curved valley, which the
        order of a pivoted Cholesky factor straightens.

    Examples
    --------
    >>> Unstructured(2).expand(np.array([1.0, 0.5, 2.0]))
    array([[1. , 0. ],
           [0.5, 2. ]])
    """

    size: int
    order: tuple[int, ...] = ()

    @property
    def n_theta(self) -> int:
        """q (q + 1) / 2."""
        return self.size * (self.size + 1) // 2

    @property
    def entries(self) -> tuple[Indices, Indices]:
        """Row and column in Lambda of every parameter."""
        return _triangle(self.size, self.order)

    @property
    def is_diagonal(self) -> NDArray[np.bool_]:
        """(n_theta,) which parameters lie on the diagonal; those are reported non-negative."""
        rows, columns = _triangle(self.size, ())
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
        """Lambda -> theta; entries that are no parameters are ignored."""
        return Lambda[self.entries]

    def pull_back(self, slope: Floats) -> Floats:
        """Chain rule: dd/dLambda (q, q) -> dd/dtheta."""
        return slope[self.entries]

    def from_root(self, root: Floats) -> Floats:
        """Theta of the covariance matrix root root', for any (q, m) ``root``."""
        rows = list(self.order or range(self.size))
        Lambda = np.zeros((self.size, self.size))
        Lambda[rows] = lower_factor(root[rows])
        return self.pack(Lambda)

    def canonical(self, theta: Floats) -> Floats:
        """The same covariance matrix with every diagonal entry >= 0 (columns flipped)."""
        signs = np.where(theta[self.is_diagonal] < 0, -1.0, 1.0)
        return self.pack(self.expand(theta) * signs) + 0.0

    def pivoted(self, theta: Floats) -> Unstructured:
        """The structure in the order of a pivoted Cholesky factor, where that is much better.

        Unchanged unless some diagonal entry of Lambda carries less than a tenth of the variance
        another column would carry in its place.
        """
        rest = self.expand(theta)
        order: list[int] = []
        worth = False
        current = self.order or tuple(range(self.size))
        for step in range(self.size):
            left = np.einsum("ij,ij->i", rest, rest)
            left[order] = -1.0
            best = int(np.argmax(left))
            here = current[step] if current[step] not in order else best
            if left[here] >= 0.1 * left[best]:
                best = here
            else:
                worth = True
            order.append(best)
            if left[best] > 0:
                rest = rest - np.outer(rest @ rest[best], rest[best]) / left[best]
        return Unstructured(self.size, tuple(order)) if worth else self

    def slopes(self, theta: Floats) -> Floats:
        """(n_theta, q, q) dSigma_j of every parameter j (ENGINE section 3).

        dSigma_j = e_r Lambda_c' + Lambda_c e_r' for the parameter at row r, column c of Lambda.
        """
        rows, columns = self.entries
        of_column = self.expand(theta).T[columns]
        j = np.arange(self.n_theta)
        out = np.zeros((self.n_theta, self.size, self.size))
        out[j, rows] = of_column
        out[j, :, rows] += of_column
        return out

    def second_order(self, slope: Floats) -> Floats:
        """(n_theta, n_theta) <slope, d2Sigma>: 2 slope_rs for (r, c), (s, c) of one column."""
        if self.size == 1:
            return 2.0 * slope
        rows, columns = self.entries
        same = columns[:, None] == columns[None, :]
        return 2.0 * np.where(same, slope[rows[:, None], rows[None, :]], 0.0)
