"""The Laplace criterion with one grouping factor: compiled, level by level, Hessian and all.

The levels are independent given the parameters, so the criterion is a sum of

    f = 2 h + log|M|,   h = -log p(y | u, beta) + |u|^2 / 2,   M = I + Lambda'Z'WZ Lambda

over small problems at their modes u. Let D_j be the derivative along parameter j with the modes
following linearly (by U_j = -M^-1 h_uj) and e_j = D_j eta, with second differences of eta
eps_jk = z'(Lambda_j U_k + Lambda_k U_j). As h_u = 0 at the modes,

    f_jk = 2 D_jk h + tr(M^-1 M_jk) - tr(M^-1 M_j M^-1 M_k) - a'D_jk h_u,   a = M^-1 dlog|M|/du,

where the last term is the bend of the path of the modes, by one adjoint solve. With h_r the
leverage of a row and t = z'Lambda a this makes

    sum omega e_j e_k + sum xi eps_jk + 2 U_j'U_k + ...,
    omega = 2 w + h w'' - t w',   xi = -2 s + h w' - t w,

and terms of G = Z'WZ, its derivatives and a alone. All is exact; derivatives of the rows' terms go
up to the fourth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.errors import ConvergenceError
from mixeff.generalized.kernels import one_factor
from mixeff.generalized.kernels.passes import RowPass
from mixeff.generalized.laplace import LaplaceEvaluation, LaplaceProblem
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.pirls import Point
from mixeff.generalized.working import GeneralizedModel
from mixeff.linear.coordinates import Coordinates

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

MOST_COLUMNS = 6
"""Random effects per level the kernel is compiled for."""

_NONE, _NO_NODES, _NO_BLOCKS = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))
CANONICAL = {("binomial", "logit"), ("poisson", "log")}
_DEFINITE = 1e-8  # smallest eigenvalue, of a unit diagonal, with which the exact Hessian is used
_FAILURES = {
    1: "The likelihood cannot be computed at the values of the fixed effects tried: some means are "
    "outside the range the family allows. Give other starting values, rescale the predictors, or "
    "choose a link that keeps the means in range.",
    2: "The conditional modes were not found: the fixed effects or variances tried are too extreme "
    "for these data; rescale the predictors, look for separation, or give other starting values.",
}


@dataclass(frozen=True, slots=True)
class SortedRows:
    """The rows level by level, as the kernel takes them.

    Attributes
    ----------
    y, weights, offset : (n,) arrays; ``weights`` may be empty
    X, Z : (n, p) and (n, q) arrays, working columns
    pointer : (J + 1,) int64 array
    compiled : RowPass of the rows in their own order
    expected : bool, the determinant's information differs from that of the modes
    threads : int; no digit of the results depends on it
    """

    y: Floats
    weights: Floats
    offset: Floats
    X: Floats
    Z: Floats
    pointer: NDArray[np.int64]
    compiled: RowPass
    expected: bool
    threads: int

    @classmethod
    def of(cls, model: GeneralizedModel) -> SortedRows | None:
        """Sort the rows; None for a model the kernel is not for."""
        compiled, groups = model.observations.compiled, model.rows.groups
        if compiled is None or len(groups) != 1 or groups[0].Z.shape[1] > MOST_COLUMNS:
            return None
        order = groups[0].order
        parts: tuple[Floats, ...]
        parts = compiled.y, compiled.weights, model.offset, model.rows.X, groups[0].Z
        if np.any(order[1:] < order[:-1]):
            parts = tuple(a[order] if a.size else a for a in parts)
        y, weights, offset, X, Z = (np.ascontiguousarray(a, dtype=np.float64) for a in parts)
        expected = model.expected and (compiled.family, compiled.link) not in CANONICAL
        threads = compiled.threads
        return cls(y, weights, offset, X, Z, groups[0].pointer, compiled, expected, threads)


@dataclass(frozen=True, slots=True)
class Entries:
    """Which elements of Lambda (Q, Q) of the block are free, in the order of theta."""

    rows: Codes
    columns: Codes

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, covariance: Partition, *, full: bool = False) -> Entries:
        """The parameters' elements, or all elements of every term's Lambda."""
        rows, columns = [], []
        places = covariance.columns_of_terms()
        for structure, (_, where) in zip(covariance.structures, places, strict=True):
            own = np.indices((structure.size,) * 2).reshape(2, -1) if full else structure.entries
            rows.append(np.asarray(own[0]) + where.start)
            columns.append(np.asarray(own[1]) + where.start)
        return cls(np.concatenate(rows).astype(np.int32), np.concatenate(columns).astype(np.int32))


@dataclass(frozen=True, slots=True)
class Found:
    """What one call of the kernel says."""

    value: float
    u: Floats
    scores: Floats
    Xi: Floats
    gradient: Floats
    hessian: Floats
    integral: float
    integral_gradient: Floats


class OneFactorProblem(LaplaceProblem):
    """``LaplaceProblem`` of one grouping factor, fixed effects among the parameters.

    Parameters
    ----------
    model : GeneralizedModel
    partition : JointPartition
    rows : SortedRows
    u : (J, q) array or None, where the first search for modes begins
    """

    def __init__(
        self,
        model: GeneralizedModel,
        partition: JointPartition,
        rows: SortedRows,
        u: Floats | None = None,
    ) -> None:
        super().__init__(model, partition, joint=False)
        self.rows = rows
        self.entries = Entries.of(partition.covariance)
        self._fixed: tuple[float, float, float] | None = None
        shape = rows.pointer.size - 1, rows.Z.shape[1]
        self.u = np.zeros(shape) if u is None else u

    def reordered(self, partition: Any) -> OneFactorProblem:
        """The same criterion with the columns of Lambda in another order."""
        return OneFactorProblem(self.model, partition, self.rows, self.u)

    def _constants(self, dispersion: float) -> tuple[float, float, float]:
        """Of the data and the dispersion: once where that is known."""
        if self.model.observations.estimates_dispersion:
            return self.rows.compiled.constants(dispersion)
        if self._fixed is None:
            self._fixed = self.rows.compiled.constants(dispersion)
        return self._fixed

    def joined(self, factors: Sequence[Floats]) -> Floats:
        """Lambda (Q, Q) of the block from those of its terms."""
        if len(factors) == 1:
            return np.ascontiguousarray(factors[0])
        out = np.zeros((self.rows.Z.shape[1],) * 2)
        places = self.partition.covariance.columns_of_terms()
        for factor, (_, where) in zip(factors, places, strict=True):
            out[where, where] = factor
        return out

    def evaluate(self, theta: Floats) -> OneFactorEvaluation:
        """Find the modes; value, gradient and Hessian come with them.

        Raises
        ------
        ConvergenceError
            If the modes are not found.
        """
        Lambda = self.joined(self.partition.term_factors(theta))
        found = self.run(theta, Lambda, self.u, self.entries)
        self.u = found.u
        return OneFactorEvaluation(self, theta, Lambda, found)

    def run(
        self,
        theta: Floats,
        Lambda: Floats,
        u: Floats,
        entries: Entries,
        *,
        inverse: Floats | None = None,
        model: tuple[Floats, Floats, Floats] | None = None,
        fisher: bool = False,
        nodes: tuple[Floats, Floats] | None = None,
    ) -> Found:
        """One call of the kernel.

        Parameters
        ----------
        theta : the point, of which only fixed effects and dispersion are used
        Lambda : (Q, Q) array, any square root of the covariance matrix
        u : (J, Q) array, where to begin; not changed
        entries : Entries, the elements of Lambda that are parameters
        inverse : (J, Q, Q) array to fill with Lambda M^-1 Lambda', if wanted
        model : three arrays to fill with the sums of the working linear model, if wanted
        fisher : bool, with expected weights in it
        nodes : (K, q) nodes and (K,) log weights for the criterion by quadrature, if wanted
        """
        rows, family = self.rows, self.rows.compiled
        beta, dispersion = self.parts(theta)
        assert beta is not None
        dispersed = self.model.observations.estimates_dispersion
        m = entries.rows.size + beta.size + dispersed
        u, scores = np.array(u), np.empty_like(u)
        Xi, gradient, hessian = np.empty_like(Lambda), np.empty(m), np.empty((m, m))
        x, log_weights = (_NO_NODES, _NONE) if nodes is None else nodes
        integral_gradient = _NONE if nodes is None else np.empty(m)
        state, value, integral = one_factor(
            family.family, family.link, rows.y, rows.weights, rows.offset, rows.X, rows.Z,
            rows.pointer, family.top, dispersed, rows.expected, Lambda, beta, dispersion,
            entries.rows, entries.columns, u, scores,
            _NO_BLOCKS if inverse is None else inverse, Xi, gradient, hessian,
            *((_NONE,) * 3 if model is None else model), fisher, x, log_weights, integral_gradient,
            rows.threads,
        )  # fmt: skip
        if state or not math.isfinite(value):
            raise ConvergenceError(_FAILURES[state or 1])
        constants = self._constants(dispersion)
        value -= 2.0 * constants[0]
        if dispersed:
            gradient[-1] -= 2.0 * constants[1]
            hessian[-1, -1] -= 2.0 * constants[2]
        if nodes is not None:
            integral -= 2.0 * constants[0]
            integral_gradient[-1] -= 2.0 * constants[1] if dispersed else 0.0
        return Found(value, u, scores, Xi, gradient, hessian, integral, integral_gradient)


class OneFactorEvaluation(LaplaceEvaluation):
    """The criterion at one point, with its exact Hessian; see ``optimize.problem.Evaluation``."""

    problem: OneFactorProblem

    def __init__(
        self, problem: OneFactorProblem, theta: Floats, Lambda: Floats, found: Found
    ) -> None:
        _, dispersion = problem.parts(theta)
        fields = {
            "problem": problem, "theta": theta, "Lambda": (Lambda,), "dispersion": dispersion,
            "found": found, "value": found.value,
        }  # fmt: skip
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    found: Found

    memory = (1, -math.inf)  # the Hessian is exact: steps taken say nothing more of it

    def information_of_beta(self) -> Floats:
        """(p, p) X'V^-1 X of the working linear model."""
        return self._sums[2]

    @cached_property
    def point(self) -> Point:
        """The modes, linear predictor, scores and weights of the rows."""
        model, u = self.problem.model, (self.found.u,)
        beta, _ = self.problem.parts(self.theta)
        assert beta is not None
        eta = model.predictor(beta, [np.ascontiguousarray(u[0] @ self.Lambda[0].T)])
        loglik, score, weight = model.observations.newton(eta, self.dispersion)
        return Point(u, beta, eta, score, weight, float(np.vdot(u[0], u[0])) - 2.0 * loglik)

    @cached_property
    def sigma_slopes(self) -> tuple[Floats, ...]:
        """Xi = df/dSigma per term."""
        return self.problem.partition.covariance.per_term_square([self.found.Xi])

    @property
    def gradient(self) -> Floats:
        """Df in theta, beta and log dispersion."""
        return self.found.gradient

    @cached_property
    def hessian(self) -> Floats:
        """The exact one where it is positive definite, else a semidefinite model of it.

        Rows of a vanished column of Lambda are zero, as its first derivatives are identically.
        """
        exact = np.array(self.found.hessian)
        still = (self.gradient == 0) & (self.theta == 0)
        exact[still] = exact[:, still] = 0.0
        moving = exact[np.ix_(~still, ~still)] if still.any() else exact
        diagonal = np.diagonal(moving)
        if diagonal.size and float(diagonal.min()) > 0.0:
            root = np.sqrt(diagonal)
            moving = moving / (root[:, None] * root)
            moving[np.diag_indices_from(moving)] -= _DEFINITE
            if scipy.linalg.lapack.dpotrf(moving, clean=False)[1] == 0:
                return exact
        return super().hessian

    @cached_property
    def _sums(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Sums over levels of p p' K, p K_x and X'V^-1 X of the working linear model.

        With them Lambda M^-1 Lambda' of every level, as the optimum needs both.
        """
        problem = self.problem
        q, p = self.found.u.shape[1], problem.model.p
        sums = np.empty(q**4), np.empty(q * q * p), np.empty(p * p)
        Lambda, entries = self.Lambda[0], problem.entries
        inverse = np.empty((*self.found.u.shape, q))
        # Observed weights of both signs need not give a positive model.
        fisher = bool((self.point.weight < 0).any())
        problem.run(
            self.theta, Lambda, self.found.u, entries, inverse=inverse, model=sums, fisher=fisher
        )
        XX = sums[2].reshape(p, p)
        if p:
            # Weights that vanish where groups are separated, or negative ones, leave it singular.
            values, vectors = np.linalg.eigh(XX)
            least = 1e-10 * float(np.vdot(problem.rows.X, problem.rows.X)) / p
            if values[0] < least:
                XX = (vectors * np.maximum(values, least)) @ vectors.T
        return sums[0].reshape(q, q, q, q), sums[1].reshape(q, q, p), XX, inverse

    def _information(self, slopes: list[Floats]) -> tuple[Floats, Floats, Floats]:
        """C'Z'V^-1 Z C, X'V^-1 Z C, X'V^-1 X for changes of Sigma given as (m, q, q) per term."""
        (S,), where = self.problem.partition.covariance.block_slopes(slopes)
        S = S[where]
        pK, pX, XX, _ = self._sums
        CC = np.einsum("jca,kdb,abcd->jk", S, S, pK, optimize=True)
        XC = np.einsum("jca,acp->pj", S, pX)
        return CC, XC, XX

    def conditional_variances(self) -> tuple[Floats, ...]:
        """(J, q, q): Lambda M^-1 Lambda'."""
        return (self._sums[3],)

    def callers_hessian(self, coordinates: Coordinates, theta: Floats) -> Floats:
        """Second derivatives with theta in the caller's units, the others in working ones.

        Lambda = T^-1 (caller's Lambda) is a square root of the working covariance matrix, linear
        in the caller's theta: the chain rule has no second term.
        """
        problem = self.problem
        covariance = problem.partition.covariance
        roots = [
            basis.inverse @ factor
            for basis, factor in zip(
                coordinates.random, covariance.term_factors(theta), strict=True
            )
        ]
        Lambda = problem.joined(roots)
        entries = Entries.of(covariance, full=True)
        u = np.ascontiguousarray(self.found.scores @ Lambda)
        whole = problem.run(self.theta, Lambda, u, entries).hessian
        k, extra = theta.size, whole.shape[0] - entries.rows.size
        chain = np.zeros((whole.shape[0], k + extra))
        chain[entries.rows.size :, k:] = np.eye(extra)
        row = column = 0
        for structure, basis in zip(covariance.structures, coordinates.random, strict=True):
            q = structure.size
            # Element (i, j) of the caller's Lambda moves column j of the working one.
            for place, (i, j) in enumerate(zip(*structure.entries, strict=True)):
                chain[row + np.arange(q) * q + j, column + place] = basis.inverse[:, i]
            row, column = row + q * q, column + structure.n_theta
        found: Floats = chain.T @ whole @ chain
        return found
