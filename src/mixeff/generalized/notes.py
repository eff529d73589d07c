"""What a reader of a generalized fit must know: separation, variances without end, Laplace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design
from mixeff.errors import ConvergenceError
from mixeff.generalized.dispersion_ends import LIMIT, poisson_limit, without_error
from mixeff.generalized.edge import edge_of_means
from mixeff.generalized.information import Information
from mixeff.generalized.laplace import LaplaceEvaluation, LaplaceProblem
from mixeff.generalized.one_factor import OneFactorEvaluation
from mixeff.generalized.one_factor_nodes import OneFactorQuadrature
from mixeff.generalized.quadrature import QuadratureProblem
from mixeff.generalized.separation import separation

Floats = NDArray[np.float64]

ENDLESS = 10.0  # standard deviation of random effects, in standard deviations of a row
_CERTAIN = 15.0  # a binomial's standard deviation at which nearly all chances are zero or one
_UNKNOWN = 0.05  # information on the log of one, per level; 2 where every level tells its effect
_NODES = {1: 7, 2: 5}  # for the error of Laplace, by random effects per level
_AFFORDABLE = 300_000  # rows times nodes
_LOGLIK, _COEFFICIENT, _SPREAD = 0.5, 0.1, 0.1  # differences worth a sentence
_ROUGH = "With few observations per level of"
_ROUNDED = "Standard errors are from differences of the exact gradient"


def troubles(
    design: Design, evaluation: LaplaceEvaluation, theta: Floats, information: Information
) -> tuple[str, ...]:
    """Sentences that say which numbers of a fit mean nothing, most serious first.

    Parameters
    ----------
    design : Design
    evaluation : LaplaceEvaluation, at the optimum
    theta : (k,) array, there in the caller's units
    information : Information, there
    """
    notes = [
        *separation(design, evaluation),
        *edge_of_means(design, evaluation),
        *without_error(evaluation),
        *runaway(design, evaluation, theta, information),
    ]
    if not information.known and not notes:
        notes.append(
            "The second derivatives of the log-likelihood could not be computed at the optimum, so "
            "there are no standard errors (NaN): some means are at the edge of the range the "
            "family allows, or the random effects are near the largest numbers."
        )
    elif not information.positive and not notes:
        notes.append(
            "The Hessian of the log-likelihood is not positive definite at the optimum, so there "
            "are no standard errors: the data do not determine all parameters of this model."
        )
    return tuple(notes)


def fit_notes(
    design: Design,
    evaluation: LaplaceEvaluation,
    theta: Floats,
    information: Information,
    n_agq: int,
) -> tuple[str, ...]:
    """Sentences for the reader: ``troubles``, then advice.

    ``n_agq`` as of the fit; the others as ``troubles`` takes them.
    """
    notes = list(troubles(design, evaluation, theta, information))
    if n_agq == 1 and information.positive and not notes:
        notes += laplace_error(design, evaluation, theta, information)
    if n_agq == 1 and information.known and not information.exact:
        notes.append(
            f"{_ROUNDED}, which are right to about six digits: these grouping factors are too "
            "large for exact second derivatives."
        )
    notes += poisson_limit(evaluation)
    return tuple(notes)


def is_advice(note: str) -> bool:
    """Whether a note tells how to do better, rather than that numbers of the fit mean nothing."""
    return note.startswith((_ROUGH, _ROUNDED, LIMIT))


def runaway(
    design: Design, evaluation: LaplaceEvaluation, theta: Floats, information: Information
) -> list[str]:
    """Standard deviations so large that the data no longer tell how large."""
    problem = evaluation.problem
    found = []
    inner = problem.partition.term_factors(evaluation.theta)
    known = theta**2 * np.diagonal(information.matrix)[: theta.size]
    parts = problem.model.partition.split(known)
    own = problem.model.partition.term_factors(theta)
    binomial = problem.model.family.name == "binomial"
    for term, Lambda, part, L in zip(design.random, inner, parts, own, strict=True):
        sizes = np.linalg.norm(Lambda, axis=1)
        unknown = float(part.max()) < _UNKNOWN * term.n_levels
        certain = binomial and term.has_intercept and float(np.abs(L[0, 0])) > _CERTAIN
        if float(sizes.max()) > ENDLESS and (unknown or certain):
            found.append(
                f"The standard deviation of {term.columns[int(np.argmax(sizes))]} in {term.label} "
                f"has hardly an upper limit: within most levels of {term.group} the responses are "
                "all alike, and the variance may have no finite estimate."
            )
    return found


def laplace_error(
    design: Design, evaluation: LaplaceEvaluation, theta: Floats, information: Information
) -> list[str]:
    """One quadrature evaluation at the Laplace solution: what would change, to first order."""
    model = evaluation.problem.model
    groups = model.rows.groups
    q = groups[0].Z.shape[1]
    if len(groups) != 1 or q not in _NODES or model.expected:
        return []
    nodes = _NODES[q]
    if model.y.size * nodes**q > _AFFORDABLE:
        return []
    problem: LaplaceProblem
    if isinstance(evaluation, OneFactorEvaluation):
        problem = OneFactorQuadrature.like(evaluation.problem, nodes)
    else:
        partition = evaluation.problem.partition
        problem = QuadratureProblem(
            model, partition, joint=False, start=evaluation.point
        ).with_nodes(nodes)
    try:
        better = problem.evaluate(evaluation.theta)
    except (ConvergenceError, np.linalg.LinAlgError):
        return []
    gain = 0.5 * (evaluation.value - better.value)
    step = _newton_step(evaluation, better, theta, information)
    moved = "" if step is None else _moved(design, evaluation, theta, step, information)
    if abs(gain) < _LOGLIK and not moved:
        return []
    change = f"the log-likelihood by {gain:+.2f}" if abs(gain) >= _LOGLIK else ""
    what = " and ".join(part for part in (change, moved) if part)
    return [
        f"{_ROUGH} {design.random[0].group} the Laplace approximation is "
        f"rough here: adaptive quadrature would change {what}. Fit with n_agq={max(nodes, 9)} "
        "(or more) to have it exact."
    ]


def _newton_step(
    evaluation: LaplaceEvaluation,
    better: LaplaceEvaluation,
    theta: Floats,
    information: Information,
) -> Floats | None:
    """Change of (theta, beta, ...) to the quadrature optimum, caller's units, to first order."""
    coordinates, k, p = evaluation.problem.model.coordinates, theta.size, evaluation.problem.model.p
    slope = 0.5 * better.callers_gradient(coordinates, theta)
    slope -= 0.5 * evaluation.callers_gradient(coordinates, theta)
    slope[k : k + p] = coordinates.fixed.inverse.T @ slope[k : k + p]
    alive = np.diagonal(information.matrix) > 0
    if not np.isfinite(slope).all() or not alive.any():
        return None
    hessian = information.matrix[np.ix_(alive, alive)]
    scale = np.sqrt(np.diagonal(hessian))
    step = np.zeros_like(slope)
    step[alive] = -np.linalg.solve(hessian / np.outer(scale, scale), slope[alive] / scale) / scale
    return step


def _moved(
    design: Design,
    evaluation: LaplaceEvaluation,
    theta: Floats,
    step: Floats,
    information: Information,
) -> str:
    """Coefficients that move by a good part of their standard error, or the spread that grows."""
    k, p = theta.size, evaluation.problem.model.p
    errors = np.sqrt(np.maximum(np.diagonal(information.covariance), 1e-300))
    parts = np.abs(step[k : k + p]) / errors
    if p and float(parts.max()) >= _COEFFICIENT:
        j = int(np.argmax(parts))
        return f"{design.names[j]} by {parts[j]:.1f} standard errors"
    covariance = evaluation.problem.model.partition
    return _spread(
        design, covariance.term_factors(theta), covariance.term_factors(theta + step[:k])
    )


def _spread(design: Design, before: Sequence[Floats], after: Sequence[Floats]) -> str:
    for term, one, two in zip(design.random, before, after, strict=True):
        old, new = np.linalg.norm(one, axis=1), np.linalg.norm(two, axis=1)
        part = (new - old) / np.maximum(old, 1e-300)
        j = int(np.argmax(np.abs(part)))
        if abs(part[j]) >= _SPREAD:
            return f"the standard deviation of {term.columns[j]} by {100 * part[j]:+.0f}%"
    return ""
