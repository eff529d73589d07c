"""Effective degrees of freedom against refits, dense algebra and the definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import norm, poisson

import mixeff as mx
from mixeff.errors import ComparisonError, OptionError
from support.reference import load_frame


def sleep() -> pd.DataFrame:
    frame = load_frame("sleepstudy").copy()
    rng = np.random.default_rng(3)
    frame["w"] = 1 + frame["Days"] / 5
    frame["h"] = rng.integers(0, 6, size=len(frame)).astype(str)
    frame["z"] = rng.normal(size=len(frame))
    return frame


def by_refits(fit: Any, step: float) -> float:
    """sum_i d yhat_i / d y_i by central differences of whole refits."""
    y, total = fit.design.response, 0.0
    for i in range(y.size):
        up, down = y.copy(), y.copy()
        up[i] += step
        down[i] -= step
        total += (fit.refit(up).fitted[i] - fit.refit(down).fitted[i]) / (2 * step)
    return total


MODELS = {
    "reml": ("Reaction ~ Days + (Days | Subject)", {}),
    "ml": ("Reaction ~ Days + (Days | Subject)", {"reml": False}),
    "weights": ("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", {"weights": "w"}),
    "crossed, singular": ("Reaction ~ Days + (1 | Subject) + (1 | h)", {}),
    "crossed": ("Reaction ~ 1 + (Days | Subject) + (1 | h)", {}),
    "correlation of one": ("Reaction ~ Days + (z | Subject)", {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_linear_models_are_counted_by_refits(name: str) -> None:
    """Steps of half a millisecond: differences are off by their square, near 1e-5."""
    formula, options = MODELS[name]
    fit = mx.lmer(formula, sleep(), control=mx.Control(tolerance=1e-12), **options)
    assert fit.is_singular == (name in ("crossed, singular", "correlation of one"))
    found = fit.conditional_aic()
    assert found.effective_df == pytest.approx(by_refits(fit, 0.5), abs=3e-5)


def short_sleep() -> pd.DataFrame:
    return load_frame("sleepstudy").query("Days < 4")


def dense_random_intercept() -> tuple[float, float]:
    """Hat trace and sum of d yhat / d y of REML fits of (1 | Subject), by n x n matrices."""
    frame = short_sleep()
    n = len(frame)
    y = frame["Reaction"].to_numpy(float)
    X = np.column_stack([np.ones(n), frame["Days"]])
    g = frame["Subject"].cat.codes.to_numpy()
    G = (g[:, None] == g[None, :]).astype(float)

    def projector(theta: float) -> np.ndarray:
        Vi = np.linalg.inv(np.eye(n) + theta**2 * G)
        return Vi - Vi @ X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi)

    def slope(theta: float, y: np.ndarray) -> float:
        P = projector(theta)
        Py = P @ y
        return float(np.sum(P * G) - (n - 2) * (Py @ G @ Py) / (y @ Py))

    def fitted(y: np.ndarray) -> tuple[np.ndarray, float]:
        theta = brentq(slope, 0.3, 5, args=(y,), xtol=1e-14)
        return y - projector(theta) @ y, theta

    known = n - np.trace(projector(fitted(y)[1]))
    total = 0.0
    for i in range(n):
        e = 0.3 * np.eye(n)[i]
        total += (fitted(y + e)[0][i] - fitted(y - e)[0][i]) / 0.6
    return float(known), total


def test_a_random_intercept_by_dense_algebra() -> None:
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", short_sleep())
    known, estimated = dense_random_intercept()
    assert fit.conditional_aic("known").effective_df == pytest.approx(known, abs=1e-7)
    # the step of 0.3 in the differences costs about 5e-6
    assert fit.conditional_aic().effective_df == pytest.approx(estimated, abs=2e-5)


def test_criterion_is_made_of_its_parts() -> None:
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep(), weights="w")
    found = fit.conditional_aic()
    sd = fit.sigma / np.sqrt(fit.design.weights)
    loglik = norm.logpdf(fit.design.response, fit.fitted, sd).sum()
    assert found.loglik == pytest.approx(loglik, rel=1e-12)
    assert found.caic == pytest.approx(-2 * loglik + 2 * (found.effective_df + 1), rel=1e-12)
    assert "Greven and Kneib" in str(found)


def count_fit() -> Any:
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(12), 5)
    x = rng.normal(size=60)
    y = rng.poisson(np.exp(0.3 + 0.3 * x + 0.6 * rng.normal(size=12)[g]))
    return mx.glmer("y ~ x + (1 | g)", {"y": y, "x": x, "g": g}, "poisson")


def test_hat_trace_of_a_poisson_model() -> None:
    """Trace of Z_all (Z_all'WZ_all + penalty)^-1 Z_all'W at the working weights, dense."""
    fit = count_fit()
    term = fit.design.random[0]
    Z = np.eye(12)[term.codes]
    C = np.hstack([Z, fit.design.X])
    w = np.exp(fit.linear_predictor)
    penalty = np.zeros((14, 14))
    penalty[:12, :12] = np.eye(12) / fit.theta[0] ** 2
    A = C.T @ (w[:, None] * C)
    found = fit.conditional_aic()
    assert found.effective_df == pytest.approx(np.trace(np.linalg.solve(A + penalty, A)), rel=1e-8)
    assert found.dispersion == 0
    loglik = poisson.logpmf(fit.design.response, fit.fitted).sum()
    assert found.loglik == pytest.approx(loglik, rel=1e-12)


def test_poisson_models_by_refits() -> None:
    """sum_i y_i (log mu_i(y) - log mu_i(y - e_i)), from new fits of the whole model."""
    fit = count_fit()
    y = fit.design.response
    data = dict(fit.request.data)
    total = 0.0
    for i in np.flatnonzero(y > 0):
        less = y.copy()
        less[i] -= 1
        other = mx.glmer("y ~ x + (1 | g)", data | {"y": less}, "poisson")
        total += y[i] * math.log(fit.fitted[i] / other.fitted[i])
    found = fit.conditional_aic("estimated")
    # Each fit is right to about 1e-6 of a standard error.
    assert found.effective_df == pytest.approx(total, abs=1e-3)


def test_responses_of_zero_and_one_by_refits() -> None:
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(15), 6)
    x = rng.normal(size=90)
    y = rng.binomial(1, 1 / (1 + np.exp(-x - rng.normal(size=15)[g])))
    data = {"y": y, "x": x, "g": g}
    fit = mx.glmer("y ~ x + (1 | g)", data, "binomial")
    total = 0.0
    for i in range(90):
        eta = []
        for value in (0, 1):
            other = y.copy()
            other[i] = value
            eta.append(
                mx.glmer("y ~ x + (1 | g)", data | {"y": other}, "binomial").linear_predictor[i]
            )
        total += fit.fitted[i] * (1 - fit.fitted[i]) * (eta[1] - eta[0])
    found = fit.conditional_aic("estimated")
    assert found.effective_df == pytest.approx(total, abs=1e-3)


def test_table_and_ranking() -> None:
    frame = sleep()
    m1 = mx.lmer("Reaction ~ Days + (1 | Subject)", frame)
    m2 = mx.lmer("Reaction ~ Days + (Days | Subject)", frame)
    table = mx.caic(m1, m2).to_frame()
    assert list(table.index) == ["m1", "m2"]
    assert list(table.columns) == ["effective_df", "loglik", "caic"]
    ranked = mx.compare_models(m1, m2, criterion="caic").to_frame()
    assert list(ranked.index) == ["m2", "m1"]
    assert ranked["delta"].tolist() == [0.0, pytest.approx(table["caic"].diff().abs()["m2"])]


def test_weights_are_of_the_chosen_criterion() -> None:
    """Burnham and Anderson (2002), chapter 2: exp(-delta/2) over its sum."""
    frame = sleep()
    models = {
        "small": mx.lmer("Reaction ~ 1 + (Days | Subject)", frame),
        "large": mx.lmer("Reaction ~ Days + (Days | Subject)", frame),
    }
    for criterion in ("aicc", "aic", "bic"):
        table = mx.compare_models(criterion=criterion, **models).to_frame()
        assert list(table.columns) == ["npar", "loglik", criterion, "delta", "weight"]
        values = {k: getattr(m.refit_ml(), criterion) for k, m in models.items()}
        assert table[criterion].to_dict() == pytest.approx(values)
        best = min(values.values())
        relative = {k: math.exp(-(v - best) / 2) for k, v in values.items()}
        share = {k: v / sum(relative.values()) for k, v in relative.items()}
        assert table["weight"].to_dict() == pytest.approx(share)
        assert table["delta"].iloc[0] == 0


def test_refusals() -> None:
    frame = sleep()
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", frame)
    other = mx.lmer("Reaction ~ Days + (1 | Subject)", frame.iloc[:150])
    with pytest.raises(ComparisonError, match="not fitted to the same rows"):
        mx.compare_models(fit, other)
    with pytest.raises(ComparisonError, match="not fitted to the same rows"):
        mx.caic(fit, other)
    with pytest.raises(ComparisonError, match="at least 2 models"):
        mx.compare_models(fit)
    with pytest.raises(ComparisonError, match="REML and ML fits are mixed"):
        mx.compare_models(fit, fit.refit_ml(), refit=False)
    with pytest.raises(OptionError, match='criterion must be one of "aicc"'):
        mx.compare_models(fit, fit, criterion="dic")
    with pytest.raises(OptionError, match='Did you mean "criterion"'):
        mx.compare_models(fit, fit, criterium="aic")
    with pytest.raises(OptionError, match='variances must be one of "estimated"'):
        fit.conditional_aic("exact")
    with pytest.raises(OptionError, match='Did you mean "variances"'):
        fit.conditional_aic(variance="known")
    binomial = mx.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", load_frame("cbpp"), "binomial"
    )
    with pytest.raises(OptionError, match="not for this binomial model"):
        binomial.conditional_aic("estimated")
