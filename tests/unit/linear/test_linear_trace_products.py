"""tr(W V_j W V_k) against dense matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mixeff.crossproducts.blocks import GroupBlock
from mixeff.crossproducts.in_memory import build_system
from mixeff.linear.sigma_coordinates import basis
from mixeff.linear.trace_products import trace_products, work_of

Floats = np.ndarray


def dense_traces(
    codes: Sequence[Floats],
    values: Sequence[Floats],
    levels: Sequence[int],
    Lambda: Sequence[Floats],
    weights: Floats,
) -> Floats:
    """The definition, n x n."""
    n = weights.size
    derivatives, V = [], np.eye(n)
    for c, v, J, L in zip(codes, values, levels, Lambda, strict=True):
        q = v.shape[1]
        Z = np.zeros((n, J * q))
        for column in range(q):
            Z[np.arange(n), c * q + column] = np.sqrt(weights) * v[:, column]
        V += Z @ np.kron(np.eye(J), L @ L.T) @ Z.T
        derivatives += [Z @ np.kron(np.eye(J), E) @ Z.T for E in basis(q)]
    W = np.linalg.inv(V)
    return np.array([[np.trace(W @ A @ W @ B) for B in derivatives] for A in derivatives])


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
    got = trace_products(system.products, Lambda, directions)
    want = dense_traces(codes, values, levels, Lambda, weights)
    # Matrices of order 100 with condition numbers near 100: rounding is about 1e-13.
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10 * want.max())


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
