"""The deviance with the residual variance as a parameter, against dense algebra."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mixeff as mx
from mixeff.covariance import Partition
from mixeff.factor.cholesky import BlockedSystem
from mixeff.linear.criterion import LinearCriterion
from mixeff.linear.unprofiled import UnprofiledBlocked, UnprofiledCriterion, UnprofiledSmall
from support.reference import load_frame

MODELS = {
    "slope": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", [0.9, 0.1, 0.4]),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", [1.4, 3.1]),
    "boundary": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", [0.9, 0.1, 0.0]),
}


def dense(criterion: LinearCriterion, z: np.ndarray) -> float:
    """-2 log-likelihood in working coordinates from the cross-products alone, block by block."""
    products, partition = criterion.system.products, criterion.partition
    Lambdas = partition.block_factors(z[:-1])
    sizes = [g.n_levels * g.n_columns for g in products.groups]
    total, p = sum(sizes), products.p
    A = np.zeros((total + p + 1, total + p + 1))
    A[total:, total:] = products.fixed
    first = np.concatenate([[0], np.cumsum(sizes)])
    Lambda = np.zeros((total, total))
    for i, g in enumerate(products.groups):
        q = g.n_columns
        for level in range(g.n_levels):
            at = slice(first[i] + level * q, first[i] + (level + 1) * q)
            A[at, at] = g.gram[level]
            A[total:, at] = g.dense[level]
            A[at, total:] = g.dense[level].T
            Lambda[at, at] = Lambdas[i]
    for (i, k), pair in products.pairs.items():
        for row, column, value in zip(pair.row_of_pair(), pair.indices, pair.values, strict=True):
            a = first[i] + row * value.shape[0] + np.arange(value.shape[0])
            b = first[k] + column * value.shape[1] + np.arange(value.shape[1])
            A[np.ix_(a, b)], A[np.ix_(b, a)] = value, value.T
    wide = np.eye(total + p + 1)
    wide[:total, :total] = Lambda
    M = wide.T @ A @ wide
    M[:total, :total] += np.eye(total)
    r2 = 1.0 / np.linalg.inv(M)[-1, -1]
    logdet = np.linalg.slogdet(M[:total, :total])[1]
    n = products.n
    return float(logdet + n * (math.log(2 * math.pi) + z[-1]) + r2 * math.exp(-z[-1]))


@pytest.mark.parametrize("name", list(MODELS))
def test_value_gradient_and_both_ways(name: str) -> None:
    formula, data, theta = MODELS[name]
    fit = mx.lmer(formula, load_frame(data), reml=False)
    prepared = fit.estimate.prepared
    system = BlockedSystem(prepared.products)
    criterion = LinearCriterion(system, prepared.partition, False)
    z = np.array([*theta, -1.3])
    problem = UnprofiledCriterion(criterion)
    small = problem.evaluate(z)
    blocked = UnprofiledBlocked(criterion.evaluate(z[:-1]), z)
    assert isinstance(small, UnprofiledSmall)
    value = dense(criterion, z)
    for found in (small, blocked):
        assert found.value == pytest.approx(value, rel=1e-12)
        # Central differences of the dense value: their error is near eps^(2/3).
        for j in range(z.size):
            step = np.zeros(z.size)
            step[j] = 1e-5
            slope = (dense(criterion, z + step) - dense(criterion, z - step)) / 2e-5
            assert found.gradient[j] == pytest.approx(slope, rel=1e-6, abs=1e-5)
    # The same sums in another order.
    scale = np.abs(blocked.hessian).max()
    np.testing.assert_allclose(small.hessian, blocked.hessian, atol=1e-10 * scale)
    for a, b in zip(small.sigma_slopes, blocked.sigma_slopes, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10 * np.abs(b).max())
    np.testing.assert_allclose(small.beta, blocked.beta, atol=1e-12)
    assert small.curvature_along(0, np.eye(len(small.sigma_slopes[0]))[0]) == pytest.approx(
        blocked.curvature_along(0, np.eye(len(small.sigma_slopes[0]))[0])
    )


def test_its_minimum_over_the_residual_variance_is_the_profiled_deviance() -> None:
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", load_frame("sleepstudy"), reml=False)
    prepared = fit.estimate.prepared
    criterion = LinearCriterion(BlockedSystem(prepared.products), prepared.partition, False)
    theta = np.array([0.9, 0.1, 0.4])
    profiled = criterion.evaluate(theta)
    omega = math.log(profiled.sigma2)
    found = UnprofiledCriterion(criterion).evaluate(np.append(theta, omega))
    assert found.value == pytest.approx(profiled.value, rel=1e-13)
    assert abs(found.gradient[-1]) < 1e-9 * fit.nobs
    # Eliminating omega from the Hessian leaves that of the profiled criterion.
    H = found.hessian
    reduced = H[:-1, :-1] - np.outer(H[:-1, -1], H[-1, :-1]) / H[-1, -1]
    np.testing.assert_allclose(reduced, profiled.hessian, rtol=1e-9, atol=1e-9)


def test_other_columns_of_the_cross_products() -> None:
    """Z B and [X y] M give the cross-products of the combined columns (plain sums over rows)."""
    rng = np.random.default_rng(3)
    formula = "Reaction ~ Days + (Days | Subject)"
    fit = mx.lmer(formula, load_frame("sleepstudy"), reml=False)
    products = fit.estimate.prepared.products
    B, M = rng.normal(size=(2, 2)), rng.normal(size=(3, 2))
    found = products.transformed(columns=[B], fixed=M)
    np.testing.assert_allclose(found.fixed, M.T @ products.fixed @ M)
    old, new = products.groups[0], found.groups[0]
    for level in range(old.n_levels):
        np.testing.assert_allclose(new.gram[level], B.T @ old.gram[level] @ B, atol=1e-12)
        np.testing.assert_allclose(new.dense[level], M.T @ old.dense[level] @ B, atol=1e-12)
    assert isinstance(fit.estimate.prepared.partition, Partition)
