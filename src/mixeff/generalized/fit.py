"""Fit a generalized linear mixed model: optimize in working coordinates, report in the caller's."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.design.design import Design
from mixeff.errors import ConvergenceError, OptionError
from mixeff.factor.threads import one_blas_thread
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.families.family import Family
from mixeff.generalized.findings import estimate_of
from mixeff.generalized.laplace import LaplaceProblem
from mixeff.generalized.one_factor import OneFactorProblem, SortedRows
from mixeff.generalized.one_factor_nodes import OneFactorQuadrature
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.pirls import Pirls, Point
from mixeff.generalized.quadrature import QuadratureProblem, check_quadrature
from mixeff.generalized.small import fit_small
from mixeff.generalized.starting import starting_theta
from mixeff.generalized.working import GeneralizedModel, working_generalized
from mixeff.optimize import Optimum, solve
from mixeff.optimize.starts import extra_starts

Floats = NDArray[np.float64]
Effects = tuple[Floats, ...]

SMALLER = (1.0, 0.3, 0.1, 0.01)
"""Parts of the first standard deviations tried until the likelihood can be computed."""

ROUGH = 1.0
"""How well, in deviance units, the fixed effects the search starts from are found."""


def fit_generalized(
    design: Design,
    family: Family,
    *,
    n_agq: int = 1,
    control: Control,
    start: Sequence[float] | Floats | None = None,
    like: GeneralizedEstimate | None = None,
) -> GeneralizedEstimate:
    """Maximize the approximated marginal likelihood.

    Parameters
    ----------
    design : Design
        For a binomial the response is a proportion and the weights are the trials. That the family
        allows the response is for the caller to check, who knows the rows of the data.
    family : Family
    n_agq : int
        0: fixed effects inside the penalized IRLS; 1: Laplace; more: adaptive Gauss-Hermite
        quadrature with so many nodes per random effect, for one grouping factor.
    control : Control
    start : sequence of float, optional
        Theta in lme4's order and the caller's units, with the fixed effects behind it if wanted.
    like : GeneralizedEstimate, optional
        A fit of a model of the same shape to start from.

    Returns
    -------
    GeneralizedEstimate

    Raises
    ------
    OptionError
        If ``start`` has the wrong length, or ``n_agq`` cannot be had for this model.
    ConvergenceError
        If the likelihood cannot be computed at the start.
    """
    began = time.perf_counter()
    if isinstance(n_agq, bool) or not isinstance(n_agq, int) or n_agq < 0:
        raise OptionError(f"n_agq must be an integer: 0, 1 or more; got {n_agq!r}.")
    if n_agq == 1 and start is None:  # from the rows it is faster than from another fit
        small = fit_small(design, family, control, began)
        if small is not None:
            return small
    with one_blas_thread():
        optimum = find_optimum(design, family, n_agq=n_agq, control=control, start=start, like=like)
        return estimate_of(design, optimum, n_agq, began)


def find_optimum(
    design: Design,
    family: Family,
    *,
    n_agq: int,
    control: Control,
    start: Sequence[float] | Floats | None,
    like: GeneralizedEstimate | None,
    sibling: GeneralizedModel | None = None,
) -> Optimum:
    """The optimum of any model by the search in Python; arguments as ``fit_generalized``'s.

    ``sibling`` is the model of the same design with another response, if there was one: what does
    not depend on the response is taken from it, and it must not be asked for anything afterwards.
    """
    expected = control.laplace == "expected"
    model = working_generalized(
        design, family, expected=expected, threads=control.threads, sibling=sibling
    )
    if n_agq > 1:
        check_quadrature(model, n_agq)
    first = _start(design, model, start, like)
    return _maximize(model, first, n_agq, control)


@dataclass(frozen=True, slots=True)
class _Start:
    """Working parameters to begin with; fixed effects None where PIRLS shall find them."""

    theta: Floats
    beta: Floats | None
    dispersion: float


def _start(
    design: Design,
    model: GeneralizedModel,
    start: Sequence[float] | Floats | None,
    like: GeneralizedEstimate | None,
) -> _Start:
    """What the caller gave, or moments."""
    coordinates, partition = model.coordinates, model.partition
    dispersion = model.first.dispersion
    if like is not None and like.dispersion is not None:
        dispersion = like.dispersion
    if start is not None:
        theta, beta = checked_start(design, start)
    elif like is not None and not like.convergence.singular:
        theta, beta = like.theta, like.beta
    else:
        terms = model.first.terms
        found = starting_theta(model.rows, partition, terms.weight, terms.score)
        return _Start(found, None, dispersion)
    inner = coordinates.working_theta(partition, theta)
    if beta is None:
        return _Start(inner, None, dispersion)
    return _Start(inner, coordinates.fixed.inverse @ beta, dispersion)


def checked_start(design: Design, start: Sequence[float] | Floats) -> tuple[Floats, Floats | None]:
    """Theta and, if given, beta; an OptionError tells what is expected."""
    k, p = sum(t.n_theta for t in design.random), design.X.shape[1]
    try:
        values = np.asarray(start, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.full(0, np.nan)
    if values.shape not in ((k,), (k + p,)):
        raise OptionError(
            f"start must hold {k} numbers, the Cholesky factors theta of the random effects, or "
            f"{k + p} with the {p} fixed effects behind them; got shape {np.shape(start)}."
        )
    if not np.isfinite(values).all():
        raise OptionError("start must hold finite numbers only; it contains NaN or infinity.")
    return values[:k], values[k:] if values.size > k else None


def _maximize(model: GeneralizedModel, first: _Start, n_agq: int, control: Control) -> Optimum:
    """The optimum of the criterion, in working coordinates."""
    rows = SortedRows.of(model) if n_agq else None
    if rows is not None:
        return _maximize_one_factor(model, rows, first, n_agq, control)
    pirls = Pirls(model, joint=True)
    Lambda = model.partition.block_factors(first.theta)
    beta = model.first.beta if first.beta is None else first.beta
    begin = pirls.at(Lambda, model.zero_effects(), beta, first.dispersion)
    if first.beta is None or n_agq == 0:
        begin = _with_fixed_effects(pirls, Lambda, first.dispersion, begin)
    free = [] if n_agq == 0 else [begin.beta]
    if model.observations.estimates_dispersion:
        free.append(np.array([math.log(first.dispersion)]))
    behind = np.concatenate([*free, np.empty(0)])
    partition = JointPartition(model.partition, behind.size)
    others = [
        np.concatenate([theta, behind])
        for theta in extra_starts(model.partition, control.extra_starts)
    ]
    at = np.concatenate([first.theta, behind])
    laplace = LaplaceProblem(model, partition, joint=n_agq == 0, start=begin)
    at = _reachable(laplace, at)
    if n_agq <= 1:
        return solve(laplace, at, control, others=others)
    # Laplace first: its evaluations cost a fraction, and its optimum is near.
    near = solve(laplace, at, replace(control, tolerance=max(control.tolerance, 1e-4)), others=[])
    start = near.evaluation.theta
    if near.nulls:  # where Laplace sees no variance there may be some
        others.insert(0, np.array(at))
    problem = QuadratureProblem(model, partition, joint=False, start=begin, pirls=laplace.pirls)
    return solve(problem.with_nodes(n_agq), start, control, others=others)


def _maximize_one_factor(
    model: GeneralizedModel, rows: SortedRows, first: _Start, n_agq: int, control: Control
) -> Optimum:
    """Newton's method with the exact Hessian from the model without random effects on."""
    behind = [model.first.beta if first.beta is None else first.beta]
    if model.observations.estimates_dispersion:
        behind.append(np.array([math.log(first.dispersion)]))
    partition = JointPartition(model.partition, sum(part.size for part in behind))
    others = [
        np.concatenate([theta, *behind])
        for theta in extra_starts(model.partition, control.extra_starts)
    ]
    problem = OneFactorProblem(model, partition, rows)
    at = np.concatenate([first.theta, *behind])
    # Before quadrature Laplace, roughly: its evaluations cost a fraction, its optimum is near.
    rough = replace(control, tolerance=max(control.tolerance, 1e-4))
    last = n_agq == 1
    how, more = (control, others) if last else (rough, [])
    try:
        found = solve(problem, at, how, others=more)
    except ConvergenceError:
        found = solve(problem, _reachable(problem, at), how, others=more)
    if last:
        return found
    if found.nulls:  # where Laplace sees no variance there may be some
        others.insert(0, at)
    quadrature = OneFactorQuadrature.like(problem, n_agq)
    return solve(quadrature, found.evaluation.theta, control, others=others)


def _with_fixed_effects(pirls: Pirls, Lambda: Effects, dispersion: float, begin: Point) -> Point:
    """The start with fixed effects found together with the modes, where they can be."""
    try:
        return pirls.find(Lambda, None, dispersion, begin, ROUGH).point
    except ConvergenceError:  # a link that allows impossible means: those without random effects
        return begin


def _reachable(problem: LaplaceProblem, at: Floats) -> Floats:
    """The start with smaller variances, if the modes cannot be found with those of the start."""
    k = problem.partition.n_theta
    for part in SMALLER:
        trial = np.array(at)
        trial[:k] *= part
        try:
            problem.evaluate(trial)
        except ConvergenceError:
            continue
        return trial
    return at
