"""Functions that make or change factors, with R's rules for the levels and their order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mixeff.design.arithmetic import counted
from mixeff.design.comparisons import as_labels
from mixeff.design.constants import Scalar
from mixeff.design.values import Categorical, Numeric, Value, present_only
from mixeff.errors import DataError, FormulaError
from mixeff.frames.levels import drop_unused, number_label, sort_levels

#: Levels an interaction may have when it keeps those without rows.
MAX_COMBINATIONS = 5_000_000


def label(item: Scalar, *, whole: bool = False) -> str:
    """A constant as R's ``as.character``; ``whole``: to compare with integers, ``100000``."""
    if isinstance(item, bool):
        return "TRUE" if item else "FALSE"
    if isinstance(item, str):
        return item
    number = float(item or 0.0)
    return str(int(number)) if whole and number == int(number) else number_label(number)


def factor(
    value: Value,
    levels: Sequence[str] | None,
    labels: Sequence[str] | None,
    ordered: bool | None,
    text: str,
) -> Categorical:
    """R's ``factor``: levels found in the data (in order) unless given; others are missing."""
    source = labelled(value, text)
    chosen = tuple(levels) if levels is not None else present_levels(source)
    if len(set(chosen)) != len(chosen):
        raise FormulaError(f"the levels given in '{text}' contain one twice")
    names = _level_names(chosen, labels, text)
    place: dict[str, int] = {}
    for name in names:
        place.setdefault(name, len(place))
    final = tuple(place)
    position = {level: place[name] for level, name in zip(chosen, names, strict=True)}
    table = np.array([position.get(level, -1) for level in source.levels] + [-1], dtype=np.int32)
    return Categorical(table[source.codes], final, source.ordered if ordered is None else ordered)


def as_factor(value: Value, text: str) -> Categorical:
    """``as.factor``: a factor stays what it is, with levels that do not occur."""
    if isinstance(value, Categorical) and not value.text and not value.logical:
        return value
    return factor(value, None, None, False, text)


def as_character(value: Value, text: str) -> Categorical:
    """``as.character``: text, whose levels in a model are the distinct texts, sorted."""
    source = labelled(value, text)
    codes, levels = sort_levels(source.codes, source.levels)
    return Categorical(codes, levels, text=True)


def as_number(value: Value, text: str) -> Numeric:
    """``as.numeric``: codes 1 .. k of a factor, the number a text spells, 0 and 1 of logicals."""
    if isinstance(value, Numeric):
        return Numeric(value.values, value.suffixes)
    if value.logical:
        return Numeric(counted(value, 0))
    if not value.text:
        return Numeric(counted(value, 1))
    value = present_only(value)
    table = np.array([_spelt(level, text) for level in value.levels] + [np.nan])
    return Numeric(table[value.codes])


def as_integer(value: Value, text: str) -> Numeric:
    """``as.integer``: ``as.numeric`` without the fraction."""
    number = as_number(value, text)
    return Numeric(np.trunc(number.values), number.suffixes, integer=True)


def relevel(value: Value, reference: str, text: str) -> Categorical:
    """``relevel(f, ref)``: the level ``ref`` moves to the front."""
    if not isinstance(value, Categorical) or value.text or value.logical:
        raise DataError(f"'{text}' needs a factor; write relevel(factor(...), ref = ...)")
    if value.ordered:
        raise DataError(f"'{text}': an ordered factor has no reference level to change")
    if reference not in value.levels:
        raise DataError(
            f"'{text}': {reference!r} is not a level; the levels are {', '.join(value.levels)}"
        )
    first = value.levels.index(reference)
    order = [first, *(code for code in range(len(value.levels)) if code != first)]
    table = np.empty(len(order) + 1, dtype=np.int32)
    table[order] = np.arange(len(order))
    table[-1] = -1
    return Categorical(table[value.codes], tuple(value.levels[code] for code in order))


def interaction(
    factors: Sequence[Categorical], separator: str, *, drop: bool, lexical: bool
) -> Categorical:
    """``interaction(a, b, ...)``: all combinations, the first factor varying fastest.

    ``lexical`` (R's ``lex.order``) lets the last factor vary fastest.
    """
    ordered = list(factors) if lexical else list(reversed(factors))
    sizes = [len(part.levels) for part in ordered]
    if (not drop and math.prod(sizes) > MAX_COMBINATIONS) or math.prod(sizes) > 2**62:
        raise DataError(
            f"interaction() of factors with {', '.join(map(str, sizes))} levels has "
            f"{math.prod(sizes)} combinations; write drop = TRUE to keep those that occur, or a:b"
        )
    codes = np.zeros(ordered[0].codes.shape[0], dtype=np.int64)
    for part, size in zip(ordered, sizes, strict=True):
        codes = codes * size + part.codes
    codes[np.any([part.codes < 0 for part in ordered], axis=0)] = -1
    used = np.unique(codes[codes >= 0]) if drop else np.arange(math.prod(sizes))
    digits = np.unravel_index(used, sizes) if used.size else [used] * len(sizes)
    parts = [
        [part.levels[digit] for digit in column]
        for part, column in zip(ordered, digits, strict=True)
    ]
    if not lexical:
        parts.reverse()
    names = [separator.join(pieces) for pieces in zip(*parts, strict=True)]
    levels = tuple(dict.fromkeys(names))
    position = {name: code for code, name in enumerate(levels)}
    table = np.array([position[name] for name in names] + [-1], dtype=np.int32)
    places = np.where(codes >= 0, np.searchsorted(used, codes), len(names))
    return Categorical(table[places], levels)


def present_levels(value: Categorical) -> tuple[str, ...]:
    """The levels that occur, in order."""
    return tuple(drop_unused(value.codes, value.levels)[1])


def _level_names(
    levels: tuple[str, ...], labels: Sequence[str] | None, text: str
) -> tuple[str, ...]:
    if labels is None or len(labels) == len(levels):
        return tuple(labels) if labels is not None else levels
    if len(labels) == 1:
        return tuple(f"{labels[0]}{k + 1}" for k in range(len(levels)))
    raise DataError(
        f"'{text}' gives {len(labels)} labels for {len(levels)} levels ({', '.join(levels)}); "
        "give one label for each level"
    )


def _spelt(level: str, text: str) -> float:
    spelling = level.strip()
    if spelling == "NA":
        return float("nan")
    try:
        # Python alone would read "1_000" as a number
        if "_" in spelling:
            raise ValueError
        return float(spelling)
    except ValueError:
        raise DataError(
            f"'{text}' needs text that spells numbers, but {level!r} does not"
        ) from None


def labelled(value: Value, text: str) -> Categorical:
    """The value as categories: numbers by the labels R writes for them."""
    if isinstance(value, Numeric) and value.values.ndim > 1:
        raise FormulaError(f"'{text}' needs one column, but gets a matrix")
    return as_labels(value)
