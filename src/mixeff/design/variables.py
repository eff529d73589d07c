"""The variables of a model: every expression evaluated once, on the same complete rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixeff.design.evaluate import TransformState, apply, column_value, train
from mixeff.design.values import Categorical, Numeric, Value, missing_rows
from mixeff.errors import DataError, PredictionError
from mixeff.formula.deparse import deparse_label
from mixeff.formula.tree import Expression, Name
from mixeff.formula.variables import variables_of
from mixeff.frames.columns import Column, Frame
from mixeff.frames.labels import Levels
from mixeff.frames.levels import codes_of_numbers, drop_unused, match_levels
from mixeff.frames.missing import Mask, infinite_error

_LEVELS_SHOWN = 12
_RESERVED = frozenset(
    {"if", "else", "repeat", "while", "function", "for", "next", "break", "in"}
    | {"TRUE", "FALSE", "NULL", "Inf", "NaN", "NA"}
)
NO_STATE = TransformState()


@dataclass(frozen=True, slots=True)
class Variable:
    """What training fixed about one variable of the model, e.g. ``poly(IQ, 2)`` or ``COMB``.

    Attributes
    ----------
    label : str, the expression as R writes it
    expression : the tree
    state : TransformState, what stateful transforms learnt
    levels : tuple of str, the levels in use; None for a numeric variable
    ordered, logical : bool
    suffixes : tuple of str, names of a matrix's columns; empty for a vector
    integer : bool, a numeric variable of integers, which label groups without an exponent
    """

    label: str
    expression: Expression
    state: TransformState
    levels: Levels | None = None
    ordered: bool = False
    logical: bool = False
    suffixes: tuple[str, ...] = ()
    integer: bool = False


def label_of(expression: Expression) -> str:
    """R's name of a variable."""
    if isinstance(expression, Name) and _everyday(expression.name):
        return expression.name
    try:
        return _remembered_label(expression)
    except RecursionError:  # a sum of thousands of columns is deeper than its hash can go
        return deparse_label(expression)


_remembered_label = lru_cache(maxsize=4096)(deparse_label)


@lru_cache(maxsize=4096)
def _everyday(name: str) -> bool:
    """A name that needs no look at R's rules for backticks."""
    return name.isascii() and name.isalnum() and name[0].isalpha() and name not in _RESERVED


def columns_used(expressions: Iterable[Expression], frame: Frame) -> list[str]:
    """Data columns the expressions read, each once; ``pi`` only where the data have it."""
    found: dict[str, None] = {}
    for expression in expressions:
        if isinstance(expression, Name):
            found.setdefault(expression.name)
            continue
        names = variables_of(expression)
        found.update(dict.fromkeys(names))
        # A column called pi or T hides the constant, but only then is it a column.
        hidden = [name for name in _CONSTANTS if name in _names_in(expression)]
        if hidden:
            known = frame.names()
            found.update(dict.fromkeys(name for name in hidden if name in known))
    return list(found)


_CONSTANTS = ("pi", "T", "F")


def _names_in(expression: Expression) -> tuple[str, ...]:
    return variables_of(expression, columns=_CONSTANTS)


def evaluate_all(
    expressions: Mapping[str, Expression], columns: Mapping[str, Column], n_rows: int
) -> dict[str, tuple[Value, TransformState]]:
    """Train every expression on all rows; keys are labels.

    As in R, a transformation learns from every row its own columns are complete in, whether or not
    another variable of the model is missing there.
    """
    out: dict[str, tuple[Value, TransformState]] = {}
    for label, expression in expressions.items():
        if isinstance(expression, Name) and expression.name in columns:
            out[label] = column_value(columns[expression.name]), NO_STATE
        else:
            out[label] = train(expression, columns, n_rows)
    return out


def missing_mask(value: Value) -> Mask | None:
    """(n,) mask of missing rows, or None if there are none (the everyday case, kept cheap)."""
    if isinstance(value, Categorical):
        codes = value.codes
        return codes < 0 if codes.size and np.minimum.reduce(codes) < 0 else None
    # A sum is finite only if every term is: one pass, no temporary.
    if math.isfinite(np.add.reduce(value.values, axis=None)):
        return None
    return missing_rows(value)


