"""Small models: the whole optimization in one compiled call, with the verdict of ``optimize``.

The compiled search follows optimize/ step by step on the arrays of the factored system; whatever
it cannot finish is handed to ``solve``, which goes on from the point reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from mixeff.linear.criterion import LinearCriterion, rounding
from mixeff.optimize import Optimum, solve
from mixeff.optimize.boundary import null_directions
from mixeff.optimize.starts import extra_starts

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]

LARGEST_TAIL = 48  # columns of the dense tail, X and y included
LARGEST_THETA = 12
LARGEST_WORK = 3e7  # multiplications per evaluation; beyond, BLAS and threads are faster
OK, STOPPED, BROKEN = 0, 1, 2  # how a compiled search ends: see small_fit.hpp


@dataclass(frozen=True, slots=True)
class SmallArrays:
    """What the compiled search takes of a system; y stands last in every level and in ``A``.

    Attributes
    ----------
    G : (J, q, q) array
    pointer : (J + 1,) int64 array
    columns : (R,) int32 array, tail column of each row of ``B``
    B : (R, q) array
    A : (T, T) array
    blocks : int64 array, first and last column and columns per level of every tail factor
    terms : int64 array, block (0 the eliminated one), first column, columns of every term
    """

    G: Floats
    pointer: Longs
    columns: Codes
    B: Floats
    A: Floats
    blocks: Longs
    terms: Longs

    @classmethod
    def of(cls, layout: Layout, partition: Partition) -> SmallArrays:
        """The arrays of a layout with one stage."""
        (stage,) = layout.stages
        place = {stage.group: 0} | {g: i + 1 for i, g in enumerate(layout.tail_groups)}
        terms: list[int] = []
        widths = dict.fromkeys(place, 0)
        for block, columns in partition.columns_of_terms():
            terms += (place[block], columns.start, columns.stop - columns.start)
            widths[block] += columns.stop - columns.start
        blocks: list[int] = []
        for i, group in enumerate(layout.tail_groups):
            blocks += (int(layout.starts[i]), int(layout.starts[i + 1]), widths[group])
        return cls(
            stage.G,
            stage.pointer,
            stage.columns - np.int32(layout.tail),
            stage.B,
            layout.A,
            np.array(blocks, dtype=np.int64),
            np.array(terms, dtype=np.int64),
        )

    @property
    def parts(self) -> tuple[Floats, Longs, Codes, Floats, Floats, Longs, Longs]:
        """In the order the kernels take them."""
        return self.G, self.pointer, self.columns, self.B, self.A, self.blocks, self.terms


def small_layout(system: System, partition: Partition) -> Layout | None:
    """The layout for the compiled search where that is the faster way, else None.

    The one place that decides between the two ways to the optimum.
    """
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
    criterion: LinearCriterion, start: Floats, control: Control, also: Sequence[Floats] = ()
) -> Optimum:
    """The optimum by whichever way is faster; ``also`` are starts tried before the extra ones."""
    layout = small_layout(criterion.system, criterion.partition)
    if layout is None:
        return solve(criterion, start, control, also=also)
    found = kernels.small_fit(
        *SmallArrays.of(layout, criterion.partition).parts,
        criterion.system.n,
        criterion.reml,
        np.ascontiguousarray(start),
        other_starts(criterion.partition, control, also),
        control.tolerance,
        control.max_evaluations,
    )
    status, theta, evaluations = found[0], found[1], found[9]
    if status != OK:
        rest = solve(criterion, start if status == BROKEN else theta, control, also=also)
        return replace(rest, evaluations=rest.evaluations + evaluations)
    return _optimum(criterion, layout, found)


def other_starts(partition: Partition, control: Control, also: Sequence[Floats] = ()) -> Floats:
    """(c, k) starts tried when an optimum lies on the boundary."""
    starts = [*also, *extra_starts(partition, control.extra_starts)]
    return np.array(starts, dtype=np.float64).reshape(len(starts), partition.n_theta)


def _optimum(criterion: LinearCriterion, layout: Layout, found: tuple[Any, ...]) -> Optimum:
    """Name the parts of what the compiled search returns."""
    (
        _, theta, value, gradient, hessian, slopes, decrease, curvature, nulls, evaluations, values,
        pwrss, beta, covariance, modes, tail,
    ) = found  # fmt: skip
    sizes = [s.size for s in criterion.partition.structures]
    ends = np.cumsum([q * q for q in sizes])[:-1]
    squares = [x.reshape(q, q) for x, q in zip(np.split(slopes, ends), sizes, strict=True)]
    levels = {layout.stages[0].group: modes}
    for i, group in enumerate(layout.tail_groups):
        part = tail[layout.starts[i] : layout.starts[i + 1]]
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
