"""Rows in which everything is seen that the data determine about the fixed effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.design.fixed import LinearPlan, linear_matrix
from mixeff.design.values import Categorical, Numeric, Value
from mixeff.design.variables import Variable, apply_variable, columns_used
from mixeff.inference.term_hypotheses import factors_and_numbers

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

_ZERO = 1e-8  # parts of columns below this are rounding
_FACTORIAL = 20_000  # rows of a complete factorial that is written out


def spanning_rows(fit: MixedModel) -> tuple[dict[str, Value], int]:
    """Values of the variables that span what the data span.

    The rows of the data where columns were dropped: which cells are empty matters. Otherwise every
    coefficient is estimable and any rows in which they are all seen will do, far fewer.
    """
    design = fit.design
    plan = design.state.fixed
    used = [v for v in design.state.variables if v.label in plan.variables]
    if not design.dropped:
        values, n = invented(plan, used)
        if _spans(linear_matrix(plan, values, n)):
            return values, n
    frame = design.state.open(fit.request.data)
    columns = frame.read(columns_used([v.expression for v in used], frame))
    values = {}
    for variable in used:
        value = apply_variable(variable, columns, design.state.n_rows)
        values[variable.label] = _taken(value, design.rows)
    return values, design.n


def _spans(X: Floats) -> bool:
    """The columns are independent on these rows: no combination of levels is lacking."""
    norms = np.linalg.norm(X, axis=0)
    if X.shape[0] < X.shape[1] or not norms.all():
        return False
    size = np.abs(np.diag(np.linalg.qr(X / norms, mode="r")))
    return bool(size.min() > _ZERO)


def _taken(value: Value, rows: NDArray[np.int64]) -> Value:
    if isinstance(value, Categorical):
        return Categorical(value.codes[rows], value.levels, value.ordered, value.logical)
    return Numeric(value.values[rows], value.suffixes)


def invented(plan: LinearPlan, variables: Sequence[Variable]) -> tuple[dict[str, Value], int]:
    """Rows with every combination of levels and numbers that satisfy no equation."""
    rng = np.random.default_rng(0)
    factors = [v for v in variables if v.levels is not None]
    numbers = [v for v in variables if v.levels is None]
    widths = [max(1, len(v.suffixes)) for v in numbers]
    counts = [len(v.levels or ()) for v in factors]
    cells = int(np.prod([float(c) for c in counts])) if counts else 1
    width_of = dict(zip((v.label for v in numbers), widths, strict=True))
    products = {factors_and_numbers(term)[1] for term in plan.terms}
    repeats = 2 + sum(int(np.prod([width_of[v] for v in sorted(p)])) for p in products)
    if 0 < cells <= _FACTORIAL:
        grid = np.indices(counts).reshape(len(counts), -1) if counts else np.zeros((0, 1), int)
        codes = np.tile(grid, repeats)
    else:
        codes = np.array([rng.integers(0, c, 20 * len(plan.names)) for c in counts])
    n = int(codes.shape[1])
    values: dict[str, Value] = {}
    for variable, own in zip(factors, codes, strict=True):
        assert variable.levels is not None
        values[variable.label] = Categorical(own.astype(np.int32), variable.levels)
    for variable, width in zip(numbers, widths, strict=True):
        drawn = rng.normal(size=(n, width))
        matrix = bool(variable.suffixes)
        values[variable.label] = Numeric(drawn if matrix else drawn[:, 0], variable.suffixes)
    return values, n
