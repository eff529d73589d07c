"""The response of a binomial model: whatever a user has, as proportions and numbers of trials."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.design.values import Categorical, Numeric, Value
from mixeff.design.variables import shorten
from mixeff.errors import DataError, DataWarning, DesignError
from mixeff.frames.levels import drop_unused
from mixeff.frames.missing import Mask, first_rows
from mixeff.frames.notices import notify

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

# Trials times proportion is a count up to the rounding of the division that made the proportion;
# R's `binomial()` allows as much.
_WHOLE = 1e-3


def binomial_response(
    label: str, value: Value, weights: Floats | None, rows: Rows
) -> tuple[Numeric, Floats | None]:
    """Proportions of successes, and trials (times prior weights) or None for single trials.

    Parameters
    ----------
    label : str
    value : the response on the complete rows
        ``cbind(successes, failures)``; proportions, with the trials as ``weights``; zeros and
        ones; a logical; or a factor or text of two levels, whose first one is failure (R's rule).
    weights : (n,) array or None
    rows : (n,) positions in the caller's data, for messages

    Raises
    ------
    DataError
        No such response.

    Warns
    -----
    DataWarning
        Proportions that are no whole number of successes of the trials.
    """
    if isinstance(value, Categorical):
        return Numeric(_second_level(label, value)), weights
    if value.values.ndim > 1:
        return _counts(label, value.values, weights, rows)
    y = value.values
    outside = ~((y >= 0) & (y <= 1))
    if outside.any():
        raise DataError(_not_a_proportion(label, y, outside, rows))
    _warn_of_fractions(label, y, weights, rows)
    return Numeric(y), weights


def check_varies(label: str, y: Floats) -> None:
    """Refuse a response of failures or of successes alone.

    Raises
    ------
    DesignError
    """
    if y.size and y[0] in (0.0, 1.0) and (y == y[0]).all():
        what = "success" if y[0] else "failure"
        raise DesignError(
            f"the response {label} is constant: every one of the {y.size} rows used is {what}, so "
            "that no probability strictly between 0 and 1 fits best. Check its coding and the rows "
            "left out."
        )


def _second_level(label: str, value: Categorical) -> Floats:
    """0 for the first level in use, 1 for the second."""
    codes, levels = drop_unused(value.codes, value.levels)
    if value.logical or len(levels) == 1:
        # A lone level is the same in every row; the check for constants says so.
        return value.codes.astype(np.float64) if value.logical else np.zeros(len(codes))
    if len(levels) != 2:
        kind = "text" if value.text else "a factor"
        raise DataError(
            f"the response {label} is {kind} with {len(levels)} levels ({shorten(levels)}); a "
            "binomial response has two, failure and success. Compare with one of them, for "
            f"example I({label} == {levels[-1]!r}) ~ ..., or leave out the rows of the others."
        )
    return codes.astype(np.float64)


def _counts(
    label: str, counts: Floats, weights: Floats | None, rows: Rows
) -> tuple[Numeric, Floats]:
    if counts.shape[1] != 2:
        raise DataError(
            f"the response {label} has {counts.shape[1]} columns; a binomial response has two: "
            "cbind(successes, failures)."
        )
    successes, failures = counts[:, 0], counts[:, 1]
    if (failures < 0).any():
        raise DataError(
            f"{label}: more successes than trials in {_where(failures < 0, rows)}. The second "
            "column counts failures, so it is trials - successes: cbind(successes, trials - "
            "successes)."
        )
    if (successes < 0).any():
        raise DataError(f"{label}: negative counts of successes in {_where(successes < 0, rows)}.")
    fractions = np.asarray((np.abs(counts - np.round(counts)) > _WHOLE).any(axis=1))
    if fractions.any():
        notify(
            f"{label}: counts that are no whole numbers in {_where(fractions, rows)}; the "
            "binomial likelihood is that of a number of successes among trials.",
            DataWarning,
        )
    trials = successes + failures
    proportion = np.divide(successes, trials, out=np.zeros_like(trials), where=trials > 0)
    return Numeric(proportion), trials if weights is None else trials * weights


def _not_a_proportion(label: str, y: Floats, outside: Mask, rows: Rows) -> str:
    first = int(np.flatnonzero(outside)[0])
    text = (
        f"the binomial response {label} must lie between 0 and 1, but {_where(outside, rows)} "
        f"{'has' if outside.sum() == 1 else 'have'} other values (first: {y[first]:g})."
    )
    if (y == np.round(y)).all() and y.min() >= 0:
        if set(np.unique(y)) == {1.0, 2.0}:
            return f"{text} Coded 1 and 2: write I({label} == 2) ~ ... ."
        return (
            f"{text} Counts of successes need the failures beside them: "
            f"cbind({label}, trials - {label}) ~ ... ."
        )
    return text


def _warn_of_fractions(label: str, y: Floats, weights: Floats | None, rows: Rows) -> None:
    """One warning where trials times proportion is no count."""
    successes = y if weights is None else y * weights
    fractions = np.abs(successes - np.round(successes)) > _WHOLE
    if not fractions.any():
        return
    where = _where(fractions, rows)
    if weights is None:
        notify(
            f"{label} holds proportions ({where}) but no numbers of trials: every row counts as "
            "one trial, so that standard errors and log-likelihood mean little. Give the trials "
            "as weights=, or the counts as cbind(successes, failures) ~ ... .",
            DataWarning,
        )
        return
    notify(
        f"{label} times the weights is no whole number of successes in {where}; a binomial "
        "response is successes / trials with the trials as weights.",
        DataWarning,
    )


def _where(bad: Mask, rows: Rows) -> str:
    """``3 rows (rows 0, 4, 7, counted from 0)``."""
    mask = np.zeros(int(rows[-1]) + 1, dtype=np.bool_)
    mask[rows[bad]] = True
    count = int(bad.sum())
    return f"{count} {'row' if count == 1 else 'rows'} ({first_rows(mask)}, counted from 0)"
