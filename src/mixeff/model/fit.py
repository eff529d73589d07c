"""A fitted linear mixed model: what was asked, what was estimated, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixeff.model.names import calling_frame
from mixeff.model.padding import pad
from mixeff.model.request import Request

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.design.design import Design
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.model.varcorr import VarCorr
    from mixeff.optimize.verdict import Verdict
    from mixeff.report.summary import SummaryTable

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LinearMixedModel:
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

    def residuals(self, kind: str = "response") -> Floats:
        """Residuals (n,); padded as `fitted`.

        Parameters
        ----------
        kind : {"response", "pearson", "deviance", "working", "scaled"}
            ``response`` and ``working``: y - fitted. ``pearson`` and ``deviance``: times the
            square root of the prior weights. ``scaled``: Pearson over sigma, what the summary
            shows quantiles of.

        Raises
        ------
        OptionError
            Unknown kind.
        """
        from mixeff.diagnostics.residuals import residuals

        return pad(self, residuals(self.design, self.estimate, kind))

    def predict(
        self,
        newdata: Any = None,
        *,
        random: str | None = "all",
        type: str = "response",
        allow_new_levels: bool = False,
        se: bool = False,
        offset: ArrayLike | None = None,
        **unknown: Any,
    ) -> Any:
        """Predicted responses.

        Parameters
        ----------
        newdata : data frame or None
            Rows to predict; None means the rows of the fit.
        random : "all", None or str
            All random effects, none, or those a bar formula names: ``"~ (1 | class)"``.
        type : {"response", "link"}
            The same thing for a linear model.
        allow_new_levels : bool
            Levels the fit has not seen, and missing ones, get a random effect of zero.
        se : bool
            Also give standard errors, given theta (of the prediction error of X beta + Z b).
        offset : (m,) array or None
            Offset of the new rows; needed if the fit was given one as an array.

        Returns
        -------
        ndarray or pandas.Series
            A series with newdata's index where newdata is pandas; with ``se=True`` a DataFrame
            with columns ``estimate, std_error``. Rows with missing values give NaN.

        Raises
        ------
        PredictionError
            A level not seen, a missing grouping factor, a bar term the model does not have.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> new = {"Days": [0.0, 9.0], "Subject": ["308", "308"]}
        >>> m.predict(new).round(1).tolist()
        [253.7, 430.7]
        >>> m.predict(new, random=None).round(1).tolist()
        [251.4, 345.6]
        """
        from mixeff.prediction.predict import predict

        return predict(
            self,
            newdata,
            random=random,
            type=type,
            allow_new_levels=allow_new_levels,
            se=se,
            offset=offset,
            unknown=unknown,
        )

    def summary(self, ddf: str | None = None, correlation: bool | None = None) -> SummaryTable:
        """The summary table, printed in lme4's layout.

        Parameters
        ----------
        ddf : None
            Method for degrees of freedom; None prints t values without p values.
        correlation : bool or None
            Print the correlations of the fixed effects; None prints them up to 20 coefficients.
        """
        from mixeff.inference.coefficients import check_ddf
        from mixeff.report.summarize import summarize

        check_ddf(ddf)
        return summarize(self, ddf=ddf, correlation=correlation)

    def __str__(self) -> str:
        from mixeff.report.show import format_fit

        return format_fit(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def update(self, formula: str | None = None, **arguments: Any) -> LinearMixedModel:
        """Fit again with some arguments of the call changed.

        Parameters
        ----------
        formula : str or None
            A new formula; a dot stands for the old side: ``". ~ . - IQ"``.
        **arguments
            Any other argument of `lmer`: ``data, reml, weights, offset, contrasts, na_action,
            start, control``.

        Returns
        -------
        LinearMixedModel
            A response given to `refit` is kept unless the data or the left-hand side changes.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> m.update(". ~ . - (Days | Subject) + (1 | Subject)").df
        4
        """
        from mixeff.model.again import update

        return update(self, formula, arguments, calling_frame())

    def refit(self, y: ArrayLike) -> LinearMixedModel:
        """The same model fitted to another response: same rows, X, Z, weights and offset.

        Parameters
        ----------
        y : (n,) array or series
            The new response, already transformed if the formula transforms it; of the rows used,
            or of all rows of the data.

        Raises
        ------
        DataError
            Wrong length, not numeric, missing or infinite values, or constant.
        """
        from mixeff.model.again import refit

        return refit(self, y)

    def refit_ml(self) -> LinearMixedModel:
        """The same model by maximum likelihood; itself if it is already."""
        from mixeff.model.again import refit_ml

        return refit_ml(self)
