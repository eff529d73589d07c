"""Dispersions at the end of their range: counts that are Poisson, responses without error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.generalized.families.family import Family
    from mixeff.generalized.laplace import LaplaceEvaluation

Floats = NDArray[np.float64]

LIMIT = "The counts vary no more than Poisson counts do"
"""How the sentence begins of a model that is right but could be simpler."""

_NO_MORE = 1e-6  # of the mean: variance beyond Poisson's; estimates inside the range are far larger
_EXACT = 1e-12  # of the mean square: residual variance that is rounding


def without_error(evaluation: LaplaceEvaluation) -> list[str]:
    """The sentence about responses that are fitted exactly, if they are."""
    model = evaluation.problem.model
    if not model.observations.estimates_dispersion or is_negative_binomial(model.family):
        return []
    if not is_exact(model.family, evaluation.point.eta, evaluation.dispersion):
        return []
    return [
        "The responses are fitted without error: the dispersion runs to zero and the likelihood "
        "gets better without end, so that standard errors mean nothing. Look for a predictor that "
        "is computed from the response."
    ]


def poisson_limit(evaluation: LaplaceEvaluation) -> list[str]:
    """The sentence about a negative binomial without overdispersion, if it has none."""
    model = evaluation.problem.model
    if not model.observations.estimates_dispersion or not is_negative_binomial(model.family):
        return []
    mu = model.family.link.mu(evaluation.point.eta)
    extra = float(model.family.variance(mu, evaluation.dispersion).mean() / mu.mean()) - 1.0
    if extra > _NO_MORE:
        return []
    which = "dispersion phi is zero" if model.family.name == "nbinom1" else "shape is infinite"
    return [
        f"{LIMIT}: the best {which}, and this is a Poisson model with a parameter too many. Fit "
        'family="poisson".'
    ]


def is_exact(family: Family, eta: Floats, dispersion: float) -> bool:
    """Whether residual variance is rounding beside the means."""
    mu = family.link.mu(eta)
    left = float(family.variance(mu, dispersion).mean())
    return left < _EXACT * float((mu * mu).mean())


def is_negative_binomial(family: Family) -> bool:
    """Whether the dispersion is a shape."""
    return family.name.lower().startswith(("negative binomial", "nbinom"))
