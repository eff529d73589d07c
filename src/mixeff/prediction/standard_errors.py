"""Standard errors of predictions, theta taken as known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.prediction.scored import ScoredRows, take

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.linear.coordinates import Coordinates
    from mixeff.linear.estimate import LinearEstimate

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Numbers in one block of right-hand sides: 64 MB.
_BLOCK = 1 << 23


def standard_errors(
    design: Design, estimate: LinearEstimate, rows: ScoredRows, masks: tuple[Mask, ...]
) -> Floats:
    """(m,) standard errors of x'beta + z'b, b the random effects chosen by ``masks``.

    Without random effects sqrt(x' vcov x). With them the root of the prediction error variance
    sigma^2 c' C^-1 c, C the matrix of Henderson's mixed-model equations and c = (z, x) (Henderson
    1975, Biometrics 31, eq. 5): uncertainty of beta, of the conditional modes, and their
    covariance. The effects of a level the fit has not seen have their whole variance Sigma.
    """
    if not rows.complete.all():
        out = np.full(rows.complete.size, np.nan)
        out[rows.complete] = standard_errors(design, estimate, take(rows, rows.complete), masks)
        return out
    if not any(mask.any() for mask in masks):
        root = np.linalg.cholesky(estimate.unscaled_covariance)
        return np.asarray(estimate.sigma * np.linalg.norm(rows.X @ root, axis=1))
    variance = _prediction_error(design, estimate, rows, masks)
    for codes, values, mask, factor in zip(
        rows.codes, rows.values, masks, estimate.Lambda, strict=True
    ):
        prior = (values * mask) @ factor
        variance += np.where(codes < 0, np.einsum("ij,ij->i", prior, prior), 0.0)
    return np.asarray(estimate.sigma * np.sqrt(np.maximum(variance, 0.0)))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a random term's effects stand among the unknowns: first entry, stride per level."""

    first: int
    stride: int


def _prediction_error(
    design: Design, estimate: LinearEstimate, rows: ScoredRows, masks: tuple[Mask, ...]
) -> Floats:
    """c' C^-1 c per row, effects of unseen levels left out."""
    from mixeff.linear.working import working_model

    model = working_model(design)
    theta = model.coordinates.working_theta(model.partition, estimate.theta)
    factor = model.system.factorize(model.partition.block_factors(theta))
    loads = _loads(model.coordinates, model.partition.term_factors(theta), rows, masks)
    places, size = _places(design, model.partition.members)
    X = rows.X @ model.coordinates.fixed.matrix
    variance = np.zeros(X.shape[0])
    step = max(1, _BLOCK // (size + X.shape[1]))
    for start in range(0, X.shape[0], step):
        block = slice(start, start + step)
        right = np.zeros((size + X.shape[1], X[block].shape[0]))
        right[size:] = X[block].T
        for codes, load, place in zip(rows.codes, loads, places, strict=True):
            _scatter(right, codes[block], load[block], place)
        variance[block] = np.einsum("ij,ij->j", right, factor.solve(right))
    return variance


def _loads(
    coordinates: Coordinates,
    factors: tuple[Floats, ...],
    rows: ScoredRows,
    masks: tuple[Mask, ...],
) -> list[Floats]:
    """(m, q) Lambda' z of every term in working coordinates."""
    return [
        (values * mask) @ basis.matrix @ factor
        for values, mask, basis, factor in zip(
            rows.values, masks, coordinates.random, factors, strict=True
        )
    ]


def _places(design: Design, members: tuple[tuple[int, ...], ...]) -> tuple[list[_Place], int]:
    """Places in the order of the solver: grouping factors, level by level, columns together."""
    places: dict[int, _Place] = {}
    start = 0
    for terms in members:
        stride = sum(design.random[i].n_columns for i in terms)
        inside = 0
        for i in terms:
            places[i] = _Place(start + inside, stride)
            inside += design.random[i].n_columns
        start += stride * design.random[terms[0]].n_levels
    return [places[i] for i in range(len(design.random))], start


def _scatter(right: Floats, codes: NDArray[np.int32], load: Floats, place: _Place) -> None:
    seen = np.flatnonzero(codes >= 0)
    first = place.first + place.stride * codes[seen].astype(np.int64)
    for j in range(load.shape[1]):
        right[first + j, seen] += load[seen, j]
