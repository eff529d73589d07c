"""Fits of blocks of responses: all at once by the batch engines, or one by one.

Statistics that need a fit are taken from refits, one after the other, each from the estimates of
the fit. Threads then work within a fit, and results do not depend on them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import MixeffError, MixeffWarning, OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.many import ManyGeneralized
from mixeff.generalized.notes import is_advice
from mixeff.inference.bootstrap.statistics import Statistic
from mixeff.inference.bootstrap.tally import Tally
from mixeff.linear.many import Batch, ManyEstimates
from mixeff.model.again import refit
from mixeff.model.generalized_many import Refits
from mixeff.model.progress import ProgressBar

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]
FitBlock = Callable[[Floats, int, Tally, "Callable[[int], None]"], None]
"""Fits m responses (n, m), writes from a position on, and tells how many are done."""


class Source(Protocol):
    """Where responses come from, block by block."""

    @property
    def at_once(self) -> int:
        """Responses in a block."""
        ...

    def block(self, number: int, m: int) -> Floats:
        """(n, m) the first m responses of a block; the same for any number of blocks."""
        ...


UNCONVERGED = "The optimality conditions do not hold."


def replicate(
    source: Source,
    fitters: list[tuple[FitBlock, Statistic]],
    nsim: int,
    progress: bool | None,
) -> list[Tally]:
    """Draw ``nsim`` responses and fit each by all of the fitters."""
    tallies = [Tally.of_size(nsim, len(s.names)) for _, s in fitters]
    with ProgressBar(nsim, progress) as bar:
        for number, first in enumerate(range(0, nsim, source.at_once)):
            Y = source.block(number, min(source.at_once, nsim - first))
            for i, (fit_block, _) in enumerate(fitters):
                last = i == len(fitters) - 1
                fit_block(Y, first, tallies[i], bar.show if last else silent)
    return tallies


def silent(done: int) -> None:
    """Nothing to show."""


def fitter(fit: MixedModel, statistic: Statistic, threads: int | None) -> FitBlock:
    """The fastest way to the statistic."""
    if statistic.of_many is None:
        return _one_by_one(fit, statistic, threads)
    if isinstance(fit.estimate, GeneralizedEstimate):
        return _generalized(fit, statistic, threads)
    return _together(fit, statistic, threads)


def _generalized(fit: MixedModel, statistic: Statistic, threads: int | None) -> FitBlock:
    refits = Refits.of(with_threads(fit, threads), threads)

    def fit_block(Y: Floats, first: int, tally: Tally, show: Callable[[int], None]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MixeffWarning)  # what they say is counted
            found = refits.estimates(Y, lambda done: show(first + done))
        record_many(refits, found, np.arange(first, first + Y.shape[1]), statistic, tally)

    return fit_block


def record_many(
    refits: Refits,
    found: ManyGeneralized,
    at: NDArray[np.int64],
    statistic: Statistic,
    tally: Tally,
) -> None:
    """Take the statistic from many fits, each at its place; failures are counted."""
    assert statistic.of_many is not None
    tally.values[at] = statistic.of_many(found)
    tally.singular[at] = refits.singular(found)
    tally.unconverged[at] = ~found.converged
    for j, error in found.errors.items():
        tally.unconverged[at[j]] = False
        tally.fail(int(at[j]), error)
    for sentences in found.troubles.values():
        for sentence in sentences:
            tally.say(sentence)


def _together(fit: MixedModel, statistic: Statistic, threads: int | None) -> FitBlock:
    estimate, of_many = fit.estimate, statistic.of_many
    assert not isinstance(estimate, GeneralizedEstimate)
    assert of_many is not None
    batch = Batch.of(fit.design, estimate, fit.request.control, threads)

    def write(found: ManyEstimates, at: slice, tally: Tally) -> None:
        tally.values[at] = of_many(found)
        tally.singular[at] = found.singular
        tally.unconverged[at] = ~found.converged
        if not found.converged.all():
            tally.say(UNCONVERGED, int((~found.converged).sum()))

    def fit_block(Y: Floats, first: int, tally: Tally, show: Callable[[int], None]) -> None:
        m = Y.shape[1]
        try:
            write(batch.estimates(Y), slice(first, first + m), tally)
        except MixeffError:
            # One response of them has no fit: find out which.
            for j in range(m):
                at = first + j
                try:
                    write(batch.estimates(Y[:, j : j + 1]), slice(at, at + 1), tally)
                except MixeffError as error:
                    tally.fail(at, error)
        show(first + m)

    return fit_block


def _one_by_one(fit: MixedModel, statistic: Statistic, threads: int | None) -> FitBlock:
    like = with_threads(fit, threads)

    def fit_block(Y: Floats, first: int, tally: Tally, show: Callable[[int], None]) -> None:
        for j in range(Y.shape[1]):
            record(partial(refit, like, Y[:, j]), first + j, statistic, tally)
            show(first + j + 1)

    return fit_block


def with_threads(fit: MixedModel, threads: int | None) -> MixedModel:
    """The fit as a start for others, which show no progress of their own."""
    control = fit.request.control
    control = replace(control, threads=threads or control.threads, progress=False)
    made: MixedModel = replace(fit, request=replace(fit.request, control=control))  # type: ignore[type-var]
    return made


def record(make: Callable[[], MixedModel], at: int, statistic: Statistic, tally: Tally) -> None:
    """Make one fit and take the statistic from it; failures of ours are counted, others raised."""
    with warnings.catch_warnings():
        # What they say is counted.
        warnings.simplefilter("ignore", MixeffWarning)
        try:
            one = make()
            tally.values[at] = statistic.of_fit(one)
        except OptionError:
            raise  # the caller's, and the same for every replicate
        except MixeffError as error:
            tally.fail(at, error)
            return
    tally.singular[at] = one.is_singular
    ok, troubles = _verdict(one)
    tally.unconverged[at] = not ok
    for sentence in troubles:
        tally.say(sentence)


def _verdict(one: MixedModel) -> tuple[bool, list[str]]:
    """Whether the optimality conditions hold, and what a fit would have warned of."""
    estimate = one.estimate
    if not isinstance(estimate, GeneralizedEstimate):
        ok = estimate.outcome.ok
        return ok, [] if ok else [estimate.convergence.sentence]
    if estimate.sound:  # known without computing what nobody reads
        return True, []
    troubles = [note for note in estimate.notes if not is_advice(note)]
    ok = estimate.convergence.ok
    return ok, troubles if ok else [*troubles, estimate.convergence.sentence]
