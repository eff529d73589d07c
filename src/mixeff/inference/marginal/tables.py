"""Tables of estimates - means, slopes, contrasts of them - and what can be asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mixeff.errors import OptionError
from mixeff.inference.marginal.rows import (
    closing_notes,
    label_columns,
    shown,
    title_of,
    unestimable,
)
from mixeff.inference.method import t_quantile
from mixeff.inference.table import ResultTable

if TYPE_CHECKING:
    from mixeff.inference.marginal.estimates import Estimates
    from mixeff.inference.marginal.scale import Scale


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class EstimateTable(ResultTable):
    """A table of estimates with intervals; contrasts, tests and letters are its methods.

    Attributes
    ----------
    estimates : Estimates
        The linear functions behind the rows.
    """

    estimates: Estimates = field(repr=False)

    def contrast(
        self,
        method: str | Mapping[str, Sequence[float]] | Sequence[Any] = "pairwise",
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        interaction: str | Sequence[str] | Mapping[str, str] | bool | None = None,
        ref: str | int | None = None,
        level: float | None = None,
        **unknown: Any,
    ) -> EstimateTable:
        """Contrasts of the estimates, with tests and simultaneous intervals.

        Parameters
        ----------
        method : str, mapping or array-like
            ``"pairwise"``, ``"revpairwise"``, ``"trt.vs.ctrl"`` (``"treatment"``),
            ``"consecutive"``, ``"mean_chg"`` (the average of all later ones minus that of all up to
            each), ``"poly"``, ``"eff"`` (deviations from the average), ``"del.eff"`` (from the
            average of the others), ``"identity"``; or rows of coefficients, one for each estimate,
            as a list or by name (``{"high - low": [-1, 0, 1]}``; a row may name its estimates,
            ``{"high": 1, "low": -1}``).
        by : str or sequence of str, optional
            Variables within whose combinations to compare; as the table is if not given, and none
            with ``by=()``.
        adjust : str, optional
            Adjustment of p values and intervals within each family: ``"tukey"``, ``"mvt"``
            (multivariate t; Dunnett's test for ``"trt.vs.ctrl"``), ``"sidak"``, ``"bonferroni"``,
            ``"holm"``, ``"hochberg"``, ``"fdr"``, ``"BY"``, ``"scheffe"``, ``"dunnettx"``
            (emmeans' approximation), ``"none"``. By default tukey for pairs, mvt for
            ``"trt.vs.ctrl"``, ``"consecutive"`` and ``"mean_chg"``, fdr for effects; none for
            other contrasts and for interactions.
        interaction : str, sequence of str, mapping or bool, optional
            Products of one kind of contrast for each variable, instead of ``method``: one kind for
            all, one for each, or by the names of the variables. True: ``method`` for all.
        ref : label or position, optional
            The control of ``"trt.vs.ctrl"``; the first estimate if not given.
        level : float, optional
            Of the intervals; the table's own if not given.

        Returns
        -------
        EstimateTable
            Columns ``contrast`` (or one per variable of an interaction), the variables of ``by``,
            ``estimate, std_error, df, lower, upper, statistic, p_value``. On the response scale
            differences of logs are ratios, of logits odds ratios.

        Raises
        ------
        OptionError
            No such contrast or adjustment, coefficients of the wrong number.

        Examples
        --------
        >>> import mixeff as mx
        >>> g = mx.glmer(
        ...     "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        ...     mx.load_dataset("cbpp"),
        ...     family="binomial",
        ... )
        >>> pairs = g.marginal_means("period").contrast("pairwise")
        >>> pairs.to_frame()[["contrast", "estimate", "p_value"]].round(3)
                    contrast  estimate  p_value
        0  period1 - period2     0.992    0.007
        1  period1 - period3     1.129    0.003
        2  period1 - period4     1.580    0.001
        3  period2 - period3     0.136    0.984
        4  period2 - period4     0.588    0.595
        5  period3 - period4     0.452    0.787
        """
        from mixeff.inference.marginal.compare import contrast
        from mixeff.model.options import refuse_unknown

        refuse_unknown(
            "contrast", unknown, ("method", "by", "adjust", "interaction", "ref", "level")
        )
        return contrast(
            self.estimates,
            method,
            by=by,
            adjust=adjust,
            interaction=interaction,
            ref=ref,
            level=level,
        )

    def joint_tests(self, by: str | Sequence[str] | None = None, **unknown: Any) -> ResultTable:
        """F tests of the variables of the table and their interactions.

        Parameters
        ----------
        by : str or sequence of str, optional
            Variables within whose combinations to test; as the table is if not given.

        Returns
        -------
        ResultTable
            Columns ``term``, those of ``by``, ``num_df, den_df, f_value, p_value``.
        """
        from mixeff.inference.marginal.joint import table_tests
        from mixeff.model.options import refuse_unknown

        refuse_unknown("joint_tests", unknown, ("by",))
        return table_tests(self.estimates, by)

    def letters(
        self,
        alpha: float = 0.05,
        *,
        adjust: str | None = None,
        reverse: bool = False,
        **unknown: Any,
    ) -> ResultTable:
        """The estimates with letters: those that share one do not differ significantly.

        Parameters
        ----------
        alpha : float
            Level of the pairwise tests.
        adjust : str, optional
            Their adjustment, as for `contrast`; tukey if not given.
        reverse : bool
            Sort by decreasing estimates.

        Returns
        -------
        ResultTable
            The table's columns and ``group``, rows sorted by estimate within each family.

        Notes
        -----
        Estimates without a common letter differ; those with one have not been shown to differ,
        which is not to be equal.

        References
        ----------
        Piepho, H.-P. (2004). An algorithm for a letter-based representation of all-pairwise
        comparisons. Journal of Computational and Graphical Statistics 13, 456-466.
        """
        from mixeff.inference.marginal.letters import letter_table
        from mixeff.model.options import refuse_unknown

        refuse_unknown("letters", unknown, ("alpha", "adjust", "reverse"))
        return letter_table(self, alpha, adjust, reverse)

    def test(self, null: float = 0.0, *, adjust: str = "none", **unknown: Any) -> EstimateTable:
        """Test each estimate against a value (on the scale of the linear predictor).

        Parameters
        ----------
        null : float
        adjust : str, as for `contrast`

        Returns
        -------
        EstimateTable
            The table with ``statistic`` and ``p_value``.
        """
        from mixeff.inference.marginal.compare import judge_families
        from mixeff.model.options import refuse_unknown

        refuse_unknown("test", unknown, ("null", "adjust"))
        return judge_families(self.estimates, null, adjust)

    def regrid(self) -> EstimateTable:
        """The estimates as numbers on the response scale, with delta-method standard errors.

        Contrasts of the result are differences of responses (of probabilities, say), where those
        of the table itself are ratios or differences of the linear predictor.

        Raises
        ------
        OptionError
            There is no link or transformation to undo.
        """
        estimates = self.estimates
        scale = estimates.scale
        if scale is None:
            raise OptionError(
                "regrid: the estimates are on the scale of the response already; there is no link "
                "or known transformation of the response to undo."
            )
        return estimate_table(_regridded(estimates, scale))


def _regridded(estimates: Estimates, scale: Scale) -> Estimates:
    eta = estimates.judged().value
    slope = scale.slope(eta)
    offset = scale.inverse(eta) - slope * (eta - estimates.functions.offset)
    note = f"Taken from the {scale.name} to the response scale; standard errors by the delta method"
    return replace(
        estimates,
        functions=estimates.functions.scaled(slope, offset),
        scale=None,
        response=False,
        notes=(*estimates.notes, f"{note}, intervals symmetric."),
    )


def estimate_table(estimates: Estimates) -> EstimateTable:
    """The table of estimates and separate intervals."""
    judged = estimates.judged()
    half = t_quantile(estimates.level, judged.df)
    return EstimateTable(
        title=title_of(estimates),
        index=("",) * estimates.rows.size,
        columns={**label_columns(estimates), **shown(estimates, judged, half)},
        notes=(*estimates.notes, *unestimable(estimates), *closing_notes(estimates)),
        estimates=estimates,
    )
