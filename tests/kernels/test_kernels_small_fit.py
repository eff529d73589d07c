"""The compiled search of small models against the search in Python and against plain sums."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.control import Control
from mixeff.covariance import lower_factor
from mixeff.errors import DesignError
from mixeff.factor import kernels
from mixeff.linear.criterion import LinearCriterion
from mixeff.linear.small import SmallEvaluation, find_optimum, small_layout
from mixeff.linear.working import working_model
from mixeff.optimize import solve
from support.dense_system import simple_design

CONTROL = Control(threads=1)


def small_case(seed: int):
    """Random small designs: one or two factors, up to three columns, weights, p = 0, singular."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(30, 200))
    J = int(rng.integers(4, 20))
    g = rng.permutation(np.arange(n) % J).astype(np.int32)
    q = int(rng.integers(1, 4))
    Z = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])[:, :q]
    p = int(rng.integers(0, 4))
    X = np.column_stack([np.ones(n), Z[:, 1:], rng.normal(size=(n, 3))])[:, :p]
    L = np.tril(rng.normal(size=(q, q))) * rng.choice([0.05, 0.5, 2.0])
    if rng.random() < 0.4:
        L[:, -1] = 0.0  # a singular truth
    y = np.sum(Z * (rng.normal(size=(J, q)) @ L.T)[g], axis=1) + rng.normal(size=n)
    terms = [("g", g, Z)]
    if rng.random() < 0.3 and q > 1:  # two terms of one factor
        terms = [("g", g, Z[:, :1]), ("g", g, Z[:, 1:])]
    kind = rng.choice(["alone", "crossed", "nested"])
    if kind != "alone":
        K = min(int(rng.integers(3, 7)), J - 1)
        h = g % K if kind == "nested" else rng.integers(0, K, n)
        h = h.astype(np.int32)
        s = int(rng.integers(1, 3))
        W = np.column_stack([np.ones(n), rng.normal(size=n)])[:, :s]
        y += np.sum(W * (rng.normal(size=(K, s)) * rng.choice([0.0, 0.5, 2.0]))[h], axis=1)
        terms.append(("h", h, W))
    weights = rng.uniform(0.3, 3.0, n) if rng.random() < 0.3 else None
    design = simple_design(y, X, terms, weights=weights)
    return design, bool(rng.random() < 0.6)


def criterion_of(design, reml) -> LinearCriterion:
    model = working_model(design, 1)
    return LinearCriterion(model.system, model.partition, reml)


@pytest.mark.parametrize("seed", range(250))
def test_same_optimum_as_in_python(seed):
    criterion = criterion_of(*small_case(seed))
    start = criterion.partition.start()
    expected = solve(criterion, start, CONTROL)
    found = find_optimum(criterion, start, CONTROL)
    assert small_layout(criterion.system, criterion.partition) is not None
    a, b = found.evaluation, expected.evaluation
    if not expected.ok:  # no maximum at all, or a valley: no worse than Python then
        assert a.value <= b.value + 1e-6
        return
    assert found.ok
    # Both stop at a predicted decrease of at most 1e-9 and polish after it.
    assert a.value == pytest.approx(b.value, abs=1e-10, rel=1e-13)
    if expected.curvature > 1e-2:
        np.testing.assert_allclose(a.theta, b.theta, rtol=1e-7, atol=1e-7)
    assert len(found.nulls) == len(expected.nulls)
    assert abs(found.evaluations - expected.evaluations) <= 2 + expected.evaluations // 4
    assert len(found.local_values) == len(expected.local_values)
    np.testing.assert_allclose(found.local_values, expected.local_values, atol=1e-6)


@pytest.mark.parametrize("seed", range(250))
def test_derivatives_and_solutions_at_the_optimum(seed):
    criterion = criterion_of(*small_case(seed))
    found = find_optimum(criterion, criterion.partition.start(), CONTROL)
    a = found.evaluation
    if not isinstance(a, SmallEvaluation):
        pytest.skip("finished in Python")
    b = criterion.evaluate(a.theta)
    size = 1.0 + float(np.abs(b.hessian).max())
    # Two orders of the same sums: rounding of sums over up to 200 rows.
    np.testing.assert_allclose(a.gradient, b.gradient, atol=1e-9 * size)
    np.testing.assert_allclose(a.hessian, b.hessian, atol=1e-9 * size)
    for mine, other in zip(a.sigma_slopes, b.sigma_slopes, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-9 * (1.0 + np.abs(other).max()))
    assert a.sigma2 == pytest.approx(b.sigma2, rel=1e-11)
    np.testing.assert_allclose(a.factor.beta(), b.factor.beta(), atol=1e-9)
    np.testing.assert_allclose(
        a.factor.unscaled_covariance(), b.factor.unscaled_covariance(), rtol=1e-8, atol=1e-11
    )
    for mine, other in zip(a.factor.modes(), b.factor.modes(), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-9)


