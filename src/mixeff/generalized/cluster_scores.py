"""Scores of independent clusters, and the sandwich covariance of the coefficients they give.

Where every level of the random effects lies in one cluster, the Laplace approximation is a sum over
clusters, and so is its gradient. With the notation of ``laplace.py`` the part of a cluster is

    dl_c/dbeta = X_c'(s - v / 2),    dl_c/dLambda = - sum_l Xi_l Lambda over the levels l in it,
    Xi_l = H_l - p_l p_l' + (p_l v_l' + v_l p_l') / 2,

with H_l Lambda = Lambda'^-1 (I - Lambda^-1 D_l Lambda'^-1) from the conditional variance D_l.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.generalized.laplace import LaplaceEvaluation, LaplaceProblem
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.working import GeneralizedModel, in_order, working_generalized

if TYPE_CHECKING:
    from mixeff.control import Control
    from mixeff.design.design import Design
    from mixeff.generalized.estimate import GeneralizedEstimate
    from mixeff.generalized.families.family import Family
    from mixeff.linear.clusters import Clusters

Floats = NDArray[np.float64]


def cluster_covariance(
    design: Design,
    family: Family,
    estimate: GeneralizedEstimate,
    clusters: Clusters,
    control: Control,
) -> Floats:
    """(p, p) B^-1 (sum_c s_c s_c') B^-1, its block of the coefficients.

    B is the Hessian of minus the log-likelihood in theta, beta and log dispersion, s_c the scores.

    Parameters
    ----------
    design : Design
    family : Family, as asked for: a shape to be estimated is not in it
    estimate : GeneralizedEstimate, a Laplace fit
    clusters : Clusters, each holding every level of the random effects entirely
    control : Control

    Raises
    ------
    OptionError
        The fit is no Laplace fit, or it is singular in several nested factors.
    """
    if estimate.n_agq != 1:
        raise OptionError(
            f"vcov: robust covariances are those of the Laplace approximation; this fit has "
            f"n_agq={estimate.n_agq}. Fit it with n_agq=1."
        )
    scores = cluster_scores(design, family, estimate, clusters, control)
    k, p = estimate.theta.size, estimate.beta.size
    B = estimate.information
    free = np.diag(B) != 0.0
    unit = 1.0 / np.sqrt(np.diag(B)[free])
    inverse = np.linalg.inv(B[np.ix_(free, free)] * np.outer(unit, unit)) * np.outer(unit, unit)
    parts = scores[:, free] @ inverse
    place = np.flatnonzero(free).searchsorted(np.arange(k, k + p))
    own = parts[:, place]
    return np.asarray(own.T @ own)


def cluster_scores(
    design: Design,
    family: Family,
    estimate: GeneralizedEstimate,
    clusters: Clusters,
    control: Control,
) -> Floats:
    """(m, k + p + d) scores of (theta, beta, log dispersion) per cluster, in the caller's units."""
    model = working_generalized(
        design, family, expected=control.laplace == "expected", threads=control.threads
    )
    evaluation = _evaluate(model, estimate)
    codes = in_order(clusters.codes, model.order)
    adjoint, point = evaluation._adjoint, evaluation.point
    determinant = evaluation._expected or evaluation.terms
    v = determinant.weight_slope * adjoint.leverage - point.weight * adjoint.t
    of_rows = [model.rows.X * (point.score - 0.5 * v)[:, None] @ model.coordinates.fixed.inverse]
    if model.observations.estimates_dispersion:
        terms = evaluation.terms
        assert terms.loglik_r is not None
        assert terms.score_r is not None
        assert determinant.weight_r is not None
        slope = determinant.weight_r * adjoint.leverage + terms.score_r * adjoint.t
        of_rows.append((terms.loglik_r - 0.5 * slope)[:, None])
    behind = np.hstack(of_rows)
    sums = np.empty((clusters.m, behind.shape[1]))
    for j, column in enumerate(behind.T):
        sums[:, j] = np.bincount(codes, column, clusters.m)
    theta = _theta_scores(model, evaluation, estimate, codes, clusters.m)
    return np.hstack([theta, sums])


def _evaluate(model: GeneralizedModel, estimate: GeneralizedEstimate) -> LaplaceEvaluation:
    """The criterion at the estimate."""
    coordinates = model.coordinates
    theta = coordinates.working_theta(model.partition, estimate.theta)
    parts = [theta, coordinates.fixed.inverse @ estimate.beta]
    if model.observations.estimates_dispersion:
        assert estimate.dispersion is not None
        parts.append(np.array([math.log(estimate.dispersion)]))
    at = np.concatenate(parts)
    partition = JointPartition(model.partition, at.size - theta.size)
    return LaplaceProblem(model, partition, joint=False).evaluate(at)


def _theta_scores(
    model: GeneralizedModel,
    evaluation: LaplaceEvaluation,
    estimate: GeneralizedEstimate,
    codes: NDArray[Any],
    m: int,
) -> Floats:
    """(m, k) scores of theta."""
    partition, adjoint = model.partition, evaluation._adjoint
    determinant = evaluation._expected or evaluation.terms
    places = partition.columns_of_terms()
    found = []
    for i, (rows, Lambda) in enumerate(zip(model.rows.groups, evaluation.Lambda, strict=True)):
        D, s, v = adjoint.blocks.diagonal[i], adjoint.scores[i], adjoint.slopes[i]
        HL = _trace_parts(model, i, Lambda, D, determinant.weight)
        sL, vL = s @ Lambda, v @ Lambda
        XL = HL - s[:, :, None] * sL[:, None, :]
        XL += 0.5 * (s[:, :, None] * vL[:, None, :] + v[:, :, None] * sL[:, None, :])
        # Levels without rows belong to no cluster and have no part in anything.
        used = np.diff(rows.pointer) > 0
        cluster = codes[rows.order[rows.pointer[:-1][used]]]
        sums = np.zeros((m, *XL.shape[1:]))
        np.add.at(sums, cluster, XL[used])
        found.append(sums)
    out = []
    for structure, basis, (block, columns) in zip(
        partition.structures, model.coordinates.random, places, strict=True
    ):
        own = basis.inverse.T @ found[block][:, columns, columns]
        rows_, columns_ = structure.entries
        out.append(-own[:, rows_, columns_])
    return np.hstack(out)


def _trace_parts(
    model: GeneralizedModel, block: int, Lambda: Floats, D: Floats, weight: Floats
) -> Floats:
    """(J, q, q) H_l Lambda of the levels of one factor."""
    values = np.linalg.svd(Lambda, compute_uv=False)
    if values[-1] > 1e-6 * values[0]:
        back = np.linalg.inv(Lambda)
        return np.asarray(back.T @ (np.eye(len(Lambda)) - back @ D @ back.T))
    if len(model.rows.groups) > 1:
        raise OptionError(
            "vcov: the fit is singular in a model with nested factors, where scores of clusters "
            "are not computed. Leave out the random effects without variance first."
        )
    rows = model.rows.groups[block]
    q = rows.Z.shape[1]
    products = (rows.Z[:, :, None] * rows.Z[:, None, :] * weight[:, None, None]).reshape(-1, q * q)
    J = rows.n_levels
    G = np.column_stack([np.bincount(rows.codes, c, J) for c in products.T]).reshape(J, q, q)
    return np.asarray((G - G @ D @ G) @ Lambda)
