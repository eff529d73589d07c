"""Negative binomial with linear variance (NB1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.generalized.families import checks
from mixeff.generalized.families.base import (
    LinkedFamily,
    Slopes,
    possible,
    shape_terms,
    weighted_slopes,
)
from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.families.jets import Jet, compose, slope_product
from mixeff.generalized.families.links import BaseLink
from mixeff.generalized.families.pascal import log_pascal, pascal_deviance, size_gaps
from mixeff.generalized.families.special import GammaRatio, gamma_ratio

Floats = NDArray[np.float64]


@dataclass(frozen=True, init=False)
class NegativeBinomial1(LinkedFamily):
    """Negative binomial distribution of a count: variance mu (1 + phi), size mu / phi.

    Parameters
    ----------
    phi : float, optional
        Known dispersion; estimated when left out. It is the ``dispersion`` of the methods.
    link : str or Link
        ``log`` (default), ``sqrt``, ``identity``, any other, or a ``UserLink``.

    Notes
    -----
    The expected information of NB1 has no closed form; with ``expected=True`` the weight is
    h'^2 / Var(y), the working weight of iteratively reweighted least squares, which is a lower
    bound of it.

    Examples
    --------
    >>> import mixeff as mx
    >>> mx.families.NegativeBinomial1().name
    'nbinom1'
    """

    phi: float | None = None
    name: ClassVar[str] = "nbinom1"
    kernel: ClassVar[str] = "negative_binomial1"
    has_dispersion: ClassVar[bool] = True

    def __init__(self, phi: float | None = None, link: str | BaseLink = "log") -> None:
        self._set_link(link)
        if phi is not None and not phi > 0:
            raise OptionError(f"The dispersion of NegativeBinomial1 is positive, not {phi!r}.")
        object.__setattr__(self, "phi", None if phi is None else float(phi))

    @property
    def known(self) -> float | None:
        """The dispersion, if it was given."""
        return self.phi

    def with_dispersion(self, dispersion: float) -> NegativeBinomial1:
        """The family with its estimated dispersion."""
        return NegativeBinomial1(dispersion, self.link)

    def check_response(self, y: Floats, weights: Floats | None) -> None:
        """Refuse what is not a count."""
        checks.counts(y, "negative binomial")

    def variance(self, mu: Floats, dispersion: float) -> Floats:
        """mu (1 + phi)."""
        return mu * (1.0 + dispersion)

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
        """l = log C(y + s - 1, y) + y log(phi / (1 + phi)) - s log(1 + phi), s = h / phi."""
        log = self.link.log_jet(eta)
        mu = np.exp(np.clip(log[0], -708.0, 709.0))
        phi = dispersion
        s = np.clip(mu / phi, 2.3e-308, 1e300)
        ratio = gamma_ratio(y, s)
        slopes, *jets = _derivatives(y, mu, s, phi, ratio, log)
        odds = np.where(np.isnan(log[0]), np.nan, np.log(phi))
        information = None
        if expected:
            information = _working(slope_product(log, self.link.power_jet(eta, 1.0)), phi)
        return shape_terms(
            (possible(log_pascal(y, mu, odds, s)), *slopes),
            jets,
            information,
            weights,
            curvature=curvature,
        )

    def deviance_residuals(self, y: Floats, mu: Floats, weights: Floats | None) -> Floats:
        """(n,) signed roots of the NB2 deviances with the size held at mu / phi."""
        if self.phi is None:
            raise OptionError(
                "Deviance residuals of NegativeBinomial1 need its dispersion: "
                "NegativeBinomial1(phi=...) or the family of a fit."
            )
        return np.sign(y - mu) * np.sqrt(pascal_deviance(y, mu, mu / self.phi, weights))

    def initial_mu(self, y: Floats, weights: Floats | None) -> Floats:
        """y, and 1/6 where it is zero."""
        return self._start_inside(y + (y == 0) / 6.0)

    def simulate(
        self,
        rng: np.random.Generator,
        mu: Floats,
        weights: Floats | None,
        dispersion: float = 1.0,
    ) -> Floats:
        """(n,) counts; prior weights do not enter, as in R."""
        rate = rng.gamma(mu / dispersion, dispersion)
        return rng.poisson(rate).astype(np.float64)


def _derivatives(
    y: Floats, mu: Floats, s: Floats, phi: float, ratio: GammaRatio, log: Jet
) -> tuple[tuple[Floats, Floats], Jet, Jet, Jet]:
    """dl/dr and d2l/dr2, then jets along eta of l and of both (their values are not used).

    In t = log h and r = log phi the size s = exp(t - r): with G_j the derivatives of
    lgamma(y + s) - lgamma(s) in log s and c(r) = log(1 + phi), l_t = G_1 - s c and so on. The
    first derivatives by r and l_tr are rewritten so that they vanish as phi does (Poisson).
    """
    g1, g2, g3, g4 = ratio.slopes
    c = np.log1p(phi)
    c1 = phi / (1.0 + phi)
    c2 = c1 / (1.0 + phi)
    sc, sc1, sc2 = s * c, s * c1, s * c2
    zero = np.zeros_like(y)
    plain = (zero, g1 - sc, g2 - sc, g3 - sc, g4 - sc)
    pull, far = size_gaps(y, mu, s)
    slope = ratio.beyond_both
    first = -ratio.beyond_log - far
    second = slope + far + pull * (pull / (y + s))
    by_r = (zero, -slope - far - pull * (y / (y + s)), sc - sc1 - g3, sc - sc1 - g4, zero)
    turn = 2.0 * sc1 - sc - sc2
    by_rr = (zero, g3 + turn, g4 + turn, zero, zero)
    return (first, second), compose(plain, log), compose(by_r, log), compose(by_rr, log)


def _working(slopes: Slopes, phi: float) -> tuple[Slopes, Slopes, Slopes]:
    """h'^2 / (h (1 + phi)) with its derivatives in eta, by r and twice by r."""
    share = phi / (1.0 + phi)
    plain = weighted_slopes(1.0 / (1.0 + phi), slopes)
    return (
        plain,
        weighted_slopes(-share, plain),
        weighted_slopes(share * (2.0 * share - 1.0), plain),
    )
