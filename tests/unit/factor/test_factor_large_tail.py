"""Dense tails of many tiles: threads change no bit, arrays are shared, products stay sparse."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.crossproducts.blocks import GroupBlock
from mixeff.factor import dense_tail, kernels, stages
from mixeff.factor.threads import one_blas_thread
from support.brute_system import Brute, designs, lambdas, random_slopes


def crossed(n=4000, levels=(900, 330), columns=(2, 2), seed=5):
    """A dense tail of 660 random columns, X and y; more levels in the leading factor."""
    rng = np.random.default_rng(seed)
    blocks = []
    for count, q in zip(levels, columns, strict=True):
        values = rng.normal(size=(n, q))
        values[:, 0] = 1.0
        # A popular first level and neighbours that come together: dense and sparse levels.
        codes = np.minimum(rng.exponential(count / 4, n), count - 1).astype(np.int32)
        blocks.append(GroupBlock(codes, count, values))
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    return Brute(rng.normal(size=n), X, blocks)


LAMBDA = [np.array([[0.7, 0.0], [0.2, 0.4]]), np.array([[1.1, 0.0], [-0.3, 0.2]])]


def numbers(system, blocks):
    factor = system.factorize(LAMBDA)
    z, slopes = random_slopes(blocks, 2)
    return [
        np.array([factor.logdet_random, factor.logdet_fixed, factor.pwrss]),
        factor.beta(),
        *factor.modes(),
        *factor.scores(),
        *factor.trace_blocks(True),
        *factor.trace_blocks(False),
        *factor.conditional_variances(),
        factor.information(z, slopes),
    ]


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_no_bit(threads):
    brute = crossed()
    alone = numbers(brute.build(threads=1), brute.blocks)
    for a, b in zip(alone, numbers(brute.build(threads=threads), brute.blocks), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("size", [1, 127, 128, 129, 300, 517])
def test_tiles_equal_lapack(size):
    rng = np.random.default_rng(size)
    A = rng.normal(size=(size + 1, size + 4))
    A = A @ A.T / size + np.eye(size + 1)
    both, Q, out = np.zeros((size + 2, size + 1)), np.zeros_like(A), np.zeros(3)
    S, L = both[:-1], both[1:]
    S[...] = A
    with one_blas_thread():
        assert kernels.factor_tail(S, L, np.array([0, size]), (np.eye(1),), out, 2) == 0
        kernels.invert_tail(L, size, Q, 2)
    whole = A + np.diag([1.0] * size + [0.0])  # the penalty; its condition is below 10
    np.testing.assert_allclose(np.tril(L), np.linalg.cholesky(whole), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(np.triu(S), np.triu(A))
    inverse = np.tril(np.linalg.inv(whole[:size, :size]))
    np.testing.assert_allclose(np.tril(Q[:size, :size]), inverse, rtol=0, atol=1e-12)
    with one_blas_thread():
        kernels.invert_tail(L, size, L, 2)
    np.testing.assert_array_equal(np.tril(L[:size, :size]), np.tril(Q[:size, :size]))
    np.testing.assert_array_equal(np.triu(S), np.triu(A))
    np.testing.assert_allclose(out[0], np.linalg.slogdet(whole[:size, :size])[1], rtol=1e-12)


@pytest.mark.parametrize("bad", [0, 127, 128, 299])
def test_the_first_bad_pivot_is_named(bad):
    size = 300
    both = np.zeros((size + 2, size + 1))
    S, L = both[:-1], both[1:]
    S[...] = np.eye(size + 1)
    S[bad, bad] = -5.0
    none = np.array([0], dtype=np.int64)
    assert kernels.factor_tail(S, L, none, (), np.zeros(3), 1) == bad + 1


def test_products_of_the_tail_are_those_of_its_columns():
    brute = crossed()
    y, X, Z = brute.working()
    D = np.hstack([Z[1], X, y[:, None]])
    products = brute.build().layout.products
    # Sums of 4000 products of order 1.
    np.testing.assert_allclose(products.dense(), D.T @ D, rtol=0, atol=1e-9)
    S, again = np.empty((663, 663)), np.zeros((663, 663))
    products.fill(S)
    np.testing.assert_array_equal(np.triu(S), np.triu(products.dense()))
    again.reshape(-1)[products.where] = products.values
    np.testing.assert_array_equal(again, np.triu(S))


@pytest.mark.parametrize("n", [5, 128, 300, 2100])
@pytest.mark.parametrize("transpose", [False, True])
def test_solves_by_tiles(n, transpose):
    rng = np.random.default_rng(n)
    L = np.tril(rng.normal(size=(n + 1, n + 1)) / np.sqrt(n)) + 2.0 * np.eye(n + 1)
    right = rng.normal(size=(n, 3))
    expected = np.linalg.solve((L.T if transpose else L)[:n, :n], right)
    with one_blas_thread():
        kernels.solve_tail(L + np.triu(np.full((n + 1, n + 1), np.nan), 1), right, transpose)
    # Condition numbers below 100.
    np.testing.assert_allclose(right, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("own", [(0, 4), (0, 300), (129, 300), (7, 290), (5, 5)])
def test_products_with_some_columns_by_tiles(own):
    rng = np.random.default_rng(1)
    S, c = rng.normal(size=(301, 301)), rng.normal(size=(own[1] - own[0], 2))
    out = np.full((301, 4), 7.0)
    full = np.triu(S) + np.triu(S, 1).T
    kernels.symmetric_times(S, *own, c, 1, out)
    np.testing.assert_allclose(out[:, 1:3], full[:, slice(*own)] @ c, rtol=0, atol=1e-11)
    assert (out[:, [0, 3]] == 7.0).all()


def test_large_factors_share_one_set_of_arrays(monkeypatch):
    monkeypatch.setattr(dense_tail, "SHARED_TAIL", 0)
    brute = designs()["chain and crossed"]
    system = brute.build()
    a, b = lambdas(brute)["regular"], lambdas(brute)["rank deficient"]
    first = system.factorize(a)
    store = first._store
    second = system.factorize(b)
    assert second._store is store
    assert first._store is None
    # The first one is factored again when it is asked for more, then the second one.
    for factor, Lambda in ((first, a), (second, b), (first, a)):
        expected = brute.results(Lambda)
        for found, want in zip(factor.trace_blocks(True), expected["trace_blocks"], strict=True):
            np.testing.assert_allclose(found, want, rtol=0, atol=1e-9 * np.abs(want).max())
    assert first._store is store
    assert second._store is None
    np.testing.assert_allclose(second.modes()[0], brute.results(b)["modes"][0], atol=1e-9)


@pytest.mark.parametrize("design", ["three crossed", "crossed vectors", "chain and crossed"])
def test_an_index_by_column_in_a_whole_factor(design, monkeypatch):
    monkeypatch.setattr(stages, "INDEXED_TAIL", 0)
    brute = designs()[design]
    for Lambda in lambdas(brute).values():
        factor, expected = brute.build(threads=2).factorize(Lambda), brute.results(Lambda)
        for name in ("scores", "modes", "conditional_variances"):
            for found, want in zip(getattr(factor, name)(), expected[name], strict=True):
                np.testing.assert_allclose(found, want, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sizes", [(130, 1), (1, 140)])
def test_levels_wider_than_the_room_to_pack(sizes, monkeypatch):
    monkeypatch.setattr(stages, "INDEXED_TAIL", 0)
    rng = np.random.default_rng(9)
    n = 80
    blocks = [
        GroupBlock((np.arange(n) * (i + 1) // 3 % J).astype(np.int32), J, rng.normal(size=(n, q)))
        for i, (J, q) in enumerate(zip((4, 3), sizes, strict=True))
    ]
    brute = Brute(rng.normal(size=n), np.ones((n, 1)), blocks)
    Lambda = [np.eye(q) * 0.3 + np.tril(np.full((q, q), 0.001)) for q in sizes]
    found = brute.build().factorize(Lambda).trace_blocks(True)
    for H, want in zip(found, brute.results(Lambda)["trace_blocks"], strict=True):
        # Blocks of 140 columns and 80 rows: conditions near 1e3.
        np.testing.assert_allclose(H, want, rtol=0, atol=1e-9 * np.abs(want).max())
