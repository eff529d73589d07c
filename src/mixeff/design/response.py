"""The response: one finite number per row that varies, and what kinds of response there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.design.binomial import check_varies
from mixeff.design.values import Categorical, Value
from mixeff.errors import DataError, DesignError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ResponseKind:
    """What a model's family asks of the response.

    Attributes
    ----------
    binomial : bool
        Successes among trials, in any of the forms of ``binomial_response``.
    linear : bool
        Normal given the random effects, with a residual variance: a grouping factor with a level
        per row is then refused.
    """

    binomial: bool = False
    linear: bool = False


LINEAR = ResponseKind(linear=True)
BINOMIAL = ResponseKind(binomial=True)
OTHER = ResponseKind()


def response_vector(label: str, value: Value, kind: ResponseKind = LINEAR) -> Floats:
    """The response as an (n,) array of its own; that of a binomial already is proportions.

    It is a copy: a fit must not change when the caller changes the data afterwards.

    Raises
    ------
    DataError
        Text, a factor or a logical.
    DesignError
        A matrix, or a response that is constant.
    """
    if isinstance(value, Categorical):
        raise DataError(_not_numeric(label, value, kind))
    if value.values.ndim > 1:
        raise DesignError(
            f"the response {label} is a matrix of {value.values.shape[1]} columns; a mixed model "
            "has one response. Fit the columns one by one; counts of successes and failures "
            "belong to glmer with a binomial family."
        )
    y = value.values
    if kind.binomial:
        check_varies(label, y)
    elif y.size and y[0] == y[-1] and (y == y[0]).all():
        raise DesignError(
            f"the response {label} is constant ({y[0]:g} in all {y.size} rows used); there is no "
            "variation for a model to explain."
        )
    return np.array(y)


def _not_numeric(label: str, value: Categorical, kind: ResponseKind) -> str:
    if value.logical:
        return (
            f"the response {label} is logical; write as.numeric({label}) to model it as 0 and 1, "
            'or use glmer(..., family="binomial").'
        )
    what = "text" if value.text else "a factor"
    model = "linear model" if kind.linear else "model of this family"
    shown = ", ".join(repr(level) for level in value.levels[:3])
    more = ", ..." if len(value.levels) > 3 else ""
    return (
        f"the response {label} is {what} with the levels {shown}{more}; a {model} needs "
        "numbers. If the text spells numbers, convert the column first."
    )
