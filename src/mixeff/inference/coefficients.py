"""The table of fixed effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.tails import t_tail

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.design.design import Design
    from mixeff.inference.method import Method
    from mixeff.linear.estimate import LinearEstimate

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CoefficientTable:
    """Estimates of the fixed effects.

    Attributes
    ----------
    names : tuple of p str, R's coefficient names
    estimate, std_error, statistic : (p,) arrays; the statistic is estimate / std_error
    df, p_value : (p,) arrays or None
        Degrees of freedom where asked for; p values with them, and of z in generalized models.
    """

    names: tuple[str, ...]
    estimate: Floats
    std_error: Floats
    statistic: Floats
    df: Floats | None = None
    p_value: Floats | None = None

    def to_frame(self) -> pd.DataFrame:
        """``estimate, std_error, (df,) statistic(, p_value)``, coefficients in the index."""
        import pandas as pd

        columns = {
            "estimate": self.estimate,
            "std_error": self.std_error,
            "df": self.df,
            "statistic": self.statistic,
            "p_value": self.p_value,
        }
        present = {k: v for k, v in columns.items() if v is not None}
        return pd.DataFrame(present, index=list(self.names))


def covariance(estimate: LinearEstimate | GeneralizedEstimate) -> Floats:
    """(p, p) covariance of beta.

    Of a linear model sigma^2 (X' V^-1 X)^-1 (Bates et al. 2015, eq. 54), of a generalized one from
    the Hessian of the log-likelihood in all parameters.
    """
    if isinstance(estimate, GeneralizedEstimate):
        return estimate.covariance.copy()
    return np.asarray(estimate.sigma**2 * estimate.unscaled_covariance)


def coefficient_table(
    design: Design,
    estimate: LinearEstimate | GeneralizedEstimate,
    method: Method | None = None,
) -> CoefficientTable:
    """Coefficients with standard errors; for a generalized model with p values of their z.

    Parameters
    ----------
    design : Design
    estimate : LinearEstimate or GeneralizedEstimate
    method : Method or None
        Where the covariance, degrees of freedom and p values come from. None: the model's
        covariance, and for a linear model no p values.
    """
    matrix = covariance(estimate) if method is None else method.covariance
    std_error = np.sqrt(np.diag(matrix))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimate.beta / std_error
    df, p_value = None, None
    if method is not None:
        df = method.df(np.eye(estimate.beta.size))
        p_value = t_tail(statistic, df)
        if np.all(np.isinf(df)):
            df = None
    elif isinstance(estimate, GeneralizedEstimate):
        p_value = two_sided(statistic)
    return CoefficientTable(
        names=design.names,
        estimate=estimate.beta.copy(),
        std_error=std_error,
        statistic=statistic,
        df=df,
        p_value=p_value,
    )


def two_sided(z: Floats) -> Floats:
    """P(|Z| > |z|) of a standard normal Z."""
    from scipy.special import ndtr

    return np.asarray(2.0 * ndtr(-np.abs(z)))
