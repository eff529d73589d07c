"""What the dispersion of a generalized model means: a factor of the variance, or a shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixeff.generalized.estimate import GeneralizedEstimate


def has_scale(estimate: GeneralizedEstimate) -> bool:
    """Whether the dispersion multiplies the variance (it is the shape of a negative binomial)."""
    return estimate.dispersion is not None and not is_negative_binomial(estimate)


def scale(estimate: GeneralizedEstimate) -> float:
    """sigma with Var(y) = sigma^2 V(mu); 1 where the family has no such factor."""
    if not has_scale(estimate) or estimate.dispersion is None:
        return 1.0
    return math.sqrt(estimate.dispersion)


def is_negative_binomial(estimate: GeneralizedEstimate) -> bool:
    """Whether the dispersion is a shape."""
    return estimate.family.name.lower().startswith(("negative binomial", "nbinom"))


def variance_dispersion(estimate: GeneralizedEstimate) -> float:
    """What ``Family.variance`` takes to give V(mu): 1, or the shape of a negative binomial."""
    if estimate.dispersion is None or has_scale(estimate):
        return 1.0
    return estimate.dispersion
