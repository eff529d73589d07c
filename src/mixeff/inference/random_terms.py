"""Likelihood-ratio tests of single random-effect terms: ``ranova``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mixeff.design.deletions import droppable, reduced_random, without_random
from mixeff.formula.tree import LinearPart
from mixeff.inference.boundary import Mixture
from mixeff.inference.boundary_null import boundary_of, boundary_test
from mixeff.inference.deletions import Deletion, deletion_columns, fit_smaller, troubles
from mixeff.inference.table import ResultTable
from mixeff.model.options import check_switch

if TYPE_CHECKING:
    from mixeff.design.design import Design, RandomTerm
    from mixeff.formula.tree import RandomPart
    from mixeff.model.mixed import MixedModel

NONE = "<none>"


def ranova(fit: MixedModel, reduce_terms: bool = True) -> ResultTable:
    """See ``LinearMixedModel.ranova``."""
    check_switch("ranova", "reduce_terms", reduce_terms)
    rows = [fit_smaller(fit, design, label) for label, design in _smaller(fit, reduce_terms)]
    columns = deletion_columns(fit, rows)
    p, notes = _boundary_column(fit, rows, columns["lrt"].tolist()[1:])
    kind = "REML" if fit.is_reml else "ML"
    return ResultTable(
        title=f"Tests of the random effects: {fit.formula_display}",
        index=(NONE, *(row.label for row in rows)),
        columns={**columns, "p_boundary": np.array([np.nan, *p])},
        notes=(
            f"Likelihood-ratio tests of {kind} fits to the same rows. p_value: chi-square, too "
            "large where the null puts a variance at zero; p_boundary: the mixture of chi-squares "
            "for such a null.",
            *notes,
            *troubles(fit, rows),
        ),
    )


def _boundary_column(
    fit: MixedModel, rows: Sequence[Deletion], statistics: Sequence[float]
) -> tuple[list[float], list[str]]:
    """p values by the mixtures, and sentences that name them."""
    values, named = [], []
    for row, statistic in zip(rows, statistics, strict=True):
        boundary = boundary_of(row.design, row.Lambda, fit, fit.df - row.npar)
        if boundary is None:
            values.append(np.nan)
            continue
        p, found = boundary_test(boundary, statistic)
        values.append(p)
        named.append((row.label, mixture_words(found, boundary.reason)))
    return values, [*grouped_notes(named), *_singular_note(rows)]


def mixture_words(found: Mixture | None, reason: str) -> str:
    """Which distribution, for a note."""
    return f"not available: {reason}" if found is None else found.words


def grouped_notes(named: Sequence[tuple[str, str]]) -> list[str]:
    """One sentence per mixture, naming the rows it was used in."""
    by_words: dict[str, list[str]] = {}
    for label, words in named:
        by_words.setdefault(words, []).append(label)
    return [f"p_boundary of {', '.join(labels)}: {words}." for words, labels in by_words.items()]


def _singular_note(rows: Sequence[Deletion]) -> list[str]:
    """The mixtures suppose that the variances kept are positive."""
    singular = [row.label for row in rows if row.singular]
    if not singular:
        return []
    return [
        f"The model without {', '.join(singular)} is itself singular; the mixture supposes that "
        "the variances it keeps are positive."
    ]


def _smaller(fit: MixedModel, reduce_terms: bool) -> Iterator[tuple[str, Design]]:
    """Label and design of every smaller model, term by term as the formula has them."""
    design = fit.design
    parts = [_part_of(fit, place) for place in range(len(design.random))]
    written = fit.request.parsed.random
    for place in sorted(range(len(parts)), key=lambda i: written.index(parts[i])):
        term = design.random[place]
        reductions = _reductions(parts[place], term) if reduce_terms else []
        if not reductions:
            yield term.label, without_random(design, place)
        for label, rest in reductions:
            smaller = reduced_random(design, place, rest, fit.request.data)
            yield f"{label} in {term.label}", smaller


def _part_of(fit: MixedModel, place: int) -> RandomPart:
    """The part of the formula behind a random term (of several columns that ``||`` split: one)."""
    state = fit.design.state.random[place]
    labels = [t.label for t in state.plan.terms]
    return next(
        part
        for part in fit.request.parsed.random
        if part.group_label == state.group
        and part.effects.intercept == state.plan.intercept
        and [t.label for t in part.effects.terms] == labels
    )


def _reductions(part: RandomPart, term: RandomTerm) -> list[tuple[str, LinearPart]]:
    """What a term is reduced to, without each of its effects that marginality lets go."""
    effects = part.effects
    if part.independent or not effects.terms:
        return []
    if len(effects.terms) == 1 and not effects.intercept:
        # The cells of a factor contain the intercept; a numeric effect does not.
        whole = bool(np.allclose(term.values.sum(axis=1), 1.0)) and term.n_columns > 1
        return [(effects.terms[0].label, LinearPart(True, ()))] if whole else []
    return [
        (out.label, LinearPart(effects.intercept, tuple(t for t in effects.terms if t is not out)))
        for out in droppable(effects)
    ]
