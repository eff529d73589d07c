"""Tests of the terms of the fixed effects: F tables, and Wald chi-square tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.method import TOO_FEW, Asymptotic, FTest, Method, method_of
from mixeff.inference.table import Column, ResultTable
from mixeff.inference.term_hypotheses import (
    TermHypothesis,
    after_others,
    contains,
    covariance_root,
    given_relatives,
    least_squares_root,
    own_coefficients,
    partly_dropped,
    sequential,
)
from mixeff.inference.type_three import marginal
from mixeff.inference.working_covariance import WorkingModel, working_covariance
from mixeff.model.options import choose, shown

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

ROMAN = {1: "I", 2: "II", 3: "III"}
METHODS = {"satterthwaite": "Satterthwaite's method", "kenward-roger": "Kenward-Roger's method"}

HYPOTHESES = {
    1: "Each term is tested after those before it, and not for those after it.",
    2: "Each term is tested given all terms that do not contain it.",
    3: "Each term is tested given all others, averaged evenly over the levels of the factors it "
    "interacts with; the coding of factors does not matter.",
}
CODED = (
    "Each term's coefficients are tested as they are coded: with treatment contrasts a main effect "
    "in an interaction is the one at the other factors' first levels."
)
EMPTY = (
    "The data determine only some of the coefficients of {}: hypotheses of type III then depend on "
    "which combinations of levels have data."
)
GONE = "Not tested, as other terms determine all of their columns: {}."


class AnovaTable(ResultTable):
    """Tests of terms, printed as R prints them."""

    __slots__ = ()

    def __str__(self) -> str:
        from mixeff.report.f_tables import format_f_table

        return format_f_table(self)

    def _repr_html_(self) -> str:
        from mixeff.report.f_tables import f_table_html

        return f_table_html(self)


def anova_of_terms(
    fit: MixedModel,
    type: int = 3,
    ddf: str | None = "auto",
    vcov: str | None = None,
    hypotheses: str = "marginal",
) -> AnovaTable:
    """Tests of the terms of the fixed effects.

    Parameters
    ----------
    fit : MixedModel
    type : {1, 2, 3}
    ddf, vcov : as `mixeff.inference.method.method_of`
    hypotheses : {"marginal", "coefficients"}
        What type III means; see `LinearMixedModel.anova`.

    Returns
    -------
    AnovaTable
        ``sum_sq, mean_sq, num_df, den_df, f_value, p_value``; without ``den_df, p_value`` for
        ``ddf=None``; ``chisq, df, p_value`` for asymptotic tests.

    Raises
    ------
    OptionError
        A type, method or kind of hypotheses that does not exist.
    """
    type = _checked_type(type)
    hypotheses = choose("anova", "hypotheses", hypotheses, ("marginal", "coefficients"))
    if hypotheses == "coefficients" and type != 3:
        raise OptionError('anova: hypotheses="coefficients" is a table of type 3.')
    method = _method(fit, type, ddf, vcov)
    terms = _hypotheses(fit, type, method, hypotheses)
    tests = [_test(fit, method, term) for term in terms]
    labels = tuple(term.label for term in terms)
    notes = [
        *method.notes(tests=ddf is not None),
        CODED if hypotheses == "coefficients" else HYPOTHESES[type],
        *_limits(fit.design, type, labels, tests),
    ]
    if isinstance(method, Asymptotic) and ddf is not None:
        title = f"Analysis of Deviance Table (Type {ROMAN[type]} Wald chisquare tests)"
        return AnovaTable(title, labels, _chisq(tests), tuple(notes))
    columns = _f_columns(tests, fit.sigma**2, with_p=ddf is not None)
    return AnovaTable(_title(type, method, ddf, vcov), labels, columns, tuple(notes))


def _checked_type(type: Any) -> int:
    """1, 2 or 3, given as a number or as R writes it (``"III"``)."""
    word = isinstance(type, str | Real) and not isinstance(type, bool)
    if hasattr(type, "loglik"):
        raise OptionError(
            "anova: a fit's own anova tests its terms, one model at a time. To compare models: "
            "mixeff.anova(m0, m1)."
        )
    for number, roman in ROMAN.items():
        if word and type in (number, roman, str(number)):
            return number
    raise OptionError(f"anova: type must be 1, 2 or 3, not {shown(type)}.")


def _method(fit: MixedModel, type: int, ddf: str | None, vcov: str | None) -> Method:
    """The method asked for; lme4's sequential table of a generalized model has one of its own."""
    if isinstance(fit.estimate, GeneralizedEstimate) and (type, ddf, vcov) == (1, None, None):
        return WorkingModel(working_covariance(fit.design, fit.estimate))
    return method_of(fit, ddf, vcov, function="anova")


