"""Levels by classes of equal blocks against dense algebra and against the levels one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixeff.covariance import Partition
from mixeff.factor import kernels
from mixeff.linear.criterion import LinearCriterion
from support.dense_system import DenseBlock, DenseSystem


@dataclass
class Case:
    """Levels that follow a few patterns of rows, in dense arrays."""

    y: np.ndarray
    X: np.ndarray
    Z: np.ndarray
    codes: np.ndarray
    weights: np.ndarray
    sizes: tuple[int, ...]  # columns of the terms

    @property
    def dense(self) -> DenseSystem:
        block = DenseBlock(self.codes, int(self.codes.max()) + 1, self.Z)
        return DenseSystem(self.y, self.X, [block], self.weights)

    @property
    def partition(self) -> Partition:
        return Partition.of_groups(["g"] * len(self.sizes), list(self.sizes))

    @property
    def arrays(self):
        """What the kernels take, by plain sums over the rows in their order."""
        J, q = int(self.codes.max()) + 1, self.Z.shape[1]
        right = np.column_stack([self.X, self.y])
        w = right.shape[1]
        G, B = np.zeros((J, q, q)), np.zeros((J, w, q))
        for code, z, r, weight in zip(self.codes, self.Z, right, self.weights, strict=True):
            G[code] += weight * np.outer(z, z)
            B[code] += weight * np.outer(r, z)
        A = right.T @ (self.weights[:, None] * right)
        pointer = np.arange(J + 1, dtype=np.int64) * w
        columns = np.tile(np.arange(w, dtype=np.int32), J)
        terms, first = [], 0
        for size in self.sizes:
            terms += [0, first, size]
            first += size
        none = np.empty(0, dtype=np.int64)
        return G, pointer, columns, B.reshape(J * w, q), A, none, np.array(terms, dtype=np.int64)

    def point(self, theta, reml, by_class, term, direction):
        return kernels.small_point(
            *self.arrays, self.y.size, reml, theta, by_class, term, direction
        )


def patterned(rng, *, patterns, levels, sizes, p, shuffled, weighted, spread=1.0) -> Case:
    """Every level has the rows (and weights) of one of the patterns, in any order."""
    q = sum(sizes)
    kinds = []
    for _ in range(patterns):
        rows = int(rng.integers(1, 7))
        Z = np.column_stack([np.ones(rows), rng.normal(1.0, spread, size=(rows, q - 1))])
        kinds.append((Z, rng.uniform(0.5, 2.0, rows) if weighted else np.ones(rows)))
    codes, Z, weights = [], [], []
    for level in range(levels):
        own, w = kinds[level if level < patterns else int(rng.integers(patterns))]
        order = rng.permutation(len(w)) if shuffled else np.arange(len(w))
        codes += [level] * len(w)
        Z.append(own[order])
        weights.append(w[order])
    codes, Z, weights = np.array(codes, np.int32), np.vstack(Z), np.concatenate(weights)
    n = codes.size
    own = min(p, q)  # X shares columns with Z, as in most models
    X = np.column_stack([Z[:, :own], rng.normal(size=(n, p - own))])
    effects = rng.normal(size=(levels, q)) @ rng.normal(size=(q, q))
    y = np.sum(Z * effects[codes], axis=1) + rng.normal(size=n)
    if shuffled:  # rows of different levels mixed
        order = rng.permutation(n)
        codes, Z, weights, X, y = codes[order], Z[order], weights[order], X[order], y[order]
    if p:
        root = np.sqrt(weights)[:, None]
        y = y - X @ np.linalg.lstsq(root * X, root[:, 0] * y, rcond=None)[0]
    return Case(y, X, Z, codes, weights, sizes)


def theta_of(rng, partition: Partition, kind: str):
    theta = rng.normal(size=partition.n_theta)
    if kind == "zero":
        return 0.0 * theta
    if kind == "singular":
        theta[rng.random(theta.size) < 0.5] = 0.0
    return theta * {"small": 1e-3, "large": 50.0}.get(kind, 1.0)


@given(
    seed=st.integers(0, 2**32 - 1),
    patterns=st.integers(1, 5),
    more=st.integers(6, 20),
    sizes=st.sampled_from([(1,), (2,), (3,), (4,), (1, 1), (2, 1), (1, 2, 1)]),
    p=st.integers(0, 4),
    reml=st.booleans(),
    shuffled=st.booleans(),
    weighted=st.booleans(),
    kind=st.sampled_from(["any", "zero", "singular", "small", "large"]),
)
@settings(max_examples=150, deadline=None)
def test_against_dense_algebra(
    seed, patterns, more, sizes, p, reml, shuffled, weighted, kind
) -> None:
    rng = np.random.default_rng(seed)
    case = patterned(
        rng, patterns=patterns, levels=patterns + more, sizes=sizes, p=p,
        shuffled=shuffled, weighted=weighted,
    )  # fmt: skip
    if case.y.size <= p + 2 or (p and np.linalg.cond(case.X) > 100.0):
        return
    partition = case.partition
    theta = theta_of(rng, partition, kind)
    term = int(rng.integers(len(sizes)))
    direction = rng.normal(size=sizes[term])
    dense = LinearCriterion(case.dense, partition, reml).evaluate(theta)
    if not np.isfinite(dense.value):
        return
    found = case.point(theta, reml, True, term, direction)
    count, value, pwrss, gradient, hessian, slopes, along, beta, covariance, modes, _ = found
    # Levels of one pattern are one class, whatever the order of their rows; a block may lie on
    # the edge between two places of the table, or two patterns of one row may be alike.
    assert count <= patterns + 2
    # The dense side inverts V: rounding grows with its condition, theta^2 times up to 6 rows.
    size = 1.0 + 50.0 * float(theta @ theta)
    assert value == pytest.approx(dense.value, abs=1e-10 * size, rel=1e-12)
    assert pwrss == pytest.approx(dense.factor.pwrss, rel=1e-12 * size)
    unit = (1.0 + np.abs(dense.hessian).max()) * size
    np.testing.assert_allclose(gradient, dense.gradient, atol=1e-11 * unit)
    np.testing.assert_allclose(hessian, dense.hessian, atol=1e-11 * unit)
    first = 0
    for Xi in dense.sigma_slopes:
        own = slopes[first : first + Xi.size].reshape(Xi.shape)
        np.testing.assert_allclose(own, Xi, atol=1e-11 * size * (1.0 + np.abs(Xi).max()))
        first += Xi.size
    expected = dense.curvature_along(term, direction)
    assert along == pytest.approx(expected, rel=1e-9 * size, abs=1e-10 * size)
    np.testing.assert_allclose(beta, dense.factor.beta(), atol=1e-10 * size)
    np.testing.assert_allclose(
        covariance, dense.factor.unscaled_covariance(), rtol=1e-10 * size, atol=1e-11
    )
    np.testing.assert_allclose(modes, dense.factor.modes()[0], atol=1e-10 * size)


@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.sampled_from([(1,), (2,), (3,), (1, 1), (4,)]),
    p=st.integers(0, 3),
    reml=st.booleans(),
    kind=st.sampled_from(["any", "singular", "small", "large"]),
)
@settings(max_examples=80, deadline=None)
def test_as_level_by_level_without_any_equal_levels(seed, sizes, p, reml, kind) -> None:
    rng = np.random.default_rng(seed)
    levels = int(rng.integers(5, 15))
    case = patterned(
        rng, patterns=levels, levels=levels, sizes=sizes, p=p, shuffled=True, weighted=True
    )
    if case.y.size <= p + 2 or (p and np.linalg.cond(case.X) > 100.0):
        return
    theta = theta_of(rng, case.partition, kind)
    direction = rng.normal(size=sizes[0])
    one = case.point(theta, reml, False, 0, direction)
    many = case.point(theta, reml, True, 0, direction)
    assert one[0] == 0
    assert many[0] == levels
    if not np.isfinite(one[1]):
        return
    # Both lose the digits of y'y that the random effects explain, and of the determinants what
    # the condition of their blocks costs.
    lost = case.y @ (case.weights * case.y) / one[2]
    (Lambda,) = case.partition.block_factors(theta)
    D = np.eye(sum(sizes)) + Lambda.T @ case.arrays[0] @ Lambda
    worst = np.linalg.cond(D).max()
    noise = 1e-14 * (case.y.size * lost + levels * worst)
    assert many[1] == pytest.approx(one[1], rel=1e-12, abs=1e-10 + noise)
    scale = 1.0 + np.abs(np.asarray(one[4])).max()
    names = ("pwrss", "gradient", "hessian", "slopes", "along", "beta")
    for name, a, b in zip(names, many[2:8], one[2:8], strict=True):
        relative = 1e-9 + 1e-14 * worst
        np.testing.assert_allclose(a, b, rtol=relative, atol=1e-12 * scale * lost, err_msg=name)
    np.testing.assert_allclose(many[9], one[9], atol=1e-10 * lost)


def test_digits_stay_where_the_columns_of_every_level_are_nearly_collinear() -> None:
    # Slopes on a predictor that hardly changes within a level: two classes, at -1 and at 1.
    rng = np.random.default_rng(4)
    J, rows = 40, 10
    x = np.linspace(-1e-3, 1e-3, rows) + np.where(np.arange(J) % 2, 1.0, -1.0)[:, None]
    codes = np.repeat(np.arange(J), rows).astype(np.int32)
    Z = np.column_stack([np.ones(J * rows), x.ravel()])
    slope = 300.0 * rng.normal(size=J)
    level = np.where(np.arange(J) % 2, 1.0, -1.0)
    y = (-slope * level + rng.normal(size=J))[codes] + slope[codes] * Z[:, 1]
    y += rng.normal(size=y.size)
    y -= y.mean()
    case = Case(y, np.ones((y.size, 1)), Z, codes, np.ones(y.size), (2,))
    theta = np.array([1.0, 200.0, 300.0])
    direction = np.array([1.0, 0.0])
    classes = case.point(theta, True, True, 0, direction)
    levels = case.point(theta, True, False, 0, direction)
    assert classes[0] == 2
    exact = longdouble_deviance(case, theta)
    # The second pivot of Z'Z is 3e-7 of its diagonal, so doubles keep 9 digits of it and of the
    # determinants, 2e-8 in the criterion; moments lose no more than the levels one by one.
    assert levels[1] == pytest.approx(exact, abs=4e-8)
    assert abs(classes[1] - exact) <= 1.5 * abs(levels[1] - exact) + 1e-10
    np.testing.assert_allclose(classes[3], levels[3], rtol=1e-6, atol=1e-7)


def longdouble_deviance(case: Case, theta) -> float:
    """REML criterion of an intercept model by extended precision, level by level."""
    big = np.longdouble
    Lambda = np.array([[theta[0], 0.0], [theta[1], theta[2]]], dtype=big)
    logdet, S = big(0), np.zeros((2, 2), dtype=big)
    for j in range(int(case.codes.max()) + 1):
        own = case.codes == j
        Z, right = case.Z[own].astype(big), np.column_stack([case.X[own], case.y[own]]).astype(big)
        U = Z @ Lambda
        D = U.T @ U + np.eye(2, dtype=big)
        det = D[0, 0] * D[1, 1] - D[0, 1] ** 2
        inverse = np.array([[D[1, 1], -D[0, 1]], [-D[0, 1], D[0, 0]]], dtype=big) / det
        S += right.T @ right - (right.T @ U) @ inverse @ (U.T @ right)
        logdet += np.log(det)
    nu = case.y.size - 1
    r2 = S[1, 1] - S[0, 1] ** 2 / S[0, 0]
    return float(logdet + np.log(S[0, 0]) + nu * (1 + np.log(2 * big(np.pi) * r2 / nu)))
