"""A fitted linear mixed model: what was asked, what was estimated, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.model.methods import FitMethods
from mixeff.model.padding import pad
from mixeff.model.request import Request

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.design.design import Design
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.model.varcorr import VarCorr
    from mixeff.optimize.verdict import Verdict

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class LinearMixedModel(FitMethods):
    """A linear mixed model fitted by `lmer`. Immutable: `update` and `refit` return new ones.

    Prints as lme4 prints a fit; `summary` gives the full table.

    Attributes
    ----------
    request : Request
        The arguments of the call.
    design : Design
        The numbers formula and data became (response, X, random terms, weights, offset).
    estimate : LinearEstimate
        The optimum.

    Examples
    --------
    >>> import mixeff as mx
    >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    >>> m.fixef.round(2).to_dict()
    {'(Intercept)': 251.41, 'Days': 10.47}
    >>> round(m.reml_criterion, 3)
    1743.628
    """

    request: Request
    design: Design
    estimate: LinearEstimate

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
    def family(self) -> str:
        """``"gaussian"``."""
        return "gaussian"

    @property
    def is_reml(self) -> bool:
        """Whether the fit is by restricted maximum likelihood."""
        return self.estimate.reml

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
    def df(self) -> int:
        """Number of estimated parameters: coefficients, theta, sigma."""
        return len(self.design.names) + int(self.estimate.theta.size) + 1

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
        """Standard errors of the fixed effects, given theta."""
        return self.coefficients["std_error"].rename(None)

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects, sigma^2 (X' V^-1 X)^-1."""
        import pandas as pd

        from mixeff.inference.coefficients import covariance

        names = list(self.design.names)
        return pd.DataFrame(covariance(self.estimate), index=names, columns=names)

    @property
    def coefficients(self) -> pd.DataFrame:
        """``estimate, std_error, statistic`` by coefficient name."""
        from mixeff.inference.coefficients import coefficient_table

        return coefficient_table(self.design, self.estimate).to_frame()

    @property
    def ranef(self) -> dict[str, pd.DataFrame]:
        """Conditional modes of the random effects: grouping factor -> levels x terms."""
        from mixeff.model.effects import random_effects

        return random_effects(self.design, self.estimate)

    @property
    def ranef_variance(self) -> dict[str, Floats]:
        """Covariances of the random effects given data, theta, beta: factor -> (levels, q, q)."""
        from mixeff.model.effects import conditional_covariances

        return conditional_covariances(self.design, self.estimate)

    @property
    def coef(self) -> dict[str, pd.DataFrame]:
        """Fixed plus random effects of every level: grouping factor -> levels x coefficients."""
        from mixeff.model.effects import coefficients_by_level

        return coefficients_by_level(self.design, self.estimate)

    @property
    def varcorr(self) -> VarCorr:
        """Variances and correlations of the random effects; ``.to_frame()`` for the numbers."""
        from mixeff.model.varcorr import variance_components

        return variance_components(self.design, self.estimate)

    @property
    def sigma(self) -> float:
        """Residual standard deviation."""
        return float(self.estimate.sigma)

    @property
    def theta(self) -> Floats:
        """Relative Cholesky factors, lower triangles by columns, terms in lme4's order (a copy)."""
        return self.estimate.theta.copy()

    @property
    def is_singular(self) -> bool:
        """Whether some random term has no variance in some direction."""
        from mixeff.diagnostics.singularity import is_singular

        return is_singular(self.design, self.estimate.Lambda)

    @property
    def convergence(self) -> Verdict:
        """Verdict of the optimality conditions: ``ok``, a sentence, gradient, curvature ..."""
        return self.estimate.convergence

    @property
    def loglik(self) -> float:
        """Log-likelihood; the restricted one for a REML fit."""
        return -0.5 * float(self.estimate.criterion)

    @property
    def deviance(self) -> float | None:
        """-2 log-likelihood of an ML fit; None for a REML fit."""
        return None if self.is_reml else float(self.estimate.criterion)

    @property
    def reml_criterion(self) -> float | None:
        """-2 restricted log-likelihood of a REML fit; None for an ML fit."""
        return float(self.estimate.criterion) if self.is_reml else None

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

    @property
    def fitted(self) -> Floats:
        """Fitted values, random effects included (n,).

        With ``na_action="exclude"`` as long as the data, NaN in the rows left out.
        """
        from mixeff.model.linear_predictor import fitted_values

        return pad(self, fitted_values(self.design, self.estimate))
