"""The edge of the parameter space: optimality in Sigma, leaving it, and landing on it exactly.

A rank-deficient Lambda is always stationary in theta, so a zero gradient proves nothing there. The
conditions are Xi_i Lambda_i = 0 and v'Xi_i v >= 0 for every v with Lambda_i'v = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import null_space
from mixeff.optimize.problem import Evaluation, Parameters, Problem, resolution

Floats = NDArray[np.float64]

_SMALL = 1e-4  # relative standard deviations below this are tested as if they were zero
SNAP = 2e-2  # ... and below this are tried at zero when the deviance falls towards it
_BACKTRACKS = 40


@dataclass(frozen=True, slots=True)
class NullDirection:
    """A direction without variance: ``slope`` = v'Xi v, the price of putting variance there."""

    term: int
    direction: Floats
    slope: float


def null_directions(evaluation: Evaluation, partition: Parameters) -> tuple[NullDirection, ...]:
    """Every direction without variance, each term's in the eigenbasis of Xi on its null space."""
    found: list[NullDirection] = []
    factors = partition.term_factors(evaluation.theta)
    for term, Lambda in enumerate(factors):
        basis = null_space(Lambda, _SMALL)
        if basis.shape[1]:
            Xi = evaluation.sigma_slopes[term]
            values, vectors = np.linalg.eigh(basis.T @ Xi @ basis)
            rotated = basis @ vectors
            found += [NullDirection(term, rotated[:, i], float(v)) for i, v in enumerate(values)]
    return tuple(found)


def expected_gain(evaluation: Evaluation, null: NullDirection) -> float:
    """Deviance a step into the interior is predicted to gain (0 where it would rise)."""
    if null.slope >= 0:
        return 0.0
    bend = evaluation.curvature_along(null.term, null.direction)
    return 0.5 * null.slope**2 / bend if bend > 0 else math.inf


def leave(problem: Problem, evaluation: Evaluation, tolerance: float) -> Evaluation | None:
    """A better point inside, or None when the conditions hold (or no step gains anything).

    All directions in which the deviance falls are taken together; if that fails, the best alone.
    """
    limit = resolution(evaluation.value, tolerance)
    gains = [
        (expected_gain(evaluation, v), v) for v in null_directions(evaluation, problem.partition)
    ]
    falling = sorted((pair for pair in gains if pair[0] > limit), key=lambda pair: -pair[0])
    directions = [null for _, null in falling]
    for chosen in (directions, directions[:1]) if len(directions) > 1 else (directions,):
        better = _line_search(problem, evaluation, chosen) if chosen else None
        if better is not None and better.value < evaluation.value - 1e-3 * limit:
            return better
    return None


def _line_search(
    problem: Problem, evaluation: Evaluation, nulls: list[NullDirection]
) -> Evaluation | None:
    """Backtrack along Sigma + t v v' from the steps the curvature suggests, one per direction."""
    bends = [evaluation.curvature_along(v.term, v.direction) for v in nulls]
    steps = [min(-v.slope / b, 1e4) if b > 0 else 1.0 for v, b in zip(nulls, bends, strict=True)]
    fall = sum(t * v.slope for t, v in zip(steps, nulls, strict=True))
    inner = problem.partition.term_factors(evaluation.theta)
    part = 1.0
    for _ in range(_BACKTRACKS):
        factors = list(inner)
        for t, null in zip(steps, nulls, strict=True):
            column = math.sqrt(part * t) * null.direction
            factors[null.term] = np.column_stack([factors[null.term], column])
        trial = problem.evaluate(problem.partition.moved(evaluation.theta, factors))
        if trial.value <= evaluation.value + 1e-4 * part * fall:
            return trial
        part *= 0.2
    return None


def snap(problem: Problem, evaluation: Evaluation, tolerance: float) -> Evaluation:
    """The same optimum with vanishing variances exactly zero, where the boundary is the optimum.

    A direction is set to zero only if the deviance does not rise and v'Xi v >= 0 holds there: a
    small but positive variance stays what it is.
    """
    candidates = _candidates(problem, evaluation)
    if not candidates:
        return evaluation
    attempts = [candidates, *([c] for c in candidates if len(candidates) > 1)]
    current = evaluation
    for attempt in attempts:
        trial = problem.evaluate(_without(problem, current, attempt))
        if trial.value <= current.value + 0.1 * resolution(current.value, tolerance):
            nulls = null_directions(trial, problem.partition)
            if all(expected_gain(trial, v) <= 1e-3 * tolerance for v in nulls):
                current = trial
                if attempt is candidates:
                    break
    return current


def _candidates(problem: Problem, evaluation: Evaluation) -> list[tuple[int, Floats]]:
    """Directions of little variance in which the deviance falls towards zero variance."""
    found = []
    factors = problem.partition.term_factors(evaluation.theta)
    for term, Lambda in enumerate(factors):
        u, s, _ = np.linalg.svd(Lambda)
        for v, size in zip(u.T, s, strict=True):
            falls = float(v @ evaluation.sigma_slopes[term] @ v) > 0
            if 0 < size < SNAP and (falls or size < _SMALL):
                found.append((term, v))
    return found


def _without(
    problem: Problem, evaluation: Evaluation, directions: list[tuple[int, Floats]]
) -> Floats:
    """Theta with the variance in the given directions removed."""
    factors = list(problem.partition.term_factors(evaluation.theta))
    for term in {t for t, _ in directions}:
        u, s, _ = np.linalg.svd(factors[term])
        gone = np.array([v for t, v in directions if t == term])
        keep = np.max(np.abs(gone @ u), axis=0) < 0.5
        factors[term] = (u * s)[:, keep]
    theta: Floats = problem.partition.moved(evaluation.theta, factors)
    return theta
