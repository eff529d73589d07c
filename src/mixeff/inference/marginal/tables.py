"""Tables of estimates - means, slopes, contrasts of them - and what can be asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.inference.marginal.functions import LinearFunctions, judge
from mixeff.inference.marginal.scale import Scale
from mixeff.inference.method import Method, t_quantile, t_tail
from mixeff.inference.table import Column, ResultTable

if TYPE_CHECKING:
    from mixeff.inference.marginal.functions import Judged

Floats = NDArray[np.float64]

_OWN = ("estimate", "std_error", "df", "lower", "upper", "statistic", "p_value", "contrast")


@dataclass(frozen=True, slots=True)
class Axis:
    """One variable of a table: its values label the rows.

    Attributes
    ----------
    name : str
    labels : tuple of k str
    values : (k,) array of a numeric variable, else None
    """

    name: str
    labels: tuple[str, ...]
    values: Floats | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def column(self, places: NDArray[np.intp]) -> Column:
        """The values, row by row."""
        if self.values is not None:
            return np.asarray(self.values[places])
        return tuple(self.labels[j] for j in places)


@dataclass(frozen=True, slots=True)
class Estimates:
    """Linear functions of beta over all combinations of some variables, and how to judge them.

    Attributes
    ----------
    subject : str, what they are: ``marginal means``, ``slopes of x``
    functions : LinearFunctions, one per combination
    axes : tuple of Axis, the first varying fastest
    within : tuple of str, names of the axes that separate families; the last axes
    method : Method
    beta : (p,) array
    scale : Scale or None, by which the response follows from an estimate
    response : bool, show the response scale
    level : float, of the intervals
    notes : tuple of str, what the estimates depend on
    joined : str, what stands between subject and variables in a title
    """

    subject: str
    functions: LinearFunctions
    axes: tuple[Axis, ...]
    within: tuple[str, ...]
    method: Method
    beta: Floats
    scale: Scale | None
    response: bool
    level: float
    notes: tuple[str, ...] = ()
    joined: str = "of"

    @property
    def primary(self) -> tuple[Axis, ...]:
        """The axes that are compared."""
        return tuple(a for a in self.axes if a.name not in self.within)

    @property
    def inner(self) -> tuple[Axis, ...]:
        """The axes that separate families."""
        return tuple(a for a in self.axes if a.name in self.within)

    def judged(self) -> Judged:
        """Values, standard errors and df on the scale of the linear predictor."""
        return judge(self.functions, self.beta, self.method)

    def labels(self) -> tuple[str, ...]:
        """Names of the combinations that are compared; bare numbers get their variable's name."""
        axes = self.primary
        places = combinations_of(axes)
        words = [[_word(a, a.labels[j]) for j in at] for a, at in zip(axes, places, strict=True)]
        return tuple(" ".join(parts) for parts in zip(*words, strict=True))

    def arranged(self, within: Sequence[str]) -> Estimates:
        """The same estimates with other separating variables, the rows reordered."""
        axes = (
            *(a for a in self.axes if a.name not in within),
            *(a for name in within for a in self.axes if a.name == name),
        )
        order = np.arange(len(self.functions)).reshape([len(a) for a in self.axes], order="F")
        moved = order.transpose([self.axes.index(a) for a in axes]).ravel(order="F")
        functions = self.functions.take(np.asarray(moved))
        return replace(self, functions=functions, axes=axes, within=tuple(within))


def _word(axis: Axis, label: str) -> str:
    try:
        float(label)
    except ValueError:
        return label
    return f"{axis.name}{label}"


