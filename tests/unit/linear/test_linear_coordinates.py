"""Working coordinates are exact: dense algebra in the caller's columns gives the same numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mixeff.design.design import Design
from mixeff.design.moments import Moments
from mixeff.errors import DesignError
from mixeff.linear import conditional_variances, evaluate_at
from mixeff.linear.coordinates import coordinates
from mixeff.linear.standardize import constant_combination, standardize
from support.dense_system import dense_of_design, simple_design


def awkward_design(kind: str) -> Design:
    """Crossed slopes with weights and offset; ``kind`` says how X spans the constant."""
    generator = np.random.default_rng(4)
    n = 70
    g = generator.integers(0, 9, n).astype(np.int32)
    h = generator.integers(0, 5, n).astype(np.int32)
    x, w = 3 + generator.normal(size=n), generator.uniform(0.3, 3, n)
    f = np.eye(3)[generator.integers(0, 3, n)]
    one = np.ones(n)
    X = {
        "intercept": np.column_stack([one, x, x**2]),
        "dummies": np.column_stack([f, x]),
        "no constant": np.column_stack([x, x**2]),
        "nothing": np.empty((n, 0)),
        "collinear": np.column_stack([one, x, x + 1e-5 * generator.normal(size=n)]),
    }[kind]
    terms = [
        ("g", g, np.column_stack([one, x, generator.normal(size=n)])),
        ("h", h, np.column_stack([f[:, :2], f[:, 2], x])),
        ("g", g, 100 * f[:, :1]),
    ]
    y = 5 + x + generator.normal(size=9)[g] + generator.normal(size=n)
    return simple_design(y, X, terms, weights=w, offset=0.3 * x)


@pytest.mark.parametrize("kind", ["intercept", "dummies", "no constant", "nothing", "collinear"])
@pytest.mark.parametrize("reml", [True, False])
def test_everything_agrees_with_dense_algebra(kind: str, reml: bool) -> None:
    design = awkward_design(kind)
    k = sum(t.n_theta for t in design.random)
    theta = 0.5 * np.random.default_rng(1).normal(size=k)
    got = evaluate_at(design, theta, reml=reml, threads=1)

    first, factors = 0, []
    for t in design.random:
        L = np.zeros((t.n_columns, t.n_columns))
        L[np.triu_indices(t.n_columns)[::-1]] = theta[first : first + t.n_theta]
        first += t.n_theta
        factors.append(L)
    dense = dense_of_design(design).factorize(factors)
    n, p = design.X.shape
    nu = n - p if reml else n
    criterion = dense.logdet_random + nu * (1 + math.log(2 * math.pi * dense.pwrss / nu))
    criterion += (dense.logdet_fixed if reml else 0.0) - np.log(design.weights).sum()
    # The dense oracle itself loses digits where X is nearly collinear (condition 1e5, squared).
    rel = 1e-5 if kind == "collinear" else 1e-9
    assert got.criterion == pytest.approx(criterion, rel=rel)
    assert got.pwrss == pytest.approx(dense.pwrss, rel=rel)
    assert got.sigma**2 == pytest.approx(dense.pwrss / nu, rel=rel)
    if p:
        size = np.sqrt(np.diag(dense.unscaled_covariance()))
        np.testing.assert_allclose(got.beta / size, dense.beta() / size, rtol=rel, atol=10 * rel)
        scale = np.outer(size, size)
        np.testing.assert_allclose(
            got.unscaled_covariance / scale, dense.unscaled_covariance() / scale, atol=10 * rel
        )
    for mine, theirs in zip(got.modes, dense.modes(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=10 * rel * np.abs(theirs).max())
    for L, mine in zip(factors, got.Lambda, strict=True):
        np.testing.assert_allclose(mine @ mine.T, L @ L.T, atol=1e-12)
        assert np.all(np.diagonal(mine) >= 0)
    variances = conditional_variances(design, got, threads=1)
    for mine, theirs in zip(variances, dense.conditional_variances(), strict=True):
        expected = got.sigma**2 * theirs
        np.testing.assert_allclose(mine, expected, atol=1e-8 * np.abs(expected).max())


def test_reported_gradient_is_in_the_callers_theta() -> None:
    design = awkward_design("intercept")
    theta = np.abs(np.random.default_rng(2).normal(size=17)) + 0.1
    gradient = evaluate_at(design, theta, reml=True, threads=1).convergence.gradient
    h = 1e-5
    for j in range(17):
        up, down = (
            evaluate_at(design, theta + s * h * np.eye(17)[j], reml=True, threads=1).criterion
            for s in (1, -1)
        )
        # Central difference: truncation h^2, rounding 1e-13 * 300 / h.
        assert gradient[j] == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-5)


def test_constant_is_found_in_columns_and_indicators() -> None:
    one, x = np.ones(6), np.arange(6.0)
    f = np.eye(2)[[0, 0, 1, 1, 0, 1]]
    np.testing.assert_array_equal(constant_combination(np.column_stack([x, 2 * one])), [0, 0.5])
    np.testing.assert_array_equal(constant_combination(np.column_stack([f, x])), [1, 1, 0])
    g = np.eye(3)[[0, 1, 2, 0, 1, 2]][:, 1:]  # treatment dummies of a second factor
    np.testing.assert_array_equal(constant_combination(np.column_stack([f, g])), [1, 1, 0, 0])
    assert constant_combination(np.column_stack([f[:, :1], x])) is None
    assert constant_combination(x[:, None]) is None
    assert constant_combination(np.zeros((6, 2))) is None


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2, 40)])
def test_basis_is_the_matrix_it_claims(weights: np.ndarray | None) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=40)
    for columns in (
        np.column_stack([np.ones(40), 7 + x, (7 + x) ** 2]),
        np.column_stack([np.ones(40), x, x + 1e-6 * generator.normal(size=40)]),
        np.column_stack([x, generator.normal(size=40)]),
    ):
        basis = standardize(columns, weights)
        work = basis.apply(columns)
        np.testing.assert_allclose(work, columns @ basis.matrix, atol=1e-8)
        w = np.ones(40) if weights is None else weights
        np.testing.assert_allclose((w @ work**2) / 40, 1.0, rtol=1e-8)
        same = basis.inverse @ basis.matrix
        np.testing.assert_allclose(same, np.eye(columns.shape[1]), atol=1e-8)
        assert basis.log_determinant == pytest.approx(np.linalg.slogdet(basis.matrix)[1])
        assert not basis.dependent


def test_dependent_columns_are_reported_not_rotated() -> None:
    x = np.random.default_rng(0).normal(size=40)
    columns = np.column_stack([np.ones(40), x, 2 * x - 1])
    assert standardize(columns, None).dependent
    design = simple_design(x**2, columns, [("g", np.arange(40) % 5, np.ones(40))])
    with pytest.raises(DesignError, match="linearly dependent"):
        evaluate_at(design, [1.0], reml=True, threads=1)
    # ... but dependent random-effect columns are a model like any other.
    other = simple_design(x**2, columns[:, :2], [("g", np.arange(40) % 5, columns)])
    assert np.isfinite(evaluate_at(other, [1.0, 0, 0, 1, 0, 1], reml=True, threads=1).criterion)


def test_threads_change_nothing() -> None:
    generator = np.random.default_rng(8)
    n = 30_000
    X = np.column_stack([np.ones(n), 5 + generator.normal(size=(n, 2))])
    y = 1e4 + X[:, 1] + generator.normal(size=n)
    g = generator.integers(0, 40, n).astype(np.int32)
    design = simple_design(y, X, [("g", g, X[:, :2].copy())], weights=np.full(n, 2.0))
    one, two = coordinates(design, 1), coordinates(design, 3)
    np.testing.assert_array_equal(one.response.values, two.response.values)
    np.testing.assert_array_equal(one.fixed.matrix, two.fixed.matrix)


def test_known_moments_are_used_for_their_own_columns_only() -> None:
    design = awkward_design("intercept")
    unweighted = replace(design, weights=None)
    moments = Moments.of(unweighted.X)
    other = Moments.of(unweighted.X * 3)
    plain = coordinates(unweighted)
    helped = coordinates(replace(unweighted, moments=(other, moments)))
    np.testing.assert_array_equal(plain.fixed.matrix, helped.fixed.matrix)
    # Moments without weights say nothing about a weighted fit.
    weighted = coordinates(replace(design, moments=(moments,)))
    np.testing.assert_array_equal(weighted.fixed.matrix, coordinates(design).fixed.matrix)
    assert not np.allclose(weighted.fixed.matrix, plain.fixed.matrix)


@pytest.mark.parametrize("weighted", [False, True])
def test_response_is_the_least_squares_residual(weighted: bool) -> None:
    generator = np.random.default_rng(3)
    n = 500
    x = generator.normal(size=n)
    X = np.column_stack([np.ones(n), 1e6 + x, x**2])
    y = 1e7 + 3 * x + generator.normal(size=n)
    w = generator.uniform(0.5, 2, n) if weighted else np.ones(n)
    g = (np.arange(n) % 10).astype(np.int32)
    term = ("g", g, np.ones((n, 1)))
    design = simple_design(y, X, [term], weights=w if weighted else None)
    found = coordinates(design).response
    centred = np.column_stack([np.ones(n), x - x.mean(), x**2])
    root = np.sqrt(w)
    beta = np.linalg.lstsq(root[:, None] * centred, root * (y - 1e7), rcond=None)[0]
    left = y - 1e7 - centred @ beta
    # y near 1e7 is itself known to 1e-9.
    np.testing.assert_allclose(found.scale * found.values, left, atol=1e-7)
    assert found.scale**2 == pytest.approx(float(w @ left**2) / n, rel=1e-8)
