"""Kenward and Roger's method against the formulas of the 1997 paper with n x n matrices."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.errors import OptionError
from mixeff.factor.sparse_tail import SparseTail
from mixeff.inference.kenward_roger import kenward_roger, refuse_large, scale_and_df
from mixeff.inference.tails import f_tail
from mixeff.linear.trace_products import TraceWork
from support.dense_inference import dense_model
from support.fits import fit_case

CASES = (
    "sleepstudy_weights",  # pbkrtest leaves the weights out
    "penicillin_weights_p",
    "pixel_p",
    "machines_int",
    "cake_temp",
    "sleepstudy_offset",
    "nlschools_small",
)


def model(name: str) -> Any:
    if name == "nlschools_small":
        schools = mx.load_dataset("nlschools").iloc[:300]
        return mx.lmer("lang ~ IQ + COMB + (IQ | class)", schools)
    return fit_case(name)


def dense_kenward_roger(fit: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Phi, Phi_A, P (m, p, p) and W; the notation of Kenward and Roger (1997)."""
    d = dense_model(fit)
    W = np.linalg.inv(d.V)
    WX = W @ d.X
    Phi = np.linalg.inv(d.X.T @ WX)
    P = np.array([-WX.T @ V @ WX for V in d.derivatives])
    Q = np.array([[WX.T @ A @ W @ B @ WX for B in d.derivatives] for A in d.derivatives])
    m = len(d.derivatives)
    information = np.empty((m, m))
    for j, A in enumerate(d.derivatives):
        for k, B in enumerate(d.derivatives):
            information[j, k] = (
                np.sum((W @ A) * (W @ B).T)
                - 2 * np.trace(Phi @ Q[j, k])
                + np.trace(Phi @ P[j] @ Phi @ P[k])
            )
    weights = 2 * np.linalg.inv(information)
    inner = sum(weights[j, k] * (Q[j, k] - P[j] @ Phi @ P[k]) for j in range(m) for k in range(m))
    return Phi, Phi + 2 * Phi @ inner @ Phi, P, weights


def dense_f_test(fit: Any, L: np.ndarray) -> tuple[float, float, float]:
    """F, lambda and df of section 3."""
    Phi, adjusted, P, W = dense_kenward_roger(fit)
    q = len(L)
    Theta = L.T @ np.linalg.solve(L @ Phi @ L.T, L)
    first = np.array([np.trace(Theta @ Phi @ p @ Phi) for p in P])
    second = np.array(
        [[np.trace(Theta @ Phi @ a @ Phi @ Theta @ Phi @ b @ Phi) for b in P] for a in P]
    )
    A1, A2 = first @ W @ first, np.sum(W * second)
    B = (A1 + 6 * A2) / (2 * q)
    g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
    c1 = g / (3 * q + 2 * (1 - g))
    c2 = (q - g) / (3 * q + 2 * (1 - g))
    c3 = (q + 2 - g) / (3 * q + 2 * (1 - g))
    E = 1 / (1 - A2 / q)
    V = (2 / q) * (1 + c1 * B) / ((1 - c2 * B) ** 2 * (1 - c3 * B))
    rho = V / (2 * E**2)
    df = 4 + (q + 2) / (q * rho - 1)
    scale = df / (E * (df - 2))
    estimate = L @ fit.estimate.beta
    return scale * estimate @ np.linalg.solve(L @ adjusted @ L.T, estimate) / q, scale, df


@pytest.mark.parametrize("name", CASES)
def test_dense_formulas(name: str) -> None:
    fit = model(name)
    method = kenward_roger(fit)
    _, adjusted, _, _ = dense_kenward_roger(fit)
    size = np.sqrt(np.outer(np.diag(adjusted), np.diag(adjusted)))
    # The dense side loses digits where predictors are not centred (condition numbers to 1e6).
    np.testing.assert_allclose(method.covariance / size, adjusted / size, atol=1e-8)
    p = len(fit.fixef)
    for L in (np.eye(p)[:1], np.eye(p)[-2:], np.eye(p)):
        test = method.f_test(L, L @ fit.estimate.beta)
        f, scale, df = dense_f_test(fit, L)
        assert test.f_value == pytest.approx(f, rel=1e-6)
        assert test.scale == pytest.approx(scale, rel=1e-6)
        assert test.den_df == pytest.approx(df, rel=1e-6)
        assert test.num_df == len(L)
    rows = method.df(np.eye(p))
    single = [dense_f_test(fit, np.eye(p)[k : k + 1])[2] for k in range(p)]
    np.testing.assert_allclose(rows, single, rtol=1e-6)


