"""Where the search begins: the model without random effects, then variances from moments."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.reweighted import WeightedRows
from mixeff.errors import ConvergenceError
from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.observations import Observations

Floats = NDArray[np.float64]

_STEPS, _HALVINGS = 12, 20
_NEAR = 1e-3  # a gain of the log-likelihood this small ends the search: it is only a start
_SMALLEST, _LARGEST = 0.1, 3.0  # standard deviations to start with, in units of a row's own


@dataclass(frozen=True, slots=True)
class FixedStart:
    """The model without random effects, nearly fitted.

    Attributes
    ----------
    beta : (p,) array
    dispersion : float
    terms : RowTerms, with expected weights
    """

    beta: Floats
    dispersion: float
    terms: RowTerms

    @classmethod
    def at(
        cls,
        observations: Observations,
        offset: Floats,
        X: Floats,
        beta: Floats,
        dispersion: float | None,
    ) -> FixedStart:
        """With coefficients and a dispersion found before, or one that is known."""
        if dispersion is None:
            dispersion = observations.known_dispersion
        assert dispersion is not None
        terms = observations.terms(offset + X @ beta, dispersion, expected=True)
        return cls(beta, dispersion, terms)

    @property
    def scale(self) -> float:
        """Root mean square of the working weights: rows have a residual SD of one over it."""
        mean = float(np.mean(np.abs(self.terms.weight)))
        return math.sqrt(mean) if math.isfinite(mean) and mean > 1e-200 else 1.0


def fixed_start(
    observations: Observations, offset: Floats, X: Floats, constant: Floats | None
) -> FixedStart:
    """A few steps of Fisher scoring.

    Parameters
    ----------
    observations : Observations
    offset : (n,) array
    X : (n, p) array, working coordinates
    constant : (p,) array or None, coefficients of the constant

    Raises
    ------
    ConvergenceError
        If the likelihood cannot be computed with any constant mean.
    """

    def at(beta: Floats, dispersion: float) -> RowTerms:
        return observations.terms(offset + X @ beta, dispersion, expected=True)

    beta, terms = _first(observations, offset, X, constant)
    known = observations.known_dispersion
    dispersion = 1.0 if known is None else known
    for _ in range(_STEPS):
        if known is None:
            dispersion = _dispersion(observations, offset + X @ beta, dispersion)
            terms = at(beta, dispersion)
        step = _least_squares(X, terms.weight, X.T @ terms.score)
        before, part = float(terms.loglik.sum()), 1.0
        for _ in range(_HALVINGS):
            trial = at(beta + part * step, dispersion)
            if float(trial.loglik.sum()) >= before:
                break
            part *= 0.5
        else:
            break
        beta, terms = beta + part * step, trial
        if float(terms.loglik.sum()) - before < _NEAR:
            break
    return FixedStart(beta, dispersion, terms)


def _first(
    observations: Observations, offset: Floats, X: Floats, constant: Floats | None
) -> tuple[Floats, RowTerms]:
    """The first coefficients at which the likelihood exists."""
    family, y, weights = observations.family, observations.y, observations.weights
    eta = family.link.eta(family.initial_mu(y, weights))
    mean = family.link.eta(np.full(1, float(np.average(family.initial_mu(y, weights)))))[0]
    candidates = []
    if X.shape[1]:
        candidates.append(_solve(X.T @ X, X.T @ (eta - offset)))
    if constant is not None:
        candidates.append(constant * (mean - float(offset.mean())))
        candidates.append(constant * mean)
    candidates.append(np.zeros(X.shape[1]))
    for beta in candidates:
        terms = observations.terms(offset + X @ beta, expected=True)
        if np.isfinite(terms.loglik).all() and np.isfinite(terms.weight).all():
            return beta, terms
    raise ConvergenceError(
        f"No starting values were found at which a {family.name} likelihood with link "
        f"{family.link.name} exists for all observations: the link allows means outside the "
        "family's range. Choose another link (log, logit), or give start=."
    )


def _least_squares(X: Floats, w: Floats, right: Floats) -> Floats:
    """(X'WX)^-1 right; directions without information are left alone."""
    return _solve((X * w[:, None]).T @ X, right)


def _solve(gram: Floats, right: Floats) -> Floats:
    """As ``_least_squares``, given X'WX."""
    if not right.size:
        return right
    values, vectors = np.linalg.eigh(gram)
    good = values > 1e-10 * max(float(values[-1]), 1e-300)
    found: Floats = vectors[:, good] @ ((vectors[:, good].T @ right) / values[good])
    return found


def _dispersion(observations: Observations, eta: Floats, dispersion: float) -> float:
    """Newton's method on the log-likelihood in log dispersion, the means being fixed."""
    r = math.log(dispersion)
    for _ in range(20):
        terms = observations.terms(eta, math.exp(r), curvature=True)
        assert terms.loglik_r is not None
        assert terms.loglik_rr is not None
        slope, bend = float(terms.loglik_r.sum()), float(terms.loglik_rr.sum())
        if not math.isfinite(slope):
            break
        step = -slope / bend if bend < 0 else math.copysign(1.0, slope)
        r += min(max(step, -2.0), 2.0)
        if abs(step) < 1e-3 or abs(r) > 12.0:
            break
    return math.exp(min(max(r, -12.0), 12.0))


def starting_theta(
    rows: WeightedRows, partition: Partition, weight: Floats, score: Floats
) -> Floats:
    """Standard deviations from the scores of the model without random effects.

    To first order the scores p = Z's of a level have covariance G + G Sigma G with G = Z'WZ, so
    sum (p^2 - g) / sum g^2 estimates a variance. Kept within a range: it is only a start.
    """
    scores, _ = rows.products(score)
    found = []
    for g, p in zip(rows.groups, scores, strict=True):
        gram = np.empty_like(p)
        for j in range(p.shape[1]):
            gram[:, j] = np.bincount(g.codes, weight * g.Z[:, j] ** 2, g.n_levels)
        variance = (p * p - gram).sum(axis=0) / np.maximum((gram * gram).sum(axis=0), 1e-300)
        found.append(np.diag(np.sqrt(np.clip(variance, _SMALLEST**2, _LARGEST**2))))
    return partition.from_factors(partition.per_term_square(found))
