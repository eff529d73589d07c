"""The case bootstrap: whole levels of a grouping factor drawn with replacement.

A level drawn twice counts as two, and so do the levels of all factors within it (Davison and
Hinkley 1997, section 3.8). Everything within a level stays as it is, so no more is assumed than
that levels are a sample of independent ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.design.binomial import check_varies
from mixeff.errors import DesignError, MixeffError, OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.bootstrap.refits import (
    UNCONVERGED,
    record,
    record_many,
    silent,
    with_threads,
)
from mixeff.inference.bootstrap.statistics import Statistic
from mixeff.inference.bootstrap.tally import Tally
from mixeff.inference.clusters import coarsest, crossing
from mixeff.linear.many import ManyEstimates, responses_at_once
from mixeff.linear.resampled import LevelSums
from mixeff.model.again import recipe
from mixeff.model.generalized_many import Refits
from mixeff.model.progress import ProgressBar

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]
_MOST_SUMS = 50_000_000  # numbers kept for sums per level, 400 MB
Show = Callable[[int], None]
FitLevels = Callable[[Longs, int, Tally, Show], None]
"""Fits the data made of levels (m, J), writes from a position on, and tells how many are done."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """The levels that are drawn.

    Attributes
    ----------
    name : str, the grouping factor
    codes : (n,) int32 array
    n_levels : int
    """

    name: str
    codes: Codes
    n_levels: int


def clusters_of(design: Design, cluster: str | None) -> Clusters:
    """The grouping factor named, or the outermost one.

    Raises
    ------
    OptionError
        No such factor, or one that does not contain all others.
    """
    factors = {term.group: term for term in design.random}
    if cluster is not None and cluster not in factors:
        raise OptionError(
            f"bootstrap: the model has no grouping factor {cluster!r}; cluster must be one of "
            f"{', '.join(factors)}."
        )
    outer = coarsest(design.random) if cluster is None else factors[cluster]
    crossed = crossing(design.random, outer.codes)
    if crossed is None:
        return Clusters(outer.group, outer.codes, outer.n_levels)
    raise OptionError(
        f'bootstrap: kind="case" draws whole levels of {outer.group}, but {crossed.group} is not '
        f"nested in it: the same level of {crossed.group} would appear in several of them, which "
        'are then not independent. Use kind="parametric".'
    )


def replicate_cases(
    fit: MixedModel,
    clusters: Clusters,
    statistic: Statistic,
    nsim: int,
    *,
    seed: np.random.SeedSequence,
    threads: int | None,
    progress: bool | None,
) -> Tally:
    """Draw and fit ``nsim`` times. Replicate j has one seed whatever their number."""
    tally = Tally.of_size(nsim, len(statistic.names))
    # One stream: a replicate takes the next J numbers of it.
    rng, J = np.random.default_rng(seed), clusters.n_levels
    with ProgressBar(nsim, progress) as bar:

        def draw(_: int) -> Longs:
            return rng.integers(J, size=J)

        _fit_all(fit, clusters, statistic, threads, tally, draw, bar.show)
    return tally


def acceleration(
    fit: MixedModel, clusters: Clusters, statistic: Statistic, threads: int | None
) -> Floats:
    """(k,) acceleration of BCa intervals, levels left out one at a time.

    Efron and Tibshirani (1993), eq. 14.15; zero where leaving out any level changes nothing.
    """
    tally = Tally.of_size(clusters.n_levels, len(statistic.names))
    everything = np.arange(clusters.n_levels)
    _fit_all(
        fit, clusters, statistic, threads, tally, lambda out: np.delete(everything, out), silent
    )
    shift = np.nanmean(tally.values, axis=0) - tally.values
    cubes, squares = np.nansum(shift**3, axis=0), np.nansum(shift**2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(squares > 0, cubes / (6.0 * squares**1.5), 0.0)


def _fit_all(
    fit: MixedModel,
    clusters: Clusters,
    statistic: Statistic,
    threads: int | None,
    tally: Tally,
    levels_of: Callable[[int], Longs],
    show: Callable[[int], None],
) -> None:
    """Fit what the levels of every replicate make, block by block."""
    fit_levels = _fitter(fit, clusters, statistic, threads)
    step = responses_at_once(fit.design.n)
    for first in range(0, tally.failed.size, step):
        count = range(first, min(first + step, tally.failed.size))
        fit_levels(np.stack([levels_of(i) for i in count]), first, tally, show)


def _fitter(
    fit: MixedModel, clusters: Clusters, statistic: Statistic, threads: int | None
) -> FitLevels:
    """The fastest way: sums per level or the compiled search with one factor, else the rows."""
    factors = {term.group for term in fit.design.random}
    if len(factors) > 1 or statistic.of_many is None:
        return _from_rows(fit, clusters, statistic, threads)
    if isinstance(fit.estimate, GeneralizedEstimate):
        return _compiled(fit, clusters, statistic, threads)
    sums = clusters.n_levels * (len(fit.design.names) + 1) ** 2
    if sums <= _MOST_SUMS:
        return _from_sums(fit, statistic, threads)
    return _from_rows(fit, clusters, statistic, threads)


def _compiled(
    fit: MixedModel, clusters: Clusters, statistic: Statistic, threads: int | None
) -> FitLevels:
    """Many draws in one call; what it cannot do, or leaves doubtful, from the rows."""
    refits = Refits.of(with_threads(fit, threads), threads)
    from_rows = _from_rows(fit, clusters, statistic, threads)

    def fit_levels(levels: Longs, first: int, tally: Tally, show: Show) -> None:
        found, known = refits.batch.draws(levels)
        record_many(refits, found, np.arange(first, first + len(levels)), statistic, tally)
        for i in np.flatnonzero(~known):
            tally.unconverged[first + i] = False
            from_rows(levels[i : i + 1], first + int(i), tally, silent)
        show(first + len(levels))

    return fit_levels


def _from_sums(fit: MixedModel, statistic: Statistic, threads: int | None) -> FitLevels:
    estimate, of_many = fit.estimate, statistic.of_many
    assert not isinstance(estimate, GeneralizedEstimate)
    assert of_many is not None
    sums = LevelSums.of(fit.design, estimate, fit.request.control, threads)

    def fit_one(levels: Longs, at: int, tally: Tally) -> None:
        found: ManyEstimates = sums.room(1)
        try:
            sums.fit(levels, found, 0)
        except MixeffError as error:
            tally.fail(at, error)
            return
        tally.values[at] = of_many(found)[0]
        tally.singular[at] = found.singular[0]
        tally.unconverged[at] = not found.converged[0]
        if not found.converged[0]:
            tally.say(UNCONVERGED)

    return _each(fit_one)


def _each(fit_one: Callable[[Longs, int, Tally], None]) -> FitLevels:
    """One replicate after the other."""

    def fit_levels(levels: Longs, first: int, tally: Tally, show: Show) -> None:
        for i, own in enumerate(levels):
            fit_one(own, first + i, tally)
            show(first + i + 1)

    return fit_levels


def _from_rows(
    fit: MixedModel, clusters: Clusters, statistic: Statistic, threads: int | None
) -> FitLevels:
    like = with_threads(fit, threads)
    order = np.argsort(clusters.codes, kind="stable")
    sizes = np.bincount(clusters.codes, minlength=clusters.n_levels)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    request = replace(like.request, start=_start(fit))

    def fit_one(levels: Longs, at: int, tally: Tally) -> None:
        drawn = sizes[levels]
        ends = np.cumsum(drawn)
        places = np.arange(int(ends[-1])) - np.repeat(ends - drawn - first[levels], drawn)
        copies = np.repeat(np.arange(levels.size), drawn)

        def make() -> MixedModel:
            design = resampled_design(fit.design, order[places], copies)
            if fit.family == "binomial":
                check_varies("of the levels drawn", design.response)
            return recipe(fit).fit(request, design)

        record(make, at, statistic, tally)

    return _each(fit_one)


def _start(fit: MixedModel) -> Floats | None:
    """The estimates, unless they lie on the boundary: then as if there were no fit yet.

    Nor are they for a generalized model with one factor, which is fitted faster without a start.
    """
    estimate = fit.estimate
    if fit.is_singular:
        return None
    if isinstance(estimate, GeneralizedEstimate):
        if len({term.group for term in fit.design.random}) == 1:
            return None
        return np.concatenate([estimate.theta, estimate.beta])
    return estimate.theta


def resampled_design(design: Design, rows: Longs, copies: Longs) -> Design:
    """The design of some rows, levels apart where they come from different draws.

    Parameters
    ----------
    design : Design
    rows : (m,) int array, rows of the design
    copies : (m,) int array, the draw each row belongs to

    Raises
    ------
    DesignError
        The rows leave a coefficient without information.
    """
    X = np.ascontiguousarray(design.X[rows])
    _check_rank(X, design)
    terms = []
    for term in design.random:
        pairs = copies * term.n_levels + term.codes[rows]
        levels, codes = np.unique(pairs, return_inverse=True)
        terms.append(
            replace(
                term,
                codes=codes.reshape(-1).astype(np.int32),
                levels=tuple(
                    f"{term.levels[k % term.n_levels]}.{k // term.n_levels}" for k in levels
                ),
                values=np.ascontiguousarray(term.values[rows]),
            )
        )
    return replace(
        design,
        response=design.response[rows],
        X=X,
        random=tuple(terms),
        weights=None if design.weights is None else design.weights[rows],
        offset=None if design.offset is None else design.offset[rows],
        rows=design.rows[rows],
        moments=(),
    )


def _check_rank(X: Floats, design: Design) -> None:
    lengths = np.linalg.norm(X, axis=0)
    if lengths.all() and np.linalg.matrix_rank(X / lengths, tol=1e-9) == X.shape[1]:
        return
    raise DesignError("The levels drawn leave a coefficient without information.")
