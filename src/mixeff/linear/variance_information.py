"""What inference about beta needs to know of the variance parameters, at the optimum.

W = V^-1 with V = I + sum_i Z_i (I x Sigma_i) Z_i' (weights folded into the rows, sigma = 1),
V_j = Z_i (I x E_j) Z_i' its derivative in the coordinate j of Sigma (``sigma_coordinates``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts
from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.solves import solve
from mixeff.linear.estimate import LinearEstimate
from mixeff.linear.sigma_coordinates import basis
from mixeff.linear.sparse_blocks import assemble
from mixeff.linear.trace_products import LevelInverse, TraceWork, trace_products, work_of
from mixeff.linear.working import Prepared

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VarianceInformation:
    """Moments of the derivatives of V, in working coordinates and relative to sigma^2.

    Attributes
    ----------
    covariance : (p, p) array, C = (X'W X)^-1
    first : (m, p, p) array, X'W V_j W X
    second : (m, m, p, p) array, X'W V_j W V_k W X
    traces : (m,) array, tr(W V_j)
    trace_products : (m, m) array or None, tr(W V_j W V_k); None where it was not asked for
    forms : (m, m) array, y'P V_j P V_k P y / sigma^2
    squares : (m,) array, y'P V_j P y / sigma^2
    """

    covariance: Floats
    first: Floats
    second: Floats
    traces: Floats
    trace_products: Floats | None
    forms: Floats
    squares: Floats

    @property
    def restricted_traces(self) -> Floats:
        """(m,) tr(P V_j)."""
        return np.asarray(self.traces - np.einsum("ab,jba->j", self.covariance, self.first))

    def restricted(self, products: Floats) -> Floats:
        """(m, m) tr(P V_j P V_k), P = W - W X C X'W, from tr(W V_j W V_k)."""
        C = self.covariance
        middle = np.einsum("ab,jkba->jk", C, self.second)
        half = C @ self.first
        both = np.einsum("jab,kba->jk", half, half)
        return np.asarray(products - middle - middle.T + both)


def trace_work(prepared: Prepared) -> TraceWork:
    """What ``trace_products`` would take."""
    return work_of(prepared.products)


def variance_information(
    prepared: Prepared, estimate: LinearEstimate, *, exact: bool = True
) -> VarianceInformation:
    """All of it at the estimate; without ``exact`` the products of traces are left out."""
    partition, products = prepared.partition, prepared.products
    theta = prepared.coordinates.working_theta(partition, estimate.theta)
    factor = prepared.system().factorize(partition.block_factors(theta))
    Lambda = factor.Lambda
    blocks, where = partition.block_slopes([basis(s.size) for s in partition.structures])
    sigma2 = factor.pwrss / (products.n - (products.p if estimate.reml else 0))
    scores = factor.scores()
    forms = factor.information(scores, blocks) / sigma2
    squares = [np.einsum("kab,la,lb->k", E, z, z) for E, z in zip(blocks, scores, strict=True)]
    first, second, C = _fixed_moments(products, factor, Lambda, blocks)
    H = factor.trace_blocks(False)
    traces = [np.einsum("kab,ab->k", E, h) for E, h in zip(blocks, H, strict=True)]
    K = trace_products(products, Lambda, blocks)[np.ix_(where, where)] if exact else None
    return VarianceInformation(
        covariance=C,
        first=first[where],
        second=second[np.ix_(where, where)],
        traces=np.concatenate(traces)[where],
        trace_products=K,
        forms=0.5 * (forms + forms.T)[np.ix_(where, where)],
        squares=np.concatenate(squares)[where] / sigma2,
    )


def _fixed_moments(
    products: CrossProducts,
    factor: BlockedFactor,
    Lambda: Sequence[Floats],
    directions: Sequence[Floats],
) -> tuple[Floats, Floats, Floats]:
    """First and second moments and C; the parameters group by group."""
    C, p = factor.unscaled_covariance(), products.p
    m = sum(len(E) for E in directions)
    apply = _Inverse.of(products, factor, Lambda)
    F = apply.fixed()
    first, second = np.empty((m, p, p)), np.zeros((m, m, p, p))
    moved = [
        (i, e @ f)  # E_j Z_i'W X, level by level
        for i, (f, E) in enumerate(zip(F, directions, strict=True))
        for e in E
    ]
    for k, (i, c) in enumerate(moved):
        first[k] = flat(F[i]).T @ flat(c)
        found = apply.random(i, c)
        for j in range(k + 1):
            h, left = moved[j]
            second[j, k] = flat(left).T @ flat(found[h])
            second[k, j] = second[j, k].T
    return first, second, C


def flat(values: Floats) -> Floats:
    """(J, q, columns) as (J q, columns), also where there are no columns."""
    J, q, columns = values.shape
    return values.reshape(J * q, columns)


@dataclass(frozen=True, slots=True)
class _Inverse:
    """Z'W X and Z'W Z c, factor by factor as (J, q, columns) arrays.

    Z'W v = Lambda^-T u with u the spherical modes of v, without cancellation; from the residual,
    Z'(v - Z Lambda u), where Lambda cannot be divided by.
    """

    products: CrossProducts
    factor: BlockedFactor
    Lambda: Sequence[Floats]
    crossed: Any
    single: tuple[Floats, Floats] | None

    @classmethod
    def of(
        cls, products: CrossProducts, factor: BlockedFactor, Lambda: Sequence[Floats]
    ) -> _Inverse:
        """One grouping factor is solved level by level."""
        if len(products.groups) == 1:
            level = LevelInverse.of(products.groups[0].gram, Lambda[0])
            return cls(products, factor, Lambda, None, (level.Y, level.N))
        every = range(len(products.groups))
        return cls(products, factor, Lambda, assemble(products, every), None)

    def fixed(self) -> list[Floats]:
        """Z'W X."""
        p = self.products.p
        of_x = [
            np.ascontiguousarray(g.dense[:, :p].transpose(0, 2, 1)) for g in self.products.groups
        ]
        if self.single is not None:
            return [self.single[0] @ of_x[0]]
        return self._solved(np.concatenate([flat(v) for v in of_x]))

    def random(self, i: int, c: Floats) -> list[Floats]:
        """Z'W Z_i c for (J, q, columns) c."""
        if self.single is not None:
            return [self.single[1] @ c]
        sizes = [g.n_levels * g.n_columns for g in self.products.groups]
        right = np.zeros((sum(sizes), c.shape[2]))
        start = sum(sizes[:i])
        right[start : start + sizes[i]] = c.reshape(sizes[i], -1)
        return self._solved(self.crossed @ right)

    def _solved(self, right: Floats) -> list[Floats]:
        """Z'W v from Z'v."""
        groups, columns = self.products.groups, right.shape[1]
        shapes = [(g.n_levels, g.n_columns, columns) for g in groups]
        if not columns:
            return [np.zeros(shape) for shape in shapes]
        given = np.zeros((right.shape[0] + self.products.p, columns))
        ends = np.cumsum([0, *(g.n_levels * g.n_columns for g in groups)])
        own = [slice(a, b) for a, b in pairwise(ends.tolist())]
        for at, shape, L in zip(own, shapes, self.Lambda, strict=True):
            given[at] = flat(L.T @ right[at].reshape(shape))
        u = solve(self.factor, given, fixed=False)[: right.shape[0]]
        parts = [u[at].reshape(shape) for at, shape in zip(own, shapes, strict=True)]
        inverses = self.factor.inverses
        rest = None
        if any(inverse is None for inverse in inverses):
            b = np.concatenate([flat(L @ v) for L, v in zip(self.Lambda, parts, strict=True)])
            rest = right - self.crossed @ b
        found = []
        for at, v, inverse in zip(own, parts, inverses, strict=True):
            if inverse is not None:
                found.append(inverse.T @ v)
            else:
                assert rest is not None
                found.append(rest[at].reshape(v.shape))
        return found