def combinations_of(axes: Sequence[Axis]) -> tuple[NDArray[np.intp], ...]:
    """For each axis the place of every combination, the first axis varying fastest."""
    return tuple(g.ravel(order="F") for g in np.indices([len(a) for a in axes]))


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
        interaction: str | Sequence[str] | None = None,
        ref: str | int | None = None,
        level: float | None = None,
        **unknown: Any,
    ) -> EstimateTable:
        """Contrasts of the estimates, with tests and simultaneous intervals.

        Parameters
        ----------
        method : str, mapping or array-like (c, k)
            ``"pairwise"``, ``"revpairwise"``, ``"trt.vs.ctrl"`` (``"treatment"``),
            ``"consecutive"``, ``"poly"``, ``"eff"`` (deviations from the average),
            ``"del.eff"`` (from the average of the others), ``"identity"``; or coefficients by
            name, one for each estimate.
        by : str or sequence of str, optional
            Variables within whose combinations to compare; as the table is if not given, and none
            with ``by=()``.
        adjust : str, optional
            Adjustment of p values and intervals within each family: ``"tukey"``, ``"mvt"``
            (multivariate t; Dunnett's test for ``"trt.vs.ctrl"``), ``"sidak"``, ``"bonferroni"``,
            ``"holm"``, ``"hochberg"``, ``"fdr"``, ``"BY"``, ``"scheffe"``, ``"dunnettx"``
            (emmeans' approximation), ``"none"``. By default tukey for pairs, mvt for
            ``"trt.vs.ctrl"`` and ``"consecutive"``, fdr for effects, else none.
        interaction : str or sequence of str, optional
            Products of one kind of contrast for each variable, instead of ``method``.
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
        >>> m = mx.lmer("Yield ~ Batch + (1 | Sample)", {
        ...     "Yield": [3.1, 2.9, 4.2, 4.0, 5.1, 4.8, 3.3, 3.0, 4.1, 4.4, 5.2, 5.5],
        ...     "Batch": list("aabbccaabbcc"), "Sample": list("uvuvuvwxwxwx")})
        >>> pairs = m.marginal_means("Batch", ddf="asymptotic").contrast("pairwise")
        >>> pairs.to_frame()[["contrast", "estimate"]].round(2)
          contrast  estimate
        0    a - b     -1.10
        1    a - c     -2.08
        2    b - c     -0.98
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

    def joint_tests(self, by: str | Sequence[str] | None = None) -> ResultTable:
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

        return table_tests(self.estimates, by)

    def letters(
        self, alpha: float = 0.05, *, adjust: str | None = None, reverse: bool = False
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

        return letter_table(self, alpha, adjust, reverse)

    def test(self, null: float = 0.0, *, adjust: str = "none") -> EstimateTable:
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
        index=("",) * len(estimates.functions),
        columns={**label_columns(estimates), **shown(estimates, judged, half)},
        notes=(*estimates.notes, *unestimable(estimates), *_closing(estimates)),
        estimates=estimates,
    )


def title_of(estimates: Estimates) -> str:
    names = [a.name for a in estimates.primary]
    of = f" {estimates.joined} {' and '.join(names)}" if names else ""
    within = f" within {' and '.join(estimates.within)}" if estimates.within else ""
    text = f"{estimates.subject}{of}{within}"
    return text[0].upper() + text[1:]


def label_columns(estimates: Estimates) -> dict[str, Column]:
    """The columns that say what each row is."""
    places = combinations_of(estimates.axes)
    return {
        # A variable that bears the name of a result gives way.
        (f"{axis.name}_" if axis.name in _OWN[:-1] else axis.name): axis.column(at)
        for axis, at in zip(estimates.axes, places, strict=True)
    }


def shown(estimates: Estimates, judged: Judged, half: Floats) -> dict[str, Column]:
    """Estimates, standard errors, df and intervals on the scale asked for."""
    low, high = (judged.value + sign * half * judged.std_error for sign in (-1.0, 1.0))
    value, std_error = judged.value, judged.std_error
    if estimates.response and estimates.scale is not None:
        scale = estimates.scale
        std_error = np.abs(scale.slope(value)) * std_error
        value, low, high = scale.inverse(value), scale.inverse(low), scale.inverse(high)
        low, high = np.minimum(low, high), np.maximum(low, high)
    return {
        "estimate": value,
        "std_error": std_error,
        "df": judged.df,
        "lower": low,
        "upper": high,
    }


def unestimable(estimates: Estimates) -> list[str]:
    """Which rows the data cannot estimate."""
    lost = np.flatnonzero(~estimates.functions.estimable)
    if not lost.size:
        return []
    places = combinations_of(estimates.axes)
    names = [
        " ".join(_word(a, a.labels[at[j]]) for a, at in zip(estimates.axes, places, strict=True))
        for j in lost[:8]
    ]
    more = f" and {lost.size - 8} more" if lost.size > 8 else ""
    return [
        f"Not estimable, because the data lack combinations of levels they need: "
        f"{', '.join(names)}{more}."
    ]


def _closing(estimates: Estimates) -> list[str]:
    return [
        *scale_notes(estimates),
        estimates.method.sentence,
        f"Intervals have confidence level {estimates.level:g}, each for itself.",
    ]


def scale_notes(estimates: Estimates) -> list[str]:
    """On which scale the numbers are."""
    scale = estimates.scale
    if scale is None:
        return []
    if not estimates.response:
        return [f"On the {scale.name} scale, not that of the response."]
    return [
        f"Back-transformed from the {scale.name} scale ({scale.what} at random effects of zero, "
        "not averaged over them): standard errors by the delta method, intervals transformed."
    ]


def wald(value: Floats, std_error: Floats, df: Floats) -> tuple[Floats, Floats]:
    """Statistics and two-sided p values."""
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(std_error > 0, value / std_error, np.nan)
    return statistic, t_tail(statistic, df)
