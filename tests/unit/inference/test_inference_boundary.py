"""Mixtures of chi-squares: closed forms, and the size of tests on simulated data."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

import mixeff as mx
from mixeff.inference.boundary import (
    DRAWS,
    Boundary,
    Mixture,
    cone_weights,
    mixture,
    simulate_lengths,
)
from mixeff.inference.boundary_null import boundary_of, boundary_test
from mixeff.linear.without_random import criterion_without_random

FROBENIUS = np.diag([1.0, 2.0, 1.0])  # entries 11, 21, 22 of a symmetric 2 x 2 matrix
# Three standard errors of a proportion of DRAWS, rounded up.
SAMPLING = 3 * 0.5 / math.sqrt(DRAWS)


def correlated(rho: float) -> np.ndarray:
    """Information whose inverse has correlation rho."""
    return np.linalg.inv(np.array([[1.0, rho], [rho, 1.0]]))


def test_one_variance_halves_the_p_value() -> None:
    found = mixture(Boundary(0, (1,)))
    assert found is not None
    assert found.tail(2.5) == pytest.approx(0.5 * chi2.sf(2.5, 1), rel=1e-12)
    assert found.tail(0.0) == 1.0
    assert found.words == "1/2 chi-square(0) + 1/2 chi-square(1)"


def test_a_slope_and_its_covariance() -> None:
    """Stram and Lee (1994): half chi-square(q) and half chi-square(q + 1)."""
    for q in (1, 2, 3):
        found = mixture(Boundary(q, (1,)))
        assert found is not None
        expected = 0.5 * (chi2.sf(4.0, q) + chi2.sf(4.0, q + 1))
        assert found.tail(4.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.4])
def test_two_variances(rho: float) -> None:
    """Self and Liang (1987), case 7: weights from the angle of the quadrant."""
    inside = math.acos(-rho) / (2 * math.pi)
    weights = cone_weights((1, 1), correlated(rho))
    np.testing.assert_allclose(weights, [0.5 - inside, 0.5, inside], rtol=1e-12)


def test_three_independent_variances_are_binomial() -> None:
    np.testing.assert_allclose(cone_weights((1, 1, 1), np.eye(3)), [1 / 8, 3 / 8, 3 / 8, 1 / 8])


def test_the_cone_of_matrices_is_circular_in_the_frobenius_metric() -> None:
    """A circular cone of half-angle 45 degrees takes (1 - cos 45) / 2 of the sphere."""
    part = (1 - math.sqrt(0.5)) / 2
    weights = cone_weights((2,), FROBENIUS)
    # The curve around the cone is a polygon of 4096 sides.
    np.testing.assert_allclose(weights, [part, 0.5 - part, 0.5 - part, part], atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "information"),
    [
        ((1, 1), correlated(0.5)),
        ((1, 1, 1), np.array([[2.0, 0.3, -0.4], [0.3, 1.0, 0.2], [-0.4, 0.2, 3.0]])),
        ((2,), np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 1.0]])),
    ],
)
def test_simulated_lengths_have_the_weights(
    sizes: tuple[int, ...], information: np.ndarray
) -> None:
    weights = cone_weights(sizes, information)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    draws = simulate_lengths(sizes, information)
    assert np.mean(draws < 1e-9) == pytest.approx(weights[0], abs=SAMPLING)
    for t in (0.5, 2.0, 5.0):
        exact, simulated = Mixture(0, weights).tail(t), Mixture(0, None, draws).tail(t)
        assert simulated == pytest.approx(exact, abs=SAMPLING)


def test_matrices_of_three() -> None:
    """All eigenvalues of a 3 x 3 symmetric Gaussian matrix are positive with probability
    (pi - 2 sqrt 2) / (4 pi) (Dean and Majumdar 2008); the cone is its own polar, up to sign."""
    metric = np.diag([1.0, 2.0, 2.0, 1.0, 2.0, 1.0])
    draws = simulate_lengths((3,), metric)
    definite = (math.pi - 2 * math.sqrt(2)) / (4 * math.pi)
    assert np.mean(draws < 1e-9) == pytest.approx(definite, abs=SAMPLING)
    # Squared lengths in a cone and its polar add up to chi-square(6): each has mean 3.
    assert draws.mean() == pytest.approx(3.0, abs=3 * math.sqrt(12 / DRAWS))


def test_independent_blocks_have_the_product_of_their_mixtures() -> None:
    """A matrix and a variance, uncorrelated: weights convolve."""
    information = np.diag([1.0, 2.0, 1.0, 5.0])
    draws = simulate_lengths((2, 1), information)
    weights = np.convolve(cone_weights((2,), FROBENIUS), [0.5, 0.5])
    found = Mixture(1, None, draws)
    for t in (1.0, 4.0):
        assert found.tail(t) == pytest.approx(Mixture(1, weights).tail(t), abs=SAMPLING)


def grouped(groups: int, each: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=groups * each)
    return {"y": rng.normal(size=x.size), "x": x, "g": np.repeat(np.arange(groups), each)}


def test_p_boundary_is_uniform_where_it_is_not_one() -> None:
    """(x | g) against nothing at all, under the null: sizes of 5 % and 20 % tests."""
    data = grouped(60, 5, seed=5)
    fit = mx.lmer("y ~ x + (x | g)", data, reml=False)
    responses = np.random.default_rng(6).normal(size=(fit.nobs, 600))
    many = fit.refit_many(responses)
    none = replace(fit.design, random=())
    nulls = [
        -0.5 * criterion_without_random(replace(none, response=y), reml=False) for y in responses.T
    ]
    boundary = boundary_of(none, (), fit, 3)
    assert boundary is not None
    assert boundary.sizes == (2,)
    lrt = 2 * (np.asarray(many.loglik) - np.array(nulls))
    p = np.array([boundary_test(boundary, t)[0] for t in lrt])
    plain = chi2.sf(lrt, 3)
    for level in (0.05, 0.2):
        # Two standard errors of the proportion, and the distance from the limit of many groups.
        near = 2 * math.sqrt(level * (1 - level) / p.size) + 0.01
        assert np.mean(p < level) == pytest.approx(level, abs=near)
        assert np.mean(plain < level) < np.mean(p < level)


def test_the_order_of_terms_does_not_matter() -> None:
    """Several variances at once: the same mixture whichever way the columns are written."""
    data = grouped(40, 6, seed=7)
    small = mx.lmer("y ~ x + (1 | g)", data)
    data["f"] = np.tile(["a", "b", "c"], 80)
    tails = []
    for formula in ("y ~ x + (f | g)", "y ~ x + (0 + f | g)"):
        large = mx.lmer(formula, data)
        boundary = boundary_of(small.design, small.estimate.Lambda, large, 5)
        assert boundary is not None
        assert (boundary.free, boundary.sizes) == (2, (2,))
        tails.append(boundary_test(boundary, 6.0)[0])
    assert tails[0] == pytest.approx(tails[1], rel=1e-6)


@pytest.mark.parametrize("reml", [True, False])
def test_information_by_dense_algebra(reml: bool) -> None:
    """tr(P V_j P V_k) less the residual variance's part, at no random effects, in 80 x 80."""
    data = grouped(16, 5, seed=8)
    large = mx.lmer("y ~ x + (x | g)", data, reml=reml)
    boundary = boundary_of(replace(large.design, random=()), (), large, 3)
    assert boundary is not None
    X, n = large.design.X, large.nobs
    P = np.eye(n)
    if reml:
        P = P - X @ np.linalg.solve(X.T @ X, X.T)
    same = large.design.random[0].codes[:, None] == large.design.random[0].codes[None, :]
    E = [np.array(e, float) for e in ([[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]])]
    PV = [P @ (X @ e @ X.T * same) for e in E]
    t = np.array([np.trace(v) for v in PV])
    K = np.array([[np.trace(a @ b) for a in PV] for b in PV])
    information = K - np.outer(t, t) / (n - 2 if reml else n)
    expected = cone_weights((2,), information)
    found = mixture(boundary)
    assert found is not None
    assert found.weights is not None
    # Same cone in other coordinates: the angles agree up to their polygon of 4096 sides.
    np.testing.assert_allclose(found.weights, expected, atol=2e-6)
