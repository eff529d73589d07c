"""``cut``: numbers into intervals, with R's breaks and labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mixeff.design.values import Categorical, Floats, Numeric
from mixeff.errors import DataError

MAX_INTERVALS = 100_000


def even_breaks(x: Floats, count: int, text: str) -> Floats:
    """``count`` intervals of equal length over the range of x, the outer ones a little longer."""
    if not 2 <= count <= MAX_INTERVALS:
        raise DataError(
            f"'{text}' asks for {count} intervals; ask for at least 2 and at most {MAX_INTERVALS}"
        )
    finite = x[np.isfinite(x)]
    if finite.size == 0:
        raise DataError(f"'{text}' has no finite number to cut")
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        margin = abs(low) / 1000 or 1e-3
        return np.linspace(low - margin, high + margin, count + 1)
    breaks = np.linspace(low, high, count + 1)
    margin = (high - low) / 1000
    breaks[0], breaks[-1] = low - margin, high + margin
    return breaks


def sorted_breaks(breaks: Sequence[float], text: str) -> Floats:
    """Breaks as given, in order; two equal ones are an error."""
    result = np.sort(np.array(breaks, dtype=np.float64))
    if np.any(np.diff(result) == 0):
        raise DataError(f"'{text}' has the same break twice; its breaks must all differ")
    return result


def interval_codes(x: Floats, breaks: Floats, *, right: bool, include_lowest: bool) -> Numeric:
    """Interval of each number, counted from 1; NaN outside all intervals.

    Intervals are ``(a, b]`` (``right``) or ``[a, b)``; ``include_lowest`` closes the outermost one.
    """
    present = ~np.isnan(x)
    codes = np.searchsorted(breaks, x, side="left" if right else "right").astype(np.float64)
    edge, place = (breaks[0], 1) if right else (breaks[-1], len(breaks) - 1)
    codes[x == edge] = place if include_lowest else 0
    inside = present & (codes >= 1) & (codes <= len(breaks) - 1)
    return Numeric(np.where(inside, codes, np.nan), integer=True)


def interval_labels(
    breaks: Floats, *, right: bool, include_lowest: bool, digits: int
) -> tuple[str, ...]:
    """R's names of the intervals, ``(0,1.5]``."""
    names = break_labels(breaks, digits)
    start, end = ("(", "]") if right else ("[", ")")
    labels = [f"{start}{a},{b}{end}" for a, b in pairwise(names)]
    if include_lowest and right:
        labels[0] = "[" + labels[0][1:]
    elif include_lowest:
        labels[-1] = labels[-1][:-1] + "]"
    return tuple(labels)


def as_categories(codes: Numeric, labels: Sequence[str], ordered: bool) -> Categorical:
    """Interval numbers with their labels; equal labels become one level."""
    place: dict[str, int] = {}
    for name in labels:
        place.setdefault(name, len(place))
    table = np.array([place[name] for name in labels] + [-1], dtype=np.int32)
    places = np.where(np.isnan(codes.values), len(labels), codes.values - 1).astype(np.int64)
    return Categorical(table[places], tuple(place), ordered)


def break_labels(breaks: Floats, digits: int) -> list[str]:
    """The breaks of ``cut``, to as few digits (from ``digits`` up to 12) as keep them distinct."""
    labels: list[str] = []
    for precision in range(digits, max(12, digits) + 1):
        labels = [_break_label(float(value), precision) for value in breaks]
        if len(set(labels)) == len(labels):
            break
    return labels


def _break_label(value: float, precision: int) -> str:
    # R pads positive infinity with a blank here, and users' level names carry it: "(1.5, Inf]".
    if np.isinf(value):
        return " Inf" if value > 0 else "-Inf"
    return f"{value + 0.0:.{precision}g}"
