"""Gamma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.families import checks
from mixeff.generalized.families.base import (
    LinkedFamily,
    combine,
    no_weight,
    rates,
    scale_terms,
    signed_root,
    weighted_jet,
    weighted_slopes,
)
from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.families.jets import slope_product
from mixeff.generalized.families.links import BaseLink
from mixeff.generalized.families.special import (
    digamma_gap,
    log1p_minus,
    stirling_remainder,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, init=False)
class Gamma(LinkedFamily):
    """Gamma distribution: variance phi mu^2 / w, shape w / phi.

    Parameters
    ----------
    link : str or Link
        ``inverse`` (default, as in R), ``log``, ``identity``, any other, or a ``UserLink``.

    Examples
    --------
    >>> import mixeff as mx
    >>> mx.families.Gamma(link="log").has_dispersion
    True
    """

    name: ClassVar[str] = "Gamma"
    kernel: ClassVar[str] = "gamma"
    has_dispersion: ClassVar[bool] = True

    def __init__(self, link: str | BaseLink = "inverse") -> None:
        self._set_link(link)

    def check_response(self, y: Floats, weights: Floats | None) -> None:
        """Refuse zero and below."""
        checks.positive(y, self.name)

    def variance(self, mu: Floats, dispersion: float = 1.0) -> Floats:
        """phi mu^2."""
        return dispersion * mu * mu

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def row_terms(
        self,
        y: Floats,
        eta: Floats,
        weights: Floats | None,
        dispersion: float = 1.0,
        *,
        expected: bool = False,
        curvature: bool = False,
    ) -> RowTerms:
        """l = a log a - lgamma(a) - a (log h + y / h) + (a - 1) log y, a = w / phi."""
        shape = rates(y, weights, dispersion)
        log, reciprocal = self.link.log_jet(eta), self.link.power_jet(eta, -1.0)
        jet = weighted_jet(shape, combine((-1.0, log), (-y, reciprocal)))
        # Relative to the mean, so that the score vanishes exactly where y is the mean.
        off = y * reciprocal[0] - 1.0
        jet = (jet[0], shape * off * log[1], *jet[2:])
        information = weighted_slopes(shape, slope_product(log, log)) if expected else None
        with np.errstate(divide="ignore"):
            values = _values(y, shape, off, np.log(y) - log[0])
        return no_weight(scale_terms(values, jet, information, curvature=curvature), weights)

    def deviance_residuals(self, y: Floats, mu: Floats, weights: Floats | None) -> Floats:
        """(n,) signed square roots of 2 w ((y - mu)/mu - log(y/mu))."""
        return signed_root(y, mu, weights, -2.0 * log1p_minus((y - mu) / mu))

    def initial_mu(self, y: Floats, weights: Floats | None) -> Floats:
        """The response itself."""
        return self._start_inside(y)

    def simulate(
        self,
        rng: np.random.Generator,
        mu: Floats,
        weights: Floats | None,
        dispersion: float = 1.0,
    ) -> Floats:
        """(n,) positive numbers."""
        shape = (1.0 if weights is None else weights) / dispersion
        return rng.gamma(shape, mu / shape)


def _values(
    y: Floats, shape: Floats, off: Floats, log_ratio: Floats
) -> tuple[Floats, Floats, Floats]:
    """Log-likelihood and its derivatives in log phi; ``off`` = y/mu - 1, ``log_ratio`` its log."""
    gap = np.where(np.abs(off) < 0.25, log1p_minus(off), log_ratio - off)
    if shape.size and (shape == shape[0]).all():
        one = shape[:1]
        constant = 0.5 * np.log(one / (2.0 * np.pi)) - stirling_remainder(one)
        near, bend = digamma_gap(one)
    else:
        constant = 0.5 * np.log(shape / (2.0 * np.pi)) - stirling_remainder(shape)
        near, bend = digamma_gap(shape)
    fit = shape * gap
    return constant + fit - np.log(y), -near - fit, near + bend + fit
