"""The functions a formula may call, over columns.

Each takes the evaluated call and gives the value and what it learnt (None when nothing).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mixeff.design import arithmetic, bases, categories
from mixeff.design.calls import Evaluated, Result, need_numbers
from mixeff.design.values import Floats, Numeric
from mixeff.errors import FormulaError
from mixeff.formula.tree import Name


def identity(call: Evaluated) -> Result:
    """``I(x)``: the argument itself."""
    return call.value(), None


def offset(call: Evaluated) -> Result:
    """``offset(x)``: numbers, passed on."""
    return call.vector("object"), None


def elementwise(call: Evaluated) -> Result:
    """``sqrt``, ``exp``, ``sin`` ..."""
    return arithmetic.elementwise(call.call.function, call.numeric(), call.text), None


def log(call: Evaluated) -> Result:
    """``log(x, base)``."""
    return arithmetic.logarithm(call.numeric(), call.number("base"), call.text), None


def round_(call: Evaluated) -> Result:
    """``round(x, digits)``."""
    return arithmetic.rounded(call.numeric(), call.whole("digits") or 0), None


def pmin_pmax(call: Evaluated) -> Result:
    """``pmin(a, b, ...)``, ``pmax(a, b, ...)``."""
    values = [
        need_numbers(value, argument.value, call.text) for argument, value in call.several("na.rm")
    ]
    skip = call.flag("na.rm", False)
    return arithmetic.extreme(call.call.function, values, skip_missing=skip), None


def cbind(call: Evaluated) -> Result:
    """``cbind(a, b, ...)``: a matrix whose column names are R's."""
    blocks: list[Floats] = []
    names: list[str] = []
    named = False
    for argument, given in call.several("deparse.level"):
        value = need_numbers(given, argument.value, call.text)
        if value.suffixes:
            blocks.append(value.values)
            names.extend(value.suffixes)
            named = True
            continue
        blocks.append(value.values[:, None])
        name = argument.name or (argument.value.name if isinstance(argument.value, Name) else "")
        names.append(name)
        named = named or bool(name)
    if not named:
        names = [str(k + 1) for k in range(len(names))]
    return Numeric(np.concatenate(blocks, axis=1), tuple(names)), None


def constants_only(call: Evaluated) -> Result:
    """``c(...)``, ``seq(...)`` where a column is expected: their length is not that of the data."""
    raise FormulaError(
        f"'{call.text}' stands where a column is expected; it only serves as an argument "
        "such as knots = c(1, 2)"
    )


TRANSFORMS: dict[str, Callable[[Evaluated], Result]] = {
    "I": identity,
    "offset": offset,
    "log": log,
    "round": round_,
    "pmin": pmin_pmax,
    "pmax": pmin_pmax,
    "cbind": cbind,
    "c": constants_only,
    "seq": constants_only,
    "poly": bases.poly,
    "bs": bases.spline,
    "ns": bases.spline,
    "scale": bases.scale,
    "center": bases.scale,
    "factor": categories.factor,
    "ordered": categories.factor,
    "as.factor": categories.as_factor,
    "as.character": categories.as_character,
    "as.integer": categories.as_number,
    "as.numeric": categories.as_number,
    "relevel": categories.relevel,
    "interaction": categories.interaction,
    "cut": categories.cut,
    **dict.fromkeys(arithmetic.FUNCTIONS, elementwise),
}
