"""Arithmetic and elementary functions of columns, with R's rules.

A result that is not a number where the arguments are numbers (``log(-1)``, ``0 / 0``) is an error:
R would warn and then drop those rows as if they had been missing from the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mixeff.design.values import Categorical, Floats, Numeric, Value
from mixeff.errors import DataError

ROWS_NAMED = 5
# of a power of ten that is a double
LARGEST_EXPONENT = 308


def _divide_whole(a: Floats, b: Floats) -> Floats:
    """R's ``%/%``."""
    return np.where(b == 0, a / b, np.floor_divide(a, b))


def _power(a: Floats, b: Floats) -> Floats:
    # R squares by multiplication, which rounds correctly; pow() need not, and is slow
    squared = b == 2
    if squared.all():
        return a * a
    return np.where(squared, a * a, np.power(a, b))


OPERATORS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": _power,
    "%%": np.mod,
    "%/%": _divide_whole,
}

FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "sign": np.sign,
    "floor": np.floor,
    "ceiling": np.ceil,
}

# operations R keeps in integers when both sides are
_INTEGER_OPERATORS = {"+", "-", "*", "%%", "%/%"}


def binary(operator: str, left: Numeric, right: Numeric, text: str) -> Numeric:
    """``left operator right``; a vector meets a matrix column by column. ``text`` names it."""
    a, b = _aligned(left.values, right.values)
    with np.errstate(all="ignore"):
        result = OPERATORS[operator](a, b)
    refuse_new_nan(result, (a, b), text)
    suffixes = left.suffixes or right.suffixes
    integer = left.integer and right.integer and operator in _INTEGER_OPERATORS
    return Numeric(result, suffixes, integer)


def elementwise(function: str, argument: Numeric, text: str) -> Numeric:
    """One of ``FUNCTIONS`` of every number."""
    with np.errstate(all="ignore"):
        result = FUNCTIONS[function](argument.values)
    refuse_new_nan(result, (argument.values,), text)
    return Numeric(result, argument.suffixes, function == "abs" and argument.integer)


def logarithm(argument: Numeric, base: float | None, text: str) -> Numeric:
    """``log(x)`` or ``log(x, base)``."""
    special = {2.0: np.log2, 10.0: np.log10}
    with np.errstate(all="ignore"):
        if base is None:
            result = np.log(argument.values)
        elif base in special:
            result = special[base](argument.values)
        else:
            result = np.log(argument.values) / np.log(base)
    refuse_new_nan(result, (argument.values,), text)
    return Numeric(result, argument.suffixes)


def rounded(argument: Numeric, digits: int) -> Numeric:
    """R's ``round(x, digits)``: the nearest representable decimal, ties to the even one."""
    x = argument.values
    if digits == 0:
        return Numeric(np.rint(x), argument.suffixes, argument.integer)
    if digits > LARGEST_EXPONENT:
        return argument
    scale = 10.0 ** min(-digits if digits < 0 else digits, LARGEST_EXPONENT)
    enlarge, reduce = (np.multiply, np.divide) if digits > 0 else (np.divide, np.multiply)
    with np.errstate(all="ignore"):
        steps = enlarge(x, scale)
        below, above = reduce(np.floor(steps), scale), reduce(np.ceil(steps), scale)
        down, up = x - below, above - x
        choose_below = (down < up) | ((down == up) & (np.floor(steps) % 2 == 0))
        # numbers whose last of 15 significant digits lies before the place asked stay as they are
        coarse = ~np.isfinite(steps) | (digits + np.ceil(np.log10(np.abs(x))) > 15)
    result = np.where(coarse | (x == 0), x, np.where(choose_below, below, above))
    return Numeric(result, argument.suffixes, argument.integer and digits >= 0)


def extreme(function: str, arguments: Sequence[Numeric], *, skip_missing: bool) -> Numeric:
    """``pmin``, ``pmax``: row by row; missing where any argument is (all if ``skip_missing``)."""
    choose: Callable[[Floats, Floats], Floats]
    if skip_missing:
        choose = np.fmin if function == "pmin" else np.fmax
    else:
        choose = np.minimum if function == "pmin" else np.maximum
    result = arguments[0]
    for other in arguments[1:]:
        a, b = _aligned(result.values, other.values)
        suffixes = result.suffixes or other.suffixes
        result = Numeric(choose(a, b), suffixes, result.integer and other.integer)
    return result


def negated(argument: Numeric) -> Numeric:
    """``-x``."""
    return Numeric(-argument.values, argument.suffixes, argument.integer)


def numbers_of(value: Value) -> Numeric | None:
    """The value as numbers where R counts it as numbers (logicals are 0 and 1), else None."""
    if isinstance(value, Numeric):
        return value
    if value.logical:
        return Numeric(counted(value, 0), integer=True)
    return None


def counted(value: Categorical, start: int) -> Floats:
    """Codes as numbers counted from ``start``, NaN where missing."""
    numbers = value.codes.astype(np.float64) + start
    numbers[value.codes < 0] = np.nan
    return numbers


def refuse_new_nan(result: Floats, inputs: Sequence[Floats], text: str) -> None:
    """Raise DataError when ``result`` is NaN in a row where none of the ``inputs`` is."""
    bad = np.isnan(result)
    if not bad.any():
        return
    for values in inputs:
        bad = bad & ~np.isnan(values)
    rows = np.flatnonzero(bad if bad.ndim == 1 else bad.any(axis=1))
    if rows.size:
        shown = [[values[row].tolist() for values in inputs] for row in rows[:1]]
        raise DataError(
            f"'{text}' is not a number in {name_rows(rows)}: there it is computed from "
            f"{' and '.join(str(item) for item in shown[0])}. Leave those rows out, set them to "
            "missing, or change the expression."
        )


def name_rows(rows: NDArray[np.int64]) -> str:
    """``row 3 (counting from 0)``, ``rows 3, 5, 8 and 2 more (counting from 0)``."""
    listed = ", ".join(str(row) for row in rows[:ROWS_NAMED])
    more = f" and {rows.size - ROWS_NAMED} more" if rows.size > ROWS_NAMED else ""
    return f"row{'s' if rows.size > 1 else ''} {listed}{more} (counting from 0)"


def _aligned(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    if a.ndim == b.ndim:
        return a, b
    return (a[:, None], b) if a.ndim == 1 else (a, b[:, None])
