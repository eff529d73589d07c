"""Poisson."""

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
    plain_terms,
    signed_root,
    times,
    weighted_jet,
    weighted_slopes,
)
from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.families.jets import slope_product
from mixeff.generalized.families.links import BaseLink
from mixeff.generalized.families.special import deviance_part, log_poisson

Floats = NDArray[np.float64]


@dataclass(frozen=True, init=False)
class Poisson(LinkedFamily):
    """Poisson distribution of a count.

    Parameters
    ----------
    link : str or Link
        ``log`` (default), ``identity``, ``sqrt``, any other, or a ``UserLink``.

    Examples
    --------
    >>> import mixeff as mx
    >>> mx.families.Poisson(link="sqrt").link.name
    'sqrt'
    """

    name: ClassVar[str] = "poisson"
    kernel: ClassVar[str] = "poisson"
    has_dispersion: ClassVar[bool] = False

    def __init__(self, link: str | BaseLink = "log") -> None:
        self._set_link(link)

    def check_response(self, y: Floats, weights: Floats | None) -> None:
        """Refuse what is not a count."""
        checks.counts(y, self.name)

    def variance(self, mu: Floats, dispersion: float = 1.0) -> Floats:
        """mu."""
        return mu

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
        """l = w (y log h - h - log y!)."""
        log, mean = self.link.log_jet(eta), self.link.power_jet(eta, 1.0)
        jet = weighted_jet(weights, combine((y, log), (-1.0, mean)))
        # w h'^2 / h = w (log h)' h'
        information = weighted_slopes(weights, slope_product(log, mean)) if expected else None
        valid = np.where(mean[0] >= 0, mean[0], np.nan)
        (loglik,) = times(weights, log_poisson(y, valid, log[0]))
        return no_weight(plain_terms(loglik, jet, information, curvature=curvature), weights)

    def deviance_residuals(self, y: Floats, mu: Floats, weights: Floats | None) -> Floats:
        """(n,) signed square roots of 2 w (y log(y/mu) - (y - mu))."""
        some = y > 0
        x = np.where(some, y, 1.0)
        half = np.where(some, deviance_part(x, x - mu, mu, np.log(mu)), mu)
        return signed_root(y, mu, weights, 2.0 * half)

    def initial_mu(self, y: Floats, weights: Floats | None) -> Floats:
        """y + 0.1."""
        return self._start_inside(y + 0.1)

    def simulate(
        self,
        rng: np.random.Generator,
        mu: Floats,
        weights: Floats | None,
        dispersion: float = 1.0,
    ) -> Floats:
        """(n,) counts; prior weights do not enter, as in R."""
        return rng.poisson(mu).astype(np.float64)
