"""Rows to predict as numbers: model columns and levels in the coding of the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import PredictionError

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.design.random import RandomState
    from mixeff.frames.columns import Frame
    from mixeff.frames.labels import Levels

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """m rows in the coding of the fit.

    Attributes
    ----------
    X : (m, p) array
    offset : (m,) array or None
    codes : per random term (m,) int32 array, negative for a level the fit has not seen
    values : per random term (m, q) array
    complete : (m,) bool array, rows without missing values
    """

    X: Floats
    offset: Floats | None
    codes: tuple[NDArray[np.int32], ...]
    values: tuple[Floats, ...]
    complete: NDArray[np.bool_]


def rows_of_the_fit(design: Design) -> ScoredRows:
    """The rows the model was fitted to."""
    return ScoredRows(
        X=design.X,
        offset=design.offset,
        codes=tuple(term.codes for term in design.random),
        values=tuple(term.values for term in design.random),
        complete=np.ones(design.n, dtype=bool),
    )


def take(rows: ScoredRows, keep: NDArray[np.bool_]) -> ScoredRows:
    """Some of the rows."""
    return ScoredRows(
        X=rows.X[keep],
        offset=None if rows.offset is None else rows.offset[keep],
        codes=tuple(codes[keep] for codes in rows.codes),
        values=tuple(values[keep] for values in rows.values),
        complete=rows.complete[keep],
    )


def score(
    design: Design,
    newdata: Any,
    used: Sequence[bool],
    *,
    allow_new_levels: bool,
    offset: Any = None,
) -> ScoredRows:
    """New data in the coding of the fit; columns of random terms not used are not asked for.

    Raises
    ------
    PredictionError
        A level the fit has not seen, or a missing one, and ``allow_new_levels`` is False.
    UnknownColumnError
        A column the prediction needs is not there.
    """
    frame = design.state.open(newdata)
    X, shift, complete = design.state.fixed_matrix(frame, offset=offset)
    codes, values = [], []
    for i, term in enumerate(design.random):
        if used[i]:
            level, columns = design.state.random_matrix(frame, i)
            if not allow_new_levels:
                _refuse_unseen(design.state.random[i], term.group, frame, level)
            complete = complete & ~np.isnan(columns).any(axis=1)
        else:
            level = np.full(X.shape[0], -1, dtype=np.int32)
            columns = np.zeros((X.shape[0], term.n_columns))
        codes.append(level)
        values.append(columns)
    return ScoredRows(X, shift, tuple(codes), tuple(values), complete)


def _refuse_unseen(state: RandomState, group: str, frame: Frame, codes: NDArray[np.int32]) -> None:
    from mixeff.design.scoring import MISSING

    missing = np.flatnonzero(codes == MISSING)
    if missing.size:
        raise PredictionError(
            f"predict: the grouping factor {group} is missing in {missing.size} of {codes.size} "
            f"rows (first: row {int(missing[0])}, counted from 0). Leave those rows out, or give "
            "them a random effect of zero with allow_new_levels=True."
        )
    unseen = np.flatnonzero(codes < 0)
    if unseen.size:
        raise PredictionError(
            f"predict: levels of {group} that the fit has not seen: "
            f"{_listed(_level_names(state, frame, unseen))}. Give them a random effect of zero "
            "with allow_new_levels=True, or predict without random effects (random=None)."
        )


def told_apart(
    design: Design, frame: Frame, i: int, codes: NDArray[np.int32]
) -> tuple[NDArray[np.int32], int]:
    """Codes of one random term with unseen levels counted on, and the number of levels."""
    from mixeff.design.scoring import MISSING

    n_levels = design.random[i].n_levels
    unseen = np.flatnonzero((codes < 0) & (codes != MISSING))
    if not unseen.size:
        return codes, n_levels
    own, _ = _own_levels(design.state.random[i], frame)
    new, positions = np.unique(own[unseen], return_inverse=True)
    out = codes.copy()
    out[unseen] = n_levels + positions.reshape(-1)
    return out, n_levels + new.size


def _own_levels(state: RandomState, frame: Frame) -> tuple[NDArray[np.int32], Levels]:
    """Codes of the grouping factor and its levels in the new data themselves."""
    from mixeff.design.variables import as_group, columns_used, evaluate_again
    from mixeff.frames.levels import interaction

    names = columns_used((v.expression for v in state.group_variables), frame)
    columns, n_rows = frame.read(names), frame.n_rows()
    factors = [as_group(evaluate_again(v, columns, n_rows), v.label) for v in state.group_variables]
    return factors[0] if len(factors) == 1 else interaction(factors)


def _level_names(state: RandomState, frame: Frame, rows: NDArray[np.int64]) -> list[str]:
    """Levels of the grouping factor in some rows, as the fit would name them."""
    codes, levels = _own_levels(state, frame)
    return [levels[code] for code in dict.fromkeys(codes[rows].tolist())]


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
