"""Passes over rows with changing weights: compiled and NumPy twins do the same sums.

Numbers of order one to ten, summed in another order: 1e-12 is some thousand roundings.
"""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.factor import kernels
from mixeff.factor.kernels import weighted_twins

N, P = 400, 3


@pytest.fixture(params=[1, 2, 3, 5], ids=lambda q: f"{q} columns")
def rows(request):
    """Codes with an empty level, columns, weights of both signs."""
    rng = np.random.default_rng(7)
    q = request.param
    codes = rng.integers(0, 12, N).astype(np.int32)
    codes[codes == 4] = 5
    pointer, order = kernels.level_order(codes, 12, None)
    Z, X = rng.normal(size=(N, q)), rng.normal(size=(N, P))
    return codes, pointer, order, Z, X, rng.normal(size=N), rng.normal(size=N)


def both(name, args, out):
    """The output arrays of the kernel and of its twin; what they held before must not matter."""
    found = []
    for module in (kernels, weighted_twins):
        arrays = [np.array(a) for a in out]
        getattr(module, name)(*args, *arrays, 1)
        found.append(arrays)
    return zip(*found, strict=True)


def check(name, args, out):
    for found, expected in both(name, args, out):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_levels(rows):
    codes, pointer, order, Z, X, w, c = rows
    q = Z.shape[1]
    out = [np.full((12, q, q), 9.0), np.full((12, P + 1, q), 9.0)]
    check("weighted_levels", rows, out)
    check("weighted_levels", (codes, pointer, order, Z, X[:, :0].copy(), w, c), [
        out[0], np.full((12, 1, q), 9.0)])  # fmt: skip
    for columns in (X, X[:, :0].copy()):
        no_response = codes, pointer, order, Z, columns, w, np.empty(0)
        to = [out[0], np.full((12, columns.shape[1] + 1, q), 9.0)]
        check("weighted_levels", no_response, to)


def test_levels_by_threads_are_the_same(rows):
    """Every level is one fixed sum, so the numbers are identical, not only close."""
    codes, pointer, order, Z, X, w, c = (
        (np.tile(a, (80, 1)) if a.ndim == 2 else np.tile(a, 80)) if a.size >= N else a for a in rows
    )
    pointer, order = kernels.level_order(codes, 12, None)
    q = Z.shape[1]
    found = []
    for threads in (1, 3):
        out = np.empty((12, q, q)), np.empty((12, P + 1, q)), np.empty((P + 1, P + 1))
        kernels.weighted_levels(codes, pointer, order, Z, X, w, c, *out[:2], threads)
        kernels.weighted_fixed(X, w, c, out[2], threads)
        found.append(out)
    for one, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one, three)


def test_pairs(rows):
    _, _, order, Z, X, w, _ = rows
    start = np.sort(np.random.default_rng(1).integers(0, N, 30))
    start = np.concatenate([[0], start, [N]]).astype(np.int64)
    check("weighted_pairs", (start, order, Z, X, w), [np.full((31, Z.shape[1], P), 9.0)])


def test_fixed(rows):
    X, w, c = rows[4:]
    check("weighted_fixed", (X, w, c), [np.full((P + 1, P + 1), 9.0)])
    check("weighted_fixed", (X, w, np.empty(0)), [np.full((P + 1, P + 1), 9.0)])
    check("weighted_fixed", (X[:, :0].copy(), w, np.empty(0)), [np.full((1, 1), 9.0)])


def test_back_to_the_rows(rows):
    codes, pointer, order, Z, X, w, _ = rows
    rng = np.random.default_rng(3)
    q = Z.shape[1]
    blocks = rng.normal(size=(12, q, q))
    check("add_effects", (codes, Z, rng.normal(size=(12, q))), [np.ones(N)])
    check("add_quadratic", (codes, Z, blocks), [np.ones(N)])
    check("add_bilinear", (codes, Z, X[:, :1].copy(), rng.normal(size=(12, q, 1))), [np.ones(N)])
    check("add_bilinear", (codes, Z, X, rng.normal(size=(12, q, P))), [np.ones(N)])
    check("level_products", (codes, pointer, order, Z, w), [np.full((12, q), 9.0)])


@pytest.mark.parametrize("q", [1, 2])
def test_outer_products(q):
    """Levels with none, one and many columns of a square of 40; the same with any threads."""
    rng = np.random.default_rng(q)
    counts = np.array([0, 1, 3, 40, 0, 17, 25] * 30)
    columns = np.concatenate([np.sort(rng.permutation(40)[:c]) for c in counts]).astype(np.int64)
    level = np.repeat(np.arange(counts.size), counts).astype(np.int32)
    pointer = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    meets, order = kernels.level_order(columns.astype(np.int32), 40, None)
    a, b = rng.normal(size=(2, columns.size, q))
    args = pointer, columns, a, b, meets, order, level[order]
    check("subtract_outer", args, [np.ones((40, 40))])
    one, three = np.ones((2, 40, 40))
    kernels.subtract_outer(*args, one, 1)
    kernels.subtract_outer(*args, three, 3)
    np.testing.assert_array_equal(one, three)
    with pytest.raises(ValueError, match="ascend"):
        kernels.subtract_outer(pointer, columns[::-1].copy(), a, b, meets, order, level, one, 1)
