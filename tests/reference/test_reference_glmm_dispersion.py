"""Estimated dispersions and shapes: references outside the cases of lme4, which plugs one in.

Gamma with inverse link and inverse Gaussian: lme4 does not maximize the likelihood over the
dispersion, and glmmTMB 1.1.5 has no inverse Gaussian and fails from its own start with the inverse
link. So the Laplace approximation is written down here once more, from the densities in SciPy
and derivatives taken by hand, and maximized by SciPy. Four cases of glmmTMB have a family that
``glmer`` has too. Tolerances are those of issue 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

import mixeff as mx
from support.reference import load_case, load_frame

Densities = tuple[np.ndarray, np.ndarray, np.ndarray]


def gamma_inverse(y: np.ndarray, eta: np.ndarray, phi: float) -> Densities:
    """log density, and its first and second derivative in eta = 1 / mu."""
    a = 1.0 / phi
    logs = stats.gamma.logpdf(y, a, scale=1.0 / (a * eta))
    return logs, a / eta - a * y, -a / eta**2


def inverse_gaussian_log(y: np.ndarray, eta: np.ndarray, phi: float) -> Densities:
    """The same in eta = log mu; SciPy's invgauss(m, scale=s) has mean m s and shape s = 1/phi."""
    mean, ratio = np.exp(eta), y / np.exp(eta)
    logs = stats.invgauss.logpdf(y, mean * phi, scale=1.0 / phi)
    return logs, (ratio - 1.0) / (phi * mean), (1.0 - 2.0 * ratio) / (phi * mean)


