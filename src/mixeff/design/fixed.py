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
        return value.levels
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
    column = 0
    if plan.intercept:
        X[:, 0] = 1.0
        column = 1
    contrasts = dict(plan.contrasts)
    for term in plan.terms:
        block: Floats | None = None
        for label, kind in term.codings:
            own = _columns(values[label], kind, contrasts.get(label))
            block = own if block is None else _products(block, own)
        assert block is not None
        if block.ndim == 1:
            X[:, column] = block
        else:
            X[:, column : column + block.shape[1]] = block
        column += len(term.names)
    return X


def _columns(value: Value, kind: Kind, contrast: Contrast | None) -> Floats:
    """Columns of one variable: (n,) for a numeric vector, else (n, m)."""
    if isinstance(value, Numeric):
        return value.values
    if kind == "indicator":
        table: Floats = np.eye(len(value.levels))
    else:
        assert contrast is not None
        table = contrast.matrix
    columns = np.take(table, value.codes, axis=0, mode="clip")
    missing = value.codes < 0
    if missing.any():
        columns[missing] = np.nan
    return columns


def _products(left: Floats, right: Floats) -> Floats:
    """All products of two sets of columns, the left one varying fastest."""
    if left.ndim == 1 and right.ndim == 1:
        return left * right
    a = left[:, None] if left.ndim == 1 else left
    b = right[:, None] if right.ndim == 1 else right
    product: Floats = (b[:, :, None] * a[:, None, :]).reshape(a.shape[0], -1)
    return product
