"""New fits from old ones: changed arguments, another response, the other criterion."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixeff.design.binomial import check_varies
from mixeff.design.coding import spellings
from mixeff.errors import DataError
from mixeff.formula import parse_formula
from mixeff.formula.deparse import deparse
from mixeff.formula.editing import update_formula
from mixeff.model.fitting import LMER_ARGUMENTS, fit_design, prepare
from mixeff.model.names import data_name
from mixeff.model.options import refuse_unknown
from mixeff.model.padding import spread, total_rows

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.formula.tree import LinearPart
    from mixeff.generalized.families.family import Family
    from mixeff.model.mixed import MixedModel
    from mixeff.model.request import Request

Floats = NDArray[np.float64]


class Recipe(NamedTuple):
    """How a model of one kind is made."""

    arguments: tuple[str, ...]
    prepare: Callable[..., tuple[Request, Design]]
    fit: Callable[..., MixedModel]


def recipe(fit: MixedModel) -> Recipe:
    """The recipe of a fitted model."""
    if fit.request.family is None:
        return Recipe(LMER_ARGUMENTS, prepare, fit_design)
    from mixeff.model import generalized_fitting as made

    return Recipe(made.GLMER_ARGUMENTS, made.prepare, made.fit_design)


def update(
    fit: MixedModel,
    formula: str | None,
    arguments: Mapping[str, Any],
    frame: FrameType | None,
) -> MixedModel:
    """See `FitMethods.update`."""
    known, make, estimate = recipe(fit)
    refuse_unknown("update", (a for a in arguments if a not in known), known)
    old = fit.request
    # A link is part of the family that was kept.
    asked: dict[str, Any] = {name: getattr(old, name, None) for name in known}
    asked.update(arguments)
    if formula is not None:
        asked["formula"] = update_formula(old.parsed, formula)
    if old.family is not None and "link" in arguments and "family" not in arguments:
        asked["family"], asked["link"] = relinked(old.family, arguments["link"]), None
    name = old.data_name
    if "data" in arguments:
        name = data_name(arguments["data"], frame)
    if formula is not None and "start" not in arguments:
        # A start for the old random terms is not one for the new ones.
        asked["start"] = None
    if formula is not None and "contrasts" not in arguments:
        asked["contrasts"] = _contrasts_left(old, asked["formula"])
    request, design = make(**asked, data_name=name)
    if old.response is not None and "data" not in arguments:
        request, design = _keep_response(fit, request, design)
    return estimate(request, design)


def _contrasts_left(old: Request, formula: str) -> Any:
    """The contrasts without those of factors that left the fixed effects."""
    if not isinstance(old.contrasts, Mapping):
        return old.contrasts
    gone = _variables(old.parsed.fixed) - _variables(parse_formula(formula).fixed)
    return {k: c for k, c in old.contrasts.items() if gone.isdisjoint(spellings(k))}


def _variables(part: LinearPart) -> set[str]:
    return {deparse(variable) for term in part.terms for variable in term.variables}


def relinked(family: Family, link: Any) -> Family:
    """The same family with another link; None is its default."""
    options: dict[str, Any] = {} if link is None else {"link": link}
    for name in ("shape", "phi"):  # of a negative binomial, where it was given
        value = getattr(family, name, None)
        if value is not None:
            options[name] = value
    made: Family = type(family)(**options)
    return made


def _keep_response(fit: MixedModel, request: Request, design: Design) -> tuple[Request, Design]:
    """Carry the response given to ``refit`` over, if the new model has the same left-hand side."""
    if design.response_name != fit.design.response_name or fit.request.response is None:
        return request, design
    response = spread(fit.design, fit.request.response)[design.rows]
    if np.isnan(response).any():
        raise DataError(
            "update: the new model uses rows for which refit() gave no response. "
            "Put the new response into the data and call lmer."
        )
    return (
        dataclasses.replace(request, response=response),
        dataclasses.replace(design, response=response),
    )


def refit(fit: MixedModel, y: ArrayLike) -> MixedModel:
    """See `FitMethods.refit`."""
    family = fit.request.family
    response = new_response(fit, y) if family is None else _new_generalized(fit, family, y)
    request = dataclasses.replace(fit.request, response=response)
    design = dataclasses.replace(fit.design, response=response)
    return recipe(fit).fit(request, design, fit.estimate)


def _new_generalized(fit: MixedModel, family: Family, y: ArrayLike) -> Floats:
    """A new response the family allows; of a binomial model also as successes and failures."""
    if family.name != "binomial":
        response = new_response(fit, y)
        check_possible(family, response, fit.design.weights)
        return response
    try:
        values = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            "refit: the new response is not numeric; give 0 and 1, or proportions."
        ) from None
    if values.ndim == 2 and values.shape[1] == 2:
        values = _proportions(fit, values)
    response = new_response(fit, values, constant=True)
    check_possible(family, response, fit.design.weights)
    return response


def check_possible(family: Family, response: Floats, weights: Floats | None) -> None:
    """Refuse a response the family does not allow, or that leaves nothing to model.

    Raises
    ------
    DataError, DesignError
    """
    if family.name == "binomial":
        family.check_response(response, weights)
        check_varies("given to refit", response)
        return
    check_not_constant(response)
    family.check_response(response, weights)


def check_not_constant(response: Floats) -> None:
    """Refuse a response with one value."""
    if np.all(response == response[0]):
        raise DataError("refit: the new response is constant; there is nothing to model.")


def _proportions(fit: MixedModel, counts: Floats) -> Floats:
    """Successes over trials, which must be those of the fit."""
    n = fit.design.n
    used = counts if counts.shape[0] == n else counts[: total_rows(fit.design)][fit.design.rows]
    trials = np.ones(n) if fit.design.weights is None else fit.design.weights
    if used.shape[0] != n or not np.allclose(used.sum(axis=1), trials, rtol=1e-8, atol=0):
        raise DataError(
            "refit: successes and failures do not add up to the trials of the fit. A response of "
            "other trials is another model: put it into the data and call update(data=...)."
        )
    return np.asarray(used[:, 0] / trials)


def new_response(fit: MixedModel, y: ArrayLike, *, constant: bool = False) -> Floats:
    """(n,) the values of ``y`` on the rows used, checked; it may be constant if so said."""
    _refuse_other_order(fit, y)
    try:
        values = np.array(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("refit: the new response is not numeric.") from None
    if values.ndim == 2 and values.shape[1] == 1:  # what simulate() gives
        values = values[:, 0]
    n, total = fit.design.n, total_rows(fit.design)
    if values.ndim != 1 or values.shape[0] not in (n, total):
        wanted = f"{n}" if n == total else f"{n} (the rows used) or {total} (all rows)"
        raise DataError(
            f"refit: the new response has shape {values.shape}; a vector of length {wanted} "
            "is needed."
        )
    if values.shape[0] != n:
        values = values[fit.design.rows]
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"refit: the new response is missing or infinite in {bad.size} of the rows used "
            f"(first: row {int(fit.design.rows[bad[0]])}, counted from 0). "
            "Put it into the data and call update(data=...), which leaves such rows out."
        )
    if not constant:
        check_not_constant(values)
    return np.ascontiguousarray(values)


def _refuse_other_order(fit: MixedModel, y: Any) -> None:
    """A pandas Series whose index is the data's in another order could mean either order."""
    data: Any = fit.request.data
    if not (hasattr(y, "reindex") and hasattr(data, "reindex")):
        return
    theirs, ours = y.index, data.index
    unique = len(theirs) == len(ours) and theirs.is_unique and ours.is_unique
    if unique and not theirs.equals(ours) and theirs.isin(ours).all():
        raise DataError(
            "refit: the new response has the row labels of the data in another order, so it is not "
            "clear which row each value belongs to. Give y.to_numpy() to go by position (a "
            "permutation, say) or y.reindex(data.index) to go by label."
        )


def refit_ml(fit: MixedModel) -> MixedModel:
    """See `FitMethods.refit_ml`."""
    if not fit.is_reml:
        return fit
    request = dataclasses.replace(fit.request, reml=False, start=None)
    return recipe(fit).fit(request, fit.design, fit.estimate)
