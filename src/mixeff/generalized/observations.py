"""The observed responses and what the family says of them, by compiled passes where there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.families.family import Family, RowTerms

if TYPE_CHECKING:
    from mixeff.generalized.kernels.passes import RowPass

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Observations:
    """Responses of one model.

    Attributes
    ----------
    family : Family
    y : (n,) array
    weights : (n,) array or None
    compiled : RowPass or None, where only the family itself can tell
    """

    family: Family
    y: Floats
    weights: Floats | None
    compiled: RowPass | None

    @classmethod
    def of(
        cls, family: Family, y: Floats, weights: Floats | None, threads: int = 1
    ) -> Observations:
        """Look for the compiled pass of this family and link."""
        make = getattr(family, "compiled", None)  # a family of the user's own has none
        return cls(family, y, weights, None if make is None else make(y, weights, threads))

    @property
    def known_dispersion(self) -> float | None:
        """What is not estimated: one without dispersion, or what was given with the family."""
        if not self.family.has_dispersion:
            return 1.0
        return getattr(self.family, "known", None)  # a family of the user's own has none

    @property
    def estimates_dispersion(self) -> bool:
        """Log dispersion is a parameter."""
        return self.known_dispersion is None

    def terms(
        self,
        eta: Floats,
        dispersion: float = 1.0,
        *,
        expected: bool = False,
        curvature: bool = False,
    ) -> RowTerms:
        """All terms of every row."""
        if self.compiled is not None:
            return self.compiled.terms(eta, dispersion, expected=expected, curvature=curvature)
        return self.family.row_terms(
            self.y, eta, self.weights, dispersion, expected=expected, curvature=curvature
        )

    def newton(self, eta: Floats, dispersion: float) -> tuple[float, Floats, Floats]:
        """Log-likelihood, and (n,) scores and observed weights: what a Newton step takes."""
        if self.compiled is None:
            terms = self.family.row_terms(self.y, eta, self.weights, dispersion)
            return float(terms.loglik.sum()), terms.score, terms.weight
        score, weight = np.empty((2, self.y.size))
        sums = self.compiled.fill(eta, dispersion, into={"score": score, "weight": weight})
        return sums.loglik, score, weight
