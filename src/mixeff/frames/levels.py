"""Levels: factor -> int32 codes + level table; numbers as groups; interactions of factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Levels = tuple[str, ...]

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


def category_labels(categories: Sequence[Any]) -> Levels:
    """Category values of any type as R would label them."""
    return tuple(category if type(category) is str else _label(category) for category in categories)


def _label(category: Any) -> str:
    if isinstance(category, bool | np.bool_):
        return "TRUE" if category else "FALSE"
    if isinstance(category, float | np.floating):
        return number_label(float(category))
    return str(category)


def sort_levels(codes: Codes, levels: Levels) -> tuple[Codes, Levels]:
    """The same factor with its levels sorted by code point and unused ones dropped."""
    codes, levels = drop_unused(codes, levels)
    order = sorted(range(len(levels)), key=levels.__getitem__)
    return _relabel(codes, np.array(order, dtype=np.int64)), tuple(levels[k] for k in order)


def _relabel(codes: Codes, order: NDArray[np.int64]) -> Codes:
    """Codes after the levels were put in a new order; -1 stays -1."""
    table = np.full(len(order) + 1, -1, dtype=np.int32)
    table[order] = np.arange(len(order), dtype=np.int32)
    return table[codes]


def drop_unused(codes: Codes, levels: Levels) -> tuple[Codes, Levels]:
    """Leave out levels no row has, keeping the order of the others (R's ``droplevels``).

    Parameters
    ----------
    codes : (n,) int32 array, -1 where missing
    levels : tuple of str, length k

    Returns
    -------
    codes : (n,) int32 array, the same object if every level is used
    levels : tuple of str
    """
    k = len(levels)
    if k == 0:
        return codes, levels
    # Code -1 counts in the last cell, which is then ignored.
    used = np.bincount(codes + 1 if codes.size and codes.min() < 0 else codes, minlength=k)
    if codes.size and codes.min() < 0:
        used = used[1:]
    present = used[:k] > 0
    if present.all():
        return codes, levels
    table = np.full(k + 1, -1, dtype=np.int32)
    kept = np.flatnonzero(present)
    table[kept] = np.arange(len(kept), dtype=np.int32)
    return table[codes], tuple(levels[j] for j in kept.tolist())


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
    missing = np.isnan(values)
    some_missing = bool(missing.any())
    present = values[~missing] if some_missing else values
    distinct, inverse = _distinct(present)
    labels = number_labels(distinct, integer=integer)
    if len(set(labels)) < len(labels):  # numbers equal to 15 digits are one level, as in R
        first: dict[str, int] = {}
        merge = np.array([first.setdefault(label, len(first)) for label in labels], dtype=np.int32)
        inverse, labels = merge[inverse], list(first)
    if not some_missing:
        return inverse, tuple(labels)
    codes = np.full(values.shape[0], -1, dtype=np.int32)
    codes[~missing] = inverse
    return codes, tuple(labels)


def _distinct(values: Floats) -> tuple[Floats, Codes]:
    """Sorted distinct values and each row's place among them; counting where it can be done."""
    if values.size:
        low, high = float(values.min()), float(values.max())
        if high - low <= 4.0 * values.size + 1000.0 and low == int(low):
            shifted = values - low
            keys = shifted.astype(np.int64)
            if (keys == shifted).all():
                used, codes = _compress(keys, int(high - low) + 1)
                return used.astype(np.float64) + low, codes
    distinct, inverse = np.unique(values, return_inverse=True)
    return distinct, inverse.astype(np.int32)


def _compress(keys: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], Codes]:
    """Sorted distinct keys in 0 .. size - 1 and each row's place among them."""
    if size <= 4 * keys.size + 1000:
        present = np.zeros(size, dtype=bool)
        present[keys] = True
        used = np.flatnonzero(present)
        table = np.zeros(size, dtype=np.int32)
        table[used] = np.arange(used.size, dtype=np.int32)
        return used, table[keys]
    distinct, inverse = np.unique(keys, return_inverse=True)
    return distinct, inverse.astype(np.int32)


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
        missing = (codes < 0) | (other_codes < 0)
        some_missing = bool(missing.any())
        keys = codes.astype(np.int64) * width + other_codes
        used, inverse = _compress(keys[~missing] if some_missing else keys, len(levels) * width)
        if some_missing:
            combined = np.full(keys.shape[0], -1, dtype=np.int32)
            combined[~missing] = inverse
        else:
            combined = inverse
        left = [levels[k] for k in (used // max(width, 1)).tolist()]
        right = [other_levels[k] for k in (used % max(width, 1)).tolist()]
        codes, levels = combined, tuple(map(":".join, zip(left, right, strict=True)))
    return codes, levels


def match_levels(codes: Codes, levels: Levels, known: Levels) -> tuple[Codes, Levels]:
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
