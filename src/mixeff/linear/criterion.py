"""The profiled deviance and REML criterion of a linear mixed model, with exact derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.errors import DesignError
from mixeff.factor.system import Factor, System

Floats = NDArray[np.float64]

# Below this mean square (relative to the least-squares residuals of y on X alone) the penalized
# residual is the rounding error of a subtraction.
_EXACT_FIT = 1e-12
_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)  # of r^2, relative to y'Wy
_TRUSTED = 1e7  # with larger theta that subtraction cancels for any data


@dataclass(frozen=True)
class LinearCriterion:
    """Minus twice the profiled log-likelihood (Bates et al. 2015, eq. 34 and 42).

    Attributes
    ----------
    system : System, the cross-products in working coordinates
    partition : Partition, theta -> Lambda
    reml : bool
    """

    system: System
    partition: Partition
    reml: bool

    @property
    def degrees(self) -> int:
        """Nu: n, or n - p for REML."""
        return self.system.n - (self.system.p if self.reml else 0)

    def evaluate(self, theta: Floats) -> LinearEvaluation:
        """Factor the system at ``theta``; derivatives are computed when first asked for.

        Raises
        ------
        DesignError
            If the random effects reproduce the response, so that the likelihood has no maximum.
        """
        factor = self.system.factorize(self.partition.block_factors(theta))
        evaluation = LinearEvaluation(self, theta, factor)
        if evaluation.exact_fit and float(np.abs(theta).max()) < _TRUSTED:
            raise DesignError(
                "The random effects reproduce the response: what is left is less than a millionth "
                "of its standard deviation, so the residual variance cannot be told from zero and "
                "the likelihood has no maximum. Check whether the response is constant within the "
                "levels of a grouping factor."
            )
        return evaluation

    def reordered(self, partition: Partition) -> LinearCriterion:
        """The same criterion with the columns of Lambda in another order."""
        return replace(self, partition=partition)


@dataclass(frozen=True, eq=False)
class LinearEvaluation:
    """The criterion at one theta. ``value`` is +inf where the residual vanishes (no density)."""

    criterion: LinearCriterion
    theta: Floats
    factor: Factor
    value: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self._value())

    def _value(self) -> float:
        f, nu = self.factor, self.criterion.degrees
        if not f.pwrss > 0 or self.exact_fit:
            return math.inf
        fixed = f.logdet_fixed if self.criterion.reml else 0.0
        return f.logdet_random + fixed + nu * (1.0 + math.log(2.0 * math.pi * f.pwrss / nu))

    @property
    def exact_fit(self) -> bool:
        """The random effects reproduce the response: the residual variance is zero."""
        return self.factor.pwrss <= _EXACT_FIT * self.criterion.degrees

    @property
    def sigma2(self) -> float:
        """Residual variance r^2 / nu in working units."""
        return self.factor.pwrss / self.criterion.degrees

    @property
    def noise(self) -> float:
        """Rounding error of the value: r^2 is what a subtraction leaves of y'Wy = n.

        It matters where the random effects explain nearly everything; with standard deviations
        theta = 1e3 times that of the residual it is near 1e-15 n theta^2 = 1e-9 n.
        """
        return rounding(self.criterion, self.factor.pwrss)

    @cached_property
    def _block_scores(self) -> tuple[Floats, ...]:
        return self.factor.scores()

    @cached_property
    def _scores(self) -> tuple[Floats, ...]:
        return self.criterion.partition.per_term(self._block_scores)

    @cached_property
    def sigma_slopes(self) -> tuple[Floats, ...]:
        """Xi_i = dd/dSigma_i = H_i - z_i'z_i / sigma^2 per term, (q, q) symmetric."""
        if self.factor.inverts_in_place:
            _ = self.average_information  # needs the factor, which the inverse overwrites
        traces = self.criterion.partition.per_term_square(
            self.factor.trace_blocks(self.criterion.reml)
        )
        pairs = zip(traces, self._scores, strict=True)
        return tuple(H - (z.T @ z) / self.sigma2 for H, z in pairs)

    @cached_property
    def gradient(self) -> Floats:
        """(k,) dd/dtheta, the lower triangle of 2 Xi Lambda."""
        partition = self.criterion.partition
        factors = partition.term_factors(self.theta)
        pairs = zip(self.sigma_slopes, factors, strict=True)
        return partition.pull_back([2.0 * Xi @ Lambda for Xi, Lambda in pairs])

    @cached_property
    def average_information(self) -> Floats:
        """(k, k) AI_jk = t_j'P t_k / sigma^2 - (y'PV_jPy)(y'PV_kPy) / (nu sigma^4), psd."""
        partition = self.criterion.partition
        pairs = zip(partition.structures, partition.split(self.theta), strict=True)
        return self._information([s.slopes(t) for s, t in pairs])

    @cached_property
    def hessian(self) -> Floats:
        """(k, k) positive semidefinite model: AI + 2 [Xi]_+ on entries of one column of Lambda."""
        model = self.average_information.copy()
        first = 0
        pairs = zip(self.criterion.partition.structures, self.sigma_slopes, strict=True)
        for structure, Xi in pairs:
            last = first + structure.n_theta
            model[first:last, first:last] += structure.second_order(_positive_part(Xi))
            first = last
        return model

    def curvature_along(self, term: int, direction: Floats) -> float:
        """Average information for Sigma_term + t v v', at t = 0."""
        slopes = [np.zeros((0, z.shape[1], z.shape[1])) for z in self._scores]
        slopes[term] = np.outer(direction, direction)[None]
        return float(self._information(slopes)[0, 0])

    def _information(self, slopes: list[Floats]) -> Floats:
        """Average information for changes of Sigma given as (m, q, q) per term."""
        partition, sigma2 = self.criterion.partition, self.sigma2
        pairs = zip(slopes, self._scores, strict=True)
        changes = np.concatenate([np.tensordot(d, z.T @ z) for d, z in pairs])
        blocks, where = partition.block_slopes(slopes)
        information = self.factor.information(self._block_scores, blocks)[np.ix_(where, where)]
        information /= sigma2
        # y'P V_j P y of all pairs
        information -= np.outer(changes, changes) / (self.criterion.degrees * sigma2**2)
        return 0.5 * (information + information.T)


def rounding(criterion: LinearCriterion, pwrss: float) -> float:
    """What the rounding of r^2 (working units) makes of the criterion nu log r^2."""
    if not pwrss > 0:
        return 0.0
    return _ROUNDING * criterion.degrees * criterion.system.n / pwrss


def _positive_part(symmetric: Floats) -> Floats:
    """The nearest positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(0.5 * (symmetric + symmetric.T))
    out: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return out
