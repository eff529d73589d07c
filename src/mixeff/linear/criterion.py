"""The profiled deviance and REML criterion of a linear mixed model, with exact derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.errors import DesignError
from mixeff.factor.system import Factor, System
from mixeff.linear import sigma_coordinates
from mixeff.linear.traces import (
    FAR,
    Continued,
    ExactTraces,
    TraceMemory,
    corrected,
    curvature,
    too_far,
)

Floats = NDArray[np.float64]

# Below this mean square (relative to the least-squares residuals of y on X alone) the penalized
# residual is the rounding error of a subtraction.
_EXACT_FIT = 1e-12
_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)  # of r^2, relative to y'Wy
_LATE = 1e-3  # predicted gain of a step below which third derivatives hardly matter
_FAR_OFF = 0.1  # predicted gain of a step from which on scoring in Sigma is the better step
_AGREE = 0.2  # observed and average information may differ by one over this
_TRUSTED = 1e7  # with larger theta that subtraction cancels for any data


@dataclass(frozen=True)
class LinearCriterion:
    """Minus twice the profiled log-likelihood (Bates et al. 2015, eq. 34 and 42).

    Attributes
    ----------
    system : System, the cross-products in working coordinates
    partition : Partition, theta -> Lambda
    reml : bool
    memory : TraceMemory or None
        Where the latest exact traces are kept, if late evaluations are to do without their own.
    """

    system: System
    partition: Partition
    reml: bool
    memory: TraceMemory | None = field(default=None, compare=False)

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
    continued: Continued | None = field(init=False, default=None)
    _curvature: Floats | None = field(init=False, default=None)  # of the traces, with exact ones

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
    def _squares(self) -> tuple[Floats, ...]:
        return tuple((z.T @ z) / self.sigma2 for z in self._scores)

    @property
    def traces(self) -> tuple[Floats, ...]:
        """H_i = dlog|V| / dSigma_i per term, (q, q) symmetric."""
        return self._exact_traces if self.continued is None else self.continued.traces

    @property
    def squares(self) -> tuple[Floats, ...]:
        """z_i'z_i / sigma^2 per term, at the ``sigma2`` of this point."""
        return self._squares

    @property
    def forms(self) -> Floats:
        """(k, k) t_j'P t_k / sigma^2 in the coordinates of Sigma."""
        return self._forms

    @cached_property
    def sigma_slopes(self) -> tuple[Floats, ...]:
        """Xi_i = dd/dSigma_i = H_i - z_i'z_i / sigma^2 per term, (q, q) symmetric."""
        return tuple(H - w for H, w in zip(self.traces, self._squares, strict=True))

    @cached_property
    def _exact_traces(self) -> tuple[Floats, ...]:
        """H_i per term, remembered for the points to come."""
        criterion = self.criterion
        if self.factor.inverts_in_place:
            _ = self._sigma_information  # needs the factor, which the inverse overwrites
        wanted = criterion.memory is not None
        found = self.factor.trace_blocks(criterion.reml, wanted)
        traces = criterion.partition.per_term_square(found)
        if criterion.memory is None:
            return traces
        K = curvature(criterion.partition, self.factor, traces, self._squares, self._forms)
        if K is not None:
            record = ExactTraces(criterion.reml, self._sigma, traces, self._logdet, K)
            criterion.memory.latest = corrected(record, criterion.memory.latest)
            object.__setattr__(self, "_curvature", criterion.memory.latest.curvature)
        return traces

    @property
    def error(self) -> float:
        """What the error of the gradient may cost, in deviance units; 0 if it is exact."""
        return 0.0 if self.continued is None else self.continued.error

    def guess(self) -> LinearEvaluation | None:
        """The same point with traces continued from the latest exact ones, or None.

        Value, scores and average information are exact: only the traces in the gradient are not.
        """
        memory = self.criterion.memory
        if memory is None or memory.latest is None or not math.isfinite(self.value):
            return None
        if memory.latest.reml is not self.criterion.reml:
            return None
        information = self._sigma_information
        continued = memory.latest.continued(self._sigma, self._logdet, information)
        if continued is None:
            return None
        twin = copy(self)  # with all that was computed here
        object.__setattr__(twin, "continued", continued)
        return twin

    def scored(self) -> Floats | None:
        """Theta after a step of Fisher scoring in the covariances themselves, far from the optimum.

        For balanced designs it ends at the optimum wherever it starts, as the moment equations are
        linear in the variances; no quadratic model in theta knows that. None where K is not known,
        where the step gains little, or where it is so long that it says little.
        """
        K = self._curvature if self.continued is None else self.continued.curvature
        if K is None:
            return None
        pack = sigma_coordinates.matrix_to_slopes
        slopes = np.concatenate([pack(Xi) for Xi in self.sigma_slopes])
        traces = slopes + np.concatenate([pack(w) for w in self._squares])
        expected = K - np.outer(traces, traces) / self.criterion.degrees
        if not np.linalg.eigvalsh(expected)[0] > 0:
            return None
        change = np.asarray(np.linalg.solve(expected, -slopes), dtype=np.float64)
        # sigma^2 is scored with them: the step is one of sigma^2 Sigma and sigma^2.
        residual = 1.0 - float(traces @ change) / self.criterion.degrees
        if not (-0.5 * float(slopes @ change) > _FAR_OFF and residual > 0):
            return None
        change /= residual
        changes = sigma_coordinates.unpack(change, [w.shape[0] for w in self._squares])
        new = [S + U for S, U in zip(self._sigma, changes, strict=True)]
        if any(too_far(S, old, FAR) for S, old in zip(new, self._sigma, strict=True)):
            return None
        roots = [np.asarray(np.linalg.cholesky(S), dtype=np.float64) for S in new]
        return self.criterion.partition.from_factors(roots)

    @cached_property
    def _factors(self) -> tuple[Floats, ...]:
        """Lambda per term."""
        return self.criterion.partition.term_factors(self.theta)

    @cached_property
    def _sigma(self) -> tuple[Floats, ...]:
        return tuple(L @ L.T for L in self._factors)

    @property
    def _logdet(self) -> float:
        return self.factor.logdet_random + (self.factor.logdet_fixed if self.criterion.reml else 0)

    @cached_property
    def gradient(self) -> Floats:
        """(k,) dd/dtheta, the lower triangle of 2 Xi Lambda."""
        partition = self.criterion.partition
        pairs = zip(self.sigma_slopes, self._factors, strict=True)
        return partition.pull_back([2.0 * Xi @ Lambda for Xi, Lambda in pairs])

    @property
    def average_information(self) -> Floats:
        """(k, k) AI_jk = t_j'P t_k / sigma^2 - (y'PV_jPy)(y'PV_kPy) / (nu sigma^4), psd."""
        return self._pulled_back(self._sigma_information)

    def _pulled_back(self, information: Floats) -> Floats:
        """From the coordinates of Sigma to theta."""
        T = sigma_coordinates.derivative(self.criterion.partition, self._factors)
        return np.asarray(T.T @ information @ T)

    @cached_property
    def _forms(self) -> Floats:
        """(k, k) t_j'P t_k / sigma^2 in the coordinates of Sigma."""
        blocks, where = sigma_coordinates.basis_of_blocks(self.criterion.partition)
        forms = self.factor.information(self._block_scores, blocks)[where]
        return np.asarray(0.5 * (forms + forms.T) / self.sigma2)

    @cached_property
    def _sigma_information(self) -> Floats:
        """Average information in the coordinates of Sigma."""
        # y'P V_j P y of all coordinates
        slopes = np.concatenate([sigma_coordinates.matrix_to_slopes(w) for w in self._squares])
        forms = self._forms
        if self.criterion.memory is None:
            del self.__dict__["_forms"]  # only the curvature of traces would ask for them again
        return forms - np.outer(slopes, slopes) / self.criterion.degrees

    @cached_property
    def hessian(self) -> Floats:
        """(k, k) positive semidefinite model: AI + 2 [Xi]_+ on entries of one column of Lambda.

        Average information converges linearly, slowly so where a factor has few levels. Close to
        an optimum the observed information stands in its place where the curvature of the traces
        is known.
        """
        Xi = [positive_part(slope) for slope in self.sigma_slopes]
        model = self.average_information + self._bend(Xi)
        observed = self._observed_information
        if observed is None or not _near(self.gradient, model):
            return model
        better = observed + self._bend(self.sigma_slopes)
        return better if _agree(better, model) else model

    def _bend(self, slopes: Sequence[Floats]) -> Floats:
        """(k, k) what the curvature of Sigma in theta adds: <slope, d2Sigma> per term."""
        partition = self.criterion.partition
        out = np.zeros((partition.n_theta, partition.n_theta))
        first = 0
        for structure, slope in zip(partition.structures, slopes, strict=True):
            last = first + structure.n_theta
            out[first:last, first:last] = structure.second_order(slope)
            first = last
        return out

    @property
    def _observed_information(self) -> Floats | None:
        """(k, k) second derivative along Sigma: 2 t_j'P t_k - ... minus K; None if K is unknown."""
        K = self._curvature if self.continued is None else self.continued.curvature
        if K is None:
            return None
        return self._pulled_back(self._sigma_information + self._forms - K)

    def curvature_along(self, term: int, direction: Floats) -> float:
        """Average information for Sigma_term + t v v', at t = 0."""
        changes = [np.zeros((z.shape[1], z.shape[1])) for z in self._scores]
        changes[term] = np.outer(direction, direction)
        step = sigma_coordinates.pack(changes)
        return float(step @ self._sigma_information @ step)


