"""Gaussian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.families import checks
from mixeff.generalized.families.base import (
    LinkedFamily,
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
class Gaussian(LinkedFamily):
    """Normal distribution: variance phi / w; with the identity link a linear mixed model.

    Parameters
    ----------
    link : str or Link
        ``identity`` (default), ``log``, ``inverse``, any other, or a ``UserLink``.

    Examples
    --------
    >>> import mixeff as mx
    >>> mx.families.Gaussian(link="log").link.name
    'log'
    """

    name: ClassVar[str] = "gaussian"
    kernel: ClassVar[str] = "gaussian"
    has_dispersion: ClassVar[bool] = True

    def __init__(self, link: str | BaseLink = "identity") -> None:
        self._set_link(link)

    def check_response(self, y: Floats, weights: Floats | None) -> None:
        """Any finite number is possible."""
        checks.finite(y, self.name)

    def variance(self, mu: Floats, dispersion: float = 1.0) -> Floats:
        """phi."""
        return np.full_like(mu, dispersion)

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
        """l = (log(a / (2 pi)) - a (y - h)^2) / 2, a = w / phi."""
        rate = rates(y, weights, dispersion)
        mean = self.link.power_jet(eta, 1.0)
        h, d1, d2, d3, d4 = mean
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            left = y - h
            fit = 0.5 * rate * left * left
            jet = weighted_jet(
                rate,
                (
                    -fit,
                    left * d1,
                    left * d2 - d1 * d1,
                    left * d3 - 3.0 * d1 * d2,
                    left * d4 - 4.0 * d1 * d3 - 3.0 * d2 * d2,
                ),
            )
            information = weighted_slopes(rate, slope_product(mean, mean)) if expected else None
            values = (0.5 * np.log(rate / (2.0 * np.pi)) - fit, fit - 0.5, -fit)
        return no_weight(scale_terms(values, jet, information, curvature=curvature), weights)

    def deviance_residuals(self, y: Floats, mu: Floats, weights: Floats | None) -> Floats:
        """(n,) y - mu times the square root of the weights."""
        return signed_root(y, mu, weights, (y - mu) ** 2)

    def initial_mu(self, y: Floats, weights: Floats | None) -> Floats:
        """The response itself, moved to where the link has a predictor."""
        return self._start_inside(y)

    def simulate(
        self,
        rng: np.random.Generator,
        mu: Floats,
        weights: Floats | None,
        dispersion: float = 1.0,
    ) -> Floats:
        """(n,) numbers."""
        variance = dispersion / (1.0 if weights is None else weights)
        return rng.normal(mu, np.sqrt(variance))
