"""The vector an optimizer moves: theta, and behind it fixed effects and log dispersion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.covariance.unstructured import Unstructured

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JointPartition:
    """A ``Partition`` of the first parameters; those behind it are free numbers.

    Attributes
    ----------
    covariance : Partition
    n_free : int, parameters behind theta
    """

    covariance: Partition
    n_free: int

    @property
    def structures(self) -> tuple[Unstructured, ...]:
        """One per covariance term."""
        return self.covariance.structures

    @property
    def n_theta(self) -> int:
        """Length of the covariance part."""
        return self.covariance.n_theta

    @property
    def is_diagonal(self) -> NDArray[np.bool_]:
        """Which parameters are diagonal entries of a Lambda."""
        return np.concatenate([self.covariance.is_diagonal, np.zeros(self.n_free, dtype=bool)])

    def theta(self, point: Floats) -> Floats:
        """The covariance part."""
        return point[: self.n_theta]

    def free(self, point: Floats) -> Floats:
        """What stands behind it."""
        return point[self.n_theta :]

    def term_factors(self, point: Floats) -> tuple[Floats, ...]:
        """Lambda (q, q) per term."""
        return self.covariance.term_factors(self.theta(point))

    def block_factors(self, point: Floats) -> tuple[Floats, ...]:
        """Block-diagonal lower triangular Lambda per grouping block."""
        return self.covariance.block_factors(self.theta(point))

    def moved(self, point: Floats, factors: Sequence[Floats]) -> Floats:
        """The point with other covariances, given by one square root (q, m) per term."""
        return np.concatenate([self.covariance.from_factors(factors), self.free(point)])

    def canonical(self, point: Floats) -> Floats:
        """Diagonal entries made non-negative, term by term."""
        return np.concatenate([self.covariance.canonical(self.theta(point)), self.free(point)])

    def pivoted(self, point: Floats) -> JointPartition:
        """Every term in the order of its pivoted factor (self where no term gains by it)."""
        better = self.covariance.pivoted(self.theta(point))
        return self if better is self.covariance else replace(self, covariance=better)
