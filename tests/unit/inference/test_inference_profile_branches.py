"""Profiles with several branches: plateaus, folds, flat tails, approximations that break down."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import minimize

import mixeff as mx
from mixeff.inference.profile import hermite

CHI2_95 = 3.841458820694124  # qchisq(0.95, 1)


class OneFactor:
    """-2 log-likelihood of 0/1 responses with one random intercept, by quadrature at the modes.

    Groups of one size, one after the other.
    """

    def __init__(self, data: Any, cdf: Any, nodes: int) -> None:
        J = data["g"].nunique()
        self.X = np.column_stack([np.ones(len(data)), data["x"]]).reshape(J, -1, 2)
        self.y = data["y"].to_numpy(float).reshape(J, -1)
        self.cdf = cdf
        self.nodes, self.weights = np.polynomial.hermite_e.hermegauss(nodes)

    def deviance(self, beta: Any, sd: float) -> float:
        eta = self.X @ beta

        def h(u: Any) -> Any:  # (k, J) at once
            p = self.cdf(eta + sd * u[..., None])
            log = np.log(np.maximum(np.where(self.y == 1, p, 1 - p), 1e-300))
            return 0.5 * u * u - log.sum(-1)

        reach, u = 8.0, np.zeros(len(eta))
        while reach > 1e-7:  # the lowest of 41 points, again and again more closely
            grid = u + reach * np.linspace(-1, 1, 41)[:, None]
            u = np.take_along_axis(grid, h(grid).argmin(0)[None], 0)[0]
            reach *= 0.1
        e = 2e-3 / (1 + sd)
        spread = 1.0 / np.sqrt((h(u + e) - 2 * h(u) + h(u - e)) / e**2)
        z, w = self.nodes[:, None], self.weights[:, None]
        logs = np.log(w) + 0.5 * z * z - h(u + spread * z)
        top = logs.max(0)
        total = np.log(np.exp(logs - top).sum(0)) + top + np.log(spread)
        return float(-2.0 * (total - 0.5 * math.log(2 * math.pi)).sum())

    def best(self, sd: float, starts: Any) -> float:
        """Over the coefficients, the standard deviation held."""
        found = [
            minimize(lambda b: self.deviance(b, sd), s, method="Nelder-Mead",
                     options={"xatol": 1e-4, "fatol": 1e-7, "maxfev": 600}).fun
            for s in starts
        ]  # fmt: skip
        return float(min(found))


def logistic(eta: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-eta))


@pytest.fixture(scope="module")
def flat() -> pd.DataFrame:
    """All responses of a group alike but for two: little is known of a large deviation."""
    rng = np.random.default_rng(3)
    y = np.repeat(rng.integers(0, 2, 10), 4)
    y[0], y[13] = 1 - y[0], 1 - y[13]
    return pd.DataFrame(
        {"g": np.repeat([f"g{i}" for i in range(10)], 4), "y": y, "x": rng.normal(size=40)}
    )


def test_a_correlation_that_may_be_anything() -> None:
    """Orthodont: the slopes may be without variance, and then with any correlation.

    R: -2 logLik(lmer(distance ~ age * Sex + (1 | Subject), Orthodont, REML = FALSE)) less that with
    (age | Subject) is 0.833107182772.
    """
    data = mx.load_dataset("Orthodont")
    fit = mx.lmer("distance ~ age * Sex + (age | Subject)", data, reml=False)
    name = "cor_age.(Intercept)|Subject"
    limits = fit.confint(method="profile", parameters=name)
    assert limits.loc[name].tolist() == [-1.0, 1.0]
    profile = fit.profile()
    np.testing.assert_allclose(profile.confint(), fit.confint(method="profile"), rtol=1e-6)
    curve = profile.curve(name)
    assert curve.monotone
    # Both optima are found to 1e-8 of the deviance.
    assert curve.zeta[0] ** 2 == pytest.approx(0.833107182772, abs=1e-6)
    frame = profile.to_frame()
    own = frame[(frame["parameter"] == name) & (frame["zeta"] <= curve.zeta[0] + 1e-12)]
    assert len(own) >= 2
    np.testing.assert_allclose(own[name], own["focal"])
    assert (own["sd_age|Subject"] == 0).all()
    notes = " ".join(profile.notes)
    assert f"{name}: |zeta| is nowhere above 0.913, that of sd_age|Subject = 0" in notes


def test_an_interval_within_the_plateau() -> None:
    """Below the plateau a limit of the correlation is where the followed curve has it."""
    data = mx.load_dataset("Orthodont")
    fit = mx.lmer("distance ~ age * Sex + (age | Subject)", data, reml=False)
    name = "cor_age.(Intercept)|Subject"
    level = 0.5  # |zeta| = 0.674, the plateau is at 0.913
    lower, upper = fit.confint(level, "profile", parameters=name).loc[name]
    assert -0.83 < lower < -0.6 < upper < 1.0
    profile = fit.profile(name)
    np.testing.assert_allclose(profile.zeta(name, [lower, upper]), [-0.67449, 0.67449], atol=2e-3)


@pytest.mark.parametrize("nodes", [1, 15])
def test_flat_tails(flat: pd.DataFrame, nodes: int) -> None:
    """The upper limit of a large standard deviation: the rise by own quadrature is qchisq."""
    fit = mx.glmer("y ~ x + (1 | g)", flat, family="binomial", n_agq=nodes)
    name = "sd_(Intercept)|g"
    limits = fit.confint(method="profile", parameters=name)
    profile = fit.profile(name)
    np.testing.assert_allclose(profile.confint(), limits, rtol=1e-5)
    assert profile.curve(name).monotone
    assert not [note for note in profile.notes if "no optimum" in note]
    own = OneFactor(flat, logistic, nodes)
    beta = fit.fixef.to_numpy()
    assert own.deviance(beta, fit.varcorr.to_frame()["sdcor"][0]) == pytest.approx(
        -2.0 * fit.loglik, abs=1e-5
    )
    for end in limits.loc[name]:
        at = profile.to_frame()
        nearest = at.iloc[(at["focal"] - end).abs().argmin()]
        starts = [nearest[["(Intercept)", "x"]].to_numpy(float), beta, np.zeros(2)]
        # Curvatures by differences and Nelder-Mead leave 1e-5.
        assert own.best(end, starts) + 2.0 * fit.loglik == pytest.approx(CHI2_95, abs=2e-5)


def test_where_the_approximation_has_no_optimum() -> None:
    """Cauchit responses: far out a conditional mode vanishes and Laplace's deviance has a pole.

    Limits before that are right; a limit beyond is NaN, and a note says why.
    """
    rng = np.random.default_rng(12)
    J, m = 10, 6
    x, b = rng.normal(size=J * m), rng.normal(size=J)
    p = 0.5 + np.arctan(0.2 + x + np.repeat(b, m)) / math.pi
    data = pd.DataFrame(
        {"g": np.repeat([f"g{i}" for i in range(J)], m), "x": x, "y": rng.binomial(1, p)}
    )
    fit = mx.glmer("y ~ x + (1 | g)", data, family=mx.families.Binomial("cauchit"))
    name = "sd_(Intercept)|g"
    profile = fit.profile(name)
    assert profile.curve(name).monotone
    own = OneFactor(data, lambda eta: 0.5 + np.arctan(eta) / math.pi, 1)
    beta = fit.fixef.to_numpy()
    for end in profile.confint(0.5).loc[name]:
        rise = own.best(end, [beta, np.zeros(2)]) + 2.0 * fit.loglik
        assert rise == pytest.approx(0.454936423119572, abs=2e-5)  # qchisq(0.5, 1)
    table = fit.confint(0.8, "profile", parameters=name)
    assert table.loc[name].isna().tolist() == [False, True]
    rise = own.best(table.loc[name, "lower"], [beta, np.zeros(2)]) + 2.0 * fit.loglik
    assert rise == pytest.approx(1.6423744151498171, abs=2e-5)  # qchisq(0.8, 1)
    text = " ".join(str(table).split())
    assert "no optimum of the others was found above 1.9" in text
    assert "bootstrap intervals do not depend on it" in text


def test_a_separated_effect_has_no_upper_limit() -> None:
    """All responses are 1 where t is: the deviance falls with its effect for ever."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {"g": np.repeat([f"g{i}" for i in range(12)], 4), "x": np.tile([0, 0, 1, 1], 12)}
    )
    data["y"] = np.where(data["x"] == 1, 1, rng.integers(0, 2, 48))
    with pytest.warns(mx.MixeffWarning):
        fit = mx.glmer("y ~ x + (1 | g)", data, family="binomial")
    limits = fit.confint(method="profile", parameters="x")
    assert limits.loc["x", "upper"] == math.inf
    own = OneFactor(data, logistic, 1)
    lower = limits.loc["x", "lower"]

    def held(v: Any) -> float:
        return own.deviance([v[0], lower], math.exp(v[1]))

    start = [fit.fixef["(Intercept)"], math.log(fit.varcorr.to_frame()["sdcor"][0])]
    found = minimize(held, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-8})
    assert found.fun + 2.0 * fit.loglik == pytest.approx(CHI2_95, abs=2e-5)


def test_the_cubic_between_two_points() -> None:
    """Value, derivative and crossing against scipy's Hermite spline, where none is cut."""
    h, rise, first, last = 0.7, 1.3, 1.5, 2.5
    m0, m1 = hermite.slopes(rise, h, first, last)
    spline = CubicHermiteSpline([0.0, h], [0.0, rise], [first, last])
    t = np.linspace(0, 1, 7)
    np.testing.assert_allclose(
        hermite.value(t, rise, m0, m1), spline(t * h), rtol=1e-13, atol=1e-15
    )
    np.testing.assert_allclose(
        hermite.derivative(t, rise, m0, m1) / h, spline(t * h, 1), rtol=1e-13
    )
    at = hermite.crossing(0.4, m0 / rise, m1 / rise)
    assert spline(at * h) == pytest.approx(0.4 * rise, rel=1e-12)
    # Slopes against the rise, or above three times the secant, are cut.
    assert [float(m) for m in hermite.slopes(1.0, 1.0, -2.0, 7.0)] == [0.0, 3.0]
    assert [float(m) for m in hermite.slopes(-1.0, 1.0, -2.0, 7.0)] == [-2.0, 0.0]
