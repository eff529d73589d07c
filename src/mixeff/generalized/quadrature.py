"""Adaptive Gauss-Hermite quadrature for one grouping factor, with its exact gradient.

The integral over the random effects of a level is taken on a product grid put over the mode and
scaled by the Cholesky factor of the penalized information there (Pinheiro and Bates 1995):
with M = T T' and nodes u_k = u + T^-T x_k

    f_l = log|M_l| - 2 log sum_k w_k exp(|x_k|^2 / 2 + log p(y_l | u_k) - |u_k|^2 / 2).

One node is Laplace; all constants are kept. The nodes move with the parameters, so the gradient
is taken through modes and factors by the same adjoint solve as Laplace's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.laplace import LaplaceEvaluation, LaplaceProblem
from mixeff.generalized.pirls import solve_effects
from mixeff.generalized.working import GeneralizedModel
from mixeff.linear.coordinates import Coordinates

Floats = NDArray[np.float64]

MOST_NODES, MOST_COLUMNS = 100, 3


@lru_cache(maxsize=32)
def grid(n_nodes: int, q: int) -> tuple[Floats, Floats]:
    """(K, q) nodes and (K,) log weights of a product rule for the standard normal, K = n^q."""
    x, w = np.polynomial.hermite_e.hermegauss(n_nodes)
    log_w = np.log(w) - 0.5 * math.log(2.0 * math.pi)
    nodes = np.array(list(product(x, repeat=q)))
    return nodes, np.array([sum(part) for part in product(log_w, repeat=q)])


def check_quadrature(model: GeneralizedModel, n_agq: int) -> None:
    """Refuse what quadrature cannot do.

    Raises
    ------
    OptionError
        More than one grouping factor, too many random effects per level, or too many nodes.
    """
    groups = model.rows.groups
    if len(groups) != 1:
        raise OptionError(
            f"n_agq={n_agq} needs one grouping factor, and this model has {len(groups)}: their "
            "random effects cannot be integrated out level by level. Use n_agq=1 (Laplace)."
        )
    q = groups[0].Z.shape[1]
    if q > MOST_COLUMNS:
        raise OptionError(
            f"n_agq={n_agq} with {q} random effects per level would need {n_agq}^{q} nodes for "
            f"each level; at most {MOST_COLUMNS} random effects are allowed. Use n_agq=1 (Laplace)."
        )
    if n_agq > MOST_NODES:
        raise OptionError(f"n_agq must be at most {MOST_NODES}, not {n_agq}.")


class QuadratureProblem(LaplaceProblem):
    """The quadrature criterion as ``optimize`` wants it.

    Boundary conditions and the model of the Hessian are those of the Laplace approximation: at a
    vanished covariance matrix both criteria have the same slope.
    """

    n_nodes: int = 1

    def with_nodes(self, n_nodes: int) -> QuadratureProblem:
        """Set the number of nodes per random effect."""
        self.n_nodes = n_nodes
        return self

    def reordered(self, partition: object) -> QuadratureProblem:
        """Columns of Lambda in another order would turn the grid: the same problem stays."""
        return self

    def evaluate(self, theta: Floats) -> QuadratureEvaluation:
        """Find the modes and sum over the nodes."""
        inner = super().evaluate(theta)
        return QuadratureEvaluation(
            inner.problem, inner.theta, inner.Lambda, inner.dispersion, inner.modes,
            n_nodes=self.n_nodes,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Levels:
    """The integrands: (J, q, q) A = T^-T and M^-1, and posterior weights (J, K) of the nodes."""

    A: Floats
    inverse: Floats
    weights: Floats
    value: float


@dataclass(frozen=True, eq=False)
class QuadratureEvaluation(LaplaceEvaluation):
    """The criterion at one point. ``inner`` parts are those of Laplace."""

    n_nodes: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self._levels.value)

    def _nodes(self, A: Floats) -> Iterator[tuple[Floats, RowTerms]]:
        """Per node: effects (J, q) and the rows' terms."""
        model, point = self.problem.model, self.point
        (group,), (Lambda,), (u,) = model.rows.groups, self.Lambda, point.u
        nodes, _ = grid(self.n_nodes, u.shape[1])
        for x in nodes:
            moved = A @ x
            eta = np.array(point.eta)
            model.rows.add_effects(eta, [moved @ Lambda.T])
            yield u + moved, model.terms(eta, self.dispersion)
        assert group.n_levels == u.shape[0]

    @cached_property
    def _levels(self) -> _Levels:
        model = self.problem.model
        (group,), (Lambda,) = model.rows.groups, self.Lambda
        self._observed()
        gram = model.bare.products.groups[0].gram
        M = Lambda.T @ gram @ Lambda + np.eye(Lambda.shape[0])
        T = np.linalg.cholesky(M)
        A = np.ascontiguousarray(np.linalg.inv(T).transpose(0, 2, 1))
        nodes, log_w = grid(self.n_nodes, Lambda.shape[0])
        logs = np.empty((group.n_levels, nodes.shape[0]))
        for k, (u, terms) in enumerate(self._nodes(A)):
            logs[:, k] = np.bincount(group.codes, terms.loglik, group.n_levels)
            logs[:, k] += log_w[k] + 0.5 * (nodes[k] @ nodes[k] - (u * u).sum(axis=1))
        top = logs.max(axis=1)
        weights = np.exp(logs - top[:, None])
        total = weights.sum(axis=1)
        logdet = 2.0 * float(np.log(np.diagonal(T, axis1=1, axis2=2)).sum())
        value = logdet - 2.0 * float((top + np.log(total)).sum())
        return _Levels(A, A @ A.transpose(0, 2, 1), weights / total[:, None], value)

    @cached_property
    def gradient(self) -> Floats:
        """Df in theta, beta and log dispersion."""
        model, terms = self.problem.model, self.terms
        rows, (group,), (Lambda,) = model.rows, model.rows.groups, self.Lambda
        sums = self._node_sums()
        levels, M_bar = self._levels, self._information_slopes(sums.A_bar)
        leverage = rows.quadratic([Lambda @ M_bar @ Lambda.T], {})
        g = terms.weight_slope * leverage
        (right,), _ = rows.products(g)
        factor = self._observed()
        gram = np.array(model.bare.products.groups[0].gram)
        (a,), _ = solve_effects(factor, [right @ Lambda + sums.u_bar], None)
        t = np.zeros_like(g)
        rows.add_effects(t, [a @ Lambda.T])
        (p,), _ = rows.products(terms.score)
        (v,), Xv = rows.products(g - terms.weight * t)
        (u,) = self.point.u
        slope = sums.Lambda_bar + v.T @ u + p.T @ a
        slope += 2.0 * np.einsum("lab,bc,lcd->ad", gram, Lambda, M_bar)
        slope[:, ~np.any(Lambda != 0.0, axis=0)] = 0.0  # even in a vanished column
        covariance = self.problem.partition.covariance
        parts = [covariance.pull_back(covariance.per_term_square([slope])), sums.beta_bar + Xv]
        if model.observations.estimates_dispersion:
            assert terms.weight_r is not None
            assert terms.score_r is not None
            own = sums.dispersion_bar + terms.weight_r @ leverage + terms.score_r @ t
            parts.append(np.array([own]))
        assert levels.weights.shape[0] == group.n_levels
        return np.concatenate(parts)

    def callers_gradient(self, coordinates: Coordinates, theta: Floats) -> Floats:
        """As Laplace's, by the chain rule: the grid turns when Lambda is made triangular again."""
        return turned_gradient(self, coordinates, theta)

    def _information_slopes(self, A_bar: Floats) -> Floats:
        """(J, q, q) df/dM: of log|M| and, through A = T^-T, of the places of the nodes."""
        A = self._levels.A
        K = A_bar.transpose(0, 2, 1) @ A
        lower = np.tril(K)
        index = np.arange(K.shape[1])
        lower[:, index, index] *= 0.5
        S = 0.5 * (lower + lower.transpose(0, 2, 1))
        found: Floats = self._levels.inverse - A @ S @ A.transpose(0, 2, 1)
        return found

    def _node_sums(self) -> _NodeSums:
        """Direct slopes of -2 log-integrals, and those in modes and scale of the nodes."""
        model = self.problem.model
        (group,), (Lambda,) = model.rows.groups, self.Lambda
        levels, q = self._levels, Lambda.shape[0]
        nodes, _ = grid(self.n_nodes, q)
        sums = _NodeSums.zero(group.n_levels, q, model.p)
        for k, (u, terms) in enumerate(self._nodes(levels.A)):
            part = levels.weights[:, k]
            by_row = -2.0 * part[group.codes]
            (p,), Xs = model.rows.products(by_row * terms.score)
            c = p @ Lambda + 2.0 * part[:, None] * u
            sums.u_bar += c
            sums.A_bar += c[:, :, None] * nodes[k]
            sums.Lambda_bar += p.T @ u
            sums.beta_bar += Xs
            if terms.loglik_r is not None:
                sums.dispersion_bar += float(by_row @ terms.loglik_r)
        return sums


@dataclass(slots=True)
class _NodeSums:
    """Weighted sums over the nodes, of -2 log p."""

    u_bar: Floats
    A_bar: Floats
    Lambda_bar: Floats
    beta_bar: Floats
    dispersion_bar: float

    @classmethod
    def zero(cls, J: int, q: int, p: int) -> _NodeSums:
        """Nothing summed yet."""
        return cls(np.zeros((J, q)), np.zeros((J, q, q)), np.zeros((q, q)), np.zeros(p), 0.0)


def turned_gradient(
    evaluation: LaplaceEvaluation, coordinates: Coordinates, theta: Floats
) -> Floats:
    """A gradient with theta (k,) in the caller's units, where Lambda may not be turned."""
    covariance = evaluation.problem.partition.covariance
    k = theta.size
    jacobian = np.zeros((k, k))
    for j in np.flatnonzero(theta):
        step = np.zeros(k)
        step[j] = 1e-5 * np.abs(theta).max()
        up, down = (coordinates.working_theta(covariance, theta + s) for s in (step, -step))
        jacobian[:, j] = (up - down) / (2.0 * step[j])
    return np.concatenate([jacobian.T @ evaluation.gradient[:k], evaluation.gradient[k:]])
