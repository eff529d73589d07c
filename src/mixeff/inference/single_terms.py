"""Likelihood-ratio tests of single fixed-effect terms: ``drop1``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mixeff.design.deletions import droppable, without_fixed
from mixeff.errors import OptionError
from mixeff.formula import parse_formula
from mixeff.formula.editing import update_formula
from mixeff.inference.deletions import deletion_columns, fit_smaller, troubles
from mixeff.inference.table import ResultTable
from mixeff.model.options import choose, closest

if TYPE_CHECKING:
    from mixeff.formula.tree import LinearPart, Term
    from mixeff.model.mixed import MixedModel

NONE = "<none>"


def drop1(fit: MixedModel, scope: Any = None, test: str | None = "chisq") -> ResultTable:
    """See ``LinearMixedModel.drop1``."""
    if test is not None:
        choose("drop1", "test", test, ("chisq",))
    fixed = fit.request.parsed.fixed
    terms = _terms(fixed, droppable(fixed), scope, fit)
    full = fit.refit_ml()
    rows = [
        fit_smaller(full, without_fixed(full.design, fixed, term, fit.request.data), term.label)
        for term in terms
    ]
    columns = deletion_columns(full, rows)
    if test is None:
        columns = {name: columns[name] for name in ("npar", "loglik", "aic")}
    return ResultTable(
        title=f"Single term deletions: {fit.formula_display}",
        index=(NONE, *(row.label for row in rows)),
        columns=columns,
        notes=(*_method(fit, full, test), *troubles(full, rows)),
    )


def _method(fit: MixedModel, full: MixedModel, test: str | None) -> list[str]:
    notes = ["Every model is fitted to the same rows by maximum likelihood."]
    if fit.is_reml:
        notes[0] = (
            "Every model is fitted to the same rows by maximum likelihood (the REML fit again too)."
        )
    if test is not None:
        notes.append(
            "Likelihood-ratio tests with a chi-square reference distribution, right for many "
            "groups; in small samples the p values are too small."
        )
    if getattr(full.request, "n_agq", 1) == 0:
        notes.append("With n_agq=0 the log-likelihoods are rough; fit with n_agq=1 before testing.")
    return notes


def _terms(fixed: LinearPart, free: Sequence[Term], scope: Any, fit: MixedModel) -> list[Term]:
    """The terms to leave out, in the order of the formula."""
    if scope is None:
        return list(free)
    wanted = _wanted(scope, fit)
    known = {frozenset(term.label.split(":")): term for term in fixed.terms}
    chosen = set()
    for label in wanted:
        term = next((t for t in fixed.terms if t.label == label), None)
        term = term or known.get(frozenset(label.split(":")))  # b:a for a:b
        if term is None:
            raise OptionError(_unknown(label, fixed))
        if term not in free:
            raise OptionError(_contained(term, fixed))
        chosen.add(term.label)
    return [term for term in free if term.label in chosen]


def _wanted(scope: Any, fit: MixedModel) -> list[str]:
    """Labels named by a formula, a label, or several labels."""
    if isinstance(scope, str) and "~" in scope:
        text = update_formula(fit.request.parsed, scope)
        return [term.label for term in parse_formula(text).fixed.terms]
    if isinstance(scope, str):
        return [scope]
    if isinstance(scope, Iterable):
        labels = list(scope)
        if labels and all(isinstance(label, str) for label in labels):
            return labels
    raise OptionError(
        'drop1: scope names terms of the model, as a list such as ["IQ", "SES"] or a formula '
        f'such as "~ IQ + SES"; got {scope!r}.'
    )


def _unknown(label: str, fixed: LinearPart) -> str:
    labels = [term.label for term in fixed.terms]
    near = closest(label, labels)
    hint = f' Did you mean "{near}"?' if near else f" Its terms are {', '.join(labels) or 'none'}."
    return f'drop1: the model has no fixed-effect term "{label}".{hint}'


def _contained(term: Term, fixed: LinearPart) -> str:
    own = frozenset(term.variables)
    larger = [t.label for t in fixed.terms if own < frozenset(t.variables)]
    return (
        f"drop1: {term.label} is part of {', '.join(larger)}; a model with the interaction but "
        f"without {term.label} is either the same model in other coordinates or depends on the "
        "origin of the other variable. Drop the interaction first, or test main effects with "
        "anova(type=2) or anova(type=3)."
    )
