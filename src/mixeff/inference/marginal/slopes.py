"""Slopes: the derivative of the fixed effects in a numeric variable, over a reference grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.fixed import linear_matrix
from mixeff.design.values import Numeric
from mixeff.design.variables import Variable, apply_variable, columns_used
from mixeff.errors import DataError, OptionError
from mixeff.formula.tree import Name
from mixeff.frames.columns import Column, FactorColumn, NumericColumn
from mixeff.inference.marginal.estimates import Estimates
from mixeff.inference.marginal.functions import (
    column_dependencies,
    linear_functions,
)
from mixeff.inference.marginal.grid import (
    ReferenceGrid,
    check_weights,
    grid_frame,
    reference_grid,
)
from mixeff.inference.marginal.means import axes_of, grid_notes
from mixeff.inference.marginal.nested import nests_of
from mixeff.inference.marginal.predictors import (
    Predictor,
    chosen,
    fixed_variables,
    not_known,
    predictors_of,
)
from mixeff.inference.marginal.scale import response_scale
from mixeff.inference.marginal.specs import names_of
from mixeff.inference.marginal.tables import EstimateTable, estimate_table
from mixeff.inference.method import method_of
from mixeff.model.options import check_level

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

# Central differences of eighth order: exact for polynomials up to degree 8, and with a step of
# 1/2000 of the variable's range truncation is below rounding (1e-11) for smooth functions; across
# the knot of a cubic spline the error is of the order of the step squared.
_STENCIL = (4.0 / 5.0, -1.0 / 5.0, 4.0 / 105.0, -1.0 / 280.0)
_STEP = 5e-4
_SHRINK = 4
_SMOOTH = 1e-5


def slopes(
    fit: MixedModel,
    variable: Any,
    specs: Any,
    by: Any,
    *,
    at: Mapping[str, Any] | None,
    weights: str,
    ddf: str | None,
    vcov: str | None,
    level: float,
) -> EstimateTable:
    """See `LinearMixedModel.slopes`."""
    function = "slopes"
    scheme = check_weights(function, weights)
    check_level(function, level)
    known = predictors_of(fit)
    nests = nests_of(known)
    known[variable] = _numeric(function, fit, known, variable)
    predictors = chosen(function, fit, known, at)
    if specs is None:
        specs, by = by, None
    primary, within = names_of(function, fit, predictors, specs, by)
    grid = reference_grid(function, fit, predictors, nests)
    derived, smooth = _derivative_grid(fit, grid, variable)
    names = (*primary, *within)
    notes = grid_notes(fit, grid, names, scheme)
    if not smooth:
        notes.append(f"The fixed effects bend sharply in {variable} at some point of the grid.")
    scale = response_scale(fit)
    if scale is not None:
        notes.append(f"Slopes of the {scale.name}, not of the response.")
    return estimate_table(
        Estimates(
            subject=f"slopes of {variable}",
            functions=derived.means(names, scheme),
            axes=axes_of(grid, names),
            within=within,
            method=method_of(fit, ddf, vcov, function=function),
            beta=fit.estimate.beta,
            level=level,
            notes=tuple(notes),
            joined="for",
            nests=nests,
        )
    )


def _numeric(
    function: str, fit: MixedModel, known: Mapping[str, Predictor], variable: Any
) -> Predictor:
    """The variable as a covariate at its mean.

    Raises
    ------
    OptionError
        It is not in the fixed effects, or holds categories.
    """
    if not isinstance(variable, str) or variable not in known:
        raise OptionError(not_known(function, fit, "variable", variable, known))
    predictor = known[variable]
    if isinstance(predictor.column, FactorColumn):
        raise OptionError(
            f"{function}: {variable} is a factor; slopes are of numeric variables. Compare its "
            f'levels with marginal_means("{variable}").contrast("pairwise").'
        )
    names = _Names(tuple(known))
    for v in fixed_variables(fit):
        if v.levels is not None and variable in columns_used([v.expression], names):
            raise OptionError(
                f"{function}: {v.label} makes categories of {variable}; there is no slope in it."
            )
    mean = np.array([predictor.mean])
    label = (f"{predictor.mean:.7g}",)
    return replace(predictor, values=mean, labels=label, is_factor=False, codes=None)


def _derivative_grid(
    fit: MixedModel, grid: ReferenceGrid, variable: str
) -> tuple[ReferenceGrid, bool]:
    """The grid of derivatives in a variable; whether all are of smooth functions."""
    size = len(grid.functions)
    columns = grid_frame(grid.predictors, grid.places, size).columns
    predictor = grid.predictors[grid.position(variable)]
    derivative = _Derivative(variable, columns, size, predictor.highest - predictor.lowest)
    state = fit.design.state
    used = fixed_variables(fit)
    values = {v.label: apply_variable(v, columns, size) for v in used}
    plan = state.fixed
    term_of = np.array(plan.assign)
    rows = np.zeros((size, len(plan.names)))
    for v in used:
        if not derivative.touches(v):
            continue
        own = linear_matrix(plan, {**values, v.label: derivative.of(v)}, size)
        # Product rule: this variable's derivative enters the terms it stands in.
        having = [
            j for j, t in enumerate(plan.terms, start=1) if v.label in [x for x, _ in t.codings]
        ]
        inside = np.isin(term_of, having)
        rows[:, inside] += own[:, inside]
    offset = np.zeros(size)
    for v in state.offsets:
        if derivative.touches(v):
            offset += derivative.of(v).values
    functions = linear_functions(column_dependencies(fit), state, rows, offset)
    functions = replace(functions, absent=grid.functions.absent)
    return replace(grid, functions=functions), derivative.smooth


class _Derivative:
    """Derivatives of the variables of a model in one column of the data."""

    def __init__(self, name: str, columns: Mapping[str, Column], size: int, spread: float) -> None:
        self._name, self._columns, self._size = name, dict(columns), size
        column = columns[name]
        assert isinstance(column, NumericColumn)
        self._column = column
        self._step = _STEP * (spread if spread > 0 else max(1.0, abs(float(column.values[0]))))
        self.smooth = True

    def touches(self, variable: Variable) -> bool:
        """Whether the variable depends on the column."""
        return self._name in columns_used([variable.expression], _Names(tuple(self._columns)))

    def of(self, variable: Variable) -> Numeric:
        """d variable / d column, in the variable's own shape."""
        if isinstance(variable.expression, Name):
            return Numeric(np.ones(self._size), variable.suffixes)
        step = self._step
        for left in reversed(range(_SHRINK)):
            try:
                coarse = self._difference(variable, step)
                break
            except DataError as error:  # a neighbour lies outside the domain, of a logarithm say
                if not left:
                    raise OptionError(
                        f"slopes: {variable.label} has no derivative in {self._name} at some value "
                        f"of the grid, which lies at the edge of where it is defined: {error}"
                    ) from error
                step *= 0.1
        fine = self._difference(variable, 0.5 * step)
        with np.errstate(invalid="ignore"):
            gap = np.abs(coarse - fine) > _SMOOTH * np.abs(fine).max(initial=1e-300)
        self.smooth = self.smooth and not bool(gap.any())
        return Numeric(fine, variable.suffixes)

    def _difference(self, variable: Variable, step: float) -> Floats:
        total: Floats | float = 0.0
        for j, weight in enumerate(_STENCIL, start=1):
            total = total + weight * (self._at(variable, j * step) - self._at(variable, -j * step))
        return np.asarray(total) / step

    def _at(self, variable: Variable, shift: float) -> Floats:
        moved = replace(self._column, values=self._column.values + shift, kind="float")
        with np.errstate(invalid="ignore", divide="ignore"):
            value = apply_variable(variable, {**self._columns, self._name: moved}, self._size)
        assert isinstance(value, Numeric)
        return value.values


class _Names:
    """The columns of a grid, as what asks for names only sees them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._all = tuple(names)

    def names(self) -> tuple[str, ...]:
        """All column names."""
        return self._all

    def n_rows(self) -> int:
        """None are read."""
        return 0

    def read(self, names: Any) -> dict[str, Column]:
        """None are read."""
        return {}
