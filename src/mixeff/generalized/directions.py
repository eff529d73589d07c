"""The caller's theta as directions in which the working Lambda moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.laplace import LaplaceEvaluation
from mixeff.linear.coordinates import Coordinates

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Direction:
    """A parameter of Lambda: the grouping factor and dLambda (q, q)."""

    group: int
    slope: Floats


def directions(
    evaluation: LaplaceEvaluation, theta: Floats, coordinates: Coordinates
) -> tuple[Direction, ...]:
    """The caller's theta as directions of the Lambda of an evaluation.

    The caller's Lambda in working units, R, is Lambda Q with Q orthogonal: the criterion at R is
    that at R Q', which is Lambda here and linear in theta.

    Parameters
    ----------
    evaluation : LaplaceEvaluation
    theta : (k,) array, its point in the caller's units
    coordinates : Coordinates
    """
    covariance = evaluation.problem.partition.covariance
    found = []
    pieces = zip(
        covariance.structures, covariance.term_factors(theta), coordinates.random,
        covariance.columns_of_terms(), strict=True,
    )  # fmt: skip
    for structure, own, basis, (group, columns) in pieces:
        Lambda = evaluation.Lambda[group]
        left, _, right = np.linalg.svd(Lambda[columns, columns].T @ basis.inverse @ own)
        Q = left @ right
        for r, c in zip(*structure.entries, strict=True):
            slope = np.zeros_like(Lambda)
            slope[columns, columns] = np.outer(basis.inverse[:, r], Q[:, c])
            found.append(Direction(group, slope))
    return tuple(found)
