"""The sparse tail against dense algebra and against the dense tail, forced on small designs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixeff.crossproducts.blocks import GroupBlock
from mixeff.errors import ConvergenceError, DesignError
from mixeff.factor import elimination
from mixeff.factor.dense_tail import DenseTail
from mixeff.factor.sparse_tail import SparseTail
from support.brute_system import Brute, designs, lambdas
from support.neighbours import factors_of, grown, neighbours

# Entries reach 1e3 and conditions 1e4 on systems of 100 columns: some 1e-12 are rounding.
TOLERANCE = 1e-9
SETTINGS = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def build(brute, kind, threads=1):
    """The system with the kind of tail asked for, whatever it would choose."""
    limit = np.inf if kind is SparseTail else 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elimination, "sparse_limit", lambda columns: limit)
        system = brute.build(threads=threads)
    assert isinstance(system.tail, kind) or not system.layout.tail_groups
    return system


def numbers(factor, brute):
    """Everything the protocol gives, by name."""
    rng = np.random.default_rng(0)
    scores = [rng.normal(size=(b.n_levels, b.n_columns)) for b in brute.blocks]
    slopes = [rng.normal(size=(2, b.n_columns, b.n_columns)) for b in brute.blocks]
    width = sum(b.n_levels * b.n_columns for b in brute.blocks) + brute.X.shape[1]
    found = {
        "scalars": np.array([factor.logdet_random, factor.logdet_fixed, factor.pwrss]),
        "beta": factor.beta(),
        "unscaled_covariance": factor.unscaled_covariance(),
        "information": factor.information(scores, slopes),
        "solve": factor.solve(rng.normal(size=(width, 2))),
    }
    lists = {
        "modes": factor.modes(),
        "scores": factor.scores(),
        "reml": factor.trace_blocks(True),
        "ml": factor.trace_blocks(False),
        "conditional_variances": factor.conditional_variances(),
    }
    return found | {f"{k} {i}": v for k, parts in lists.items() for i, v in enumerate(parts)}


def close(found, expected, what):
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale, err_msg=what)


@SETTINGS
@given(st.integers(0, 10_000))
def test_sparse_equals_dense(seed):
    rng = np.random.default_rng(seed)
    brute = neighbours(rng)
    Lambda = factors_of(rng, brute)
    dense = numbers(build(brute, DenseTail).factorize(Lambda), brute)
    sparse = numbers(build(brute, SparseTail).factorize(Lambda), brute)
    for name, want in dense.items():
        close(sparse[name], want, name)


@SETTINGS
@given(st.integers(0, 10_000))
def test_sparse_equals_dense_algebra(seed):
    rng = np.random.default_rng(seed)
    brute = neighbours(rng, n=60)
    Lambda = factors_of(rng, brute)
    factor = build(brute, SparseTail).factorize(Lambda)
    for reml in (True, False):
        expected = brute.results(Lambda, reml)
        for H, want in zip(factor.trace_blocks(reml), expected["trace_blocks"], strict=True):
            close(H, want, "trace")
    for name in ("logdet_random", "logdet_fixed", "pwrss"):
        close(getattr(factor, name), expected[name], name)
    for name in ("modes", "scores", "conditional_variances"):
        for found, want in zip(getattr(factor, name)(), expected[name], strict=True):
            close(found, want, name)
    close(factor.beta(), expected["beta"], "beta")
    close(factor.unscaled_covariance(), expected["unscaled_covariance"], "covariance")


@pytest.mark.parametrize("design", designs())
def test_full_crossing_and_chains_forced_sparse(design):
    brute = designs()[design]
    system = build(brute, SparseTail)
    for Lambda in lambdas(brute).values():
        factor, expected = system.factorize(Lambda), brute.results(Lambda)
        close(factor.pwrss, expected["pwrss"], "pwrss")
        for H, want in zip(factor.trace_blocks(True), expected["trace_blocks"], strict=True):
            close(H, want, "trace")


@pytest.mark.parametrize("zero", [False, True])
def test_a_design_large_enough_to_choose_by_itself(zero):
    brute = grown()
    system = brute.build(threads=2)
    assert isinstance(system.tail, SparseTail)
    size = system.layout.products.size
    assert system.tail.entries < size**2 / 20
    Lambda = [np.array([[0.7]]), np.array([[0.5, 0.0], [0.2, 0.3]]) * (not zero)]
    found = numbers(system.factorize(Lambda), brute)
    alone = numbers(brute.build(threads=1).factorize(Lambda), brute)
    dense = numbers(build(brute, DenseTail).factorize(Lambda), brute)
    for name, want in dense.items():
        close(found[name], want, name)
        np.testing.assert_array_equal(found[name], alone[name])  # threads change no bit


def test_random_crossing_stays_dense():
    rng = np.random.default_rng(3)
    n = 40_000
    one = np.ones((n, 1))
    blocks = [GroupBlock(rng.integers(0, J, n).astype(np.int32), J, one) for J in (2000, 1000)]
    assert isinstance(Brute(rng.normal(size=n), one, blocks).build().tail, DenseTail)


def test_lambda_that_is_not_finite_is_an_error_and_the_system_survives():
    rng = np.random.default_rng(8)
    brute = neighbours(rng, factors=3)
    system = build(brute, SparseTail)
    Lambda = [np.eye(b.n_columns) for b in brute.blocks]
    for i in range(3):
        for bad in (np.nan, np.inf):
            broken = [L.copy() for L in Lambda]
            broken[i][0, 0] = bad
            with pytest.raises(ConvergenceError, match="not positive definite"):
                system.factorize(broken)
    close(system.factorize(Lambda).pwrss, brute.results(Lambda)["pwrss"], "pwrss")


def test_dependent_columns_are_named():
    brute = neighbours(np.random.default_rng(8), factors=2)
    X = brute.X[:, :1] if brute.X.shape[1] else np.ones((brute.y.size, 1))
    brute.X = np.hstack([X, X * 0])
    with pytest.raises(DesignError, match="column 2"):
        build(brute, SparseTail).factorize([np.eye(b.n_columns) for b in brute.blocks])