def _hypotheses(
    fit: MixedModel, type: int, method: Method, hypotheses: str
) -> Sequence[TermHypothesis]:
    """L of every term; of types I and II asymptotic tests weigh by the estimated variances."""
    design = fit.design
    if not design.X.shape[1]:
        return []
    if hypotheses == "coefficients":
        return own_coefficients(design)
    if isinstance(method, Asymptotic) and type < 3:
        if type == 2:
            return given_relatives(design, method.model_covariance)
        return sequential(design, covariance_root(method.model_covariance))
    # One term is tested alike by all types; the rows chosen matter for pooled df.
    if type == 1 or len(design.state.fixed.terms) == 1:
        return sequential(design, least_squares_root(design.X))
    return after_others(design, contains) if type == 2 else marginal(fit)


def _test(fit: MixedModel, method: Method, term: TermHypothesis) -> FTest:
    if not len(term.L):
        return FTest(np.nan, 0, np.nan, np.nan)
    return method.f_test(term.L, term.L @ fit.estimate.beta)


def _f_columns(tests: Sequence[FTest], sigma2: float, *, with_p: bool) -> dict[str, Column]:
    f = np.array([t.f_value for t in tests])
    num = np.array([t.num_df if t.num_df else np.nan for t in tests])
    mean_sq = f * sigma2 / np.array([t.scale for t in tests])
    columns: dict[str, Column] = {
        "sum_sq": mean_sq * num,
        "mean_sq": mean_sq,
        "num_df": num,
        "den_df": np.array([t.den_df for t in tests]),
        "f_value": f,
        "p_value": np.array([t.p_value for t in tests]),
    }
    if not with_p:
        del columns["den_df"], columns["p_value"]
    return columns


def _chisq(tests: Sequence[FTest]) -> dict[str, Column]:
    df = np.array([float(t.num_df) for t in tests])
    return {
        "chisq": np.array([t.f_value for t in tests]) * df,
        "df": df,
        "p_value": np.array([t.p_value for t in tests]),
    }


def _title(type: int, method: Method, ddf: str | None, vcov: str | None) -> str:
    first = f"Type {ROMAN[type]} Analysis of Variance Table"
    if vcov is not None:
        return f"{first} with {method.name} standard errors"
    if ddf is None:
        return "Analysis of Variance Table" if type == 1 else first
    return f"{first} with {METHODS.get(method.name, method.name)}"


def _limits(
    design: Design, type: int, labels: Sequence[str], tests: Sequence[FTest]
) -> Iterator[str]:
    """What could not be tested, and what depends on the cells with data."""
    assign = design.state.assign
    terms = design.state.fixed.terms
    gone = [term.label for k, term in enumerate(terms, start=1) if k not in assign]
    if gone:
        yield GONE.format(", ".join(gone))
    few = [a for a, test in zip(labels, tests, strict=True) if test.untested]
    if few:
        yield TOO_FEW.format(", ".join(few))
    if type == 3 and (some := partly_dropped(design)):
        yield EMPTY.format(", ".join(some))
