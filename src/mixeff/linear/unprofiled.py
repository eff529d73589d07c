"""The deviance as a function of theta AND the residual variance: what profiles of variances need.

    f(theta, omega) = log|M| + n (log(2 pi) + omega) + r^2 exp(-omega),   omega = log sigma^2,

whose minimum over omega is the profiled deviance (Bates et al. 2015, eq. 27 to 34). With Sigma
relative to sigma^2 the covariance of y is sigma^2 V, so along omega its derivative is itself: with
s_j = y'P V_j P y the average information is

    [[t_j'P t_k / sigma^2,  s_j / sigma^2], [., r^2 / sigma^2]].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import DesignError
from mixeff.factor import kernels
from mixeff.factor.threads import one_blas_thread
from mixeff.linear import sigma_coordinates
from mixeff.linear.criterion import LinearCriterion, LinearEvaluation, positive_part, rounding
from mixeff.linear.small import search_arrays

Floats = NDArray[np.float64]


class UnprofiledCriterion:
    """f(theta, omega) of a criterion by maximum likelihood; omega is the last parameter.

    Parameters
    ----------
    criterion : LinearCriterion, not REML
    """

    def __init__(self, criterion: LinearCriterion) -> None:
        self.criterion = criterion
        self.arrays = search_arrays(criterion)

    def evaluate(self, z: Floats) -> UnprofiledSmall | UnprofiledBlocked:
        """Evaluate at z = (theta, omega), (k + 1,); derivatives where they are asked for.

        Raises
        ------
        ConvergenceError, DesignError
            As ``LinearCriterion.evaluate``.
        """
        if self.arrays is not None:
            return self._compiled(z)
        with one_blas_thread():
            return UnprofiledBlocked(self.criterion.evaluate(z[:-1]), z)

    def _compiled(self, z: Floats) -> UnprofiledSmall:
        assert self.arrays is not None
        theta = np.ascontiguousarray(z[:-1])
        found = kernels.small_unprofiled(
            *self.arrays.parts, self.criterion.system.n, theta, float(z[-1])
        )
        broken, value, pwrss, gradient, hessian, slopes, beta = found
        if broken:
            self.criterion.evaluate(theta)  # says what is wrong
            raise DesignError("The fixed-effects columns are linearly dependent to rounding.")
        return UnprofiledSmall(self.criterion, z, value, pwrss, gradient, hessian, slopes, beta)


@dataclass(frozen=True, slots=True)
class UnprofiledSmall:
    """f at one point, by the compiled kernel of small models; see ``UnprofiledBlocked``."""

    criterion: LinearCriterion
    z: Floats
    value: float
    pwrss: float
    gradient: Floats
    hessian: Floats
    slopes: Floats
    beta: Floats

    @property
    def noise(self) -> float:
        """Rounding error of the value."""
        return rounding(self.criterion, self.pwrss)

    @property
    def sigma_slopes(self) -> tuple[Floats, ...]:
        """Xi = df/dSigma per term."""
        found, first = [], 0
        for structure in self.criterion.partition.structures:
            last = first + structure.size**2
            found.append(self.slopes[first:last].reshape(structure.size, structure.size))
            first = last
        return tuple(found)

    def curvature_along(self, term: int, direction: Floats) -> float:
        """Average information (omega profiled out) for Sigma_term + t v v', at t = 0."""
        return self.criterion.evaluate(self.z[:-1]).curvature_along(term, direction)


@dataclass(frozen=True, eq=False)
class UnprofiledBlocked:
    """f at one point.

    Attributes
    ----------
    evaluation : LinearEvaluation, the profiled deviance at theta
    z : (k + 1,) array, theta and omega
    """

    evaluation: LinearEvaluation
    z: Floats

    @property
    def pwrss(self) -> float:
        """r^2 at theta."""
        return self.evaluation.factor.pwrss

    @property
    def beta(self) -> Floats:
        """(p,) generalized least squares coefficients at theta."""
        return self.evaluation.factor.beta()

    @property
    def noise(self) -> float:
        """Rounding error of the value."""
        return self.evaluation.noise

    @property
    def _nu(self) -> int:
        return self.evaluation.criterion.degrees

    @property
    def _ratio(self) -> float:
        """r^2 exp(-omega)."""
        return self.pwrss * math.exp(-float(self.z[-1]))

    @property
    def value(self) -> float:
        """f."""
        profiled = self.evaluation.value
        if not math.isfinite(profiled):
            return profiled
        ratio = self._ratio
        return profiled + ratio - self._nu * (1.0 + math.log(ratio / self._nu))

    @cached_property
    def _squares(self) -> tuple[Floats, ...]:
        """z_i'z_i exp(-omega) per term."""
        part = self._ratio / self._nu
        return tuple(part * w for w in self.evaluation.squares)

    @cached_property
    def sigma_slopes(self) -> tuple[Floats, ...]:
        """Xi = df/dSigma per term."""
        return tuple(H - w for H, w in zip(self.evaluation.traces, self._squares, strict=True))

    @cached_property
    def gradient(self) -> Floats:
        """(k + 1,)."""
        partition = self.evaluation.criterion.partition
        factors = partition.term_factors(self.z[:-1])
        pairs = zip(self.sigma_slopes, factors, strict=True)
        own = partition.pull_back([2.0 * Xi @ Lambda for Xi, Lambda in pairs])
        return np.append(own, self._nu - self._ratio)

    @cached_property
    def hessian(self) -> Floats:
        """(k + 1, k + 1) positive semidefinite model."""
        partition, theta = self.evaluation.criterion.partition, self.z[:-1]
        k = partition.n_theta
        T = sigma_coordinates.derivative(partition, partition.term_factors(theta))
        scores = [sigma_coordinates.matrix_to_slopes(w) for w in self._squares]
        out = np.empty((k + 1, k + 1))
        out[:k, :k] = self._ratio / self._nu * (T.T @ self.evaluation.forms @ T)
        out[:k, k] = out[k, :k] = T.T @ np.concatenate(scores)
        out[k, k] = self._ratio
        first = 0
        for structure, Xi in zip(partition.structures, self.sigma_slopes, strict=True):
            last = first + structure.n_theta
            out[first:last, first:last] += structure.second_order(positive_part(Xi))
            first = last
        return out

    def curvature_along(self, term: int, direction: Floats) -> float:
        """Average information (omega profiled out) for Sigma_term + t v v', at t = 0."""
        return self.evaluation.curvature_along(term, direction)
