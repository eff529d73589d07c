"""The criterion of the parameters that are left, as ``optimize`` wants it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs

from mixeff.control import Control
from mixeff.errors import ConvergenceError, DesignError
from mixeff.inference.profile.restriction import PlainPartition, Restriction
from mixeff.optimize.newton import newton
from mixeff.optimize.problem import Counted, Derivatives
from mixeff.optimize.solve import solve

Floats = NDArray[np.float64]

_EDGE = 2e-2  # a relative standard deviation below this may belong at zero
_LARGEST = 500.0  # of any working parameter; logarithms are among them
_AT_BOUND = 0.98
_LEFT = "A parameter has left all bounds."
_STEPS, _REMEMBERED = 40, 8
_DESCENTS, _SHRINKS, _LONGEST = 30, 12, 3.0
_DIFFERENCE = 1e-4  # of a working parameter: the Hessian is right to about as much
_SOUND = 1e-10  # smallest eigenvalue, relative to the largest, of a Hessian that is used as it is


class FullProblem(Protocol):
    """The criterion of all parameters."""

    def evaluate(self, z: Floats, /) -> Any:
        """``Derivatives`` at z."""
        ...


@dataclass(frozen=True, eq=False)
class RestrictedEvaluation:
    """The criterion at x, the profiled parameter held at v."""

    full: Derivatives
    restriction: Restriction
    theta: Floats  # x, by the name the optimizer knows
    v: float

    @property
    def memory(self) -> tuple[int, float]:
        """See ``optimize.newton.memory_of``."""
        found: tuple[int, float] = getattr(self.full, "memory", (3, 1e-6))
        return found

    @property
    def value(self) -> float:
        """The criterion."""
        return self.full.value

    @property
    def noise(self) -> float:
        """How far rounding may have moved it."""
        return self.full.noise

    @cached_property
    def _jacobian(self) -> Floats:
        return self.restriction.jacobian(self.theta, self.v)

    @cached_property
    def gradient(self) -> Floats:
        """By the chain rule."""
        return self.full.gradient @ self._jacobian

    @cached_property
    def hessian(self) -> Floats:
        """By the chain rule; the bend of g is left out where it would make it indefinite."""
        J = self._jacobian
        model = J.T @ self.full.hessian @ J
        bend = self.restriction.bend(self.theta, self.v, self.full.gradient)
        if bend is None:
            return model
        values = np.linalg.eigvalsh(model + bend)
        if values[0] > _SOUND * values[-1]:
            return model + bend
        return model + np.maximum(bend, 0.0)  # diagonal

    @property
    def slope(self) -> float:
        """Derivative of the minimum in v where x is at its minimum (envelope theorem)."""
        return float(self.full.gradient @ self.restriction.along(self.theta, self.v))

    @property
    def sigma_slopes(self) -> tuple[Floats, ...]:
        """Xi of what x has of every term."""
        every = self.full.sigma_slopes
        return tuple(every[i.term][i.first :, i.first :] for i in self.restriction.layout.inner)

    def curvature_along(self, term: int, direction: Floats) -> float:
        """Second derivative along Sigma_term + t v v'."""
        inner = self.restriction.layout.inner[term]
        padded = np.concatenate([np.zeros(inner.first), direction])
        return self.full.curvature_along(inner.term, padded)


@dataclass(frozen=True, slots=True)
class RestrictedProblem:
    """The criterion as a function of x."""

    full: FullProblem
    restriction: Restriction
    v: float

    @property
    def partition(self) -> PlainPartition:
        """How x makes covariance matrices."""
        return self.restriction.layout.partition

    def evaluate(self, theta: Floats) -> RestrictedEvaluation:
        """At x."""
        if not np.abs(theta).max(initial=0.0) < _LARGEST:
            raise ConvergenceError(_LEFT)
        z = self.restriction.expand(theta, self.v)
        try:
            full = self.full.evaluate(z)
        except DesignError as error:
            # Variances so large that nothing is left of the fixed effects: a step too far, as the
            # design itself was fitted.
            raise ConvergenceError(str(error)) from error
        return RestrictedEvaluation(full, self.restriction, theta, self.v)

    def reordered(self, partition: Any) -> RestrictedProblem:
        """The order is fixed."""
        return self


@dataclass(frozen=True, slots=True)
class Minimum:
    """The best x at one v.

    Attributes
    ----------
    evaluation : RestrictedEvaluation
    ok : bool, the optimality conditions hold
    evaluations : int
    """

    evaluation: RestrictedEvaluation
    ok: bool
    evaluations: int


