"""Binomial and Bernoulli."""

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
    weighted_jet,
    weighted_slopes,
)
from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.families.jets import Jet, slope_product
from mixeff.generalized.families.links import BaseLink
from mixeff.generalized.families.special import deviance_part, log_binomial

Floats = NDArray[np.float64]


@dataclass(frozen=True, init=False)
class Binomial(LinkedFamily):
    """Binomial distribution of a proportion, with the trials as weights; Bernoulli without.

    Parameters
    ----------
    link : str or Link
        ``logit`` (default), ``probit``, ``cloglog``, ``cauchit``, ``log``, any other, or a
        ``UserLink``.

    Examples
    --------
    >>> import mixeff as mx
    >>> mx.families.Binomial(link="probit").link.name
    'probit'
    """

    name: ClassVar[str] = "binomial"
    kernel: ClassVar[str] = "binomial"
    has_dispersion: ClassVar[bool] = False

    def __init__(self, link: str | BaseLink = "logit") -> None:
        self._set_link(link)

    def check_response(self, y: Floats, weights: Floats | None) -> None:
        """Refuse proportions outside [0, 1]; warn once where the successes are not whole."""
        checks.finite(y, self.name)
        checks.refuse(
            y,
            (y < 0) | (y > 1),
            self.name,
            "outside [0, 1]",
            "Give 0/1, a two-level factor, a proportion with the trials as weights, or "
            "cbind(successes, failures).",
        )
        successes = y if weights is None else y * weights
        # R's tolerance for proportions computed by division.
        bad = np.abs(successes - np.rint(successes)) > 1e-3
        advice = (
            "Proportions need the number of trials: weights='trials'."
            if weights is None
            else "The weights of a proportion are its number of trials."
        )
        problem = "that are no whole number of successes (proportion times weight)"
        checks.warn_about(y, bad, self.name, problem, advice)

    def variance(self, mu: Floats, dispersion: float = 1.0) -> Floats:
        """mu (1 - mu)."""
        return mu * (1.0 - mu)

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
        """l = log C(m, m y) + m (y log h + (1 - y) log(1 - h))."""
        yes, no = self.link.log_jet(eta), self.link.log_complement_jet(eta)
        jet = weighted_jet(weights, combine((y, yes), (1.0 - y, no)))
        information = None
        if expected:
            # m h'^2 / (h (1 - h)) = -m (log h)' (log(1 - h))'
            slopes = weighted_slopes(-1.0, slope_product(yes, no))
            information = weighted_slopes(weights, slopes)
        # Outside [0, 1] one of the logarithms does not exist, also where only the other is wanted.
        outside = np.isnan(yes[0]) | np.isnan(no[0])
        loglik = np.where(outside, np.nan, self._loglik(y, weights, yes, no))
        return no_weight(plain_terms(loglik, jet, information, curvature=curvature), weights)

    def _loglik(self, y: Floats, weights: Floats | None, yes: Jet, no: Jet) -> Floats:
        if ((y == 0) | (y == 1)).all():
            single = np.where(y > 0, yes[0], no[0])
            return single if weights is None else weights * single
        trials = np.ones_like(y) if weights is None else weights
        successes = trials * y
        mean, rest = np.exp(yes[0]), np.exp(no[0])
        # The difference of whichever probability is the smaller keeps its digits.
        gap = trials * np.where(mean < 0.5, y - mean, rest - (1.0 - y))
        return log_binomial(
            successes,
            trials - successes,
            gap,
            (trials * mean, trials * rest),
            (yes[0], no[0]),
        )

    def deviance_residuals(self, y: Floats, mu: Floats, weights: Floats | None) -> Floats:
        """(n,) signed square roots of 2 m (y log(y/mu) + (1 - y) log((1 - y)/(1 - mu)))."""
        gap = y - mu
        some, other = y > 0, y < 1
        a, b = np.where(some, y, 1.0), np.where(other, 1.0 - y, 1.0)
        yes = np.where(some, deviance_part(a, gap, mu, np.log(mu)), mu)
        no = np.where(other, deviance_part(b, -gap, 1.0 - mu, np.log1p(-mu)), 1.0 - mu)
        return signed_root(y, mu, weights, 2.0 * (yes + no))

    def initial_mu(self, y: Floats, weights: Floats | None) -> Floats:
        """(m y + 1/2) / (m + 1)."""
        trials = 1.0 if weights is None else weights
        return (trials * y + 0.5) / (trials + 1.0)

    def simulate(
        self,
        rng: np.random.Generator,
        mu: Floats,
        weights: Floats | None,
        dispersion: float = 1.0,
    ) -> Floats:
        """(n,) proportions; trials are the weights, rounded to whole numbers."""
        if weights is None:
            return (rng.random(mu.shape) < mu).astype(np.float64)
        trials = np.rint(weights).astype(np.int64)
        return rng.binomial(trials, mu) / np.maximum(trials, 1)
