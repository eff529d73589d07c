"""What inference about beta needs to know of the variance parameters, at the optimum.

W = V^-1 with V = I + sum_i Z_i (I x Sigma_i) Z_i' (weights folded into the rows, sigma = 1),
V_j = Z_i (I x E_j) Z_i' its derivative in the coordinate j of Sigma (``sigma_coordinates``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts
from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.solves import solve
from mixeff.factor.threads import one_blas_thread
from mixeff.linear.estimate import LinearEstimate
from mixeff.linear.level_blocks import LevelInverse
from mixeff.linear.random_products import RandomProducts, flat
from mixeff.linear.sigma_coordinates import basis
from mixeff.linear.trace_products import TraceWork, trace_products, work_of
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


def trace_work(
    prepared: Prepared, theta: Floats | None = None, *, vanished: bool = True
) -> TraceWork:
    """What ``trace_products`` would take; at the caller's ``theta`` if some variances are zero."""
    Lambda = None
    if theta is not None:
        working = prepared.coordinates.working_theta(prepared.partition, theta)
        Lambda = prepared.partition.block_factors(working)
    return work_of(prepared.products, prepared.layout, Lambda, vanished=vanished)


def variance_information(
    prepared: Prepared, estimate: LinearEstimate, *, exact: bool = True, vanished: bool = True
) -> VarianceInformation:
    """All of it at the estimate.

    Without ``exact`` the products of traces are left out, without ``vanished`` those that belong
    to grouping factors without any variance (where a derivative in theta has no use for them).
    """
    with one_blas_thread():
        return _information(prepared, estimate, exact, vanished)


def _information(
    prepared: Prepared, estimate: LinearEstimate, exact: bool, vanished: bool
) -> VarianceInformation:
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
    K: Floats | None = None
    if exact:
        H, K = trace_products(factor, blocks, vanished=vanished)
        K = K[np.ix_(where, where)]
    else:
        H = factor.trace_blocks(False)
    traces = [np.einsum("kab,ab->k", E, h) for E, h in zip(blocks, H, strict=True)]
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


@dataclass(frozen=True, slots=True)
class _Inverse:
    """Z'W X and Z'W Z c, factor by factor as (J, q, columns) arrays.

    Z'W v = Lambda^-T u with u the spherical modes of v, without cancellation; from the residual,
    Z'(v - Z Lambda u), where Lambda cannot be divided by.
    """

    products: CrossProducts
    factor: BlockedFactor
    Lambda: Sequence[Floats]
    crossed: RandomProducts | None
    single: tuple[Floats, Floats] | None

    @classmethod
    def of(
        cls, products: CrossProducts, factor: BlockedFactor, Lambda: Sequence[Floats]
    ) -> _Inverse:
        """One grouping factor is solved level by level."""
        if len(products.groups) == 1:
            level = LevelInverse.of(products.groups[0].gram, Lambda[0])
            return cls(products, factor, Lambda, None, (level.Y, level.N))
        return cls(products, factor, Lambda, RandomProducts.of(products), None)

    def fixed(self) -> list[Floats]:
        """Z'W X."""
        p = self.products.p
        of_x = [
            np.ascontiguousarray(g.dense[:, :p].transpose(0, 2, 1)) for g in self.products.groups
        ]
        if self.single is not None:
            return [self.single[0] @ of_x[0]]
        return self._solved(of_x)

    def random(self, i: int, c: Floats) -> list[Floats]:
        """Z'W Z_i c for (J, q, columns) c."""
        if self.single is not None:
            return [self.single[1] @ c]
        assert self.crossed is not None
        return self._solved(self.crossed.times({i: c}))

    def _solved(self, right: list[Floats]) -> list[Floats]:
        """Z'W v from Z'v."""
        columns = right[0].shape[2]
        if not columns:
            return right
        given = [flat(L.T @ v) for L, v in zip(self.Lambda, right, strict=True)]
        u = solve(
            self.factor,
            np.concatenate([*given, np.zeros((self.products.p, columns))]),
            fixed=False,
        )
        ends = np.cumsum([0, *(v.shape[0] for v in given)])
        parts = [
            u[a:b].reshape(v.shape)
            for (a, b), v in zip(pairwise(ends.tolist()), right, strict=True)
        ]
        inverses = self.factor.inverses
        rest: list[Floats] | None = None
        if any(inverse is None for inverse in inverses):
            assert self.crossed is not None
            b = {i: L @ v for i, (L, v) in enumerate(zip(self.Lambda, parts, strict=True))}
            rest = [v - w for v, w in zip(right, self.crossed.times(b), strict=True)]
        found = []
        for i, (v, inverse) in enumerate(zip(parts, inverses, strict=True)):
            if inverse is not None:
                found.append(inverse.T @ v)
            else:
                assert rest is not None
                found.append(rest[i])
        return found
