"""What a function of a formula sees: its arguments evaluated, and what it learnt in training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mixeff.design.arithmetic import numbers_of
from mixeff.design.constants import Constant, NotConstantError, Scalar, as_tuple, constant
from mixeff.design.values import Categorical, Numeric, Value
from mixeff.errors import DataError, FormulaError
from mixeff.formula.deparse import deparse
from mixeff.formula.functions import match_arguments
from mixeff.formula.tree import Argument, Binary, Call, Expression, Name, Parenthesis, Unary

Learnt = tuple[Any, ...]
Result = tuple[Value, Learnt | None]
LEVELS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A call whose arguments can be asked for.

    ``evaluate(expression, key)`` evaluates an argument; ``key`` tells the arguments of one call
    apart, so that stateful transforms inside them find their own state again. ``learnt`` is None
    while training.
    """

    call: Call
    evaluate: Callable[[Expression, str], Value]
    learnt: Learnt | None

    @property
    def text(self) -> str:
        """The call as R writes it."""
        return deparse(self.call)

    def given(self) -> dict[str, Expression]:
        """Arguments by R's name for them."""
        return match_arguments(self.call)

    def several(self, *options: str) -> list[tuple[Argument, Value]]:
        """The data arguments of ``cbind`` and its like, evaluated; the ``options`` are left out."""
        return [
            (argument, self.evaluate(argument.value, str(place)))
            for place, argument in enumerate(self.call.arguments)
            if argument.name is None or argument.name not in options
        ]

    def value(self, name: str = "x") -> Value:
        """A data argument, evaluated."""
        expression = self.given().get(name)
        if expression is None:
            raise FormulaError(f"'{self.text}' lacks its argument '{name}'")
        return self.evaluate(expression, name)

    def numeric(self, name: str = "x") -> Numeric:
        """A data argument that must be numbers."""
        expression = self.given().get(name)
        value = self.value(name)
        return need_numbers(value, expression or self.call, self.text)

    def vector(self, name: str = "x") -> Numeric:
        """A data argument that must be one column of numbers."""
        value = self.numeric(name)
        if value.values.ndim > 1:
            raise FormulaError(
                f"'{self.text}' needs one column of numbers, but its argument is a matrix "
                "(of several variables)"
            )
        return value

    def constant(self, name: str, default: Constant = None) -> Constant:
        """An argument that must be a constant."""
        expression = self.given().get(name)
        if expression is None:
            return default
        try:
            return constant(expression)
        except NotConstantError:
            raise FormulaError(
                f"the argument '{name}' of '{self.text}' must be a constant, "
                f"not '{deparse(expression)}'"
            ) from None

    def flag(self, name: str, default: bool) -> bool:
        """An argument that is TRUE or FALSE."""
        value = self.constant(name, default)
        if isinstance(value, str | tuple) or value is None:
            raise FormulaError(f"the argument '{name}' of '{self.text}' must be TRUE or FALSE")
        return bool(value)

    def number(self, name: str) -> float | None:
        """An argument that is one number, or None where not given (or NULL)."""
        numbers = self.numbers(name)
        if numbers is not None and len(numbers) != 1:
            raise FormulaError(f"the argument '{name}' of '{self.text}' must be one number")
        return None if numbers is None else numbers[0]

    def whole(self, name: str) -> int | None:
        """An argument that is one whole number."""
        value = self.number(name)
        if value is not None and not value.is_integer():
            raise FormulaError(f"the argument '{name}' of '{self.text}' must be a whole number")
        return None if value is None else int(value)

    def count(self, name: str) -> int | None:
        """An argument that is one whole number, not negative."""
        value = self.whole(name)
        if value is not None and value < 0:
            raise FormulaError(f"the argument '{name}' of '{self.text}' must not be negative")
        return value

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """An argument that is a vector of numbers, or None where not given (or NULL)."""
        value = self.constant(name)
        if value is None:
            return None
        items = as_tuple(value)
        if any(isinstance(item, str) or item is None for item in items):
            raise FormulaError(f"the argument '{name}' of '{self.text}' must be numbers")
        numbers = tuple(float(item) for item in items if item is not None)
        if any(math.isnan(number) for number in numbers):
            raise FormulaError(f"the argument '{name}' of '{self.text}' must not be missing")
        return numbers

    def items(self, name: str) -> tuple[Scalar, ...] | None:
        """An argument that is a vector of constants of any kind."""
        value = self.constant(name)
        return None if value is None else as_tuple(value)


def need_numbers(value: Value, argument: Expression, text: str) -> Numeric:
    """The value as numbers, or a DataError naming the expression and the column."""
    numbers = numbers_of(value)
    if numbers is not None:
        return numbers
    assert isinstance(value, Categorical)
    kind = "text" if value.text else "a factor"
    levels = ", ".join(value.levels[:LEVELS_SHOWN])
    if len(value.levels) > LEVELS_SHOWN:
        levels += ", ..."
    columns = column_names(argument)
    where = f"'{deparse(argument)}'"
    if columns and deparse(argument) not in columns:
        where += f" (of column{'s' if len(columns) > 1 else ''} {', '.join(columns)})"
    raise DataError(
        f"'{text}' needs numbers, but {where} is {kind} with the levels {levels}. "
        "If the levels spell numbers, write as.numeric(as.character(...))."
    )


def column_names(expression: Expression) -> tuple[str, ...]:
    """Names used in an expression, in order of appearance."""
    match expression:
        case Name(name=name):
            return (name,)
        case Unary(operand=inner) | Parenthesis(inner=inner):
            return column_names(inner)
        case Binary(left=left, right=right):
            return tuple(dict.fromkeys(column_names(left) + column_names(right)))
        case Call(arguments=arguments):
            names = [name for argument in arguments for name in column_names(argument.value)]
            return tuple(dict.fromkeys(names))
    return ()
