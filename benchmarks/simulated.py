"""Data of fixed seed for the big benchmark models: dicts of columns, fit as they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Frame = dict[str, NDArray[np.generic]]


def movielens_like(
    rows: int = 1_000_000, users: int = 6040, items: int = 3706, seed: int = 1
) -> Frame:
    """``rating ~ 1 + (1 | user) + (1 | item)``: users and items of very unequal activity.

    Item popularity falls like a Zipf law, user activity is lognormal, as in MovieLens 1M.
    """
    rng = np.random.default_rng(seed)
    active = rng.lognormal(0.0, 1.0, users)
    popular = 1.0 / (np.arange(items) + 20.0) ** 0.9
    user = rng.choice(users, rows, p=active / active.sum())
    item = rng.choice(items, rows, p=popular / popular.sum())
    user[:users], item[:items] = np.arange(users), np.arange(items)  # every level occurs
    rating = (
        3.5
        + rng.normal(0.0, 0.45, users)[user]
        + rng.normal(0.0, 0.6, items)[item]
        + rng.normal(0.0, 0.9, rows)
    )
    return {"rating": rating, "user": user, "item": item}


def crossed_vectors(
    rows: int = 130_000, levels: tuple[int, int, int] = (500, 2000, 20000), seed: int = 2
) -> Frame:
    """``y ~ x + (x | a) + (x | b) + (x | c)``: three crossed factors with random slopes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    frame: Frame = {"x": x}
    y = 1.0 + 0.5 * x + rng.normal(size=rows)
    for name, count in zip("abc", levels, strict=True):
        code = rng.integers(0, count, rows)
        code[:count] = np.arange(count)
        effect = rng.multivariate_normal([0, 0], [[0.5, 0.1], [0.1, 0.2]], count)
        y += effect[code, 0] + effect[code, 1] * x
        frame[name] = code
    frame["y"] = y
    return frame


def maximal_crossed(subjects: int = 56, items: int = 32, seed: int = 3) -> Frame:
    """``y ~ x1 * x2 * x3 + (x1 * x2 * x3 | s) + (x1 * x2 * x3 | i)``: 72 parameters.

    A 2 x 2 x 2 design in sum coding within subjects and items, a small signal in most of the
    directions, so that the optimum is nearly singular.
    """
    rng = np.random.default_rng(seed)
    s, i = (g.ravel() for g in np.meshgrid(np.arange(subjects), np.arange(items), indexing="ij"))
    cell = (s + i) % 8
    x = [np.where(cell >> k & 1, 1.0, -1.0) for k in range(3)]
    columns = np.column_stack(
        [np.ones(s.size), *x, x[0] * x[1], x[0] * x[2], x[1] * x[2], x[0] * x[1] * x[2]]
    )
    sd = np.array([1.0, 0.5, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1])
    y = columns @ np.array([2.0, 0.4, 0.3, -0.2, 0.1, 0.0, 0.1, 0.05]) + rng.normal(size=s.size)
    for code, count in ((s, subjects), (i, items)):
        mix = rng.normal(size=(8, 8)) * 0.3 + np.eye(8)
        effect = rng.normal(size=(count, 8)) @ mix.T * sd
        y += np.einsum("ij,ij->i", columns, effect[code])
    return {"y": y, "x1": x[0], "x2": x[1], "x3": x[2], "s": s, "i": i}


def groups(rows: int = 1_000_000, count: int = 100_000, seed: int = 4) -> Frame:
    """``y ~ x1 + x2 + x3 + x4 + (x1 | g)``: many small groups, correlated slope, five fixed."""
    rng = np.random.default_rng(seed)
    g = rng.integers(0, count, rows)
    g[:count] = np.arange(count)
    X = rng.normal(size=(rows, 4))
    effect = rng.multivariate_normal([0, 0], [[0.6, 0.2], [0.2, 0.4]], count)
    y = X @ np.array([0.5, -0.2, 0.1, 0.0]) + effect[g, 0] + effect[g, 1] * X[:, 0]
    y += rng.normal(size=rows)
    return {"y": y, "g": g, **{f"x{k + 1}": X[:, k] for k in range(4)}}


def partially_crossed(
    rows: int = 200_000, first: int = 20_000, second: int = 10_000, seed: int = 5
) -> Frame:
    """``y ~ x + (1 | a) + (1 | b)``: every level of a meets a few neighbouring levels of b.

    Pupils and teachers of one region after another: eliminating a leaves b's block banded.
    """
    rng = np.random.default_rng(seed)
    a = rng.integers(0, first, rows)
    a[:first] = np.arange(first)
    home = a * (second / first)
    b = np.clip(home + rng.normal(0.0, 4.0, rows), 0, second - 1).astype(np.int64)
    b[first : first + second] = np.clip(np.arange(second), 0, second - 1)
    a[first : first + second] = np.arange(second) * first // second
    hidden = rng.permutation(first), rng.permutation(second)  # the order tells nothing
    x = rng.normal(size=rows)
    y = 0.3 * x + rng.normal(0, 0.8, first)[a] + rng.normal(0, 0.5, second)[b]
    y += rng.normal(size=rows)
    return {"y": y, "x": x, "a": hidden[0][a], "b": hidden[1][b]}


def poisson_slopes(rows: int = 100_000, count: int = 5_000, seed: int = 6) -> Frame:
    """``y ~ x + (x | g)``, counts with mean near two: a correlated slope in every group."""
    rng = np.random.default_rng(seed)
    g = rng.integers(0, count, rows)
    g[:count] = np.arange(count)
    x = rng.normal(size=rows)
    effect = rng.multivariate_normal([0, 0], [[0.36, 0.06], [0.06, 0.09]], count)
    eta = 0.4 + 0.3 * x + effect[g, 0] + effect[g, 1] * x
    return {"y": rng.poisson(np.exp(eta)).astype(np.float64), "x": x, "g": g}


def bernoulli_crossed(
    rows: int = 1_000_000, first: int = 10_000, second: int = 1_000, seed: int = 7
) -> Frame:
    """``y ~ x + (1 | a) + (1 | b)``: answers of many persons to many items, four in ten yes."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, first, rows), rng.integers(0, second, rows)
    a[:first], b[:second] = np.arange(first), np.arange(second)
    x = rng.normal(size=rows)
    eta = -0.5 + 0.5 * x + rng.normal(0.0, 0.8, first)[a] + rng.normal(0.0, 0.6, second)[b]
    yes = rng.random(rows) < 1.0 / (1.0 + np.exp(-eta))
    return {"y": yes.astype(np.float64), "x": x, "a": a, "b": b}


def crossed_intercepts(
    rows: int = 10_000, first: int = 400, second: int = 100, seed: int = 8
) -> Frame:
    """``y ~ x + t + (1 | a) + (1 | b)``: unbalanced; ``x`` varies within, ``t`` between ``a``."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, first, rows), rng.integers(0, second, rows)
    a[:first], b[:second] = np.arange(first), np.arange(second)
    x, t = rng.normal(size=rows), rng.normal(size=first)[a]
    y = 1.0 + 0.3 * x + 0.1 * t + rng.normal(size=rows)
    y += rng.normal(0.0, 0.7, first)[a] + rng.normal(0.0, 0.4, second)[b]
    return {"y": y, "x": x, "t": t, "a": a, "b": b}
