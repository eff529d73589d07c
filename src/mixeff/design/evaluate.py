"""Formula expressions over columns: trained once, then applied to new data with the same state.

Nothing of Python is evaluated: the tree holds only operators and the functions of a closed list.
Missing values (NaN, code -1) propagate as in R.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixeff.design import arithmetic, comparisons
from mixeff.design.calls import Evaluated, Learnt, need_numbers
from mixeff.design.constants import NAMED, NotConstantError, as_tuple, constant
from mixeff.design.factors import label
from mixeff.design.transforms import TRANSFORMS
from mixeff.design.values import Categorical, Numeric, Value, logical, present_only, recode
from mixeff.errors import FormulaError
from mixeff.formula.deparse import deparse
from mixeff.formula.tree import Binary, Call, Expression, Name, Number, Parenthesis, String, Unary
from mixeff.frames.columns import Column, FactorColumn, NumericColumn, unknown_column


@dataclass(frozen=True, slots=True)
class TransformState:
    """What the parts of one expression learnt from the training data.

    ``learnt`` pairs the place of a part in the tree (``"/x"``: argument ``x`` of the outermost
    call; ``"/x/left"`` ...) with nested tuples of floats, strings, booleans and None.
    """

    learnt: tuple[tuple[str, Learnt], ...] = ()

    def to_json(self) -> list[Any]:
        """Nested lists a JSON file can hold."""
        return [[place, _listed(record)] for place, record in self.learnt]

    @classmethod
    def from_json(cls, items: list[Any]) -> TransformState:
        """The state from what ``to_json`` gave."""
        return cls(tuple((place, _tupled(record)) for place, record in items))


def train(
    expression: Expression, columns: Mapping[str, Column], n_rows: int
) -> tuple[Value, TransformState]:
    """Evaluate an expression, learning what its stateful transforms need for new data.

    Parameters
    ----------
    expression : Expression
        A variable of the formula, e.g. ``poly(x, 2)``.
    columns : mapping of column name to Column, each with ``n_rows`` rows
    n_rows : int

    Returns
    -------
    value : Numeric or Categorical
    state : TransformState

    Raises
    ------
    UnknownColumnError, DataError
        The data do not have or do not allow what the expression asks.
    FormulaError
        The expression itself makes no sense (a constant argument that is none ...).
    """
    evaluation = _Evaluation(columns, n_rows, None, {})
    value = evaluation.top(expression)
    return value, TransformState(tuple(evaluation.learning.items()))


def apply(
    expression: Expression, columns: Mapping[str, Column], n_rows: int, state: TransformState
) -> Value:
    """Evaluate an expression over new data with the state of its training.

    Levels of a factor that the training data did not have come after the training levels.
    """
    return _Evaluation(columns, n_rows, dict(state.learnt), {}).top(expression)


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """One walk over a tree; ``known`` is None while training, ``learning`` collects."""

    columns: Mapping[str, Column]
    n_rows: int
    known: dict[str, Learnt] | None
    learning: dict[str, Learnt]

    def top(self, expression: Expression) -> Value:
        # a lone column needs no state: its levels are the caller's business
        inner = expression
        while isinstance(inner, Parenthesis):
            inner = inner.inner
        if isinstance(inner, Name):
            return self._name(inner)
        value = self._evaluate(expression, "")
        if isinstance(value, Numeric) and value.values.shape[1:] == (1,):
            # R names the only column of a matrix by the label alone
            return Numeric(np.ascontiguousarray(value.values[:, 0]), (), value.integer)
        return value

    def _evaluate(self, expression: Expression, place: str) -> Value:
        match expression:
            case Number(value=value, text=text):
                return Numeric(np.full(self.n_rows, value), (), text.endswith("L"))
            case String(value=text):
                codes = np.zeros(self.n_rows, dtype=np.int32)
                return Categorical(codes, (text,), text=True)
            case Name():
                return self._remembered(self._name(expression), place)
            case Parenthesis(inner=inner):
                return self._evaluate(inner, place)
            case Unary():
                return self._unary(expression, place)
            case Binary():
                return self._binary(expression, place)
            case Call():
                return self._call(expression, place)
        raise FormulaError(f"'{deparse(expression)}' cannot be evaluated")

    def _name(self, name: Name) -> Value:
        column = self.columns.get(name.name)
        if column is not None:
            return column_value(column)
        constant_value = NAMED.get(name.name)
        if isinstance(constant_value, bool):
            truth = np.full(self.n_rows, constant_value)
            return logical(truth, np.zeros(self.n_rows, dtype=bool))
        if isinstance(constant_value, float):
            return Numeric(np.full(self.n_rows, constant_value))
        raise unknown_column(name.name, self.columns)

    def _remembered(self, value: Value, place: str) -> Value:
        """A factor inside an expression keeps its training levels: codes and ranks rest on them."""
        if isinstance(value, Numeric):
            if self.known is not None and place in self.known:
                value = comparisons.as_labels(value)
            else:
                return value
        if value.logical:
            return value
        if self.known is None:
            self.learning[place] = (tuple(value.levels), value.ordered, value.text)
            return value
        if place not in self.known:
            return value
        levels, ordered, text = self.known[place]
        seen = recode(present_only(value), levels)
        return Categorical(seen.codes, seen.levels, ordered, text=text)

    def _unary(self, expression: Unary, place: str) -> Value:
        value = self._evaluate(expression.operand, place)
        text = deparse(expression)
        if expression.operator == "!":
            return comparisons.negation(comparisons.as_truth(value, text))
        numbers = need_numbers(value, expression.operand, text)
        return arithmetic.negated(numbers) if expression.operator == "-" else numbers

    def _binary(self, expression: Binary, place: str) -> Value:
        operator, text = expression.operator, deparse(expression)
        left = self._evaluate(expression.left, f"{place}/left")
        if operator == "%in%":
            return comparisons.member(left, self._table(expression))
        right = self._evaluate(expression.right, f"{place}/right")
        if operator in arithmetic.OPERATORS:
            a = need_numbers(left, expression.left, text)
            b = need_numbers(right, expression.right, text)
            return arithmetic.binary(operator, a, b, text)
        if operator in comparisons.COMPARISONS:
            return comparisons.compare(operator, left, right, text)
        if operator in {"&", "|", "&&", "||"}:
            combine = comparisons.both if operator[0] == "&" else comparisons.either
            a_truth = comparisons.as_truth(left, text)
            return combine(a_truth, comparisons.as_truth(right, text))
        raise FormulaError(
            f"the operator '{operator}' in '{text}' has no meaning inside a function; it belongs "
            "between terms of the formula"
        )

    def _table(self, expression: Binary) -> tuple[str, ...]:
        try:
            return tuple(label(item) for item in as_tuple(constant(expression.right)))
        except NotConstantError:
            raise FormulaError(
                f"the right side of %in% in '{deparse(expression)}' must be c(...) of constants"
            ) from None

    def _call(self, call: Call, place: str) -> Value:
        transform = TRANSFORMS.get(call.function)
        if transform is None:
            raise FormulaError(f"'{call.function}' is not a function a formula may call")
        here = f"{place}/"
        known = None if self.known is None else self.known.get(here)
        evaluated = Evaluated(
            call, lambda argument, name: self._evaluate(argument, f"{place}/{name}"), known
        )
        value, learnt = transform(evaluated)
        if self.known is None and learnt is not None:
            self.learning[here] = learnt
        return value


def column_value(column: Column) -> Value:
    """A column of the data as a value."""
    if isinstance(column, NumericColumn):
        return Numeric(column.values, (), column.kind == "integer")
    assert isinstance(column, FactorColumn)
    return Categorical(
        column.codes,
        column.levels,
        column.ordered,
        logical=column.kind == "boolean",
        text=column.kind == "string",
    )


def _listed(record: Any) -> Any:
    return [_listed(item) for item in record] if isinstance(record, tuple) else record


def _tupled(record: Any) -> Any:
    return tuple(_tupled(item) for item in record) if isinstance(record, list) else record
