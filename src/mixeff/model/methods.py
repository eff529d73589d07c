"""What a fit can do: every method forwards to a function in the room that knows how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixeff.model.hypothesis_methods import HypothesisMethods
from mixeff.model.means_methods import MeansMethods
from mixeff.model.names import calling_frame
from mixeff.model.padding import pad
from mixeff.model.precision_methods import PrecisionMethods

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.model.mixed import MixedModel
    from mixeff.model.refit_many import ManyFits
    from mixeff.report.summary import SummaryTable

Floats = NDArray[np.float64]


class FitMethods(HypothesisMethods, PrecisionMethods, MeansMethods):
    """The methods of a fitted model; its numbers are in `MixedModel` and the classes of it."""

    __slots__ = ()

    @property
    def _fit(self) -> MixedModel:
        return cast("MixedModel", self)

    def residuals(self, kind: str = "response", **unknown: Any) -> Floats:
        """Residuals (n,); padded as `fitted`.

        Parameters
        ----------
        kind : {"response", "pearson", "deviance", "working", "scaled"}
            ``response``: y - fitted. ``pearson``: times the square root of the prior weights
            over the family's variance function. ``deviance``: signed roots of the parts of the
            deviance. ``working``: y - fitted over dmu/deta. ``scaled``: Pearson over sigma, what
            the summary shows quantiles of. Of a linear model ``working`` are the response ones,
            ``deviance`` the Pearson ones.

        Raises
        ------
        OptionError
            Unknown kind.
        """
        from mixeff.diagnostics.residuals import residuals
        from mixeff.model.options import refuse_unknown

        refuse_unknown("residuals", unknown, ("kind",))
        fit = self._fit
        return pad(fit, residuals(fit.design, fit.estimate, kind))

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
            Means of the response, or the linear predictor; the same thing for a linear model.
        allow_new_levels : bool
            Levels the fit has not seen, and missing ones, get a random effect of zero.
        se : bool
            Also give standard errors, given theta (of the prediction error of X beta + Z b; on
            the scale of the response by the delta method).
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
            self._fit,
            newdata,
            random=random,
            type=type,
            allow_new_levels=allow_new_levels,
            se=se,
            offset=offset,
            unknown=unknown,
        )

    def simulate(
        self,
        nsim: int = 1,
        *,
        seed: Any = None,
        random: str | None = None,
        newdata: Any = None,
        allow_new_levels: bool = False,
        offset: ArrayLike | None = None,
        **unknown: Any,
    ) -> Any:
        """New responses drawn from the model, its parameters taken as known.

        Parameters
        ----------
        nsim : int
            How many.
        seed : int, numpy Generator or None
            The same seed gives the same numbers.
        random : None, "all" or str
            None draws new random effects each time; ``"all"`` keeps the conditional modes; a bar
            formula, ``"~ (1 | class)"``, keeps the modes it names and draws the others.
        newdata : data frame or None
            Rows to draw responses for; None means the rows of the fit. The levels of a grouping
            factor may be new: each has one effect, drawn. Weights and, for
            ``cbind(successes, failures)``, the trials are looked up in the new data.
        allow_new_levels : bool
            With ``random`` given: levels the fit has not seen have no mode; draw their effects.
        offset : (m,) array or None
            Offset of the new rows; needed if the fit was given one as an array.

        Returns
        -------
        (n, nsim) array
            A column per draw, as `refit_many` takes them; padded as `fitted`. Where newdata is
            pandas, a DataFrame with columns ``sim_1 ...``. Responses of a binomial model are
            proportions of its trials, 0 and 1 where every row is one trial.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> m.simulate(3, seed=1).shape
        (180, 3)
        >>> m.refit(m.simulate(seed=1)).df
        6
        """
        from mixeff.prediction.simulate import simulate

        return simulate(
            self._fit,
            nsim,
            seed=seed,
            random=random,
            newdata=newdata,
            allow_new_levels=allow_new_levels,
            offset=offset,
            unknown=unknown,
        )

    def summary(
        self,
        ddf: str | None = None,
        correlation: bool | None = None,
        vcov: str | None = None,
        **unknown: Any,
    ) -> SummaryTable:
        """The summary table, printed in lme4's layout.

        Parameters
        ----------
        ddf : {"auto", "satterthwaite", "kenward-roger", "asymptotic"} or None
            Degrees of freedom of the coefficients' tests, ``"auto"``: Satterthwaite's. None prints
            t values without p values. A generalized model has z and p values anyway.
        correlation : bool or None
            Print the correlations of the fixed effects; None prints them up to 12 coefficients.
        vcov : {None, "CR0", "CR1", "CR2"}
            Cluster-robust standard errors in place of the model's.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> m.summary(ddf="satterthwaite").coefficients["df"].round(1).to_dict()
        {'(Intercept)': 17.0, 'Days': 17.0}
        """
        from mixeff.model.options import refuse_unknown
        from mixeff.report.summarize import summarize

        refuse_unknown("summary", unknown, ("ddf", "correlation", "vcov"))
        return summarize(self._fit, ddf=ddf, correlation=correlation, vcov=vcov)

    def __str__(self) -> str:
        from mixeff.report.show import format_fit

        return format_fit(self._fit)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def confint(
        self,
        level: float = 0.95,
        method: str = "wald",
        parameters: str | Sequence[str] | None = None,
        *,
        ddf: str | None = None,
        vcov: str | None = None,
        **unknown: Any,
    ) -> pd.DataFrame:
        """Confidence intervals: columns ``lower, upper``.

        Parameters
        ----------
        level : float
            Between 0 and 1.
        method : {"wald", "profile", "bootstrap"}
            ``wald``: estimate -/+ normal quantile times standard error. Standard deviations and
            correlations have no such intervals; their rows are NaN. ``profile``: all values the
            likelihood-ratio test does not reject; a REML fit is refitted by maximum likelihood.
            ``bootstrap``: takes the arguments of `bootstrap` (``nsim=1000, seed=None,
            kind="parametric"`` ...) and ``interval="percentile"``, the method of
            `Bootstrap.confint`.
        parameters : str or sequence of str, optional
            Rows wanted, by name; ``"theta_"`` takes all variances, ``"beta_"`` all coefficients.
        ddf : {"auto", "satterthwaite", "kenward-roger", "asymptotic"} or None
            Of Wald intervals: quantiles of t with these degrees of freedom.
        vcov : {None, "CR0", "CR1", "CR2"}
            Of Wald intervals: cluster-robust standard errors.

        Returns
        -------
        pandas.DataFrame
            Rows ``sd_(Intercept)|class``, ``cor_IQ.(Intercept)|class``, ``sigma``, then the
            coefficients.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> m.confint().loc["Days"].round(3).tolist()
        [7.438, 13.497]
        >>> m.confint(ddf="satterthwaite").loc["Days"].round(3).tolist()
        [7.206, 13.729]
        >>> m.confint(method="profile", parameters="Days").loc["Days"].round(3).tolist()
        [7.359, 13.576]
        """
        from mixeff.inference.intervals import intervals

        options = {"ddf": ddf, "vcov": vcov}
        unknown |= {name: value for name, value in options.items() if value is not None}
        return intervals(self._fit, level, method, parameters, unknown)

    def update(self, formula: str | None = None, **arguments: Any) -> Self:
        """Fit again with some arguments of the call changed.

        Parameters
        ----------
        formula : str or None
            A new formula; a dot stands for the old side: ``". ~ . - IQ"``.
        **arguments
            Any other argument of the call: ``data, reml, weights, offset, contrasts, na_action,
            start, control``; of `glmer` also ``family, link, n_agq``.

        Returns
        -------
        a model of the same class
            A response given to `refit` is kept unless the data or the left-hand side changes.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> m.update(". ~ . - (Days | Subject) + (1 | Subject)").df
        4
        """
        from mixeff.model.again import update

        return cast("Self", update(self._fit, formula, arguments, calling_frame()))

    def refit(self, y: ArrayLike, **unknown: Any) -> Self:
        """The same model fitted to another response: same rows, X, Z, weights and offset.

        The cross-products of X and Z are used again, so this is faster than a new fit, with the
        same answer.

        Parameters
        ----------
        y : (n,) array or series
            The new response, already transformed if the formula transforms it; of the rows used,
            or of all rows of the data; by position. A pandas Series with the row labels of the
            data in another order is refused, since it could mean either. For a binomial model
            proportions (of the same trials), or two columns of successes and failures.

        Raises
        ------
        DataError
            Wrong length, not numeric, missing or infinite values, or constant.
        """
        from mixeff.model.again import refit
        from mixeff.model.options import refuse_unknown

        refuse_unknown("refit", unknown, ("y",))
        return cast("Self", refit(self._fit, y))

    def refit_many(
        self, Y: ArrayLike, *, threads: int | None = None, progress: bool | None = None
    ) -> ManyFits:
        """The same model fitted to many responses, a column each; see `mixeff.refit_many`."""
        from mixeff.model.refit_many import refit_many

        return refit_many(self._fit, Y, threads=threads, progress=progress)

    def refit_ml(self) -> Self:
        """The same model by maximum likelihood; itself if it is already."""
        from mixeff.model.again import refit_ml

        return cast("Self", refit_ml(self._fit))