def take_rows(value: Value, mask: Mask | None) -> Value:
    """The value at the rows used; nothing is copied if these are all."""
    if mask is None:
        return value
    if isinstance(value, Categorical):
        return Categorical(
            value.codes[mask], value.levels, value.ordered, value.logical, value.text
        )
    return Numeric(value.values[mask], value.suffixes, value.integer)


def check_finite(label: str, expression: Expression, value: Value) -> None:
    """Refuse infinities, naming the column or the expression that made them."""
    if isinstance(value, Categorical) or np.isfinite(value.values.sum()):
        return
    if np.isinf(value.values).any():
        raise infinite_error(label, value.values, not isinstance(expression, Name))


def as_variable(
    label: str, expression: Expression, value: Value, state: TransformState
) -> tuple[Variable, Value]:
    """The training record of a variable and its value with unused levels dropped.

    A logical keeps both levels, as in R's model matrix.
    """
    if isinstance(value, Numeric):
        record = Variable(label, expression, state, suffixes=value.suffixes, integer=value.integer)
        return record, value
    if not value.logical:
        codes, levels = drop_unused(value.codes, value.levels)
        if levels is not value.levels:
            value = Categorical(codes, levels, value.ordered, False, value.text)
    record = Variable(label, expression, state, value.levels, value.ordered, value.logical)
    return record, value


def as_group(value: Value, label: str) -> tuple[NDArray[np.int32], Levels]:
    """Codes and labels of a grouping variable; numbers become levels in numeric order."""
    if isinstance(value, Categorical):
        return drop_unused(value.codes, value.levels)
    if value.values.ndim > 1:
        raise DataError(
            f"{label} is a matrix of {value.values.shape[1]} columns; a grouping factor is one "
            "column."
        )
    return codes_of_numbers(value.values, integer=value.integer)


def apply_variable(variable: Variable, columns: Mapping[str, Column], n_rows: int) -> Value:
    """A variable over new data, factors in terms of the training levels (-1 where missing).

    Raises
    ------
    PredictionError
        Text where training had numbers, or levels that training did not have.
    """
    value = evaluate_again(variable, columns, n_rows)
    if variable.levels is None:
        if isinstance(value, Categorical):
            raise PredictionError(
                f"{variable.label} is a factor in the new data, but was numeric when the model "
                "was fitted."
            )
        return value
    if isinstance(value, Numeric):
        value = Categorical(*as_group(_labelled_alike(variable, value), variable.label))
    codes, unseen = match_levels(value.codes, value.levels, variable.levels)
    if unseen:
        raise PredictionError(_unseen_message(variable, unseen))
    return Categorical(np.maximum(codes, -1), variable.levels, variable.ordered, variable.logical)


def evaluate_again(variable: Variable, columns: Mapping[str, Column], n_rows: int) -> Value:
    """A variable over new data, factors in levels of their own."""
    expression = variable.expression
    if isinstance(expression, Name) and expression.name in columns:
        return column_value(columns[expression.name])
    return apply(expression, columns, n_rows, variable.state)


def group_again(
    variable: Variable, columns: Mapping[str, Column], n_rows: int
) -> tuple[NDArray[np.int32], Levels]:
    """Codes and labels of a grouping variable over new data, in levels of its own."""
    value = evaluate_again(variable, columns, n_rows)
    return as_group(_labelled_alike(variable, value), variable.label)


def _labelled_alike(variable: Variable, value: Value) -> Value:
    """Numbers that will be labelled as in training: 1e+05 if they were doubles there.

    Where training had text, 100000 is the likelier spelling.
    """
    if isinstance(value, Categorical):
        return value
    return Numeric(value.values, value.suffixes, variable.integer or variable.levels is not None)


def _unseen_message(variable: Variable, unseen: tuple[str, ...]) -> str:
    known = tuple(variable.levels or ())
    noun = "a level" if len(unseen) == 1 else "levels"
    return (
        f"{variable.label} has {noun} in the new data that the model was not fitted with: "
        f"{shorten(unseen)}. It knows {shorten(known)}. A fixed effect cannot be predicted for a "
        "level it was not estimated from; leave those rows out or refit."
    )


def shorten(names: Iterable[str]) -> str:
    """A list of names for a message, cut when long."""
    listed = [repr(name) for name in names]
    if len(listed) <= _LEVELS_SHOWN:
        return ", ".join(listed)
    return ", ".join(listed[:_LEVELS_SHOWN]) + f" and {len(listed) - _LEVELS_SHOWN} more"
