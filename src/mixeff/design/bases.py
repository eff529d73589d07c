"""Transforms that learn numbers: ``poly``, ``bs``, ``ns``, ``scale``, ``center``.

Each learns from the rows where its own argument is present, whatever is missing elsewhere in the
row: R evaluates the variables of a formula before it drops incomplete rows. (R's ``poly`` refuses
missing values; here they stay missing.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.design import arithmetic
from mixeff.design.calls import Evaluated, Learnt, Result
from mixeff.design.polynomials import OrthogonalPolynomials, orthogonal_polynomials, raw_powers
from mixeff.design.splines import SplineBasis, quantile_knots
from mixeff.design.values import Floats, Numeric
from mixeff.errors import DataError, DataWarning, FormulaError
from mixeff.frames.notices import notify

#: More columns than this from one variable are a slip of the keyboard, not a model.
MAX_COLUMNS = 1000


def poly(call: Evaluated) -> Result:
    """``poly(x, degree, raw =)``."""
    x = call.vector().values
    try:
        degree = 1 if "degree" not in call.given() else call.count("degree")
    except FormulaError as error:
        raise FormulaError(
            f"{error}; poly() of several variables is not available, write their products out"
        ) from None
    if degree is None or degree < 1:
        raise FormulaError(f"'{call.text}': the degree must be at least 1")
    if degree > MAX_COLUMNS:
        raise FormulaError(f"'{call.text}': the degree is at most {MAX_COLUMNS}")
    suffixes = tuple(str(k + 1) for k in range(degree))
    _refuse_infinite(x, call)
    if call.flag("raw", False):
        return Numeric(raw_powers(x, degree), suffixes), None
    if call.learnt is not None:
        center, spread, alpha, norms = call.learnt
        return Numeric(OrthogonalPolynomials(center, spread, alpha, norms)(x), suffixes), None
    rows = _present(x, call)
    # the first rows nearly always have enough; only if not is the whole column sorted
    distinct = np.unique(x[rows][: 100 * degree]).size
    if distinct <= degree:
        distinct = np.unique(x[rows]).size
    if distinct <= degree:
        raise DataError(
            f"'{call.text}': a polynomial of degree {degree} needs more than {degree} distinct "
            f"values, the data have {distinct}"
        )
    values = np.full((x.shape[0], degree), np.nan)
    values[rows], learnt = orthogonal_polynomials(x[rows], degree)
    return Numeric(values, suffixes), (learnt.center, learnt.spread, learnt.alpha, learnt.norms)


def spline(call: Evaluated) -> Result:
    """``bs(x, df, knots, degree, intercept, Boundary.knots)`` and ``ns`` (no ``degree``)."""
    x = call.vector().values
    _refuse_infinite(x, call)
    learnt = call.learnt
    if learnt is None:
        learnt = _learn_spline(call, x)
    natural, degree, intercept, knots, boundary = learnt
    outside = (x < boundary[0]) | (x > boundary[1])
    if not natural and outside.any():
        notify(
            f"'{call.text}': {np.count_nonzero(outside)} values lie beyond the boundary knots "
            f"{boundary[0]:g} and {boundary[1]:g}, where the polynomial is only extrapolated "
            f"({arithmetic.name_rows(np.flatnonzero(outside))})",
            DataWarning,
        )
    values = SplineBasis(natural, degree, intercept, knots, tuple(boundary))(x)
    return Numeric(values, tuple(str(k + 1) for k in range(values.shape[1]))), learnt


def _learn_spline(call: Evaluated, x: Floats) -> Learnt:
    natural = call.call.function == "ns"
    rows = _present(x, call)
    intercept = call.flag("intercept", False)
    degree = 3 if natural else call.count("degree")
    degree = 3 if degree is None else degree
    df = call.count("df")
    if degree < 1 or max(degree, df or 0) > MAX_COLUMNS:
        raise FormulaError(f"'{call.text}': degree and df must be from 1 to {MAX_COLUMNS}")
    limits = call.numbers("Boundary.knots") or (float(x[rows].min()), float(x[rows].max()))
    if len(limits) != 2 or not min(limits) < max(limits):
        raise DataError(f"'{call.text}': the two boundary knots must differ (is x constant?)")
    boundary = (min(limits), max(limits))
    knots = call.numbers("knots")
    if knots is None:
        # ns loses two functions to its boundary conditions
        least = (2 if natural else degree + 1) - (0 if intercept else 1)
        if df is not None and df < least:
            notify(
                f"'{call.text}': df = {df} is too small; df = {least} is used",
                DataWarning,
            )
        knots = quantile_knots(x[rows], 0 if df is None else df - least, boundary)
    knots = tuple(sorted(knots))
    if knots and not (boundary[0] <= knots[0] and knots[-1] <= boundary[1]):
        raise DataError(
            f"'{call.text}': the knots must lie between the boundary knots {boundary[0]:g} and "
            f"{boundary[1]:g}"
        )
    return natural, degree, intercept, knots, boundary


def scale(call: Evaluated) -> Result:
    """``scale(x, center =, scale =)`` and ``center(x)``, column by column."""
    x = call.numeric()
    if call.learnt is None:
        _refuse_infinite(x.values, call)
        centers, scales = _learn_scale(call, x.values)
    else:
        centers, scales = call.learnt
    values = x.values
    if centers is not None:
        values = values - (np.array(centers) if values.ndim > 1 else centers[0])
    if scales is not None:
        values = values / (np.array(scales) if values.ndim > 1 else scales[0])
    return Numeric(values, x.suffixes), (centers, scales)


def _learn_scale(
    call: Evaluated, values: Floats
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    columns = values.reshape(values.shape[0], -1)
    centers = _centers(call, columns)
    shifted = columns if centers is None else columns - np.array(centers)
    if call.call.function == "center" or call.constant("scale", True) is False:
        return centers, None
    given = None if call.constant("scale", True) is True else call.numbers("scale")
    if given is None:
        counts = np.maximum(np.count_nonzero(~np.isnan(shifted), axis=0) - 1, 1)
        given = tuple(np.sqrt(np.nansum(shifted**2, axis=0) / counts).tolist())
        if centers is not None and (np.nanmax(shifted, axis=0) == np.nanmin(shifted, axis=0)).any():
            given = (0.0,)  # the mean of equal numbers may be a rounding away from them
    if any(not abs(value) > 0 for value in given):
        raise DataError(f"'{call.text}' divides by a spread of zero: the column is constant")
    return centers, _per_column(given, columns.shape[1], "scale", call)


def _centers(call: Evaluated, columns: Floats) -> tuple[float, ...] | None:
    wanted = True if call.call.function == "center" else call.constant("center", True)
    if wanted is False:
        return None
    if wanted is not True:
        return _per_column(call.numbers("center") or (), columns.shape[1], "center", call)
    if np.isnan(columns).all(axis=0).any():
        raise DataError(f"'{call.text}' has no value that is not missing")
    return tuple(np.nanmean(columns, axis=0).tolist())


def _per_column(
    numbers: tuple[float, ...], count: int, name: str, call: Evaluated
) -> tuple[float, ...]:
    if len(numbers) != count:
        raise FormulaError(
            f"'{call.text}' gives {len(numbers)} numbers as '{name}' for {count} columns"
        )
    return numbers


def _refuse_infinite(x: Floats, call: Evaluated) -> None:
    """An infinite value would spoil every row it is averaged or multiplied into."""
    infinite = np.isinf(x)
    if infinite.any():
        rows = np.flatnonzero(infinite if infinite.ndim == 1 else infinite.any(axis=1))
        raise DataError(f"'{call.text}' meets an infinite value in {arithmetic.name_rows(rows)}")


def _present(x: Floats, call: Evaluated) -> NDArray[np.bool_]:
    """Rows to learn from."""
    rows = ~np.isnan(x)
    if not rows.any():
        raise DataError(f"'{call.text}' has no value that is not missing")
    return rows
