"""Marginal means and slopes of a fit: every method forwards to `mixeff.inference`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mixeff.inference.marginal.tables import EstimateTable
    from mixeff.inference.table import ResultTable
    from mixeff.model.mixed import MixedModel

_MEANS = ("specs", "by", "at", "weights", "type", "offset", "ddf", "vcov", "level")


class MeansMethods:
    """The methods of a fitted model that estimate means and slopes."""

    __slots__ = ()

    @property
    def _model(self) -> MixedModel:
        return cast("MixedModel", self)

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
        values counts as a factor), and averaged over the factors that are not named. Where each
        level of a factor occurs with one level of another only, it is nested there: combinations
        that do not occur are left out. Random effects are zero.

        Parameters
        ----------
        specs : str or sequence of str
            Variables whose combinations have a mean each; also as emmeans writes it,
            ``"~ a | b"``, ``"1"`` for the mean over everything.
        by : str or sequence of str, optional
            Variables within whose combinations contrasts, tests and letters are taken.
        at : mapping of names to values, optional
            Levels or numbers that replace those of the grid.
        weights : {"equal", "proportional", "outer", "cells", "flat"}
            How what is averaged over counts: equally; by the frequencies of the combinations
            averaged over; by the products of each factor's own frequencies; by the frequencies of
            the cells themselves; equally but for empty cells. A row of the fit counts one,
            whatever its prior weight.
        type : {"link", "response"}
            The scale of the linear predictor, or the response by the inverse of the link or of the
            transformation of the response (logarithms, powers, ``scale``, multiples and sums with
            numbers, one inside the other); no adjustment is made for the variance of the random
            effects.
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
