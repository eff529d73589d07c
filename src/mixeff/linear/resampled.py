"""Fits to whole levels of the one grouping factor drawn again: sums per level, added anew.

A resampled data set has the cross-products of its levels, so no row is looked at again: the blocks
of the levels drawn are put side by side and their dense parts added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.crossproducts.blocks import CrossProducts, GroupProducts
from mixeff.design.design import Design
from mixeff.errors import DesignError
from mixeff.factor.cholesky import BlockedSystem
from mixeff.linear.coordinates import Coordinates
from mixeff.linear.criterion import LinearCriterion, LinearEvaluation
from mixeff.linear.determined import check_determined
from mixeff.linear.estimate import LinearEstimate
from mixeff.linear.many import ManyEstimates
from mixeff.linear.small import SmallEvaluation, find_optimum
from mixeff.linear.starting import constant_starts
from mixeff.linear.working import WorkingModel, usable_threads, working_model

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

_DEPENDENT = 1e-9  # squared sine of the angle between a column and those before it: rounding


@dataclass(frozen=True, slots=True)
class LevelSums:
    """Cross-products level by level of the one grouping factor, in working coordinates.

    Attributes
    ----------
    design : Design
    model : WorkingModel
    groups : GroupProducts
    fixed : (J, p + 1, p + 1) array, [X y]'W [X y] of every level
    sizes : (J,) int64 array, rows of every level
    start : (k,) array, the fit's theta in working coordinates
    reml : bool
    control : Control
    threads : int
    """

    design: Design
    model: WorkingModel
    groups: GroupProducts
    fixed: Floats
    sizes: Longs
    start: Floats
    reml: bool
    control: Control
    threads: int

    @classmethod
    def of(
        cls, design: Design, like: LinearEstimate, control: Control, threads: int | None = None
    ) -> LevelSums:
        """From a fit of a design whose random terms share one grouping factor."""
        threads = threads or control.threads or usable_threads()
        if like.prepared is None:
            model = working_model(design, threads)
        else:
            model = like.prepared.with_response(design, threads)
        chosen, partition = model.coordinates, model.partition
        codes = design.random[0].codes
        columns = np.column_stack([chosen.fixed.apply(design.X), chosen.response.values])
        weights = np.ones(design.n) if design.weights is None else design.weights
        sizes = np.bincount(codes, minlength=design.random[0].n_levels).astype(np.int64)
        start = partition.start()
        if not like.convergence.singular:
            start = chosen.working_theta(partition, like.theta)
        groups = model.system.products.groups[0]
        return cls(
            design, model, groups, _by_level(columns, weights, codes, sizes), sizes,
            start, like.reml, control, threads,
        )  # fmt: skip

    def fit(self, levels: Longs, out: ManyEstimates, at: int) -> None:
        """Fit the data made of some levels (repeated ones count as different) and write it.

        Raises
        ------
        DesignError
            The levels leave a coefficient or a variance without information.
        """
        n, p = int(self.sizes[levels].sum()), self.design.X.shape[1]
        fixed = self.fixed[levels].sum(axis=0)
        _check_rank(fixed[:p, :p], self.design)
        if n <= p:
            raise DesignError("The levels drawn have no more rows than the model coefficients.")
        groups = GroupProducts(self.groups.gram[levels], self.groups.dense[levels])
        system = BlockedSystem(
            CrossProducts(n, fixed, (groups,), {}), threads=self.threads, lean=True
        )
        chosen, partition = self.model.coordinates, self.model.partition
        criterion = LinearCriterion(system, partition, self.reml)
        besides = constant_starts(chosen, partition)
        also = (partition.start(),)
        optimum = find_optimum(criterion, self.start, self.control, also, besides)
        check_determined(self.design, optimum)
        evaluation = optimum.evaluation
        assert isinstance(evaluation, LinearEvaluation | SmallEvaluation)
        nu = n - p if self.reml else n
        factor = evaluation.factor
        out.theta[at] = chosen.thetas(partition, evaluation.theta[None, :])[0]
        out.beta[at] = _outer(chosen, factor.beta())
        out.sigma[at] = chosen.response.scale * math.sqrt(factor.pwrss / nu)
        out.converged[at] = optimum.ok
        out.singular[at] = bool(optimum.nulls)
        out.evaluations[at] = optimum.evaluations

    def room(self, m: int) -> ManyEstimates:
        """For the estimates of m fits; their criteria stay NaN."""
        return ManyEstimates.of_size(m, self.start.size, self.design.X.shape[1])


def _by_level(columns: Floats, weights: Floats, codes: NDArray[np.int32], sizes: Longs) -> Floats:
    """(J, c, c) weighted cross-products of (n, c) columns, level by level."""
    order = np.argsort(codes, kind="stable")
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rows = np.ascontiguousarray(columns[order])
    weighted = rows * weights[order, None]
    out = np.empty((sizes.size, columns.shape[1], columns.shape[1]))
    for j in range(columns.shape[1]):
        out[:, :, j] = np.add.reduceat(weighted * rows[:, j, None], first, axis=0)
    return out


def _check_rank(gram: Floats, design: Design) -> None:
    """Refuse columns that are zero in the levels drawn, or depend on those before them."""
    size = np.diag(gram)
    empty = np.flatnonzero(size <= 0)
    if not empty.size:
        root = np.sqrt(size)
        # Squared pivots: what is left of a column beside those before it, of its length.
        factor, info = scipy.linalg.lapack.dpotrf(gram / np.outer(root, root), lower=1)
        done = size.size if info == 0 else info - 1
        left = np.diag(factor)[:done] ** 2
        empty = np.append(np.flatnonzero(left <= _DEPENDENT), [] if info == 0 else [done])
    if empty.size:
        raise DesignError(
            f"The levels drawn say nothing about the coefficient {design.names[int(empty[0])]}: "
            "its column is zero in all of them, or depends on the others."
        )


def _outer(chosen: Coordinates, beta: Floats) -> Floats:
    """Coefficients in the caller's units."""
    response, fixed = chosen.response, chosen.fixed
    out = fixed.matrix @ (response.projection + response.scale * beta)
    return out if fixed.constant is None else out + response.center * fixed.constant
