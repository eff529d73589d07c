"""Comparisons and logical operators, with R's three-valued logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.arithmetic import numbers_of
from mixeff.design.values import Categorical, Numeric, Value, logical, missing_rows, recode
from mixeff.errors import DataError, FormulaError
from mixeff.frames.levels import codes_of_numbers

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


def compare(operator: str, left: Value, right: Value, text: str) -> Categorical:
    """``left operator right`` as a logical.

    Numbers compare with numbers; text and factors compare by label with ``==`` and ``!=``, ordered
    factors also by rank with one of their own levels.
    """
    left, right = _common(left, right)
    missing = missing_rows(left) | missing_rows(right)
    compared = COMPARISONS[operator]
    if isinstance(left, Numeric) and isinstance(right, Numeric):
        if left.values.ndim > 1 or right.values.ndim > 1:
            raise FormulaError(f"'{text}' compares a matrix; compare its columns one by one")
        return logical(compared(left.values, right.values), missing)
    assert isinstance(left, Categorical)
    assert isinstance(right, Categorical)
    if operator in {"==", "!="}:
        a, b = _same_codes(left, right)
    else:
        a, b = _ranks(left, right, operator, text)
    return logical(compared(a, b), missing)


def member(value: Value, table: tuple[str, ...]) -> Categorical:
    """``value %in% c(...)``: never missing, as R's."""
    categories = as_labels(value)
    found = np.array([level in table for level in categories.levels] + [False])
    return logical(found[categories.codes], np.zeros(categories.codes.shape[0], dtype=bool))


def both(left: Categorical, right: Categorical) -> Categorical:
    """``left & right``: FALSE wins over missing."""
    certain = (left.codes == 0) | (right.codes == 0)
    missing = (missing_rows(left) | missing_rows(right)) & ~certain
    return logical((left.codes == 1) & (right.codes == 1), missing)


def either(left: Categorical, right: Categorical) -> Categorical:
    """``left | right``: TRUE wins over missing."""
    truth = (left.codes == 1) | (right.codes == 1)
    missing = (missing_rows(left) | missing_rows(right)) & ~truth
    return logical(truth, missing)


def negation(value: Categorical) -> Categorical:
    """``!value``."""
    return logical(value.codes == 0, missing_rows(value))


def as_truth(value: Value, text: str) -> Categorical:
    """The value as a logical: numbers are TRUE where not zero, as in R."""
    if isinstance(value, Categorical):
        if value.logical:
            return value
        raise DataError(f"'{text}' needs TRUE or FALSE, but gets text or a factor")
    if value.values.ndim > 1:
        raise FormulaError(f"'{text}' needs TRUE or FALSE, but gets a matrix")
    return logical(value.values != 0, np.isnan(value.values))


def as_labels(value: Value) -> Categorical:
    """One column of numbers as the text R writes for them; categories unchanged."""
    if isinstance(value, Categorical):
        return value
    codes, levels = codes_of_numbers(value.values, integer=value.integer)
    return Categorical(codes, levels, text=True)


def _common(left: Value, right: Value) -> tuple[Value, Value]:
    """Both numeric or both categorical; a logical meets numbers as 0 and 1."""
    a, b = numbers_of(left), numbers_of(right)
    if a is not None and b is not None:
        return a, b
    return as_labels(left), as_labels(right)


def _same_codes(
    left: Categorical, right: Categorical
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return left.codes, recode(right, left.levels).codes


def _ranks(
    left: Categorical, right: Categorical, operator: str, text: str
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    scale = left if left.ordered else right
    if not scale.ordered:
        raise DataError(
            f"'{text}' asks for an order ('{operator}') of text or an unordered factor; "
            "compare with == or !=, or make the column an ordered factor"
        )
    position = {level: rank for rank, level in enumerate(scale.levels)}
    ranks = []
    for side in (left, right):
        unknown = [level for level in side.levels if level not in position]
        if unknown:
            raise DataError(
                f"'{text}' compares with {unknown[0]!r}, which is no level of the ordered factor; "
                f"its levels are {', '.join(scale.levels)}"
            )
        table = np.array([position[level] for level in side.levels] + [-1], dtype=np.int32)
        ranks.append(table[side.codes])
    return ranks[0], ranks[1]
