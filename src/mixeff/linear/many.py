"""Many responses to one design: everything but the response is shared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.design.design import Design
from mixeff.design.moments import NO_WEIGHTS
from mixeff.errors import DesignError
from mixeff.factor import kernels
from mixeff.factor.cholesky import BlockedSystem
from mixeff.factor.stages import Layout
from mixeff.linear.criterion import LinearCriterion, LinearEvaluation
from mixeff.linear.estimate import LinearEstimate
from mixeff.linear.rows import RowColumns
from mixeff.linear.small import (
    BROKEN,
    OK,
    SmallEvaluation,
    find_optimum,
    other_starts,
    small_layout,
)
from mixeff.linear.small_arrays import SmallArrays
from mixeff.linear.starting import constant_starts
from mixeff.linear.working import Prepared, usable_threads, working_model
from mixeff.optimize import Optimum, solve

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
_Found = tuple[Longs, Floats, Floats, Floats, Floats, Longs, Longs]  # what small_fits returns

_NUMBERS_AT_ONCE = 1 << 20  # of the responses, in working coordinates
_RESPONSES_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, eq=False)
class ManyEstimates:
    """Estimates of m responses in the caller's units, one row or entry per response.

    Attributes
    ----------
    theta : (m, k) array
    beta : (m, p) array
    sigma, criterion : (m,) arrays
    converged, singular : (m,) boolean arrays
    evaluations : (m,) int64 array
    """

    theta: Floats
    beta: Floats
    sigma: Floats
    criterion: Floats
    converged: NDArray[np.bool_]
    singular: NDArray[np.bool_]
    evaluations: NDArray[np.int64]

    @classmethod
    def of_size(cls, m: int, k: int, p: int) -> ManyEstimates:
        """Nothing estimated yet."""
        return cls(
            np.full((m, k), np.nan),
            np.full((m, p), np.nan),
            np.full(m, np.nan),
            np.full(m, np.nan),
            np.zeros(m, dtype=np.bool_),
            np.zeros(m, dtype=np.bool_),
            np.zeros(m, dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class Responses:
    """Some responses in working coordinates; see ``coordinates.Response``.

    ``center``, ``scale`` (m,), ``projection`` (p, m), ``values`` (n, m).
    """

    center: Floats
    projection: Floats
    scale: Floats
    values: Floats


def fit_many(
    design: Design,
    like: LinearEstimate,
    Y: Floats,
    *,
    control: Control,
    threads: int | None = None,
    watch: Callable[[int], None] | None = None,
) -> ManyEstimates:
    """Fit every column of ``Y`` in place of the response of ``design``.

    Parameters
    ----------
    design : Design
    like : LinearEstimate
        A fit of the design; whether by REML, the first theta and the cross-products come from it.
    Y : (n, m) array, finite
    control : Control
    threads : int, optional
        Results do not depend on it.
    watch : callable, optional
        Called with the number of responses done, every now and then.

    Raises
    ------
    DesignError
        Naming the column that leaves no residual.
    """
    batch = Batch.of(design, like, control, threads)
    n, m = Y.shape
    out = batch.room(m)
    step = responses_at_once(n)
    for first in range(0, m, step):
        batch.fit(Y, slice(first, min(first + step, m)), out)
        if watch is not None:
            watch(min(first + step, m))
    return out


def responses_at_once(n: int) -> int:
    """Responses of n rows that are worth having in memory together."""
    return max(1, min(_RESPONSES_AT_ONCE, _NUMBERS_AT_ONCE // n))


@dataclass(frozen=True, slots=True)
class Batch:
    """What all responses to one design share.

    Fits of one column do not depend on the others nor on ``threads``.
    """

    design: Design
    prepared: Prepared
    rows: RowColumns
    factor: Floats  # Cholesky factor of X'WX / n
    system: BlockedSystem
    layout: Layout | None  # for the compiled search
    reml: bool
    start: Floats
    also: tuple[Floats, ...]
    besides: tuple[Floats, ...]  # see find_optimum
    control: Control
    threads: int

    @classmethod
    def of(
        cls,
        design: Design,
        like: LinearEstimate,
        control: Control,
        threads: int | None = None,
    ) -> Batch:
        """See `fit_many`."""
        threads = threads or control.threads or usable_threads()
        prepared = like.prepared or working_model(design, threads).prepared
        chosen, partition = prepared.coordinates, prepared.partition
        products = prepared.products.fixed[:-1, :-1] / design.n
        factor, _ = scipy.linalg.lapack.dpotrf(products, lower=1)
        start, also = partition.start(), tuple[Floats, ...]()
        if not like.convergence.singular:
            start, also = chosen.working_theta(partition, like.theta), (start,)
        system = prepared.system(threads)
        return cls(
            design, prepared, RowColumns.of(design, chosen, partition), factor, system,
            small_layout(system, partition), like.reml, start, also,
            constant_starts(chosen, partition), control, threads,
        )  # fmt: skip

    def room(self, m: int) -> ManyEstimates:
        """For the estimates of m responses."""
        return ManyEstimates.of_size(m, self.prepared.partition.n_theta, self.design.X.shape[1])

    def estimates(self, Y: Floats) -> ManyEstimates:
        """Estimates of all columns of ``Y`` (n, m) at once: of `responses_at_once` responses."""
        out = self.room(Y.shape[1])
        self.fit(Y, slice(0, Y.shape[1]), out)
        return out

    def responses(self, Y: Floats, columns: slice) -> Responses:
        """Least-squares residuals of the given columns, as ``coordinates.response`` has them."""
        design, weights, n = self.design, self.design.weights, self.design.n
        y = np.array(Y[:, columns], dtype=np.float64, order="C")
        if design.offset is not None:
            y -= design.offset[:, None]
        largest = np.maximum(y.max(axis=0), -y.min(axis=0))
        center = np.zeros(y.shape[1])
        if self.prepared.coordinates.fixed.constant is not None:
            center = y.mean(axis=0)  # what this misses of a weighted mean the projection takes out
            y -= center
        w = NO_WEIGHTS if weights is None else weights
        projection = np.zeros((design.X.shape[1], y.shape[1]))
        products, squares = kernels.subtract_fits(*self.rows.X, projection, y, w, self.threads)
        start = unit = np.sqrt(squares / n)
        for _ in range(3 if projection.size else 0):
            change, _ = scipy.linalg.lapack.dpotrs(self.factor, products / n, lower=1)
            change = np.ascontiguousarray(change)
            projection += change
            products, squares = kernels.subtract_fits(*self.rows.X, change, y, w, self.threads)
            unit = np.sqrt(squares / n)
            # As for one response: a large change leaves its rounding errors.
            if np.all(np.sqrt((change * change).sum(axis=0)) <= 1e3 * unit):
                break
        typical = 1.0 if weights is None else math.sqrt(float(weights.mean()))
        bad = np.flatnonzero((unit <= 1e-14 * largest * typical) | (unit <= 1e-12 * start))
        if bad.size:
            raise DesignError(
                f"The fixed effects reproduce column {columns.start + int(bad[0])} of the "
                "responses (counted from 0) exactly, so there is no variance left to divide among "
                "random effects and residual: leave it out."
            )
        y /= unit
        return Responses(center, projection, unit, y)

    def fit(self, Y: Floats, columns: slice, out: ManyEstimates) -> None:
        """Estimate some columns and write them where they belong."""
        work = self.responses(Y, columns)
        fixed, groups = self.rows.products(work.values, self.threads)
        if self.layout is not None:
            theta, value, pwrss, beta = self._compiled(self.layout, fixed, groups, columns, out)
        else:
            theta, value, pwrss, beta = self._one_by_one(fixed, groups, columns, out)
        self._report(work, theta, value, pwrss, beta, columns, out)

    def _compiled(
        self,
        layout: Layout,
        fixed: Floats,
        groups: list[Floats],
        columns: slice,
        out: ManyEstimates,
    ) -> tuple[Floats, Floats, Floats, Floats]:
        partition, control = self.prepared.partition, self.control
        tail = [groups[i] for i in layout.tail_groups]
        products = np.ascontiguousarray(np.hstack([*tail, fixed]))

        def search(start: Floats) -> _Found:
            return kernels.small_fits(
                *SmallArrays.of(layout, partition).parts,
                self.design.n,
                self.reml,
                groups[layout.stages[0].group],
                products,
                start,
                other_starts(partition, control, self.also),
                control.tolerance,
                control.max_evaluations,
                self.threads,
            )

        found = search(self.start)
        for other in self.besides:
            found = _lower(found, search(other))
        status, theta, value, pwrss, beta, evaluations, nulls = found
        out.converged[columns] = status == OK
        out.singular[columns] = nulls > 0
        out.evaluations[columns] = evaluations
        for i in np.flatnonzero(status != OK):
            # Rare: the search in Python has a second optimizer, and words what is wrong.
            at = self.start if status[i] == BROKEN else theta[i].copy()
            parts = self._criterion(fixed[i], [g[i] for g in groups])
            optimum = self._named(columns.start + int(i), solve, parts, at)
            theta[i], value[i], pwrss[i], beta[i] = _numbers(optimum)
            _note(out, columns.start + int(i), optimum, int(evaluations[i]))
        return theta, value, pwrss, beta

    def _one_by_one(
        self, fixed: Floats, groups: list[Floats], columns: slice, out: ManyEstimates
    ) -> tuple[Floats, Floats, Floats, Floats]:
        m, p = fixed.shape[0], fixed.shape[1] - 1
        theta, beta = np.empty((m, self.start.size)), np.empty((m, p))
        value, pwrss = np.empty(m), np.empty(m)
        for i in range(m):
            parts = self._criterion(fixed[i], [g[i] for g in groups])
            optimum = self._named(
                columns.start + i, find_optimum, parts, self.start, besides=self.besides
            )
            theta[i], value[i], pwrss[i], beta[i] = _numbers(optimum)
            _note(out, columns.start + i, optimum, 0)
        return theta, value, pwrss, beta

    def _criterion(self, fixed: Floats, groups: list[Floats]) -> LinearCriterion:
        products = self.prepared.exchanged(fixed, groups)
        system = BlockedSystem(products, threads=self.threads, like=self.prepared.layout)
        return LinearCriterion(system, self.prepared.partition, self.reml)

    def _named(
        self,
        column: int,
        search: Callable[..., Optimum],
        criterion: LinearCriterion,
        at: Floats,
        **more: tuple[Floats, ...],
    ) -> Optimum:
        try:
            return search(criterion, at, self.control, also=self.also, **more)
        except DesignError as error:
            raise DesignError(f"Column {column} of the responses (from 0): {error}") from error

    def _report(
        self, work: Responses, theta: Floats, value: Floats, pwrss: Floats, beta: Floats,
        columns: slice, out: ManyEstimates,
    ) -> None:  # fmt: skip
        """In the caller's units: what ``coordinates`` does for one response."""
        chosen, partition = self.prepared.coordinates, self.prepared.partition
        n, p = self.design.X.shape
        nu = n - p if self.reml else n
        bare = replace(chosen.response, scale=1.0)
        shift = replace(chosen, response=bare).criterion_shift(n, p, self.reml)
        out.criterion[columns] = value + shift + 2.0 * nu * np.log(work.scale)
        out.sigma[columns] = work.scale * np.sqrt(pwrss / nu)
        fixed = chosen.fixed
        working = work.projection.T + work.scale[:, None] * beta
        outer = np.einsum("ij,kj->ik", working, fixed.matrix)  # too small for BLAS threads
        if fixed.constant is not None:
            outer += work.center[:, None] * fixed.constant
        out.beta[columns] = outer
        out.theta[columns] = chosen.thetas(partition, np.asarray(theta))


def _lower(one: _Found, other: _Found) -> _Found:
    """Response by response the lower of two searches, with the work of both."""
    status, theta, value, pwrss, beta, evaluations, nulls = one
    # As optimize.best_of has it.
    better = (other[0] == OK) & (other[2] < value - (1e-9 + 1e-13 * np.abs(value)))
    return (
        np.where(better, other[0], status),
        np.where(better[:, None], other[1], theta),
        np.where(better, other[2], value),
        np.where(better, other[3], pwrss),
        np.where(better[:, None], other[4], beta),
        evaluations + other[5],
        np.where(better, other[6], nulls),
    )


def _numbers(optimum: Optimum) -> tuple[Floats, float, float, Floats]:
    evaluation = optimum.evaluation
    assert isinstance(evaluation, LinearEvaluation | SmallEvaluation)
    factor = evaluation.factor
    return evaluation.theta, evaluation.value, factor.pwrss, factor.beta()


def _note(out: ManyEstimates, at: int, optimum: Optimum, before: int) -> None:
    out.converged[at] = optimum.ok
    out.singular[at] = bool(optimum.nulls)
    out.evaluations[at] = optimum.evaluations + before
