"""From the arguments of ``m.permutation_test`` to its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.deletions import droppable, without_fixed
from mixeff.errors import OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.bootstrap.likelihood_ratio import (
    TIES,
    ReferenceTest,
    ratios,
    reference_notes,
    reference_p,
)
from mixeff.inference.bootstrap.refits import fitter, replicate
from mixeff.inference.bootstrap.responses import root_seed
from mixeff.inference.bootstrap.run import check_threads
from mixeff.inference.bootstrap.statistics import log_likelihood
from mixeff.inference.permutation.choosing import scheme_for
from mixeff.inference.permutation.exchangeable import scheme_for_responses
from mixeff.inference.permutation.schemes import SCHEMES, Rearranged, Scheme
from mixeff.model.again import recipe
from mixeff.model.linear_predictor import fixed_part
from mixeff.model.options import choose, closest, refuse_unknown, whole_number

if TYPE_CHECKING:
    from mixeff.formula.tree import Term
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

ARGUMENTS = ("terms", "nsim", "seed", "scheme", "within", "threads", "progress")


_FREEDMAN_LANE = (
    "Likelihood-ratio statistics of ML fits with and without the term, among those of rearranged "
    "data (Freedman and Lane: exact up to the estimation of the other coefficients)."
)
_EXACT = (
    "Likelihood-ratio statistics of fits with and without the term, among those of rearranged data "
    "(exact: only observations are exchanged that the model without the term cannot tell apart)."
)


@dataclass(frozen=True, slots=True)
class TermTest:
    """The test of one term.

    Attributes
    ----------
    scheme : Scheme
    statistic, p_value : float
    df, n : int, coefficients tested; arrangements
    draws : (nsim,) array, NaN at the end where there are fewer arrangements
    notes : tuple of str
    """

    scheme: Scheme
    statistic: float
    p_value: float
    df: int
    n: int
    draws: Floats
    notes: tuple[str, ...]


def permutation_test(
    fit: MixedModel,
    terms: str | Sequence[str] | None,
    nsim: int,
    *,
    seed: Any,
    scheme: str | None,
    within: str | None,
    threads: int | None,
    progress: bool | None,
    unknown: Mapping[str, Any],
) -> ReferenceTest:
    """See `LinearMixedModel.permutation_test`."""
    refuse_unknown("permutation_test", unknown, ARGUMENTS)
    count = whole_number("permutation_test", "nsim", nsim, 1)
    check_threads("permutation_test", threads)
    if scheme is not None:
        scheme = choose("permutation_test", "scheme", scheme, SCHEMES)
    if within is not None and scheme not in (None, "within"):
        raise OptionError(f'permutation_test: within is for scheme="within", not "{scheme}".')
    root = root_seed(seed, "permutation_test")
    if within is not None and isinstance(fit.estimate, GeneralizedEstimate):
        raise OptionError(
            "permutation_test: within is for linear models; the responses of a generalized model "
            "are permuted among rows that agree in everything but the term, and those lie within "
            "levels of all grouping factors."
        )
    chosen = _terms(fit, terms)
    full: Any = fit.refit_ml()
    if progress is None:
        progress = fit.request.control.progress
    tests = [
        _test(full, term, count, own, scheme, within, threads, progress)
        for term, own in zip(chosen, root.spawn(len(chosen)), strict=True)
    ]
    return _table(fit, [t.label for t in chosen], tests)


def _test(
    full: Any,
    term: Term,
    nsim: int,
    seed: np.random.SeedSequence,
    scheme: str | None,
    within: str | None,
    threads: int | None,
    progress: bool | None,
) -> TermTest:
    smaller = without_fixed(full.design, full.request.parsed.fixed, term, full.request.data)
    if smaller.X.shape[1] == full.design.X.shape[1]:
        raise OptionError(
            f"permutation_test: {term.label} adds nothing to the other terms: without it the model "
            "is the same."
        )
    own = _own_columns(full, term)
    columns, response = full.design.X[:, own], full.design.response
    null: Any = recipe(full).fit(replace(full.request, start=None), smaller)
    if isinstance(full.estimate, GeneralizedEstimate):
        how = scheme_for_responses(full, smaller, columns, term.label, scheme)
        mean = np.zeros_like(response)
    else:
        how = scheme_for(full.design, columns, term.label, scheme, within)
        mean = fixed_part(null.design, null.estimate.beta)
    source = Rearranged.of(mean, response - mean, how, seed, nsim)
    count = int(how.arrangements) if source.exhaustive else nsim
    fitters = [
        (fitter(m, s, threads), s) for m, s in ((m, log_likelihood(m)) for m in (null, full))
    ]
    below, above = replicate(source, fitters, count, progress)
    draws = ratios(below, above)
    observed = max(0.0, 2.0 * (full.loglik - null.loglik))
    p, _ = reference_p(observed, draws)
    notes = reference_notes(draws, below, above)
    if source.exhaustive:
        known = draws[~np.isnan(draws)]  # the data themselves are among them
        p = float(np.mean(known >= observed - TIES))
        notes = [f"{term.label}: all {count} arrangements.", *notes]
    return TermTest(
        how, observed, p, full.df - null.df, int((~np.isnan(draws)).sum()), draws, tuple(notes)
    )


def _own_columns(fit: MixedModel, term: Term) -> NDArray[np.bool_]:
    """(p,) which columns of X belong to a term."""
    place = fit.request.parsed.fixed.terms.index(term) + 1
    return np.asarray(np.array(fit.design.state.assign) == place)


def _terms(fit: MixedModel, wanted: str | Sequence[str] | None) -> list[Term]:
    """The terms to test, none of them part of another.

    Raises
    ------
    OptionError
        No such term, or one that is part of an interaction in the model.
    """
    terms = fit.request.parsed.fixed.terms
    known = {term.label: term for term in terms}
    chosen = list(droppable(fit.request.parsed.fixed))
    if not chosen:
        raise OptionError("permutation_test: the model has no fixed-effect term to test.")
    if wanted is not None:
        labels = [wanted] if isinstance(wanted, str) else list(wanted)
        for label in labels:
            if label not in known:
                near = closest(str(label), list(known))
                hint = f'Did you mean "{near}"?' if near else f"Its terms are {', '.join(known)}."
                raise OptionError(
                    f"permutation_test: the model has no fixed-effect term {label!r}. {hint}"
                )
        chosen = [known[label] for label in labels]
    for term in chosen:
        if larger := _containing(term, terms):
            raise OptionError(
                f"permutation_test: {term.label} is part of {larger[0].label}, and a model with "
                f"the interaction but without {term.label} depends on the coding. Test "
                f"{larger[0].label}, or fit a model without it first."
            )
    return chosen


def _containing(term: Term, terms: Sequence[Term]) -> list[Term]:
    own = frozenset(term.variables)
    return [other for other in terms if own < frozenset(other.variables)]


def _table(fit: MixedModel, labels: list[str], tests: list[TermTest]) -> ReferenceTest:
    sentences = dict.fromkeys(t.scheme.sentence for t in tests)
    longest = max(t.draws.size for t in tests)
    draws = np.full((longest, len(tests)), np.nan)
    for j, test in enumerate(tests):
        draws[: test.draws.size, j] = test.draws
    return ReferenceTest(
        title=f"Permutation tests: {fit.formula_display}",
        index=tuple(labels),
        columns={
            "scheme": tuple(t.scheme.name for t in tests),
            "statistic": np.array([t.statistic for t in tests]),
            "df": np.array([float(t.df) for t in tests]),
            "n": np.array([t.n for t in tests]),
            "p_value": np.array([t.p_value for t in tests]),
        },
        notes=(
            _EXACT if isinstance(fit.estimate, GeneralizedEstimate) else _FREEDMAN_LANE,
            *sentences,
            *dict.fromkeys(note for t in tests for note in t.notes),
        ),
        draws=draws,
    )
