"""Gradient, Sigma-slopes and average information against finite differences and dense algebra."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from mixeff.covariance import Partition
from mixeff.crossproducts.blocks import GroupBlock
from mixeff.crossproducts.in_memory import build_system
from mixeff.linear.criterion import LinearCriterion
from support.dense_system import DenseBlock, DenseSystem

LAYOUTS = [
    (["a"], [1], [7]),
    (["a"], [2], [7]),
    (["a", "b"], [1, 1], [8, 4]),
    (["a", "a", "b"], [2, 1, 2], [8, 8, 4]),
    (["a", "b", "c"], [1, 3, 1], [9, 5, 4]),
]


def random_problem(
    seed: int, layout: tuple[list[str], list[int], list[int]], reml: bool, blocked: bool
) -> LinearCriterion:
    """Crossed unbalanced data with weights; the engine or the dense oracle behind it."""
    groups, sizes, levels = layout
    generator = np.random.default_rng(seed)
    n = 50
    partition = Partition.of_groups(groups, sizes)
    X = np.column_stack([np.ones(n), generator.normal(size=(n, 2))])
    weights = generator.uniform(0.5, 2.0, n)
    y = generator.normal(size=n)
    blocks = []
    for terms in partition.members:
        codes = generator.integers(0, levels[terms[0]], n).astype(np.int32)
        values = generator.normal(size=(n, sum(sizes[t] for t in terms)))
        y = y + generator.normal(size=levels[terms[0]])[codes]
        blocks.append((codes, levels[terms[0]], values))
    if blocked:
        system = build_system(y, X, [GroupBlock(*b) for b in blocks], weights=weights)
        return LinearCriterion(system, partition, reml)
    return LinearCriterion(
        DenseSystem(y, X, [DenseBlock(*b) for b in blocks], weights), partition, reml
    )


CASES = list(product(range(4), range(len(LAYOUTS)), [True, False], [True, False]))


@pytest.mark.parametrize(("seed", "layout", "reml", "blocked"), CASES)
def test_gradient_is_the_derivative(seed: int, layout: int, reml: bool, blocked: bool) -> None:
    criterion = random_problem(seed, LAYOUTS[layout], reml, blocked)
    k = criterion.partition.n_theta
    theta = np.random.default_rng(100 + seed).normal(size=k)
    h = 1e-5
    numeric = np.array(
        [
            (criterion.evaluate(theta + h * d).value - criterion.evaluate(theta - h * d).value)
            / (2 * h)
            for d in np.eye(k)
        ]
    )
    gradient = criterion.evaluate(theta).gradient
    # Truncation h^2 = 1e-10 and rounding 1e-16 * 200 / h = 2e-9, both relative to the largest.
    assert np.max(np.abs(gradient - numeric)) <= 1e-6 * np.max(np.abs(numeric))


@pytest.mark.parametrize("blocked", [True, False])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_slope_in_sigma_is_exact_where_lambda_is_singular(
    rank: int, reml: bool, blocked: bool
) -> None:
    criterion = random_problem(5, LAYOUTS[4], reml, blocked)
    partition = criterion.partition
    generator = np.random.default_rng(rank)
    factors = [np.array([[0.5]]), generator.normal(size=(3, rank)), np.array([[0.0]])]
    singular = criterion.evaluate(partition.from_factors(factors))
    t = 1e-5
    for term, q in enumerate((1, 3, 1)):
        v = generator.normal(size=q)
        v /= np.linalg.norm(v)
        values = [singular.value]
        for step in (t, 2 * t):
            moved = list(factors)
            moved[term] = np.column_stack([factors[term], np.sqrt(step) * v])
            values.append(criterion.evaluate(partition.from_factors(moved)).value)
        one_sided = (-3 * values[0] + 4 * values[1] - values[2]) / (2 * t)
        slope = v @ singular.sigma_slopes[term] @ v
        # Error of the one-sided formula: t^2 times a third derivative of a few hundred, plus
        # rounding 1e-14 * 4 / t.
        assert slope == pytest.approx(one_sided, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_average_information_is_its_definition(seed: int, layout: int) -> None:
    dense = random_problem(seed, LAYOUTS[layout], True, False)
    partition, k = dense.partition, dense.partition.n_theta
    theta = np.random.default_rng(seed).normal(size=k)
    evaluation = dense.evaluate(theta)
    system = dense.system
    assert isinstance(system, DenseSystem)
    factor, h = system.factorize(partition.block_factors(theta)), 1e-6

    def covariance(t: np.ndarray) -> np.ndarray:
        big = [
            np.kron(np.eye(J), L @ L.T)
            for J, L in zip(system.n_levels, partition.block_factors(t), strict=True)
        ]
        first, total = 0, np.zeros((system.Z.shape[1], system.Z.shape[1]))
        for b in big:
            total[first : first + len(b), first : first + len(b)] = b
            first += len(b)
        return system.Z @ total @ system.Z.T

    V = [(covariance(theta + h * d) - covariance(theta - h * d)) / (2 * h) for d in np.eye(k)]
    t = [Vj @ factor.Py for Vj in V]
    s2, nu = factor.pwrss / dense.degrees, dense.degrees
    expected = np.array([[a @ factor.P @ b / s2 for a in t] for b in t])
    slopes = np.array([factor.Py @ a for a in t])
    expected -= np.outer(slopes, slopes) / (nu * s2**2)
    # The derivative of V is a central difference of a quadratic: rounding 1e-15 / h.
    np.testing.assert_allclose(
        evaluation.average_information, expected, atol=1e-7 * np.abs(expected).max()
    )
    assert np.linalg.eigvalsh(evaluation.hessian)[0] >= -1e-10 * np.abs(expected).max()


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_engine_and_dense_algebra_agree(layout: int, reml: bool) -> None:
    blocked, dense = (random_problem(9, LAYOUTS[layout], reml, b) for b in (True, False))
    theta = np.random.default_rng(9).normal(size=blocked.partition.n_theta)
    theta[-1] = 0.0  # a variance of zero on the way
    a, b = blocked.evaluate(theta), dense.evaluate(theta)
    # Both sides are exact up to rounding in systems with condition numbers of about 100.
    assert a.value == pytest.approx(b.value, rel=1e-12)
    np.testing.assert_allclose(a.gradient, b.gradient, atol=1e-10 * np.abs(b.gradient).max())
    np.testing.assert_allclose(a.hessian, b.hessian, atol=1e-10 * np.abs(b.hessian).max())
    for term, q in enumerate(LAYOUTS[layout][1]):
        v = np.ones(q)
        assert a.curvature_along(term, v) == pytest.approx(b.curvature_along(term, v), rel=1e-9)
