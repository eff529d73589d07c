"""From the arguments of ``m.bootstrap`` to its draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.errors import OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.bootstrap.cases import acceleration, clusters_of, replicate_cases
from mixeff.inference.bootstrap.refits import fitter, replicate
from mixeff.inference.bootstrap.responses import responses_of, root_seed, whole_entropy
from mixeff.inference.bootstrap.result import INTERVALS, Bootstrap
from mixeff.inference.bootstrap.statistics import Statistic, all_parameters, of_function
from mixeff.inference.bootstrap.tally import Tally
from mixeff.inference.table import ResultTable
from mixeff.model.options import check_level, choose, refuse_unknown, whole_number

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

KINDS = ("parametric", "semiparametric", "case")
ARGUMENTS = (
    "nsim", "kind", "statistic", "seed", "random", "cluster", "threads", "progress",
)  # fmt: skip


def bootstrap(
    fit: MixedModel,
    nsim: int,
    *,
    kind: str,
    statistic: Any,
    seed: Any,
    random: str | None,
    cluster: str | None,
    threads: int | None,
    progress: bool | None,
    unknown: Mapping[str, Any],
) -> Bootstrap:
    """See `LinearMixedModel.bootstrap`."""
    refuse_unknown("bootstrap", unknown, ARGUMENTS)
    count = whole_number("bootstrap", "nsim", nsim, 2)
    check_threads("bootstrap", threads)
    kind = choose("bootstrap", "kind", kind, KINDS)
    root = root_seed(seed, "bootstrap")
    wanted = all_parameters(fit) if statistic is None else of_function(fit, statistic)
    if progress is None:
        progress = fit.request.control.progress
    if cluster is not None and kind != "case":
        raise OptionError(f'bootstrap: cluster is for kind="case"; this is kind="{kind}".')
    _check_kind(fit, kind, random)
    if kind == "case":
        return _of_cases(fit, wanted, count, cluster, root, threads, progress)
    source = responses_of(fit, kind, random, root, "bootstrap")
    (tally,) = replicate(source, [(fitter(fit, wanted, threads), wanted)], count, progress)
    return _result(wanted, tally, kind, _scheme(kind, random), root)


def _of_cases(
    fit: MixedModel,
    wanted: Statistic,
    nsim: int,
    cluster: str | None,
    root: np.random.SeedSequence,
    threads: int | None,
    progress: bool | None,
) -> Bootstrap:
    clusters = clusters_of(fit.design, cluster)
    tally = replicate_cases(
        fit, clusters, wanted, nsim, seed=root, threads=threads, progress=progress
    )
    scheme = (
        f"Case: the {clusters.n_levels} levels of {clusters.name} drawn with replacement, whole; "
        "assumes only that they are independent and alike."
    )
    found = _result(wanted, tally, "case", scheme, root)
    if clusters.n_levels > nsim:  # leaving out each would take longer than the draws
        return found
    return replace(found, acceleration=acceleration(fit, clusters, wanted, threads))


def bootstrap_intervals(fit: MixedModel, level: float, options: Mapping[str, Any]) -> ResultTable:
    """The intervals of ``m.confint(method="bootstrap", ...)``."""
    known = {
        "nsim": 1000, "kind": "parametric", "statistic": None, "seed": None, "random": None,
        "cluster": None, "threads": None, "progress": None,
    }  # fmt: skip
    asked = dict(options)
    interval = asked.pop("interval", "percentile")
    names = ("level", "method", "interval", *known)
    refuse_unknown("confint", (a for a in asked if a not in known), names)
    level = check_level("confint", level)
    interval = choose("confint", "interval", interval, INTERVALS)
    draws = bootstrap(fit, **{**known, **asked}, unknown={})
    return draws.confint(level, interval)


def _check_kind(fit: MixedModel, kind: str, random: str | None) -> None:
    if kind == "semiparametric" and isinstance(fit.estimate, GeneralizedEstimate):
        raise OptionError(
            "bootstrap: the residuals of a generalized model are not exchangeable, so there is "
            'nothing to resample: use kind="parametric" or kind="case".'
        )
    if kind == "case" and random is not None:
        raise OptionError(
            'bootstrap: kind="case" resamples the data and draws no random effects; leave out '
            f"random={random!r}."
        )


def _result(
    wanted: Statistic, tally: Tally, kind: str, scheme: str, root: np.random.SeedSequence
) -> Bootstrap:
    return Bootstrap(
        names=wanted.names,
        draws=tally.values,
        estimate=wanted.observed,
        kind=kind,
        scheme=scheme,
        entropy=whole_entropy(root),
        failed=tally.failed,
        singular=tally.singular,
        unconverged=tally.unconverged,
        messages=tally.messages,
    )


def _scheme(kind: str, random: str | None) -> str:
    """What was drawn, in a sentence."""
    new = {None: "new random effects", "all": "random effects kept at their modes"}.get(
        random, f"random effects kept at their modes in {random}, others new"
    )
    if kind == "parametric":
        what = "responses drawn from the fitted model"
        return f"Parametric: {what}, {new}; assumes that the model is right."
    if random == "all":
        return (
            "Semi-parametric: residuals given the random effects, centred and scaled to sigma, "
            f"resampled; {new}. Assumes that residuals are exchangeable."
        )
    return (
        "Semi-parametric: residuals and conditional modes, centred and scaled to the estimated "
        f"variances, resampled; {new}. Assumes that they are exchangeable."
    )


def check_threads(function: str, threads: Any) -> None:
    """Raise OptionError unless threads are None or at least 1."""
    if threads is not None:
        whole_number(function, "threads", threads, 1)
