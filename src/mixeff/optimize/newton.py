"""Trust-region Newton on theta, with a positive semidefinite model of the Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.optimize.problem import Evaluation, Problem, resolution

Floats = NDArray[np.float64]

_FLAT = 1e-10  # eigenvalues below this part of the largest are treated as that part
_EXPAND, _SHRINK = 3.0, 0.25


@dataclass(frozen=True, slots=True)
class NewtonResult:
    """Where Newton's method stopped.

    ``converged`` means the predicted decrease of a further step fell below the tolerance; a zero
    gradient at a singular Lambda also does that, so ``boundary.py`` must be asked as well.
    """

    evaluation: Evaluation
    converged: bool
    predicted_decrease: float


@dataclass(frozen=True, slots=True)
class _Model:
    """The quadratic model at a point in the eigenbasis of its Hessian."""

    values: Floats
    vectors: Floats
    slope: Floats  # gradient in the eigenbasis
    pinned: NDArray[np.bool_]  # parameters of a column of Lambda that is exactly zero

    @classmethod
    def at(cls, evaluation: Evaluation) -> _Model:
        values, vectors = np.linalg.eigh(evaluation.hessian)
        top = float(values[-1]) if values.size else 0.0
        values = np.maximum(values, max(_FLAT * top, 1e-300))
        gradient = evaluation.gradient
        pinned = (gradient == 0) & (evaluation.theta == 0)
        return cls(values, vectors, vectors.T @ gradient, pinned)

    @property
    def decrease(self) -> float:
        """What the full Newton step is predicted to gain."""
        return 0.5 * float(self.slope @ (self.slope / self.values))

    def gain(self, step: Floats) -> float:
        """Predicted decrease of a step (in the eigenbasis)."""
        return -float(self.slope @ step + 0.5 * step @ (self.values * step))

    def move(self, theta: Floats, step: Floats) -> Floats:
        """Theta after a step in the eigenbasis; rounding must not wake a vanished column."""
        return theta + np.where(self.pinned, 0.0, self.vectors @ step)

    def step(self, radius: float) -> Floats:
        """Minimizer of the model within ``radius`` (More and Sorensen 1983), in the eigenbasis."""
        full = -self.slope / self.values
        if np.linalg.norm(full) <= radius:
            return full
        shift = 0.0
        for _ in range(50):  # Newton on the secular equation 1/|s| = 1/radius: monotone from 0
            s = -self.slope / (self.values + shift)
            length = float(np.linalg.norm(s))
            if length <= radius * 1.01:
                break
            drop = float(s @ (s / (self.values + shift)))
            shift += length * length / drop * (length / radius - 1.0)
        return s * min(1.0, radius / length)


def newton(
    problem: Problem,
    start: Evaluation,
    *,
    tolerance: float,
    max_evaluations: int,
    give_up: Callable[[Evaluation], bool] | None = None,
) -> NewtonResult:
    """Minimize from ``start``; gradient and Hessian are kept when a step is rejected.

    Parameters
    ----------
    problem : Problem
    start : Evaluation
        Already evaluated, so that a caller may go on from where another method stopped.
    tolerance : float
        Stop when a full step is predicted to gain less than ``max(tolerance, 1e-13 |d|)``; that
        last step is still taken, since it costs one evaluation and doubles the digits of theta.
    max_evaluations : int
    give_up : callable, optional
        Asked at every accepted point; True ends the run there, not converged.
    """
    current, model = start, _Model.at(start)
    radius = max(1.0, float(np.linalg.norm(start.theta)))
    for _ in range(max_evaluations):
        if model.decrease < resolution(current.value, tolerance):
            return _polish(problem, current, model)
        step = model.step(radius)
        length, predicted = float(np.linalg.norm(step)), model.gain(step)
        trial = problem.evaluate(model.move(current.theta, step))
        actual = current.value - trial.value if math.isfinite(trial.value) else -math.inf
        ratio = actual / predicted
        if ratio < 0.25:
            radius = _SHRINK * length
        elif ratio > 0.5 and length > 0.8 * radius:
            radius *= _EXPAND
        if ratio > 1e-4:
            if give_up is not None and give_up(trial):
                return NewtonResult(trial, False, math.inf)
            current, model = trial, _Model.at(trial)
        elif radius < 1e-10 * (1.0 + float(np.linalg.norm(current.theta))):
            break
    return NewtonResult(current, False, model.decrease)


def _polish(problem: Problem, current: Evaluation, model: _Model) -> NewtonResult:
    """Take the last step if there is anything left to gain and it does not lose."""
    if model.decrease > 1e-16 * abs(current.value):
        step = model.step(0.1 * (1.0 + float(np.linalg.norm(current.theta))))
        trial = problem.evaluate(model.move(current.theta, step))
        if trial.value <= current.value + 1e-14 * abs(current.value):
            decrease = _Model.at(trial).decrease
            if decrease < model.decrease:
                return NewtonResult(trial, True, decrease)
    return NewtonResult(current, True, model.decrease)


def curvature(evaluation: Evaluation) -> float:
    """Smallest eigenvalue of the Hessian model scaled to a unit diagonal, over free directions.

    Parameters whose whole row is zero (those of a vanished column of Lambda, where the first
    derivative vanishes identically) are not free.
    """
    hessian = evaluation.hessian
    diagonal = np.diagonal(hessian)
    free = diagonal > 0
    if not free.any():
        return 0.0
    root = np.sqrt(diagonal[free])
    return float(np.linalg.eigvalsh(hessian[np.ix_(free, free)] / np.outer(root, root))[0])


def predicted_decrease(evaluation: Evaluation) -> float:
    """What a full Newton step is predicted to gain, in deviance units."""
    return _Model.at(evaluation).decrease
