"""The Laplace criterion and its exact gradient by implicit differentiation through the modes.

    f = -2 log p(y | u, beta) + |u|^2 + log|Lambda'Z'WZ Lambda + I|   at the modes u

(Skaug and Fournier 2006; ENGINE section 6.) With s the scores and W the weights of the rows, h_r
the leverage z_r' Lambda M^-1 Lambda' z_r and g = h dW/deta the slope of the log-determinant in the
linear predictor, one adjoint solve a = M^-1 Lambda'Z'g gives t = Z Lambda a, v = g - W t and

    df/dbeta = X'(v - 2 s),   df/dLambda = 2 Xi Lambda,   Xi = Z'V^-1 Z - pp' + (pv' + vp') / 2

where p = Z's and v stands for Z'v, summed over levels. So everything the linear model's optimizer
knows of the boundary (Xi) holds here too. With ``n_agq=0`` the fixed effects are found with the
modes: the adjoint solve then includes them, and nothing else changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.inverse_blocks import InverseBlocks, inverse_blocks
from mixeff.factor.solves import joint_information
from mixeff.factor.threads import one_blas_thread
from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.pirls import Modes, Pirls, Point, factor_rows, solve_effects
from mixeff.generalized.working import GeneralizedModel
from mixeff.linear.coordinates import Coordinates, sigma_slopes

Floats = NDArray[np.float64]

_ROUNDING = 64.0 * float(np.finfo(np.float64).eps)
_TENTH = 2e-2  # squared length, in deviance units, of a move of a tenth of a standard error
_MODEL, _REPORT = 0.1, 1e-3  # moves over which the information is the same, for steps and for notes


@dataclass(frozen=True, slots=True)
class _Adjoint:
    """What the derivatives of the log-determinant through the modes need."""

    blocks: InverseBlocks
    leverage: Floats
    scores: tuple[Floats, ...]  # Z's per block
    slopes: tuple[Floats, ...]  # Z'v per block
    fixed_scores: Floats  # X's
    fixed_slopes: Floats  # X'v
    t: Floats


@dataclass(frozen=True, slots=True)
class Known:
    """The latest average information, and where it was computed.

    Attributes
    ----------
    theta : (m,) array
    hessian : (m, m) array, the model of the second derivatives there
    parts : the average information by blocks, as ``LaplaceEvaluation._working`` has it
    """

    theta: Floats
    hessian: Floats
    parts: tuple[Floats, Floats, Floats]

    def near(self, theta: Floats, most: float) -> bool:
        """Whether a move to ``theta`` is too small to change the information.

        At most a tenth of a standard error, and ``most`` in every parameter; a vanished column of
        Lambda stays one.
        """
        move = theta - self.theta
        if not np.abs(move).max(initial=0.0) <= most:
            return False
        same = bool(((theta == 0.0) == (self.theta == 0.0)).all())
        return same and float(move @ self.hessian @ move) <= _TENTH


class LaplaceProblem:
    """The criterion as ``optimize`` wants it.

    Parameters
    ----------
    model : GeneralizedModel
    partition : JointPartition
        Behind theta: the fixed effects (unless ``joint``), then log dispersion (if the family has
        one).
    joint : bool, ``n_agq=0``: fixed effects are found with the modes
    start : Point or None, where the first search for modes begins
    """

    def __init__(
        self,
        model: GeneralizedModel,
        partition: JointPartition,
        *,
        joint: bool,
        start: Point | None = None,
        pirls: Pirls | None = None,
    ) -> None:
        self.model = model
        self.partition = partition
        self.joint = joint
        self.pirls = Pirls(model, joint=joint) if pirls is None else pirls
        self.start = start
        self.known: Known | None = None

    def reordered(self, partition: Any) -> LaplaceProblem:
        """The same criterion with the columns of Lambda in another order."""
        return LaplaceProblem(
            self.model, partition, joint=self.joint, start=self.start, pirls=self.pirls
        )

    def parts(self, point: Floats) -> tuple[Floats | None, float]:
        """Fixed effects (None with ``joint``) and dispersion at a point."""
        free = self.partition.free(point)
        beta = None if self.joint else np.array(free[: self.model.p])
        known = self.model.observations.known_dispersion
        return beta, math.exp(min(free[-1], 700.0)) if known is None else known

    def evaluate(self, theta: Floats) -> LaplaceEvaluation:
        """Find the modes; derivatives are computed when first asked for.

        Raises
        ------
        ConvergenceError
            If the modes are not found.
        """
        beta, dispersion = self.parts(theta)
        Lambda = self.partition.block_factors(theta)
        last = self.pirls.last
        warm = self.start if last is None else last.point
        modes = self.pirls.find(Lambda, beta, dispersion, warm)
        return LaplaceEvaluation(self, theta, Lambda, dispersion, modes)


@dataclass(frozen=True, eq=False)
class LaplaceEvaluation:
    """The criterion at one point; see ``optimize.problem.Evaluation``."""

    problem: LaplaceProblem
    theta: Floats
    Lambda: tuple[Floats, ...]
    dispersion: float
    modes: Modes

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self.modes.point.objective + self._logdet())

    value: float = math.nan
    memory: ClassVar[tuple[int, float]] = (5, 1.0)  # see ``optimize.newton.memory_of``

    @property
    def point(self) -> Point:
        """The modes, linear predictor and rows' terms."""
        return self.modes.point

    @cached_property
    def terms(self) -> RowTerms:
        """All terms of the rows at the modes."""
        return self.problem.model.terms(self.point.eta, self.dispersion)

    @property
    def noise(self) -> float:
        """Rounding of a sum over rows."""
        return _ROUNDING * (1.0 + abs(self.value))

    @cached_property
    def _expected(self) -> RowTerms | None:
        """The terms that stand in the determinant, where they are not those of the modes."""
        model = self.problem.model
        if not model.expected:
            return None
        terms = model.terms(self.point.eta, self.dispersion, expected=True)
        same = np.allclose(terms.weight, self.point.weight, rtol=1e-13, atol=0.0)
        return None if same else terms

    def observed_factor(self) -> BlockedFactor:
        """The observed information at the modes, without X."""
        return self._observed(fixed=False)

    def _logdet(self) -> float:
        return self._determinant_factor().logdet_random

    def _factor(self, weight: Floats, fixed: bool) -> BlockedFactor:
        """The system with these weights: as it stands if it holds them, else made again."""
        model = self.problem.model
        cell = model.cell if fixed else model.bare
        if cell.latest is not None and cell.weights is weight and cell.Lambda is self.Lambda:
            return cell.latest
        return factor_rows(model, self.Lambda, weight, fixed)

    def _observed(self, fixed: bool | None = None) -> BlockedFactor:
        """Observed information at the modes; with X where the modes were found with it."""
        return self._factor(self.point.weight, self.problem.joint if fixed is None else fixed)

    def _determinant_factor(self) -> BlockedFactor:
        if self._expected is None:
            return self._observed()
        return self._factor(self._expected.weight, self.problem.joint)

    @cached_property
    def _adjoint(self) -> _Adjoint:
        model, point = self.problem.model, self.point
        rows = model.rows
        determinant = self._expected or self.terms
        cell = model.cell if self.problem.joint else model.bare
        blocks = inverse_blocks(cell, self._determinant_factor())
        leverage = rows.quadratic(blocks.diagonal, blocks.between)
        g = determinant.weight_slope * leverage
        right, fixed = (rows if self.problem.joint else model.bare_rows).products(g)
        right = tuple(G @ L for G, L in zip(right, self.Lambda, strict=True))
        a, c = solve_effects(self._observed(), right, fixed if self.problem.joint else None)
        t = rows.X @ c if self.problem.joint else np.zeros_like(g)
        rows.add_effects(t, [v @ L.T for v, L in zip(a, self.Lambda, strict=True)])
        scores, fixed_scores = rows.products(point.score)
        slopes, fixed_slopes = rows.products(g - point.weight * t)
        return _Adjoint(blocks, leverage, scores, slopes, fixed_scores, fixed_slopes, t)

    @cached_property
    def sigma_slopes(self) -> tuple[Floats, ...]:
        """Xi = df/dSigma per term."""
        found = []
        adjoint = self._adjoint
        for H, p, v in zip(adjoint.blocks.traces, adjoint.scores, adjoint.slopes, strict=True):
            cross = p.T @ v
            found.append(H - p.T @ p + 0.5 * (cross + cross.T))
        return self.problem.partition.covariance.per_term_square(found)

    @cached_property
    def gradient(self) -> Floats:
        """Df in theta, beta (unless found with the modes) and log dispersion."""
        partition, adjoint = self.problem.partition, self._adjoint
        factors = partition.term_factors(self.theta)
        pairs = zip(self.sigma_slopes, factors, strict=True)
        parts = [partition.covariance.pull_back([2.0 * Xi @ L for Xi, L in pairs])]
        if not self.problem.joint:
            parts.append(adjoint.fixed_slopes - 2.0 * adjoint.fixed_scores)
        if self.problem.model.observations.estimates_dispersion:
            parts.append(np.array([self._dispersion_slope(adjoint)]))
        return np.concatenate(parts)

    def callers_gradient(self, coordinates: Coordinates, theta: Floats) -> Floats:
        """Gradient with theta in the caller's units; what stands behind it stays in working ones.

        ``theta`` (k,) is this point's in the caller's units.
        """
        covariance = self.problem.partition.covariance
        slopes = sigma_slopes(self.sigma_slopes, coordinates.random)
        pairs = zip(slopes, covariance.term_factors(theta), strict=True)
        own = covariance.pull_back([2.0 * Xi @ L for Xi, L in pairs])
        return np.concatenate([own, self.gradient[theta.size :]])

    def _dispersion_slope(self, adjoint: _Adjoint) -> float:
        terms, determinant = self.terms, self._expected or self.terms
        assert terms.loglik_r is not None
        assert terms.score_r is not None
        assert determinant.weight_r is not None
        return float(
            -2.0 * terms.loglik_r.sum()
            + determinant.weight_r @ adjoint.leverage
            + terms.score_r @ adjoint.t
        )

    @cached_property
    def _working(self) -> tuple[Floats, Floats, Floats]:
        """Average information of the working linear model in theta and beta, by blocks."""
        covariance = self.problem.partition.covariance
        parts = covariance.split(self.problem.partition.theta(self.theta))
        pairs = zip(covariance.structures, parts, strict=True)
        return self._information([s.slopes(t) for s, t in pairs])

    @cached_property
    def hessian(self) -> Floats:
        """Positive semidefinite model of the second derivatives."""
        covariance = self.problem.partition.covariance
        known = self.problem.known
        if known is None or not known.near(self.theta, _MODEL):
            known = None
        CC, XC, XX = self._working if known is None else known.parts
        k, p = CC.shape[0], XX.shape[0]
        projected = XC.T @ np.linalg.solve(XX, XC) if p else np.zeros((k, k))
        if self.problem.joint:
            out = CC - projected
        else:
            out = np.zeros((k + p, k + p))
            out[:k, :k] = CC + projected
            out[:k, k:], out[k:, :k] = 2.0 * XC.T, 2.0 * XC
            out[k:, k:] = 2.0 * XX
        first = 0
        for structure, Xi in zip(covariance.structures, self.sigma_slopes, strict=True):
            last = first + structure.n_theta
            out[first:last, first:last] += structure.second_order(_positive_part(Xi))
            first = last
        out = self._with_dispersion(out)
        if known is None:
            self.problem.known = Known(self.theta, out, (CC, XC, XX))
        return out

    def _with_dispersion(self, out: Floats) -> Floats:
        if not self.problem.model.observations.estimates_dispersion:
            return out
        terms = self.problem.model.terms(self.point.eta, self.dispersion, curvature=True)
        assert terms.loglik_rr is not None
        assert terms.loglik_r is not None
        own = -2.0 * float(terms.loglik_rr.sum())
        own = max(own, 0.1 * float(np.abs(terms.loglik_r).sum()), 1e-3)
        wider = np.zeros((out.shape[0] + 1, out.shape[0] + 1))
        wider[:-1, :-1] = out
        wider[-1, -1] = own
        return wider

    def curvature_along(self, term: int, direction: Floats) -> float:
        """Average information for Sigma_term + t v v', at t = 0."""
        slopes = [np.zeros((0, s.size, s.size)) for s in self.problem.partition.structures]
        slopes[term] = np.outer(direction, direction)[None]
        CC, XC, XX = self._information(slopes)
        if not XX.shape[0]:
            return float(CC[0, 0])
        return float(CC[0, 0] - XC[:, 0] @ np.linalg.solve(XX, XC[:, 0]))

    def _information(self, slopes: list[Floats]) -> tuple[Floats, Floats, Floats]:
        """C'Z'V^-1 Z C, X'V^-1 Z C, X'V^-1 X for changes of Sigma given as (m, q, q) per term."""
        blocks, where = self.problem.partition.covariance.block_slopes(slopes)
        scores = self._adjoint.scores
        weight = self.point.weight
        if not bool((weight >= 0).all()):
            # Fisher's information: observed weights of both signs need not give a positive model.
            weight = self.problem.model.terms(self.point.eta, self.dispersion, expected=True).weight
        factor = self._factor(weight, True)
        with one_blas_thread():
            CC, XC, XX = joint_information(factor, scores, blocks)
        return CC[np.ix_(where, where)], XC[:, where], XX

    def information_of_beta(self) -> Floats:
        """(p, p) X'V^-1 X of the working linear model."""
        known = self.problem.known
        if known is not None and known.near(self.theta, _REPORT):
            return known.parts[2]
        return self._working[2]

    def conditional_variances(self) -> tuple[Floats, ...]:
        """(J, q, q) per grouping factor: diagonal blocks of Lambda M^-1 Lambda'."""
        return self._adjoint.blocks.diagonal


def _positive_part(symmetric: Floats) -> Floats:
    """The nearest positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(0.5 * (symmetric + symmetric.T))
    out: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return out
