"""Satterthwaite's method against dense matrices in forty digits, and where it must not change."""

from __future__ import annotations

from itertools import product
from typing import Any

import mpmath as mp
import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.factor.sparse_tail import SparseTail
from mixeff.inference import satterthwaite as module
from mixeff.inference.satterthwaite import pooled_df, satterthwaite
from support.fits import fit_case

STEP = mp.mpf(10) ** -12


def small_frame(seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = 15
    g, h = np.arange(n) % 5, rng.integers(0, 3, n)
    x = rng.normal(size=n).round(2)
    slope = np.array([1.5, -1.0, 0.3, 2.0, -0.5])
    y = 1 + 2.0 * rng.normal(size=5)[g] + 2.0 * rng.normal(size=3)[h] + x * slope[g]
    frame = pd.DataFrame({"y": y + 0.5 * rng.normal(size=n), "x": x, "w": rng.uniform(1, 3, n)})
    return frame.assign(g=g.astype(str), h=h.astype(str))


class Precise:
    """The criterion and vcov(beta) of a fit as functions of (theta, sigma), mpmath matrices."""

    def __init__(self, fit: Any) -> None:
        self.fit, design = fit, fit.design
        self.X, self.y = mp.matrix(design.X.tolist()), mp.matrix(design.response.tolist())
        n = design.n
        weights = np.ones(n) if design.weights is None else design.weights
        self.noise = mp.diag([1 / mp.mpf(float(w)) for w in weights])
        self.Z = []
        for term in design.random:
            q = term.n_columns
            Z = np.zeros((n, term.n_levels * q))
            for column in range(q):
                Z[np.arange(n), term.codes * q + column] = term.values[:, column]
            self.Z.append((mp.matrix(Z.tolist()), term.n_levels, q))

    def parts(self, psi: list[Any]) -> tuple[Any, Any, Any]:
        V, at = self.noise.copy(), 0
        for Z, J, q in self.Z:
            Lambda = mp.zeros(q)
            for column, row in [(c, r) for c in range(q) for r in range(c, q)]:
                Lambda[row, column] = psi[at]
                at += 1
            Sigma, big = Lambda * Lambda.T, mp.zeros(J * q)
            for level, a, b in product(range(J), range(q), range(q)):
                big[level * q + a, level * q + b] = Sigma[a, b]
            V += Z * big * Z.T
        W = V**-1
        return V, W, (self.X.T * W * self.X) ** -1

    def criterion(self, psi: list[Any]) -> Any:
        V, W, C = self.parts(psi)
        n, p, s2 = self.X.rows, self.X.cols, psi[-1] ** 2
        beta = C * (self.X.T * W * self.y)
        rest = self.y - self.X * beta
        value = mp.log(mp.det(V)) + (rest.T * W * rest)[0] / s2
        if self.fit.is_reml:
            return value - mp.log(mp.det(C)) + (n - p) * mp.log(s2)
        return value + n * mp.log(s2)

    def variance(self, row: np.ndarray, psi: list[Any]) -> Any:
        _, _, C = self.parts(psi)
        L = mp.matrix([row.tolist()])
        return psi[-1] ** 2 * (L * C * L.T)[0]


def moved(psi: list[Any], *steps: tuple[int, int]) -> list[Any]:
    out = list(psi)
    for k, sign in steps:
        out[k] += sign * STEP
    return out


def precise_df(fit: Any, rows: np.ndarray) -> list[float]:
    """2 v^2 / (g' A g), derivatives by differences whose error is 1e-24."""
    with mp.workdps(40):
        model = Precise(fit)
        psi = [mp.mpf(float(t)) for t in (*fit.theta, fit.sigma)]
        m = len(psi)
        H = mp.zeros(m)
        for j in range(m):
            for k in range(j + 1):
                corners = [
                    a * b * model.criterion(moved(psi, (j, a), (k, b)))
                    for a, b in product((1, -1), (1, -1))
                ]
                H[j, k] = H[k, j] = sum(corners) / (4 * STEP**2)
        found = []
        for row in rows:
            ends = [
                [model.variance(row, moved(psi, (k, sign))) for sign in (1, -1)] for k in range(m)
            ]
            g = mp.matrix([(high - low) / (2 * STEP) for high, low in ends])
            spread = (g.T * (2 * H**-1) * g)[0]
            found.append(float(2 * model.variance(row, psi) ** 2 / spread))
        return found


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x + (x | g)", {}),
        ("y ~ x + (1 | g) + (1 | h)", {"reml": False}),
        ("y ~ x + (1 | g) + (0 + x | g)", {"weights": "w"}),
    ],
)
def test_forty_digits(formula: str, options: dict[str, Any]) -> None:
    fit = mx.lmer(formula, small_frame(), **options)
    assert not fit.is_singular
    rows = np.array([[1.0, 0.0], [0.3, 1.0]])
    # Ours are exact but for rounding: what is left is that of the sums, about 1e-10.
    np.testing.assert_allclose(satterthwaite(fit).df(rows), precise_df(fit, rows), rtol=1e-8)


