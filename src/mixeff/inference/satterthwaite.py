"""Satterthwaite's degrees of freedom.

Satterthwaite (1946); Fai and Cornelius (1996) for several rows; as Kuznetsova, Brockhoff and
Christensen (2017) define them for mixed models: a linear function of beta has the variance
v(psi) = l' vcov(psi) l, and its estimate varies like a chi-square variable over its degrees of
freedom nu = 2 v^2 / (g' A g), with g = dv/dpsi and A the covariance of the estimates of
psi = (theta, sigma), twice the inverse of the Hessian of the (restricted) deviance, not profiled
over sigma. Gradient and Hessian are exact: with P V_j P y from the factored system and
tr(P V_j P V_k) from ``linear/trace_products.py``,

    d2/dSigma_j dSigma_k = 2 y'P V_j P V_k P y / sigma^2 - tr(P V_j P V_k)     (ML: tr(W V_j W V_k))
    dvcov/dSigma_j = sigma^2 C X'W V_j W X C ,   C = (X'W X)^-1 .
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.coefficients import covariance
from mixeff.inference.method import Method, moment_df
from mixeff.linear.sigma_coordinates import basis, derivative, pack, places, slopes_to_matrices
from mixeff.linear.variance_information import (
    VarianceInformation,
    trace_work,
    variance_information,
)
from mixeff.linear.working import Prepared, working_model

if TYPE_CHECKING:
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

LARGEST_WORK = 2e11
"""Multiplications of the traces; beyond (some ten seconds) the average information is used.

