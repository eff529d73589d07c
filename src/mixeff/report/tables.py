"""Tables of models and of variance components, as R prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixeff.report.coefmat import coefficient_lines
from mixeff.report.layout import pad_left, pad_right, text_matrix, widest
from mixeff.report.numbers import format_column, format_p_values
from mixeff.report.variances import variance_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixeff.inference.information import InformationTable
    from mixeff.inference.likelihood_ratio import LikelihoodRatioTable
    from mixeff.model.varcorr import VarCorr

ANOVA_DIGITS = 5
VARCORR_DIGITS = 5
ANOVA_COLUMNS = ("npar", "AIC", "BIC", "logLik", "deviance", "Chisq", "Df", "Pr(>Chisq)")
CHISQ = ANOVA_COLUMNS.index("Chisq")


def format_anova(table: LikelihoodRatioTable) -> str:
    """Likelihood-ratio tests as lme4's ``anova`` prints them.

    Examples
    --------
    >>> from mixeff.inference.likelihood_ratio import likelihood_ratio_table
    >>> print(likelihood_ratio_table(  # doctest: +NORMALIZE_WHITESPACE
    ...     names=["m0", "m1"], formulas=["y ~ 1 + (1 | g)", "y ~ x + (1 | g)"],
    ...     npar=[3, 4], loglik=[-120.5, -118.9], nobs=60, data_name="d"))
    Data: d
    Models:
    m0: y ~ 1 + (1 | g)
    m1: y ~ x + (1 | g)
       npar   AIC    BIC logLik deviance Chisq Df Pr(>Chisq)
    m0    3 247.0 253.28 -120.5    241.0
    m1    4 245.8 254.18 -118.9    237.8   3.2  1    0.07364 .
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    """
    models = [f"{n}: {f}" for n, f in zip(table.names, table.formulas, strict=True)]
    body = coefficient_lines(
        table.names,
        ANOVA_COLUMNS,
        anova_values(table),
        digits=ANOVA_DIGITS,
        tests=(CHISQ,),
        zap=range(CHISQ),
        p_value=True,
        missing="",
    )
    below = boundary_lines(table)
    return "\n".join([f"Data: {table.data_name}", "Models:", *models, *body, *below])


def boundary_lines(table: LikelihoodRatioTable) -> list[str]:
    """What stands under the table where nulls lie on the boundary: R's table has no column for it.

    Row, p value and mixture of each such row.
    """
    if table.p_boundary is None:
        return []
    rows = [i for i, words in enumerate(table.mixtures) if words]
    cells = format_p_values(table.p_boundary[rows].tolist(), ANOVA_DIGITS - 1)
    name_width = widest([table.names[i] for i in rows])
    p_width = widest(cells)
    lines = [
        f"{pad_right(table.names[i], name_width)}  {pad_left(p, p_width)}  {table.mixtures[i]}"
        for i, p in zip(rows, cells, strict=True)
    ]
    heading = "p_boundary (a null with a variance at zero), and its mixture of chi-squares:"
    return ["", heading, *lines]


def anova_values(table: LikelihoodRatioTable) -> NDArray[np.float64]:
    """(m, 8) values in the order of ``ANOVA_COLUMNS``."""
    columns = (
        table.npar, table.aic, table.bic, table.loglik,
        table.deviance, table.chisq, table.df, table.p_value,
    )  # fmt: skip
    return np.column_stack([np.asarray(c, dtype=np.float64) for c in columns])


def format_information(table: InformationTable) -> str:
    """AIC or BIC of several models as R prints the data frame.

    Examples
    --------
    >>> from mixeff.inference.information import InformationTable
    >>> print(InformationTable("aic", ("m3", "m1"), (6, 7), (15964.718, 15146.85997)))
       df      AIC
    m3  6 15964.72
    m1  7 15146.86
    """
    return "\n".join(text_matrix(table.names, *information_cells(table)))


def information_cells(table: InformationTable) -> tuple[list[str], list[list[str]]]:
    """Headings and texts of the table, row by row."""
    columns = [format_column(table.df), format_column(table.values)]
    return ["df", table.criterion.upper()], [list(row) for row in zip(*columns, strict=True)]


def format_varcorr(varcorr: VarCorr) -> str:
    """Standard deviations and correlations of the random effects, as lme4 prints them."""
    return "\n".join(variance_lines(varcorr, digits=VARCORR_DIGITS, variances=False))