def test_rank_deficient_covariance_counts_the_free_directions_only() -> None:
    """A vanishing entry of theta has no slope in vcov(beta); the criterion bends upwards there.

    lmerTest's own treatment of singular fits: early_p and nlschools_GS_slope_p in the reference
    tests. Here (x | g) with all variance in the intercept gives the df of (1 | g).
    """
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(12), 5)
    x = np.tile(np.arange(5.0), 12) - 2.0
    y = x + 2 * rng.normal(size=12)[g] + rng.normal(size=60)
    # Slopes that are all the same: no variance of slopes left.
    for level in range(12):
        own = g == level
        y[own] -= x[own] * (x[own] @ (y[own] - x[own])) / (x[own] @ x[own])
    frame = pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})
    full = mx.lmer("y ~ x + (1 | g) + (0 + x | g)", frame)
    assert full.is_singular
    less = mx.lmer("y ~ x + (1 | g)", frame)
    got, want = (satterthwaite(m).df(np.eye(2)) for m in (full, less))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert "singular" in satterthwaite(full).sentence
    assert "singular" not in satterthwaite(less).sentence


@pytest.mark.filterwarnings("ignore::mixeff.errors.MixeffWarning")
@pytest.mark.parametrize("sparse", [True, False])
def test_a_crossed_factor_without_variance_is_as_if_left_out(sparse: bool) -> None:
    """Its products of traces are not computed: nothing of them reaches the derivatives in theta."""
    rng = np.random.default_rng(9)
    n, J, T = (1300, 650, 620) if sparse else (400, 20, 20)
    at = np.arange(n)
    h = (at * T // n + rng.integers(0, 2, n)) % T if sparse else at % T
    g = at * J // n
    y = 1.5 * rng.normal(size=J)[g] + rng.normal(size=n)
    frame = pd.DataFrame({"y": y, "x": rng.normal(size=n), "g": g.astype(str), "h": h.astype(str)})
    frame["y"] -= frame.groupby("h")["y"].transform("mean")
    if sparse:  # neighbours: what was taken from h was g's as well
        frame["y"] += rng.normal(size=J)[g]
    full = mx.lmer("y ~ x + (1 | g) + (1 | h)", frame)
    assert full.is_singular
    assert full.theta[1] == 0.0
    assert isinstance(full.estimate.prepared.system().tail, SparseTail) == sparse
    less = mx.lmer("y ~ x + (1 | g)", frame)
    got, want = (satterthwaite(m).df(np.eye(2)) for m in (full, less))
    # Both optima to 1e-7 of theta.
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_does_not_depend_on_units_or_order() -> None:
    frame = mx.load_dataset("sleepstudy")
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", frame.iloc[:137])
    moved_frame = frame.iloc[:137].assign(
        Days=1e-3 * frame["Days"] + 2, Reaction=50 * frame["Reaction"]
    )
    moved_frame = moved_frame.sample(frac=1.0, random_state=3)
    other = mx.lmer("Reaction ~ Days + (Days | Subject)", moved_frame)
    one = satterthwaite(fit).df(np.array([[0.0, 1.0], [1.0, 0.0]]))
    two = satterthwaite(other).df(np.array([[0.0, 1.0], [1.0, 2.0]]))
    # Both optima to 1e-7 of theta, df move by ten times that.
    np.testing.assert_allclose(two, one, rtol=1e-5)


def test_pooled_df() -> None:
    """Fai and Cornelius 1996: E = sum nu / (nu - 2), 2 E / (E - q)."""
    assert pooled_df(np.array([7.0])) == 7.0
    assert pooled_df(np.array([7.0, 7.0])) == 7.0
    E = 10 / 8 + 5 / 3
    assert pooled_df(np.array([10.0, 5.0])) == pytest.approx(2 * E / (E - 2))
    assert pooled_df(np.array([10.0, 1.5])) == 2.0
    assert np.isinf(pooled_df(np.array([np.inf, np.inf])))


def test_average_information_where_traces_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same expectation: within a few percent for a few hundred residual df."""
    fit = fit_case("penicillin_crossed")
    exact = satterthwaite(fit).df(np.eye(1))[0]
    monkeypatch.setattr(module, "LARGEST_WORK", 0.0)
    method = satterthwaite(fit)
    assert "average information" in method.sentence
    assert method.df(np.eye(1))[0] == pytest.approx(exact, rel=0.1)


def test_row_of_zeros_has_no_df() -> None:
    assert np.isnan(satterthwaite(fit_case("sleepstudy_slope")).df(np.zeros((1, 2)))[0])
