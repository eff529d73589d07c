"""Tests, intervals and estimates of a fit: every method forwards to `mixeff.inference`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.inference.anova_table import AnovaTable
    from mixeff.inference.bootstrap import Bootstrap
    from mixeff.inference.bootstrap.likelihood_ratio import ReferenceTest
    from mixeff.inference.conditional_aic import ConditionalAIC
    from mixeff.inference.marginal.tables import EstimateTable
    from mixeff.inference.profile import Profile
    from mixeff.inference.table import ResultTable
    from mixeff.model.mixed import MixedModel

_MEANS = ("specs", "by", "at", "weights", "type", "offset", "ddf", "vcov", "level")


class InferenceMethods:
    """The methods of a fitted model that test and estimate."""

    __slots__ = ()

    @property
    def _model(self) -> MixedModel:
        return cast("MixedModel", self)

    # --- F tests, contrasts (anova_table.py, hypotheses.py)

    def anova(
        self,
        type: int = 3,
        ddf: str | None = "auto",
        vcov: str | None = None,
        *,
        hypotheses: str = "marginal",
        **unknown: Any,
    ) -> AnovaTable:
        """Tests of the terms of the fixed effects. To compare models: `mixeff.anova`.

        Parameters
        ----------
        type : {1, 2, 3}
            1: each term after those before it. 2: each term given all that do not contain it.
            3: each term given all others, averaged evenly over the factors it interacts with,
            whatever the coding of factors.
        ddf : {"auto", "satterthwaite", "kenward-roger", "asymptotic"} or None
            ``"auto"``: Satterthwaite's for a linear model, asymptotic for a generalized one.
            ``"asymptotic"``: Wald chi-square tests. None: F without p values.
        vcov : {None, "CR0", "CR1", "CR2"}
            The model's covariance of the coefficients, or a cluster-robust one.
        hypotheses : {"marginal", "coefficients"}
            What type 3 tests. ``"coefficients"``: that all coefficients of a term are zero, as they
            are coded (what car's ``Anova(type = 3)`` does), with a row for the intercept.

        Returns
        -------
        AnovaTable
            ``sum_sq, mean_sq, num_df, den_df, f_value, p_value``; for asymptotic tests
            ``chisq, df, p_value``.

        Notes
        -----
        With degrees of freedom the hypotheses of types 1 and 2 are those of least squares, as
        lmerTest's and SAS's; asymptotic tests and ``ddf=None`` weigh by the estimated variances, as
        car's and lme4's do. In balanced data they are the same.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("yield ~ nitro + Variety + (1 | Block / Variety)", mx.load_dataset("Oats"))
        >>> m.anova().to_frame()["den_df"].round(1).to_dict()
        {'nitro': 53.0, 'Variety': 10.0}
        """
        from mixeff.inference.anova_table import anova_of_terms
        from mixeff.model.options import refuse_unknown

        refuse_unknown("anova", unknown, ("type", "ddf", "vcov", "hypotheses"))
        return anova_of_terms(self._model, type, ddf, vcov, hypotheses)

    def contrast(
        self,
        L: Any,
        rhs: float | Sequence[float] | NDArray[np.float64] = 0.0,
        *,
        ddf: str | None = "auto",
        vcov: str | None = None,
        joint: bool = False,
        level: float = 0.95,
        **unknown: Any,
    ) -> ResultTable:
        """Tests and intervals of linear functions of the coefficients, L beta = rhs.

        Parameters
        ----------
        L : array, text, dict, data frame, or a list of texts and dicts
            Numbers (p,) or (k, p) in the order of `fixef`; ``"IQ = 0"``, ``"a - 2 * b = 0.5"``
            (sums, differences, multiples of coefficient names); ``{"a": 1, "b": -2}``, names that
            are left out count as 0; a frame with coefficient names as columns. A dict of such rows
            gives them labels.
        rhs : float or (k,) array
            Hypothetical values of L beta.
        ddf : {"auto", "satterthwaite", "kenward-roger", "asymptotic"} or None
            Degrees of freedom; ``"auto"``: Satterthwaite's for a linear model, infinite ones for a
            generalized model. None: no p values.
        vcov : {None, "CR0", "CR1", "CR2"}
            The model's covariance of the coefficients, or a cluster-robust one.
        joint : bool
            One F test that all rows hold.
        level : float
            Of the intervals.

        Returns
        -------
        ResultTable
            ``estimate, std_error, df, statistic, p_value, lower, upper``, a row per row of L; with
            ``joint=True`` ``num_df, den_df, f_value, p_value``.

        Raises
        ------
        OptionError
            L has the wrong width, is zero, names an unknown coefficient, contradicts itself.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> m.contrast("Days = 10").to_frame().round(3)["p_value"].tolist()
        [0.766]
        >>> m.contrast({"(Intercept)": 1, "Days": 9}).to_frame()["df"].round(2).tolist()
        [17.0]
        """
        from mixeff.inference.hypotheses import contrast
        from mixeff.model.options import refuse_unknown

        known = ("L", "rhs", "ddf", "vcov", "joint", "level")
        refuse_unknown("contrast", unknown, known)
        return contrast(self._model, L, rhs, ddf=ddf, vcov=vcov, joint=joint, level=level)

    # --- deletions and random terms (single_terms.py, random_terms.py)

    def drop1(self, scope: Any = None, test: str | None = "chisq", **unknown: Any) -> ResultTable:
        """Test every fixed-effect term by leaving it out: likelihood-ratio tests of ML fits.

        Parameters
        ----------
        scope : None, list of str or str
            The terms to leave out: labels, or a formula such as ``"~ IQ + SES"``. None takes every
            term that is part of no other (``a`` is left alone where ``a:b`` is in the model).
        test : {"chisq"} or None
            None gives the criteria without tests.

        Returns
        -------
        ResultTable
            A row for the model itself, ``<none>``, and one per term; columns ``npar, loglik, aic,
            lrt, df, p_value``. ``npar`` counts the parameters of the model of that row (R's
            ``drop1`` prints under ``npar`` what is ``df`` here). A REML fit is refitted by maximum
            likelihood. All models use the rows of this fit, also where a variable left out is what
            made other rows incomplete.

        Raises
        ------
        OptionError
            ``scope`` names no term of the model, or one that is part of an interaction.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> m.drop1().to_frame()[["npar", "lrt", "df"]].round(3)
                npar     lrt   df
        <none>     6     NaN  NaN
        Days       5  23.537  1.0
        """
        from mixeff.inference.single_terms import drop1
        from mixeff.model.options import refuse_unknown

        refuse_unknown("drop1", unknown, ("scope", "test"))
        return drop1(self._model, scope, test)

    def ranova(self, reduce_terms: bool = True, **unknown: Any) -> ResultTable:
        """Test every random term by reducing it or leaving it out.

        Parameters
        ----------
        reduce_terms : bool
            ``(x | g)`` is reduced to ``(1 | g)``, ``(x + z | g)`` to ``(x | g)`` and ``(z | g)``,
            ``(0 + f | g)`` of a factor to ``(1 | g)``; terms of one effect are left out. False
            leaves out whole terms.

        Returns
        -------
        ResultTable
            A row for the model itself, ``<none>``, and one per smaller model; columns ``npar,
            loglik, aic, lrt, df, p_value, p_boundary``. ``p_value`` is the plain chi-square's (as
            lmerTest's); ``p_boundary`` that of the mixture of chi-squares which holds where the
            smaller model puts a variance at zero. The notes name the mixture. REML fits are
            compared by REML: the fixed effects are the same.

        Notes
        -----
        Without any random term the comparison is with ordinary least squares, or with the ordinary
        generalized linear model by maximum likelihood. A numeric effect
        without intercept, ``(0 + x | g)``, is left out; lmerTest puts ``(1 | g)`` in its place,
        which is not nested.

        References
        ----------
        Self, S. G. and Liang, K.-Y. (1987). Asymptotic properties of maximum likelihood estimators
        and likelihood ratio tests under nonstandard conditions. JASA 82, 605-610.

        Stram, D. O. and Lee, J. W. (1994). Variance components testing in the longitudinal mixed
        effects model. Biometrics 50, 1171-1177.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> m.ranova().to_frame()[["npar", "lrt", "df"]].round(3)
                                  npar     lrt   df
        <none>                       6     NaN  NaN
        Days in (Days | Subject)     4  42.837  2.0
        """
        from mixeff.inference.random_terms import ranova
        from mixeff.model.options import refuse_unknown

        refuse_unknown("ranova", unknown, ("reduce_terms",))
        return ranova(self._model, reduce_terms)

    # --- profile likelihood (profile/)

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

    # --- bootstrap and permutation (bootstrap/, permutation.py)

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
            None means all parameters, named as in `confint`, which need no fit objects.
        seed : int, numpy Generator or None
            The same seed gives the same draws, whatever the number of threads.
        random : None, "all" or str
            As `simulate`: None draws new random effects, ``"all"`` keeps the conditional modes
            (lme4's ``use.u=TRUE``), a bar formula keeps those it names.
        cluster : str, optional
            Grouping factor whose levels ``kind="case"`` resamples; None is the outermost.
        threads : int, optional
            None takes that of the fit's ``control``. A generalized model, or one with
            ``statistic``, is refitted one replicate after the other, with threads within a fit.
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

    def permutation_test(
        self,
        terms: str | Sequence[str] | None = None,
        *,
        nsim: int = 9999,
        seed: Any = None,
        scheme: str | None = None,
        within: str | None = None,
        threads: int | None = None,
        progress: bool | None = None,
        **unknown: Any,
    ) -> ReferenceTest:
        """Permutation tests of fixed-effect terms, one at a time.

        The residuals y - X beta of the model without the term are rearranged in a way that leaves
        their distribution as it is if the term has no effect, and models with and without the term
        are fitted to each rearrangement by maximum likelihood (Freedman and Lane 1983).

        Parameters
        ----------
        terms : str, sequence of str or None
            Labels; None means all terms that are part of no interaction.
        nsim : int
            Rearrangements; all of them are taken instead where there are no more.
        seed : int, numpy Generator or None
            The same seed gives the same result, whatever the number of threads.
        scheme : {"within", "groups", "signs"} or None
            ``within``: rows with the same random effects are permuted. ``groups``: residuals of
            whole levels of the outermost grouping factor are exchanged; the levels must have the
            same size and random-effect columns. ``signs``: residuals of whole levels get random
            signs, which needs symmetry instead. None takes ``within`` for a term that varies among
            rows with the same random effects (in a model without random slopes), else ``groups``
            for a term that is constant in groups that are alike, else ``signs``.
        within : str, optional
            Grouping factor within whose levels rows are permuted. None permutes where all random
            effects are the same.
        threads, progress : as `bootstrap` takes them

        Returns
        -------
        ReferenceTest
            Columns ``scheme, statistic, df, n, p_value``: the likelihood-ratio statistic, the
            numbers of coefficients tested and of rearrangements, ``(1 + #{t* >= t}) / (1 + n)``.

        Raises
        ------
        OptionError
            Nothing can be exchanged: crossed factors without replicates, too few groups, a
            generalized model.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (1 | Subject)", mx.load_dataset("sleepstudy"))
        >>> table = m.permutation_test(nsim=199, seed=1)
        >>> table["scheme"], table["p_value"].tolist()
        (('within',), [0.005])
        """
        from mixeff.inference.permutation import permutation_test

        return permutation_test(
            self._model,
            terms,
            nsim,
            seed=seed,
            scheme=scheme,
            within=within,
            threads=threads,
            progress=progress,
            unknown=unknown,
        )

    # --- marginal means and slopes (marginal/)

    def marginal_means(
        self,
        specs: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        type: str = "link",
        offset: float | None = None,
        ddf: str | None = "auto",
        vcov: str | None = None,
        level: float = 0.95,
        **unknown: Any,
    ) -> EstimateTable:
        """Marginal means of the fixed effects, as R's emmeans gives them.

        The fixed effects are evaluated over a grid of all levels of the factors, with numeric
        variables at their means (of the variable, before any transformation; a variable of two
        values counts as a factor), and averaged over the factors that are not named. Random
        effects are zero.

        Parameters
        ----------
        specs : str or sequence of str
            Variables whose combinations have a mean each; also as emmeans writes it,
            ``"~ a | b"``.
        by : str or sequence of str, optional
            Variables within whose combinations contrasts, tests and letters are taken.
        at : mapping of names to values, optional
            Levels or numbers that replace those of the grid.
        weights : {"equal", "proportional", "outer", "cells", "flat"}
            How what is averaged over counts: equally; by the frequencies of the combinations
            averaged over; by the products of each factor's own frequencies; by the frequencies of
            the cells themselves; equally but for empty cells.
        type : {"link", "response"}
            The scale of the linear predictor, or the response by the inverse of the link or of the
            transformation of the response (``log(y)``, ``sqrt(y)`` ...); no adjustment is made for
            the variance of the random effects.
        offset : float, optional
            In place of the offset of the model at the grid.
        ddf : {"auto", "satterthwaite", "kenward-roger", "asymptotic"} or None
        vcov : {None, "CR0", "CR1", "CR2"}
        level : float
            Of the intervals.

        Returns
        -------
        EstimateTable
            Columns: the variables, ``estimate, std_error, df, lower, upper``. NaN for means the
            data cannot estimate, with a note that names them. Its methods are ``contrast``,
            ``joint_tests``, ``letters``, ``test`` and ``regrid``.

        Raises
        ------
        OptionError
            A variable that is not in the fixed effects, a level the fit does not have.

        References
        ----------
        Searle, S. R., Speed, F. M. and Milliken, G. A. (1980). Population marginal means in the
        linear model: an alternative to least squares means. The American Statistician 34.

        Examples
        --------
        >>> import mixeff as mx
        >>> g = mx.glmer(
        ...     "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        ...     mx.load_dataset("cbpp"),
        ...     family="binomial",
        ... )
        >>> means = g.marginal_means("period", type="response")
        >>> means.to_frame()[["period", "estimate", "lower", "upper"]].round(3)
          period  estimate  lower  upper
        0      1     0.198  0.135  0.280
        1      2     0.084  0.047  0.144
        2      3     0.074  0.040  0.132
        3      4     0.048  0.021  0.106
        >>> odds = means.contrast("trt.vs.ctrl").to_frame()
        >>> odds[["contrast", "estimate"]].round(3)
                    contrast  estimate
        0  period2 / period1     0.371
        1  period3 / period1     0.323
        2  period4 / period1     0.206
        """
        from mixeff.inference.marginal.means import marginal_means
        from mixeff.model.options import refuse_unknown

        refuse_unknown("marginal_means", unknown, _MEANS)
        return marginal_means(
            self._model,
            specs,
            by,
            at=at,
            weights=weights,
            type=type,
            offset=offset,
            ddf=ddf,
            vcov=vcov,
            level=level,
        )

    def slopes(
        self,
        variable: str,
        specs: str | Sequence[str] | None = None,
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        ddf: str | None = "auto",
        vcov: str | None = None,
        level: float = 0.95,
        **unknown: Any,
    ) -> EstimateTable:
        """Slopes of the linear predictor in a numeric variable, as emmeans' emtrends.

        The derivative of the fixed effects: exact for the variable itself and its products, by
        differences of eighth order for functions of it (``log(x)``, ``poly(x, 2)``, splines).

        Parameters
        ----------
        variable : str
            A numeric variable of the fixed effects; its slope is taken at its mean, or at the
            values ``at`` gives for it.
        specs : str or sequence of str, optional
            Variables whose combinations have a slope each.
        by : str or sequence of str, optional
            Variables within whose combinations slopes are compared. Alone it is the same as
            ``specs``: ``slopes("x", by="a").contrast()`` compares the slopes of the levels of a.
        at, weights, ddf, vcov, level
            As for `marginal_means`.

        Returns
        -------
        EstimateTable
            Columns: the variables, ``estimate, std_error, df, lower, upper``; its methods are those
            of `marginal_means`.

        Raises
        ------
        OptionError
            The variable is a factor or not in the fixed effects.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("lang ~ IQ * COMB + SES + (1 | class)", mx.load_dataset("nlschools"))
        >>> slopes = m.slopes("IQ", by="COMB", ddf="asymptotic")
        >>> slopes.to_frame()[["COMB", "estimate", "std_error"]].round(3)
          COMB  estimate  std_error
        0    0     2.117      0.082
        1    1     2.620      0.134
        """
        from mixeff.inference.marginal.slopes import slopes
        from mixeff.model.options import refuse_unknown

        refuse_unknown(
            "slopes", unknown, ("variable", "specs", "by", "at", "weights", "ddf", "vcov", "level")
        )
        return slopes(
            self._model,
            variable,
            specs,
            by,
            at=at,
            weights=weights,
            ddf=ddf,
            vcov=vcov,
            level=level,
        )

    def joint_tests(
        self,
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        ddf: str | None = "auto",
        vcov: str | None = None,
        **unknown: Any,
    ) -> ResultTable:
        """F tests of every term, from marginal means, as emmeans' joint_tests.

        Of each set of variables that stand together in a term, the test that all interaction
        contrasts of their marginal means vanish. It does not depend on the coding of the factors,
        and tests what can be estimated where combinations of levels are missing.

        Parameters
        ----------
        by : str or sequence of str, optional
            Test the other variables within each combination of these (simple effects).
        at, weights, ddf, vcov
            As for `marginal_means`.

        Returns
        -------
        ResultTable
            Columns ``term``, those of ``by``, ``num_df, den_df, f_value, p_value``.

        Notes
        -----
        The statistic is the Wald F with the covariance of the method, and its denominator df are
        the smallest of orthogonal directions of the hypothesis, as emmeans has it. ``anova`` gives
        Kenward and Roger's scaled F and Satterthwaite's joint df.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("lang ~ IQ * COMB + SES + (1 | class)", mx.load_dataset("nlschools"))
        >>> m.joint_tests(ddf="asymptotic").to_frame()[["term", "num_df", "f_value"]].round(2)
              term  num_df  f_value
        0       IQ     1.0   873.10
        1     COMB     1.0    10.53
        2      SES     1.0   124.43
        3  IQ:COMB     1.0    10.59
        """
        from mixeff.inference.marginal.means import joint_tests
        from mixeff.model.options import refuse_unknown

        refuse_unknown("joint_tests", unknown, ("by", "at", "weights", "ddf", "vcov"))
        return joint_tests(self._model, by, at=at, weights=weights, ddf=ddf, vcov=vcov)

    # --- robust covariance, information (robust.py, conditional_aic.py)

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
