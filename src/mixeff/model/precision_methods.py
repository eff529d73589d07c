"""Profiles, draws, robust covariance, conditional AIC: forwarded to `mixeff.inference`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.inference.bootstrap import Bootstrap
    from mixeff.inference.conditional_aic import ConditionalAIC
    from mixeff.inference.profile import Profile
    from mixeff.model.mixed import MixedModel


class PrecisionMethods:
    """The methods of a fitted model that tell how well it is known."""

    __slots__ = ()

    @property
    def _model(self) -> MixedModel:
        return cast("MixedModel", self)

    def profile(
        self,
        parameters: str | Sequence[str] | None = None,
        *,
        alpha_max: float = 0.01,
        delta: float | None = None,
        max_points: int = 100,
        progress: bool | None = None,
        **unknown: Any,
    ) -> Profile:
        """Profile likelihood of standard deviations, correlations, sigma and coefficients.

        Parameters
        ----------
        parameters : str or sequence of str, optional
            Names as the rows of `confint`; ``"theta_"`` takes all variances, ``"beta_"`` all
            coefficients. None takes all.
        alpha_max : float
            The curves go up to |zeta| with this tail probability jointly for all parameters.
        delta : float, optional
            Distance of the points in zeta; an eighth of the largest zeta if not given.
        max_points : int
            Points on one side of an estimate at most.
        progress : bool, optional
            Show a bar on standard error; None shows it when a person watches.

        Returns
        -------
        Profile
            ``.confint(level)``, ``.to_frame()``, ``.density(parameter)``; its notes say so where a
            REML fit was refitted by maximum likelihood, or a better optimum was met.

        Notes
        -----
        A correlation may be anything where one of its standard deviations is zero, so the deviance
        of that model is as high as its profile goes: the interval is (-1, 1) unless both standard
        deviations are above zero at that level. An interval ends where zeta is first crossed; its
        limit is infinite where no finite value is far enough, and NaN where no optimum of the other
        parameters was found on the way. A note says so.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Yield ~ 1 + (1 | Batch)", mx.load_dataset("Dyestuff"), reml=False)
        >>> m.profile("sd_(Intercept)|Batch").confint().round(2).to_numpy().tolist()
        [[12.2, 84.06]]
        """
        from mixeff.inference.profile import profile
        from mixeff.model.options import refuse_unknown

        known = ("parameters", "alpha_max", "delta", "max_points", "progress")
        refuse_unknown("profile", unknown, known)
        return profile(
            self._model,
            parameters,
            alpha_max=alpha_max,
            delta=delta,
            max_points=max_points,
            progress=progress,
        )

    def bootstrap(
        self,
        nsim: int = 1000,
        *,
        kind: str = "parametric",
        statistic: Callable[[Any], Any] | None = None,
        seed: Any = None,
        random: str | None = None,
        cluster: str | None = None,
        threads: int | None = None,
        progress: bool | None = None,
        **unknown: Any,
    ) -> Bootstrap:
        """Draw or resample responses, fit the model to each, keep its parameters.

        Parameters
        ----------
        nsim : int
            Replicates. More of them with the same seed leave the first ones as they are.
        kind : {"parametric", "semiparametric", "case"}
            ``parametric``: responses drawn from the fitted model. ``semiparametric`` (linear
            models): residuals given the random effects (times root weight) resampled with
            replacement, and the conditional modes of each term level by level, both centred and
            rescaled to the estimated variances first (Carpenter, Goldstein and Rasbash 2003).
            ``case``: whole levels of the outermost grouping factor resampled with replacement,
            one that is drawn twice counting as two.
        statistic : callable, optional
            A function of a fit that gives a number, several, or a mapping from names to numbers.
            Where it raises an ArithmeticError or ValueError, the replicate counts as failed.
            None means all parameters, named as in `confint`, which need no fit objects.
        seed : int, numpy Generator or None
            The same seed gives the same draws, whatever the number of threads.
        random : None, "all" or str
            As `simulate`: None draws new random effects, ``"all"`` keeps the conditional modes
            (lme4's ``use.u=TRUE``), a bar formula keeps those it names.
        cluster : str, optional
            Grouping factor whose levels ``kind="case"`` resamples; None is the outermost.
        threads : int, optional
            None takes that of the fit's ``control``. With ``statistic``, and for generalized
            models but small ones with one grouping factor, replicates are fitted one after the
            other, with threads within a fit.
        progress : bool, optional
            Show a bar on standard error; None shows it when a person watches.

        Returns
        -------
        Bootstrap
            With ``draws``, ``summary``, ``confint()``, ``to_frame()`` and counts of replicates
            that failed or are singular.

        Raises
        ------
        OptionError
            An argument is out of range, or the model has no bootstrap of that kind.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> b = m.bootstrap(500, seed=1)
        >>> b.names[:3]
        ('sd_(Intercept)|Subject', 'cor_Days.(Intercept)|Subject', 'sd_Days|Subject')
        >>> slope = b.confint().to_frame().loc["Days"]
        >>> bool(slope["lower"] < 10.47 < slope["upper"])
        True
        """
        from mixeff.inference.bootstrap import bootstrap

        return bootstrap(
            self._model,
            nsim,
            kind=kind,
            statistic=statistic,
            seed=seed,
            random=random,
            cluster=cluster,
            threads=threads,
            progress=progress,
            unknown=unknown,
        )

    def robust_vcov(
        self, kind: str | None = None, *, cluster: Any = None, **unknown: Any
    ) -> pd.DataFrame:
        """Cluster-robust (sandwich) covariance matrix of the fixed effects.

        It stays valid if the random effects are misspecified, for many independent clusters. Tests
        and intervals that use it, with small-sample degrees of freedom, come from the methods that
        take ``vcov=``, for example ``m.contrast(L, vcov="CR2")``.

        Parameters
        ----------
        kind : {None, "CR0", "CR1", "CR2"}
            None: CR2 for a linear model, CR1 for a generalized one. ``CR0``: without correction.
            ``CR1``: times m / (m - 1) for m clusters. ``CR2``: unbiased if the fitted model is
            right (Bell and McCaffrey 2002). A generalized model has CR0 and CR1, from the scores of
            the Laplace approximation.
        cluster : None, str or array
            None: the grouping factor in which all others are nested. Else a column of the data or
            one value per row. Every level of the random effects must lie within one cluster.

        Returns
        -------
        pandas.DataFrame
            (p, p), coefficient names on both axes.

        Raises
        ------
        OptionError
            Crossed factors link all observations; clusters that split levels of a random effect.

        References
        ----------
        Pustejovsky, J. E. and Tipton, E. (2018). Small-sample methods for cluster-robust variance
        estimation and hypothesis testing in fixed effects models. JBES 36, 672-683.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("lang ~ IQ + SES + (1 | class)", mx.load_dataset("nlschools"))
        >>> round(float(m.robust_vcov("CR2").loc["IQ", "IQ"] ** 0.5), 4)
        0.0849
        >>> round(float(m.stderr["IQ"]), 4)
        0.0714
        """
        from mixeff.inference.robust import robust_covariance
        from mixeff.model.options import refuse_unknown

        refuse_unknown("robust_vcov", unknown, ("kind", "cluster"))
        return robust_covariance(self._model, kind, cluster)

    def conditional_aic(self, variances: str | None = None, **unknown: Any) -> ConditionalAIC:
        """The conditional AIC: for predicting new observations of the same groups.

        Parameters
        ----------
        variances : {None, "estimated", "known"}
            Whether the effective degrees of freedom count that the variances were estimated. None:
            ``"estimated"`` for a linear model (analytic), ``"known"`` for a generalized one, where
            ``"estimated"`` takes a refit for every observation and is there for Poisson models
            with log link and responses of 0 and 1 with logit link.

        Returns
        -------
        ConditionalAIC
            ``caic``, ``loglik`` (given the random effects), ``effective_df``, ``dispersion``,
            ``notes``. Several models: ``mx.caic(m1, m2)``.

        References
        ----------
        Greven, S. and Kneib, T. (2010). On the behaviour of marginal and conditional AIC in linear
        mixed models. Biometrika 97, 773-789.

        Saefken, B., Kneib, T., van Waveren, C.-S. and Greven, S. (2014). A unifying approach to the
        estimation of the conditional Akaike information in generalized linear mixed models.
        Electronic Journal of Statistics 8, 201-225.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> found = m.conditional_aic()
        >>> round(found.caic, 1), round(found.effective_df, 2)
        (1711.5, 30.25)
        """
        from mixeff.inference.conditional_aic import conditional_aic
        from mixeff.model.options import refuse_unknown

        refuse_unknown("conditional_aic", unknown, ("variances",))
        return conditional_aic(self._model, variances)
