"""What a formula expression becomes over columns: numbers or categories, one entry per row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.frames.labels import Levels
from mixeff.frames.levels import drop_unused

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Numeric:
    """Numbers, one per row or one row of a matrix per row.

    Attributes
    ----------
    values : (n,) or (n, m) float64 array, NaN where missing
    suffixes : tuple of str
        Empty for a vector; for a matrix the m column names R appends to the term's label
        (``poly(x, 2)`` has ``"1", "2"``).
    integer : bool
        The numbers are R integers; they are written without an exponent in level labels.
    """

    values: Floats
    suffixes: tuple[str, ...] = ()
    integer: bool = False


@dataclass(frozen=True, slots=True)
class Categorical:
    """Categories, one per row.

    Attributes
    ----------
    codes : (n,) int32 array, position in ``levels``, -1 where missing
    levels : tuple of str
    ordered : bool
    logical : bool
        R's logical: the levels are exactly ``FALSE, TRUE``.
    text : bool
        R's character vector: ``as.numeric`` reads the text, while it counts the levels of a factor.
    """

    codes: Codes
    levels: Levels
    ordered: bool = False
    logical: bool = False
    text: bool = False


Value = Numeric | Categorical

LOGICAL_LEVELS = ("FALSE", "TRUE")


def logical(truth: NDArray[np.bool_], missing: NDArray[np.bool_]) -> Categorical:
    """R's logical vector from truth values and a mask of missing rows, both (n,)."""
    codes = truth.astype(np.int32)
    codes[missing] = -1
    return Categorical(codes, LOGICAL_LEVELS, ordered=False, logical=True)


def missing_rows(value: Value) -> NDArray[np.bool_]:
    """(n,) mask of the rows where the value (any column of a matrix) is missing."""
    if isinstance(value, Categorical):
        return value.codes < 0
    missing: NDArray[np.bool_] = np.isnan(value.values)
    return missing if missing.ndim == 1 else np.asarray(missing.any(axis=1))


def present_only(value: Categorical) -> Categorical:
    """The same categories without levels that no row has."""
    codes, levels = drop_unused(value.codes, value.levels)
    return Categorical(codes, levels, value.ordered, value.logical, value.text)


def recode(value: Categorical, levels: Levels) -> Categorical:
    """The same categories with ``levels`` first, in that order; others follow as they come."""
    if value.levels == levels:
        return value
    position = {level: code for code, level in enumerate(levels)}
    for level in value.levels:
        position.setdefault(level, len(position))
    table = np.array([position[level] for level in value.levels] + [-1], dtype=np.int32)
    return Categorical(
        table[value.codes], tuple(position), value.ordered, value.logical, value.text
    )
