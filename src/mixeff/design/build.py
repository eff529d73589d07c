"""Formula and data -> Design: the one place where the pieces of a design meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.coding import resolve_contrasts
from mixeff.design.design import Design
from mixeff.design.evaluate import TransformState
from mixeff.design.fixed import LinearPlan, linear_matrix, plan_linear
from mixeff.design.random import build_random
from mixeff.design.rank import independent_columns
from mixeff.design.response import response_vector
from mixeff.design.scoring import DesignState
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
from mixeff.design.weights import (
    RowArgument,
    check_length,
    check_weights,
    row_argument,
    row_vector,
)
from mixeff.errors import DataError, DesignError, DesignWarning
from mixeff.formula.tree import Expression, LinearPart, ModelFormula
from mixeff.frames.arrays import column_length
from mixeff.frames.columns import open_frame
from mixeff.frames.missing import complete_rows, na_action as read_na_action
from mixeff.frames.notices import notify

Floats = NDArray[np.float64]


def build_design(
    formula: ModelFormula,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na_action: str = "omit",
    response_required: bool = True,
) -> Design:
    """Turn a formula and data into the numbers a fit needs.

    Parameters
    ----------
    formula : ModelFormula
    data : any data frame (see ``mixeff.frames.open_frame``); only the columns used are read
    weights : str, array-like or None
        Prior weights: a column, an expression of columns, or one number per row of the data. The
        residual variance of a row is sigma^2 / weight. Rows of weight zero are left out, with a
        warning; a missing weight counts as a missing value.
    offset : str, array-like or None
        Added to the linear predictor, besides any ``offset()`` of the formula.
    contrasts : mapping of factor to contrasts, or None
        A name (``"sum"``, ``"contr.helmert"``), a matrix with one row per level, or a mapping of
        levels to rows. For the fixed effects only; random effects keep the defaults, as in lme4.
    na_action : {"omit", "fail", "exclude"}
        What to do with rows that have missing values.
    response_required : bool
        False for a formula without a response; ``Design.response`` is then all NaN.

    Returns
    -------
    Design

    Raises
    ------
    DataError, UnknownColumnError
        The data do not have, or do not allow, what the formula asks.
    DesignError
        Formula and data together make no estimable model.

    Examples
    --------
    >>> from mixeff.formula import parse_formula
    >>> data = {"y": [1.0, 3.0, 2.0, 5.0], "x": [0, 1, 0, 1], "g": ["a", "a", "b", "b"]}
    >>> design = build_design(parse_formula("y ~ x + (1 | g)"), data)
    >>> design.names, design.random[0].levels
    (('(Intercept)', 'x'), ('a', 'b'))
    """
    inputs = _read_inputs(formula, data, weights, offset, na_action, response_required)
    values, records = inputs.values, inputs.records
    response = _response(formula, inputs)
    n_rows = response.shape[0]
    fixed_labels = _labels(formula.fixed)
    plan = plan_linear(
        formula.fixed, values, resolve_contrasts(contrasts, values, fixed_labels)
    )
    X = linear_matrix(plan, values, n_rows)
    kept = independent_columns(
        X, intercept=plan.intercept, constant_in_span=_spans_constant(plan)
    )
    names, notes = plan.names, list(inputs.notes)
    dropped = _dropped(names, kept)
    if dropped:
        X = np.ascontiguousarray(X[:, kept])
        notes.append(_tell_dropped(dropped))
    random = build_random(formula.random, values, records, n_rows)
    for note in random.notes:
        notes.append(note)
    return Design(
        response=response,
        response_name="" if formula.response is None else label_of(formula.response),
        X=X,
        names=tuple(names[j] for j in kept),
        dropped=dropped,
        random=random.terms,
        weights=inputs.weights,
        offset=inputs.offset,
        rows=inputs.rows,
        n_omitted=inputs.n_omitted,
        state=_state(formula, inputs, plan, kept, random.states),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Everything evaluated, on the rows used."""

    values: dict[str, Value]
    records: dict[str, Variable]
    weights: Floats | None
    offset: Floats | None
    offset_labels: tuple[str, ...]
    offset_array: bool
    weights_label: str | None
    rows: NDArray[np.int64]
    n_omitted: int
    n_total: int
    na_action: str
    notes: tuple[str, ...]


def _read_inputs(
    formula: ModelFormula,
    data: Any,
    weights: Any,
    offset: Any,
    na_action: str,
    response_required: bool,
) -> _Inputs:
    """Read the columns, evaluate every variable, keep the complete rows."""
    action = read_na_action(na_action)
    if formula.response is None and response_required:
        raise DesignError(f"the formula {formula.text!r} has no response; write y ~ ... .")
    frame = open_frame(data)
    arguments = [row_argument("weights", weights, frame), row_argument("offset", offset, frame)]
    expressions = _expressions(formula, arguments)
    columns = frame.read(columns_used(expressions.values(), frame))
    n_total = column_length(next(iter(columns.values()))) if columns else frame.n_rows()
    if n_total == 0:
        raise DataError("the data have no rows.")
    trained = evaluate_all(expressions, columns, n_total)
    missing = {label: missing_mask(value) for label, (value, _) in trained.items()}
    for argument in arguments:
        if argument is not None and argument.values is not None:
            check_length(argument, n_total)
            trained[f"({argument.name})"] = Numeric(argument.values), NO_STATE
            missing[argument.name] = missing_mask(Numeric(argument.values))
    complete = complete_rows(missing, n_total, action)
    return _take(formula, expressions, trained, arguments, complete.mask, complete.rows, action)