def minimize(problem: RestrictedProblem, starts: Sequence[Floats], control: Control) -> Minimum:
    """From the first of the starts where the criterion can be evaluated.

    Newton's method alone in the interior, with the model of the Hessian and, where that does not
    lead there, with the Hessian itself; with the conditions at the boundary, and the second
    optimizer, where a variance is near zero.

    Raises
    ------
    ConvergenceError
        It can be evaluated at none of them, or parameters grow without end.
    """
    counted = Counted(problem)
    if not problem.restriction.layout.n_free:
        only = problem.evaluate(np.empty(0))
        return Minimum(only, math.isfinite(only.value), 1)
    first = next((at for x in starts if (at := _tried(counted, x)) is not None), None)
    if first is None:
        raise ConvergenceError("The criterion cannot be evaluated at any start.")
    near, there = follow(counted, first, control.tolerance)
    if not there:
        near, there = descend(counted, near, control.tolerance)
    if there and not _near_edge(problem, near.theta):
        return Minimum(near, True, counted.evaluations)
    found: Any = near
    ok, more = there, 0
    if not there:
        result = newton(
            counted, near, tolerance=control.tolerance, max_evaluations=control.max_evaluations
        )
        found, ok = result.evaluation, result.converged
    if _near_edge(problem, found.theta):
        optimum = solve(problem, found.theta, control, others=())
        found, ok, more = optimum.evaluation, optimum.ok, optimum.evaluations
    assert isinstance(found, RestrictedEvaluation)
    if not ok and np.abs(found.theta).max() > _AT_BOUND * _LARGEST:
        raise ConvergenceError(_LEFT)  # held by a bound that is not the model's
    return Minimum(found, ok, counted.evaluations + more)


def _tried(problem: Counted, x: Floats) -> RestrictedEvaluation | None:
    """The criterion at x, if it can be evaluated there."""
    try:
        found = problem.evaluate(x)
    except ConvergenceError:
        return None
    if not math.isfinite(found.value):
        return None
    assert isinstance(found, RestrictedEvaluation)
    return found


def follow(
    problem: Counted, start: RestrictedEvaluation, tolerance: float
) -> tuple[RestrictedEvaluation, bool]:
    """Plain Newton steps from a start that is close: where they end, and whether in a minimum.

    The points of a path are many and near each other: what guards a search from afar costs more
    than these steps. As in ``optimize.newton``, steps taken correct the model of the Hessian.
    """
    current, steps = start, list[tuple[Floats, Floats]]()
    resolved = max(tolerance, 1e-13 * abs(start.value))
    for _ in range(_STEPS):
        gradient = current.gradient
        lower, bad = dpotrf(_corrected(current.hessian, steps), lower=1)
        if bad:
            break
        step = -dpotrs(lower, gradient, lower=1)[0]
        gain = -0.5 * float(gradient @ step)
        if gain < resolved:
            return current, True
        trial = _tried(problem, current.theta + step)
        if trial is None or not trial.value < current.value - 0.1 * gain:
            break
        steps = [*steps, (step, trial.gradient - gradient)][-_REMEMBERED:]
        current = trial
    return current, False


def descend(
    problem: Counted, start: RestrictedEvaluation, tolerance: float
) -> tuple[RestrictedEvaluation, bool]:
    """Newton steps with the Hessian from differences of the gradient: as ``follow``.

    The average information says little of the curvature where the data say little of a direction:
    along a ridge, or far out in a flat tail. These points are few, and the parameters too.
    """
    current = start
    resolved = max(tolerance, 1e-13 * abs(start.value))
    for _ in range(_DESCENTS):
        hessian = _differenced(problem, current)
        if hessian is None:
            return current, False
        values, vectors = np.linalg.eigh(hessian)
        size = np.maximum(np.abs(values), _SOUND * max(float(np.abs(values).max()), 1e-300))
        slopes = vectors.T @ current.gradient
        step = -vectors @ (slopes / size)
        gain = 0.5 * float(slopes @ (slopes / size))
        if gain < resolved:
            return current, bool(values[0] > -_SOUND * values[-1])
        part = min(1.0, _LONGEST / float(np.linalg.norm(step)))
        for _ in range(_SHRINKS):
            trial = _tried(problem, current.theta + part * step)
            if trial is not None and trial.value < current.value - 0.1 * part * gain:
                break
            part *= 0.3
        else:
            return current, False
        current = trial
    return current, False


def _differenced(problem: Counted, at: RestrictedEvaluation) -> Floats | None:
    """The Hessian at a point, from the gradients next to it, where it has them."""
    columns = []
    for j in range(at.theta.size):
        moved = at.theta.copy()
        moved[j] += _DIFFERENCE
        other = _tried(problem, moved)
        if other is None:
            return None
        columns.append((other.gradient - at.gradient) / _DIFFERENCE)
    H = np.column_stack(columns)
    return 0.5 * (H + H.T) if np.isfinite(H).all() else None


def _corrected(hessian: Floats, steps: Sequence[tuple[Floats, Floats]]) -> Floats:
    """BFGS corrections by the steps over which model and gradients agree within a factor."""
    H = hessian
    for s, y in steps:
        Hs = H @ s
        model, actual = float(s @ Hs), float(s @ y)
        if model > 0 and 0.2 * model < actual < 5.0 * model:
            H = H - np.outer(Hs, Hs / model) + np.outer(y, y / actual)
    return H


def _near_edge(problem: RestrictedProblem, x: Floats) -> bool:
    """Some variance of some term is near zero."""
    for Lambda in problem.partition.term_factors(x):
        if np.abs(np.diagonal(Lambda)).min() < _EDGE:
            return True
    return False
