"""Second derivatives of a criterion by central differences of its exact gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.laplace import LaplaceEvaluation, LaplaceProblem
from mixeff.linear.coordinates import Coordinates

Floats = NDArray[np.float64]

STEP = 1e-3
"""Step of the differences, in standard deviations of the parameter (the others being known)."""


def gradient_differences(
    evaluation: LaplaceEvaluation,
    theta: Floats,
    coordinates: Coordinates,
    free: NDArray[np.bool_],
) -> Floats:
    """(m, m) Hessian of the criterion in (theta, beta, log dispersion).

    Parameters
    ----------
    evaluation : LaplaceEvaluation
    theta : (k,) array, its point in the caller's units; what stands behind it is in working ones
    coordinates : Coordinates
    free : (m,) bool array, the parameters to differentiate by; other rows and columns are zero

    Raises
    ------
    ConvergenceError
        If the criterion cannot be computed a thousandth of a standard deviation away.
    """
    problem = evaluation.problem
    slopes = _CallersGradient(problem, coordinates)
    at = np.concatenate([theta, problem.partition.free(evaluation.theta)])
    steps = STEP * np.sqrt(2.0 / slopes.model_curvature(evaluation, theta))
    hessian = np.zeros((at.size, at.size))
    for j in np.flatnonzero(free):
        up, down = np.array(at), np.array(at)
        up[j] += steps[j]
        down[j] -= steps[j]
        hessian[j] = (slopes.at(up) - slopes.at(down)) / (2.0 * steps[j])
    hessian[:, ~free] = 0.0
    return 0.5 * (hessian + hessian.T)


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
