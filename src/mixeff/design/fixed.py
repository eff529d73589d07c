"""Model matrices as R's ``model.matrix`` makes them: the plan once, the columns for any rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.design.coding import Contrast, Kind, codings, default_contrast
from mixeff.design.values import Categorical, Numeric, Value
from mixeff.formula.tree import LinearPart

Floats = NDArray[np.float64]

INTERCEPT = "(Intercept)"
_BLOCK = 8_192  # rows filled at a time: all their columns stay in the cache


@dataclass(frozen=True, slots=True)
class TermPlan:
    """The columns of one term.

    Attributes
    ----------
    label : str, R's term label
    codings : tuple of (variable label, "numeric" | "contrast" | "indicator")
    names : tuple of str, the column names, first variable varying fastest
    """

    label: str
    codings: tuple[tuple[str, Kind], ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinearPlan:
    """How a right-hand side becomes a matrix.

    Attributes
    ----------
    intercept : bool
    terms : tuple of TermPlan
    contrasts : tuple of (variable label, Contrast), for the factors coded by contrasts
    """

    intercept: bool
    terms: tuple[TermPlan, ...]
    contrasts: tuple[tuple[str, Contrast], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All column names, in order."""
        names = [INTERCEPT] if self.intercept else []
        for term in self.terms:
            names.extend(term.names)
        return tuple(names)

    @property
    def assign(self) -> tuple[int, ...]:
        """R's ``assign`` attribute: the term of each column, 1-based, 0 for the intercept."""
        places = [0] if self.intercept else []
        for place, term in enumerate(self.terms, start=1):
            places.extend([place] * len(term.names))
        return tuple(places)

    @property
    def variables(self) -> tuple[str, ...]:
        """Labels of the variables used, each once."""
        return tuple(dict.fromkeys(label for term in self.terms for label, _ in term.codings))


def plan_linear(
    part: LinearPart, values: Mapping[str, Value], given: Mapping[str, Contrast]
) -> LinearPlan:
    """Decide coding, contrasts and column names of a right-hand side.

    Parameters
    ----------
    part : LinearPart
    values : values by variable label, unused levels dropped
    given : contrasts chosen by the caller, by variable label

    Raises
    ------
    DesignError
        A factor to be coded by contrasts has one level only.
    """
    if not part.terms:
        return LinearPlan(part.intercept, (), ())
    contrasts: dict[str, Contrast] = {}
    terms: list[TermPlan] = []
    for term, coded in zip(part.terms, codings(part, values), strict=True):
        names: list[str] = []
        for label, kind in coded:
            value = values[label]
            if kind == "contrast" and label not in contrasts:
                assert isinstance(value, Categorical)
                chosen = given.get(label)
                contrasts[label] = default_contrast(label, value) if chosen is None else chosen
            own = [label + suffix for suffix in _suffixes(value, kind, contrasts.get(label))]
            names = [f"{left}:{right}" for right in own for left in names] if names else own
        terms.append(TermPlan(term.label, coded, tuple(names)))
    return LinearPlan(part.intercept, tuple(terms), tuple(contrasts.items()))


def _suffixes(value: Value, kind: Kind, contrast: Contrast | None) -> tuple[str, ...]:
    """What the columns of one variable append to its label."""
    if isinstance(value, Numeric):
        return value.suffixes or ("",)
    if kind == "indicator":
        return tuple(value.levels)
    assert contrast is not None
    return contrast.suffixes


def linear_matrix(plan: LinearPlan, values: Mapping[str, Value], n_rows: int) -> Floats:
    """The model matrix.

    Parameters
    ----------
    plan : LinearPlan
    values : values by variable label, factors with exactly the levels of the plan
    n_rows : int, n

    Returns
    -------
    (n, p) float64 array, C-contiguous; rows with a missing factor are NaN in its columns
    """
    width = int(plan.intercept) + sum(len(term.names) for term in plan.terms)
    X = np.empty((n_rows, width))
    tables = _tables(plan, values)
    for start in range(0, n_rows, _BLOCK):
        _fill(plan, values, tables, X[start : start + _BLOCK], start)
    return X


def _tables(plan: LinearPlan, values: Mapping[str, Value]) -> dict[tuple[str, Kind], Floats]:
    """The rows that the levels of each factor stand for, by label and kind of coding."""
    contrasts = dict(plan.contrasts)
    out: dict[tuple[str, Kind], Floats] = {}
    for term in plan.terms:
        for label, kind in term.codings:
            value = values[label]
            if isinstance(value, Numeric) or (label, kind) in out:
                continue
            contrast = kind == "contrast"
            out[label, kind] = contrasts[label].matrix if contrast else np.eye(len(value.levels))
    return out


def _fill(
    plan: LinearPlan,
    values: Mapping[str, Value],
    tables: Mapping[tuple[str, Kind], Floats],
    X: Floats,
    start: int,
) -> None:
    """Fill some consecutive rows of the model matrix."""
    column = 0
    if plan.intercept:
        X[:, 0] = 1.0
        column = 1
    rows = slice(start, start + X.shape[0])
    for term in plan.terms:
        block: Floats | None = None
        for label, kind in term.codings:
            own = _columns(values[label], tables.get((label, kind)), rows)
            block = own if block is None else _products(block, own)
        assert block is not None
        if block.ndim == 1:
            X[:, column] = block
        else:
            X[:, column : column + block.shape[1]] = block
        column += len(term.names)


def _columns(value: Value, table: Floats | None, rows: slice) -> Floats:
    """Columns of one variable: (n,) for a numeric vector, else (n, m)."""
    if isinstance(value, Numeric):
        return value.values[rows]
    assert table is not None
    codes = value.codes[rows]
    columns: Floats = np.take(table, codes, axis=0, mode="clip")
    if codes.min(initial=0) < 0:
        columns[codes < 0] = np.nan
    return columns


def _products(left: Floats, right: Floats) -> Floats:
    """All products of two sets of columns, the left one varying fastest."""
    if left.ndim == 1 and right.ndim == 1:
        return left * right
    a = left[:, None] if left.ndim == 1 else left
    b = right[:, None] if right.ndim == 1 else right
    product: Floats = (b[:, :, None] * a[:, None, :]).reshape(a.shape[0], -1)
    return product


def about_their_means(plan: LinearPlan, values: Mapping[str, Value]) -> dict[str, Value] | None:
    """The values with every numeric vector centred, if that leaves the span of the columns alone.

    Centring x changes the columns of ``x:a`` by a multiple of those of ``a``. If every margin of
    every term with a number in it stands in the model before the term, the columns from the first
    to any later term span what they did. None if they might not, or if no interaction has a number.
    """
    if not plan.intercept:
        return None
    seen: set[frozenset[str]] = {frozenset()}
    mixed = False
    for term in plan.terms:
        labels = frozenset(label for label, _ in term.codings)
        numbers = [label for label, kind in term.codings if kind == "numeric"]
        if any(labels - {label} not in seen for label in numbers):
            return None
        mixed = mixed or (bool(numbers) and len(labels) > 1)
        seen.add(labels)
    if not mixed:
        return None
    out = dict(values)
    for label in plan.variables:
        value = values[label]
        if isinstance(value, Numeric) and value.values.ndim == 1:
            out[label] = Numeric(value.values - value.values.mean())
    return out
