"""Trust-region Newton on theta, with a positive semidefinite model of the Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixeff.optimize.problem import Evaluation, Guessing, Problem, resolution

Floats = NDArray[np.float64]

_FLAT = 1e-10  # eigenvalues below this part of the largest (or of the gradient) are raised to it
_NOTHING = 1e-10  # a second derivative this small (working units, per unit of theta) is rounding
_DROWNED = 100.0  # curvature below this many roundings of the criterion is none
_POLISHING, _POLISHED = 5, 1e-11  # extra steps allowed, and the part of the tolerance they aim at
_MEMORY, _NEAR = 3, 1e-6  # steps remembered, each having gained less than this
_AGREE = 0.2  # ... and how far they may disagree with the model
_EXPAND, _SHRINK = 3.0, 0.25
_PART, _FINE = 1e-2, 1e-2  # error of a gradient, of what is left to gain and of the tolerance


@dataclass(frozen=True, slots=True)
class NewtonResult:
    """Where Newton's method stopped.

    ``converged`` means the predicted decrease of a further step fell below the tolerance, or below
    the rounding error of the criterion where no shorter step gains anything either; a zero
    gradient at a singular Lambda also does that, so ``boundary.py`` must be asked as well.
    """

    evaluation: Evaluation
    converged: bool
    predicted_decrease: float


Step = tuple[Floats, Floats]  # change of theta, change of the gradient


@dataclass(frozen=True, slots=True)
class _Model:
    """The quadratic model at a point in the eigenbasis of its Hessian."""

    values: Floats
    vectors: Floats
    slope: Floats  # gradient in the eigenbasis
    pinned: NDArray[np.bool_]  # parameters of a column of Lambda that is exactly zero

    @classmethod
    def at(cls, evaluation: Evaluation, steps: Sequence[Step] = ()) -> _Model:
        values, vectors = np.linalg.eigh(_corrected(evaluation.hessian, steps))
        gradient = evaluation.gradient
        top = float(max(values[-1], np.max(np.abs(gradient))))
        # Working columns have mean square one, so a parameter the data know anything of has a
        # curvature near its number of levels: where all of it is rounding there is nothing to gain.
        nothing = _NOTHING / (1.0 + float(evaluation.theta @ evaluation.theta))
        values = np.maximum(values, max(_FLAT * top, nothing))
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


def _corrected(hessian: Floats, steps: Sequence[Step]) -> Floats:
    """The model made to agree with the change of the gradient over the latest steps.

    Average information is not the Hessian, so by itself it converges linearly near the optimum;
    a BFGS correction (Nocedal and Wright 2006, eq. 6.19) on top of the fresh model for the latest
    steps makes it superlinear and keeps it positive semidefinite. A step over which the two
    disagree by more than a factor says nothing of the curvature here and is left out.
    """
    B = hessian
    for s, y in steps:
        Bs = B @ s
        model, actual = float(s @ Bs), float(s @ y)
        if model > 0 and _AGREE * model < actual < model / _AGREE:
            B = B - np.outer(Bs, Bs) / model + np.outer(y, y) / actual
    return 0.5 * (B + B.T)


def _guessing(evaluation: Evaluation) -> Guessing | None:
    """The evaluation, if it can guess; ``isinstance`` of a protocol is slow."""
    return cast(Guessing, evaluation) if hasattr(type(evaluation), "guess") else None


def settled(evaluation: Evaluation, tolerance: float, before: float = 0.0) -> Evaluation:
    """The point with a guessed gradient where that is good enough, else as it is.

    Good enough is an error that costs at most

    - a small part of what a step from here is predicted to gain: the step is none the worse; or
    - a hundredth of the tolerance: no optimum is accepted on a gradient that could hide more; or
    - half of ``before``, what a converged point still had to gain when a last step was taken from
      it for the digits of theta.
    """
    guessing = _guessing(evaluation)
    guess = None if guessing is None else guessing.guess()
    if guess is None:
        return evaluation
    fine = _FINE * resolution(evaluation.value, tolerance)
    limit = max(_PART * _Model.at(guess).decrease, fine, 0.5 * before)
    return guess if error_of(guess) <= limit else evaluation


def _scored(evaluation: Evaluation, radius: float) -> Floats | None:
    """A scoring step within ``radius``, where the evaluation knows one."""
    guessing = _guessing(evaluation)
    there = None if guessing is None else guessing.scored()
    if there is None or np.linalg.norm(there - evaluation.theta) > radius:
        return None
    return there


def error_of(evaluation: Evaluation) -> float:
    """What the error of the gradient may cost, in deviance units."""
    guessing = _guessing(evaluation)
    return 0.0 if guessing is None else guessing.error


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
        Stop when a full step is predicted to gain less than ``max(tolerance, 1e-13 |d|)``; a last
        step or two is still taken for the digits of theta (see ``_polish``).
    max_evaluations : int
    give_up : callable, optional
        Asked at every accepted point; True ends the run there, not converged.
    """
    current = settled(start, tolerance)
    model = _Model.at(current)
    steps: tuple[Step, ...] = ()
    refused: Evaluation | None = None  # where a scoring step has been tried
    radius = max(1.0, float(np.linalg.norm(start.theta)))
    for _ in range(max_evaluations):
        if model.decrease < resolution(current.value, tolerance):
            return _polish(problem, current, model, steps, tolerance)
        step = model.step(radius)
        there = _scored(current, radius) if current is not refused else None
        refused = current
        if there is None:
            there = model.move(current.theta, step)
        length, predicted = float(np.linalg.norm(there - current.theta)), model.gain(step)
        trial = problem.evaluate(there)
        actual = current.value - trial.value if math.isfinite(trial.value) else -math.inf
        ratio = actual / predicted
        if ratio < 0.25:
            radius = _SHRINK * length
        elif ratio > 0.5 and length > 0.8 * radius:
            radius *= _EXPAND
        if ratio > 1e-4:
            if give_up is not None and give_up(trial):
                return NewtonResult(trial, False, math.inf)
            trial = settled(trial, tolerance)
            steps = _remember(steps, current, trial)
            current, model = trial, _Model.at(trial, steps)
        elif radius < 1e-10 * (1.0 + float(np.linalg.norm(current.theta))):
            # No step gains anything: an optimum, if all there is to gain drowns in rounding.
            return NewtonResult(current, model.decrease <= current.noise, model.decrease)
    return NewtonResult(current, False, model.decrease)


