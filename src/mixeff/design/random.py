"""Random terms: codes of the grouping factor and the model columns; Z is never formed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mixeff.design.checks import (
    check_columns,
    check_group,
    check_repeated,
    check_size,
    check_variables,
)
from mixeff.design.design import RandomTerm
from mixeff.design.fixed import INTERCEPT, LinearPlan, plan_linear
from mixeff.design.matrices import Matrices
from mixeff.design.values import Categorical, Value
from mixeff.design.variables import Variable, as_group, label_of
from mixeff.formula.tree import LinearPart, RandomPart
from mixeff.frames.labels import Levels
from mixeff.frames.levels import interaction

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class RandomState:
    """What training fixed about one random term.

    Attributes
    ----------
    group : str, lme4's name of the grouping factor
    group_variables : tuple of Variable, whose interaction it is, the last varying fastest
    levels : tuple of str
    plan : LinearPlan of the model columns
    column : int or None
        The one column of the plan this term holds, for a ``||`` term that was split.
    """

    group: str
    group_variables: tuple[Variable, ...]
    levels: Levels
    plan: LinearPlan
    column: int | None


@dataclass(frozen=True, slots=True)
class RandomDesign:
    """All random terms in lme4's order, with their states and what should be told about them."""

    terms: tuple[RandomTerm, ...]
    states: tuple[RandomState, ...]
    notes: tuple[str, ...]


def build_random(
    parts: Sequence[RandomPart],
    values: Mapping[str, Value],
    records: Mapping[str, Variable],
    matrices: Matrices,
    *,
    level_per_row: bool = False,
) -> RandomDesign:
    """Random terms of a model, ordered by decreasing number of levels (see ``lme4_order``).

    Parameters
    ----------
    parts : random parts of the formula
    values, records : values (complete rows, unused levels dropped) and training records by label
    matrices : Matrices over the same values
    level_per_row : bool
        Allow a grouping factor with a level for every row: an observation-level random effect,
        which a family without a residual variance can have.

    Raises
    ------
    DesignError
        One level, as many levels as rows, as many random effects as rows, a factor grouped by
        itself.
    """
    n_rows = matrices.n_rows
    built: list[tuple[RandomTerm, RandomState]] = []
    notes: list[str] = []
    groups: dict[tuple[str, ...], tuple[Codes, Levels]] = {}
    for part in parts:
        labels = tuple(label_of(expression) for expression in part.group)
        if labels not in groups:
            groups[labels] = group_factor(labels, values)
            check_group(part, labels, groups[labels][1], values)
            if not level_per_row:
                check_repeated(part, labels, groups[labels][1], values, n_rows)
        check_variables(part, labels, values)
        group_records = tuple(records[label] for label in labels)
        codes, levels = groups[labels]
        for plan, whole in _plans(part, values):
            check_size(part, plan.names, len(levels), n_rows, level_per_row=level_per_row)
            moments = matrices.of(plan)
            if not matrices.known_sound(moments):
                check_columns(part, plan, moments)
            if part.independent and len(plan.names) > 1:
                notes.append(_split_note(part, plan))
            for column in [None] if whole else range(len(plan.names)):
                term = _term(part, levels, codes, plan, moments.columns, column)
                state = RandomState(part.group_label, group_records, levels, plan, column)
                built.append((term, state))
    built = [built[i] for i in lme4_order([term.n_levels for term, _ in built])]
    terms, states = tuple(t for t, _ in built), tuple(s for _, s in built)
    return RandomDesign(terms, states, tuple(notes))


def lme4_order(n_levels: Sequence[int]) -> list[int]:
    """Positions of the terms in lme4's order, which theta and all tables follow.

    As written if the numbers of levels never rise; else sorted by decreasing number, and then
    terms with equally many levels come in reverse of the order written (lme4 reverses a stable
    ascending sort).

    Examples
    --------
    >>> lme4_order([8, 6, 6])
    [0, 1, 2]
    >>> lme4_order([6, 6, 8])
    [2, 1, 0]
    """
    written = range(len(n_levels))
    if all(a >= b for a, b in pairwise(n_levels)):
        return list(written)
    return sorted(written, key=lambda i: n_levels[i])[::-1]


def group_factor(labels: Sequence[str], values: Mapping[str, Value]) -> tuple[Codes, Levels]:
    """Codes and levels of a grouping factor, the interaction of the named variables."""
    factors = [_group(values[label], label) for label in labels]
    return factors[0] if len(factors) == 1 else interaction(factors)


def _group(value: Value, label: str) -> tuple[Codes, Levels]:
    if isinstance(value, Categorical) and not value.logical:
        return value.codes, value.levels  # all in use: see ``as_variable``
    return as_group(value, label)


def _plans(part: RandomPart, values: Mapping[str, Value]) -> list[tuple[LinearPlan, bool]]:
    """Plans of a part's columns, and whether a plan makes one term (else one per column).

    ``(1 + f || g)`` is taken apart term by term as lme4 does, ``(1 | g) + (0 + f | g)``, so that a
    factor has a column for every level; the columns of each are then separated further.
    """
    if not part.independent:
        return [(plan_linear(part.effects, values, {}), True)]
    pieces = [LinearPart(True, ())] if part.effects.intercept else []
    pieces.extend(LinearPart(False, (term,)) for term in part.effects.terms)
    return [(plan_linear(piece, values, {}), False) for piece in pieces]


def _term(
    part: RandomPart,
    levels: Levels,
    codes: Codes,
    plan: LinearPlan,
    matrix: Floats,
    column: int | None,
) -> RandomTerm:
    names, label, values = plan.names, part.label, matrix
    if column is not None:
        names = (names[column],)
        effect = "1" if names[0] == INTERCEPT else f"0 + {names[0]}"
        label = f"({effect} | {part.group_label})"
        if matrix.shape[1] > 1:
            values = np.ascontiguousarray(matrix[:, column : column + 1])
    constant = plan.intercept and column in (None, 0)
    return RandomTerm(part.group_label, levels, codes, names, values, label, constant)


def _split_note(part: RandomPart, plan: LinearPlan) -> str:
    return (
        f"{part.label}: the {len(plan.names)} columns of {plan.terms[0].label} "
        f"({', '.join(plan.names)}) are independent, each with a variance of its own; lme4 would "
        'estimate their correlations (Control(double_bar="lme4") does so here).'
    )
