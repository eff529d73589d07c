"""Formula and data -> Design: the one place where the pieces of a design meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.coding import resolve_contrasts
from mixeff.design.design import Design
from mixeff.design.fixed import LinearPlan, about_their_means, linear_matrix, plan_linear
from mixeff.design.inputs import Inputs, part_labels, read_inputs
from mixeff.design.matrices import Matrices
from mixeff.design.random import RandomState, build_random
from mixeff.design.rank import independent_columns
from mixeff.design.response import LINEAR, ResponseKind, response_vector
from mixeff.design.scoring import DesignState
from mixeff.design.variables import label_of
from mixeff.design.weights import RowArgument, row_argument
from mixeff.errors import DesignError, DesignWarning
from mixeff.formula.parser import expand_dot
from mixeff.formula.tree import ModelFormula
from mixeff.frames.columns import open_frame
from mixeff.frames.missing import na_action as read_na_action
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
    kind: ResponseKind = LINEAR,
) -> Design:
    """Turn a formula and data into the numbers a fit needs.

    Parameters
    ----------
    formula : ModelFormula
    data : any data frame (see ``mixeff.frames.open_frame``); only the columns used are read
    weights : str, array-like or None
        Prior weights: a column, an expression of columns, or one number per row of the data. The
        residual variance of a row is sigma^2 / weight. Rows of weight zero are left out, with a
        warning, and are not counted as observations; a missing weight is a missing value.
    offset : str, array-like or None
        Added to the linear predictor, besides any ``offset()`` of the formula.
    contrasts : mapping of factor to contrasts, or None
        A name (``"sum"``, ``"contr.helmert"``), a matrix with one row per level, or a mapping of
        levels to rows. For the fixed effects only; random effects keep the defaults, as in lme4.
    na_action : {"omit", "fail", "exclude"}
        What to do with rows that have missing values.
    response_required : bool
        False for a formula without a response; ``Design.response`` is then all NaN.
    kind : ResponseKind
        What the family asks of the response. A binomial one becomes proportions, and its trials
        (times any prior weights) become the weights.

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
    action = read_na_action(na_action)
    if formula.response is None and response_required:
        raise DesignError(f"the formula {formula.text!r} has no response; write y ~ ... .")
    frame = open_frame(data)
    if formula.has_dot:
        formula = expand_dot(formula, frame.names())
    weight, shift = row_argument("weights", weights, frame), row_argument("offset", offset, frame)
    inputs = read_inputs(formula, frame, weight, shift, action, binomial=kind.binomial)
    response = _response(formula, inputs, kind)
    chosen = resolve_contrasts(contrasts, inputs.values, part_labels(formula.fixed))
    plan = plan_linear(formula.fixed, inputs.values, chosen)
    matrices = Matrices(inputs.values, response.shape[0])
    X, kept, dropped = _fixed(plan, inputs, matrices)
    random = build_random(
        formula.random, inputs.values, inputs.records, matrices, level_per_row=not kind.linear
    )
    in_use = {id(X), *(id(term.values) for term in random.terms)}
    notes = [_dropped_text(dropped)] if dropped else []
    names = plan.names
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
        state=_state(formula, inputs, plan, kept, random.states, weight, shift, action),
        notes=(*notes, *random.notes),
        moments=tuple(m for m in matrices.made.values() if id(m.columns) in in_use),
    )


def _response(formula: ModelFormula, inputs: Inputs, kind: ResponseKind) -> Floats:
    if formula.response is None:
        return np.full(inputs.rows.shape[0], np.nan)
    label = label_of(formula.response)
    return response_vector(label, inputs.values[label], kind)


def _fixed(
    plan: LinearPlan, inputs: Inputs, matrices: Matrices
) -> tuple[Floats, tuple[int, ...], tuple[str, ...]]:
    """X of full column rank, the positions of its columns, the names of those dropped."""
    moments = matrices.of(plan)
    X = moments.columns
    constant = plan.intercept or any(
        all(kind == "indicator" for _, kind in term.codings) for term in plan.terms
    )
    independent = independent_columns(
        X, intercept=plan.intercept, constant_in_span=constant, moments=moments
    )
    centred = about_their_means(plan, inputs.values) if independent.size < X.shape[1] else None
    if centred is not None:  # x:a with x near 1e8 looks like a multiple of a, but is none
        about = linear_matrix(plan, centred, matrices.n_rows)
        independent = independent_columns(about, intercept=True, constant_in_span=True)
    kept = tuple(independent.tolist())
    if len(kept) == X.shape[1]:
        matrices.sound.append(moments)
        return X, kept, ()
    dropped = tuple(name for j, name in enumerate(plan.names) if j not in set(kept))
    notify(_dropped_text(dropped), DesignWarning)
    return np.ascontiguousarray(X[:, independent]), kept, dropped


def _dropped_text(dropped: tuple[str, ...]) -> str:
    """lme4's sentence, with the names it leaves out."""
    noun = "column / coefficient" if len(dropped) == 1 else "columns / coefficients"
    return (
        f"fixed-effect model matrix is rank deficient so dropping {len(dropped)} {noun}: "
        f"{', '.join(dropped)}"
    )


def _state(
    formula: ModelFormula,
    inputs: Inputs,
    plan: LinearPlan,
    kept: tuple[int, ...],
    random: tuple[RandomState, ...],
    weights: RowArgument | None,
    offset: RowArgument | None,
    action: str,
) -> DesignState:
    """The record that scores new data."""
    records = inputs.records
    labels = part_labels(formula.fixed)
    for part in formula.random:
        labels.extend(part_labels(part.effects))
    offsets = [label_of(expression) for expression in formula.offsets]
    if offset is not None and offset.expression is not None:
        offsets.append(offset.label)
    return DesignState(
        variables=tuple(records[label] for label in dict.fromkeys(labels)),
        fixed=plan,
        kept=kept,
        random=random,
        offsets=tuple(records[label] for label in offsets),
        offset_array=offset is not None and offset.expression is None,
        response=None if formula.response is None else records[label_of(formula.response)],
        weights=records.get(weights.label) if weights is not None else None,
        n_rows=inputs.n_total,
        na_action=action,
    )
