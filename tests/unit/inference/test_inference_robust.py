"""Cluster-robust covariances against clubSandwich, dense algebra and single clusters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

import mixeff as mx
from mixeff.errors import DataError, OptionError
from mixeff.generalized.cluster_scores import cluster_scores
from mixeff.inference.clusters import grouping_of
from mixeff.inference.method import method_of
from mixeff.inference.robust import Robust, robust_method
from mixeff.linear import clusters as cluster_algebra
from support.reference import load_frame

# R 4.2, clubSandwich 0.5.8; lme4's optimum is near ours to about 1e-6 in theta.
CLOSE = 2e-5


def sleep_fit() -> Any:
    return mx.lmer("Reaction ~ Days + (Days | Subject)", load_frame("sleepstudy"))


# m <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy); v <- vcovCR(m, type=k)
# coef_test(m, v, test="Satterthwaite"); Wald_test(m, constrain_zero(1:2), v, test="HTZ")
@pytest.mark.parametrize(
    ("kind", "entries", "f_value"),
    [
        ("CR0", [43.98709564, -1.370479278, 2.25671535], 747.3645517),
        ("CR1", [46.57457186, -1.451095706, 2.389463312], 705.8442988),
        ("CR2", [46.57457186, -1.451095706, 2.389463312], 705.8442988),
    ],
)
def test_sleepstudy(kind: str, entries: list[float], f_value: float) -> None:
    fit = sleep_fit()
    method = method_of(fit, vcov=kind, function="test")
    np.testing.assert_allclose(method.covariance[[0, 0, 1], [0, 1, 1]], entries, rtol=CLOSE)
    np.testing.assert_allclose(method.df(np.eye(2)), [17, 17], rtol=1e-6)
    test = method.f_test(np.eye(2), fit.fixef.to_numpy())
    assert (test.f_value, test.den_df) == pytest.approx((f_value, 16.0), rel=CLOSE)


def test_unbalanced_classes() -> None:
    """lmer(lang ~ IQ + GS + SES + COMB + (1 | class), nlschools), CR2, constrain_zero(3:5)."""
    fit = mx.lmer("lang ~ IQ + GS + SES + COMB + (1 | class)", load_frame("nlschools"))
    method = robust_method(fit, "CR2")
    se = [1.54228291696, 0.08472533534, 0.04845515590, 0.01495840738, 0.63609159642]
    df = [67.41219082, 96.85414466, 50.57966174, 90.80164964, 108.11567721]
    np.testing.assert_allclose(np.sqrt(np.diag(method.covariance)), se, rtol=CLOSE)
    np.testing.assert_allclose(method.df(np.eye(5)), df, rtol=CLOSE)
    L = np.eye(5)[2:]
    test = method.f_test(L, L @ fit.fixef.to_numpy())
    assert test.f_value == pytest.approx(43.99901637, rel=CLOSE)
    assert test.den_df == pytest.approx(83.27363345, rel=CLOSE)
    assert test.p_value == pytest.approx(3.879696132e-17, rel=1e-3)
    assert "133 clusters: class" in method.sentence


def test_nested_factors_with_rows_missing() -> None:
    """lmer(Y ~ N * V + (1 | B/V), MASS::oats[-c(3, 10, 50), ]), CR2, constrain_zero(2:4)."""
    frame = load_frame("oats").drop(index=[2, 9, 49])
    fit = mx.lmer("Y ~ N * V + (1 | B/V)", frame)
    method = robust_method(fit, "CR2")
    places = [0, 1, 4, 6]
    se = np.sqrt(np.diag(method.covariance))[places]
    np.testing.assert_allclose(se, [8.573920644, 9.552486587, 7.695858904, 6.118023130], rtol=CLOSE)
    df = method.df(np.eye(12))[places]
    np.testing.assert_allclose(df, [5.000000007, 5.0, 5.000000004, 4.850695164], rtol=1e-5)
    test = method.f_test(np.eye(12)[1:4], fit.fixef.to_numpy()[1:4])
    assert (test.f_value, test.den_df) == pytest.approx((4.524909828, 3.0), rel=CLOSE)


def dense(fit: Any, codes: np.ndarray, adjusted: bool) -> tuple[np.ndarray, Any]:
    """Covariance and the function of L that gives (df, eta), by matrices of n rows."""
    design, sigma2 = fit.design, fit.sigma**2
    X, n = design.X, design.n
    V = np.diag(np.ones(n) if design.weights is None else 1 / design.weights)
    for term, L in zip(design.random, fit.estimate.Lambda, strict=True):
        B = term.values @ L
        V += (B @ B.T) * (term.codes[:, None] == term.codes[None, :])
    V *= sigma2
    Vi = np.linalg.inv(V)
    M = np.linalg.inv(X.T @ Vi @ X)
    H = X @ M @ X.T @ Vi
    e = design.response - (0 if design.offset is None else design.offset) - X @ fit.estimate.beta
    residual = V - X @ M @ X.T
    parts, weights = [], []
    for c in np.unique(codes):
        own = np.flatnonzero(codes == c)
        A = np.eye(own.size)
        if adjusted:
            D = np.linalg.cholesky(V[np.ix_(own, own)]).T
            values, Q = np.linalg.eigh(D @ residual[np.ix_(own, own)] @ D.T)
            root = np.where(values > 1e-10 * values[-1], values, np.inf) ** -0.5
            A = D.T @ Q @ np.diag(root) @ Q.T @ D
        left = M @ X[own].T @ Vi[np.ix_(own, own)] @ A
        parts.append(left @ e[own])
        weights.append(left @ (np.eye(n) - H)[own])
    G = np.array(weights)  # (m, p, n)

    def moments(L: np.ndarray) -> float:
        g = np.einsum("sp,cpn->csn", L, G)
        omega = np.einsum("csn,nk,dtk->csdt", g, V, g, optimize=True)
        mean = np.einsum("csct->st", omega)
        values, Q = np.linalg.eigh(mean)
        half = Q @ np.diag(values**-0.5) @ Q.T
        omega = np.einsum("as,csdt,bt->cadb", half, omega, half, optimize=True)
        total = np.einsum("csds,ctdt->", omega, omega) + np.einsum("csdt,ctds->", omega, omega)
        q = len(L)
        return float(q * (q + 1) / total)

    return np.array(parts).T @ np.array(parts), moments


def uneven(seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sizes = [1, 2, 2, 3, 5, 8, 50, 90]
    g = np.repeat(np.arange(len(sizes)), sizes)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=g.size), "t": (g % 2).astype(float)})
    frame["h"] = g * 4 + rng.integers(0, 3, size=g.size)
    frame["w"] = rng.uniform(0.5, 2, size=g.size)
    frame["o"] = rng.normal(size=g.size)
    frame["y"] = frame["x"] + rng.normal(size=8)[g] + rng.normal(size=g.size)
    return frame


FITS = {
    "slope": ("y ~ x + t + (x | g)", {}),
    "nested": ("y ~ x + t + (1 | g) + (1 | h)", {}),
    "weighted": ("y ~ x + t + (1 | g)", {"weights": "w", "offset": "o"}),
    "indicators": ("y ~ x + factor(g) + (0 + x | g)", {}),
    "singular": ("y ~ x + t + (x + o | g)", {"reml": False}),
}


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("kind", ["CR0", "CR2"])
def test_dense_algebra(name: str, kind: str) -> None:
    """Clusters of 1 to 90 rows; the two largest go by projection where weights are equal."""
    formula, options = FITS[name]
    frame = uneven()
    fit = mx.lmer(formula, frame, **options)
    method = robust_method(fit, kind)
    assert isinstance(method, Robust)
    expected, moments = dense(fit, frame["g"].to_numpy(), kind == "CR2")
    p = 2 if name == "indicators" else len(expected)
    np.testing.assert_allclose(method.covariance[:p, :p], expected[:p, :p], rtol=1e-7, atol=1e-12)
    L = np.eye(len(fit.fixef))[:2]
    # One row: eta is Satterthwaite's df.
    assert method.df(L) == pytest.approx([moments(L[:1]), moments(L[1:])], rel=1e-6)
    if name == "indicators":  # cluster 0, one row, adds no residual: one direction, two rows
        assert np.isnan(method.total_df(L))
    else:
        assert method.total_df(L) == pytest.approx(moments(L), rel=1e-6)


def test_cr2_is_unbiased_under_the_model() -> None:
    """sum_c E_c'(V_c - X_c M X_c')E_c = M (Bell and McCaffrey 2002)."""
    fit = mx.lmer("y ~ x + t + (x | g)", uneven())
    method = robust_method(fit, "CR2")
    assert isinstance(method, Robust)
    K, G = method._moments(np.eye(3))
    mean = [[method._pair(K, G, s, t)[0] for t in range(3)] for s in range(3)]
    np.testing.assert_allclose(mean, fit.estimate.unscaled_covariance, rtol=1e-9, atol=1e-12)


def test_projected_and_dense_clusters_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = mx.lmer("y ~ x + t + (x | g)", uneven())
    projected = robust_method(fit, "CR2").covariance
    monkeypatch.setattr(cluster_algebra, "_projects", lambda *_: False)
    np.testing.assert_allclose(robust_method(fit, "CR2").covariance, projected, rtol=1e-9)


def test_clusters_by_column_and_by_array() -> None:
    frame = uneven().assign(big=lambda d: d["g"] // 2)
    fit = mx.lmer("y ~ x + t + (1 | g)", frame)
    by_name = fit.robust_vcov("CR1", cluster="big")
    by_array = fit.robust_vcov("CR1", cluster=frame["big"].to_numpy())
    pd.testing.assert_frame_equal(by_name, by_array)
    expected, _ = dense(fit, frame["big"].to_numpy(), False)
    np.testing.assert_allclose(by_name, expected * 4 / 3, rtol=1e-8)
    assert list(by_name.index) == list(by_name.columns) == ["(Intercept)", "x", "t"]


def test_asymptotic_reference_distribution() -> None:
    method = method_of(sleep_fit(), ddf="asymptotic", vcov="CR2", function="test")
    assert np.isinf(method.df(np.eye(2))).all()
    assert method.name == "CR2"
    assert "normal" in method.sentence


def test_more_rows_than_clusters_have_no_test() -> None:
    frame = uneven().query("g > 5")
    fit = mx.lmer("y ~ x + o + (1 | g)", frame)
    assert np.isnan(robust_method(fit, "CR2").f_test(np.eye(3), np.ones(3)).p_value)


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("ddf", ["auto", "asymptotic", None])
def test_terms_with_more_coefficients_than_the_clusters_tell_apart(kind: int, ddf: Any) -> None:
    """Three clusters have covariances of rank 3 at most (2 within them, as the parts sum to 0)."""
    frame = uneven().query("g > 4").assign(f=lambda d: (np.arange(len(d)) % 5).astype(str))
    frame["y"] += np.sin(7.0 * np.arange(len(frame)))
    fit = mx.lmer("y ~ x + f + (1 | g)", frame)
    table = fit.anova(kind, ddf, "CR0")
    value = table["chisq" if ddf == "asymptotic" else "f_value"]
    assert np.isfinite(value[0])
    assert np.isnan(value[1])
    assert any("clusters are too few" in note and note.endswith("f.") for note in table.notes)
    joint = fit.contrast(np.eye(6), joint=True, ddf=ddf, vcov="CR0")
    assert joint["num_df"][0] == 6  # all independent, although the covariance has lower rank
    assert np.isnan(joint["f_value"][0])
    assert not any("independent" in note for note in joint.notes)


def test_asymptotic_joint_test_is_the_wald_statistic() -> None:
    """beta'L'(L C L')^-1 L beta over its rank, C robust."""
    fit = sleep_fit()
    C, L = fit.robust_vcov("CR0").to_numpy(), np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 3.0]])
    d = L[:2] @ fit.estimate.beta
    got = fit.contrast(L, joint=True, ddf="asymptotic", vcov="CR0")
    assert got["num_df"][0] == 2
    want = d @ np.linalg.solve(L[:2] @ C @ L[:2].T, d) / 2
    assert got["f_value"][0] == pytest.approx(want, rel=1e-10)


