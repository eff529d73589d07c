"""The likelihood-ratio test with its reference distribution simulated under the smaller model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import ComparisonError
from mixeff.inference.bootstrap.refits import fitter, replicate
from mixeff.inference.bootstrap.responses import responses_of, root_seed
from mixeff.inference.bootstrap.run import check_threads
from mixeff.inference.bootstrap.statistics import log_likelihood
from mixeff.inference.bootstrap.tally import Tally
from mixeff.inference.compared import named_models
from mixeff.inference.likelihood_ratio import upper_tail
from mixeff.inference.nesting import check_same_data, nesting_notes
from mixeff.inference.table import ResultTable
from mixeff.model.names import calling_frame
from mixeff.model.options import refuse_unknown, whole_number

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

ARGUMENTS = ("nsim", "seed", "threads", "progress")

TIES = 1e-6
"""Statistics this close are equal: each is a difference of two optima found to 1e-9."""


@dataclass(frozen=True, slots=True, repr=False)
class ReferenceTest(ResultTable):
    """A table of tests whose reference distribution was drawn.

    Attributes
    ----------
    draws : (nsim, rows) array
        The statistic in every replicate, NaN where a fit failed; a column per test.
    """

    draws: Floats = field(default_factory=lambda: np.empty((0, 0)))


def bootstrap_lrt(
    m0: MixedModel,
    m1: MixedModel,
    nsim: int = 1000,
    *,
    seed: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
    **unknown: Any,
) -> ReferenceTest:
    """Parametric bootstrap test of a model within a larger one.

    Responses are drawn from the smaller model (fitted by maximum likelihood), both models are
    fitted to each by maximum likelihood, and the observed likelihood ratio is compared with those.
    This needs neither many groups nor a parameter inside its range, as the chi-square test does.

    Parameters
    ----------
    m0, m1 : fitted models
        One nested in the other, in either order; REML fits are refitted.
    nsim : int
        Replicates. The smallest p value there can be is 1 / (1 + nsim).
    seed : int, numpy Generator or None
        The same seed gives the same result, whatever the number of threads.
    threads, progress : as `bootstrap` takes them

    Returns
    -------
    ReferenceTest
        Rows ``chi-square`` and ``bootstrap``, columns ``chisq, df, p_value, mc_error``: the p value
        is ``(1 + #{t* >= t}) / (1 + n)`` (Davison and Hinkley 1997, eq. 4.11), ``mc_error`` its
        Monte Carlo standard error. ``draws`` holds the simulated statistics.

    Raises
    ------
    ComparisonError
        Different data, or models that are not nested.
    OptionError
        An argument is out of range.

    Examples
    --------
    >>> import mixeff as mx
    >>> sleep = mx.load_dataset("sleepstudy")
    >>> m0 = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    >>> m1 = mx.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    >>> table = mx.bootstrap_lrt(m0, m1, nsim=200, seed=1)
    >>> round(float(table["p_value"][1]), 4)
    0.005
    """
    refuse_unknown("bootstrap_lrt", unknown, ARGUMENTS)
    count = whole_number("bootstrap_lrt", "nsim", nsim, 1)
    check_threads("bootstrap_lrt", threads)
    root = root_seed(seed, "bootstrap_lrt")
    models = named_models((m0, m1), {}, calling_frame(), minimum=2, options=ARGUMENTS)
    check_same_data(models)
    (name0, small), (name1, large) = sorted(models.items(), key=lambda item: item[1].df)
    if small.df == large.df:
        raise ComparisonError(
            f"bootstrap_lrt: {name0} and {name1} have as many parameters ({small.df}); one must be "
            "a special case of the other."
        )
    null, full = small.refit_ml(), large.refit_ml()
    for reason in nesting_notes((name0, null), (name1, full)):
        raise ComparisonError(f"bootstrap_lrt: {reason}")
    observed = max(0.0, 2.0 * (full.loglik - null.loglik))
    if progress is None:
        progress = null.request.control.progress
    fitters = [
        (fitter(m, s, threads), s) for m, s in ((m, log_likelihood(m)) for m in (null, full))
    ]
    source = responses_of(null, "parametric", None, root, "bootstrap_lrt")
    below, above = replicate(source, fitters, count, progress)
    draws = ratios(below, above)
    p, error = reference_p(observed, draws)
    df = full.df - null.df
    chi_square = upper_tail(np.array([observed]), np.array([float(df)]))[0]
    return ReferenceTest(
        title=f"Parametric bootstrap likelihood-ratio test: {name0} within {name1}",
        index=("chi-square", "bootstrap"),
        columns={
            "chisq": np.array([observed, observed]),
            "df": np.array([float(df), np.nan]),
            "p_value": np.array([chi_square, p]),
            "mc_error": np.array([np.nan, error]),
        },
        notes=(
            f"{name0}: {small.formula_display}",
            f"{name1}: {large.formula_display}",
            f"bootstrap: {count} responses drawn from {name0}, both models fitted to each by "
            "maximum likelihood; assumes the distributions of that model.",
            "chi-square: right for many groups and no variance on its boundary.",
            *reference_notes(draws, below, above),
        ),
        draws=draws[:, None],
    )


def ratios(below: Tally, above: Tally) -> Floats:
    """(m,) likelihood-ratio statistics, at least 0; NaN where one of the fits failed."""
    return np.asarray(np.maximum(2.0 * (above.values - below.values)[:, 0], 0.0))


def reference_p(observed: float, draws: Floats) -> tuple[float, float]:
    """P value of an observed statistic among draws under the null, and its standard error."""
    known = draws[~np.isnan(draws)]
    if not known.size:
        return math.nan, math.nan
    p = (1 + int((known >= observed - TIES).sum())) / (1 + known.size)
    return p, math.sqrt(p * (1 - p) / known.size)


def reference_notes(draws: Floats, below: Tally, above: Tally) -> list[str]:
    """What became of the replicates."""
    notes = []
    failed = int(np.isnan(draws).sum())
    if failed:
        notes.append(
            f"{failed} of {draws.size} replicates could not be fitted by one of the models and are "
            "left out."
        )
    unconverged = int((below.unconverged | above.unconverged).sum())
    if unconverged:
        notes.append(
            f"In {unconverged} of {draws.size} replicates the optimality conditions of one of the "
            "fits do not hold (kept)."
        )
    sentences = {**below.messages}
    for sentence, times in above.messages.items():
        sentences[sentence] = sentences.get(sentence, 0) + times
    for sentence, times in sorted(sentences.items(), key=lambda item: -item[1])[:3]:
        notes.append(f"{times} x: {' '.join(sentence.split())}")
    return notes
