"""The columns, titles and notes of tables of estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.marginal.estimates import combinations_of, worded
from mixeff.inference.method import t_tail

if TYPE_CHECKING:
    from mixeff.inference.marginal.estimates import Estimates
    from mixeff.inference.marginal.functions import Judged
    from mixeff.inference.table import Column

Floats = NDArray[np.float64]

_RESULTS = ("estimate", "std_error", "df", "lower", "upper", "statistic", "p_value")


def title_of(estimates: Estimates) -> str:
    """What is estimated, of which variables, within which."""
    names = [a.name for a in estimates.primary]
    of = f" {estimates.joined} {' and '.join(names)}" if names else ""
    within = f" within {' and '.join(estimates.within)}" if estimates.within else ""
    text = f"{estimates.subject}{of}{within}"
    return text[0].upper() + text[1:]


def label_columns(estimates: Estimates) -> dict[str, Column]:
    """The columns that say what each row is."""
    places = combinations_of(estimates.axes)
    rows = estimates.rows
    return {
        # A variable that bears the name of a result gives way.
        (f"{axis.name}_" if axis.name in _RESULTS else axis.name): axis.column(at[rows])
        for axis, at in zip(estimates.axes, places, strict=True)
    }


def shown(estimates: Estimates, judged: Judged, half: Floats) -> dict[str, Column]:
    """Estimates, standard errors, df and intervals on the scale asked for, row by row."""
    # Without variance there is no df and no quantile, but an interval: the value itself.
    reach = np.where(judged.std_error == 0.0, 0.0, half * judged.std_error)
    low, high = judged.value - reach, judged.value + reach
    value, std_error = judged.value, judged.std_error
    if estimates.response and estimates.scale is not None:
        scale = estimates.scale
        std_error = np.abs(scale.slope(value)) * std_error
        low, high = scale.interval(value, low, high)
        value = scale.inverse(value)
    rows = estimates.rows
    return {
        "estimate": value[rows],
        "std_error": std_error[rows],
        "df": judged.df[rows],
        "lower": low[rows],
        "upper": high[rows],
    }


def unestimable(estimates: Estimates) -> list[str]:
    """Which rows the data cannot estimate."""
    functions = estimates.functions
    lost = np.flatnonzero(~functions.estimable & ~functions.absent)
    if not lost.size:
        return []
    places = combinations_of(estimates.axes)
    names = [
        " ".join(worded(a, a.labels[at[j]]) for a, at in zip(estimates.axes, places, strict=True))
        for j in lost[:8]
    ]
    more = f" and {lost.size - 8} more" if lost.size > 8 else ""
    return [
        f"Not estimable, because the data lack combinations of levels they need: "
        f"{', '.join(names)}{more}."
    ]


def closing_notes(estimates: Estimates) -> list[str]:
    """Scale, method and level of a table without tests."""
    return [
        *scale_notes(estimates),
        estimates.method.sentence,
        f"Intervals have confidence level {estimates.level:g}, each for itself.",
    ]


def scale_notes(estimates: Estimates) -> list[str]:
    """On which scale the numbers are."""
    scale = estimates.scale
    if scale is None:
        return []
    if not estimates.response:
        return [f"On the {scale.name} scale, not that of the response."]
    return [
        f"Back-transformed from the {scale.name} scale ({scale.what} at random effects of zero, "
        "not averaged over them): standard errors by the delta method, intervals transformed."
    ]


def wald(value: Floats, std_error: Floats, df: Floats) -> tuple[Floats, Floats]:
    """Statistics and two-sided p values."""
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(std_error > 0, value / std_error, np.nan)
    return statistic, t_tail(statistic, df)
