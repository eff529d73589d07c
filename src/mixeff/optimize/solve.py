"""From a start to an optimum that satisfies the optimality conditions, or to an honest failure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.errors import ConvergenceError
from mixeff.optimize.boundary import (
    NullDirection,
    expected_gain,
    leave,
    null_directions,
    snap,
)
from mixeff.optimize.fallback import NAME, fallback
from mixeff.optimize.newton import NewtonResult, curvature, newton, predicted_decrease
from mixeff.optimize.problem import Counted, Evaluation, Parameters, Problem, resolution
from mixeff.optimize.starts import extra_starts

Floats = NDArray[np.float64]

_DEPARTURES = 10  # times one run may leave the boundary
_WORTH_LEAVING = 0.01  # deviance to be gained inside for which the boundary is left early
_REORDERINGS = 5  # times one run of Newton's method may change the order of columns
_SAME_BASIN, _SAME_VALUE = 0.03, 0.1  # distance in theta and deviance of one and the same optimum
_JUDGED = 1e-6  # a point given by the caller counts as optimal within this much deviance


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best point found, in working coordinates, and what is known about it.

    Attributes
    ----------
    evaluation : Evaluation, at a canonical theta (diagonal >= 0)
    ok : bool, the optimality conditions hold
    predicted_decrease, curvature : float, see ``Verdict``
    nulls : tuple of NullDirection, empty for an interior optimum
    evaluations : int, all starts and methods together
    optimizer : str
    local_values : tuple of float, criterion reached from each start, the first one first
    """

    evaluation: Evaluation
    ok: bool
    predicted_decrease: float
    curvature: float
    nulls: tuple[NullDirection, ...]
    evaluations: int
    optimizer: str
    local_values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    evaluation: Evaluation
    ok: bool
    predicted_decrease: float
    optimizer: str


class _Known:
    """Recognizes that a run from another start heads for the optimum already found."""

    def __init__(self, partition: Parameters, optimum: Evaluation) -> None:
        self._partition, self._optimum = partition, optimum
        self._near = _SAME_BASIN * (1.0 + float(np.linalg.norm(optimum.theta)))
        self.met = False

    def __call__(self, evaluation: Evaluation, partition: Parameters) -> bool:
        """True when close to the known optimum and above it."""
        above = evaluation.value - self._optimum.value
        if 0.0 <= above < _SAME_VALUE:
            factors = partition.term_factors(evaluation.theta)
            theta = self._partition.moved(evaluation.theta, factors)
            self.met = float(np.linalg.norm(theta - self._optimum.theta)) < self._near
        return self.met


def solve(
    problem: Problem,
    start: Floats,
    control: Control,
    *,
    also: Sequence[Floats] = (),
    others: Sequence[Floats] | None = None,
) -> Optimum:
    """Minimize: Newton, the boundary, the fallback if needed, extra starts if on the boundary.

    ``also`` are starts tried before the extra ones: the default one for a fit that had a better.
    ``others`` are the extra ones themselves where the standard ones do not fit the parameters.

    Raises
    ------
    ConvergenceError
        If the criterion cannot be evaluated at ``start``. Everything else that may go wrong is
        told by ``Optimum.ok``.
    """
    counted = Counted(problem)
    first = counted.evaluate(start)
    if not math.isfinite(first.value):
        raise ConvergenceError(
            "The criterion cannot be evaluated at the starting values: they are too large for "
            "these data, or the random effects reproduce the response. Give smaller ones."
        )
    best = _one_start(counted, first, control)
    values = [best.evaluation.value]
    if null_directions(best.evaluation, counted.partition):
        if others is None:
            others = extra_starts(problem.partition, control.extra_starts)
        for other in (*also, *others):
            begin = counted.evaluate(other)
            if not math.isfinite(begin.value):  # nothing can begin there
                continue
            known = _Known(counted.partition, best.evaluation)
            run = _local(counted, begin, control, "newton", known)
            values.append(best.evaluation.value if known.met else run.evaluation.value)
            if _better(run, best):
                best = run
    return _optimum(counted, best, tuple(values))


def best_of(first: Optimum, second: Optimum) -> Optimum:
    """The better of the optima found from two starts, with the work of both."""
    return replace(
        second if _better(second, first) else first,
        evaluations=first.evaluations + second.evaluations,
        local_values=first.local_values + second.local_values,
    )


