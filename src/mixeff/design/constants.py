"""Constant arguments of formula functions: ``df = 4``, ``breaks = c(0, 1.5, Inf)``."""

from __future__ import annotations

import math

import numpy as np

from mixeff.errors import FormulaError
from mixeff.formula.functions import match_arguments
from mixeff.formula.tree import Binary, Call, Expression, Name, Number, Parenthesis, String, Unary

Scalar = float | bool | str | None
Constant = Scalar | tuple[Scalar, ...]

NAMED: dict[str, Scalar] = {
    "TRUE": True,
    "T": True,
    "FALSE": False,
    "F": False,
    "pi": math.pi,
    "Inf": math.inf,
    "NULL": None,
    "NA": math.nan,
    "NaN": math.nan,
    "NA_real_": math.nan,
    "NA_integer_": math.nan,
}


MAX_LENGTH = 100_000


class NotConstantError(Exception):
    """The expression is not a constant; callers turn this into a sentence with the argument."""


def constant(expression: Expression) -> Constant:
    """The value of a constant expression: a scalar, or a tuple for ``c(...)`` and ``a:b``."""
    match expression:
        case Number(value=value):
            return value
        case String(value=text):
            return text
        case Name(name=name) if name in NAMED:
            return NAMED[name]
        case Parenthesis(inner=inner):
            return constant(inner)
        case Unary(operator=operator, operand=operand):
            return _unary(operator, constant(operand))
        case Binary(operator=operator, left=left, right=right):
            return _binary(operator, constant(left), constant(right))
        case Call(function="c", arguments=arguments):
            parts = [constant(argument.value) for argument in arguments]
            return tuple(item for part in parts for item in as_tuple(part))
        case Call(function="seq"):
            return _sequence(match_arguments(expression))
        case Call(function=function, arguments=(argument,)) if function in _FUNCTIONS:
            return _elementwise(function, constant(argument.value))
    raise NotConstantError


def as_tuple(value: Constant) -> tuple[Scalar, ...]:
    """A constant as R's vector: NULL is empty, a scalar has length one."""
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _numbers(value: Constant) -> list[float]:
    items = as_tuple(value)
    if any(isinstance(item, str) or item is None for item in items):
        raise NotConstantError
    return [float(item) for item in items if item is not None]


def _pack(numbers: list[float]) -> Constant:
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _unary(operator: str, value: Constant) -> Constant:
    if operator == "!" and isinstance(value, bool):
        return not value
    if operator in {"-", "+"}:
        return _pack([-number if operator == "-" else number for number in _numbers(value)])
    raise NotConstantError


_FUNCTIONS = {
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "exp": np.exp,
    "sqrt": np.sqrt,
}

_OPERATIONS = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
}


def _elementwise(function: str, value: Constant) -> Constant:
    with np.errstate(all="ignore"):
        result = _FUNCTIONS[function](np.array(_numbers(value)))
    return _checked(result.tolist(), f"{function}()")


def _binary(operator: str, left: Constant, right: Constant) -> Constant:
    a, b = _numbers(left), _numbers(right)
    if operator == ":" and len(a) == len(b) == 1:
        _check_length(abs(b[0] - a[0]))
        step = 1.0 if b[0] >= a[0] else -1.0
        return _pack([a[0] + step * k for k in range(int(abs(b[0] - a[0]) + 1e-10) + 1)])
    if operator not in _OPERATIONS or (len(a) != len(b) and 1 not in (len(a), len(b))):
        raise NotConstantError
    with np.errstate(all="ignore"):
        result = _OPERATIONS[operator](np.array(a), np.array(b))
    return _checked(result.tolist(), repr(operator))


def _sequence(arguments: dict[str, Expression]) -> Constant:
    """R's ``seq(from, to, by =)`` or ``seq(from, to, length.out =)``."""
    given = {name: _numbers(constant(argument)) for name, argument in arguments.items()}
    if any(len(numbers) != 1 for numbers in given.values()):
        raise NotConstantError
    start, end = given["from"][0], given["to"][0]
    if "length.out" in given:
        if "by" in given or given["length.out"][0] < 1:
            raise FormulaError("seq() takes either by= or length.out= (at least 1)")
        _check_length(given["length.out"][0])
        return _pack(np.linspace(start, end, math.ceil(given["length.out"][0])).tolist())
    step = given["by"][0] if "by" in given else math.copysign(1.0, end - start)
    if step == 0 or (end - start) / step < 0:
        raise FormulaError("seq() cannot get from its start to its end with this by=")
    _check_length((end - start) / step)
    # R's tolerance: the end counts as reached when it is missed by rounding only
    steps = math.floor((end - start) / step + 1e-10)
    return _pack([start + step * k for k in range(steps + 1)])


def _check_length(length: float) -> None:
    if not length <= MAX_LENGTH:
        raise FormulaError(f"a sequence in a formula has at most {MAX_LENGTH} numbers")


def _checked(numbers: list[float], source: str) -> Constant:
    if any(math.isnan(number) for number in numbers):
        raise FormulaError(f"a constant in the formula is not a number (from {source})")
    return _pack(numbers)
