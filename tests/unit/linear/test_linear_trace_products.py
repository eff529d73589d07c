"""tr(W V_j) and tr(W V_j W V_k) against dense matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mixeff.crossproducts.blocks import GroupBlock
from mixeff.crossproducts.in_memory import build_system
from mixeff.factor.sparse_tail import SparseTail
from mixeff.linear.sigma_coordinates import basis
from mixeff.linear.trace_products import trace_products, work_of

Floats = np.ndarray


def dense_traces(
    codes: Sequence[Floats],
    values: Sequence[Floats],
    levels: Sequence[int],
    Lambda: Sequence[Floats],
    weights: Floats,
) -> tuple[Floats, Floats]:
    """The definition, W n x n; traces of W V_j first."""
    n = weights.size
    Zs, V = [], np.eye(n)
    for c, v, J, L in zip(codes, values, levels, Lambda, strict=True):
        q = v.shape[1]
        Z = np.zeros((n, J * q))
        for column in range(q):
            Z[np.arange(n), c * q + column] = np.sqrt(weights) * v[:, column]
        V += Z @ np.kron(np.eye(J), L @ L.T) @ Z.T
        Zs.append(Z)
    W = np.linalg.inv(V)
    N = [[A.T @ half for A in Zs] for half in [W @ B for B in Zs]]  # N[k][i] = Z_i'W Z_k
    which = [(i, E) for i, v in enumerate(values) for E in basis(v.shape[1])]

    def moved(left: int, i: int, E: Floats) -> Floats:
        """Z_left'W Z_i (I x E)."""
        block = N[i][left]
        return np.asarray((block.reshape(-1, levels[i], E.shape[0]) @ E).reshape(block.shape))

    pairs = np.zeros((len(which), len(which)))
    for j, one in enumerate(which):
        for k, two in enumerate(which[: j + 1]):
            pairs[j, k] = pairs[k, j] = np.sum(moved(two[0], *one) * moved(one[0], *two).T)
    return np.array([np.trace(moved(one[0], *one)) for one in which]), pairs


STRUCTURES = {
    "one factor": ((9,), (2,), "crossed"),
    "crossed": ((12, 5), (1, 2), "crossed"),
    "three crossed": ((11, 6, 4), (2, 1, 2), "crossed"),
    "nested": ((24, 8), (2, 1), "nested"),
    "chain of three": ((24, 8, 4), (1, 2, 1), "nested"),
    "chain and tail": ((24, 8, 5), (2, 2, 2), "mixed"),
    "long chain and tail": ((24, 12, 4, 5), (1, 2, 1, 1), "mixed"),
}


def make(kind: str) -> tuple[list[Floats], list[Floats], tuple[int, ...]]:
    levels, widths, shape = STRUCTURES[kind]
    rng = np.random.default_rng(7)
    n = 96
    first = rng.permutation(np.arange(n) % levels[0])
    codes = [first]
    for k, J in enumerate(levels[1:], start=1):
        nested = shape == "nested" or (shape == "mixed" and k < len(levels) - 1)
        codes.append(first * J // levels[0] if nested else rng.integers(0, J, n))
    values = [np.column_stack([np.ones(n), rng.normal(size=n)])[:, :q] for q in widths]
    return [c.astype(np.int32) for c in codes], values, levels


@pytest.mark.parametrize("kind", STRUCTURES)
@pytest.mark.parametrize("singular", [False, True])
def test_dense(kind: str, singular: bool) -> None:
    codes, values, levels = make(kind)
    rng = np.random.default_rng(3)
    n = codes[0].size
    weights = rng.uniform(0.5, 2.0, n)
    Lambda = [np.tril(rng.normal(size=(v.shape[1],) * 2)) for v in values]
    if singular:
        Lambda[0][-1, -1] = 0.0
        Lambda[-1][:] = 0.0
    blocks = [
        GroupBlock(c, J, np.ascontiguousarray(v))
        for c, J, v in zip(codes, levels, values, strict=True)
    ]
    system = build_system(rng.normal(size=n), np.ones((n, 1)), blocks, weights=weights)
    directions = [basis(v.shape[1]) for v in values]
    H, got = trace_products(system.factorize(Lambda), directions)
    first, want = dense_traces(codes, values, levels, Lambda, weights)
    # Matrices of order 100 with condition numbers near 100: rounding is about 1e-13.
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10 * want.max())
    traces = [np.sum(E * h) for h, E_of in zip(H, directions, strict=True) for E in E_of]
    np.testing.assert_allclose(traces, first, rtol=1e-10)


