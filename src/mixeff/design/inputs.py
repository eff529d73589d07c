"""The variables of a model on the rows it uses: read, evaluated, incomplete rows left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.design.binomial import binomial_response
from mixeff.design.evaluate import TransformState
from mixeff.design.values import Numeric, Value
from mixeff.design.variables import (
    NO_STATE,
    Variable,
    as_variable,
    check_finite,
    columns_used,
    evaluate_all,
    label_of,
    missing_mask,
    take_rows,
)
from mixeff.design.weights import RowArgument, check_length, check_weights, row_vector
from mixeff.errors import DataError
from mixeff.formula.tree import Expression, LinearPart, ModelFormula
from mixeff.frames.arrays import column_length
from mixeff.frames.columns import Frame
from mixeff.frames.missing import CompleteRows, complete_rows

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything evaluated, aligned on the rows used.

    Attributes
    ----------
    values : value of each variable by label, unused levels dropped
    records : training record of each variable by label
    weights, offset : (n,) arrays or None
    rows : (n,) int64 array, positions in the caller's data
    n_omitted : int, rows left out for missing values (not those of weight zero)
    n_total : int, rows of the caller's data
    """

    values: dict[str, Value]
    records: dict[str, Variable]
    weights: Floats | None
    offset: Floats | None
    rows: NDArray[np.int64]
    n_omitted: int
    n_total: int


@dataclass(frozen=True, slots=True)
class _Trained:
    """Values on all rows by label; arrays given as arguments are ``(weights)``, ``(offset)``."""

    expressions: dict[str, Expression]
    values: dict[str, Value]
    states: dict[str, TransformState]


def read_inputs(
    formula: ModelFormula,
    frame: Frame,
    weights: RowArgument | None,
    offset: RowArgument | None,
    action: str,
    *,
    binomial: bool = False,
) -> Inputs:
    """Read the columns, evaluate every variable, keep the complete rows.

    Parameters
    ----------
    formula : ModelFormula
    frame : opened data
    weights, offset : the arguments as read, or None
    action : {"omit", "fail", "exclude"}
    binomial : bool
        The response is successes among trials: it becomes proportions, the trials weights.
    """
    arguments = [argument for argument in (weights, offset) if argument is not None]
    expressions = _expressions(formula, arguments)
    columns = frame.read(columns_used(expressions.values(), frame))
    n_total = column_length(next(iter(columns.values()))) if columns else frame.n_rows()
    if n_total == 0:
        raise DataError("the data have no rows.")
    pairs = evaluate_all(expressions, columns, n_total)
    values = {label: value for label, (value, _) in pairs.items()}
    for argument in arguments:
        if argument.values is not None:
            check_length(argument, n_total)
            values[argument.label] = Numeric(argument.values)
    missing = {label: missing_mask(value) for label, value in values.items()}
    complete = complete_rows(missing, n_total, action)
    trained = _Trained(expressions, values, {label: state for label, (_, state) in pairs.items()})
    offsets = [label_of(expression) for expression in formula.offsets]
    if offset is not None:
        offsets.append(offset.label)
    doubtful = {label for label, mask in missing.items() if mask is not None}
    success = formula.response if binomial else None
    return _take(trained, complete, weights, offsets, doubtful, success)


def _take(
    trained: _Trained,
    complete: CompleteRows,
    weights: RowArgument | None,
    offsets: list[str],
    doubtful: set[str],
    success: Expression | None,
) -> Inputs:
    """Values at the rows used; weights of zero taken out, infinities refused.

    ``doubtful`` are the labels of values that were not all finite; ``success`` is the response of
    a binomial model.
    """
    rows = complete.rows
    taken = dict(trained.values)
    if complete.mask is not None:
        taken = {label: take_rows(value, complete.mask) for label, value in taken.items()}
    w: Floats | None = None
    if weights is not None:
        w = row_vector("weights", weights.label, taken[weights.label])
    if success is not None:
        name = label_of(success)
        check_finite(name, success, taken[name])
        taken[name], w = binomial_response(name, taken[name], w, rows)
    if w is not None:
        positive = check_weights(w, rows)
        if positive is not None:
            taken = {label: take_rows(value, positive) for label, value in taken.items()}
            w, rows = w[positive], rows[positive]
        w = np.array(w)  # a copy: the caller may change the data afterwards
    values: dict[str, Value] = {}
    records: dict[str, Variable] = {}
    for label, expression in trained.expressions.items():
        if label in doubtful:
            check_finite(label, expression, taken[label])
        records[label], values[label] = as_variable(
            label, expression, taken[label], trained.states.get(label, NO_STATE)
        )
    shift = _sum_offsets(offsets, taken)
    return Inputs(values, records, w, shift, rows, complete.n_omitted, complete.n_rows)


def _expressions(formula: ModelFormula, arguments: Iterable[RowArgument]) -> dict[str, Expression]:
    """Every variable of the model by its label, each once."""
    found: list[Expression] = [] if formula.response is None else [formula.response]
    for part in (formula.fixed, *(random.effects for random in formula.random)):
        for term in part.terms:
            found.extend(term.variables)
    for random in formula.random:
        found.extend(random.group)
    found.extend(formula.offsets)
    found.extend(a.expression for a in arguments if a.expression is not None)
    return {label_of(expression): expression for expression in found}


def part_labels(part: LinearPart) -> list[str]:
    """Labels of the variables of a right-hand side, each once."""
    return list(dict.fromkeys(label_of(v) for term in part.terms for v in term.variables))


def _sum_offsets(labels: Iterable[str], values: Mapping[str, Value]) -> Floats | None:
    """The sum of all offsets, or None."""
    total: Floats | None = None
    for label in labels:
        part = row_vector("offset", label, values[label])
        if not np.isfinite(part.sum()) and np.isinf(part).any():
            raise DataError(f"the offset {label} is infinite in some rows; leave those rows out.")
        total = part.copy() if total is None else total + part
    return total
