"""Every number of a factor equals dense linear algebra on V and P themselves."""

from __future__ import annotations

import numpy as np
import pytest

from support.brute_system import designs, lambdas

DESIGNS = designs()
CASES = [(d, k) for d in DESIGNS for k in lambdas(DESIGNS[d])]
# Designs of 60 rows with Gram entries up to 100 and Lambda of order 1: both routes lose about
# condition (1e3) times 1e-16; 1e-9 relative to the largest entry leaves room for the small cases.
TOLERANCE = 1e-9


def close(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize(("design", "kind"), CASES)
def test_scalars_and_vectors(design, kind):
    brute = DESIGNS[design]
    Lambda = lambdas(brute)[kind]
    factor = brute.build().factorize(Lambda)
    expected = brute.results(Lambda)
    close(factor.logdet_random, expected["logdet_random"])
    close(factor.logdet_fixed, expected["logdet_fixed"])
    close(factor.pwrss, expected["pwrss"])
    close(factor.beta(), expected["beta"])
    close(factor.unscaled_covariance(), expected["unscaled_covariance"])
    for name in ("modes", "scores", "conditional_variances"):
        for found, want in zip(getattr(factor, name)(), expected[name], strict=True):
            close(found, want)


@pytest.mark.parametrize(("design", "kind"), CASES)
@pytest.mark.parametrize("reml", [True, False])
def test_trace_blocks(design, kind, reml):
    brute = DESIGNS[design]
    Lambda = lambdas(brute)[kind]
    found = brute.build().factorize(Lambda).trace_blocks(reml)
    for H, want in zip(found, brute.results(Lambda, reml)["trace_blocks"], strict=True):
        close(H, want)
        np.testing.assert_array_equal(H, H.T)


@pytest.mark.parametrize(("design", "kind"), CASES)
def test_quadratic_and_solve(design, kind):
    brute = DESIGNS[design]
    Lambda = lambdas(brute)[kind]
    factor = brute.build().factorize(Lambda)
    expected = brute.results(Lambda)
    rng = np.random.default_rng(3)
    directions = [rng.normal(size=(b.n_levels, b.n_columns, 4)) for b in brute.blocks]
    C = np.vstack([d.reshape(-1, 4) for d in directions])
    close(factor.quadratic(directions), C.T @ expected["ZPZ"] @ C)
    M = expected["penalized"]
    right = rng.normal(size=(M.shape[0], 3))
    close(factor.solve(right), np.linalg.solve(M, right))
    close(factor.solve(right[:, 0]), np.linalg.solve(M, right[:, 0]))


def test_factors_do_not_disturb_each_other():
    brute = DESIGNS["chain and crossed"]
    system = brute.build()
    a, b = lambdas(brute)["regular"], lambdas(brute)["rank deficient"]
    first = system.factorize(a)
    second = system.factorize(b)
    close(second.trace_blocks(True)[1], brute.results(b)["trace_blocks"][1])
    close(first.trace_blocks(True)[1], brute.results(a)["trace_blocks"][1])
    del first
    third = system.factorize(a)
    close(second.modes()[2], brute.results(b)["modes"][2])
    close(third.modes()[2], brute.results(a)["modes"][2])