def test_refusals() -> None:
    frame = uneven().assign(
        k=np.random.default_rng(3).integers(0, 5, size=161).astype(str), part=1.0
    )
    crossed = mx.lmer("y ~ x + (1 | g) + (1 | k)", frame)
    with pytest.raises(OptionError, match="g and k are crossed"):
        crossed.robust_vcov()
    fit = mx.lmer("y ~ x + (1 | g)", frame)
    with pytest.raises(OptionError, match="levels of g have rows in several clusters of k"):
        fit.robust_vcov(cluster="k")
    with pytest.raises(OptionError, match="one cluster only"):
        crossed.robust_vcov(cluster="part")
    with pytest.raises(OptionError, match='kind must be one of "CR0"'):
        fit.robust_vcov("HC3")
    with pytest.raises(OptionError, match='Did you mean "cluster"'):
        fit.robust_vcov(clusters="g")
    with pytest.raises(DataError, match="3 entries"):
        fit.robust_vcov(cluster=[1, 2, 3])
    missing = frame["g"].astype(float).where(frame["g"] != 3)
    with pytest.raises(DataError, match="missing in 3 of the rows"):
        fit.robust_vcov(cluster=missing.to_numpy())
    with pytest.raises(KeyError, match="no column"):
        fit.robust_vcov(cluster="school")