def awkward(kind: str) -> Any:
    """Weights, an offset, a column that others determine; crossed factors, a variance of zero."""
    rng = np.random.default_rng(12)
    n = 1300 if kind == "sparse tail" else 400
    at = np.arange(n)
    if kind == "sparse tail":
        g, h, k = at // 2, (at * 620 // n + rng.integers(0, 2, n)) % 620, at % 1
    else:
        g, h, k = rng.integers(0, 90, n), rng.integers(0, 30, n), rng.integers(0, 8, n)
    x = rng.normal(size=n)
    effects = rng.normal(size=g.max() + 1)[g] + rng.normal(size=h.max() + 1)[h]
    y = x + effects + rng.normal(size=n)
    # No variance of k is left: its levels have equal means, given all else.
    y -= pd.Series(y - effects - x).groupby(k).transform("mean").to_numpy()
    codes = {name: code.astype(str) for name, code in (("g", g), ("h", h), ("k", k))}
    frame = pd.DataFrame({"y": y, "x": x, "twice": 2 * x, **codes})
    frame["w"], frame["o"] = rng.uniform(0.5, 2.0, n), rng.normal(size=n)
    frame["y"] += frame["o"]
    third = "" if kind == "sparse tail" else " + (1 | k)"
    formula = "y ~ x + twice + (1 | g) + (1 | h)" + third
    return mx.lmer(formula, frame, weights="w", offset="o")


@pytest.mark.filterwarnings("ignore::mixeff.errors.MixeffWarning")
@pytest.mark.parametrize("kind", ["sparse tail", "three factors"])
def test_awkward_designs(kind: str) -> None:
    fit = awkward(kind)
    assert fit.dropped == ("twice",)
    assert fit.is_singular == (kind == "three factors")
    method = kenward_roger(fit)
    system = fit.estimate.prepared.system()
    assert isinstance(system.tail, SparseTail) == (kind == "sparse tail")
    Phi, adjusted, P, W = dense_kenward_roger(fit)
    size = np.sqrt(np.outer(np.diag(adjusted), np.diag(adjusted)))
    np.testing.assert_allclose(method.covariance / size, adjusted / size, atol=1e-8)
    g = np.array([np.diag(Phi @ p @ Phi) for p in P])
    single = 2.0 * np.diag(Phi) ** 2 / np.einsum("ja,jk,ka->a", g, W, g)
    np.testing.assert_allclose(method.df(np.eye(2)), single, rtol=1e-6)


def test_one_row_as_joint_and_single() -> None:
    fit = fit_case("pixel_p")
    single = fit.contrast("day = 1", ddf="kenward-roger")
    joint = fit.contrast("day = 1", ddf="kenward-roger", joint=True)
    assert joint["f_value"][0] == pytest.approx(single["statistic"][0] ** 2, rel=1e-10)
    assert joint["den_df"][0] == pytest.approx(single["df"][0], rel=1e-8)


def test_does_not_depend_on_units_or_order() -> None:
    frame = mx.load_dataset("sleepstudy")
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", frame)
    moved = frame.assign(Days=1e4 * frame["Days"] + 3e4, Reaction=1e-3 * frame["Reaction"])
    moved = moved.sample(frac=1.0, random_state=1).reset_index(drop=True)
    other = mx.lmer("Reaction ~ Days + (Days | Subject)", moved)
    one, two = (m.contrast({"Days": 1}, ddf="kenward-roger") for m in (fit, other))
    for name in ("df", "statistic", "p_value"):
        assert two[name][0] == pytest.approx(one[name][0], rel=1e-6)
    # The intercept is at Days = 0 of the first data.
    L = {"(Intercept)": 1, "Days": 3e4}
    at_zero = other.contrast(L, ddf="kenward-roger")
    first = fit.contrast({"(Intercept)": 1}, ddf="kenward-roger")
    assert at_zero["statistic"][0] == pytest.approx(first["statistic"][0], rel=1e-6)


def test_balanced_split_plot_has_the_df_of_its_strata() -> None:
    """oats: 6 blocks, 3 varieties on whole plots, 4 nitrogen levels: 10 and 45 df, lambda 1."""
    table = fit_case("oats_mass_split").anova(3, "kenward-roger").to_frame()
    assert table["den_df"].tolist() == pytest.approx([45.0, 10.0, 45.0], rel=1e-6)


