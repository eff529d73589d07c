"""Interval methods against R's boot and against their definitions by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mixeff.inference.bootstrap.intervals import (
    METHODS,
    accelerated,
    quantiles,
    shortest,
)

I = np.arange(1.0, 200.0)  # noqa: E741
DRAWS = np.exp(1.3 * np.sin(I)) + np.cos(I**2) / 5
ESTIMATE = 0.9

# R 4.2, boot 1.3-28.1:
#   i <- 1:199; t <- exp(1.3*sin(i)) + cos(i^2)/5; t0 <- 0.9
#   b <- list(t0=t0, t=matrix(t), R=199, sim="parametric", call=quote(boot())); class(b) <- "boot"
#   boot.ci(b, conf=level, type=c("norm", "basic", "perc"))
#   boot:::bca.ci(b, level, L=c(-1, 1), t=t, t0=t0)      # a = 0
#   boot:::bca.ci(b, level, L=c(-1, 2, 3, -4, 0.5), t=t, t0=t0)
BOOT = {
    0.95: {
        "normal": (-2.0249106266, 2.6501753983),
        "basic": (-1.8972555532, 1.7047080739),
        "percentile": (0.0952919261, 3.6972555532),
        "bias-corrected": (0.0865805804, 3.6861622307),
        "bca": (0.0843687947, 3.6751221493),
    },
    0.8: {
        "normal": (-1.2158048358, 1.8410696075),
        "basic": (-1.6589836157, 1.5434503138),
        "percentile": (0.2565496862, 3.4589836157),
        "bias-corrected": (0.2110320766, 3.3366280583),
        "bca": (0.2055430677, 3.2551314275),
    },
    0.937: {
        "normal": (-1.9047247293, 2.5299895010),
        "basic": (-1.8887835306, 1.6896377581),
        "percentile": (0.1103622419, 3.6887835306),
        "bias-corrected": (0.0941598906, 3.6755055954),
        "bca": (0.0863230529, 3.6271155634),
    },
}
L = np.array([-1.0, 2.0, 3.0, -4.0, 0.5])
ACCELERATION = (L**3).sum() / (6 * (L**2).sum() ** 1.5)  # Efron and Tibshirani 1993, eq. 14.15


@pytest.mark.parametrize("level", list(BOOT))
@pytest.mark.parametrize("method", ["normal", "basic", "percentile", "bias-corrected"])
def test_as_r_boot(level, method):
    # R prints ten decimals.
    found = METHODS[method](DRAWS, ESTIMATE, level)
    np.testing.assert_allclose(found, BOOT[level][method], atol=2e-10)


@pytest.mark.parametrize("level", list(BOOT))
def test_accelerated_as_r_boot(level):
    found = accelerated(DRAWS, ESTIMATE, level, ACCELERATION)
    np.testing.assert_allclose(found, BOOT[level]["bca"], atol=2e-10)


def test_percentile_of_999_are_order_statistics():
    # (R + 1) alpha is whole: the 25th and the 975th of 999 (Davison and Hinkley 1997, sect. 5.2.1).
    draws = np.random.default_rng(1).permutation(np.arange(1.0, 1000.0))
    assert METHODS["percentile"](draws, 500.0, 0.95) == (25.0, 975.0)
    assert METHODS["basic"](draws, 480.0, 0.95) == (2 * 480.0 - 975.0, 2 * 480.0 - 25.0)


@pytest.mark.parametrize(("n", "level"), [(1000, 0.95), (200, 0.5), (37, 0.8), (10, 0.99)])
def test_shortest_by_trying_all(n, level):
    # MixedModels.jl's shortestcovint: of all pairs of order statistics ceil(n level) apart
    # (end points counted) the nearest, the first of equals.
    draws = np.random.default_rng(n).gamma(2.0, size=n)
    ordered = sorted(draws)
    count = -(-n * round(level * 1000) // 1000)
    pairs = [(ordered[i], ordered[i + count - 1]) for i in range(n - count + 1)]
    assert shortest(draws, 0.0, level) == min(pairs, key=lambda p: p[1] - p[0])


def test_extreme_draws_where_there_are_few():
    draws = np.array([3.0, 1.0, 2.0])
    assert quantiles(draws, (0.001, 0.999)) == [1.0, 3.0]
    assert quantiles(draws, (0.25, 0.5, 0.75)) == [1.0, 2.0, 3.0]


def test_no_bias_correction_where_all_draws_lie_on_one_side():
    assert all(math.isnan(x) for x in METHODS["bias-corrected"](DRAWS + 10, ESTIMATE, 0.95))


@pytest.mark.parametrize("method", list(METHODS))
def test_shift_and_scale(method):
    # All of them move with the units (the draws' order is kept).
    lower, upper = METHODS[method](DRAWS, ESTIMATE, 0.9)
    moved = METHODS[method](3.0 + 2.0 * DRAWS, 3.0 + 2.0 * ESTIMATE, 0.9)
    np.testing.assert_allclose(moved, (3.0 + 2.0 * lower, 3.0 + 2.0 * upper), rtol=1e-12)
