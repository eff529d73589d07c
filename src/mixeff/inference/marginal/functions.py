"""Linear functions of beta: their values, and whether the data can estimate them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.method import Method

if TYPE_CHECKING:
    from mixeff.design.scoring import DesignState
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# A function is estimable if what it has outside the row space of X is rounding, relative to the
# sizes of what was subtracted there. No common scale would do: a covariate may count seconds.
_OUTSIDE = 1e-8
# What is left of a sum, relative to the sum of sizes, when its terms cancel.
_CANCELLED = 1e-14
# Smaller coefficients of a dependency, in units of the columns, are rounding.
_INDEPENDENT = 1e-9


@dataclass(frozen=True, slots=True)
class LinearFunctions:
    """m linear functions of the fixed effects, L beta + offset.

    Attributes
    ----------
    L : (m, p) array, in the columns of X that the fit kept
    outside : (m, d) array
        What each has along the d dependencies among all columns (Searle 1971, section 5.4): zero
        for an estimable function. d is 0 where X has full rank.
    size : (m, d) array, the sum of the sizes of what makes up ``outside``
    offset : (m,) array
    absent : (m,) bool array
        Of combinations of levels that cannot occur, because a factor is nested in another.
    """

    L: Floats
    outside: Floats
    size: Floats
    offset: Floats
    absent: Flags

    def __len__(self) -> int:
        return int(self.L.shape[0])

    @property
    def estimable(self) -> Flags:
        """(m,) whether the data determine each."""
        known = np.isfinite(self.L).all(axis=1) & ~self.absent
        return np.asarray(known & (np.abs(self.outside) <= _OUTSIDE * self.size).all(axis=1))

    def combine(self, C: Floats) -> LinearFunctions:
        """The functions C (L beta + offset), C (k, m); a coefficient of zero ignores a NaN.

        Coefficients that cancel are zero, not rounding: a difference that depends on nothing must
        not have a standard error, and a test.
        """
        L = _product(C, self.L)
        gone = np.abs(L) <= _CANCELLED * _product(np.abs(C), np.abs(self.L))
        return LinearFunctions(
            np.where(gone, 0.0, L),
            _product(C, self.outside),
            _product(np.abs(C), self.size),
            _product(C, self.offset[:, None])[:, 0],
            np.asarray((C != 0) @ self.absent, dtype=bool),
        )

    def take(self, rows: NDArray[np.intp]) -> LinearFunctions:
        """Some of the functions."""
        return LinearFunctions(
            self.L[rows],
            self.outside[rows],
            self.size[rows],
            self.offset[rows],
            self.absent[rows],
        )

    def scaled(self, factor: Floats, offset: Floats) -> LinearFunctions:
        """Every function times a number (m,), with another offset."""
        return replace(
            self,
            L=self.L * factor[:, None],
            outside=self.outside * factor[:, None],
            size=self.size * np.abs(factor)[:, None],
            offset=offset,
        )


def _product(C: Floats, A: Floats) -> Floats:
    if np.isfinite(A).all():
        return np.asarray(C @ A)
    bad = np.asarray(~np.isfinite(A).all(axis=1))
    out: Floats = C @ np.where(bad[:, None], 0.0, A)
    out[(C[:, bad] != 0).any(axis=1)] = np.nan
    return out


def average(
    functions: LinearFunctions, group: NDArray[np.intp], weights: Floats
) -> LinearFunctions:
    """Weighted averages of the functions of each group (m groups); NaN where all weigh nothing.

    What is absent counts only in a group that has nothing else, and is absent itself.
    """
    m = int(group.max()) + 1
    empty = np.bincount(group, ~functions.absent, minlength=m) == 0
    weights = np.where(functions.absent & ~empty[group], 0.0, weights)
    total = np.bincount(group, weights, minlength=m)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = weights / total[group]
    return LinearFunctions(
        _sums(functions.L, share, group, m),
        _sums(functions.outside, share, group, m),
        _sums(functions.size, share, group, m),
        _sums(functions.offset[:, None], share, group, m)[:, 0],
        empty,
    )


def _sums(values: Floats, share: Floats, group: NDArray[np.intp], m: int) -> Floats:
    out = np.zeros((m, values.shape[1]))
    # A row without weight adds nothing, not even its NaN.
    used = np.flatnonzero(share)
    np.add.at(out, group[used], share[used, None] * values[used])
    return out


def linear_functions(
    dependencies: Floats, state: DesignState, rows: Floats, offset: Floats | None
) -> LinearFunctions:
    """Functions given by rows in all columns of the plan, (m, P)."""
    kept = list(state.kept)
    dropped = np.setdiff1d(np.arange(rows.shape[1]), kept)
    L, rest = np.ascontiguousarray(rows[:, kept]), rows[:, dropped]
    return LinearFunctions(
        L,
        rest - _product(L, dependencies),
        np.abs(rest) + _product(np.abs(L), np.abs(dependencies)),
        np.zeros(len(rows)) if offset is None else offset,
        np.zeros(len(rows), dtype=bool),
    )


def every_column(state: DesignState) -> DesignState:
    """The state that scores all columns of the plan, those the fit dropped too."""
    return replace(state, kept=tuple(range(len(state.fixed.names))))


def column_dependencies(fit: MixedModel) -> Floats:
    """(p, d) matrix A with X_dropped = X A on the rows of the fit."""
    design = fit.design
    total = len(design.state.fixed.names)
    if total == len(design.state.kept):
        return np.zeros((len(design.state.kept), 0))
    state = replace(every_column(design.state), offsets=(), offset_array=False)
    X = state.fixed_matrix(fit.request.data)[0][design.rows]
    dropped = np.setdiff1d(np.arange(total), list(design.state.kept))
    length = np.linalg.norm(design.X, axis=0)
    A = np.linalg.lstsq(design.X / length, X[:, dropped], rcond=None)[0]
    largest = np.linalg.norm(X[:, dropped], axis=0)
    A = np.where(np.abs(A) <= _INDEPENDENT * largest, 0.0, A)
    return np.asarray(A / length[:, None])


@dataclass(frozen=True, slots=True)
class Judged:
    """Values of linear functions with their standard errors; NaN where not estimable.

    Attributes
    ----------
    value, std_error, df : (m,) arrays
    """

    value: Floats
    std_error: Floats
    df: Floats


def judge(functions: LinearFunctions, beta: Floats, method: Method) -> Judged:
    """Evaluate functions with the covariance and df of a method."""
    m = len(functions)
    value, std_error, df = (np.full(m, np.nan) for _ in range(3))
    known = functions.estimable
    L = functions.L[known]
    value[known] = L @ beta + functions.offset[known]
    variance = np.einsum("ij,ij->i", L @ method.covariance, L)
    std_error[known] = np.sqrt(np.maximum(variance, 0.0))
    varies = known.copy()
    varies[known] = L.any(axis=1)
    if varies.any():
        df[varies] = method.df(functions.L[varies])
    return Judged(value, std_error, df)
