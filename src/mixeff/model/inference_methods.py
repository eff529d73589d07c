"""Tests, intervals and estimates of a fit: every method forwards to `mixeff.inference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.inference.table import ResultTable
    from mixeff.model.mixed import MixedModel


class InferenceMethods:
    """The methods of a fitted model that test and estimate."""

    __slots__ = ()

    @property
    def _model(self) -> MixedModel:
        return cast("MixedModel", self)

    # --- F tests, contrasts (anova_table.py, hypotheses.py)

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

        Raises
        ------
        OptionError
            A generalized model has one random term that cannot be reduced.

        Notes
        -----
        Without any random term the comparison is with ordinary least squares. A numeric effect
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

    # --- bootstrap and permutation (bootstrap/, permutation.py)

    # --- marginal means and slopes (marginal_means.py, slopes.py)

    # --- robust covariance, information (robust.py, conditional_aic.py)
