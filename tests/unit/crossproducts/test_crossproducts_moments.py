"""Moments of the random effects: exact where their expectation is, near where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.crossproducts.blocks import GroupBlock
from mixeff.crossproducts.moments import LARGEST, SMALLEST, moment_factors
from support.brute_system import Brute


def simulated(sigmas, levels, n=60_000, seed=1):
    rng = np.random.default_rng(seed)
    y, blocks = rng.normal(size=n), []
    for Sigma, count in zip(sigmas, levels, strict=True):
        q = len(Sigma)
        values = rng.normal(size=(n, q))
        values[:, 0] = 1.0
        codes = np.concatenate([np.arange(count), rng.integers(0, count, n - count)])
        effects = rng.multivariate_normal(np.zeros(q), Sigma, count)
        y += np.einsum("ij,ij->i", values, effects[codes])
        blocks.append(GroupBlock(codes.astype(np.int32), count, values))
    return Brute(y - y.mean(), np.ones((n, 1)), blocks).build().products


@pytest.mark.parametrize(
    "sigmas",
    [
        [[[0.5]]],
        [[[0.5, 0.1], [0.1, 0.2]], [[0.3]]],
        [[[0.5]], [[0.1]], [[2.0]]],
    ],
)
def test_moments_find_the_covariances(sigmas):
    found = moment_factors(simulated(sigmas, (3000, 2000, 1000)[: len(sigmas)]))
    # 1000 levels or more: a standard error of a variance is sqrt(2/1000) = 4.5 % and a little.
    for L, Sigma in zip(found, sigmas, strict=True):
        np.testing.assert_allclose(L @ L.T, Sigma, rtol=0, atol=0.2 * np.max(Sigma))
        np.testing.assert_array_equal(L, np.tril(L))


def test_a_start_is_never_at_the_boundary():
    (L,) = moment_factors(simulated([[[0.0]]], (500,)))
    assert pytest.approx(SMALLEST) == L[0, 0]
    (L,) = moment_factors(simulated([[[400.0]]], (500,)))
    assert pytest.approx(LARGEST) == L[0, 0]


def test_no_usable_equations_give_none():
    # One row a level: group and residual cannot be told apart, and y is constant.
    codes = np.arange(6, dtype=np.int32)
    block = GroupBlock(codes, 6, np.ones((6, 1)))
    assert moment_factors(Brute(np.zeros(6), np.ones((6, 1)), [block]).build().products) is None
