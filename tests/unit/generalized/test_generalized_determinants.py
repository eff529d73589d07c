"""Second derivatives of log-determinants on block patterns equal dense algebra, entry by entry.

Both sides are of well conditioned matrices of a few hundred rows: 1e-10 relative is rounding.
"""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.generalized import penalized_blocks
from mixeff.generalized.determinants import determinant_curvature
from mixeff.generalized.penalized_blocks import Blocks, Pair

DERIVATIVES = 3


def codes_of(shape: str, rng: np.random.Generator) -> tuple[list[np.ndarray], list[int]]:
    """Level of every row in every factor, those with most levels first; columns per level."""
    if shape == "one":
        return [np.repeat(np.arange(12), 3)], [2]
    if shape == "chain of three":
        inner = np.repeat(np.arange(40), 2)
        return [inner, inner // 4, inner // 12], [2, 1, 3]
    if shape == "nested in two crossed":
        inner = np.repeat(np.arange(30), 2)
        where = rng.integers(0, 8, 30), rng.integers(0, 5, 30)
        return [inner, where[0][inner], where[1][inner]], [1, 2, 1]
    if shape == "full":
        a, b = np.divmod(np.arange(20 * 6), 6)
        return [a, b], [2, 3]
    if shape == "sparse":
        n = 300
        a = np.concatenate([np.arange(60), rng.integers(0, 60, n - 60) ** 2 // 60])
        return [a, rng.integers(0, 50, n)], [1, 2]
    n = 150  # three crossed
    return [rng.integers(0, size, n) for size in (40, 20, 9)], [2, 1, 2]


def random_blocks(shape: str, seed: int) -> tuple[Blocks, np.ndarray, list[int]]:
    """Blocks, the same as dense (K, N, N) matrices, first row of every factor."""
    rng = np.random.default_rng(seed)
    codes, columns = codes_of(shape, rng)
    levels = [int(c.max()) + 1 for c in codes]
    n = codes[0].size
    starts = [0, *np.cumsum([J * q for J, q in zip(levels, columns, strict=True)]).tolist()]
    Z = np.zeros((n, starts[-1]))
    for code, q, start in zip(codes, columns, starts[:-1], strict=True):
        Z[np.arange(n)[:, None], start + code[:, None] * q + np.arange(q)] = rng.normal(size=(n, q))
    weights = np.vstack([rng.uniform(0.2, 1.0, n), rng.normal(size=(DERIVATIVES, n))])
    dense = np.einsum("ra,kr,rb->kab", Z, weights, Z)
    dense[0] += np.eye(starts[-1])

    def places(i: int) -> np.ndarray:
        return starts[i] + np.arange(levels[i] * columns[i]).reshape(levels[i], columns[i])

    diagonal = tuple(
        dense[:, places(i)[:, :, None], places(i)[:, None, :]] for i in range(len(codes))
    )
    pairs = {}
    for i in range(len(codes)):
        for k in range(i + 1, len(codes)):
            met = np.unique(codes[i] * levels[k] + codes[k])
            row, column = np.divmod(met, levels[k])
            block = dense[:, places(i)[row][:, :, None], places(k)[column][:, None, :]]
            pairs[i, k] = Pair(row, column, block)
    return Blocks(diagonal, pairs), dense, starts


SHAPES = [
    "one", "chain of three", "nested in two crossed", "full", "sparse", "three crossed",
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("room", [2_000_000, 500])
def test_squares_and_inverse(shape, room, monkeypatch):
    monkeypatch.setattr(penalized_blocks, "_ROOM", room)  # few levels at a time
    blocks, dense, starts = random_blocks(shape, 5)
    found = determinant_curvature(blocks)
    inverse = np.linalg.inv(dense[0])
    products = inverse @ dense[1:]
    squares = np.einsum("kab,lba->kl", products, products)
    np.testing.assert_allclose(found.squares, squares, rtol=1e-10, atol=1e-10 * squares.max())
    for i, block in enumerate(found.diagonal):
        at = starts[i] + np.arange(block.shape[0] * block.shape[1]).reshape(block.shape[:2])
        wanted = inverse[at[:, :, None], at[:, None, :]]
        np.testing.assert_allclose(block, wanted, atol=1e-11)
    for (i, k), block in found.between.items():
        pair, (q, r) = blocks.pairs[i, k], block.shape[1:]
        row = starts[i] + pair.row[:, None] * q + np.arange(q)
        column = starts[k] + pair.column[:, None] * r + np.arange(r)
        wanted = inverse[row[:, :, None], column[:, None, :]]
        np.testing.assert_allclose(block, wanted, atol=1e-11)


def test_not_positive_definite():
    blocks, _, _ = random_blocks("full", 5)
    blocks.diagonal[1][0] *= -1.0
    with pytest.raises(np.linalg.LinAlgError):
        determinant_curvature(blocks)
