"""The response: one finite number per row that varies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.design.values import Categorical, Value
from mixeff.errors import DataError, DesignError

Floats = NDArray[np.float64]


def response_vector(label: str, value: Value) -> Floats:
    """The response of a linear model as an (n,) array of its own.

    It is a copy: a fit must not change when the caller changes the data afterwards.

    Raises
    ------
    DataError
        Text, a factor or a logical.
    DesignError
        A matrix, or a response that is constant.
    """
    if isinstance(value, Categorical):
        raise DataError(_not_numeric(label, value))
    if value.values.ndim > 1:
        raise DesignError(
            f"the response {label} is a matrix of {value.values.shape[1]} columns; a linear mixed "
            "model has one response. Fit the columns one by one; counts of successes and failures "
            "belong to glmer with a binomial family."
        )
    y = value.values
    if y.size and y[0] == y[-1] and (y == y[0]).all():
        raise DesignError(
            f"the response {label} is constant ({y[0]:g} in all {y.size} rows used); there is no "
            "variation for a model to explain."
        )
    return np.array(y)


def _not_numeric(label: str, value: Categorical) -> str:
    if value.logical:
        return (
            f"the response {label} is logical; write as.numeric({label}) to model it as 0 and 1, "
            'or use glmer(..., family="binomial").'
        )
    kind = "text" if value.text else "a factor"
    shown = ", ".join(repr(level) for level in value.levels[:3])
    more = ", ..." if len(value.levels) > 3 else ""
    return (
        f"the response {label} is {kind} with the levels {shown}{more}; a linear model needs "
        "numbers. If the text spells numbers, convert the column first."
    )
