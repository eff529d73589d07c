"""The track of a fixed effect of a linear model: a column dropped, an offset in its place.

Holding beta_j at b is the model of y - b x_j without the column. With the fixed columns turned so
that the last one is the profiled direction, both are combinations of the cross-products of
[X y]: no rows are read, and small models are fitted by the compiled search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import ConvergenceError
from mixeff.factor import kernels
from mixeff.factor.threads import one_blas_thread
from mixeff.inference.profile.restriction import complement
from mixeff.inference.profile.track import Scale, Solved, Track
from mixeff.linear.criterion import LinearCriterion, LinearEvaluation
from mixeff.linear.small import OK
from mixeff.linear.small_arrays import SmallArrays
from mixeff.linear.unprofiled import UnprofiledCriterion
from mixeff.optimize import solve

if TYPE_CHECKING:
    from mixeff.inference.profile.linear import LinearModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Found:
    """A fit of the model with the effect held."""

    theta: Floats
    value: float
    pwrss: float
    beta: Floats  # of the columns that are left
    ok: bool
    evaluations: int


class _Dropped:
    """The compiled search's arrays without the last fixed column: y - b x in the place of y."""

    def __init__(self, arrays: SmallArrays) -> None:
        self._arrays = arrays
        y = arrays.pointer[1:] - 1  # rows of a level end with those of X and y
        self._x_rows, kept = arrays.B[y - 1], np.ones(arrays.B.shape[0], dtype=bool)
        kept[y - 1] = False
        self._B = np.ascontiguousarray(arrays.B[kept])
        self._pointer = arrays.pointer - np.arange(arrays.pointer.size)
        self._y = self._pointer[1:] - 1
        width = arrays.A.shape[0]
        columns = arrays.columns[kept]
        self._columns = np.where(columns == width - 1, columns - 1, columns).astype(np.int32)
        self._change = np.delete(np.eye(width), width - 2, axis=1)

    def at(self, b: float) -> SmallArrays:
        """With the effect held at b."""
        B = self._B.copy()
        B[self._y] -= b * self._x_rows
        change = self._change.copy()
        change[-2, -1] = -b
        A = np.ascontiguousarray(change.T @ self._arrays.A @ change)
        arrays = self._arrays
        return SmallArrays(arrays.G, self._pointer, self._columns, B, A, arrays.arrangement)


class FixedEffectTrack(Track):
    """The profile of coefficient ``j``; v is the coefficient of the turned column.

    Parameters
    ----------
    model : LinearModel
    name : str
    j : int
    """

    def __init__(self, model: LinearModel, name: str, j: int) -> None:
        fixed, response = model.coordinates.fixed, model.coordinates.response
        row = fixed.matrix[j]
        length = float(np.linalg.norm(row))
        self.direction = row / length
        self.others = complement(self.direction)
        shift = float(row @ response.projection)
        if fixed.constant is not None:
            shift += response.center * float(fixed.constant[j])
        self.name, self.scale = name, Scale("linear", response.scale * length, shift)
        self.model = model
        p = row.size
        turn = np.eye(p + 1)
        turn[:p, :p] = np.column_stack([self.others, self.direction])
        self.products = model.prepared.products.transformed(fixed=turn)
        criterion = model.criterion_of(model.system(self.products))
        self.full = UnprofiledCriterion(criterion)
        self.memory = criterion.memory
        arrays = self.full.arrays
        self.dropped = None if arrays is None else _Dropped(arrays)

    def estimate(self) -> tuple[Solved, float, Floats]:
        """See ``Track``; theta moves quadratically at first."""
        model = self.model
        z = np.append(model.theta, model.omega)
        found = self.full.evaluate(z)
        beta = found.beta
        n = model.design.n
        own = _Found(model.theta, found.value, found.pwrss, beta[:-1], True, 1)
        inner = model.coordinates.fixed.inverse @ model.estimate.unscaled_covariance
        inner = inner @ model.coordinates.fixed.inverse.T
        variance = float(self.direction @ inner @ self.direction)
        speed = math.sqrt(variance * found.pwrss / n)
        return self._solved(float(beta[-1]), own, 0.0), speed, np.zeros_like(model.theta)

    def solve(self, v: float, starts: Sequence[Floats]) -> Solved:
        """See ``Track``."""
        found = self._compiled(v, starts[0]) if self.dropped is not None else None
        if found is None:
            found = self._general(v, starts)
        # r^2 is quadratic in v at fixed theta: its slope by the minimum, which the full system has.
        full = self.full.evaluate(
            np.append(found.theta, math.log(found.pwrss / self.model.design.n))
        )
        distance = v - float(full.beta[-1])
        rise = max(found.pwrss - full.pwrss, 0.0)
        slope = 2.0 * self.model.design.n * rise / (distance * found.pwrss) if distance else 0.0
        return self._solved(v, found, slope)

    def _compiled(self, v: float, start: Floats) -> _Found | None:
        """By the compiled search; None where that is not the end of it."""
        assert self.dropped is not None
        control = self.model.control
        found = kernels.small_fit(
            *self.dropped.at(v).parts,
            self.model.design.n,
            False,
            np.ascontiguousarray(start),
            np.empty((0, start.size)),
            control.tolerance,
            control.max_evaluations,
        )
        if found[0] != OK:
            return None
        return _Found(found[1], found[2], found[11], found[12], True, found[9])

    def _general(self, v: float, starts: Sequence[Floats]) -> _Found:
        """By the search in Python, on the blocked system."""
        p = self.others.shape[0]
        change = np.delete(np.eye(p + 1), p - 1, axis=1)
        change[p - 1, -1] = -v
        system = self.model.system(self.products.transformed(fixed=change))
        criterion = LinearCriterion(system, self.model.partition, False, self.memory)
        for i, start in enumerate(starts):
            try:
                with one_blas_thread():
                    optimum = solve(criterion, start, self.model.control, others=())
                break
            except ConvergenceError:
                if i == len(starts) - 1:
                    raise
        evaluation = optimum.evaluation
        assert isinstance(evaluation, LinearEvaluation)
        factor = evaluation.factor
        return _Found(
            evaluation.theta,
            evaluation.value,
            factor.pwrss,
            factor.beta(),
            optimum.ok,
            optimum.evaluations,
        )

    def _solved(self, v: float, found: _Found, slope: float) -> Solved:
        return Solved(
            v=v,
            x=found.theta,
            value=found.value,
            slope=slope,
            ok=found.ok,
            evaluations=found.evaluations,
            fixed=np.append(self.others @ found.beta + v * self.direction, found.pwrss),
        )

    def parameters(self, solved: Solved) -> tuple[float, ...]:
        """See ``Track``."""
        omega = math.log(solved.fixed[-1] / self.model.design.n)
        return self.model.parameters(solved.x, omega, solved.fixed[:-1])

    def start(self, solved: Solved) -> Floats:
        """See ``Track``."""
        return self.model.partition.from_factors(self.model.roots(solved.x, None, None))
