"""What linear and generalized linear mixed models have in common."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mixeff.model.methods import FitMethods
from mixeff.model.remembered import Remembered
from mixeff.model.request import Request

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.design.design import Design
    from mixeff.generalized.estimate import GeneralizedEstimate
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.model.varcorr import VarCorr
    from mixeff.optimize.verdict import Verdict

Floats = NDArray[np.float64]
if TYPE_CHECKING:
    Estimate: TypeAlias = LinearEstimate | GeneralizedEstimate


class MixedModel(FitMethods):
    """A fitted mixed model: what was asked, the numbers it became, what was estimated."""

    __slots__ = ()

    request: Request
    design: Design
    estimate: Estimate

    @property
    @abstractmethod
    def family(self) -> str:
        """Distribution of the response given the random effects."""

    @property
    @abstractmethod
    def is_reml(self) -> bool:
        """Whether the fit is by restricted maximum likelihood."""

    @property
    @abstractmethod
    def df(self) -> int:
        """Number of estimated parameters."""

    @property
    @abstractmethod
    def loglik(self) -> float:
        """Log-likelihood."""

    @property
    @abstractmethod
    def reml_criterion(self) -> float | None:
        """-2 restricted log-likelihood of a REML fit; None for others."""

    @property
    @abstractmethod
    def fitted(self) -> Floats:
        """Fitted values, random effects included (n,)."""

    @property
    @abstractmethod
    def sigma(self) -> float:
        """Residual standard deviation, or the root of the dispersion."""

    @property
    @abstractmethod
    def ranef_variance(self) -> dict[str, Floats]:
        """Covariances of the random effects given data, theta, beta: factor -> (levels, q, q)."""

    @property
    @abstractmethod
    def varcorr(self) -> VarCorr:
        """Variances and correlations of the random effects; ``.to_frame()`` for the numbers."""

    @property
    @abstractmethod
    def is_singular(self) -> bool:
        """Whether some random term has no variance in some direction."""

    @cached_property
    def _remembered(self) -> Remembered:
        """What was asked for once and serves every later table; see ``inference/method.py``."""
        return Remembered()

    @property
    def formula(self) -> str:
        """The formula as written."""
        return self.request.formula

    @property
    def formula_display(self) -> str:
        """The formula as R would print it."""
        return self.request.parsed.display

    @property
    def data_name(self) -> str:
        """What the caller calls the data."""
        return self.request.data_name

    @property
    def nobs(self) -> int:
        """Number of observations used."""
        return self.design.n

    @property
    def n_omitted(self) -> int:
        """Rows left out because of missing values."""
        return self.design.n_omitted

    @property
    def ngroups(self) -> dict[str, int]:
        """Number of levels of each grouping factor."""
        return {term.group: term.n_levels for term in self.design.random}

    @property
    def dropped(self) -> tuple[str, ...]:
        """Fixed-effect columns left out because the others determine them."""
        return self.design.dropped

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done with formula and data that a reader should know, in sentences."""
        return self.design.notes

    @property
    def df_residual(self) -> int:
        """Observations minus estimated parameters."""
        return self.nobs - self.df

    @property
    def fixef(self) -> pd.Series[float]:
        """Estimated fixed effects by coefficient name."""
        import pandas as pd

        return pd.Series(self.estimate.beta.copy(), index=list(self.design.names), dtype=float)

    @property
    def stderr(self) -> pd.Series[float]:
        """Standard errors of the fixed effects; of a linear model given theta."""
        return self.coefficients["std_error"].rename(None)

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects."""
        import pandas as pd

        from mixeff.inference.coefficients import covariance

        names = list(self.design.names)
        return pd.DataFrame(covariance(self.estimate), index=names, columns=names)

    @property
    def coefficients(self) -> pd.DataFrame:
        """``estimate, std_error, statistic`` (and ``p_value`` of a z) by coefficient name."""
        from mixeff.inference.coefficients import coefficient_table

        return coefficient_table(self.design, self.estimate).to_frame()

    @property
    def ranef(self) -> dict[str, pd.DataFrame]:
        """Conditional modes of the random effects: grouping factor -> levels x terms."""
        from mixeff.model.effects import random_effects

        return random_effects(self.design, self.estimate)

    @property
    def coef(self) -> dict[str, pd.DataFrame]:
        """Fixed plus random effects of every level: grouping factor -> levels x coefficients."""
        from mixeff.model.effects import coefficients_by_level

        return coefficients_by_level(self.design, self.estimate)

    @property
    def convergence(self) -> Verdict:
        """Verdict of the optimality conditions: ``ok``, a sentence, gradient, curvature ..."""
        return self.estimate.convergence

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        from mixeff.model.criteria import akaike

        return akaike(self.loglik, self.df)

    @property
    def bic(self) -> float:
        """Schwarz's criterion, with the number of observations."""
        from mixeff.model.criteria import schwarz

        return schwarz(self.loglik, self.df, self.nobs)

    @property
    def aicc(self) -> float:
        """AIC with the small-sample correction of Hurvich and Tsai."""
        from mixeff.model.criteria import akaike_corrected

        return akaike_corrected(self.loglik, self.df, self.nobs)
