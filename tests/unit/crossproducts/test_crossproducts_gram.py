"""Cross-products equal dense products, add up over chunks, and do not depend on threads."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.crossproducts.blocks import GroupBlock, pair_keys
from mixeff.crossproducts.gram import Columns, accumulate
from mixeff.errors import DesignError
from mixeff.factor import stages
from mixeff.factor.cholesky import BlockedSystem
from support.brute_system import designs

DESIGNS = designs()


def products(brute, rows=slice(None), threads=1):
    o = brute.options
    y = Columns.of(
        brute.y[rows, None],
        np.array([o.get("response_shift", 0.0)]),
        np.array([o.get("response_scale", 1.0)]),
    )
    X = Columns.of(brute.X[rows], o.get("X_shift"), o.get("X_scale"))
    blocks = [
        GroupBlock(b.codes[rows], b.n_levels, b.values[rows], b.shift, b.scale)
        for b in brute.blocks
    ]
    weights = None if brute.weights is None else brute.weights[rows]
    return accumulate(y, X, blocks, weights=weights, threads=threads)


def dense_pair(pair):
    J, K = pair.indptr.size - 1, pair.n_columns
    out = np.zeros((J, pair.values.shape[1], K, pair.values.shape[2]))
    out[pair.row_of_pair(), :, pair.indices, :] = pair.values
    return out.reshape(J * pair.values.shape[1], -1)


def assert_same(a, b, exact):
    def compare(x, y):
        if exact:
            np.testing.assert_array_equal(x, y)
        else:
            # Sums of up to 60 products of order 1 to 1e3, added in two parts.
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-12 * max(1.0, np.abs(y).max()))

    assert a.n == b.n
    compare(a.fixed, b.fixed)
    for g, h in zip(a.groups, b.groups, strict=True):
        compare(g.gram, h.gram)
        compare(g.dense, h.dense)
    assert a.pairs.keys() == b.pairs.keys()
    for key, pair in a.pairs.items():
        np.testing.assert_array_equal(pair.indptr, b.pairs[key].indptr)
        np.testing.assert_array_equal(pair.indices, b.pairs[key].indices)
        compare(pair.values, b.pairs[key].values)


@pytest.mark.parametrize("design", DESIGNS)
def test_equal_to_dense_products(design):
    brute = DESIGNS[design]
    found = products(brute)
    y, X, Z = brute.working()
    D = np.column_stack([X, y])
    # One pass of sums over 60 rows: the scale of the sums times some roundings.
    close = {"rtol": 1e-12, "atol": 1e-11}
    np.testing.assert_allclose(found.fixed, D.T @ D, **close)
    for i, group in enumerate(found.groups):
        J, q = group.n_levels, group.n_columns
        gram = np.einsum("lalb->lab", (Z[i].T @ Z[i]).reshape(J, q, J, q))
        np.testing.assert_allclose(group.gram, gram, **close)
        dense = (D.T @ Z[i]).reshape(-1, J, q).transpose(1, 0, 2)
        np.testing.assert_allclose(group.dense, dense, **close)
    for (i, k), pair in found.pairs.items():
        np.testing.assert_allclose(dense_pair(pair), Z[i].T @ Z[k], **close)
        np.testing.assert_allclose(dense_pair(found.pair(k, i)), Z[k].T @ Z[i], **close)
        rows = np.diff(pair.row_of_pair() * pair.n_columns + pair.indices)
        assert (rows > 0).all()


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("cut", [0, 1, 23, 60])
def test_chunks_add_up(design, cut):
    brute = DESIGNS[design]
    parts = products(brute, slice(0, cut)) + products(brute, slice(cut, None))
    assert_same(parts, products(brute), exact=False)


def test_only_products_of_one_model_add_up():
    with pytest.raises(DesignError, match="same model"):
        products(DESIGNS["one scalar"]) + products(DESIGNS["one vector"])


def large(seed=5, n=50_000):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, J, n).astype(np.int32) for J in (900, 300, 40)]
    blocks = [
        GroupBlock(c, J, rng.normal(size=(n, q)))
        for c, J, q in zip(codes, (900, 300, 40), (1, 2, 3), strict=True)
    ]
    y, X = rng.normal(size=(n, 1)), rng.normal(size=(n, 3))
    return Columns.of(y, None, None), Columns.of(X, None, None), blocks, rng.uniform(1, 2, n)


def test_the_number_of_threads_changes_no_bit():
    y, X, blocks, weights = large()
    one = accumulate(y, X, blocks, weights=weights, threads=1)
    for threads in (2, 3, 7):
        assert_same(accumulate(y, X, blocks, weights=weights, threads=threads), one, exact=True)


def test_threads_change_no_bit_of_the_factor(monkeypatch):
    monkeypatch.setattr(stages, "INDEXED_TAIL", 0)
    y, X, blocks, weights = large(n=6000)
    Lambda = [0.3 * np.eye(b.n_columns) for b in blocks]
    made = accumulate(y, X, blocks, weights=weights)
    one = BlockedSystem(made, threads=1).factorize(Lambda)
    for threads in (2, 5):
        other = BlockedSystem(made, threads=threads).factorize(Lambda)
        assert (other.pwrss, other.logdet_random) == (one.pwrss, one.logdet_random)
        for H, K in zip(one.trace_blocks(True), other.trace_blocks(True), strict=True):
            np.testing.assert_array_equal(H, K)


def test_the_factor_with_more_levels_gives_the_rows():
    assert pair_keys((3, 20, 8)) == ((1, 2), (1, 0), (2, 0))
    assert pair_keys((5, 5)) == ((0, 1),)
