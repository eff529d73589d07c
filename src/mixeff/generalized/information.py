"""Second derivatives of the criterion at the optimum, and the standard errors they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.errors import ConvergenceError
from mixeff.generalized.laplace import LaplaceEvaluation, LaplaceProblem
from mixeff.generalized.one_factor import OneFactorEvaluation
from mixeff.generalized.second import can_differentiate, second_derivatives
from mixeff.linear.coordinates import Coordinates

Floats = NDArray[np.float64]

STEP = 1e-3
"""Step of the differences, in standard deviations of the parameter (the others being known)."""


@dataclass(frozen=True, slots=True)
class Information:
    """Observed information of (theta, beta, log dispersion), the caller's units.

    Attributes
    ----------
    matrix : (m, m) array, Hessian of minus the log-likelihood
    covariance : (p, p) array, vcov(beta): its block of the inverse over the free parameters
    positive : bool, the Hessian is positive definite over the free parameters
    """

    matrix: Floats
    covariance: Floats
    positive: bool


def observed_information(
    evaluation: LaplaceEvaluation, theta: Floats, coordinates: Coordinates
) -> Information:
    """Second derivatives at the optimum.

    Exact for the Laplace approximation with one grouping factor. For crossed and nested factors,
    quadrature, and the expected information in the determinant they are central differences of
    the exact gradient, whose error is of second order in a step of a thousandth of a standard
    deviation, near 1e-6 relative. Columns of a Lambda that are zero at a singular optimum do not
    take part in the inverse.

    Parameters
    ----------
    evaluation : LaplaceEvaluation, at the optimum
    theta : (k,) array, there in the caller's units
    coordinates : Coordinates
    """
    problem = evaluation.problem
    free = free_parameters(problem.partition.covariance, theta, problem.partition.n_free)
    if isinstance(evaluation, OneFactorEvaluation):
        hessian = 0.5 * evaluation.callers_hessian(coordinates, theta)
    elif can_differentiate(evaluation):
        hessian = 0.5 * second_derivatives(evaluation, theta, coordinates)
    else:
        hessian = _differences(evaluation, theta, coordinates, free)
    hessian[~free] = hessian[:, ~free] = 0.0
    return _in_callers_units(problem, coordinates, hessian, free)


def _differences(
    evaluation: LaplaceEvaluation,
    theta: Floats,
    coordinates: Coordinates,
    free: NDArray[np.bool_],
) -> Floats:
    """Of minus the log-likelihood, by the gradient on both sides of every free parameter."""
    problem = evaluation.problem
    slopes = _CallersGradient(problem, coordinates)
    at = np.concatenate([theta, problem.partition.free(evaluation.theta)])
    model = slopes.model_curvature(evaluation, theta)
    hessian = np.zeros((at.size, at.size))
    for j in np.flatnonzero(free):
        hessian[j] = _difference(slopes, at, int(j), STEP * np.sqrt(2.0 / model[j]))
    return 0.25 * (hessian + hessian.T)


def given_theta(
    evaluation: LaplaceEvaluation, theta: Floats, coordinates: Coordinates
) -> Information:
    """What ``n_agq=0`` knows: the information of beta with theta and dispersion held fixed.

    X'V^-1 X of the working linear model at the modes; the other rows and columns are zero.
    """
    k, p = theta.size, evaluation.problem.model.p
    m = k + p + evaluation.problem.partition.n_free
    inner = evaluation.information_of_beta()
    T, back = coordinates.fixed.matrix, coordinates.fixed.inverse
    matrix = np.zeros((m, m))
    matrix[k : k + p, k : k + p] = back.T @ inner @ back
    covariance = T @ np.linalg.inv(inner) @ T.T if p else np.zeros((0, 0))
    return Information(matrix, 0.5 * (covariance + covariance.T), True)


def free_parameters(partition: Partition, theta: Floats, n_free: int) -> NDArray[np.bool_]:
    """Which parameters may move both ways: not those of a vanished column of a Lambda."""
    found = []
    for structure, Lambda in zip(partition.structures, partition.term_factors(theta), strict=True):
        alive = np.any(Lambda != 0.0, axis=0)
        found.append(alive[structure.entries[1]])
    return np.concatenate([*found, np.ones(n_free, dtype=bool)])


@dataclass(frozen=True, slots=True)
class _CallersGradient:
    """The gradient with theta in the caller's units, the parameters behind it in working ones."""

    problem: LaplaceProblem
    coordinates: Coordinates

    def at(self, point: Floats) -> Floats:
        """Gradient of the criterion."""
        partition = self.problem.partition.covariance
        k = partition.n_theta
        inner = self.coordinates.working_theta(partition, point[:k])
        evaluation = self.problem.evaluate(np.concatenate([inner, point[k:]]))
        return evaluation.callers_gradient(self.coordinates, point[:k])

    def model_curvature(self, evaluation: LaplaceEvaluation, theta: Floats) -> Floats:
        """(m,) positive numbers near the diagonal of the Hessian, to choose steps by."""
        partition = self.problem.partition.covariance
        diagonal = np.array(np.diagonal(evaluation.hessian))
        # Scale of theta in working units, column by column of Lambda's rows.
        first = 0
        for structure, basis in zip(partition.structures, self.coordinates.random, strict=True):
            last = first + structure.n_theta
            rows, _ = structure.entries
            unit = np.linalg.norm(basis.inverse, axis=0)[rows]
            typical = np.max(diagonal[first:last])
            diagonal[first:last] = typical * unit**2
            first = last
        floor = 1e-10 * max(float(diagonal.max()), 1e-300)
        return np.maximum(diagonal, floor)


def _difference(slopes: _CallersGradient, at: Floats, j: int, h: float) -> Floats:
    """Derivative of the gradient by parameter j (of -2 log-likelihood)."""

    def central(step: float) -> Floats:
        up, down = np.array(at), np.array(at)
        up[j] += step
        down[j] -= step
        found: Floats = (slopes.at(up) - slopes.at(down)) / (2.0 * step)
        return found

    for _ in range(6):
        try:
            return central(h)
        except ConvergenceError:
            h *= 0.25
    return np.full(at.size, np.nan)


def _in_callers_units(
    problem: LaplaceProblem,
    coordinates: Coordinates,
    hessian: Floats,
    free: NDArray[np.bool_],
) -> Information:
    """Transform the block of beta; invert in working units, where nothing is badly scaled."""
    k, p = problem.partition.n_theta, problem.model.p
    T, back = coordinates.fixed.matrix, coordinates.fixed.inverse
    m = hessian.shape[0]
    change = np.eye(m)
    change[k : k + p, k : k + p] = back
    kept = hessian[np.ix_(free, free)]
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(kept)), 1e-300))
    try:
        factor = scipy.linalg.cho_factor(kept / np.outer(scale, scale), lower=True)
        inverse = scipy.linalg.cho_solve(factor, np.eye(kept.shape[0])) / np.outer(scale, scale)
        positive = True
    except (np.linalg.LinAlgError, ValueError):
        inverse = np.full_like(kept, np.nan)
        positive = False
    full = np.zeros((m, m))
    full[np.ix_(free, free)] = inverse
    covariance = T @ full[k : k + p, k : k + p] @ T.T
    return Information(change.T @ hessian @ change, 0.5 * (covariance + covariance.T), positive)
