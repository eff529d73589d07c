"""Predicted responses for new rows, with all, some or none of the random effects."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.model.generalized_effects import as_linear
from mixeff.model.options import choose, refuse_unknown
from mixeff.model.padding import pad
from mixeff.prediction.scored import ScoredRows, rows_of_the_fit, score
from mixeff.prediction.selection import select
from mixeff.prediction.standard_errors import standard_errors

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.generalized.families.family import Link
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.model.mixed import Estimate, MixedModel

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
ARGUMENTS = ("newdata", "random", "type", "allow_new_levels", "se", "offset")


def predict(
    fit: MixedModel,
    newdata: Any,
    *,
    random: str | None,
    type: str,
    allow_new_levels: bool,
    se: bool,
    offset: Any,
    unknown: Mapping[str, Any],
) -> Any:
    """See `FitMethods.predict`."""
    refuse_unknown("predict", unknown, ARGUMENTS)
    type = choose("predict", "type", type, ("response", "link"))
    for name, value in (("allow_new_levels", allow_new_levels), ("se", se)):
        if not isinstance(value, bool | np.bool_):
            raise OptionError(f"predict: {name} must be True or False, not {value!r}.")
    masks = select(fit.design, fit.request.parsed, random)
    if newdata is None:
        if offset is not None:
            raise OptionError("predict: offset is for newdata; the rows of the fit have theirs.")
        rows = rows_of_the_fit(fit.design)
    else:
        used = tuple(bool(mask.any()) for mask in masks)
        rows = score(
            fit.design, newdata, used, allow_new_levels=bool(allow_new_levels), offset=offset
        )
    columns = {"estimate": predicted(fit.estimate, rows, masks)}
    if se:
        columns["std_error"] = standard_errors(*_normal_equations(fit), rows, masks)
    if isinstance(fit.estimate, GeneralizedEstimate) and type == "response":
        columns = _on_response_scale(fit.estimate.family.link, columns)
    if newdata is None:
        columns = {name: pad(fit, values) for name, values in columns.items()}
    return _labelled(columns, newdata)


def _normal_equations(fit: MixedModel) -> tuple[Design, LinearEstimate]:
    """The linear model itself, or that of a generalized model's last iteration."""
    estimate = fit.estimate
    if isinstance(estimate, GeneralizedEstimate):
        return as_linear(fit.design, estimate)
    return fit.design, estimate


def _on_response_scale(link: Link, columns: dict[str, Floats]) -> dict[str, Floats]:
    """Means, and standard errors by the delta method."""
    eta = columns["estimate"]
    known = ~np.isnan(eta)
    out = {name: np.full(eta.shape, np.nan) for name in columns}
    out["estimate"][known] = link.mu(eta[known])
    if "std_error" in columns:
        slope = np.abs(link.derivatives(eta[known])[0])
        out["std_error"][known] = slope * columns["std_error"][known]
    return out


def predicted(estimate: Estimate, rows: ScoredRows, masks: tuple[Mask, ...]) -> Floats:
    """(m,) X beta + offset + Z b, the effects of unseen levels being zero."""
    eta = rows.X @ estimate.beta
    if rows.offset is not None:
        eta = eta + rows.offset
    for codes, values, mask, modes in zip(
        rows.codes, rows.values, masks, estimate.modes, strict=True
    ):
        if mask.any():
            part = np.einsum("ij,ij->i", values[:, mask], modes[codes][:, mask])
            # Code -1, a level not seen, took the last level's effect: it has none.
            eta = eta + np.where(codes >= 0, part, 0.0)
    return np.asarray(eta)


def _labelled(columns: dict[str, Floats], newdata: Any) -> Any:
    """An array, or a pandas object with the index of the new data if that is pandas."""
    pandas = sys.modules.get("pandas")
    is_pandas = pandas is not None and isinstance(newdata, pandas.DataFrame)
    index = newdata.index if is_pandas else None
    if len(columns) > 1:
        import pandas as pd

        return pd.DataFrame(columns, index=index)
    values = columns["estimate"]
    if not is_pandas:
        return values
    import pandas as pd

    return pd.Series(values, index=index, dtype=float)
