"""The summary of a fit: plain values, printed in lme4's layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.report.coefmat import coefficient_lines
from mixeff.report.correlation import correlation_lines
from mixeff.report.layout import named_vector
from mixeff.report.numbers import format_column, format_number, round_decimals, zap_small
from mixeff.report.pieces import (
    call_lines,
    criteria_lines,
    group_lines,
    remark_lines,
    warning_lines,
)
from mixeff.report.variances import variance_lines

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.model.varcorr import VarCorr

Floats = NDArray[np.float64]

DIGITS = 4
QUANTILES = ("Min", "1Q", "Median", "3Q", "Max")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SummaryTable:
    """What a summary shows; ``str`` gives lme4's layout, a notebook shows HTML.

    Attributes
    ----------
    title : str
    formula : tuple of str, the formula in R's lines
    data_name : str
    weights, offset : str or None, as the caller named them
    is_reml : bool
    reml_criterion : float or None, for a REML fit
    likelihoods : tuple of AIC, BIC, log-likelihood and deviance; empty for a REML fit
    df_residual : int
    residual_quantiles : tuple of 5 floats
        Minimum, quartiles and maximum of the scaled residuals.
    varcorr : VarCorr
    nobs : int
    ngroups : tuple of (grouping factor, number of levels)
    names : tuple of p str, coefficient names
    estimate, std_error, statistic : (p,) arrays
    df, p_value : (p,) arrays or None
    correlation : (p, p) array or None, of the fixed effects, if it is shown
    warnings : tuple of str, what lme4 lists under ``fit warnings:``
    footer : tuple of str, lines about convergence, if there is something to say
    note : str, why the correlations are not shown, else empty
    family : str or None, distribution and link of a generalized model
    test : {"t", "z"}, the name of the statistic
    remarks : tuple of str, sentences about a generalized fit
    """

    title: str
    formula: tuple[str, ...]
    data_name: str
    weights: str | None
    offset: str | None
    is_reml: bool
    reml_criterion: float | None
    likelihoods: tuple[float, ...]
    df_residual: int
    residual_quantiles: tuple[float, ...]
    varcorr: VarCorr
    nobs: int
    ngroups: tuple[tuple[str, int], ...]
    names: tuple[str, ...]
    estimate: Floats
    std_error: Floats
    statistic: Floats
    df: Floats | None = None
    p_value: Floats | None = None
    correlation: Floats | None = None
    warnings: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    note: str = ""
    family: str | None = None
    test: str = "t"
    remarks: tuple[str, ...] = ()

    @property
    def coefficients(self) -> pd.DataFrame:
        """``estimate, std_error, (df,) statistic(, p_value)``, coefficients in the index."""
        import pandas as pd

        columns = {
            "estimate": self.estimate,
            "std_error": self.std_error,
            "df": self.df,
            "statistic": self.statistic,
            "p_value": self.p_value,
        }
        return pd.DataFrame(
            {k: v for k, v in columns.items() if v is not None}, index=list(self.names)
        )

    def coefficient_matrix(self) -> tuple[list[str], Floats]:
        """Headings and (p, k) values of the coefficient table."""
        headings, columns = ["Estimate", "Std. Error"], [self.estimate, self.std_error]
        if self.df is not None:
            headings.append("df")
            columns.append(self.df)
        headings.append(f"{self.test} value")
        columns.append(self.statistic)
        if self.p_value is not None:
            headings.append(f"Pr(>|{self.test}|)")
            columns.append(self.p_value)
        return headings, np.column_stack(columns)

    def __str__(self) -> str:
        parts = [
            [self.title, *self._call_lines()],
            self._criterion_lines(),
            ["Scaled residuals: ", *self._quantile_lines()],
            [
                "Random effects:",
                *variance_lines(self.varcorr, digits=DIGITS),
                *group_lines(self.nobs, self.ngroups),
            ],
        ]
        if self.names:
            parts.append(["Fixed effects:", *self._coefficient_lines()])
        if self.correlation is not None:
            lines = correlation_lines(self.names, self.correlation)
            parts.append(["Correlation of Fixed Effects:", *lines])
        text = "\n\n".join("\n".join(lines) for lines in parts)
        tail = [*warning_lines(self.warnings), *self.footer]
        tail_of_remarks = remark_lines(self.remarks)
        # lme4 ends with an empty line after a remark on convergence.
        tail += ["", *tail_of_remarks] if self.footer else tail_of_remarks
        return "\n".join([text, *tail])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from mixeff.report.html import summary_html

        return summary_html(self)

    def _call_lines(self) -> list[str]:
        return call_lines(self.formula, self.data_name, self.weights, self.offset, self.family)

    def _criterion_lines(self) -> list[str]:
        if self.reml_criterion is not None:
            value = format_number(round_decimals([self.reml_criterion], 1)[0])
            return [f"REML criterion at convergence: {value}"]
        return criteria_lines(round_decimals(self.likelihoods, 1), self.df_residual)

    def _quantile_lines(self) -> list[str]:
        values = zap_small(self.residual_quantiles, DIGITS + 1)
        return named_vector(QUANTILES, format_column(values, DIGITS))

    def _coefficient_lines(self) -> list[str]:
        headings, values = self.coefficient_matrix()
        test = headings.index(f"{self.test} value")
        return coefficient_lines(
            self.names,
            headings,
            values,
            digits=DIGITS,
            estimates=range(test),  # degrees of freedom share the estimates' decimals
            tests=(test,),
            p_value=self.p_value is not None,
        )
