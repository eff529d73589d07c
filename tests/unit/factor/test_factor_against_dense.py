"""Every number of a factor equals dense linear algebra on V and P themselves."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.crossproducts.blocks import GroupBlock
from support.brute_system import Brute, designs, lambdas, random_slopes, slope_columns

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
def test_information_and_solve(design, kind):
    brute = DESIGNS[design]
    Lambda = lambdas(brute)[kind]
    factor = brute.build().factorize(Lambda)
    expected = brute.results(Lambda)
    rng = np.random.default_rng(3)
    z, D = random_slopes(brute.blocks, 4)
    C = slope_columns(z, D)
    close(factor.information(z, D), C.T @ expected["ZPZ"] @ C)
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


@pytest.mark.parametrize("theta", [0.0, 1e-9, 1e-4, 1.0, 30.0, 1e3])
def test_balanced_one_way_layout_has_a_closed_form(theta):
    # J groups of m, intercept: Z'PZ = m / (1 + m theta^2) (I - 11'/J), Searle, Casella, McCulloch
    # (1992) section 4.4. Holds from the boundary to where groups explain everything.
    J, m = 12, 5
    y = np.random.default_rng(11).normal(size=J * m)
    codes = np.repeat(np.arange(J), m).astype(np.int32)
    brute = Brute(y, np.ones((J * m, 1)), [GroupBlock(codes, J, np.ones((J * m, 1)))])
    factor = brute.build().factorize([np.array([[theta]])])
    shrink = 1 + m * theta**2
    means = y.reshape(J, m).mean(axis=1)
    centred = means - y.mean()
    within = ((y.reshape(J, m) - means[:, None]) ** 2).sum()
    # X'V^-1 X = X'X less nearly itself: the relative error is that of rounding times ``shrink``.
    close = {"rtol": 1e-12 + 10 * np.finfo(float).eps * shrink, "atol": 1e-300}
    np.testing.assert_allclose(factor.logdet_random, J * np.log(shrink), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(np.exp(factor.logdet_fixed), J * m / shrink, **close)
    expected = within + m * (centred**2).sum() / shrink
    np.testing.assert_allclose(factor.pwrss, expected, **close)
    # Entries near zero are differences of group means: relative to the largest one.
    largest = np.abs(centred).max()
    scores = factor.scores()[0][:, 0] / (largest * m / shrink)
    np.testing.assert_allclose(scores, centred / largest, rtol=0, atol=close["rtol"])
    np.testing.assert_allclose(factor.trace_blocks(True)[0], [[(J - 1) * m / shrink]], **close)
    np.testing.assert_allclose(factor.trace_blocks(False)[0], [[J * m / shrink]], **close)
    modes = m * theta**2 * centred / shrink
    atol = close["rtol"] * np.abs(modes).max()
    np.testing.assert_allclose(factor.modes()[0][:, 0], modes, rtol=0, atol=atol)


@pytest.mark.parametrize("theta", [1e-6, 1e3])
def test_balanced_two_way_layout_has_a_closed_form(theta):
    # a x b cells once each, intercept, both factors crossed with the same theta: the contrasts of
    # factor 1 see b / (1 + b theta^2), those of factor 2 see a / (1 + a theta^2).
    a, b = 9, 7
    rows, cols = np.divmod(np.arange(a * b), b)
    y = np.random.default_rng(2).normal(size=a * b)
    one = np.ones((a * b, 1))
    blocks = [
        GroupBlock(rows.astype(np.int32), a, one), GroupBlock(cols.astype(np.int32), b, one)
    ]  # fmt: skip
    factor = Brute(y, one, blocks).build().factorize([np.array([[theta]])] * 2)
    first, second = factor.trace_blocks(True)
    # Large theta leaves 1e-6 of the tail's products: ten digits of sixteen stay.
    np.testing.assert_allclose(first, [[(a - 1) * b / (1 + b * theta**2)]], rtol=1e-8)
    np.testing.assert_allclose(second, [[(b - 1) * a / (1 + a * theta**2)]], rtol=1e-8)
