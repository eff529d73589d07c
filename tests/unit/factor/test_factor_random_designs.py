"""Random small designs of every shape against dense algebra, all numbers of a factor at once."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.crossproducts.blocks import GroupBlock
from mixeff.factor import stages
from support.brute_system import Brute, random_slopes, slope_columns

# As in test_factor_against_dense; entries here reach 1e3, condition 1e4.
TOLERANCE = 1e-8


def random_design(rng):
    n = int(rng.integers(25, 60))
    X = rng.normal(size=(n, int(rng.integers(0, 4))))
    codes: list[np.ndarray] = []
    blocks = []
    for _ in range(int(rng.integers(1, 5))):
        J = int(rng.integers(2, 12))
        if codes and rng.random() < 0.5:  # nested in an earlier factor, or that one in it
            inner = codes[int(rng.integers(len(codes)))]
            code = rng.integers(0, J, inner.max() + 1)[inner]
        else:
            code = rng.integers(0, J, n)
        if rng.random() < 0.3:  # a few rows break the nesting
            code = np.where(rng.random(n) < 0.05, 0, code)
        codes.append(code)
        values = rng.normal(size=(n, int(rng.integers(1, 5))))
        levels = J + int(rng.integers(0, 3))  # some levels have no rows
        blocks.append(GroupBlock(code.astype(np.int32), levels, values))
    weights = rng.uniform(0.1, 4.0, n) if rng.random() < 0.5 else None
    Lambda = []
    for b in blocks:
        L = np.tril(rng.normal(size=(b.n_columns, b.n_columns)))
        if rng.random() < 0.25:
            L[:, rng.integers(b.n_columns) :] = 0.0
        Lambda.append(L)
    return Brute(rng.normal(size=n), X, blocks, weights), Lambda


def close(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("seed", range(80))
def test_everything(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    brute, Lambda = random_design(rng)
    if seed % 2:
        monkeypatch.setattr(stages, "INDEXED_TAIL", 0)
    factor = brute.build().factorize(Lambda)
    for reml in (True, False):
        expected = brute.results(Lambda, reml)
        for H, want in zip(factor.trace_blocks(reml), expected["trace_blocks"], strict=True):
            close(H, want)
    for name in ("logdet_random", "logdet_fixed", "pwrss"):
        close(getattr(factor, name), expected[name])
    for name in ("beta", "unscaled_covariance"):
        close(getattr(factor, name)(), expected[name])
    for name in ("modes", "scores", "conditional_variances"):
        for found, want in zip(getattr(factor, name)(), expected[name], strict=True):
            close(found, want)
    z, D = random_slopes(brute.blocks, 3)
    C = slope_columns(z, D)
    close(factor.information(z, D), C.T @ expected["ZPZ"] @ C)
    right = rng.normal(size=(expected["penalized"].shape[0], 2))
    close(expected["penalized"] @ factor.solve(right), right)
