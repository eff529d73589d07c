"""A design small enough for dense algebra, and the dense algebra: what every factor must equal."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mixeff.crossproducts.blocks import GroupBlock
from mixeff.crossproducts.in_memory import build_system


@dataclass
class Brute:
    """Dense Z, X, y in working coordinates with the weights folded in."""

    y: np.ndarray
    X: np.ndarray
    blocks: list[GroupBlock]
    weights: np.ndarray | None = None
    options: dict = field(default_factory=dict)

    def build(self, **more):
        return build_system(
            self.y, self.X, self.blocks, weights=self.weights, **self.options, **more
        )

    def working(self):
        root = np.ones(self.y.size) if self.weights is None else np.sqrt(self.weights)
        o = self.options
        y = (self.y - o.get("response_shift", 0.0)) / o.get("response_scale", 1.0)
        X = (self.X - o.get("X_shift", 0.0)) / o.get("X_scale", 1.0)
        Z = []
        for b in self.blocks:
            v = (b.values - (0 if b.shift is None else b.shift)) / (
                1 if b.scale is None else b.scale
            )
            dense = np.zeros((self.y.size, b.n_levels, v.shape[1]))
            dense[np.arange(self.y.size), b.codes] = v
            Z.append(dense.reshape(self.y.size, -1) * root[:, None])
        return y * root, X * root[:, None], Z

    def results(self, Lambda, reml=True):
        """Every number of the protocol from V, P and the penalized matrix themselves."""
        y, X, Zs = self.working()
        Z = np.hstack(Zs)
        Lt = np.zeros((Z.shape[1], Z.shape[1]))
        at = []
        start = 0
        for b, L in zip(self.blocks, Lambda, strict=True):
            size = b.n_levels * L.shape[0]
            Lt[start : start + size, start : start + size] = np.kron(np.eye(b.n_levels), L)
            at.append(slice(start, start + size))
            start += size
        Vi = np.linalg.inv(np.eye(y.size) + Z @ Lt @ Lt.T @ Z.T)
        XVX = X.T @ Vi @ X
        P = Vi - Vi @ X @ np.linalg.solve(XVX, X.T @ Vi) if X.shape[1] else Vi
        M = Lt.T @ Z.T @ Z @ Lt + np.eye(Z.shape[1])
        beta = np.linalg.solve(XVX, X.T @ Vi @ y) if X.shape[1] else np.zeros(0)
        modes = Lt @ Lt.T @ Z.T @ P @ y
        variances = Lt @ np.linalg.inv(M) @ Lt.T
        ZPZ = Z.T @ P @ Z
        H = Z.T @ (P if reml else Vi) @ Z
        shape = [(b.n_levels, L.shape[0]) for b, L in zip(self.blocks, Lambda, strict=True)]

        def diagonal(M, s, J, q):
            return np.einsum("laib,li->lab", M[s, s].reshape(J, q, J, q), np.eye(J))

        return {
            "logdet_random": np.linalg.slogdet(M)[1],
            "logdet_fixed": np.linalg.slogdet(XVX)[1] if X.shape[1] else 0.0,
            "pwrss": y @ P @ y,
            "beta": beta,
            "unscaled_covariance": np.linalg.inv(XVX),
            "modes": [modes[s].reshape(j) for s, j in zip(at, shape, strict=True)],
            "scores": [(Z.T @ P @ y)[s].reshape(j) for s, j in zip(at, shape, strict=True)],
            "trace_blocks": [
                diagonal(H, s, *j).sum(axis=0) for s, j in zip(at, shape, strict=True)
            ],
            "conditional_variances": [
                diagonal(variances, s, *j) for s, j in zip(at, shape, strict=True)
            ],
            "ZPZ": ZPZ,
            "penalized": np.block([[M, Lt.T @ Z.T @ X], [X.T @ Z @ Lt, X.T @ X]]),
        }


def _block(rng, codes, J, q):
    values = rng.normal(size=(codes.size, q))
    values[:, 0] = 1.0
    return GroupBlock(codes.astype(np.int32), J, values)


def designs() -> dict[str, Brute]:
    """The designs every kernel and factor is tried on, by name."""
    rng = np.random.default_rng(20240611)
    n = 60
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = rng.normal(size=n)
    w = rng.uniform(0.2, 3.0, n)

    def codes(J):
        return rng.permutation(np.arange(n) % J)

    def nested(inner, J):
        return rng.integers(0, J, inner.max() + 1)[inner]

    one = codes(9)
    pupils = codes(20)
    classes = nested(pupils, 8)
    schools = nested(classes, 3)
    items = codes(5)
    gaps = np.where(one == 4, 5, one)  # level 4 has no rows
    pupil_gaps = np.where(pupils == 3, 4, pupils)
    return {
        "one scalar": Brute(y, X, [_block(rng, one, 9, 1)]),
        "one vector": Brute(y, X, [_block(rng, one, 9, 3)]),
        "no fixed": Brute(y, X[:, :0], [_block(rng, one, 9, 2)]),
        "weights": Brute(y, X, [_block(rng, one, 9, 2), _block(rng, items, 5, 1)], w),
        "crossed": Brute(y, X, [_block(rng, items, 5, 1), _block(rng, pupils, 20, 1)]),
        "crossed vectors": Brute(y, X, [_block(rng, one, 9, 2), _block(rng, items, 5, 3)]),
        "three crossed": Brute(
            y, X[:, :1],
            [_block(rng, codes(4), 4, 2), _block(rng, one, 9, 1), _block(rng, codes(6), 6, 2)],
        ),
        "wide vectors": Brute(y, X, [_block(rng, one, 9, 4), _block(rng, items, 5, 5)]),
        "crossed no fixed": Brute(
            y, X[:, :0], [_block(rng, pupils, 20, 1), _block(rng, items, 5, 2)]
        ),
        "chain": Brute(
            y, X,
            [_block(rng, schools, 3, 1), _block(rng, pupils, 20, 2), _block(rng, classes, 8, 1)],
        ),
        "chain vectors": Brute(
            y, X,
            [_block(rng, pupils, 20, 1), _block(rng, classes, 8, 3), _block(rng, schools, 3, 2)],
            w,
        ),
        "chain and crossed": Brute(
            y, X,
            [_block(rng, schools, 3, 2), _block(rng, pupils, 20, 1), _block(rng, items, 5, 2),
             _block(rng, classes, 8, 2)],
        ),
        "chain no fixed": Brute(
            y, X[:, :0], [_block(rng, classes, 8, 2), _block(rng, pupils, 20, 1)]
        ),
        "partially nested": Brute(
            y, X,
            [_block(rng, np.where(np.arange(n) == 7, 1, pupils), 20, 1),
             _block(rng, np.where(np.arange(n) < 3, codes(8), classes), 8, 2)],
        ),
        "empty levels": Brute(
            y, X,
            [_block(rng, gaps, 11, 2), _block(rng, items, 7, 1)],
        ),
        "empty chain levels": Brute(
            y, X,
            [_block(rng, pupil_gaps, 23, 1), _block(rng, nested(pupil_gaps, 8), 9, 2),
             _block(rng, items, 6, 1)],
        ),
        "shifts": Brute(
            y + 50, X,
            [GroupBlock(one.astype(np.int32), 9, X[:, :2] * 7 + 3, np.array([1.0, 2.0]),
                        np.array([3.0, 0.5])), _block(rng, items, 5, 1)],
            w,
            {"response_shift": 49.0, "response_scale": 2.5,
             "X_shift": np.array([0.0, 0.3, -1.0]), "X_scale": np.array([1.0, 2.0, 0.1])},
        ),
    }  # fmt: skip


def lambdas(brute: Brute) -> dict[str, list[np.ndarray]]:
    """Regular, zero, partly zero and rank-deficient Lambda for a design."""
    rng = np.random.default_rng(7)
    sizes = [b.n_columns for b in brute.blocks]
    regular = [np.tril(rng.normal(size=(q, q))) + 0.7 * np.eye(q) for q in sizes]
    deficient = [L.copy() for L in regular]
    for L in deficient:
        L[-1, -1] = 0.0
    return {
        "regular": regular,
        "zero": [np.zeros((q, q)) for q in sizes],
        "first zero": [np.zeros_like(L) if i == 0 else L for i, L in enumerate(regular)],
        "last zero": [
            np.zeros_like(L) if i == len(sizes) - 1 else L for i, L in enumerate(regular)
        ],
        "rank deficient": deficient,
        "negative": [-L for L in regular],
        "small": [1e-7 * L for L in regular],
    }


def random_slopes(blocks, m: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Scores (J, q) and m changes of Sigma (m, q, q) per factor, one fewer for every later one."""
    rng = np.random.default_rng(3)
    z = [rng.normal(size=(b.n_levels, b.n_columns)) for b in blocks]
    counts = [max(0, m - i) for i in range(len(blocks))]
    sizes = [b.n_columns for b in blocks]
    return z, [rng.normal(size=(c, q, q)) for c, q in zip(counts, sizes, strict=True)]


def slope_columns(z: list[np.ndarray], slopes: list[np.ndarray]) -> np.ndarray:
    """The columns c with c_l = slope z_l in the levels of one factor and zero in all others."""
    rows = np.cumsum([0, *(scores.size for scores in z)])
    columns = np.cumsum([0, *(len(D) for D in slopes)])
    C = np.zeros((rows[-1], columns[-1]))
    for i, (scores, D) in enumerate(zip(z, slopes, strict=True)):
        part = np.stack([(scores @ d.T).ravel() for d in D], axis=1) if len(D) else 0.0
        C[rows[i] : rows[i + 1], columns[i] : columns[i + 1]] = part
    return C
