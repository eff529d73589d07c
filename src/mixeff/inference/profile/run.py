"""Profiles and profile intervals as the methods of a fit give them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mixeff.errors import ConvergenceWarning, OptionError
from mixeff.frames.notices import notify
from mixeff.inference.profile.curve import Curve
from mixeff.inference.profile.engine import (
    Engine,
    adopting,
    likelihood_fit,
    parameter_names,
)
from mixeff.inference.profile.remarks import remarks
from mixeff.inference.profile.result import (
    Profile,
    interval_table,
    intervals,
    normal_quantile,
)
from mixeff.inference.table import ResultTable
from mixeff.inference.wald import IntervalTable
from mixeff.model.options import check_level, closest, shown
from mixeff.model.progress import ProgressBar

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

GROUPS = ("theta_", "beta_")
"""lme4's words for all variance parameters (with sigma) and all coefficients."""


def profile(
    fit: MixedModel,
    parameters: str | Sequence[str] | None = None,
    *,
    alpha_max: float = 0.01,
    delta: float | None = None,
    max_points: int = 100,
    progress: bool | None = None,
) -> Profile:
    """See `LinearMixedModel.profile`."""
    from scipy.special import chdtri

    alpha_max = check_level("profile", alpha_max, "alpha_max")
    if delta is not None and not (_is_number(delta) and delta > 0):
        raise OptionError(f"profile: delta must be a positive number, not {delta!r}.")
    if isinstance(max_points, bool) or not isinstance(max_points, int) or max_points < 2:
        raise OptionError(f"profile: max_points must be an integer from 2 on, not {max_points!r}.")
    names = chosen("profile", fit, parameters)
    fit, notes = likelihood_fit(fit)
    # As lme4's: far enough for joint regions of all parameters.
    cutoff = math.sqrt(float(chdtri(len(parameter_names(fit)), alpha_max)))
    step = cutoff / 8.0 if delta is None else float(delta)

    def work(engine: Engine) -> dict[str, Curve]:
        curves = {}
        with watched(len(names), fit, progress) as bar:
            for done, name in enumerate(names):
                path = engine.path(name)
                if path is not None:
                    path.trace(cutoff, step, max_points)
                    path.refined()
                    curves[name] = Curve.of(name, path)
                bar.show(done + 1)
        return curves

    engine, curves, adopted = adopting(Engine(fit), work)
    for sentence in adopted:
        notify(sentence, ConvergenceWarning)
    notes = (*notes, *adopted, *remarks(engine, names, cutoff))
    return Profile(engine.fit, engine.names, names, curves, cutoff, notes, engine)


def profile_intervals(
    fit: MixedModel,
    level: float,
    parameters: str | Sequence[str] | None = None,
    progress: bool | None = None,
) -> ResultTable:
    """See `FitMethods.confint`: the limits alone, without the curves."""
    names = chosen("confint", fit, parameters)
    fit, notes = likelihood_fit(fit)

    def work(engine: Engine) -> IntervalTable:
        with watched(len(names), fit, progress) as bar:
            for done, name in enumerate(names):
                intervals(engine, (name,), level)
                bar.show(done + 1)
        return intervals(engine, names, level)

    engine, found, adopted = adopting(Engine(fit), work)
    for sentence in adopted:
        notify(sentence, ConvergenceWarning)
    quantile = normal_quantile(level)
    return interval_table(found, (*notes, *adopted, *remarks(engine, names, quantile)))


def watched(total: int, fit: MixedModel, progress: bool | None) -> ProgressBar:
    """A progress bar as `refit_many` has it."""
    return ProgressBar(total, fit.request.control.progress if progress is None else progress)


def chosen(
    function: str, fit: MixedModel, parameters: str | Iterable[str] | None
) -> tuple[str, ...]:
    """The parameters asked for, in the order of all.

    Raises
    ------
    OptionError
        Unknown, or none.
    """
    every = parameter_names(fit)
    if parameters is None:
        return every
    fixed = len(fit.design.names)
    groups = dict(zip(GROUPS, (every[:-fixed], every[-fixed:]), strict=True)) if fixed else {}
    wanted: set[str] = set()
    for name in listed(function, parameters, (*every, *groups)):
        wanted |= {name} if name in every else set(groups[name])
    return tuple(name for name in every if name in wanted)


def listed(function: str, names: Any, every: Sequence[str]) -> list[str]:
    """Names asked for, out of those there are; one may stand by itself.

    Raises
    ------
    OptionError
        Unknown, or none.
    """
    alone = isinstance(names, str) or not isinstance(names, Iterable)
    asked: list[str] = [names] if alone else list(names)
    for name in asked:
        if name not in every:
            near = closest(name, every) if isinstance(name, str) else None
            hint = f'Did you mean "{near}"?' if near else f"There are {', '.join(every)}."
            raise OptionError(f"{function}: the model has no parameter {shown(name)}. {hint}")
    if not asked:
        raise OptionError(f"{function}: parameters is empty; None takes all.")
    return asked


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
