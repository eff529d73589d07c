"""Exact second derivatives of the Laplace criterion for one grouping factor.

The gradient differentiated once more, level by level (Skaug and Fournier 2006 differentiate the
same function automatically). With D_j the change of the linear predictor in parameter j, the modes
carried along, and w, s the weights and scores of the rows,

    f_jk = second derivatives of -2 log p + |u|^2 along the modes
           + tr(M^-1 M_jk) - tr(M^-1 M_j M^-1 M_k);

second derivatives of the modes enter M_jk only through the adjoint solve a of the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.laplace import LaplaceEvaluation
from mixeff.linear.coordinates import Coordinates

Floats = NDArray[np.float64]


def can_differentiate(evaluation: LaplaceEvaluation) -> bool:
    """One grouping factor, fixed effects among the parameters, observed information."""
    problem = evaluation.problem
    return (
        type(evaluation) is LaplaceEvaluation
        and not problem.joint
        and len(problem.model.rows.groups) == 1
        and evaluation.determinant_is_observed
    )


def second_derivatives(
    evaluation: LaplaceEvaluation, theta: Floats, coordinates: Coordinates
) -> Floats:
    """(m, m) Hessian of the criterion in (theta, beta, log dispersion).

    Theta is the caller's, what stands behind it in working units. Any square root of the covariance
    gives the same criterion, so here Lambda is that of the caller's theta, not triangular.

    Parameters
    ----------
    evaluation : LaplaceEvaluation, with one grouping factor
    theta : (k,) array, its point in the caller's units
    coordinates : Coordinates
    """
    work = _Derivatives(evaluation, theta, coordinates)
    found = work.along_modes() + work.of_determinant()
    return 0.5 * (found + found.T)


@dataclass
class _Derivatives:
    """All that is computed once; arrays over rows have a column per parameter."""

    evaluation: LaplaceEvaluation
    theta: Floats
    coordinates: Coordinates

    def __post_init__(self) -> None:
        problem = self.evaluation.problem
        self.model = problem.model
        (self.group,) = self.model.rows.groups
        self.Z, self.codes = self.group.Z, self.group.codes
        self.k, self.m = self.theta.size, self.theta.size + problem.partition.n_free
        self.Lambda, self.dLambda = self._roots()
        self.terms: RowTerms = self.model.terms(
            self.evaluation.point.eta, self.evaluation.dispersion, curvature=True
        )
        (self.p,), _ = self.model.bare_rows.products(self.terms.score)
        self.u = self.p @ self.Lambda
        gram = self._gram(self.terms.weight)
        self.G = gram
        M = self.Lambda.T @ gram @ self.Lambda + np.eye(self.Lambda.shape[0])
        self.inverse = np.linalg.inv(M)
        self.dispersed = self.model.observations.estimates_dispersion

    def _roots(self) -> tuple[Floats, Floats]:
        """Working Lambda (Q, Q) of the caller's theta, and (k, Q, Q) its derivatives."""
        covariance = self.evaluation.problem.partition.covariance
        Q = self.Z.shape[1]
        Lambda, slopes = np.zeros((Q, Q)), np.zeros((self.k, Q, Q))
        factors = covariance.term_factors(self.theta)
        at = 0
        places = covariance.columns_of_terms()
        for term, structure in enumerate(covariance.structures):
            back, own = self.coordinates.random[term].inverse, places[term][1]
            Lambda[own, own] = back @ factors[term]
            rows, columns = structure.entries
            for r, c in zip(rows, columns, strict=True):
                slopes[at, own, own.start + c] = back[:, r]
                at += 1
        return Lambda, slopes

    def _gram(self, weight: Floats) -> Floats:
        """Sums of w z z' per level."""
        bare = self.model.bare
        bare.weights = None  # what the system held is gone
        self.model.bare_rows.fill(
            bare.products, np.ascontiguousarray(weight), np.zeros(weight.size)
        )
        return np.array(bare.products.groups[0].gram)

    def _by_level(self, values: Floats) -> Floats:
        """(J, Q) Z'v."""
        (found,), _ = self.model.bare_rows.products(np.ascontiguousarray(values))
        return found

    @cached_property
    def explicit(self) -> Floats:
        """(n, m) change of the linear predictor at fixed u."""
        E = np.zeros((self.Z.shape[0], self.m))
        for j in range(self.k):
            E[:, j] = np.einsum("ra,ra->r", self.Z, (self.u @ self.dLambda[j].T)[self.codes])
        E[:, self.k : self.k + self.model.p] = self.model.rows.X
        return E

    @cached_property
    def modes(self) -> Floats:
        """(J, Q, m) change of the modes."""
        right = np.zeros((*self.u.shape, self.m))
        for j in range(self.m):
            change = -self.terms.weight * self.explicit[:, j]
            if self.dispersed and j == self.m - 1:
                assert self.terms.score_r is not None
                change = np.asarray(self.terms.score_r)
            right[:, :, j] = self._by_level(change) @ self.Lambda
            if j < self.k:
                right[:, :, j] += self.p @ self.dLambda[j]
        found: Floats = np.asarray(self.inverse @ right, dtype=np.float64)
        return found

    @cached_property
    def predictor(self) -> Floats:
        """(n, m) D, the modes carried along."""
        found: Floats = self.explicit + np.einsum(
            "ra,raj->rj", self.Z @ self.Lambda, self.modes[self.codes]
        )
        return found

    @cached_property
    def scores(self) -> Floats:
        """(n, m) change of the scores."""
        found: Floats = -self.terms.weight[:, None] * self.predictor
        if self.dispersed:
            assert self.terms.score_r is not None
            found[:, -1] += self.terms.score_r
        return found

    @cached_property
    def weights(self) -> Floats:
        """(n, m) change of the weights."""
        found: Floats = self.terms.weight_slope[:, None] * self.predictor
        if self.dispersed:
            assert self.terms.weight_r is not None
            found[:, -1] += self.terms.weight_r
        return found

    def _pairing(self, left: Floats) -> Floats:
        """(m, m) sums over levels of left_l' dLambda_j u_k; zero rows where j is not in theta."""
        found = np.zeros((self.m, self.m))
        for j in range(self.k):
            found[j] = np.einsum("la,lak->k", left @ self.dLambda[j], self.modes)
        return found

    def along_modes(self) -> Floats:
        """Of -2 log p + |u|^2: only explicit slopes, as the modes are stationary."""
        found: Floats = -2.0 * (self.explicit.T @ self.scores + self._pairing(self.p))
        if self.dispersed:
            assert self.terms.score_r is not None
            assert self.terms.loglik_rr is not None
            found[-1] = -2.0 * (self.terms.score_r @ self.predictor)
            found[-1, -1] -= 2.0 * float(self.terms.loglik_rr.sum())
        return found

    def of_determinant(self) -> Floats:
        """Of log|M|."""
        Lambda, inverse, D = self.Lambda, self.inverse, self.predictor
        Q = Lambda @ inverse @ Lambda.T
        h = np.einsum("ra,rab,rb->r", self.Z, Q[self.codes], self.Z)
        g = h * self.terms.weight_slope
        a = np.einsum("lab,lb->la", inverse, self._by_level(g) @ Lambda)
        t = np.einsum("ra,ra->r", self.Z @ Lambda, a[self.codes])
        v = self._by_level(g - self.terms.weight * t)
        assert self.terms.weight_curvature is not None
        bend = h * self.terms.weight_curvature - t * self.terms.weight_slope
        found: Floats = D.T @ (bend[:, None] * D)
        pairs = self._pairing(v)
        crossed = np.zeros((self.m, self.m))
        turned = np.zeros((self.m, self.m))
        for j in range(self.k):
            moved = a @ self.dLambda[j].T
            turned[j] = np.einsum("ra,ra->r", self.Z, moved[self.codes]) @ self.scores
            mixed = Lambda @ inverse @ self.dLambda[j].T
            crossed[j] = (
                2.0 * np.einsum("ra,rab,rb->r", self.Z, mixed[self.codes], self.Z) @ (self.weights)
            )
        for part in (pairs, crossed, turned):
            found += part + part.T
        found += self._of_dispersion(h, t) + self._of_squares()
        return found

    def _of_squares(self) -> Floats:
        """2 tr(M^-1 dLambda_j'G dLambda_k) - tr(M^-1 M_j M^-1 M_k)."""
        inverse, Lambda = self.inverse, self.Lambda
        found = np.zeros((self.m, self.m))
        changes = np.empty((self.m, *inverse.shape))
        for j in range(self.m):
            M = Lambda.T @ self._gram(self.weights[:, j]) @ Lambda
            if j < self.k:
                half = self.dLambda[j].T @ self.G @ Lambda
                M = M + half + half.transpose(0, 2, 1)
                for i in range(self.k):
                    both = self.dLambda[j].T @ self.G @ self.dLambda[i]
                    found[j, i] = 2.0 * np.einsum("lab,lba->", inverse, both)
            changes[j] = inverse @ M
        squares: Floats = np.einsum("jlab,klba->jk", changes, changes, optimize=True)
        return found - squares

    def _of_dispersion(self, h: Floats, t: Floats) -> Floats:
        """What second derivatives in log dispersion add."""
        found = np.zeros((self.m, self.m))
        if not self.dispersed:
            return found
        terms = self.terms
        assert terms.weight_slope_r is not None
        assert terms.weight_rr is not None
        assert terms.weight_r is not None
        assert terms.score_rr is not None
        mixed = (h * terms.weight_slope_r - t * terms.weight_r) @ self.predictor
        found[-1] += mixed
        found[:, -1] += mixed
        found[-1, -1] += float(h @ terms.weight_rr + t @ terms.score_rr)
        return found