def _remember(steps: tuple[Step, ...], before: Evaluation, after: Evaluation) -> tuple[Step, ...]:
    """Only short steps tell the curvature at the optimum; a long one starts the memory anew."""
    length, near = memory_of(after)
    if before.value - after.value > near:
        return ()
    step = (after.theta - before.theta, after.gradient - before.gradient)
    return (*steps, step)[-length:]


def memory_of(evaluation: Evaluation) -> tuple[int, float]:
    """How many steps are remembered, and the largest gain of one that is.

    A criterion whose model of the Hessian is only rough (``memory``) gains by longer ones too.
    """
    memory: tuple[int, float] = getattr(evaluation, "memory", (_MEMORY, _NEAR))
    return memory


def _polish(
    problem: Problem,
    current: Evaluation,
    model: _Model,
    steps: tuple[Step, ...],
    tolerance: float,
) -> NewtonResult:
    """Last steps, judged by the gradient: differences of the criterion are rounding here.

    A deviance right to 1e-9 leaves theta right to the square root of that; the gradient has more
    digits than differences of the deviance, so these steps are kept while they shrink it, and
    while what they gain exceeds the error of a guessed gradient.
    """
    least = _POLISHED * max(tolerance, 1e-9 * abs(current.value))
    for _ in range(_POLISHING):
        if model.decrease <= max(least, error_of(current)):
            break
        step = model.step(0.1 * (1.0 + float(np.linalg.norm(current.theta))))
        trial = problem.evaluate(model.move(current.theta, step))
        if not trial.value <= current.value + 1e-13 * (1.0 + abs(current.value)):
            break
        trial = settled(trial, tolerance, model.decrease)
        steps = _remember(steps, current, trial)
        after = _Model.at(trial, steps)
        if after.decrease >= model.decrease:
            break
        current, model = trial, after
    return NewtonResult(current, True, model.decrease + error_of(current))


def curvature(evaluation: Evaluation) -> float:
    """Smallest eigenvalue of the Hessian model scaled to a unit diagonal, over free directions.

    Parameters whose whole row is zero (those of a vanished column of Lambda, where the first
    derivative vanishes identically) are not free. Zero if ``undetermined`` finds a parameter.
    """
    hessian = evaluation.hessian
    diagonal = np.diagonal(hessian)
    free = diagonal > 0
    if not free.any() or undetermined(evaluation).any():
        return 0.0
    root = np.sqrt(diagonal[free])
    return float(np.linalg.eigvalsh(hessian[np.ix_(free, free)] / np.outer(root, root))[0])


def undetermined(evaluation: Evaluation) -> NDArray[np.bool_]:
    """(k,) parameters, not zero themselves, on which the criterion does not depend at all.

    Where the criterion falls towards a limit as theta grows, the search ends when its rounding
    hides the fall: the curvature left there is as small, while a determined variance curves the
    criterion (in log theta) by about twice the number of its levels.
    """
    theta = evaluation.theta
    least = max(_NOTHING, _DROWNED * evaluation.noise)
    curved = np.diagonal(evaluation.hessian) * (1.0 + float(theta @ theta)) > least
    flat: NDArray[np.bool_] = ~curved & (theta != 0)
    return flat


def predicted_decrease(evaluation: Evaluation) -> float:
    """What a full Newton step is predicted to gain, in deviance units."""
    return _Model.at(evaluation).decrease
