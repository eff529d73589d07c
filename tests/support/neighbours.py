"""Partially crossed designs: levels of every factor lie along a line and meet their neighbours."""

from __future__ import annotations

import numpy as np

from mixeff.crossproducts.blocks import GroupBlock
from support.brute_system import Brute


def neighbours(rng: np.random.Generator, *, n: int = 90, factors: int | None = None) -> Brute:
    """Two to four factors of one to three columns, some levels without rows, maybe weights.

    A factor may be nested in an earlier one, or so small that all levels of the others meet it.
    """
    where = rng.uniform(size=n)
    blocks: list[GroupBlock] = []
    for i in range(factors or int(rng.integers(2, 5))):
        J = int(rng.integers(6, 24))
        kind = rng.random()
        if i and kind < 0.2:
            inner = blocks[-1].codes
            code = np.minimum(inner // 3, J - 1)
        elif i and kind < 0.35:
            J = 3
            code = rng.integers(0, J, n)
        else:
            moved = where + rng.normal(0.0, 0.03, n)
            code = np.clip((moved * J).astype(int), 0, J - 1)
            code = rng.permutation(J)[code]
        values = rng.normal(size=(n, int(rng.integers(1, 4))))
        values[:, 0] = 1.0
        blocks.append(GroupBlock(code.astype(np.int32), J + int(rng.integers(0, 2)), values))
    X = rng.normal(size=(n, int(rng.integers(0, 4))))
    weights = rng.uniform(0.1, 4.0, n) if rng.random() < 0.5 else None
    return Brute(rng.normal(size=n), X, blocks, weights)


def factors_of(rng: np.random.Generator, brute: Brute) -> list[np.ndarray]:
    """A Lambda per factor: regular, rank-deficient or zero."""
    found = []
    for b in brute.blocks:
        L = np.tril(rng.normal(size=(b.n_columns, b.n_columns)))
        if rng.random() < 0.35:
            L[:, int(rng.integers(b.n_columns)) :] = 0.0
        found.append(L)
    return found


def grown(n: int = 30_000, first: int = 3000, second: int = 1500, seed: int = 4) -> Brute:
    """Two factors with 1,500 or more levels each; a level meets some ten neighbours."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, first, n)
    b = np.clip(a * second / first + rng.normal(0.0, 3.0, n), 0, second - 1).astype(int)
    one, x = np.ones((n, 1)), rng.normal(size=(n, 1))
    blocks = [
        GroupBlock(rng.permutation(first)[a].astype(np.int32), first, one),
        GroupBlock(rng.permutation(second)[b].astype(np.int32), second, np.hstack([one, x])),
    ]
    return Brute(rng.normal(size=n), np.hstack([one, x]), blocks)
