"""ONE row mask over every variable the model uses, and the sentences about what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import DataError, OptionError

Mask = NDArray[np.bool_]
NaAction = Literal["omit", "fail", "exclude"]

_ACTIONS: dict[str, NaAction] = {
    "omit": "omit",
    "fail": "fail",
    "exclude": "exclude",
    "na.omit": "omit",
    "na.fail": "fail",
    "na.exclude": "exclude",
}
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CompleteRows:
    """Which rows of the caller's data a model uses.

    Attributes
    ----------
    mask : (n,) bool array or None
        True for the rows used; None if all are, so that nothing need be copied.
    n_rows : int, rows of the caller's data
    """

    mask: Mask | None
    n_rows: int

    @property
    def rows(self) -> NDArray[np.int64]:
        """Positions of the rows used."""
        if self.mask is None:
            return np.arange(self.n_rows, dtype=np.int64)
        return np.flatnonzero(self.mask).astype(np.int64, copy=False)

    @property
    def n_omitted(self) -> int:
        """Number of rows left out."""
        return 0 if self.mask is None else int(self.n_rows - np.count_nonzero(self.mask))


def na_action(name: str) -> NaAction:
    """The action meant, R's names included.

    Raises
    ------
    OptionError
        No such action.
    """
    if name not in _ACTIONS:
        raise OptionError(
            f'na_action must be "omit", "fail" or "exclude", not {name!r}: "omit" leaves rows '
            'with missing values out, "fail" raises an error, "exclude" leaves them out and gives '
            "NaN for them in fitted values and residuals."
        )
    return _ACTIONS[name]


def complete_rows(missing: Mapping[str, Mask | None], n_rows: int, action: str) -> CompleteRows:
    """Combine the missing-value masks of all variables of a model into one.

    Parameters
    ----------
    missing : mapping of a variable's name to its (n,) mask, True where missing; None if complete
    n_rows : int, n
    action : {"omit", "fail", "exclude"}

    Raises
    ------
    DataError
        ``"fail"`` and something is missing, or no row is complete.
    """
    chosen = na_action(action)
    masks = {name: mask for name, mask in missing.items() if mask is not None and mask.any()}
    if not masks:
        return CompleteRows(None, n_rows)
    if chosen == "fail":
        raise DataError(_fail_message(masks))
    lost = np.zeros(n_rows, dtype=np.bool_)
    for mask in masks.values():
        lost |= mask
    if lost.all():
        raise DataError(_nothing_left(masks, n_rows))
    return CompleteRows(~lost, n_rows)


def _counts(masks: Mapping[str, Mask]) -> str:
    pieces = sorted(((int(mask.sum()), name) for name, mask in masks.items()), reverse=True)
    return ", ".join(f"{name} {count}" for count, name in pieces)


def first_rows(mask: Mask) -> str:
    """The first rows of a mask, for a message: ``rows 3, 17, 18 ...``."""
    rows = np.flatnonzero(mask)
    listed = ", ".join(str(row) for row in rows[:_SHOWN].tolist())
    noun = "row" if rows.size == 1 else "rows"
    return f"{noun} {listed}" + (" ..." if rows.size > _SHOWN else "")


def _fail_message(masks: Mapping[str, Mask]) -> str:
    union = np.logical_or.reduce(list(masks.values()))
    return (
        f'missing values and na_action="fail": {_counts(masks)} (first {first_rows(union)}, '
        'counted from 0). Fill them in, or use na_action="omit" to leave those rows out.'
    )


def _nothing_left(masks: Mapping[str, Mask], n_rows: int) -> str:
    full = [name for name, mask in masks.items() if mask.all()]
    text = f"no row is complete: of {n_rows} rows are missing {_counts(masks)}."
    if full:
        return f"{text} Drop {' and '.join(full)} from the model, or check how it was read."
    return f"{text} No row has values for all of these together."


def infinite_error(name: str, values: NDArray[np.float64], expression: bool) -> DataError:
    """The error for infinities in a numeric variable; ``expression``: made by a transformation."""
    bad: Mask = np.asarray(np.isinf(values.reshape(values.shape[0], -1)).any(axis=1))
    count = int(bad.sum())
    where = first_rows(bad)
    what = f"{name} is infinite" if expression else f"column {name!r} is infinite"
    advice = (
        "change the transformation or leave those rows out"
        if expression
        else "replace those values or set them to missing"
    )
    return DataError(f"{what} in {count} of {bad.size} rows ({where}, counted from 0); {advice}.")
