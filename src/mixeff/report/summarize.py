"""From a fit to its summary table, reading what the fit and the inference room know."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.diagnostics.overdispersion import overdispersion
from mixeff.errors import OptionError
from mixeff.formula import deparse, parse_expression
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.anova_table import METHODS
from mixeff.inference.coefficients import CoefficientTable, coefficient_table, covariance
from mixeff.inference.method import Method, method_of
from mixeff.model.scales import has_scale
from mixeff.report.correlation import MOST_SHOWN, correlation_of, hidden_note
from mixeff.report.numbers import format_number
from mixeff.report.pieces import generalized_title, tested_title, title
from mixeff.report.summary import SummaryTable

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel
    from mixeff.optimize.verdict import Verdict

Floats = NDArray[np.float64]

SCALE_RATIO = 1e3
DIFFERENT_SCALES = "Some predictor variables are on very different scales: consider rescaling"


def summarize(
    fit: MixedModel,
    ddf: str | None = None,
    correlation: bool | None = None,
    vcov: str | None = None,
) -> SummaryTable:
    """The summary of a mixed model.

    Parameters
    ----------
    fit : MixedModel
    ddf, vcov : as `mixeff.inference.method.method_of`
        Where tests of the coefficients come from; both None: t values without p values.
    correlation : bool or None
        Show the correlations of the fixed effects; None shows them up to 12 coefficients.

    Returns
    -------
    SummaryTable

    Raises
    ------
    OptionError
        A method that does not exist, or ``correlation`` is no truth value.
    """
    if correlation not in (None, True, False):
        raise OptionError(f"summary: correlation must be True, False or None, not {correlation!r}.")
    method = None
    if not (ddf is None and vcov is None):
        method = method_of(fit, "auto" if ddf is None else ddf, vcov, function="summary")
    table = coefficient_table(fit.design, fit.estimate, method)
    plain = covariance(fit.estimate) if method is None or vcov is None else method.covariance
    p = len(table.names)
    shown = p > 1 and (p <= MOST_SHOWN if correlation is None else bool(correlation))
    likelihoods = () if fit.is_reml else (fit.aic, fit.bic, fit.loglik, -2.0 * fit.loglik)
    weights, offset = argument_texts(fit)
    return SummaryTable(
        title=title_of(fit, table, method, vcov),
        formula=formula_lines(fit),
        data_name=fit.data_name,
        weights=weights,
        offset=offset,
        family=family_text(fit),
        is_reml=fit.is_reml,
        reml_criterion=fit.reml_criterion,
        likelihoods=likelihoods,
        df_residual=fit.df_residual,
        residual_quantiles=_quartiles(fit.residuals("scaled")),
        varcorr=fit.varcorr,
        nobs=fit.nobs,
        ngroups=tuple(fit.ngroups.items()),
        names=table.names,
        estimate=table.estimate,
        std_error=table.std_error,
        statistic=table.statistic,
        test=_test_name(fit, table),
        df=table.df,
        p_value=table.p_value,
        correlation=correlation_of(plain) if shown else None,
        warnings=fit_warnings(fit),
        footer=convergence_lines(fit.convergence),
        note=hidden_note(p) if correlation is None and p > MOST_SHOWN else "",
        remarks=(*remarks(fit), *_method_remark(fit, method, vcov)),
    )


def title_of(
    fit: MixedModel,
    table: CoefficientTable | None = None,
    method: Method | None = None,
    vcov: str | None = None,
) -> str:
    """What kind of model was fitted, and how; with a method also what its coefficients' tests use.

    The latter as lmerTest writes it.
    """
    name = type(fit).__name__
    if isinstance(fit.estimate, GeneralizedEstimate):
        return generalized_title(fit.estimate.n_agq, name)
    if method is None or table is None:
        return title(fit.is_reml, name)
    uses = METHODS.get(method.name, "the normal distribution")
    if vcov is not None:
        uses = f"{method.name} standard errors"
    return tested_title(fit.is_reml, name, f"{_test_name(fit, table)}-tests use {uses}")


def _method_remark(fit: MixedModel, method: Method | None, vcov: str | None) -> tuple[str, ...]:
    """What the title does not tell of the tests.

    Robust standard errors of a generalized model, whose title is the fit's; those of a REML fit
    beside the coefficients of an ML fit.
    """
    robust = vcov is not None and family_text(fit) is not None
    refitted = method is not None and method.name == "kenward-roger" and not fit.is_reml
    return (method.sentence,) if method is not None and (robust or refitted) else ()


def _test_name(fit: MixedModel, table: CoefficientTable) -> str:
    """What the statistic of the coefficients is called."""
    tested_by_normal = table.p_value is not None and table.df is None
    return "z" if tested_by_normal or family_text(fit) is not None else "t"


def family_text(fit: MixedModel) -> str | None:
    """``binomial  ( logit )``; None for a linear model."""
    if not isinstance(fit.estimate, GeneralizedEstimate):
        return None
    family, dispersion = fit.estimate.family, fit.estimate.dispersion
    name = family.name
    if dispersion is not None and not has_scale(fit.estimate):
        # The shape of a negative binomial stands in its name, as in lme4.
        name = f"{name.partition('(')[0]}({format_number(dispersion, 5)})"
    return f"{name}  ( {family.link.name} )"


def remarks(fit: MixedModel) -> tuple[str, ...]:
    """Sentences about a generalized fit: separation, the error of Laplace, overdispersion."""
    if not isinstance(fit.estimate, GeneralizedEstimate):
        return ()
    found = overdispersion(fit.design, fit.estimate, fit.df_residual)
    if found is None or not found.noticeable:
        return notes_of(fit)
    return (*notes_of(fit), found.sentence(fit.estimate.family.name))


def notes_of(fit: MixedModel) -> tuple[str, ...]:
    """Sentences the fit itself found worth telling."""
    return fit.estimate.notes if isinstance(fit.estimate, GeneralizedEstimate) else ()


def _quartiles(residuals: Floats) -> tuple[float, ...]:
    """Minimum, quartiles (linear interpolation, R's type 7) and maximum; padded rows aside."""
    known = residuals[~np.isnan(residuals)]
    return tuple(np.quantile(known, [0.0, 0.25, 0.5, 0.75, 1.0]).tolist())


def formula_lines(fit: MixedModel) -> tuple[str, ...]:
    """The formula in the lines R breaks it into."""
    return fit.request.parsed.display_lines or (fit.formula_display,)


def argument_texts(fit: MixedModel) -> tuple[str | None, str | None]:
    """How the caller named weights and offset; None where there are none."""
    return _argument_text(fit.request.weights), _argument_text(fit.request.offset)


def _argument_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return deparse(parse_expression(value))
    name = getattr(value, "name", None)  # a pandas or polars series carries one
    return name if isinstance(name, str) and name else "(array)"


def fit_warnings(fit: MixedModel) -> tuple[str, ...]:
    """What lme4 lists under ``fit warnings:``, in its words and order."""
    sentences = []
    if count := len(fit.dropped):
        noun = "column / coefficient" if count == 1 else "columns / coefficients"
        sentences.append(f"fixed-effect model matrix is rank deficient so dropping {count} {noun}")
    if _very_different_scales(fit.design.X):
        sentences.append(DIFFERENT_SCALES)
    return tuple(sentences)


def _very_different_scales(X: Floats) -> bool:
    """Standard deviations over 1000 times apart, or from 1; 0/1 columns do not count."""
    sizes = [
        float(np.std(column, ddof=1))
        for column in X.T
        if len(column) > 1 and not ((column == 0.0) | (column == 1.0)).all()
    ]
    if not sizes:
        return False
    smallest, largest = min(sizes), max(sizes)
    if smallest == 0:
        return True
    spread = max(math.log(largest / smallest), abs(math.log(smallest)), abs(math.log(largest)))
    return spread > math.log(SCALE_RATIO)


def convergence_lines(verdict: Verdict) -> tuple[str, ...]:
    """Two lines or more if the fit is singular or did not converge, none otherwise."""
    if verdict.ok and not verdict.singular:
        return ()
    code = "0 (OK)" if verdict.ok else "1 (not converged)"
    lines = [f"optimizer ({verdict.optimizer}) convergence code: {code}"]
    if not verdict.ok:
        lines.append(verdict.sentence)
    lines += [f"boundary (singular) fit: {d.sentence}" for d in verdict.singular]
    return tuple(lines)
