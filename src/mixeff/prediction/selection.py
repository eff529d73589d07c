"""Which random effects a prediction uses: ``"all"``, none, or those a bar formula names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError, PredictionError
from mixeff.formula import parse_formula

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.formula.tree import ModelFormula, RandomPart

Mask = NDArray[np.bool_]
INTERCEPT = "(Intercept)"


def select(
    design: Design, parsed: ModelFormula, random: str | None, function: str = "predict"
) -> tuple[Mask, ...]:
    """Per random term the (q,) mask of its columns to use.

    Raises
    ------
    PredictionError
        A bar term the model does not have.
    OptionError
        ``random`` is not a string.
    """
    if random is None:
        return tuple(np.zeros(t.n_columns, dtype=bool) for t in design.random)
    if random == "all":
        return tuple(np.ones(t.n_columns, dtype=bool) for t in design.random)
    if not isinstance(random, str):
        raise OptionError(
            f'{function}: random must be "all", None or a bar formula such as "~ (1 | class)", '
            f"not {random!r}."
        )
    masks = tuple(np.zeros(t.n_columns, dtype=bool) for t in design.random)
    for part in _parts(random, function):
        _mark(design, parsed, part, masks, function)
    return masks


def _parts(random: str, function: str) -> tuple[RandomPart, ...]:
    text = random.strip()
    wanted = parse_formula(text if text.startswith("~") else f"~ {text}", one_sided=True)
    if wanted.fixed.terms:
        raise PredictionError(
            f"{function}: random={random!r} names {wanted.fixed.terms[0].label}, which is not a "
            'random term. Write bars only, in parentheses: "~ (1 | class)".'
        )
    return wanted.random


def _mark(
    design: Design,
    parsed: ModelFormula,
    part: RandomPart,
    masks: tuple[Mask, ...],
    function: str,
) -> None:
    """Set the columns one bar term names."""
    group = _group_name(parsed, part)
    terms = [i for i, term in enumerate(design.random) if term.group == group]
    if not terms:
        known = ", ".join(dict.fromkeys(term.group for term in design.random))
        raise PredictionError(
            f"{function}: the model has no random term on {part.group_label} ({part.label}); "
            f"its grouping factors are {known}."
        )
    for effect in _effects(part):
        places = [
            (i, j)
            for i in terms
            for j, column in enumerate(design.random[i].columns)
            if _names(effect, column, part, design.random[i].has_intercept)
        ]
        if not places:
            columns = ", ".join(c for i in terms for c in design.random[i].columns)
            raise PredictionError(
                f"{function}: {part.label} asks for {effect}, which is not a random effect of "
                f"{group} in the model; those are {columns}."
            )
        for i, j in places:
            masks[i][j] = True


def _group_name(parsed: ModelFormula, part: RandomPart) -> str:
    """The model's name of the grouping factor: ``a:b`` and ``b:a`` are one."""
    for known in parsed.random:
        if frozenset(known.group) == frozenset(part.group):
            return known.group_label
    return part.group_label


def _effects(part: RandomPart) -> list[str]:
    intercept = [INTERCEPT] if part.effects.intercept else []
    return [*intercept, *(term.label for term in part.effects.terms)]


def _names(effect: str, column: str, part: RandomPart, has_intercept: bool) -> bool:
    """Whether a model column belongs to an effect: it bears its name, or is a level of it."""
    if column == effect:
        return True
    if effect == INTERCEPT or column == INTERCEPT:
        return False
    # Columns of a factor mean differences beside an intercept and levels without one: (0 + f | g)
    # is no part of (f | g).
    if part.effects.intercept != has_intercept and not part.independent:
        return False
    variables, pieces = effect.split(":"), column.split(":")
    return len(variables) == len(pieces) and all(
        piece.startswith(variable) for piece, variable in zip(pieces, variables, strict=True)
    )
