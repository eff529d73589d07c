"""What needs the penalized weighted least squares of a generalized fit at its modes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.linear.estimate import LinearEstimate, Outcome
from mixeff.model import effects

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.generalized.estimate import GeneralizedEstimate

Floats = NDArray[np.float64]

# Smallest weight beside the largest: a row with less says nothing at working precision.
_NEGLIGIBLE = 1e-30


def conditional_covariances(design: Design, estimate: GeneralizedEstimate) -> dict[str, Floats]:
    """(J, q, q) covariances of the random effects given data, theta and beta, per factor."""
    groups = effects.terms_by_group(design)
    if all(len(terms) == 1 for terms in groups.values()):
        blocks = estimate.conditional_variances
        return {group: blocks[terms[0]].copy() for group, terms in groups.items()}
    # Several terms on one factor depend on each other once the data are seen.
    return effects.conditional_covariances(*as_linear(design, estimate))


def as_linear(design: Design, estimate: GeneralizedEstimate) -> tuple[Design, LinearEstimate]:
    """The linear mixed model whose normal equations are those of the last PIRLS step.

    Weights are the information of the rows about their linear predictor, the response is the
    working response, sigma is 1 (Breslow and Clayton 1993, section 2.2). The observed information
    is taken as the fit took it; where it is negative in some row, the expected one.
    """
    weights, score = _information(design, estimate)
    shift = 0.0 if design.offset is None else design.offset
    working = dataclasses.replace(
        design,
        response=estimate.linear_predictor - shift + score / weights,
        offset=None,
        weights=weights,
        moments=(),
    )
    linear = LinearEstimate(
        reml=False,
        theta=estimate.theta,
        Lambda=estimate.Lambda,
        beta=estimate.beta,
        unscaled_covariance=estimate.covariance,
        sigma=1.0,
        criterion=-2.0 * estimate.loglik,
        pwrss=float("nan"),
        modes=estimate.modes,
        outcome=Outcome.known(estimate.convergence),
    )
    return working, linear


def _information(design: Design, estimate: GeneralizedEstimate) -> tuple[Floats, Floats]:
    """(n,) information and score of every row about its linear predictor."""
    dispersion = 1.0 if estimate.dispersion is None else estimate.dispersion
    for expected in (estimate.laplace == "expected", True):
        terms = estimate.family.row_terms(
            design.response,
            estimate.linear_predictor,
            design.weights,
            dispersion,
            expected=expected,
        )
        if (terms.weight >= 0).all():
            break
    return np.maximum(terms.weight, _NEGLIGIBLE * terms.weight.max()), terms.score
