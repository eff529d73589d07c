"""The frozen state of a design: everything needed to score new data the way training data were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.fixed import LinearPlan, linear_matrix
from mixeff.design.random import RandomState
from mixeff.design.variables import (
    Variable,
    apply_variable,
    columns_used,
    group_again,
)
from mixeff.design.weights import row_vector
from mixeff.errors import PredictionError
from mixeff.frames.arrays import column_from_values, column_length
from mixeff.frames.columns import Column, Frame, NumericColumn, Opened, open_frame, unknown_column
from mixeff.frames.levels import interaction, match_levels

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

UNSEEN = -1
MISSING = -2


@dataclass(frozen=True, slots=True)
class ReadFrame(Opened):
    """New data with the columns of a model read once, for several uses."""

    columns: dict[str, Column]
    all_names: tuple[str, ...]
    count: int

    def names(self) -> tuple[str, ...]:
        """All column names of the data."""
        return self.all_names

    def n_rows(self) -> int:
        """Number of rows."""
        return self.count

    def read(self, names: Iterable[str]) -> dict[str, Column]:
        """The named columns."""
        out: dict[str, Column] = {}
        for name in names:
            if name not in self.columns:
                raise unknown_column(name, self.all_names)
            out[name] = self.columns[name]
        return out


@dataclass(frozen=True, slots=True)
class DesignState:
    """What training fixed: transforms, levels, contrasts, the columns kept. No data.

    Attributes
    ----------
    variables : tuple of Variable, the variables of the fixed and random effects columns
    fixed : LinearPlan
    kept : tuple of int, positions in ``fixed.names`` of the columns of X
    random : tuple of RandomState, in the order of ``Design.random``
    offsets : tuple of Variable, offsets of the formula and one given as column or expression
    offset_array : bool, an offset was given as an array, which new data cannot know
    response : Variable or None
    weights : Variable or None, weights given as column or expression
    n_rows : int, rows of the training data, those left out included
    na_action : {"omit", "fail", "exclude"}
    """

    variables: tuple[Variable, ...]
    fixed: LinearPlan
    kept: tuple[int, ...]
    random: tuple[RandomState, ...]
    offsets: tuple[Variable, ...]
    offset_array: bool
    response: Variable | None
    weights: Variable | None
    n_rows: int
    na_action: str

    @property
    def assign(self) -> tuple[int, ...]:
        """The term of each column of X (1-based place in ``fixed.terms``, 0 for the intercept)."""
        places = self.fixed.assign
        return tuple(places[j] for j in self.kept)

    def open(self, newdata: Any, *, responses: bool = False) -> Frame:
        """Read every column of the model that new data have, once.

        With ``responses`` those of the response and of the weights too.

        Not needed for frames that can be read again; it spares repeated reading, and a stream of
        record batches can be read only once.
        """
        frame = open_frame(newdata)
        known = frame.names()
        expressions = [variable.expression for variable in (*self.variables, *self.offsets)]
        for state in self.random:
            expressions.extend(variable.expression for variable in state.group_variables)
        if responses:
            expressions.extend(v.expression for v in (self.response, self.weights) if v is not None)
        names = [name for name in columns_used(expressions, frame) if name in known]
        columns = frame.read(names)
        count = column_length(next(iter(columns.values()))) if columns else frame.n_rows()
        return ReadFrame(columns, known, count)

    def fixed_matrix(
        self, newdata: Any, *, offset: Any = None
    ) -> tuple[Floats, Floats | None, NDArray[np.bool_]]:
        """The fixed-effects columns of new data; the response is not needed.

        Parameters
        ----------
        newdata : any data frame
        offset : array-like (n,), optional
            The offset of the new rows, needed when the model was fitted with one given as an
            array; it takes the place of that array.

        Returns
        -------
        X : (n, p) float64 array, the kept columns only; NaN in rows with missing values
        offset : (n,) float64 array, or None if the model has no offset
        complete : (n,) bool array, rows without missing values

        Raises
        ------
        UnknownColumnError
            A column of the model is not in the new data.
        PredictionError
            A factor has a level it was not fitted with, or an array offset is not known.
        """
        frame = open_frame(newdata)
        labels = set(self.fixed.variables)
        used = [variable for variable in self.variables if variable.label in labels]
        columns, n_rows = _read(frame, (*used, *self.offsets))
        values = {variable.label: apply_variable(variable, columns, n_rows) for variable in used}
        X = linear_matrix(self.fixed, values, n_rows)
        if len(self.kept) < X.shape[1]:
            X = np.ascontiguousarray(X[:, self.kept])
        total = self._offset(columns, n_rows, offset)
        complete: NDArray[np.bool_] = np.logical_not(np.isnan(X).any(axis=1))
        if total is not None:
            complete = complete & ~np.isnan(total)
        return X, total, complete

    def _offset(self, columns: dict[str, Column], n_rows: int, given: Any) -> Floats | None:
        """The sum of all offsets over new data."""
        if self.offset_array and given is None:
            raise PredictionError(
                "the model was fitted with an offset given as an array, so the offset of new rows "
                "is not known. Give it (one number per new row), or fit the model with offset= the "
                "name of a column, which is then looked up in new data."
            )
        parts = [
            row_vector("offset", variable.label, apply_variable(variable, columns, n_rows))
            for variable in self.offsets
        ]
        if given is not None:
            column = column_from_values("offset", given)
            if not isinstance(column, NumericColumn) or column.values.shape[0] != n_rows:
                raise PredictionError(
                    f"offset must hold one number for each of the {n_rows} new rows."
                )
            parts.append(column.values)
        if not parts:
            return None
        total: Floats = parts[0].copy()
        for part in parts[1:]:
            total += part
        return total

    def random_matrix(self, newdata: Any, term_index: int) -> tuple[Codes, Floats]:
        """Levels and model columns of one random term over new data.

        Returns
        -------
        codes : (n,) int32 array
            Level of each row in the term's training levels, -1 for a level never seen, -2 where
            the grouping factor is missing.
        values : (n, q) float64 array, NaN in rows with missing values
        """
        state = self.random[term_index]
        frame = open_frame(newdata)
        labels = set(state.plan.variables)
        used = [variable for variable in self.variables if variable.label in labels]
        columns, n_rows = _read(frame, (*used, *state.group_variables))
        values = {variable.label: apply_variable(variable, columns, n_rows) for variable in used}
        matrix = linear_matrix(state.plan, values, n_rows)
        if state.column is not None:
            matrix = np.ascontiguousarray(matrix[:, state.column : state.column + 1])
        return self._codes(state, columns, n_rows), matrix

    def _codes(self, state: RandomState, columns: dict[str, Column], n_rows: int) -> Codes:
        factors = [group_again(variable, columns, n_rows) for variable in state.group_variables]
        codes, levels = factors[0] if len(factors) == 1 else interaction(factors)
        return match_levels(codes, levels, state.levels)[0]


def _read(frame: Frame, variables: Iterable[Variable]) -> tuple[dict[str, Column], int]:
    """The columns some variables need, and the number of rows."""
    names = columns_used((variable.expression for variable in variables), frame)
    columns = frame.read(names)
    n_rows = column_length(next(iter(columns.values()))) if columns else frame.n_rows()
    return columns, n_rows
