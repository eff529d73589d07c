"""Weights and offset given as arguments: a column's name, an expression of columns, or an array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.values import Categorical, Numeric, Value
from mixeff.design.variables import label_of
from mixeff.errors import DataError, DataWarning
from mixeff.formula.syntax import parse_expression
from mixeff.formula.tree import Expression, Name
from mixeff.frames.arrays import column_from_values
from mixeff.frames.columns import Frame, NumericColumn
from mixeff.frames.missing import Mask, first_rows
from mixeff.frames.notices import notify

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RowArgument:
    """``weights`` or ``offset`` as the caller gave it: an expression of columns, or numbers."""

    name: str
    expression: Expression | None
    values: Floats | None

    @property
    def label(self) -> str:
        """What messages and tables of values call it."""
        return f"({self.name})" if self.expression is None else label_of(self.expression)


def row_argument(name: str, given: Any, frame: Frame) -> RowArgument | None:
    """Read an argument that has one number per row.

    Parameters
    ----------
    name : {"weights", "offset"}
    given : str, array-like or None
        A column's name, an expression in the language of formulas, or one number per row of the
        whole data.

    Raises
    ------
    FormulaError
        The text is no expression.
    DataError
        The array does not hold numbers.
    """
    if given is None:
        return None
    if isinstance(given, str):
        known = given in frame.names()
        return RowArgument(name, Name(given) if known else parse_expression(given), None)
    if np.isscalar(given):
        raise DataError(
            f"{name} is a single {type(given).__name__}; it must be the name of a column, an "
            "expression of columns, or one number per row."
        )
    column = column_from_values(name, given)
    if not isinstance(column, NumericColumn):
        raise DataError(f"{name} must be numbers, not {column.kind}.")
    return RowArgument(name, None, column.values)


def check_length(argument: RowArgument, n_rows: int) -> None:
    """An array must have one entry per row of the data, missing rows included."""
    if argument.values is not None and argument.values.shape[0] != n_rows:
        raise DataError(
            f"{argument.name} has {argument.values.shape[0]} values, the data have {n_rows} rows; "
            "give one value per row of the data, those with missing values included."
        )


def row_vector(name: str, label: str, value: Value) -> Floats:
    """The value as one number per row."""
    if isinstance(value, Categorical):
        kind = "logical" if value.logical else "a factor"
        raise DataError(f"{name} must be numbers, but {label} is {kind}.")
    assert isinstance(value, Numeric)
    if value.values.ndim > 1:
        raise DataError(f"{name} must be one number per row, but {label} is a matrix.")
    return value.values


def check_weights(weights: Floats, rows: NDArray[np.int64]) -> Mask | None:
    """Refuse weights below zero or infinite; the mask of rows to keep if some are zero.

    A row of weight zero carries no information: it is left out, with a warning, and does not count
    as an observation (lme4 counts it, which biases sigma and the information criteria).
    """
    low = float(weights.min()) if weights.size else 1.0
    if low < 0 or not np.isfinite(weights.sum()):
        bad = ~(weights >= 0) | np.isinf(weights)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            what = "negative" if weights[row] < 0 else "infinite"
            raise DataError(
                f"weights must not be {what}: row {int(rows[row])} (counted from 0) has weight "
                f"{weights[row]:g}. A weight divides the residual variance of its row."
            )
    if low > 0:
        return None
    zero = weights == 0
    if zero.all():
        raise DataError("all weights are zero; no row is left to fit the model to.")
    where = np.zeros(int(rows[-1]) + 1, dtype=np.bool_)
    where[rows[zero]] = True
    count = int(zero.sum())
    subject, pronoun = (
        ("1 row has", "it carries") if count == 1 else (f"{count} rows have", "they carry")
    )
    left = "is" if count == 1 else "are"
    notify(
        f"{subject} weight zero ({first_rows(where)}, counted from 0); {pronoun} no information "
        f"and {left} left out of the fit and of the number of observations.",
        DataWarning,
    )
    return weights > 0
