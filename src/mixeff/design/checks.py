"""Checks of a model's random terms: what cannot be estimated is said before it is tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mixeff.design.fixed import LinearPlan
from mixeff.design.moments import Moments
from mixeff.design.rank import independent_columns
from mixeff.design.values import Categorical, Numeric, Value
from mixeff.design.variables import label_of
from mixeff.errors import DesignError, DesignWarning
from mixeff.formula.tree import RandomPart
from mixeff.frames.labels import Levels
from mixeff.frames.notices import notify


def check_group(
    part: RandomPart,
    labels: Sequence[str],
    levels: Levels,
    values: Mapping[str, Value],
) -> None:
    """A grouping factor needs at least two levels."""
    name, count = part.group_label, len(levels)
    if count < 2:
        only = f" ({levels[0]!r})" if levels else ""
        raise DesignError(
            f"the grouping factor {name} of {part.label} has only one level{only} in the rows "
            "used: a variance between groups needs at least two groups. Leave the term out, or "
            "check that the right column groups the rows."
        )


def check_repeated(
    part: RandomPart,
    labels: Sequence[str],
    levels: Levels,
    values: Mapping[str, Value],
    n_rows: int,
) -> None:
    """Beside a residual variance a grouping factor needs fewer levels than there are rows."""
    name, count = part.group_label, len(levels)
    if count >= n_rows:
        hint = ""
        value = values[labels[0]]
        if len(labels) == 1 and isinstance(value, Numeric) and not value.integer:
            hint = (
                f" {name} is a numeric column whose values are all different; it looks like a "
                "measurement rather than a group. Did you mean it left of the bar?"
            )
        raise DesignError(
            f"the grouping factor {name} of {part.label} has {count} levels for {n_rows} "
            "observations: with one observation per level its variance cannot be told from the "
            f"residual variance. Use a coarser grouping factor or leave the term out.{hint}"
        )


def check_size(
    part: RandomPart,
    columns: tuple[str, ...],
    n_levels: int,
    n_rows: int,
    *,
    level_per_row: bool = False,
) -> None:
    """A term must have fewer random effects than there are observations, as in lme4.

    With ``level_per_row`` as many as observations are allowed: an observation-level effect.
    """
    q = len(columns)
    if q * n_levels < n_rows + level_per_row:
        return
    raise DesignError(
        f"the term {part.label} has {q} x {n_levels} = {q * n_levels} random effects for {n_rows} "
        f"observations, so its variances cannot be told apart. It has a "
        f"column for each of {', '.join(columns)}: leave some out, or use a coarser grouping "
        "factor."
    )


def check_variables(part: RandomPart, labels: Sequence[str], values: Mapping[str, Value]) -> None:
    """A variable must not stand on both sides of the bar."""
    for term in part.effects.terms:
        for variable in term.variables:
            label = label_of(variable)
            if label not in labels:
                continue
            text = (
                f"{label} stands on both sides of the bar in {part.label}: within a level of "
                f"{part.group_label} it does not vary, so it has no effect that could differ "
                "between levels"
            )
            if len(labels) == 1 and isinstance(values[label], Categorical):
                raise DesignError(f"{text}. Did you mean (1 | {label})?")
            notify(f"{text}; its columns are kept as asked.", DesignWarning)


def check_columns(part: RandomPart, plan: LinearPlan, moments: Moments) -> None:
    """Warn of columns left of the bar that are zero or combinations of the others.

    ``moments`` are those of the columns.
    """
    names = plan.names
    if not plan.terms:
        return
    if moments.zero.any():
        zero = [names[j] for j in np.flatnonzero(moments.zero).tolist()]
        notify(
            f"in {part.label} the columns {', '.join(zero)} are zero in all rows used; their "
            "variance cannot be estimated.",
            DesignWarning,
        )
        return
    if len(names) == 1:
        return
    spans = plan.intercept
    matrix = moments.columns
    kept = independent_columns(matrix, intercept=spans, constant_in_span=spans, moments=moments)
    if kept.size < len(names):
        lost = [name for j, name in enumerate(names) if j not in kept]
        notify(
            f"in {part.label} the columns {', '.join(lost)} are linear combinations of the other "
            "ones; their variances cannot be told apart.",
            DesignWarning,
        )
