"""A design with a term left out, on exactly the same rows.

Where the columns of the other terms stay what they are, columns are taken away; where leaving out a
term changes how the others are coded (R's rule for models without an intercept), or brings back a
column that was dropped as redundant, the columns are made again from the same data with the
transforms and levels of the first fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.coding import Contrast
from mixeff.design.design import Design, RandomTerm
from mixeff.design.fixed import INTERCEPT, LinearPlan, linear_matrix, plan_linear
from mixeff.design.random import RandomState
from mixeff.design.rank import independent_columns
from mixeff.design.values import Value
from mixeff.design.variables import Variable, apply_variable, columns_used, take_rows
from mixeff.errors import DataError
from mixeff.formula.tree import LinearPart, Term
from mixeff.frames.arrays import column_length
from mixeff.frames.columns import open_frame

Floats = NDArray[np.float64]


def droppable(part: LinearPart) -> tuple[Term, ...]:
    """The terms that are part of no other term (marginality), in order.

    Examples
    --------
    >>> from mixeff.formula import parse_formula
    >>> [t.label for t in droppable(parse_formula("y ~ a * b + x + (1 | g)").fixed)]
    ['x', 'a:b']
    """
    sets = [frozenset(term.variables) for term in part.terms]
    return tuple(
        term
        for term, own in zip(part.terms, sets, strict=True)
        if not any(own < other for other in sets)
    )


def without_fixed(design: Design, fixed: LinearPart, term: Term, data: Any) -> Design:
    """The design without one fixed-effect term that is part of no other.

    Parameters
    ----------
    design : Design
    fixed : LinearPart, the fixed effects of its formula
    term : Term of ``fixed``
    data : the data it was made from, read only where columns have to be made again
    """
    rest = LinearPart(fixed.intercept, tuple(t for t in fixed.terms if t is not term))
    plan = design.state.fixed
    place = fixed.terms.index(term)
    full = any(kind == "indicator" for _, kind in plan.terms[place].codings)
    if design.dropped or (full and not fixed.intercept):
        return _made_again(design, rest, data)
    own = np.flatnonzero(np.array(design.state.assign) != place + 1)
    terms = tuple(t for j, t in enumerate(plan.terms) if j != place)
    used = {label for t in terms for label, _ in t.codings}
    smaller = LinearPlan(
        plan.intercept, terms, tuple(pair for pair in plan.contrasts if pair[0] in used)
    )
    return _with_columns(
        design, smaller, np.ascontiguousarray(design.X[:, own]), tuple(range(own.size)), ()
    )


def _made_again(design: Design, fixed: LinearPart, data: Any) -> Design:
    given = dict(design.state.fixed.contrasts)
    plan, X = _columns(design, fixed, given, data)
    constant = plan.intercept or any(
        all(kind == "indicator" for _, kind in t.codings) for t in plan.terms
    )
    kept = independent_columns(X, intercept=plan.intercept, constant_in_span=constant)
    dropped = tuple(name for j, name in enumerate(plan.names) if j not in set(kept.tolist()))
    return _with_columns(
        design, plan, np.ascontiguousarray(X[:, kept]), tuple(kept.tolist()), dropped
    )


def _with_columns(
    design: Design, plan: LinearPlan, X: Floats, kept: tuple[int, ...], dropped: tuple[str, ...]
) -> Design:
    return replace(
        design,
        X=X,
        names=tuple(plan.names[j] for j in kept),
        dropped=dropped,
        state=replace(design.state, fixed=plan, kept=kept),
    )


def without_random(design: Design, place: int) -> Design:
    """The design without one random term; there may be none left."""
    state = design.state
    return replace(
        design,
        random=tuple(t for j, t in enumerate(design.random) if j != place),
        state=replace(state, random=tuple(s for j, s in enumerate(state.random) if j != place)),
    )


def reduced_random(design: Design, place: int, part: LinearPart, data: Any) -> Design:
    """The design with the effects of one random term replaced by fewer.

    Parameters
    ----------
    design : Design
    place : int, of the term in ``design.random``
    part : LinearPart, the effects left
    data : the data it was made from, read only where columns have to be made again
    """
    old, state = design.random[place], design.state.random[place]
    if not part.terms:
        plan, values = LinearPlan(True, (), ()), np.ones((design.n, 1))
    elif part.intercept and state.plan.intercept:
        labels = {t.label for t in part.terms}
        plan = replace(state.plan, terms=tuple(t for t in state.plan.terms if t.label in labels))
        own = [old.columns.index(name) for name in plan.names]
        values = np.ascontiguousarray(old.values[:, own])
    else:
        plan, values = _columns(design, part, {}, data)
    effects = " + ".join(t.label for t in part.terms) or "1"
    label = effects if part.intercept else f"0 + {effects}"
    term = RandomTerm(
        old.group,
        old.levels,
        old.codes,
        plan.names,
        values,
        f"({label} | {old.group})",
        plan.names[0] == INTERCEPT,
    )
    new = RandomState(state.group, state.group_variables, state.levels, plan, None)
    return replace(
        design,
        random=tuple(term if j == place else t for j, t in enumerate(design.random)),
        state=replace(
            design.state,
            random=tuple(new if j == place else s for j, s in enumerate(design.state.random)),
        ),
    )


def _columns(
    design: Design, part: LinearPart, given: dict[str, Contrast], data: Any
) -> tuple[LinearPlan, Floats]:
    """Plan and columns of a right-hand side of variables the design knows, on its rows."""
    wanted = {variable for term in part.terms for variable in term.variables}
    known = [v for v in design.state.variables if v.expression in wanted]
    values = _values(design, known, data)
    plan = plan_linear(part, values, given)
    return plan, linear_matrix(plan, values, design.n)


def _values(design: Design, variables: Iterable[Variable], data: Any) -> dict[str, Value]:
    """The values of some variables on the rows used."""
    variables = list(variables)
    frame = open_frame(data)
    columns = frame.read(columns_used((v.expression for v in variables), frame))
    total = column_length(next(iter(columns.values()))) if columns else design.state.n_rows
    if total != design.state.n_rows:
        raise DataError(
            f"the data have {total} rows now and had {design.state.n_rows} when the model was "
            "fitted, so the columns of a smaller model cannot be made from them. Fit the smaller "
            "model yourself, or give the model its data again with update(data=...)."
        )
    used = np.zeros(total, dtype=bool)
    used[design.rows] = True
    return {v.label: take_rows(apply_variable(v, columns, total), used) for v in variables}
