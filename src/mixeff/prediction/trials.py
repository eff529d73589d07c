"""Prior weights of new rows: numbers of trials, or what divides a residual variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.design.binomial import binomial_response
from mixeff.design.variables import Variable, columns_used, evaluate_again
from mixeff.design.weights import row_vector
from mixeff.errors import PredictionError
from mixeff.formula.tree import Call

if TYPE_CHECKING:
    from mixeff.design.values import Value
    from mixeff.frames.columns import Frame
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]


def new_weights(fit: MixedModel, frame: Frame, n_rows: int) -> Floats | None:
    """(n_rows,) weights of new data, or None if the model has none.

    Raises
    ------
    PredictionError
        The model has weights, and the new data do not tell those of their rows.
    """
    design = fit.design
    if design.weights is None:
        return None
    weights: Floats | None = None
    if design.state.weights is not None:
        value = _again(design.state.weights, frame, n_rows, "its weights")
        weights = row_vector("weights", design.state.weights.label, value)
    elif fit.request.weights is not None:
        raise PredictionError(
            "simulate: the model was fitted with weights given as an array, so those of new rows "
            "are not known. Fit it with weights= the name of a column, which is then looked up in "
            "new data."
        )
    response = design.state.response
    if response is not None and _binds(response):
        value = _again(response, frame, n_rows, "its numbers of trials")
        _, weights = binomial_response(response.label, value, weights, np.arange(n_rows))
    return weights


def _binds(response: Variable) -> bool:
    return isinstance(response.expression, Call) and response.expression.function == "cbind"


def _again(variable: Variable, frame: Frame, n_rows: int, what: str) -> Value:
    names = columns_used([variable.expression], frame)
    known = frame.names()
    absent = [name for name in names if name not in known]
    if absent:
        raise PredictionError(
            f"simulate: the new data lack {', '.join(absent)}, which the model needs for {what} "
            f"({variable.label})."
        )
    return evaluate_again(variable, frame.read(names), n_rows)
