"""Levels: factor -> int32 codes + level table; numbers as groups; interactions of factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.compiled import combine_codes, index_numbers, place_integers, used_levels
from mixeff.frames.labels import LazyLevels, Levels

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
_DIGITS = 15


def number_label(number: float) -> str:
    """A number as R's ``as.character`` writes it: 15 significant digits, the shorter notation.

    Examples
    --------
    >>> [number_label(x) for x in (1.0, 1.5, 1e5, 123456.0, 0.1 + 0.2, 1e-4)]
    ['1', '1.5', '1e+05', '123456', '0.3', '1e-04']
    """
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Inf" if number > 0 else "-Inf"
    if number == int(number) and abs(number) < 1e5:
        return str(int(number))
    mantissa, exponent = f"{number:.{_DIGITS - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    digits = sum(character.isdigit() for character in mantissa)
    fixed = f"{number:.{max(0, digits - 1 - int(exponent))}f}"
    scientific = f"{mantissa}e{exponent}"
    return fixed if len(fixed) <= len(scientific) else scientific


def number_labels(values: Floats, *, integer: bool = False) -> list[str]:
    """Labels of many numbers; R writes integers in full, never as ``1e+05``."""
    items: list[float] = values.tolist()
    if integer:
        return [str(int(i)) if i == int(i) else number_label(i) for i in items]
    return [number_label(item) for item in items]


def category_labels(categories: Sequence[Any]) -> tuple[str, ...]:
    """Category values of any type as R would label them."""
    return tuple(category if type(category) is str else _label(category) for category in categories)


def _label(category: Any) -> str:
    if isinstance(category, bool | np.bool_):
        return "TRUE" if category else "FALSE"
    if isinstance(category, float | np.floating):
        return number_label(float(category))
    return str(category)


def sort_levels(codes: Codes, levels: Levels) -> tuple[Codes, tuple[str, ...]]:
    """The same factor with its levels sorted by code point and unused ones dropped."""
    codes, levels = drop_unused(codes, levels)
    ordered = sorted(levels)
    place = {label: code for code, label in enumerate(ordered)}
    table = np.array([place[label] for label in levels] + [-1], dtype=np.int32)
    return table[codes], tuple(ordered)


def drop_unused(codes: Codes, levels: Levels) -> tuple[Codes, Levels]:
    """Leave out levels no row has, keeping the order of the others (R's ``droplevels``).

    Parameters
    ----------
    codes : (n,) int32 array, -1 where missing
    levels : tuple of str, length k

    Returns
    -------
    codes : (n,) int32 array, the same object if every level is used
    levels : tuple of str, the same object if every level is used
    """
    k = len(levels)
    if k == 0:
        return codes, levels
    present, count, _ = used_levels(codes, k)
    if count == k:
        return codes, levels
    table = np.full(k + 1, -1, dtype=np.int32)
    kept = np.flatnonzero(present)
    table[kept] = np.arange(count, dtype=np.int32)
    return table[codes], LazyLevels(count, partial(_chosen, levels, kept))


def _chosen(levels: Levels, places: NDArray[np.int64]) -> list[str]:
    """The labels at the given places."""
    table = tuple(levels)
    return [table[k] for k in places.tolist()]


def codes_of_numbers(values: Floats, *, integer: bool = False) -> tuple[Codes, Levels]:
    """Numbers as a grouping factor: levels in numeric order, labelled as R labels them.

    Parameters
    ----------
    values : (n,) float64 array, NaN where missing
    integer : bool, whether the numbers are integers by type (labels without exponent)

    Returns
    -------
    codes : (n,) int32 array, -1 where missing
    levels : tuple of str

    Examples
    --------
    >>> codes_of_numbers(np.array([10.0, 2.0, np.nan, 10.0]))
    (array([ 1,  0, -1,  1], dtype=int32), ('2', '10'))
    """
    codes, distinct = _distinct(np.ascontiguousarray(values))
    # Whole numbers below 1e15 differ in their first 15 digits; others may read alike.
    if (distinct == np.floor(distinct)).all() and (integer or (np.abs(distinct) < 1e15).all()):
        return codes, LazyLevels(distinct.size, partial(number_labels, distinct, integer=integer))
    labels = number_labels(distinct, integer=integer)
    if len(set(labels)) < len(labels):  # numbers equal to 15 digits are one level, as in R
        first: dict[str, int] = {}
        merge = np.array([first.setdefault(label, len(first)) for label in labels] + [-1])
        codes, labels = merge.astype(np.int32)[codes], list(first)
    return codes, tuple(labels)


def _distinct(values: Floats) -> tuple[Codes, Floats]:
    """Each row's place among the sorted distinct values; counting where it can be done."""
    if values.size:
        low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
        if high - low <= 4.0 * values.size + 1000.0 and low == math.floor(low):
            found = place_integers(values, low, int(high - low) + 1)
            if found is not None:
                return found[0], found[1].astype(np.float64) + low
    return index_numbers(values)


def interaction(factors: Sequence[tuple[Codes, Levels]]) -> tuple[Codes, Levels]:
    """The interaction ``a:b`` of factors: only the combinations present, the last varies fastest.

    Labels are the components' labels joined by colons, as R's ``:`` of factors gives and lme4
    names nested groups.

    Parameters
    ----------
    factors : sequence of (codes, levels); codes (n,) int32, -1 where missing

    Returns
    -------
    codes : (n,) int32 array, -1 where any component is missing
    levels : tuple of str

    Examples
    --------
    >>> b = np.array([0, 1, 0], np.int32), ("x", "y")
    >>> a = np.array([1, 1, 0], np.int32), ("1", "2")
    >>> interaction([b, a])
    (array([1, 2, 0], dtype=int32), ('x:1', 'x:2', 'y:2'))
    """
    codes, levels = factors[0]
    for other_codes, other_levels in factors[1:]:
        width = len(other_levels)
        combined, keys = combine_codes(codes, len(levels), other_codes, width)
        make = partial(_joined, levels, other_levels, keys)
        codes, levels = combined, LazyLevels(keys.size, make)
    return codes, levels


def _joined(left: Levels, right: Levels, keys: NDArray[np.int64]) -> list[str]:
    """Labels ``left:right`` of the pairs with the given keys, right varying fastest."""
    width = max(len(right), 1)
    firsts, seconds = _chosen(left, keys // width), _chosen(right, keys % width)
    return list(map(":".join, zip(firsts, seconds, strict=True)))


def match_levels(codes: Codes, levels: Levels, known: Levels) -> tuple[Codes, tuple[str, ...]]:
    """Codes of new data in terms of the levels known from training.

    Returns
    -------
    codes : (n,) int32 array: position in ``known``, -1 for a level not known, -2 where missing
    unseen : tuple of str, the levels present in the new data but not known
    """
    position = {level: code for code, level in enumerate(known)}
    table = np.array([position.get(level, -1) for level in levels] + [-2], dtype=np.int32)
    codes, present = table[codes], drop_unused(codes, levels)[1]
    return codes, tuple(level for level in present if level not in position)
