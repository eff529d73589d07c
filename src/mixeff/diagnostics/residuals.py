"""Residuals of a fitted model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.model.linear_predictor import fitted_values
from mixeff.model.options import choose
from mixeff.model.scales import scale, variance_dispersion

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.linear.estimate import LinearEstimate

Floats = NDArray[np.float64]
KINDS = ("response", "pearson", "deviance", "working", "scaled")


def residuals(
    design: Design, estimate: LinearEstimate | GeneralizedEstimate, kind: str = "response"
) -> Floats:
    """(n,) residuals of the rows used; see `LinearMixedModel.residuals` for the kinds.

    Raises
    ------
    OptionError
        Unknown kind.
    """
    kind = choose("residuals", "kind", kind, KINDS)
    if isinstance(estimate, GeneralizedEstimate):
        return _generalized(design, estimate, kind)
    return _linear(design, estimate, kind)


def _linear(design: Design, estimate: LinearEstimate, kind: str) -> Floats:
    """The working residuals are the response ones, the deviance residuals the Pearson ones.

    Those are sqrt(w) (y - fitted), whose variance does not depend on the prior weight w.
    """
    raw = design.response - fitted_values(design, estimate)
    if kind in ("response", "working"):
        return raw
    pearson = raw if design.weights is None else np.sqrt(design.weights) * raw
    return pearson / estimate.sigma if kind == "scaled" else pearson


def _generalized(design: Design, estimate: GeneralizedEstimate, kind: str) -> Floats:
    """Given the random effects at their modes (McCullagh and Nelder 1989, section 2.4)."""
    family, eta = estimate.family, estimate.linear_predictor
    y, weights = design.response, design.weights
    mu = family.link.mu(eta)
    if kind == "deviance":
        return family.deviance_residuals(y, mu, weights)
    raw = y - mu
    if kind == "response":
        return raw
    if kind == "working":
        return np.asarray(raw / family.link.derivatives(eta)[0])
    variance = family.variance(mu, variance_dispersion(estimate))
    pearson = raw / np.sqrt(variance if weights is None else variance / weights)
    return pearson / scale(estimate) if kind == "scaled" else pearson
