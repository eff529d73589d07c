"""Which responses a family cannot have: one message with the first rows and the count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import DataError, DataWarning
from mixeff.frames.notices import notify

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SHOWN = 5


def refuse(y: Floats, bad: Mask, family: str, problem: str, advice: str) -> None:
    """Raise DataError naming the first rows of ``bad``, if there are any."""
    if bad.any():
        raise DataError(f"{_sentence(y, bad, family, problem)} {advice}")


def warn_about(y: Floats, bad: Mask, family: str, problem: str, advice: str) -> None:
    """One DataWarning naming the first rows of ``bad``, if there are any."""
    if bad.any():
        notify(f"{_sentence(y, bad, family, problem)} {advice}", DataWarning)


def _sentence(y: Floats, bad: Mask, family: str, problem: str) -> str:
    rows = np.flatnonzero(bad)
    shown = ", ".join(f"{y[row]:.6g} (row {row})" for row in rows[:_SHOWN])
    more = ", ..." if rows.size > _SHOWN else ""
    values = "value" if rows.size == 1 else "values"
    return (
        f"The response of a {family} model has {rows.size} {values} {problem}, of {y.size} rows "
        f"used: {shown}{more} (rows counted from 0)."
    )


def finite(y: Floats, family: str) -> None:
    """Refuse NaN and infinities."""
    bad = ~np.isfinite(y)
    refuse(y, bad, family, "that are not finite numbers", "Remove or correct these rows.")


def counts(y: Floats, family: str) -> None:
    """Refuse what is not a count: negative or not whole."""
    finite(y, family)
    refuse(y, y < 0, family, "below zero", "Counts are 0, 1, 2, ...")
    refuse(
        y,
        y != np.floor(y),
        family,
        "that are not whole numbers",
        "Counts are 0, 1, 2, ...; a rate is modelled as the count with offset=log(exposure), a "
        "positive measurement with family='Gamma'.",
    )


def positive(y: Floats, family: str) -> None:
    """Refuse zero and below."""
    finite(y, family)
    refuse(
        y,
        y <= 0,
        family,
        "that are zero or negative",
        "This family has positive responses only; model whether the response is zero separately "
        "(family='binomial'), or choose another family.",
    )
