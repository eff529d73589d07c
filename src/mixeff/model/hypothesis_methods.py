"""Tests of terms, hypotheses and random effects: every method forwards to `mixeff.inference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.inference.anova_table import AnovaTable
    from mixeff.inference.bootstrap.likelihood_ratio import ReferenceTest
    from mixeff.inference.table import ResultTable
    from mixeff.model.mixed import MixedModel


class HypothesisMethods:
    """The methods of a fitted model that test."""

    __slots__ = ()

    @property
    def _model(self) -> MixedModel:
        return cast("MixedModel", self)

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
            (sums, differences, multiples of coefficient names); ``{"a": 1, "b": -2}`` or a series
            with coefficient names, those left out count as 0; a frame with coefficient names as
            columns. A dict of such rows gives them labels.
        rhs : float or (k,) array
            Hypothetical values of L beta.
        ddf : {"auto", "satterthwaite", "kenward-roger", "asymptotic"} or None
            Degrees of freedom; ``"auto"``: Satterthwaite's for a linear model, infinite ones for a
            generalized model. None: no p values.
        vcov : {None, "CR0", "CR1", "CR2"}
            The model's covariance of the coefficients, or a cluster-robust one, with Satterthwaite
            degrees of freedom of its own or asymptotic.
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

        Residuals of a generalized model are not exchangeable, as their variance follows the mean.
        Its responses are, between observations that differ in nothing the model without the term
        knows of; rearranging those is exact, without an assumption on the shape of the random
        effects. Where a continuous predictor leaves no two observations alike there is no such
        test: `mixeff.bootstrap_lrt` is left.

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

            For a generalized model: ``within`` permutes responses among rows with the same random
            effects, other predictors, offset and weights; counts of a binomial are dealt out anew
            to the trials of such rows (``cbind(successes, failures)``, or trials as weights),
            which assumes no variation beyond the binomial. ``groups`` exchanges the responses of
            whole levels of the one grouping factor between levels that agree in size, other
            predictors, offset and weights. None takes ``within`` if half of the rows can move,
            else the one in which more can.
        within : str, optional
            Grouping factor within whose levels rows are permuted. None permutes where all random
            effects are the same. Linear models only.
        threads, progress : as `bootstrap` takes them

        Returns
        -------
        ReferenceTest
            Columns ``scheme, statistic, df, n, p_value``: the likelihood-ratio statistic, the
            numbers of coefficients tested and of rearrangements, ``(1 + #{t* >= t}) / (1 + n)``.

        Raises
        ------
        OptionError
            Nothing can be exchanged: crossed factors without replicates, too few groups,
            observations of a generalized model of which no two are alike.

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