def rounding(criterion: LinearCriterion, pwrss: float) -> float:
    """What the rounding of r^2 (working units) makes of the criterion nu log r^2."""
    if not pwrss > 0:
        return 0.0
    return _ROUNDING * criterion.degrees * criterion.system.n / pwrss


def _near(gradient: Floats, hessian: Floats) -> bool:
    """A Newton step gains less than ``_LATE``."""
    values, vectors = np.linalg.eigh(hessian)
    if not values[0] > 0:
        return False
    slope = vectors.T @ gradient
    return 0.5 * float(slope @ (slope / values)) < _LATE


def _agree(new: Floats, old: Floats) -> bool:
    """Both positive definite and within a factor of each other in every direction."""
    try:
        root = np.linalg.inv(np.linalg.cholesky(old))
    except np.linalg.LinAlgError:
        return False
    values = np.linalg.eigvalsh(root @ new @ root.T)
    return bool(values[0] > _AGREE and values[-1] < 1.0 / _AGREE)


def positive_part(symmetric: Floats) -> Floats:
    """The nearest positive semidefinite matrix."""
    if symmetric.shape[0] == 1:
        return np.maximum(symmetric, 0.0)
    values, vectors = np.linalg.eigh(0.5 * (symmetric + symmetric.T))
    out: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return out
