"""Small models: the whole optimization in one compiled call, with the verdict of ``optimize``.

The compiled search follows optimize/ step by step on the arrays of the factored system; whatever
it cannot finish is handed to ``solve``, which goes on from the point reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.covariance import Partition
from mixeff.factor import kernels
from mixeff.factor.cholesky import BlockedSystem
from mixeff.factor.elimination import Plan
from mixeff.factor.stages import Layout, build_layout
from mixeff.factor.system import System
from mixeff.factor.threads import one_blas_thread
from mixeff.linear.criterion import LinearCriterion, rounding
from mixeff.linear.direct import DirectSystem
from mixeff.linear.small_arrays import (
    LARGEST_TAIL,
    LARGEST_THETA,
    LARGEST_WORK,
    Arrangement,
    SmallArrays,
)
from mixeff.optimize import Optimum, solve
from mixeff.optimize.boundary import null_directions
from mixeff.optimize.solve import best_of
from mixeff.optimize.starts import extra_starts

Floats = NDArray[np.float64]

OK, STOPPED, BROKEN = 0, 1, 2  # how a compiled search ends: see small_fit.hpp


def small_layout(system: System, partition: Partition) -> Layout | None:
    """The layout for the compiled search where that is the faster way, else None.

    With ``direct_system``, which knows the answer for the smallest ones before any cross-products
    are made, the one place that decides between the two ways to the optimum.
    """
    if isinstance(system, DirectSystem):
        system = system.blocked
    if not isinstance(system, BlockedSystem) or partition.n_theta > LARGEST_THETA:
        return None
    layout = system.layout
    inner = [s.G.shape[0] * s.G.shape[1] for s in layout.stages[1:]]
    if layout.products.size + sum(inner) > LARGEST_TAIL or max(system.n_columns) > LARGEST_THETA:
        return None
    rows = np.diff(layout.stages[0].pointer).astype(np.float64)
    if float(rows @ rows) * layout.stages[0].G.shape[1] > LARGEST_WORK:
        return None
    if not inner:
        return layout
    # Nested factors this small are dense faster than sparse.
    lead, *chain = (s.group for s in layout.stages)
    return build_layout(system.products, Plan((lead,), (*chain, *layout.tail_groups)))


@dataclass(frozen=True, slots=True)
class SmallFactor:
    """The solutions at the optimum, as ``Factor`` gives them."""

    pwrss: float
    fixed: Floats
    covariance: Floats
    levels: tuple[Floats, ...]

    def beta(self) -> Floats:
        """(p,) generalized least squares coefficients."""
        return self.fixed

    def unscaled_covariance(self) -> Floats:
        """(p, p) (X' V^-1 X)^-1."""
        return self.covariance

    def modes(self) -> tuple[Floats, ...]:
        """Conditional modes per grouping factor, (J, q) each."""
        return self.levels


@dataclass(frozen=True, slots=True)
class SmallEvaluation:
    """The criterion at the compiled optimum; see ``LinearEvaluation``."""

    criterion: LinearCriterion
    theta: Floats
    value: float
    gradient: Floats
    hessian: Floats
    sigma_slopes: tuple[Floats, ...]
    factor: SmallFactor

    @property
    def sigma2(self) -> float:
        """Residual variance r^2 / nu in working units."""
        return self.factor.pwrss / self.criterion.degrees

    @property
    def noise(self) -> float:
        """Rounding error of the value, as ``LinearEvaluation`` has it."""
        return rounding(self.criterion, self.factor.pwrss)

    def curvature_along(self, term: int, direction: Floats) -> float:
        """Average information for Sigma_term + t v v', at t = 0."""
        return self.criterion.evaluate(self.theta).curvature_along(term, direction)


def find_optimum(
    criterion: LinearCriterion,
    start: Floats,
    control: Control,
    also: Sequence[Floats] = (),
    besides: Sequence[Floats] = (),
) -> Optimum:
    """The optimum by whichever way is faster.

    ``also`` are starts tried before the extra ones where an optimum lies on the boundary;
    ``besides`` are starts tried in any case (``starting.constant_starts``).
    """
    best = _from_one(criterion, start, control, also)
    for other in besides:
        best = best_of(best, _from_one(criterion, other, control, also))
    return best


def _from_one(
    criterion: LinearCriterion, start: Floats, control: Control, also: Sequence[Floats]
) -> Optimum:
    arrays = search_arrays(criterion)
    if arrays is None:
        # Small products and eigenvalues outside the kernels only lose by threads of BLAS.
        with one_blas_thread():
            return solve(criterion, start, control, also=also)
    found = kernels.small_fit(
        *arrays.parts,
        criterion.system.n,
        criterion.reml,
        np.ascontiguousarray(start),
        other_starts(criterion.partition, control, also),
        control.tolerance,
        control.max_evaluations,
    )
    status, theta, evaluations = found[0], found[1], found[9]
    if status != OK:
        with one_blas_thread():
            rest = solve(criterion, start if status == BROKEN else theta, control, also=also)
        return replace(rest, evaluations=rest.evaluations + evaluations)
    return _optimum(criterion, arrays.arrangement, found)


def search_arrays(criterion: LinearCriterion) -> SmallArrays | None:
    """The arrays for the compiled search, None where it is not the faster way."""
    system, partition = criterion.system, criterion.partition
    if isinstance(system, DirectSystem):
        return system.arrays
    layout = small_layout(system, partition)
    return None if layout is None else SmallArrays.of(layout, partition)


def other_starts(partition: Partition, control: Control, also: Sequence[Floats] = ()) -> Floats:
    """(c, k) starts tried when an optimum lies on the boundary."""
    extra = _extra_starts(partition, control.extra_starts)
    return np.vstack([*also, extra]) if also else extra


@lru_cache(maxsize=64)
def _extra_starts(partition: Partition, count: int) -> Floats:
    """The extra starts as one array; remembered, and so not to be written to."""
    starts = extra_starts(partition, count)
    out = np.array(starts, dtype=np.float64).reshape(len(starts), partition.n_theta)
    out.flags.writeable = False
    return out


def _optimum(criterion: LinearCriterion, where: Arrangement, found: tuple[Any, ...]) -> Optimum:
    """Name the parts of what the compiled search returns."""
    (
        _, theta, value, gradient, hessian, slopes, decrease, curvature, nulls, evaluations, values,
        pwrss, beta, covariance, modes, tail,
    ) = found  # fmt: skip
    squares: list[Floats] = []
    first = 0
    for structure in criterion.partition.structures:
        q = structure.size
        squares.append(slopes[first : first + q * q].reshape(q, q))
        first += q * q
    levels = {where.lead: modes}
    for i, group in enumerate(where.tail):
        part = tail[where.starts[i] : where.starts[i + 1]]
        levels[group] = part.reshape(-1, criterion.system.n_columns[group])
    evaluation = SmallEvaluation(
        criterion,
        theta,
        value,
        gradient,
        hessian,
        tuple(squares),
        SmallFactor(pwrss, beta, covariance, tuple(levels[i] for i in range(len(levels)))),
    )
    return Optimum(
        evaluation=evaluation,
        ok=True,
        predicted_decrease=decrease,
        curvature=curvature,
        nulls=null_directions(evaluation, criterion.partition) if nulls else (),
        evaluations=evaluations,
        optimizer="newton",
        local_values=tuple(values.tolist()),
    )
