"""Second derivatives of the criterion at the optimum, and the standard errors they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.reweighted import WeightedRows
from mixeff.errors import ConvergenceError
from mixeff.generalized.directions import directions
from mixeff.generalized.gradient_differences import gradient_differences
from mixeff.generalized.laplace import LaplaceEvaluation, LaplaceProblem
from mixeff.generalized.one_factor import OneFactorEvaluation
from mixeff.generalized.second_derivatives import criterion_hessian
from mixeff.linear.coordinates import Coordinates

Floats = NDArray[np.float64]

_MEMORY = 1e9  # bytes of the dense matrices
_SMALL = 512  # columns of a dense matrix that cost next to nothing
_SPARSE = 25.0  # how much more a multiplication costs in a sparse tail, times evaluations saved


@dataclass(frozen=True, slots=True)
class Information:
    """Observed information of (theta, beta, log dispersion), the caller's units.

    Attributes
    ----------
    matrix : (m, m) array, Hessian of minus the log-likelihood
    covariance : (p, p) array, vcov(beta): its block of the inverse over the free parameters
    positive : bool, the Hessian is positive definite over the free parameters
    exact : bool, no differences were taken
    """

    matrix: Floats
    covariance: Floats
    positive: bool
    exact: bool

    @property
    def known(self) -> bool:
        """The second derivatives could be computed."""
        return bool(np.isfinite(self.matrix).all())


def observed_information(
    evaluation: LaplaceEvaluation, theta: Floats, coordinates: Coordinates
) -> Information:
    """Second derivatives at the optimum.

    Those of the Laplace approximation are exact, with the observed and the expected information in
    the determinant. Those of quadrature, and of a model whose grouping factors leave more of a
    dense system than ``affordable`` allows, are central differences of the exact gradient: off by
    the square of a step of a thousandth of a standard deviation, near 1e-6 relative. Where neither
    can be computed the matrix is NaN. Columns of a Lambda that are zero at a singular optimum do
    not take part.

    Parameters
    ----------
    evaluation : LaplaceEvaluation, at the optimum
    theta : (k,) array, there in the caller's units
    coordinates : Coordinates
    """
    problem = evaluation.problem
    free = free_parameters(problem.partition.covariance, theta, problem.partition.n_free)
    laplace = type(evaluation) is LaplaceEvaluation and affordable(evaluation, free)
    # By exact type: quadrature is one with more to it.
    exact = laplace or type(evaluation) is OneFactorEvaluation
    find = _exact if exact else gradient_differences
    try:
        hessian = find(evaluation, theta, coordinates, free)
    except (ConvergenceError, np.linalg.LinAlgError):
        hessian = np.full((free.size, free.size), np.nan)
    if not np.isfinite(hessian).all():
        hessian = np.full_like(hessian, np.nan)
    hessian[~free] = hessian[:, ~free] = 0.0
    return _in_callers_units(problem, coordinates, 0.5 * hessian, free, exact)


def affordable(evaluation: LaplaceEvaluation, free: NDArray[np.bool_]) -> bool:
    """Whether ``criterion_hessian`` costs no more than differences, and fits into memory.

    Per free parameter it transforms what eliminating one grouping factor leaves, a dense matrix of
    T columns: T^3 multiplications. Differences take six factorizations and two inverses, of a tail
    that may be sparse.
    """
    model = evaluation.problem.model
    T = dense_columns(model.rows)
    if 8.0 * (2.0 + int(free.sum())) * T**2 > _MEMORY:
        return False
    return T <= _SMALL or float(T) ** 3 <= _SPARSE * model.bare.system.tail.work


def dense_columns(rows: WeightedRows) -> int:
    """Columns of the dense system left by ``determinant_curvature``."""
    groups = rows.groups
    order = sorted(range(len(groups)), key=lambda i: (-groups[i].n_levels, i))
    while len(order) > 1:
        first, *order = order
        J = groups[first].n_levels
        own = [rows.pairs[first, k].indptr for k in order]
        if any(not np.array_equal(indptr, np.arange(J + 1)) for indptr in own):
            return sum(groups[k].n_levels * groups[k].Z.shape[1] for k in order)
    return 0


def _exact(
    evaluation: LaplaceEvaluation,
    theta: Floats,
    coordinates: Coordinates,
    free: NDArray[np.bool_],
) -> Floats:
    """Of the criterion; rows and columns that are not free are zero."""
    if isinstance(evaluation, OneFactorEvaluation):
        return evaluation.callers_hessian(coordinates, theta)
    every = directions(evaluation, theta, coordinates)
    chosen = [d for d, moves in zip(every, free[: theta.size], strict=True) if moves]
    hessian = np.zeros((free.size, free.size))
    hessian[np.ix_(free, free)] = criterion_hessian(evaluation, chosen)
    return hessian


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
    return Information(matrix, 0.5 * (covariance + covariance.T), True, True)


def free_parameters(partition: Partition, theta: Floats, n_free: int) -> NDArray[np.bool_]:
    """Which parameters may move both ways: not those of a vanished column of a Lambda."""
    found = []
    for structure, Lambda in zip(partition.structures, partition.term_factors(theta), strict=True):
        alive = np.any(Lambda != 0.0, axis=0)
        found.append(alive[structure.entries[1]])
    return np.concatenate([*found, np.ones(n_free, dtype=bool)])


def _in_callers_units(
    problem: LaplaceProblem,
    coordinates: Coordinates,
    hessian: Floats,
    free: NDArray[np.bool_],
    exact: bool,
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
    covariance = 0.5 * (covariance + covariance.T)
    return Information(change.T @ hessian @ change, covariance, positive, exact)
