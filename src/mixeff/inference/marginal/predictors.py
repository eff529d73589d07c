"""The variables of the data on which the fixed effects depend, and what values they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.scoring import ReadFrame
from mixeff.design.variables import Variable, columns_used
from mixeff.errors import DataError, OptionError, PredictionError
from mixeff.formula.tree import Binary, Call, Expression, Name, Parenthesis, Unary
from mixeff.frames.columns import FactorColumn, open_frame
from mixeff.frames.levels import codes_of_numbers, drop_unused
from mixeff.model.options import closest

if TYPE_CHECKING:
    from mixeff.frames.columns import Column, Frame
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

# A number with no more distinct values than this is an indicator: its mean describes nobody.
_FEW = 2
# Rows of the data that are compared with those of the fit.
_SAMPLE = 200
# Functions that take a variable for categories (`cut` and `relevel` start from one or make one).
_CATEGORIES = ("factor", "ordered", "as.factor", "as.character", "interaction")


@dataclass(frozen=True, slots=True)
class Predictor:
    """One variable of the data and its values in a reference grid.

    Attributes
    ----------
    name : str
    values : (k,) float64 array of a numeric variable, tuple of str of a factor
    labels : tuple of k str
    is_factor : bool
        Its values are categories, all of them in the grid; else a covariate.
    column : NumericColumn or FactorColumn, as it stands in the data
    codes : (n,) int32 array or None
        Of a factor: which value each row of the fit has, -1 for one not in the grid.
    mean, lowest, highest : float, of a numeric variable over the rows of the fit, else NaN
    in_model : bool, False for a variable of offsets only
    coerced : bool, numbers that the formula makes categories of
    """

    name: str
    values: Floats | tuple[str, ...]
    labels: tuple[str, ...]
    is_factor: bool
    column: Column = field(repr=False)
    codes: Codes | None = None
    mean: float = np.nan
    lowest: float = np.nan
    highest: float = np.nan
    in_model: bool = True
    coerced: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def beyond(self) -> tuple[str, ...]:
        """The values that lie outside of the data."""
        if isinstance(self.values, tuple):
            return ()
        inside = (self.values >= self.lowest) & (self.values <= self.highest)
        return tuple(self.labels[j] for j in np.flatnonzero(~inside))


def predictors_of(fit: MixedModel) -> dict[str, Predictor]:
    """Every variable of the fixed effects and offsets by name, in the order of the terms.

    Factors have their levels, numeric variables their mean over the rows of the fit; a numeric
    variable of one or two values, or one that the formula takes for a factor, has its values.
    """
    state = fit.design.state
    frame = open_frame(fit.request.data)
    fixed = [v.expression for v in fixed_variables(fit)]
    in_model = columns_used(fixed, frame)
    every = columns_used([*fixed, *(v.expression for v in state.offsets)], frame)
    columns = frame.read(every)
    if _changed(fit, frame, columns):
        raise DataError(
            "The data have changed since the fit: the values at which means and slopes are taken "
            "are read from them. Fit the model again, or to a copy of the data."
        )
    coerced = {name for expression in fixed for name in _as_categories(expression)}
    rows = fit.design.rows
    return {
        name: replace(_predictor(column, rows, name in coerced), in_model=name in in_model)
        for name, column in columns.items()
    }


def _changed(fit: MixedModel, frame: Frame, columns: Mapping[str, Column]) -> bool:
    """Whether some rows of the data no longer give the rows of X."""
    design = fit.design
    if frame.n_rows() != design.state.n_rows:
        return True
    some = np.unique(np.linspace(0, design.n - 1, _SAMPLE).astype(np.intp))
    taken = {name: _rows_of(column, design.rows[some]) for name, column in columns.items()}
    state = replace(design.state, offsets=(), offset_array=False)
    try:
        X = state.fixed_matrix(ReadFrame(taken, tuple(taken), some.size))[0]
    except PredictionError:  # a level that the fit did not have
        return True
    return not np.allclose(X, design.X[some], rtol=1e-9, atol=1e-12, equal_nan=True)


def _rows_of(column: Column, rows: NDArray[np.intp]) -> Column:
    if isinstance(column, FactorColumn):
        return replace(column, codes=column.codes[rows])
    return replace(column, values=column.values[rows])


def fixed_variables(fit: MixedModel) -> list[Variable]:
    """The variables (``poly(x, 2)``, ``COMB``) of the fixed effects."""
    state = fit.design.state
    labels = set(state.fixed.variables)
    return [variable for variable in state.variables if variable.label in labels]


def term_predictors(fit: MixedModel) -> list[frozenset[str]]:
    """The variables of the data in each fixed term."""
    frame = open_frame(fit.request.data)
    used = {v.label: columns_used([v.expression], frame) for v in fixed_variables(fit)}
    return [
        frozenset(name for label, _ in term.codings for name in used[label])
        for term in fit.design.state.fixed.terms
    ]


def _as_categories(node: Expression) -> Iterable[str]:
    """Names that stand directly in a call that makes categories of them."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, Call):
            values = [argument.value for argument in node.arguments]
            if node.function in _CATEGORIES:
                yield from (v.name for v in values if isinstance(v, Name))
            stack.extend(values)
        elif isinstance(node, Binary):
            stack.extend((node.left, node.right))
        elif isinstance(node, Unary):
            stack.append(node.operand)
        elif isinstance(node, Parenthesis):
            stack.append(node.inner)