def test_ml_fits_are_refitted_by_reml() -> None:
    ml, reml = fit_case("sleepstudy_slope_ml"), fit_case("sleepstudy_slope")
    one, two = kenward_roger(ml), kenward_roger(reml)
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-5)
    assert "REML fit" in one.sentence
    assert "REML fit" not in two.sentence
    assert "REML fit" in str(ml.summary(ddf="kenward-roger")).replace("\n", " ")


def method_and_peak(fit: Any) -> tuple[Any, int]:
    """The method and the most memory (bytes) it took."""
    tracemalloc.start()
    try:
        method = kenward_roger(fit)
        return method, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_nothing_of_the_size_of_the_data_squared() -> None:
    """20,000 rows, 600 x 60 levels: an n x n matrix would take 3.2 GB, a dense Z 106 MB."""
    rng = np.random.default_rng(0)
    n = 20_000
    g, h = rng.integers(0, 600, n), rng.integers(0, 60, n)
    y = rng.normal(size=600)[g] + rng.normal(size=60)[h] + rng.normal(size=n)
    frame = {"y": y, "x": rng.normal(size=n), "g": g.astype(str), "h": h.astype(str)}
    fit = mx.lmer("y ~ x + (1 | g) + (1 | h)", frame)
    method, peak = method_and_peak(fit)
    assert peak < 30e6
    # x varies within all levels: nearly n - J - K degrees of freedom
    assert 19_000 < method.df(np.array([[0.0, 1.0]]))[0] < 20_000


def test_a_sparse_tail_stays_sparse() -> None:
    """A square of the tail's 6,000 columns would take 288 MB."""
    rng = np.random.default_rng(1)
    n, T = 40_000, 6_000
    g, h = np.arange(n) // 4, (np.arange(n) * T // n + rng.integers(0, 2, n)) % T
    y = rng.normal(size=n // 4)[g] + rng.normal(size=T)[h] + rng.normal(size=n)
    frame = {"y": y, "x": rng.normal(size=n), "g": g.astype(str), "h": h.astype(str)}
    fit = mx.lmer("y ~ x + (1 | g) + (1 | h)", frame)
    method, peak = method_and_peak(fit)
    assert peak < 60e6
    # All of x varies within levels: n less what the levels take of it.
    assert n - 10_000 - T < method.df(np.array([[0.0, 1.0]]))[0] < n


@pytest.mark.filterwarnings("ignore::mixeff.errors.MixeffWarning")
def test_singular_fit() -> None:
    """V does not depend on how a zero variance came about: the dense formulas hold there too."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"g": np.repeat(np.arange(10), 4).astype(str), "x": np.tile(range(4), 10)})
    frame["y"] = rng.normal(size=40) - np.repeat(rng.normal(size=40).reshape(10, 4).mean(axis=1), 4)
    frame["y"] -= frame.groupby("g")["y"].transform("mean")
    fit = mx.lmer("y ~ x + (1 | g)", frame)
    assert fit.is_singular
    method = kenward_roger(fit)
    _, adjusted, _, _ = dense_kenward_roger(fit)
    np.testing.assert_allclose(method.covariance, adjusted, rtol=1e-8, atol=1e-12)


def test_scale_and_df_of_one_row() -> None:
    """With q = 1 lambda is 1 and the df 2 / A, for any A."""
    for A in (0.01, 0.1, 0.4):
        assert scale_and_df(A, A, 1) == pytest.approx((1.0, 2.0 / A))
    assert scale_and_df(0.0, 0.0, 2) == (1.0, np.inf)


def test_too_large_names_the_alternative() -> None:
    with pytest.raises(OptionError, match=r'20000 columns of crossed factors.*ddf="satterthwaite"'):
        refuse_large(TraceWork(5 * 2e4**3, 8.0 * 5 * 2e4**2, 20000))
    refuse_large(TraceWork(5 * 1e3**3, 8.0 * 5 * 1e3**2, 1000))


def test_generalized_models_have_none() -> None:
    fit = mx.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mx.load_dataset("cbpp"),
        "binomial",
    )
    with pytest.raises(OptionError, match="is for linear models"):
        fit.anova(ddf="kenward-roger")


def test_tails_of_statistics_that_are_not_positive_or_infinite() -> None:
    """R: pf(c(-1e-6, 0, Inf), 2, 0.0125, lower.tail = FALSE) and pchisq(c(-1, Inf), 2, ...)."""
    assert [f_tail(f, 2, 0.0125) for f in (-1e-6, 0.0, np.inf)] == [1.0, 1.0, 0.0]
    assert [f_tail(f, 2, np.inf) for f in (-1.0, np.inf)] == [1.0, 0.0]
    assert np.isnan(f_tail(np.nan, 2, 5.0))
