"""Wald intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.coefficients import covariance
from mixeff.model.scales import has_scale

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.design.design import Design
    from mixeff.linear.estimate import LinearEstimate

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class IntervalTable:
    """Confidence intervals of all parameters.

    Attributes
    ----------
    names : tuple of str, standard deviations and correlations, sigma, coefficients
    lower, upper : (m,) arrays, NaN where the method gives no interval
    level : float
    method : str
    """

    names: tuple[str, ...]
    lower: Floats
    upper: Floats
    level: float
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Columns ``lower, upper``, parameters in the index."""
        import pandas as pd

        return pd.DataFrame({"lower": self.lower, "upper": self.upper}, index=list(self.names))


def wald_intervals(
    design: Design, estimate: LinearEstimate | GeneralizedEstimate, level: float
) -> IntervalTable:
    """Estimate -/+ normal quantile times standard error, for the coefficients.

    The sampling distribution of a standard deviation or correlation is far from normal, so those
    get NaN, as in lme4.

    Raises
    ------
    OptionError
        ``level`` is not between 0 and 1.
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise OptionError(f"confint: level must lie between 0 and 1, not {level!r}.")
    half = ndtri(0.5 + level / 2) * np.sqrt(np.diag(covariance(estimate)))
    with_sigma = not isinstance(estimate, GeneralizedEstimate) or has_scale(estimate)
    variances = variance_names(design, sigma=with_sigma)
    none = np.full(len(variances), np.nan)
    return IntervalTable(
        names=(*variances, *design.names),
        lower=np.concatenate([none, estimate.beta - half]),
        upper=np.concatenate([none, estimate.beta + half]),
        level=level,
        method="wald",
    )


def variance_names(design: Design, *, sigma: bool = True) -> tuple[str, ...]:
    """``sd_x|g`` and ``cor_x.w|g`` in the order of theta, then ``sigma`` where there is one."""
    names = []
    for term in design.random:
        for j, column in enumerate(term.columns):
            names.append(f"sd_{column}|{term.group}")
            names += [f"cor_{later}.{column}|{term.group}" for later in term.columns[j + 1 :]]
    return (*names, "sigma") if sigma else tuple(names)