@pytest.mark.parametrize("start", [0.0, 1e-3, 30.0])
def test_other_starts_end_at_the_same_optimum(start):
    for seed in range(20):
        criterion = criterion_of(*small_case(seed))
        first = criterion.partition.start()
        default = find_optimum(criterion, first, CONTROL)
        other = find_optimum(criterion, start * first, CONTROL, also=(first,))
        assert other.evaluation.value == pytest.approx(default.evaluation.value, abs=1e-8)


def test_a_search_cut_short_is_finished_in_python():
    criterion = criterion_of(*small_case(3))
    control = Control(threads=1, max_evaluations=2)
    expected = solve(criterion, criterion.partition.start(), control)
    found = find_optimum(criterion, criterion.partition.start(), control)
    assert found.evaluations > 2
    assert found.evaluation.value <= expected.evaluation.value + 1e-6


def test_errors_are_worded_as_in_python():
    g = np.repeat(np.arange(10), 4).astype(np.int32)
    y = np.random.default_rng(0).normal(size=10)[g]  # constant within the levels
    criterion = criterion_of(simple_design(y, np.ones((40, 1)), [("g", g, np.ones(40))]), True)
    with pytest.raises(DesignError, match="reproduce the response"):
        find_optimum(criterion, criterion.partition.start(), CONTROL)


def test_large_models_are_left_to_python():
    rng = np.random.default_rng(1)
    g, h = (rng.integers(0, J, 2000).astype(np.int32) for J in (100, 60))
    design = simple_design(
        rng.normal(size=2000),
        np.ones((2000, 1)),
        [("g", g, np.ones(2000)), ("h", h, np.ones(2000))],
    )
    criterion = criterion_of(design, True)
    assert small_layout(criterion.system, criterion.partition) is None


@pytest.mark.parametrize("m", [1, 5, 130])
@pytest.mark.parametrize("threads", [1, 3])
def test_products_with_many_responses(m, threads):
    rng = np.random.default_rng(m)
    n, q, J = 50, 3, 7
    codes = rng.integers(0, J, n).astype(np.int32)
    z, shift, scale = rng.normal(size=(n, q)), rng.normal(size=q), rng.uniform(1, 2, q)
    Y = rng.normal(size=(n, m))
    found = kernels.response_products(codes, J, z, shift, scale, Y, threads)
    one_hot = np.eye(J)[codes]
    expected = np.einsum("nl,nq,nm->mlq", one_hot, (z - shift) / scale, Y).reshape(m, -1)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    again = kernels.response_products(codes, J, z, shift, scale, Y, 1)
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("weighted", [False, True])
def test_fits_taken_from_many_responses(weighted):
    rng = np.random.default_rng(2)
    n, p, m = 40, 3, 70
    x, shift, scale = rng.normal(size=(n, p)), rng.normal(size=p), rng.uniform(1, 2, p)
    w = rng.uniform(0.5, 2, n) if weighted else np.empty(0)
    f, Y = rng.normal(size=(p, m)), rng.normal(size=(n, m))
    work, full = (x - shift) / scale, w if weighted else np.ones(n)
    left = Y - work @ f
    products, squares = kernels.subtract_fits(x, shift, scale, f, Y, w, 2)
    np.testing.assert_allclose(Y, left, atol=1e-13)
    np.testing.assert_allclose(products, work.T @ (full[:, None] * left), atol=1e-12)
    np.testing.assert_allclose(squares, full @ left**2, rtol=1e-13)


def test_roots_in_other_units():
    rng = np.random.default_rng(3)
    basis = np.triu(rng.normal(size=(3, 3)))
    theta = rng.normal(size=(5, 6))
    theta[2, 3:] = 0.0  # singular
    found = kernels.rescale_roots(basis, theta)
    rows, columns = np.triu_indices(3)[1], np.triu_indices(3)[0]
    for t, got in zip(theta, found, strict=True):
        Lambda = np.zeros((3, 3))
        Lambda[rows, columns] = t
        expected = lower_factor(basis @ Lambda)[rows, columns]
        np.testing.assert_allclose(got, expected, atol=1e-12)
