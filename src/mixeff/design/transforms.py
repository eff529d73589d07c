"""The functions a formula may call, over columns; the stateful ones remember their training.

Each takes the evaluated call and gives the value and what it learnt (None when nothing). A stateful
transform learns from the rows where its own argument is present, whatever is missing elsewhere in
the row: R evaluates the variables of a formula before it drops incomplete rows. (R's ``poly``
refuses missing values; here they stay missing.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mixeff.design import arithmetic, cutting, factors
from mixeff.design.calls import Evaluated, Learnt, need_numbers
from mixeff.design.polynomials import OrthogonalPolynomials, orthogonal_polynomials, raw_powers
from mixeff.design.splines import SplineBasis, quantile_knots
from mixeff.design.values import Categorical, Floats, Numeric, Value, present_only, recode
from mixeff.errors import DataError, DataWarning, FormulaError, PredictionError
from mixeff.formula.tree import Name
from mixeff.frames.notices import notify

Result = tuple[Value, Learnt | None]


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
    return arithmetic.rounded(call.numeric(), int(call.number("digits") or 0)), None


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
    """``c(...)``, ``seq(...)`` where a column is expected: its length cannot be that of the data."""
    raise FormulaError(
        f"'{call.text}' stands where a column is expected; it only serves as an argument "
        "such as knots = c(1, 2)"
    )


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
    suffixes = tuple(str(k + 1) for k in range(degree))
    if call.flag("raw", False):
        return Numeric(raw_powers(x, degree), suffixes), None
    if call.learnt is not None:
        center, spread, alpha, norms = call.learnt
        return Numeric(OrthogonalPolynomials(center, spread, alpha, norms)(x), suffixes), None
    rows = _finite(x, call)
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
    rows = _finite(x, call)
    intercept = call.flag("intercept", False)
    degree = 3 if natural else call.count("degree")
    degree = 3 if degree is None else degree
    if degree < 1:
        raise FormulaError(f"'{call.text}': the degree must be at least 1")
    limits = call.numbers("Boundary.knots") or (float(x[rows].min()), float(x[rows].max()))
    if len(limits) != 2 or not min(limits) < max(limits):
        raise DataError(f"'{call.text}': the two boundary knots must differ (is x constant?)")
    boundary = (min(limits), max(limits))
    knots = call.numbers("knots")
    df = call.count("df")
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
    if any(not value > 0 for value in map(abs, given)):
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


def factor(call: Evaluated) -> Result:
    """``factor(x, levels =, labels =)`` and ``ordered(x, ...)``."""
    levels, labels = call.items("levels"), call.items("labels")
    if call.items("exclude"):
        raise FormulaError(f"'{call.text}': list the levels to keep as levels=, without exclude=")
    ordered: bool | None = True if call.call.function == "ordered" else None
    if ordered is None and call.constant("ordered") is not None:
        ordered = call.flag("ordered", False)
    value = call.value()
    source = factors.labelled(value, call.text)
    if levels is not None:
        whole = isinstance(value, Numeric) and value.integer
        chosen = [factors.label(item, whole=whole) for item in levels]
    elif call.learnt is not None:
        chosen = list(recode(present_only(source), call.learnt[0]).levels)
        if labels is not None and len(chosen) > len(call.learnt[0]):
            raise PredictionError(
                f"'{call.text}' has no label for {chosen[-1]!r}, which is not in the training data"
            )
    else:
        chosen = list(factors.present_levels(source))
    names = None if labels is None else [factors.label(item) for item in labels]
    result = factors.factor(value, chosen, names, ordered, call.text)
    return result, (tuple(chosen),)


def as_factor(call: Evaluated) -> Result:
    """``as.factor(x)``."""
    return _remember(call, factors.as_factor(call.value(), call.text))


def as_character(call: Evaluated) -> Result:
    """``as.character(x)``."""
    return _remember(call, factors.as_character(call.value(), call.text))


def relevel(call: Evaluated) -> Result:
    """``relevel(f, ref =)``; a number as ``ref`` counts the levels, as in R."""
    value = call.value()
    reference = call.constant("ref")
    if isinstance(reference, float) and isinstance(value, Categorical):
        place = int(reference) - 1
        if not 0 <= place < len(value.levels):
            raise DataError(f"'{call.text}': there are only {len(value.levels)} levels")
        reference = value.levels[place]
    if not isinstance(reference, str) and isinstance(value, Categorical):
        raise FormulaError(f"'{call.text}': 'ref' must be one level, as text in quotes")
    return _remember(call, factors.relevel(value, str(reference), call.text))


def interaction(call: Evaluated) -> Result:
    """``interaction(a, b, ..., drop =, sep =, lex.order =)``."""
    parts = [
        factors.as_factor(value, call.text) for _, value in call.several("sep", "drop", "lex.order")
    ]
    separator = call.constant("sep", ".")
    if not isinstance(separator, str):
        raise FormulaError(f"'{call.text}': 'sep' must be text in quotes")
    drop, lexical = call.flag("drop", False), call.flag("lex.order", False)
    return _remember(call, factors.interaction(parts, separator, drop=drop, lexical=lexical))


def _remember(call: Evaluated, value: Categorical) -> Result:
    """Levels of the training data first; the caller sees levels beyond them at the end."""
    if call.learnt is not None:
        return recode(present_only(value), call.learnt[0]), call.learnt
    return value, (value.levels,)


def as_number(call: Evaluated) -> Result:
    """``as.numeric(x)``, ``as.integer(x)``: the codes of a factor as in the training data."""
    convert = factors.as_integer if call.call.function == "as.integer" else factors.as_number
    value = call.value()
    learnt: Learnt | None = None
    if isinstance(value, Categorical) and not value.text and not value.logical:
        learnt = call.learnt if call.learnt is not None else (value.levels,)
        value = recode(present_only(value), learnt[0])
        unseen = value.levels[len(learnt[0]) :]
        if unseen:
            raise PredictionError(
                f"'{call.text}' numbers the levels of a factor, and {unseen[0]!r} is not among "
                "those of the training data"
            )
    return convert(value, call.text), learnt


def cut(call: Evaluated) -> Result:
    """``cut(x, breaks, labels, include.lowest, right, dig.lab, ordered_result)``."""
    x = call.vector().values
    breaks = _breaks(call, x)
    right, lowest = call.flag("right", True), call.flag("include.lowest", False)
    codes = cutting.interval_codes(x, breaks, right=right, include_lowest=lowest)
    # breaks given as a vector stand in the formula; only computed ones need remembering
    computed = len(call.numbers("breaks") or ()) == 1
    learnt: Learnt | None = (tuple(breaks.tolist()),) if computed else None
    labels = call.constant("labels")
    if labels is False:
        return codes, learnt
    digits = call.count("dig.lab")
    names = cutting.interval_labels(
        breaks, right=right, include_lowest=lowest, digits=3 if digits is None else digits
    )
    if labels is not None and labels is not True:
        names = tuple(factors.label(item) for item in call.items("labels") or ())
        if len(names) != len(breaks) - 1:
            raise DataError(
                f"'{call.text}' gives {len(names)} labels for {len(breaks) - 1} intervals"
            )
    ordered = call.flag("ordered_result", False)
    return cutting.as_categories(codes, names, ordered), learnt


def _breaks(call: Evaluated, x: Floats) -> Floats:
    if call.learnt is not None:
        return np.array(call.learnt[0])
    breaks = call.numbers("breaks")
    if breaks is None:
        raise FormulaError(f"'{call.text}' lacks its argument 'breaks'")
    if len(breaks) == 1:
        return cutting.even_breaks(x, int(breaks[0]), call.text)
    return cutting.sorted_breaks(breaks, call.text)


def _finite(x: Floats, call: Evaluated) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Rows to learn from; an infinite value would spoil every row and is refused."""
    infinite = np.isinf(x)
    if infinite.any():
        raise DataError(
            f"'{call.text}' meets an infinite value in "
            f"{arithmetic.name_rows(np.flatnonzero(infinite))}"
        )
    rows = ~np.isnan(x)
    if not rows.any():
        raise DataError(f"'{call.text}' has no value that is not missing")
    return rows


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
    "poly": poly,
    "bs": spline,
    "ns": spline,
    "scale": scale,
    "center": scale,
    "factor": factor,
    "ordered": factor,
    "as.factor": as_factor,
    "as.character": as_character,
    "as.integer": as_number,
    "as.numeric": as_number,
    "relevel": relevel,
    "interaction": interaction,
    "cut": cut,
    **dict.fromkeys(arithmetic.FUNCTIONS, elementwise),
}
