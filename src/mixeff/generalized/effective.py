"""Effective degrees of freedom of a generalized linear mixed model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixeff.generalized.laplace import LaplaceProblem
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.working import working_generalized

if TYPE_CHECKING:
    from mixeff.control import Control
    from mixeff.design.design import Design
    from mixeff.generalized.estimate import GeneralizedEstimate
    from mixeff.generalized.families.family import Family


def hat_trace(
    design: Design, family: Family, estimate: GeneralizedEstimate, control: Control
) -> float:
    """Trace of the hat matrix of the working linear mixed model at the modes.

    p + sum_i tr(Sigma_i H_i) with H_i the diagonal blocks of Z_i'P Z_i summed over levels: what
    Vaida and Blanchard (2005) count, for working weights and response (Lu, Hodges and Carlin 2007).
    Variance parameters and dispersion are taken as known.

    Parameters
    ----------
    design : Design
    family : Family, as fitted: with the estimated shape of a negative binomial in it
    estimate : GeneralizedEstimate
    control : Control
    """
    model = working_generalized(design, family, expected=False, threads=control.threads)
    theta = model.coordinates.working_theta(model.partition, estimate.theta)
    parts = [theta, model.coordinates.fixed.inverse @ estimate.beta]
    if model.observations.estimates_dispersion:
        assert estimate.dispersion is not None
        parts.append(np.array([np.log(estimate.dispersion)]))
    at = np.concatenate(parts)
    partition = JointPartition(model.partition, at.size - theta.size)
    evaluation = LaplaceProblem(model, partition, joint=False).evaluate(at)
    weight = evaluation.point.weight
    if not bool((weight >= 0).all()):
        weight = model.terms(evaluation.point.eta, evaluation.dispersion, expected=True).weight
    H = evaluation._factor(weight, True).trace_blocks(True)
    pairs = zip(H, evaluation.Lambda, strict=True)
    return float(design.X.shape[1] + sum(float(np.sum(h * (L @ L.T))) for h, L in pairs))
