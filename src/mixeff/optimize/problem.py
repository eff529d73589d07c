"""What an optimizer needs to know of a criterion, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import ConvergenceError

Floats = NDArray[np.float64]


class Parameters(Protocol):
    """How the parameter vector makes the Lambda of every covariance term.

    A generalized model's vector holds fixed effects behind theta; ``covariance.Partition`` is the
    case without them.
    """

    @property
    def structures(self) -> tuple[Any, ...]:
        """One per covariance term."""
        ...

    @property
    def is_diagonal(self) -> NDArray[np.bool_]:
        """Which parameters are diagonal entries of a Lambda."""
        ...

    def term_factors(self, theta: Floats, /) -> tuple[Floats, ...]:
        """Lambda (q, q) per term."""
        ...

    def moved(self, theta: Floats, factors: Sequence[Floats], /) -> Floats:
        """Theta with the covariances replaced, given by one square root (q, m) per term."""
        ...

    def canonical(self, theta: Floats, /) -> Floats:
        """Diagonal entries made non-negative."""
        ...

    def pivoted(self, theta: Floats, /) -> Self:
        """The order of a pivoted factor, where that is much better; else the same object."""
        ...


class Derivatives(Protocol):
    """The criterion at a point; derivatives cost extra and are computed when first asked for."""

    @property
    def value(self) -> float:
        """The criterion in deviance units; +inf where it cannot be evaluated."""
        ...

    @property
    def noise(self) -> float:
        """How far rounding may have moved ``value``."""
        ...

    @property
    def gradient(self) -> Floats:
        """(k,) d value / d parameters."""
        ...

    @property
    def hessian(self) -> Floats:
        """(k, k) positive semidefinite model of the second derivatives."""
        ...

    @property
    def sigma_slopes(self) -> tuple[Floats, ...]:
        """Xi_i = d value / d Sigma_i per covariance term, (q, q) symmetric."""
        ...

    def curvature_along(self, term: int, direction: Floats) -> float:
        """Second derivative (model) of the value along Sigma_term + t v v' at t = 0."""
        ...


class Evaluation(Derivatives, Protocol):
    """The criterion at one theta."""

    @property
    def theta(self) -> Floats:
        """(k,) where it was evaluated."""
        ...


@runtime_checkable
class Guessing(Protocol):
    """An evaluation that can do without the dear part of its gradient near known points."""

    @property
    def error(self) -> float:
        """What following its gradient instead of the exact one may cost; 0 if it is exact."""
        ...

    def guess(self) -> Evaluation | None:
        """The same point with a gradient that is not exact but cheap, or None."""
        ...

    def scored(self) -> Floats | None:
        """Where a step in better coordinates than theta leads, or None: far from the end only."""
        ...


class Problem(Protocol):
    """A criterion of theta, with theta cut into covariance terms by ``partition``."""

    @property
    def partition(self) -> Any:
        """How theta makes the Lambda of every term."""
        ...

    def evaluate(self, theta: Floats) -> Evaluation:
        """The criterion at theta (any sign of the diagonal)."""
        ...

    def reordered(self, partition: Any) -> Problem:
        """The same criterion of Sigma with theta laid out by another partition."""
        ...


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A theta at which the criterion cannot be evaluated (an overshooting trial step)."""

    theta: Floats
    value: float = math.inf
    noise: float = 0.0

    @property
    def gradient(self) -> Floats:
        """Not a number."""
        return np.full_like(self.theta, np.nan)

    @property
    def hessian(self) -> Floats:
        """Not a number."""
        return np.full((self.theta.size, self.theta.size), np.nan)

    @property
    def sigma_slopes(self) -> tuple[Floats, ...]:
        """None."""
        return ()

    def curvature_along(self, term: int, direction: Floats) -> float:
        """Not a number."""
        return math.nan


class Counted:
    """A problem that counts its evaluations, all methods and starts together."""

    def __init__(self, problem: Problem, count: list[int] | None = None) -> None:
        self._problem = problem
        self._count = [0] if count is None else count
        self.partition: Parameters = problem.partition

    @property
    def evaluations(self) -> int:
        """So far, in every order of theta."""
        return self._count[0]

    def reordered(self, partition: Parameters) -> Counted:
        """The same criterion in another order, counted together."""
        return Counted(self._problem.reordered(partition), self._count)

    def evaluate(self, theta: Floats) -> Evaluation:
        """Evaluate and count; a theta the problem refuses is infinitely bad, not an end."""
        self._count[0] += 1
        try:
            return self._problem.evaluate(theta)
        except ConvergenceError:
            return Unreachable(theta)


def resolution(value: float, tolerance: float) -> float:
    """The smallest change of the criterion worth a step: ``tolerance``, or what rounding leaves."""
    return max(tolerance, 1e-13 * abs(value)) if math.isfinite(value) else tolerance
