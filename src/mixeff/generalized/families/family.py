"""What every family and link provides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.generalized.kernels.passes import RowPass

Floats = NDArray[np.float64]


class Link(Protocol):
    """g(mu) = eta, with the inverse and its derivatives."""

    @property
    def name(self) -> str:
        """As R names the link."""
        ...

    def eta(self, mu: Floats) -> Floats:
        """(n,) linear predictor of the mean."""
        ...

    def mu(self, eta: Floats) -> Floats:
        """(n,) mean of the linear predictor; never rounds onto the edge of the valid means."""
        ...

    def derivatives(self, eta: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """First to fourth derivative of ``mu`` with respect to eta, (n,) each."""
        ...


@dataclass(frozen=True, slots=True)
class RowTerms:
    """The log-density l of every row and its derivatives, (n,) arrays.

    Derivatives with respect to eta and r = log(dispersion). Those of r are None for a family
    without dispersion, and the last group is None unless asked for.

    Attributes
    ----------
    loglik : l, with all constants
    score : dl/deta
    weight : -d2l/deta2 (observed), or its expectation if asked for
    weight_slope : dweight/deta
    loglik_r, score_r, weight_r : dl/dr, d2l/(deta dr), dweight/dr
    weight_curvature : d2weight/deta2
    loglik_rr, score_rr, weight_rr, weight_slope_r : second derivatives with respect to r, and
        d2weight/(deta dr)
    """

    loglik: Floats
    score: Floats
    weight: Floats
    weight_slope: Floats
    loglik_r: Floats | None = None
    score_r: Floats | None = None
    weight_r: Floats | None = None
    weight_curvature: Floats | None = None
    loglik_rr: Floats | None = None
    score_rr: Floats | None = None
    weight_rr: Floats | None = None
    weight_slope_r: Floats | None = None


class Family(Protocol):
    """A distribution of y given its mean, with a link.

    Attributes
    ----------
    name : str, as R prints it
    link : Link
    has_dispersion : bool, whether a dispersion or shape is estimated
    """

    @property
    def name(self) -> str: ...
    @property
    def link(self) -> Link: ...
    @property
    def has_dispersion(self) -> bool: ...

    def check_response(self, y: Floats, weights: Floats | None) -> None:
        """Raise DataError, once, naming the first rows that are not possible values."""
        ...

    def variance(self, mu: Floats, dispersion: float) -> Floats:
        """Var(y | mu) for prior weight one."""
        ...

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
        """Log-density and derivatives at eta; overflow-safe. ``curvature`` fills the last group."""
        ...

    def compiled(self, y: Floats, weights: Floats | None, threads: int = 1) -> RowPass | None:
        """The compiled pass over these rows, or None where only ``row_terms`` can."""
        ...

    def deviance_residuals(self, y: Floats, mu: Floats, weights: Floats | None) -> Floats:
        """(n,) signed square roots of the unit deviances times weights."""
        ...

    def initial_mu(self, y: Floats, weights: Floats | None) -> Floats:
        """(n,) means to start from, inside the valid range."""
        ...

    def simulate(
        self,
        rng: np.random.Generator,
        mu: Floats,
        weights: Floats | None,
        dispersion: float = 1.0,
    ) -> Floats:
        """(n,) draws; proportions for a binomial with trials as weights."""
        ...