def counts() -> pd.DataFrame:
    rng = np.random.default_rng(9)
    g = np.repeat(np.arange(25), rng.integers(2, 9, size=25))
    x = rng.normal(size=g.size)
    b = rng.normal(size=(25, 2)) * [0.6, 0.3]
    mean = np.exp(0.5 + 0.3 * x + b[g, 0] + b[g, 1] * x)
    return pd.DataFrame({"y": rng.poisson(mean), "x": x, "g": g, "h": g * 2 + (x > 0)})


def laplace_of_group(y: np.ndarray, x: np.ndarray, at: np.ndarray) -> float:
    """Laplace approximation of one group of a Poisson model with a random intercept."""
    theta, b0, b1 = at

    def negative(u: float) -> float:
        eta = b0 + b1 * x + theta * u
        return float(-(y * eta - np.exp(eta) - gammaln(y + 1)).sum() + 0.5 * u**2)

    u = minimize_scalar(negative, bracket=(-1, 1), options={"xtol": 1e-12}).x
    for _ in range(5):  # Newton, to the last digit
        mean = np.exp(b0 + b1 * x + theta * u)
        u -= (-(theta * (y - mean)).sum() + u) / (1 + theta**2 * mean.sum())
    curvature = 1 + theta**2 * np.exp(b0 + b1 * x + theta * u).sum()
    return -negative(u) - 0.5 * math.log(curvature)