def _take(
    formula: ModelFormula,
    expressions: Mapping[str, Expression],
    trained: dict[str, tuple[Value, TransformState]],
    arguments: list[RowArgument | None],
    mask: NDArray[np.bool_] | None,
    rows: NDArray[np.int64],
    action: str,
) -> _Inputs:
    """Values at the rows used, weights of zero taken out, infinities refused."""
    n_total = next(iter(trained.values()))[0]
    total = (n_total.values if isinstance(n_total, Numeric) else n_total.codes).shape[0]
    n_omitted = total - rows.shape[0]
    taken = {label: take_rows(value, mask) for label, (value, _) in trained.items()}
    weight, shift = arguments
    weights_label = _argument_label(weight)
    weights: Floats | None = None
    if weights_label is not None:
        weights = row_vector("weights", weights_label, taken[weights_label])
        positive = check_weights(weights, rows)
        if positive is not None:
            taken = {label: take_rows(value, positive) for label, value in taken.items()}
            weights, rows = weights[positive], rows[positive]
    values: dict[str, Value] = {}
    records: dict[str, Variable] = {}
    for label, expression in expressions.items():
        check_finite(label, expression, taken[label])
        state = trained[label][1]
        records[label], values[label] = as_variable(label, expression, taken[label], state)
    offset_labels = [label_of(expression) for expression in formula.offsets]
    if shift is not None and shift.expression is not None:
        offset_labels.append(label_of(shift.expression))
    summed = [*offset_labels]
    if shift is not None and shift.values is not None:
        summed.append("(offset)")
    return _Inputs(
        values,
        records,
        None if weights is None else np.ascontiguousarray(weights),
        _sum_offsets(summed, taken),
        tuple(offset_labels),
        shift is not None and shift.values is not None,
        weights_label if weights_label != "(weights)" else None,
        rows,
        n_omitted,
        total,
        action,
        (),
    )


def _argument_label(argument: RowArgument | None) -> str | None:
    if argument is None:
        return None
    if argument.expression is None:
        return f"({argument.name})"
    return label_of(argument.expression)


def _expressions(
    formula: ModelFormula, arguments: Iterable[RowArgument | None]
) -> dict[str, Expression]:
    """Every variable of the model by its label, each once."""
    found: list[Expression] = [] if formula.response is None else [formula.response]
    for part in (formula.fixed, *(random.effects for random in formula.random)):
        for term in part.terms:
            found.extend(term.variables)
    for random in formula.random:
        found.extend(random.group)
    found.extend(formula.offsets)
    found.extend(a.expression for a in arguments if a is not None and a.expression is not None)
    return {label_of(expression): expression for expression in found}


def _labels(part: LinearPart) -> list[str]:
    """Labels of the variables of a part, each once."""
    return list(dict.fromkeys(label_of(v) for term in part.terms for v in term.variables))


def _sum_offsets(labels: Iterable[str], values: Mapping[str, Value]) -> Floats | None:
    total: Floats | None = None
    for label in labels:
        part = row_vector("offset", label, values[label])
        if not np.isfinite(part.sum()) and np.isinf(part).any():
            raise DataError(f"the offset {label} is infinite in some rows; leave those rows out.")
        total = part.copy() if total is None else total + part
    return total


def _response(formula: ModelFormula, inputs: _Inputs) -> Floats:
    if formula.response is None:
        return np.full(inputs.rows.shape[0], np.nan)
    label = label_of(formula.response)
    return response_vector(label, inputs.values[label])


def _spans_constant(plan: LinearPlan) -> bool:
    """Is the constant a combination of the columns, by the plan alone?"""
    return plan.intercept or any(
        all(kind == "indicator" for _, kind in term.codings) for term in plan.terms
    )


def _dropped(names: tuple[str, ...], kept: NDArray[np.intp]) -> tuple[str, ...]:
    if kept.size == len(names):
        return ()
    keep = set(kept.tolist())
    return tuple(name for j, name in enumerate(names) if j not in keep)


def _tell_dropped(dropped: tuple[str, ...]) -> str:
    noun = "column / coefficient" if len(dropped) == 1 else "columns / coefficients"
    text = (
        f"fixed-effect model matrix is rank deficient so dropping {len(dropped)} {noun}: "
        f"{', '.join(dropped)}"
    )
    notify(text, DesignWarning)
    return text


def _state(
    formula: ModelFormula,
    inputs: _Inputs,
    plan: LinearPlan,
    kept: NDArray[np.intp],
    random: tuple[Any, ...],
) -> DesignState:
    """The record that scores new data."""
    records = inputs.records
    labels = _labels(formula.fixed)
    for part in formula.random:
        labels.extend(_labels(part.effects))
    return DesignState(
        variables=tuple(records[label] for label in dict.fromkeys(labels)),
        fixed=plan,
        kept=tuple(kept.tolist()),
        random=random,
        offsets=tuple(records[label] for label in inputs.offset_labels),
        offset_array=inputs.offset_array,
        response=None if formula.response is None else records[label_of(formula.response)],
        weights=None if inputs.weights_label is None else records[inputs.weights_label],
        n_rows=inputs.n_total,
        na_action=inputs.na_action,
    )
