"""Fit a linear mixed model: optimize in working coordinates, report in the caller's units."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.covariance import Partition
from mixeff.design.design import Design, RandomTerm
from mixeff.errors import OptionError
from mixeff.factor.cholesky import BlockedSystem
from mixeff.linear.coordinates import sigma_slopes
from mixeff.linear.criterion import LinearCriterion, LinearEvaluation
from mixeff.linear.determined import check_determined
from mixeff.linear.estimate import LinearEstimate, Outcome
from mixeff.linear.slow import announce_slow
from mixeff.linear.small import SmallEvaluation, find_optimum
from mixeff.linear.standardize import Basis
from mixeff.linear.starting import (
    constant_starts,
    evaluations_are_dear,
    like_before,
    starting_theta,
    trace_memory,
)
from mixeff.linear.working import WorkingModel, working_model
from mixeff.optimize import Optimum, Verdict
from mixeff.optimize.sentences import TermNames, verdict
from mixeff.optimize.solve import judge

Floats = NDArray[np.float64]


def fit_linear(
    design: Design,
    *,
    reml: bool,
    control: Control,
    start: Sequence[float] | Floats | None = None,
    like: LinearEstimate | None = None,
) -> LinearEstimate:
    """Maximize the profiled (restricted) likelihood.

    Parameters
    ----------
    design : Design
    reml : bool
    control : Control
    start : sequence of float, optional
        Theta in lme4's order and the caller's units; without it every random effect starts with
        the variance of the residual.
    like : LinearEstimate, optional
        A fit of the same X, random terms and weights to another response (or by the other
        criterion): its cross-products are used again, and without ``start`` its theta is the first
        where moments of the new response are not worth computing.

    Returns
    -------
    LinearEstimate

    Raises
    ------
    OptionError
        If ``start`` has the wrong length or is not finite.
    DesignError
        If the model leaves no residual variance, or the data say nothing about a variance.
    """
    began = time.perf_counter()
    before = None if like is None else like.prepared
    if before is None:
        model = working_model(design, control.threads)
    else:
        model = before.with_response(design, control.threads)
    memory = trace_memory(model.system, model.partition)
    if memory is not None and before is not None:
        memory.latest = before.traces
    first, also = _start(design, model, start, like)
    if isinstance(model.system, BlockedSystem):
        announce_slow(design, model.system.tail, model.system.layout.products.size)
    criterion = LinearCriterion(model.system, model.partition, reml, memory)
    besides = constant_starts(model.coordinates, model.partition)
    optimum = find_optimum(criterion, first, control, also, besides)
    check_determined(design, optimum)
    return _estimate(design, model, optimum, began)


def _start(
    design: Design,
    model: WorkingModel,
    start: Sequence[float] | Floats | None,
    like: LinearEstimate | None,
) -> tuple[Floats, tuple[Floats, ...]]:
    """Theta to start from in working coordinates, and others to try if that ends at a boundary."""
    coordinates, partition = model.coordinates, model.partition
    if start is not None:
        return coordinates.working_theta(partition, checked_theta(design, start)), ()
    first = starting_theta(model.system, partition)
    if like is None or like.prepared is None or like.convergence.singular:
        return first, ()
    before = coordinates.working_theta(partition, like.theta)
    if evaluations_are_dear(model.system) and not like_before(first, before, partition):
        return first, ()
    # What fitted before is near; should it end on the boundary, the start without it is due.
    return before, (first,)


def evaluate_at(
    design: Design, theta: Sequence[float] | Floats, *, reml: bool, threads: int | None = None
) -> LinearEstimate:
    """Estimates given theta, nothing optimized.

    Parameters
    ----------
    design : Design
    theta : sequence of float, in lme4's order and the caller's units
    reml : bool
    threads : int, optional

    Raises
    ------
    OptionError, DesignError
        As ``fit_linear``.
    """
    began = time.perf_counter()
    model = working_model(design, threads)
    inner = model.coordinates.working_theta(model.partition, checked_theta(design, theta))
    criterion = LinearCriterion(model.system, model.partition, reml)
    evaluation = criterion.evaluate(inner)
    estimate = _estimate(design, model, judge(criterion, evaluation), began)
    sentence = "Evaluated at the given theta; nothing was optimized."
    told = replace(estimate.convergence, sentence=sentence)
    return replace(estimate, outcome=Outcome.known(told))


def checked_theta(design: Design, theta: Sequence[float] | Floats) -> Floats:
    """Theta as an array, or an OptionError that tells what is expected."""
    expected = sum(t.n_theta for t in design.random)
    try:
        values = np.asarray(theta, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.full(0, np.nan)
    if values.shape != (expected,):
        terms = ", ".join(f"{t.n_theta} for {t.label}" for t in design.random)
        raise OptionError(
            f"start must hold {expected} numbers, the relative Cholesky factors theta ({terms}); "
            f"got {_describe(theta)}."
        )
    if not np.all(np.isfinite(values)):
        raise OptionError("start must hold finite numbers only; it contains NaN or infinity.")
    return values


def _describe(theta: object) -> str:
    if isinstance(theta, (list, tuple, np.ndarray)):
        return " x ".join(str(k) for k in np.asarray(theta, dtype=object).shape)
    return repr(theta)[:60]


def _estimate(
    design: Design, model: WorkingModel, optimum: Optimum, began: float
) -> LinearEstimate:
    """Everything in the caller's units at the optimum."""
    evaluation = optimum.evaluation
    assert isinstance(evaluation, LinearEvaluation | SmallEvaluation)
    criterion, factor = evaluation.criterion, evaluation.factor
    memory, prepared = criterion.memory, model.prepared
    coordinates, partition = model.coordinates, model.partition
    scale = coordinates.response.scale
    beta, covariance = coordinates.fixed_effects(factor.beta(), factor.unscaled_covariance())
    theta, Lambda, modes = coordinates.random_effects(partition, evaluation.theta, factor.modes())
    shift = coordinates.criterion_shift(design.n, design.X.shape[1], criterion.reml)
    words = _Words(
        design.random, partition, coordinates.random, optimum, Lambda, time.perf_counter() - began
    )
    return LinearEstimate(
        reml=criterion.reml,
        theta=theta,
        Lambda=Lambda,
        beta=beta,
        unscaled_covariance=covariance,
        sigma=scale * math.sqrt(evaluation.sigma2),
        criterion=evaluation.value + shift,
        pwrss=scale**2 * factor.pwrss,
        modes=modes,
        outcome=_outcome(words),
        prepared=prepared if memory is None else replace(prepared, traces=memory.latest),
    )


@dataclass(frozen=True, slots=True)
class _Words:
    """What the verdict is made from."""

    terms: tuple[RandomTerm, ...]
    partition: Partition
    bases: tuple[Basis, ...]
    optimum: Optimum
    Lambda: tuple[Floats, ...]
    seconds: float

    def verdict(self) -> Verdict:
        """The verdict, with gradient and directions in the caller's units."""
        slopes = sigma_slopes(self.optimum.evaluation.sigma_slopes, self.bases)
        pairs = zip(slopes, self.Lambda, strict=True)
        gradient = self.partition.pull_back([2.0 * Xi @ Lambda for Xi, Lambda in pairs])
        named = zip(self.terms, self.bases, strict=True)
        names = [TermNames(t.group, t.columns, t.label, b.matrix) for t, b in named]
        return verdict(self.optimum, names, self.Lambda, slopes, gradient, self.seconds)


def _outcome(words: _Words) -> Outcome:
    """Put into words at once where waiting would keep a factored system in memory."""
    optimum = words.optimum
    if isinstance(optimum.evaluation, SmallEvaluation):
        return Outcome(optimum.ok, words.verdict)
    return Outcome.known(words.verdict())
