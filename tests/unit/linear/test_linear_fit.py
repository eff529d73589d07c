"""Fits: starts, degenerate data, and what must not change a fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixeff.control import Control
from mixeff.design.design import Design
from mixeff.errors import DesignError, OptionError
from mixeff.linear import LinearEstimate, evaluate_at, fit_linear
from support.dense_system import simple_design

CONTROL = Control(threads=1)


def fit(design: Design, **options: object) -> LinearEstimate:
    reml = bool(options.pop("reml", True))
    return fit_linear(design, reml=reml, control=CONTROL, **options)  # type: ignore[arg-type]


@pytest.fixture
def design() -> Design:
    generator = np.random.default_rng(8)
    n = 240
    g = generator.integers(0, 20, n).astype(np.int32)
    h = generator.integers(0, 9, n).astype(np.int32)
    x = generator.normal(size=n)
    one = np.ones(n)
    effects = generator.normal(size=(20, 2)) @ np.array([[1.0, 0.4], [0.0, 0.6]])
    y = 2 + x + effects[g, 0] + effects[g, 1] * x + 0.8 * generator.normal(size=9)[h]
    y = y + generator.normal(size=n)
    X = np.column_stack([one, x])
    return simple_design(y, X, [("g", g, X), ("h", h, one)], weights=generator.uniform(1, 2, n))


def same(a: LinearEstimate, b: LinearEstimate) -> None:
    # Optima agree to the square root of rounding in the criterion or better; the last Newton
    # steps are judged by the gradient, which leaves about ten digits.
    np.testing.assert_allclose(a.theta, b.theta, rtol=1e-8)
    np.testing.assert_allclose(a.beta, b.beta, rtol=1e-8)
    assert a.criterion == pytest.approx(b.criterion, rel=1e-12)


def test_row_order_does_not_matter(design: Design) -> None:
    order = np.random.default_rng(0).permutation(design.n)
    terms = tuple(
        replace(t, codes=t.codes[order], values=np.ascontiguousarray(t.values[order]))
        for t in design.random
    )
    moved = replace(
        design,
        response=design.response[order],
        X=np.ascontiguousarray(design.X[order]),
        weights=design.weights[order],  # type: ignore[index]
        random=terms,
    )
    same(fit(design), fit(moved))


def test_relabelled_levels_carry_their_modes(design: Design) -> None:
    first = design.random[0]
    new = np.random.default_rng(0).permutation(first.n_levels).astype(np.int32)
    moved = replace(design, random=(replace(first, codes=new[first.codes]), design.random[1]))
    a, b = fit(design), fit(moved)
    same(a, b)
    np.testing.assert_allclose(b.modes[0][new], a.modes[0], rtol=1e-7, atol=1e-9)


def test_scaling_the_weights_scales_the_residual_variance_only(design: Design) -> None:
    a, b = fit(design), fit(replace(design, weights=100 * design.weights))  # type: ignore[operator]
    np.testing.assert_allclose(b.beta, a.beta, rtol=1e-8)
    assert b.sigma == pytest.approx(10 * a.sigma, rel=1e-8)
    np.testing.assert_allclose(b.theta * b.sigma, a.theta * a.sigma, rtol=1e-8)
    assert b.criterion == pytest.approx(a.criterion, rel=1e-12)


def test_integer_weights_are_not_replication_except_given_theta(design: Design) -> None:
    """Cross-products agree, n does not: at one theta beta, modes and r^2 are equal, sigma is not.

    Replicating a row w times says the same value was seen w times; a weight of w says one value
    was seen with variance sigma^2 / w. The criteria differ by a function of theta, so the optima
    differ too: REML (or ML) with integer weights is not a fit to replicated rows.
    """
    w = np.random.default_rng(1).integers(1, 4, design.n)
    rows = np.repeat(np.arange(design.n), w)
    terms = tuple(
        replace(t, codes=t.codes[rows], values=np.ascontiguousarray(t.values[rows]))
        for t in design.random
    )
    weighted = replace(design, weights=w.astype(float))
    replicated = replace(
        design,
        response=design.response[rows],
        X=np.ascontiguousarray(design.X[rows]),
        weights=None,
        random=terms,
        rows=rows,
    )
    theta = [0.8, 0.2, 0.5, 0.7]
    a = evaluate_at(weighted, theta, reml=True, threads=1)
    b = evaluate_at(replicated, theta, reml=True, threads=1)
    np.testing.assert_allclose(a.beta, b.beta, rtol=1e-10)
    np.testing.assert_allclose(a.unscaled_covariance, b.unscaled_covariance, rtol=1e-10)
    for mine, theirs in zip(a.modes, b.modes, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-10)
    assert a.pwrss == pytest.approx(b.pwrss, rel=1e-11)
    assert a.sigma**2 * (design.n - 2) == pytest.approx(b.sigma**2 * (len(rows) - 2), rel=1e-11)
    assert fit(weighted).theta[0] != pytest.approx(fit(replicated).theta[0], rel=1e-3)


def test_start_is_in_the_callers_theta(design: Design) -> None:
    best = fit(design)
    again = fit(design, start=best.theta)
    same(best, again)
    assert again.convergence.evaluations <= 2
    same(best, fit(design, start=[0.1, -0.5, 2.0, 0.01]))


def test_start_at_zero_leaves_the_boundary(design: Design) -> None:
    # A zero gradient in theta everywhere: only the slopes in Sigma tell that it is no optimum.
    same(fit(design), fit(design, start=np.zeros(4)))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([1.0], r"4 numbers.*3 for \(z1 \| g\), 1 for \(1 \| h\).*got 1"),
        (np.ones((2, 2)), "4 numbers"),
        ("1,0,1,1", "4 numbers"),
        ([1.0, 0.0, np.nan, 1.0], "finite"),
        ([1.0, 0.0, np.inf, 1.0], "finite"),
        (3.0, "4 numbers"),
        ({"theta": 1}, "4 numbers"),
    ],
)
def test_bad_start(design: Design, start: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        fit(design, start=start)


def test_as_many_coefficients_as_rows() -> None:
    X = np.random.default_rng(0).normal(size=(4, 4))
    with pytest.raises(DesignError, match="4 fixed-effect coefficients but only 4 observations"):
        fit(simple_design(np.arange(4.0), X, [("g", np.array([0, 0, 1, 1]), np.ones(4))]))


@pytest.mark.parametrize("size", [1.0, 1e8, 1e-8])
def test_response_that_the_fixed_effects_reproduce(size: float) -> None:
    x = np.linspace(0, 1, 30) * size
    X = np.column_stack([np.ones(30), x])
    with pytest.raises(DesignError, match="fixed effects reproduce the response y exactly"):
        fit(simple_design(3 + 2 * x, X, [("g", np.arange(30) % 5, np.ones(30))]))


def test_response_that_the_random_effects_reproduce() -> None:
    codes = (np.arange(30) % 5).astype(np.int32)
    y = np.array([3.0, 1.0, 4.0, 1.5, 9.0])[codes]
    with pytest.raises(DesignError, match="random effects reproduce the response"):
        fit(simple_design(y, np.ones((30, 1)), [("g", codes, np.ones(30))]))


def test_no_fixed_effects_at_all(design: Design) -> None:
    estimate = fit(replace(design, X=np.empty((design.n, 0)), names=()))
    assert estimate.beta.shape == (0,)
    assert estimate.convergence.ok


def test_evaluating_the_optimum_gives_the_fit_back(design: Design) -> None:
    best = fit(design)
    there = evaluate_at(design, best.theta, reml=True, threads=1)
    assert there.criterion == pytest.approx(best.criterion, rel=1e-13)
    assert there.convergence.ok
    assert "nothing was optimized" in str(there.convergence)
    assert not evaluate_at(design, [3.0, 0, 3.0, 3.0], reml=True, threads=1).convergence.ok