def large(kind: str) -> tuple[list[Floats], list[Floats], tuple[int, ...]]:
    """Tails above the sizes from which they are indexed, shared among threads, or sparse."""
    rng = np.random.default_rng(11)
    if kind == "dense":
        n, levels, widths = 2600, (530, 520), (1, 1)
        codes = [rng.integers(0, J, n) for J in levels]
    elif kind == "three, dense":
        n, levels, widths = 1500, (640, 270, 30), (1, 2, 1)
        codes = [rng.integers(0, J, n) for J in levels]
    elif kind == "chain and dense":
        n, levels, widths = 1500, (500, 120, 520), (2, 1, 1)
        lead = np.arange(n) % 500
        codes = [lead, lead * 120 // 500, rng.integers(0, 520, n)]
    elif kind == "sparse":  # a level meets its neighbours only
        n, levels, widths = 1400, (700, 600), (1, 1)
        codes = [np.arange(n) // 2, (np.arange(n) * 600 // n + rng.integers(0, 2, n)) % 600]
    elif kind == "sparse with slopes":
        n, levels, widths = 1400, (700, 300), (2, 2)
        codes = [np.arange(n) // 2, (np.arange(n) * 300 // n + rng.integers(0, 2, n)) % 300]
    else:  # a nested chain before a sparse tail
        n, levels, widths = 1400, (700, 350, 600), (1, 2, 1)
        codes = [
            np.arange(n) // 2,
            np.arange(n) // 4,
            (np.arange(n) * 600 // n + rng.integers(0, 2, n)) % 600,
        ]
    values = [np.column_stack([np.ones(n), rng.normal(size=n)])[:, :q] for q in widths]
    return [c.astype(np.int32) for c in codes], values, levels


SPARSE = ("sparse", "sparse with slopes", "chain and sparse")


@pytest.mark.parametrize(
    ("kind", "spread"),
    [
        ("dense", "all"),
        ("dense", "tiny"),
        ("three, dense", "none"),
        ("chain and dense", "all"),
        ("sparse", "none"),
        ("sparse with slopes", "all"),
        ("sparse with slopes", "tiny"),
        ("chain and sparse", "all"),
        ("chain and sparse", "none"),
    ],
)
def test_large_tails(kind: str, spread: str) -> None:
    """Also where the variances of the tail's last factor vanish, or nearly."""
    codes, values, levels = large(kind)
    rng = np.random.default_rng(5)
    weights = rng.uniform(0.5, 2.0, codes[0].size)
    Lambda = [np.tril(rng.normal(size=(v.shape[1],) * 2)) for v in values]
    Lambda[-1] *= {"all": 1.0, "tiny": 1e-7, "none": 0.0}[spread]
    blocks = [
        GroupBlock(c, J, np.ascontiguousarray(v))
        for c, J, v in zip(codes, levels, values, strict=True)
    ]
    system = build_system(
        rng.normal(size=weights.size), np.ones((weights.size, 1)), blocks, weights=weights
    )
    assert isinstance(system.tail, SparseTail) == (kind in SPARSE)
    directions = [basis(v.shape[1]) for v in values]
    H, got = trace_products(system.factorize(Lambda), directions)
    first, want = dense_traces(codes, values, levels, Lambda, weights)
    # As above; V is of order 1500.
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10 * want.max())
    traces = [np.sum(E * h) for h, E_of in zip(H, directions, strict=True) for E in E_of]
    np.testing.assert_allclose(traces, first, rtol=1e-9, atol=1e-10 * np.abs(first).max())


def test_cost_of_a_tail() -> None:
    """The tail is the crossed factor's columns; a chain has none."""
    for kind, tail in (("chain of three", 0), ("crossed", 10), ("chain and tail", 10)):
        codes, values, levels = make(kind)
        blocks = [
            GroupBlock(c, J, np.ascontiguousarray(v))
            for c, J, v in zip(codes, levels, values, strict=True)
        ]
        n = codes[0].size
        system = build_system(np.arange(n, dtype=float), np.ones((n, 1)), blocks)
        work = work_of(system.products)
        assert work.tail == tail
        assert (work.multiplications == 0.0) == (tail == 0)


def test_variances_of_zero_take_more() -> None:
    """Their columns are solved for: the cost says so, and of a dense tail hardly."""
    codes, values, levels = large("sparse")
    blocks = [
        GroupBlock(c, J, np.ascontiguousarray(v))
        for c, J, v in zip(codes, levels, values, strict=True)
    ]
    n = codes[0].size
    system = build_system(np.arange(n, dtype=float), np.ones((n, 1)), blocks)
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    usual, leading, crossed = (
        work_of(system.products, Lambda=Lambda).multiplications
        for Lambda in ([one, one], [zero, one], [one, zero])
    )
    assert usual == leading == work_of(system.products).multiplications
    assert crossed > 10.0 * usual
