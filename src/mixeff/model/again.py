"""New fits from old ones: changed arguments, another response, the other criterion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixeff.errors import DataError
from mixeff.formula.editing import update_formula
from mixeff.model.fitting import LMER_ARGUMENTS, fit_design, prepare
from mixeff.model.names import data_name
from mixeff.model.options import refuse_unknown
from mixeff.model.padding import spread, total_rows

if TYPE_CHECKING:
    from mixeff.model.fit import LinearMixedModel
    from mixeff.model.request import Request

Floats = NDArray[np.float64]


def update(
    fit: LinearMixedModel,
    formula: str | None,
    arguments: Mapping[str, Any],
    frame: FrameType | None,
) -> LinearMixedModel:
    """See `LinearMixedModel.update`."""
    refuse_unknown("update", (a for a in arguments if a not in LMER_ARGUMENTS), LMER_ARGUMENTS)
    old = fit.request
    asked: dict[str, Any] = {name: getattr(old, name) for name in LMER_ARGUMENTS}
    asked.update(arguments)
    if formula is not None:
        asked["formula"] = update_formula(old.parsed, formula)
    name = old.data_name
    if "data" in arguments:
        name = data_name(arguments["data"], frame)
    if formula is not None and "start" not in arguments:
        # A start for the old random terms is not one for the new ones.
        asked["start"] = None
    request, design = prepare(**asked, data_name=name)
    if old.response is not None and "data" not in arguments:
        request, design = _keep_response(fit, request, design)
    return fit_design(request, design)


def _keep_response(fit: LinearMixedModel, request: Request, design: Any) -> tuple[Request, Any]:
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


def refit(fit: LinearMixedModel, y: ArrayLike) -> LinearMixedModel:
    """See `LinearMixedModel.refit`."""
    response = new_response(fit, y)
    request = dataclasses.replace(fit.request, response=response)
    design = dataclasses.replace(fit.design, response=response)
    return fit_design(request, design, fit.estimate)


def new_response(fit: LinearMixedModel, y: ArrayLike) -> Floats:
    """(n,) the values of ``y`` on the rows used, checked."""
    _refuse_other_order(fit, y)
    try:
        values = np.array(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("refit: the new response is not numeric.") from None
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
    if np.all(values == values[0]):
        raise DataError("refit: the new response is constant; there is nothing to model.")
    return np.ascontiguousarray(values)


def _refuse_other_order(fit: LinearMixedModel, y: Any) -> None:
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


def refit_ml(fit: LinearMixedModel) -> LinearMixedModel:
    """See `LinearMixedModel.refit_ml`."""
    if not fit.is_reml:
        return fit
    request = dataclasses.replace(fit.request, reml=False, start=None)
    return fit_design(request, fit.design, fit.estimate)
