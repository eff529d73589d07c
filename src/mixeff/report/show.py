"""The short print of a fit, in lme4's layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixeff.report.layout import named_vector
from mixeff.report.numbers import format_column, format_number, round_decimals
from mixeff.report.pieces import (
    call_lines,
    criteria_lines,
    group_lines,
    remark_lines,
    warning_lines,
)
from mixeff.report.summarize import (
    argument_texts,
    convergence_lines,
    family_text,
    fit_warnings,
    formula_lines,
    notes_of,
    title_of,
)
from mixeff.report.variances import variance_lines

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

DIGITS = 4
CRITERION_DECIMALS = 4
COEFFICIENT_GAP = 2


def format_fit(fit: MixedModel) -> str:
    """A fit as lme4 prints one: criterion, standard deviations, counts, fixed effects.

    Parameters
    ----------
    fit : MixedModel

    Returns
    -------
    str
        Lines without a line break at the end.
    """
    lines = [
        title_of(fit),
        *call_lines(formula_lines(fit), fit.data_name, *argument_texts(fit), family_text(fit)),
        *_criterion_lines(fit),
        "Random effects:",
        *variance_lines(fit.varcorr, digits=DIGITS, variances=False),
        *group_lines(fit.nobs, fit.ngroups),
    ]
    lines += _coefficient_lines(fit)
    lines += warning_lines(fit_warnings(fit))
    return "\n".join([*lines, *convergence_lines(fit.convergence), *remark_lines(notes_of(fit))])


def _criterion_lines(fit: MixedModel) -> list[str]:
    if fit.reml_criterion is not None:
        value = format_number(round_decimals([fit.reml_criterion], CRITERION_DECIMALS)[0])
        return [f"REML criterion at convergence: {value}"]
    likelihoods = (fit.aic, fit.bic, fit.loglik, -2.0 * fit.loglik)
    return criteria_lines(round_decimals(likelihoods, CRITERION_DECIMALS), fit.df_residual)


def _coefficient_lines(fit: MixedModel) -> list[str]:
    names = fit.design.names
    if not names:
        return ["No fixed effect coefficients"]
    values = format_column(fit.estimate.beta.tolist(), DIGITS)
    return ["Fixed Effects:", *named_vector(names, values, gap=COEFFICIENT_GAP)]
