"""Negative binomial with quadratic variance (NB2)."""

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
)
from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.families.jets import Jet, compose
from mixeff.generalized.families.links import BaseLink
from mixeff.generalized.families.pascal import log_pascal, pascal_deviance, size_gaps
from mixeff.generalized.families.special import expit, gamma_ratio

Floats = NDArray[np.float64]


@dataclass(frozen=True, init=False)
class NegativeBinomial(LinkedFamily):
    """Negative binomial distribution of a count: variance mu + mu^2 / shape.

    Parameters
    ----------
    shape : float, optional
        Known shape (R's theta); estimated when left out. It is the ``dispersion`` of the
        methods; r is log(shape).
    link : str or Link
        ``log`` (default), ``sqrt``, ``identity``, any other, or a ``UserLink``.

    Examples
    --------
    >>> import mixeff as mx
    >>> mx.families.NegativeBinomial(shape=2.5).name
    'Negative Binomial(2.5)'
    """

    shape: float | None = None
    kernel: ClassVar[str] = "negative_binomial"
    has_dispersion: ClassVar[bool] = True

    def __init__(self, shape: float | None = None, link: str | BaseLink = "log") -> None:
        self._set_link(link)
        if shape is not None and not shape > 0:
            raise OptionError(f"The shape of a negative binomial is positive, not {shape!r}.")
        object.__setattr__(self, "shape", None if shape is None else float(shape))

    @property
    def known(self) -> float | None:
        """The shape, if it was given."""
        return self.shape

    @property
    def name(self) -> str:
        """As R prints it, with the shape once it is known."""
        return "Negative Binomial" + ("" if self.shape is None else f"({round(self.shape, 4):g})")

    def with_dispersion(self, dispersion: float) -> NegativeBinomial:
        """The family with its estimated shape."""
        return NegativeBinomial(dispersion, self.link)

    def check_response(self, y: Floats, weights: Floats | None) -> None:
        """Refuse what is not a count."""
        checks.counts(y, "negative binomial")

    def variance(self, mu: Floats, dispersion: float) -> Floats:
        """mu + mu^2 / shape."""
        return mu + mu * mu / dispersion

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
        """l = log C(y + k - 1, y) + y log p + k log q, p = h / (h + k).

        Derivatives are taken in t = log h, where with p and q = 1 - p everything is a polynomial
        times y - h or h, then along the link.
        """
        log = self.link.log_jet(eta)
        t = log[0]
        mu, z = _mean(t), t - np.log(dispersion)
        p, q = expit(z), expit(-z)
        plain, by_r, by_rr = _derivatives(y, mu, p, q, dispersion, log)
        size = np.full_like(y, dispersion)
        ratio = gamma_ratio(y, size)
        pull, far = size_gaps(y, mu, size)
        spread = pull * (pull / (y + size))
        values = (
            possible(log_pascal(y, mu, z, size)),
            ratio.beyond_log + far,
            ratio.beyond_both + far + spread,
        )
        information = _expected(log, dispersion, p, q) if expected else None
        jets = (plain, by_r, by_rr)
        return shape_terms(values, jets, information, weights, curvature=curvature)

    def deviance_residuals(self, y: Floats, mu: Floats, weights: Floats | None) -> Floats:
        """(n,) signed roots of 2 w (y log(y/mu) - (y + k) log((y + k)/(mu + k)))."""
        if self.shape is None:
            raise OptionError(
                "Deviance residuals of a negative binomial need its shape: "
                "NegativeBinomial(shape=...) or the family of a fit."
            )
        return np.sign(y - mu) * np.sqrt(pascal_deviance(y, mu, self.shape, weights))

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
        rate = rng.gamma(dispersion, mu / dispersion)
        return rng.poisson(rate).astype(np.float64)


def _mean(t: Floats) -> Floats:
    """exp(t) inside the range of doubles, so that a mean times zero stays zero."""
    mean: Floats = np.exp(np.clip(t, -708.0, 709.0))
    return mean


def _derivatives(
    y: Floats, mu: Floats, p: Floats, q: Floats, k: float, log: Jet
) -> tuple[Jet, Jet, Jet]:
    """Jets along eta of l, dl/dr and d2l/dr2 (their values are not used)."""
    zero = np.zeros_like(y)
    # Two forms of q (y - mu): the second is exact where the mean is far above the shape.
    score = np.where(p < 0.5, q * (y - mu), q * y - p * k)
    pq, d = p * q, q - p
    bend = (y + k) * pq
    plain = (zero, score, -bend, -bend * d, -bend * (1.0 - 6.0 * pq))
    # l_tr = p q (y - mu): differentiate the product in t, where mu' = mu; q mu = k p.
    off, level = p * score, p * p * k
    wave = d * d - 2.0 * pq
    by_t = off * d - level
    by_tt = off * wave - 2.0 * level * d - level
    by_r = (zero, off, by_t, by_tt, zero)
    by_rr = (zero, -off * d, -off * wave + level * d, zero, zero)
    return compose(plain, log), compose(by_r, log), compose(by_rr, log)


def _expected(log: Jet, k: float, p: Floats, q: Floats) -> tuple[Slopes, Slopes, Slopes]:
    """h'^2 / (h + h^2/k) = (log h)'^2 k p and its derivatives in eta, by r and twice by r."""
    _, a, b, c, _ = log
    square = a * a
    m, m_t = k * p, k * p * q
    m_tt = m_t * (q - p)
    m_r, m_tr = m * p, 2.0 * m_t * p
    m_rr = m_r * (p - q)
    plain = (
        square * m,
        2.0 * a * b * m + square * a * m_t,
        2.0 * (b * b + a * c) * m + 5.0 * square * b * m_t + square * square * m_tt,
    )
    zero = np.zeros_like(p)
    by_r = (square * m_r, 2.0 * a * b * m_r + square * a * m_tr, zero)
    return plain, by_r, (square * m_rr, zero, zero)
