"""Wald intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.coefficients import covariance
from mixeff.inference.method import Method, method_of
from mixeff.inference.table import ResultTable
from mixeff.inference.tails import t_quantile
from mixeff.model.options import check_level
from mixeff.model.scales import has_scale

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.design.design import Design
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

_NORMAL = "Estimate -/+ normal quantile times standard error: variances taken as known."
_NONE = 'Standard deviations and correlations have no such interval; method="profile" gives one.'


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
    design: Design,
    estimate: LinearEstimate | GeneralizedEstimate,
    level: float,
    method: Method | None = None,
) -> IntervalTable:
    """Estimate -/+ quantile times standard error, for the coefficients.

    The quantile is the normal one, or that of t with the degrees of freedom of ``method``, whose
    standard errors are then used. The sampling distribution of a standard deviation or correlation
    is far from normal, so those get NaN, as in lme4.

    Raises
    ------
    OptionError
        ``level`` is not between 0 and 1.
    """
    level = check_level("confint", level)
    p = estimate.beta.size
    matrix = covariance(estimate) if method is None else method.covariance
    df = np.full(p, np.inf) if method is None else method.df(np.eye(p))
    half = t_quantile(level, df) * np.sqrt(np.diag(matrix))
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


def wald_table(
    fit: MixedModel, level: float, ddf: str | None = None, vcov: str | None = None
) -> ResultTable:
    """``wald_intervals`` of a fit, by the names of the method the caller uses."""
    method = None
    if not (ddf is None and vcov is None):
        method = method_of(fit, "auto" if ddf is None else ddf, vcov, function="confint")
    found = wald_intervals(fit.design, fit.estimate, level, method)
    return ResultTable(
        f"{100 * level:g} % Wald confidence intervals",
        found.names,
        {"lower": found.lower, "upper": found.upper},
        (_NORMAL if method is None else method.sentence, _NONE),
    )


def variance_names(design: Design, *, sigma: bool = True) -> tuple[str, ...]:
    """``sd_x|g`` and ``cor_x.w|g`` in the order of theta, then ``sigma`` where there is one."""
    names = []
    for term in design.random:
        for j, column in enumerate(term.columns):
            names.append(f"sd_{column}|{term.group}")
            names += [f"cor_{later}.{column}|{term.group}" for later in term.columns[j + 1 :]]
    return (*names, "sigma") if sigma else tuple(names)