def judge(problem: Problem, evaluation: Evaluation) -> Optimum:
    """What the optimality conditions say about a given point; nothing is optimized."""
    decrease = predicted_decrease(evaluation)
    limit = resolution(evaluation.value, _JUDGED)
    gains = [expected_gain(evaluation, v) for v in null_directions(evaluation, problem.partition)]
    run = _Run(evaluation, decrease <= limit and max(gains, default=0.0) <= limit, decrease, "none")
    return _optimum(problem, run, (evaluation.value,))


def _optimum(problem: Problem, run: _Run, values: tuple[float, ...]) -> Optimum:
    final = run.evaluation
    return Optimum(
        evaluation=final,
        ok=run.ok,
        predicted_decrease=run.predicted_decrease,
        curvature=curvature(final),
        nulls=null_directions(final, problem.partition),
        evaluations=problem.evaluations if isinstance(problem, Counted) else 1,
        optimizer=run.optimizer,
        local_values=values,
    )


def _better(run: _Run | Optimum, best: _Run | Optimum) -> bool:
    """Lower by more than rounding, or as low and converged where the best so far is not."""
    noise = 1e-9 + 1e-13 * abs(best.evaluation.value)
    gain = best.evaluation.value - run.evaluation.value
    return gain > noise or (gain > -noise and run.ok and not best.ok)


def _one_start(problem: Counted, start: Evaluation, control: Control) -> _Run:
    """Newton from ``start``; a second, derivative-free optimizer if that ends without optimum."""
    first = _local(problem, start, control, "newton")
    if first.ok:
        return first
    rough = fallback(problem, first.evaluation, max_evaluations=control.max_evaluations)
    second = _local(problem, rough, control, NAME)
    return second if _better(second, first) else first


def _local(
    problem: Counted,
    start: Evaluation,
    control: Control,
    name: str,
    known: _Known | None = None,
) -> _Run:
    """Newton, then the boundary conditions; left as often as they fail."""
    plain, current = problem, start
    tolerance = control.tolerance
    budget = problem.evaluations + control.max_evaluations
    result = NewtonResult(start, False, math.inf)
    for _ in range(_DEPARTURES):
        problem, result = _newton(problem, current, control, budget, known)
        if known is not None and known.met:
            break
        if result.converged:
            current = snap(problem, result.evaluation, tolerance)
            if current is not result.evaluation:
                problem, result = _newton(problem, current, control, budget, None)
        inside = leave(problem, result.evaluation, tolerance)
        if inside is None:
            break
        current = inside
    else:
        result = replace(result, converged=False)
    final = _canonical(plain, problem, result.evaluation)
    return _Run(final, result.converged, result.predicted_decrease, name)


def _falls(evaluation: Evaluation, partition: Parameters) -> bool:
    """A vanished column of Lambda whose variance the deviance wants: no use to go on without it."""
    if not np.any(evaluation.theta[partition.is_diagonal] == 0.0):
        return False
    nulls = null_directions(evaluation, partition)
    return max((expected_gain(evaluation, v) for v in nulls), default=0.0) > _WORTH_LEAVING


def _newton(
    problem: Counted, current: Evaluation, control: Control, budget: int, known: _Known | None
) -> tuple[Counted, NewtonResult]:
    """Newton, in a better order of the columns of Lambda whenever the present one turns bad."""
    result = NewtonResult(current, False, math.inf)
    for change in range(_REORDERINGS + 1):
        last = change == _REORDERINGS

        def stop(
            evaluation: Evaluation, here: Parameters = problem.partition, last: bool = last
        ) -> bool:
            if known is not None and known(evaluation, here):
                return True
            return _falls(evaluation, here) or not (last or here.pivoted(evaluation.theta) is here)

        result = newton(
            problem,
            current,
            tolerance=control.tolerance,
            max_evaluations=max(1, budget - problem.evaluations),
            give_up=stop,
        )
        theta = result.evaluation.theta
        better = problem.partition.pivoted(theta)
        if last or result.converged or better is problem.partition:
            break
        if known is not None and known.met:
            break
        factors = problem.partition.term_factors(theta)
        problem = problem.reordered(better)
        current = problem.evaluate(better.moved(theta, factors))
    return problem, result


def _canonical(plain: Counted, problem: Counted, evaluation: Evaluation) -> Evaluation:
    """The same point in the plain order with non-negative diagonals, evaluated again if moved."""
    if problem is plain:
        theta = plain.partition.canonical(evaluation.theta)
    else:
        factors = problem.partition.term_factors(evaluation.theta)
        theta = plain.partition.moved(evaluation.theta, factors)
    if problem is plain and np.array_equal(theta, evaluation.theta):
        return evaluation
    return plain.evaluate(theta)
