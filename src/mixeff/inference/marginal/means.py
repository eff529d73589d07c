"""Marginal means of a fit: averages of the fixed effects over a reference grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.errors import OptionError
from mixeff.inference.marginal.estimates import Axis, Estimates
from mixeff.inference.marginal.grid import ReferenceGrid, check_weights, reference_grid
from mixeff.inference.marginal.joint import joint_table, model_subsets
from mixeff.inference.marginal.nested import nests_of, outer_names
from mixeff.inference.marginal.predictors import (
    Predictor,
    chosen,
    predictors_of,
    term_predictors,
)
from mixeff.inference.marginal.scale import response_scale, undone_note
from mixeff.inference.marginal.specs import names_of
from mixeff.inference.marginal.tables import EstimateTable, estimate_table
from mixeff.inference.method import method_of
from mixeff.inference.table import ResultTable
from mixeff.model.options import check_level, choose

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

# Beside a mean this much larger than 1, mean + 1 and mean - 1 lose their digits.
_FAR = 1e9


def marginal_means(
    fit: MixedModel,
    specs: Any,
    by: Any = None,
    *,
    at: Mapping[str, Any] | None,
    weights: str,
    type: str,
    offset: float | None,
    ddf: str | None,
    vcov: str | None,
    level: float,
) -> EstimateTable:
    """See `LinearMixedModel.marginal_means`."""
    function = "marginal_means"
    scheme = check_weights(function, weights)
    response = choose(function, "type", type, ("link", "response")) == "response"
    check_level(function, level)
    known = predictors_of(fit)
    predictors = chosen(function, fit, known, at)
    primary, within = names_of(function, fit, predictors, specs, by)
    held = check_offset(function, offset)
    grid = reference_grid(function, fit, predictors, nests_of(known), offset=held)
    names = (*primary, *within)
    scale = response_scale(fit)
    notes = grid_notes(fit, grid, names, scheme)
    if response:
        notes += undone_note(fit, scale)
    return estimate_table(
        Estimates(
            subject="marginal means",
            functions=grid.means(names, scheme),
            axes=axes_of(grid, names),
            within=within,
            method=method_of(fit, ddf, vcov, function=function),
            beta=fit.estimate.beta,
            scale=scale,
            response=response,
            level=level,
            notes=tuple(notes),
            nests=grid.nests,
        )
    )


def joint_tests(
    fit: MixedModel,
    by: Any,
    *,
    at: Mapping[str, Any] | None,
    weights: str,
    ddf: str | None,
    vcov: str | None,
) -> ResultTable:
    """See `LinearMixedModel.joint_tests`."""
    function = "joint_tests"
    scheme = check_weights(function, weights)
    known = predictors_of(fit)
    predictors = chosen(function, fit, known, at)
    _, within = names_of(function, fit, predictors, None, by)
    fixed = set(at or ())
    # A covariate is tested by the difference between two values about its mean.
    spread = {
        name: p if p.is_factor or name in fixed or not p.in_model else _about_mean(p)
        for name, p in predictors.items()
    }
    grid = reference_grid(function, fit, spread, nests_of(known))
    method = method_of(fit, ddf, vcov, function=function)
    tests = []
    for subset in model_subsets(grid, term_predictors(fit), within):
        names = (*subset, *within)
        if any(len(grid.predictors[grid.position(n)]) < 2 for n in subset):
            continue
        estimates = Estimates(
            subject="joint tests",
            functions=grid.means(names, scheme),
            axes=axes_of(grid, names),
            within=within,
            method=method,
            beta=fit.estimate.beta,
            nests=grid.nests,
        )
        tests.append((subset, estimates))
    if not tests:
        left = " besides those of by" if within else ""
        raise OptionError(f"joint_tests: the fixed effects have no variable to test{left}.")
    title = f"joint tests{' within ' + ' and '.join(within) if within else ''}"
    return joint_table(title, tests, _joint_notes(spread, within))


def _joint_notes(spread: Mapping[str, Predictor], within: Sequence[str]) -> list[str]:
    notes = ["Each term averaged over the other variables."]
    about: dict[tuple[str, ...], list[str]] = {}
    for p in spread.values():
        if not p.is_factor and p.labels[-1].startswith("mean + ") and p.name not in within:
            about.setdefault(p.labels, []).append(p.name)
    return notes + [
        f"Of {_and(names)} the difference between {high} and {low} is tested."
        for (low, high), names in about.items()
    ]


def _about_mean(predictor: Predictor) -> Predictor:
    near = abs(predictor.mean) <= _FAR
    step = 1.0 if near else 0.5 * (predictor.highest - predictor.lowest)
    values = predictor.mean + step * np.array([-1.0, 1.0])
    return replace(predictor, values=values, labels=(f"mean - {step:g}", f"mean + {step:g}"))


def axes_of(grid: ReferenceGrid, names: Sequence[str]) -> tuple[Axis, ...]:
    """Predictors of a grid as the axes of a table."""
    return tuple(_axis(grid.predictors[grid.position(name)]) for name in names)


def _axis(predictor: Predictor) -> Axis:
    """A predictor as the axis of a table."""
    values = None if isinstance(predictor.values, tuple) else predictor.values
    return Axis(predictor.name, predictor.labels, values)


def check_offset(function: str, offset: object) -> float | None:
    """One number or None, or OptionError."""
    if offset is None:
        return None
    if isinstance(offset, int | float | np.number) and np.isfinite(float(offset)):
        return float(offset)
    raise OptionError(f"{function}: offset must be one number, not {offset!r}.")


def grid_notes(
    fit: MixedModel, grid: ReferenceGrid, names: Sequence[str], scheme: str
) -> list[str]:
    """What the estimates were averaged over, and at which values the rest was held."""
    rest = [p for p in grid.predictors if p.name not in names]
    # A nested level occurs in one level of what it is nested in: nothing is averaged there.
    over = [p for p in rest if len(p) > 1 and p.name not in outer_names(grid.nests, names)]
    held = [f"{p.name} = {p.labels[0]}" for p in rest if len(p) == 1]
    notes = []
    if over:
        shown = ", ".join(p.name if p.is_factor else f"{p.name} at {_values(p)}" for p in over)
        notes.append(f"Averaged over {shown} with {scheme} weights.")
    notes += [
        f"{inner} is nested in {outer}: combinations that do not occur are left out."
        for inner, outer in grid.nests
    ]
    if held:
        notes.append(f"At {', '.join(held)}.")
    notes += [
        f"{', '.join(p.beyond)} of {p.name} lies outside of the data ({p.lowest:.7g} to "
        f"{p.highest:.7g}): the model is extrapolated."
        for p in grid.predictors
        if p.beyond
    ]
    around = set(names) - outer_names(grid.nests, [p.name for p in over])
    together = [
        p.name
        for p in over
        if any(p.name in term and term & around for term in term_predictors(fit))
    ]
    if together and names:
        notes.append(
            f"{_and(names)} interact{'s' if len(names) == 1 else ''} with {_and(together)}: "
            "averages may hide that."
        )
    if fit.design.state.offset_array:
        notes.append("The offset, given as an array, is held at its mean or the value of offset=.")
    return notes


def _values(predictor: Predictor) -> str:
    return f"({', '.join(predictor.labels)})"


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)