def _predictor(column: Column, rows: NDArray[np.int64], coerced: bool) -> Predictor:
    if isinstance(column, FactorColumn):
        codes, levels = drop_unused(column.codes[rows], column.levels)
        return Predictor(column.name, tuple(levels), tuple(levels), True, column, codes)
    x = column.values[rows]
    few = coerced or np.unique(x[: 50 * _FEW]).size <= _FEW
    if few:
        distinct = np.unique(x)
        few = coerced or distinct.size <= _FEW
    if few:
        codes, labels = codes_of_numbers(x, integer=column.kind == "integer")
        made = Predictor(column.name, distinct, tuple(labels), True, column, codes)
    else:
        made = Predictor(column.name, np.array([x.mean()]), (_label(x.mean()),), False, column)
    return replace(
        made,
        mean=float(x.mean()),
        lowest=float(x.min()),
        highest=float(x.max()),
        coerced=coerced,
    )


def _label(x: float) -> str:
    return f"{x:.7g}"


def column_of(predictor: Predictor, places: NDArray[np.intp]) -> Column:
    """The column that has, row by row, the values at ``places``, as new data to be scored."""
    column = predictor.column
    if isinstance(column, FactorColumn):
        code_of = {level: code for code, level in enumerate(column.levels)}
        codes = np.array([code_of[level] for level in predictor.labels], dtype=np.int32)
        return replace(column, codes=codes[places])
    return replace(column, values=np.asarray(predictor.values, dtype=np.float64)[places])


def chosen(
    function: str, fit: MixedModel, known: Mapping[str, Predictor], at: Mapping[str, Any] | None
) -> dict[str, Predictor]:
    """The predictors with the values of ``at``.

    Raises
    ------
    OptionError
        A variable the fixed effects do not have, a level the fit does not have, no number.
    """
    out = dict(known)
    if at is None:
        return out
    if not isinstance(at, Mapping):
        raise OptionError(
            f"{function}: at names variables and their values, for example "
            f'at={{"x": [1, 2]}}, not {at!r}.'
        )
    for name, given in at.items():
        if name not in known:
            raise OptionError(not_known(function, fit, "at", name, known))
        out[name] = _at(function, known[name], given)
    return out


def not_known(
    function: str, fit: MixedModel, where: str, name: object, known: Iterable[str]
) -> str:
    """The sentence for a name that is not in the fixed effects; grouping factors are told so."""
    groups = {part for term in fit.design.random for part in (term.group, *term.group.split(":"))}
    if isinstance(name, str) and name in groups:
        return (
            f"{function}: {name!r} is a random grouping factor. Marginal means and slopes are of "
            "the fixed effects, at random effects of zero; the effects of its levels are in ranef "
            "and coef."
        )
    return unknown_name(function, where, name, known, "the fixed effects")


def unknown_name(function: str, where: str, name: object, known: Iterable[str], whole: str) -> str:
    """The sentence for a name that is not in a whole, which has the known ones."""
    names = list(known)
    near = closest(name, names) if isinstance(name, str) else None
    hint = f'Did you mean "{near}"?' if near else f"Choose from {', '.join(names) or 'none'}."
    return f"{function}: {where} names {name!r}, which is not in {whole}. {hint}"


def _at(function: str, predictor: Predictor, given: Any) -> Predictor:
    single = isinstance(given, str | bytes) or not hasattr(given, "__iter__")
    values = [given] if single else list(given)
    if not values:
        raise OptionError(f'{function}: at["{predictor.name}"] is empty; give at least one value.')
    made = _at_values(function, predictor, given, values)
    if len(set(made.labels)) < len(made.labels):
        twice = next(label for label, count in Counter(made.labels).items() if count > 1)
        raise OptionError(f'{function}: at["{predictor.name}"] has {twice} twice.')
    return made


def _at_values(function: str, predictor: Predictor, given: Any, values: Sequence[Any]) -> Predictor:
    if isinstance(predictor.values, tuple):
        return _at_levels(function, predictor, [_level(v) for v in values])
    try:
        numbers = np.array([float(v) for v in values])
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all():
        raise OptionError(
            f'{function}: at["{predictor.name}"] = {given!r}, but {predictor.name} is numeric; '
            "give numbers."
        )
    if predictor.is_factor and np.isin(numbers, predictor.values).all():
        places = np.searchsorted(predictor.values, numbers)
        return _subset(predictor, places.tolist(), numbers)
    if predictor.coerced:
        labels = [_label(x) for x in numbers]
        raise OptionError(_no_level(function, predictor, labels))
    shown = tuple(_label(x) for x in numbers)
    return replace(predictor, values=numbers, labels=shown, is_factor=False, codes=None)


def _level(value: Any) -> str:
    """A level as the design writes it: R's TRUE and FALSE for truth values."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).upper()
    return str(value)


def _at_levels(function: str, predictor: Predictor, levels: Sequence[str]) -> Predictor:
    known = {level: place for place, level in enumerate(predictor.labels)}
    missing = [level for level in levels if level not in known]
    if missing:
        raise OptionError(_no_level(function, predictor, missing))
    return _subset(predictor, [known[level] for level in levels], tuple(levels))


def _no_level(function: str, predictor: Predictor, missing: Sequence[str]) -> str:
    near = closest(missing[0], predictor.labels)
    hint = f' Did you mean "{near}"?' if near else ""
    shown = ", ".join(predictor.labels[:12]) + (" ..." if len(predictor) > 12 else "")
    return (
        f'{function}: at["{predictor.name}"] has the level "{missing[0]}", which the rows of the '
        f"fit do not have. Levels: {shown}.{hint}"
    )


def _subset(predictor: Predictor, places: list[int], values: Floats | tuple[str, ...]) -> Predictor:
    assert predictor.codes is not None
    back = np.full(len(predictor) + 1, -1, dtype=np.int32)
    back[places] = np.arange(len(places), dtype=np.int32)
    labels = tuple(predictor.labels[j] for j in places)
    return replace(predictor, values=values, labels=labels, codes=back[predictor.codes])
