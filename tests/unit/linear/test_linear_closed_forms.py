"""Balanced designs: REML estimates are differences of mean squares, exactly.

Searle, Casella and McCulloch (1992), Variance Components, sections 3.8 and 4.7.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from mixeff.control import Control
from mixeff.linear import LinearEstimate, conditional_variances, fit_linear
from support.dense_system import simple_design

CONTROL = Control(threads=1)
TIGHT = 1e-10  # relative; what double precision leaves after sums over about 100 numbers


def one_way(seed: int, between: float, levels: int = 12, m: int = 5):
    """Response, codes and mean squares of a balanced one-way layout."""
    generator = np.random.default_rng(seed)
    codes = np.repeat(np.arange(levels), m).astype(np.int32)
    y = 10 + between * generator.normal(size=levels)[codes] + generator.normal(size=levels * m)
    means = y.reshape(levels, m).mean(axis=1)
    msb = m * np.sum((means - y.mean()) ** 2) / (levels - 1)
    mse = np.sum((y - means[codes]) ** 2) / (levels * (m - 1))
    return y, codes, msb, mse


def fit(design, reml: bool = True) -> LinearEstimate:
    return fit_linear(design, reml=reml, control=CONTROL)


@pytest.mark.parametrize("seed", range(4))
def test_one_way_reml(seed: int) -> None:
    levels, m = 12, 5
    y, codes, msb, mse = one_way(seed, 1.0)
    estimate = fit(simple_design(y, np.ones((60, 1)), [("g", codes, np.ones(60))]))
    theta2 = (msb - mse) / m / mse
    assert estimate.sigma**2 == pytest.approx(mse, rel=TIGHT)
    assert estimate.theta[0] ** 2 == pytest.approx(theta2, rel=TIGHT)
    assert estimate.beta[0] == pytest.approx(y.mean(), rel=TIGHT)
    variance = estimate.sigma**2 * estimate.unscaled_covariance[0, 0]
    assert variance == pytest.approx(msb / (levels * m), rel=TIGHT)
    shrink = 1 - mse / msb
    modes = shrink * (y.reshape(levels, m).mean(axis=1) - y.mean())
    np.testing.assert_allclose(estimate.modes[0][:, 0], modes, rtol=1e-9, atol=1e-10)
    nu = levels * m - 1
    criterion = (
        (levels - 1) * math.log(msb / mse)
        + math.log(levels * m)
        + nu * (1 + math.log(2 * math.pi * mse))
    )
    assert estimate.criterion == pytest.approx(criterion, rel=TIGHT)
    assert estimate.convergence.ok


@pytest.mark.parametrize("seed", range(4))
def test_one_way_ml(seed: int) -> None:
    levels, m = 12, 5
    y, codes, msb, mse = one_way(seed, 1.0)
    estimate = fit(simple_design(y, np.ones((60, 1)), [("g", codes, np.ones(60))]), reml=False)
    between = (1 - 1 / levels) * msb  # ML divides the sum of squares between by J
    assert estimate.sigma**2 == pytest.approx(mse, rel=TIGHT)
    assert estimate.theta[0] ** 2 == pytest.approx((between - mse) / m / mse, rel=TIGHT)


def test_one_way_conditional_variances() -> None:
    y, codes, msb, mse = one_way(1, 1.0)
    design = simple_design(y, np.ones((60, 1)), [("g", codes, np.ones(60))])
    tau2 = (msb - mse) / 5
    expected = 1 / (1 / tau2 + 5 / mse)  # posterior variance with a known mean
    variances = conditional_variances(design, fit(design))[0]
    np.testing.assert_allclose(variances, np.full((12, 1, 1), expected), rtol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_two_way_crossed_reml(seed: int) -> None:
    a, b, m = 8, 6, 2
    generator = np.random.default_rng(seed)
    A, B = (x.ravel().astype(np.int32) for x in np.indices((a, b, m))[:2])
    y = 3 + 1.2 * generator.normal(size=a)[A] + 0.9 * generator.normal(size=b)[B]
    y = y + generator.normal(size=y.size)
    cube = y.reshape(a, b, m)
    ssa = b * m * np.sum((cube.mean(axis=(1, 2)) - y.mean()) ** 2)
    ssb = a * m * np.sum((cube.mean(axis=(0, 2)) - y.mean()) ** 2)
    mse = (np.sum((y - y.mean()) ** 2) - ssa - ssb) / (a * b * m - a - b + 1)
    tau_a = (ssa / (a - 1) - mse) / (b * m)
    tau_b = (ssb / (b - 1) - mse) / (a * m)
    assert min(tau_a, tau_b) > 0  # otherwise the closed form does not apply
    one = np.ones(y.size)
    estimate = fit(simple_design(y, one[:, None], [("a", A, one), ("b", B, one)]))
    assert estimate.sigma**2 == pytest.approx(mse, rel=TIGHT)
    assert estimate.theta[0] ** 2 == pytest.approx(tau_a / mse, rel=TIGHT)
    assert estimate.theta[1] ** 2 == pytest.approx(tau_b / mse, rel=TIGHT)


def with_mean_square_ratio(ratio: float, levels: int = 12, m: int = 5):
    """One-way data with exactly this ratio of mean squares between and within."""
    y, codes, msb, mse = one_way(7, 0.5, levels, m)
    means = y.reshape(levels, m).mean(axis=1)
    spread = (means - means.mean())[codes] * math.sqrt(ratio * mse / msb)
    return simple_design(
        y - means[codes] + spread, np.ones((levels * m, 1)), [("g", codes, np.ones(levels * m))]
    )


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.9, 0.999])
def test_negative_anova_estimate_ends_at_exactly_zero(ratio: float) -> None:
    design = with_mean_square_ratio(ratio)
    estimate = fit(design)
    assert estimate.theta[0] == 0.0
    total = np.sum((design.response - design.response.mean()) ** 2)
    assert estimate.sigma**2 == pytest.approx(total / 59, rel=TIGHT)
    assert estimate.convergence.ok
    assert len(estimate.convergence.singular) == 1
    assert estimate.convergence.singular[0].leaving > 0


@pytest.mark.parametrize("excess", [1e-1, 1e-2, 1e-3, 1e-4])
def test_small_but_positive_variance_is_not_called_singular(excess: float) -> None:
    estimate = fit(with_mean_square_ratio(1 + excess))
    # d changes by about 5 excess^2 between theta = 0 and the optimum, so a deviance right to 1e-12
    # leaves the ratio of mean squares right to about 1e-6 absolute.
    assert estimate.theta[0] ** 2 == pytest.approx(excess / 5, abs=3e-7, rel=1e-6)
    assert not estimate.convergence.singular
    assert estimate.convergence.ok
