"""Covariance of beta of a generalized model given its variances: that of the working linear model.

At the modes the penalized least squares of the model are those of a linear mixed model for the
working response with the expected information as weights; (X'V^-1 X)^-1 of that is the covariance
of beta with theta taken as known (Breslow and Clayton 1993), and lme4's sequential F table rests
on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.method import Asymptotic
from mixeff.linear.fit import evaluate_at

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.generalized.estimate import GeneralizedEstimate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WorkingModel(Asymptotic):
    """The covariance of the working model, for F values without a reference distribution."""

    covariance_sentence = (
        "The variances are taken as known: weighted least squares at the optimum, as in lme4."
    )


def working_covariance(design: Design, estimate: GeneralizedEstimate) -> Floats:
    """(p, p) (X'V^-1 X)^-1 with V = 1 / weight + Z Sigma Z', the dispersion in the weights."""
    dispersion = 1.0 if estimate.dispersion is None else estimate.dispersion
    eta = estimate.linear_predictor
    terms = estimate.family.row_terms(
        design.response, eta, design.weights, dispersion, expected=True
    )
    # Where the mean has saturated the weight underflows: such a row says nothing.
    weight = np.maximum(terms.weight, np.finfo(np.float64).tiny)
    response = eta + terms.score / weight
    working = replace(design, response=response, weights=weight, moments=())
    return evaluate_at(working, estimate.theta, reml=False).unscaled_covariance