@dataclass(frozen=True)
class BruteForce:
    """Random intercepts of one grouping factor, integrated by Laplace's method level by level."""

    densities: Callable[[np.ndarray, np.ndarray, float], Densities]
    y: np.ndarray
    X: np.ndarray
    codes: np.ndarray

    def loglik(self, at: np.ndarray) -> float:
        """At (beta, log standard deviation, log dispersion)."""
        beta, sd, phi = at[:-2], float(np.exp(at[-2])), float(np.exp(at[-1]))
        b = np.zeros(self.codes.max() + 1)
        for _ in range(60):
            _, slope, bend = self.densities(self.y, self.X @ beta + b[self.codes], phi)
            up = np.bincount(self.codes, slope) - b / sd**2
            step = up / (1.0 / sd**2 - np.bincount(self.codes, bend))
            b = b + step
            if np.abs(step).max() < 1e-15 * (1.0 + np.abs(b).max()):
                break
        logs, _, bend = self.densities(self.y, self.X @ beta + b[self.codes], phi)
        information = 1.0 / sd**2 - np.bincount(self.codes, bend)
        prior = stats.norm.logpdf(b, scale=sd).sum()
        spread = 0.5 * np.log(2.0 * np.pi / information).sum()
        return float(logs.sum() + prior + spread)

    def maximum(self, start: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, float]:
        """Best point and value: BFGS in units of ``scale``, polished by simplices."""

        def loss(units: np.ndarray) -> float:
            value = self.loglik(start + scale * units)
            return -value if np.isfinite(value) else 1e10

        found = optimize.minimize(loss, np.zeros(start.size), method="BFGS")
        for _ in range(2):
            options = {"xatol": 1e-8, "fatol": 1e-12, "maxiter": 4000, "maxfev": 4000}
            found = optimize.minimize(loss, found.x, method="Nelder-Mead", options=options)
        return start + scale * found.x, -float(found.fun)

    def hessian(self, at: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Second differences of minus the log-likelihood, extrapolated: error of order h^4."""

        def second(h: np.ndarray) -> np.ndarray:
            m = at.size
            out = np.empty((m, m))
            for i in range(m):
                for j in range(m):
                    a, b = np.zeros(m), np.zeros(m)
                    a[i], b[j] = h[i], h[j]
                    corners = self.loglik(at + a + b) + self.loglik(at - a - b)
                    corners -= self.loglik(at + a - b) + self.loglik(at - a + b)
                    out[i, j] = -corners / (4.0 * h[i] * h[j])
            return out

        return (4.0 * second(step) - second(2.0 * step)) / 3.0


DENSITIES = {"gamma_inv_p": gamma_inverse, "invgauss_p": inverse_gaussian_log}


@cache
def fit_of(name: str) -> mx.GeneralizedMixedModel:
    case = load_case(name)
    family = {"nbinom2": "negative_binomial"}.get(case["family"], case["family"])
    return mx.glmer(case["formula"], load_frame(case["data"]), family, link=case["link"])


@cache
def brute_force(name: str) -> tuple[BruteForce, np.ndarray]:
    """The model of a case, and our optimum in its parameters."""
    frame, fit = load_frame(load_case(name)["data"]), fit_of(name)
    age = frame["age"].to_numpy(float)
    columns = [np.ones(len(frame)), age - 11 if "11" in load_case(name)["formula"] else age]
    X = np.column_stack([*columns, (frame["Sex"].astype(str) == "Female").to_numpy(float)])
    _, codes = np.unique(frame["Subject"].astype(str), return_inverse=True)
    model = BruteForce(DENSITIES[name], frame["distance"].to_numpy(float), X, codes)
    assert fit.dispersion is not None
    return model, np.concatenate([fit.fixef, np.log([fit.theta[0], fit.dispersion])])


@pytest.mark.parametrize("name", DENSITIES)
def test_the_likelihood_is_laplaces(name: str) -> None:
    """At our own estimates: 1e-9, for two programs that compute the same sum of 108 terms."""
    model, ours = brute_force(name)
    assert fit_of(name).loglik == pytest.approx(model.loglik(ours), abs=1e-9)


@pytest.mark.parametrize("name", DENSITIES)
def test_no_better_point_is_found(name: str) -> None:
    fit = fit_of(name)
    model, ours = brute_force(name)
    se = np.concatenate([fit.stderr, [0.15, 0.15]])
    # from a standard error away in every direction, alternating
    start = ours + se * np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    best, value = model.maximum(start, se)
    assert fit.loglik == pytest.approx(value, abs=1e-5)
    assert fit.loglik >= value - 1e-9
    np.testing.assert_array_less(np.abs(best[:3] - fit.fixef), 1e-4 * fit.stderr)
    np.testing.assert_allclose(np.exp(best[3]), fit.theta[0], rtol=1e-4)
    np.testing.assert_allclose(np.exp(best[4]), fit.dispersion, rtol=1e-4)


@pytest.mark.parametrize("name", DENSITIES)
def test_standard_errors_are_those_of_the_joint_hessian(name: str) -> None:
    """glmmTMB's for gamma_inv_p are 0.2 % off: R's optimHess steps by 1e-3, an SE is 1e-4."""
    fit = fit_of(name)
    model, ours = brute_force(name)
    hessian = model.hessian(ours, 0.02 * np.concatenate([fit.stderr, [0.15, 0.15]]))
    # Rounding: 1e-12 of a value over (0.02)^2 / 4 is 1e-8; truncation 0.02^4.
    want = np.sqrt(np.diagonal(np.linalg.inv(hessian)))[:3]
    np.testing.assert_allclose(fit.stderr, want, rtol=1e-5)


def test_glmmtmb_agrees_where_it_is_told_where_to_start() -> None:
    """library(glmmTMB)  # 1.1.5
    m <- glmmTMB(distance ~ age + Sex + (1 | Subject), Orthodont, family = Gamma("inverse"),
      start = list(beta = c(.053, -.0011, .0042), theta = log(.003), betad = log(.0034)))
    nlminb(m$fit$par, m$obj$fn, m$obj$gr, control = list(rel.tol = 1e-15, x.tol = 1e-15))
    """
    fit = fit_of("gamma_inv_p")
    assert fit.loglik == pytest.approx(-216.087644548255, abs=1e-5)
    beta = np.array([0.05289457621653101, -0.00113700833198585, 0.00419868851172048])
    np.testing.assert_array_less(np.abs(fit.fixef - beta), 1e-4 * fit.stderr)
    assert fit.theta[0] == pytest.approx(np.exp(-5.79542906287997717), rel=1e-4)
    assert fit.dispersion == pytest.approx(np.exp(-5.67473678571980411), rel=1e-4)


# glmmTMB's "sigma" is phi of NB1, the shape of NB2, and the square root of Gamma's phi.
TMB = ["tmb_binom_p", "tmb_gamma_p", "tmb_owls_nb1", "tmb_sala_nb2"]


@pytest.mark.parametrize("name", TMB)
def test_cases_of_glmmtmb(name: str) -> None:
    case, fit = load_case(name), fit_of(name)
    want: dict[str, Any] = case["fit"]
    assert fit.loglik == pytest.approx(want["logLik"], abs=1e-5)
    assert (fit.df, fit.nobs) == (want["df"], case["nobs"])
    table = case["coefficients"]["cond"]
    se = np.array(table["data"]["Std. Error"])
    assert list(fit.fixef.index) == table["rows"]
    np.testing.assert_array_less(np.abs(fit.fixef - table["data"]["Estimate"]), 1e-4 * se)
    np.testing.assert_allclose(fit.stderr, se, rtol=1e-3)
    assert fit.theta[0] == pytest.approx(np.exp(case["parameters"]["theta"][0]), rel=1e-4)
    if fit.dispersion is not None:
        power = 2 if case["family"] == "Gamma" else 1
        assert fit.dispersion == pytest.approx(want["sigma"] ** power, rel=1e-4)
