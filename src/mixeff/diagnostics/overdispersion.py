"""Whether counts vary more than their family allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixeff.diagnostics.residuals import residuals
from mixeff.model.scales import has_scale

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.generalized.estimate import GeneralizedEstimate

# Worth a sentence: variance a fifth larger than the family's, and hardly by chance.
_RATIO, _P_VALUE = 1.2, 1e-3


@dataclass(frozen=True, slots=True)
class Overdispersion:
    """Pearson's chi-square beside its residual degrees of freedom.

    Attributes
    ----------
    chisq : float, sum of the squared Pearson residuals given the random effects
    df : int, observations minus estimated parameters
    ratio : float, of the two: near 1 where the family is right
    p_value : float, P(chi-square with df > chisq)
    """

    chisq: float
    df: int
    ratio: float
    p_value: float

    @property
    def noticeable(self) -> bool:
        """Whether the variation is larger than the family's by more than chance."""
        return self.ratio > _RATIO and self.p_value < _P_VALUE

    def sentence(self, family: str) -> str:
        """What a reader should know and can do."""
        instead = "mx.glmer_nb" if family == "poisson" else "a beta-binomial model elsewhere"
        return (
            f"Overdispersion: Pearson's chi-square is {self.ratio:.1f} times its residual degrees "
            f"of freedom ({self.chisq:.0f} on {self.df}), so the responses vary more than a "
            f"{family} distribution allows and the standard errors are probably too small. Add a "
            f"random effect for every row, or use {instead}."
        )


def overdispersion(design: Design, estimate: GeneralizedEstimate, df: int) -> Overdispersion | None:
    """The check of a model whose family fixes the variance; None for other models.

    Random effects take degrees of freedom that are not counted here, so that chi-square is rather
    too small: what is found is there. A single trial a row cannot show overdispersion.
    """
    if estimate.dispersion is not None or has_scale(estimate) or df < 1:
        return None
    if estimate.family.name == "binomial" and (
        design.weights is None or float(design.weights.max()) <= 1.0
    ):
        return None
    from scipy.special import chdtrc

    pearson = residuals(design, estimate, "pearson")
    chisq = float(pearson @ pearson)
    return Overdispersion(chisq, df, chisq / df, float(np.float64(chdtrc(df, chisq))))
