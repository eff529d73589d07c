"""The standard set of statistics: every parameter of the model under its name in ``confint``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.wald import variance_names
from mixeff.model.scales import has_scale, scale

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]


def parameter_names(fit: MixedModel) -> tuple[str, ...]:
    """Standard deviations and correlations, sigma where there is one, coefficients."""
    return (*variance_names(fit.design, sigma=_with_sigma(fit)), *fit.design.names)


def parameters_of_fit(fit: MixedModel) -> Floats:
    """(k,) the values in the order of `parameter_names`."""
    estimate = fit.estimate
    theta, beta = estimate.theta[None, :], estimate.beta[None, :]
    if isinstance(estimate, GeneralizedEstimate):
        sigma = np.array([scale(estimate)]) if has_scale(estimate) else None
        return parameters(fit.design, theta, beta, np.ones(1), sigma).ravel()
    sigma = np.array([estimate.sigma])
    return parameters(fit.design, theta, beta, sigma, sigma).ravel()


def parameters(
    design: Design, theta: Floats, beta: Floats, unit: Floats, sigma: Floats | None
) -> Floats:
    """(m, k) parameters of m fits.

    Parameters
    ----------
    design : Design
    theta : (m, t) array, Cholesky factors as ``LinearEstimate.theta``
    beta : (m, p) array
    unit : (m,) array, what the factors are relative to: sigma, or 1
    sigma : (m,) array or None, the column ``sigma``

    Returns
    -------
    (m, k) array
        A correlation with a standard deviation of zero is NaN.
    """
    columns = []
    first = 0
    for term in design.random:
        part = theta[:, first : first + term.n_theta]
        first += term.n_theta
        columns.append(_deviations(part, term.n_columns, unit))
    if sigma is not None:
        columns.append(sigma[:, None])
    return np.hstack([*columns, beta])


def _deviations(theta: Floats, q: int, unit: Floats) -> Floats:
    """(m, q (q + 1) / 2) standard deviations on the diagonal, correlations below, by columns."""
    later, earlier = np.triu_indices(q)[::-1]
    roots = np.zeros((theta.shape[0], q, q))
    roots[:, later, earlier] = theta
    lengths = np.sqrt(np.einsum("mij,mij->mi", roots, roots))
    if q == 1:
        return np.asarray(lengths * unit[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        roots /= lengths[:, :, None]
    correlations = np.einsum("mij,mkj->mik", roots, roots)
    deviations = lengths * unit[:, None]
    same = later == earlier
    return np.asarray(np.where(same, deviations[:, later], correlations[:, later, earlier]))


def _with_sigma(fit: MixedModel) -> bool:
    estimate = fit.estimate
    return not isinstance(estimate, GeneralizedEstimate) or has_scale(estimate)