That is a dense tail of some 4,600 columns; with so many levels the two hardly differ.
"""

LARGEST_MEMORY = 6e9

_NOTHING = 1e-8  # eigenvalues of the scaled Hessian below this part of the largest count as zero

EXACT = (
    "t and F tests with Satterthwaite's degrees of freedom: the variance of an estimate taken as a "
    "multiple of chi-square."
)
AVERAGE = (
    " The Hessian of the variance parameters is the average information: exact traces would take "
    "too long for so many crossed levels."
)
SINGULAR = " The fit is singular: variances of zero count as known."


@dataclass(frozen=True)
class Satterthwaite(Method):
    """Covariance of beta with the degrees of freedom of its estimated variances.

    Attributes
    ----------
    matrix : (p, p) array, vcov(beta)
    slopes : (m, p, p) array, its derivatives in psi = (theta, sigma)
    parameter_covariance : (m, m) array, A, of the estimates of psi
    """

    matrix: Floats
    slopes: Floats
    parameter_covariance: Floats
    sentence: str = EXACT
    name = "satterthwaite"

    @property
    def covariance(self) -> Floats:
        """(p, p) covariance of beta."""
        return self.matrix

    def df(self, L: Floats) -> Floats:
        """2 v^2 / (g' A g) of each row; NaN for a row of zeros."""
        return moment_df(L, self.matrix, self.slopes, self.parameter_covariance)

    def joint_df(self, rows: Floats, t_squared: Floats) -> float:
        """Fai and Cornelius: the df for which F has the mean of the average of the t^2."""
        return pooled_df(self.df(rows))


def pooled_df(nu: Floats) -> float:
    """2 E / (E - q), E = sum nu / (nu - 2), of q independent t statistics.

    A t^2 with two or fewer degrees of freedom has no mean; then 2.
    """
    if np.all(nu == nu[0]) or np.ptp(nu) < 1e-8 * nu.max():
        return float(nu[0])
    if np.any(nu <= 2):
        return 2.0
    excess = np.sum(2.0 / (nu - 2.0))  # E - q without the cancellation
    return float("inf") if excess == 0 else float(2.0 * (excess + nu.size) / excess)


def satterthwaite(fit: MixedModel) -> Method:
    """Satterthwaite's method for a linear mixed model.

    Parameters
    ----------
    fit : MixedModel, a linear one

    Notes
    -----
    The cost is that of ``linear/trace_products.py``. Where that would be long, the Hessian's
    ``2 y'P V_j P V_k P y / sigma^2 - tr(P V_j P V_k)`` is replaced by half the first term,
    which has the same expectation for REML fits, and the method's sentence says so.
    """
    estimate: LinearEstimate = fit.estimate  # type: ignore[assignment]
    prepared = estimate.prepared or working_model(fit.design).prepared
    work = trace_work(prepared, estimate.theta, vanished=False)
    exact = work.multiplications <= LARGEST_WORK and work.memory <= LARGEST_MEMORY
    info = variance_information(prepared, estimate, exact=exact, vanished=False)
    change = sigma_in_theta(prepared, estimate.theta)
    H = _hessian(prepared, estimate, info, change)
    matrix = prepared.coordinates.fixed.matrix
    half = matrix @ info.covariance
    of_sigma = estimate.sigma**2 * (half @ info.first @ half.T)
    vcov = covariance(estimate)
    of_theta = np.tensordot(change.T, of_sigma, axes=1)
    return Satterthwaite(
        matrix=vcov,
        slopes=np.concatenate([of_theta, 2.0 * vcov[None] / estimate.sigma]),
        parameter_covariance=2.0 * _inverse(H),
        sentence=EXACT + ("" if exact else AVERAGE) + (SINGULAR if fit.is_singular else ""),
    )


def sigma_in_theta(prepared: Prepared, theta: Floats) -> Floats:
    """(m, k) derivative of the working coordinates of Sigma in the caller's theta."""
    partition = prepared.partition
    change = np.zeros((partition.n_theta, partition.n_theta))
    own = places([s.size for s in partition.structures])
    for at, chosen, s in zip(own, prepared.coordinates.random, partition.structures, strict=True):
        B = chosen.inverse
        change[at, at] = np.column_stack([pack([B @ E @ B.T]) for E in basis(s.size)])
    return np.asarray(change @ derivative(partition, partition.term_factors(theta)))


def _hessian(
    prepared: Prepared, estimate: LinearEstimate, info: VarianceInformation, change: Floats
) -> Floats:
    """Second derivatives of the unprofiled criterion in (theta, sigma)."""
    partition, products = prepared.partition, prepared.products
    degrees = products.n - (products.p if estimate.reml else 0)
    traces = info.restricted_traces if estimate.reml else info.traces
    K = info.trace_products
    if K is None:
        of_sigma = info.forms
    else:
        of_sigma = 2.0 * info.forms - (info.restricted(K) if estimate.reml else K)
    m = partition.n_theta
    H = np.empty((m + 1, m + 1))
    H[:m, :m] = change.T @ of_sigma @ change
    # Where theta ends on a boundary the slope in Sigma does not vanish, and bends with theta.
    own = places([s.size for s in partition.structures])
    slopes = slopes_to_matrices(traces - info.squares, [s.size for s in partition.structures])
    for at, s, Xi, chosen in zip(
        own, partition.structures, slopes, prepared.coordinates.random, strict=True
    ):
        back = chosen.inverse
        H[at, at] += s.second_order(back.T @ Xi @ back)
    H[m, :m] = H[:m, m] = 2.0 * (info.squares @ change) / estimate.sigma
    H[m, m] = 4.0 * degrees / estimate.sigma**2
    return H


def _inverse(H: Floats) -> Floats:
    """The inverse on the directions in which the criterion bends upwards.

    Parameters are scaled to unit curvature first. A direction without curvature (a variance of
    zero) is one the covariance of beta does not depend on either.
    """
    size = np.sqrt(np.maximum(np.diag(H), 0.0))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    values, vectors = np.linalg.eigh(scale[:, None] * H * scale)
    kept = values > _NOTHING * values[-1]
    root = scale[:, None] * vectors[:, kept] / np.sqrt(values[kept])
    return np.asarray(root @ root.T)
