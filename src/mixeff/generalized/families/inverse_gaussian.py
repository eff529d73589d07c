"""Inverse Gaussian."""

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

Floats = NDArray[np.float64]


@dataclass(frozen=True, init=False)
class InverseGaussian(LinkedFamily):
    """Inverse Gaussian distribution: variance phi mu^3 / w.

    Parameters
    ----------
    link : str or Link
        ``1/mu^2`` (default, as in R), ``inverse``, ``identity``, ``log``, or a ``UserLink``.

    Examples
    --------
    >>> import mixeff as mx
    >>> mx.families.InverseGaussian().link.name
    '1/mu^2'
    """

    name: ClassVar[str] = "inverse.gaussian"
    kernel: ClassVar[str] = "inverse_gaussian"
    has_dispersion: ClassVar[bool] = True

    def __init__(self, link: str | BaseLink = "1/mu^2") -> None:
        self._set_link(link)

    def check_response(self, y: Floats, weights: Floats | None) -> None:
        """Refuse zero and below."""
        checks.positive(y, self.name)

    def variance(self, mu: Floats, dispersion: float = 1.0) -> Floats:
        """phi mu^3."""
        return dispersion * mu**3

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
        """l = (log(a / (2 pi y^3)) - a (y - h)^2 / (h^2 y)) / 2, a = w / phi."""
        rate = rates(y, weights, dispersion)
        one, two = self.link.power_jet(eta, -1.0), self.link.power_jet(eta, -2.0)
        jet = weighted_jet(rate, combine((-0.5 * y, two), (1.0, one)))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            off = y * one[0] - 1.0
            jet = (jet[0], -rate * off * one[1], *jet[2:])
            fit = 0.5 * rate * off * off / y
            # A mean below zero is impossible although its reciprocal exists.
            fit = np.where(one[0] > 0, fit, np.nan)
            loglik = 0.5 * (np.log(rate / (2.0 * np.pi)) - 3.0 * np.log(y)) - fit
        information = None
        if expected:
            # w h'^2 / (phi h^3) = -a (log h)' (1/h)'
            slopes = slope_product(self.link.log_jet(eta), one)
            information = weighted_slopes(-rate, slopes)
        values = (loglik, fit - 0.5, -fit)
        return no_weight(scale_terms(values, jet, information, curvature=curvature), weights)

    def deviance_residuals(self, y: Floats, mu: Floats, weights: Floats | None) -> Floats:
        """(n,) signed square roots of w (y - mu)^2 / (y mu^2)."""
        return signed_root(y, mu, weights, ((y - mu) / mu) ** 2 / y)

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
        rate = (np.ones_like(mu) if weights is None else weights) / dispersion
        return rng.wald(mu, rate)