def scores_of(fit: Any) -> np.ndarray:
    clusters = grouping_of(fit).clusters
    return cluster_scores(
        fit.design, fit.request.family, fit.estimate, clusters, fit.request.control
    )


def test_scores_of_single_groups() -> None:
    """Central differences of each group's own log-likelihood, off by the step squared."""
    frame = counts()
    fit = mx.glmer("y ~ x + (1 | g)", frame, "poisson")
    at = np.array([fit.theta[0], *fit.fixef])
    got, step = scores_of(fit), 1e-4
    for place, level in enumerate(fit.design.random[0].levels):
        own = frame[frame["g"].astype(str) == level]
        y, x = own["y"].to_numpy(float), own["x"].to_numpy()
        for j in range(3):
            d = np.eye(3)[j] * step
            slope = (laplace_of_group(y, x, at + d) - laplace_of_group(y, x, at - d)) / (2 * step)
            assert got[place, j] == pytest.approx(slope, abs=1e-6)
    B = np.linalg.inv(fit.estimate.information)
    expected = (B @ got.T @ got @ B)[1:, 1:]
    np.testing.assert_allclose(fit.robust_vcov("CR0"), expected, rtol=1e-8)
    np.testing.assert_allclose(fit.robust_vcov(), expected * 25 / 24, rtol=1e-8)


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("y ~ x + (x | g)", "poisson"),
        ("y ~ x + (1 | g) + (1 | h)", "poisson"),
        ("y ~ x + (x || g)", "nb"),
        ("I(y + 0.5) ~ x + (x | g)", "Gamma"),
    ],
)
def test_scores_add_up_to_nothing(formula: str, family: str) -> None:
    """At the maximum, for every parameter that is free to move."""
    frame = counts()
    if family == "nb":
        fit: Any = mx.glmer_nb(formula, frame)
    else:
        fit = mx.glmer(formula, frame, family, link="log")
    scores = scores_of(fit)
    free = np.diag(fit.estimate.information) != 0
    assert scores.shape == (25, fit.estimate.information.shape[0])
    assert np.abs(scores.sum(axis=0)[free]).max() < 1e-5 * np.abs(scores).max()


def test_generalized_refusals() -> None:
    frame = counts()
    fit = mx.glmer("y ~ x + (1 | g)", frame, "poisson")
    with pytest.raises(OptionError, match="CR2 is for linear models"):
        fit.robust_vcov("CR2")
    with pytest.raises(OptionError, match="n_agq=5"):
        fit.update(n_agq=5).robust_vcov("CR1")
    method = method_of(fit, vcov="CR1", function="test")
    assert np.isinf(method.df(np.eye(2))).all()
