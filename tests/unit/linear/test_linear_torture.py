"""Large shifts and scales leave at least nine digits in slopes and variance components."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixeff.control import Control
from mixeff.design.design import Design
from mixeff.errors import DesignError
from mixeff.linear import LinearEstimate, fit_linear
from support.dense_system import simple_design
from support.reference import load_case, load_frame

NINE = 1e-9


def sleepstudy(shift: float = 0.0, scale: float = 1.0, response_shift: float = 0.0) -> Design:
    frame = load_frame("sleepstudy")
    days = shift + scale * frame["Days"].to_numpy(dtype=float)
    X = np.column_stack([np.ones(len(days)), days])
    codes = frame["Subject"].cat.codes.to_numpy(dtype=np.int32)
    y = frame["Reaction"].to_numpy(dtype=float) + response_shift
    names = [("(Intercept)", "Days")]
    return simple_design(y, X, [("Subject", codes, X)], columns=names)


def fit(design: Design) -> LinearEstimate:
    return fit_linear(design, reml=True, control=Control(threads=1))


def slope_variance(estimate: LinearEstimate) -> float:
    row = estimate.Lambda[0][1]
    return float(estimate.sigma**2 * (row @ row))


@pytest.fixture(scope="module")
def plain() -> LinearEstimate:
    return fit(sleepstudy())


def test_plain_fit_is_the_reference(plain: LinearEstimate) -> None:
    case = load_case("sleepstudy_slope")
    np.testing.assert_allclose(plain.theta, list(case["theta"].values()), rtol=1e-7)
    assert plain.criterion == pytest.approx(case["fit"]["REMLcrit"], abs=1e-8)


@pytest.mark.parametrize("shift", [-1e8, 2000.0, 1e8])
def test_shifted_predictor(plain: LinearEstimate, shift: float) -> None:
    # Days + 1e8 is exact in double precision, so nothing of the data is lost.
    moved = fit(sleepstudy(shift=shift))
    assert moved.beta[1] == pytest.approx(plain.beta[1], rel=NINE)
    assert slope_variance(moved) == pytest.approx(slope_variance(plain), rel=NINE)
    assert moved.sigma == pytest.approx(plain.sigma, rel=NINE)
    assert moved.criterion == pytest.approx(plain.criterion, rel=NINE)
    assert moved.convergence.ok
    assert not moved.convergence.singular
    assert moved.convergence.evaluations == plain.convergence.evaluations
    error = np.sqrt(moved.unscaled_covariance[1, 1] / plain.unscaled_covariance[1, 1])
    assert error == pytest.approx(1.0, rel=NINE)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_rescaled_predictor(plain: LinearEstimate, scale: float) -> None:
    scaled = fit(sleepstudy(scale=scale))
    assert scaled.beta[1] * scale == pytest.approx(plain.beta[1], rel=NINE)
    np.testing.assert_allclose(
        scaled.theta * [1, scale, scale], plain.theta, rtol=NINE
    )  # (Intercept), Days.(Intercept), Days
    # log|X'V^-1X| has X in it: the REML criterion moves by 2 log(scale), as lme4's does.
    assert scaled.criterion - 2 * np.log(scale) == pytest.approx(plain.criterion, rel=NINE)
    assert not scaled.convergence.singular


def test_shifted_response(plain: LinearEstimate) -> None:
    # Reaction + 1e8 itself is rounded to 1e-8, 1e-10 of the residual standard deviation.
    moved = fit(sleepstudy(response_shift=1e8))
    assert moved.beta[1] == pytest.approx(plain.beta[1], rel=NINE)
    np.testing.assert_allclose(moved.theta, plain.theta, rtol=NINE)
    assert moved.sigma == pytest.approx(plain.sigma, rel=NINE)


def test_rescaled_response(plain: LinearEstimate) -> None:
    design = sleepstudy()
    scaled = fit(replace(design, response=design.response * 1e9))
    np.testing.assert_allclose(scaled.theta, plain.theta, rtol=NINE)
    assert scaled.sigma / 1e9 == pytest.approx(plain.sigma, rel=NINE)
    assert scaled.criterion == pytest.approx(plain.criterion + 178 * np.log(1e18), rel=NINE)


def test_both_at_once(plain: LinearEstimate) -> None:
    moved = fit(sleepstudy(shift=1e8, response_shift=1e8))
    assert moved.beta[1] == pytest.approx(plain.beta[1], rel=NINE)
    assert slope_variance(moved) == pytest.approx(slope_variance(plain), rel=NINE)


def test_quadratic_in_calendar_years() -> None:
    # (2000 + Days)^2 beside 2000 + Days: correlation 1 - 2e-6, the columns are rotated.
    frame = load_frame("sleepstudy")
    days = frame["Days"].to_numpy(dtype=float)
    codes = frame["Subject"].cat.codes.to_numpy(dtype=np.int32)
    fits = []
    for x in (days, 2000 + days):
        X = np.column_stack([np.ones(len(x)), x, x**2])
        fits.append(fit(simple_design(frame["Reaction"], X, [("Subject", codes, X)])))
    assert fits[1].beta[2] == pytest.approx(fits[0].beta[2], rel=NINE)
    last = [f.sigma**2 * float(f.Lambda[0][2] @ f.Lambda[0][2]) for f in fits]
    assert last[1] == pytest.approx(last[0], rel=NINE)
    assert fits[1].criterion == pytest.approx(fits[0].criterion, rel=NINE)


def dense_deviance(design: Design, theta: np.ndarray) -> float:
    """ML deviance of independent intercepts by QR of the augmented rows: no subtraction of r^2."""
    n, p = design.X.shape
    pairs = zip(theta, design.random, strict=True)
    A = np.hstack([t * np.eye(z.n_levels)[z.codes] for t, z in pairs])
    m = A.shape[1]
    M = np.zeros((n + m, m + p + 1))
    M[:n] = np.column_stack([A, design.X, design.response])
    M[n:, :m] = np.eye(m)
    R = np.abs(np.diag(np.linalg.qr(M, mode="r")))
    r2 = R[-1] ** 2
    return float(2 * np.log(R[:m]).sum() + n * (1 + np.log(2 * np.pi * r2 / n)))


def test_standard_deviations_a_thousand_times_the_residual_converge() -> None:
    # Rounding of r^2 then moves the deviance by 1e-8 to 1e-6: more than the tolerance of 1e-9.
    for seed in range(30):
        random = np.random.default_rng(seed)
        n = 60
        g, h = (random.integers(0, J, n).astype(np.int32) for J in (8, 6))
        for codes, J in ((g, 8), (h, 6)):
            codes[:J] = np.arange(J)
        X = np.column_stack([np.ones(n), random.normal(size=n)])
        b, c = 3e3 * random.normal(size=8), 1e3 * random.normal(size=6)
        y = X @ [1.0, 2.0] + b[g] + c[h] + random.normal(size=n)
        design = simple_design(
            y, X, [("g", g, np.ones((n, 1))), ("h", h, np.ones((n, 1)))], columns=None
        )
        found = fit_linear(design, reml=False, control=Control(threads=1))
        assert found.convergence.ok, found.convergence.sentence
        dense = dense_deviance(design, found.theta)
        assert found.criterion == pytest.approx(dense, rel=1e-8)
        # An optimum: the exact deviance rises by far more than rounding 3 percent away from it.
        for j in range(2):
            for factor in (0.97, 1.03):
                moved = found.theta * np.where(np.arange(2) == j, factor, 1.0)
                assert dense_deviance(design, moved) > dense + 1e-4


def test_a_variance_that_grows_without_end_is_told_from_one_without_information() -> None:
    # Two residual degrees of freedom, five random effects: with A orthonormal and A'X = 0 the
    # REML criterion is log|K| + 2 log(y'A K^-1 A'y) + constant, K = I + theta^2 A'ZZ'A.
    random = np.random.default_rng(0)
    n = 14
    codes = (np.arange(n) % 5).astype(np.int32)
    Z, X = np.eye(5)[codes], random.normal(size=(n, n - 2))
    A = np.linalg.qr(X, mode="complete")[0][:, n - 2 :]
    values, vectors = np.linalg.eigh(A.T @ Z @ Z.T @ A)
    assert values[0] > 0.01  # both degrees of freedom are reached by the random effects
    y = 10.0 * A @ vectors[:, 1] + A @ vectors[:, 0]
    grid = np.array([0.0, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0])
    k = 1.0 + grid[:, None] ** 2 * values
    profile = np.log(k).sum(axis=1) + 2.0 * np.log(1.0 / k[:, 0] + 100.0 / k[:, 1])
    assert np.all(np.diff(profile) < 0)
    design = simple_design(y, X, [("g", codes, np.ones((n, 1)))])
    with pytest.raises(DesignError, match="no finite estimate"):
        fit_linear(design, reml=True, control=Control(threads=1))


def test_a_variance_without_information_is_still_called_so() -> None:
    # X holds the indicators of all levels: A'Z = 0, the profile above is constant.
    random = np.random.default_rng(1)
    codes = (np.arange(20) % 4).astype(np.int32)
    design = simple_design(
        random.normal(size=20), np.eye(4)[codes], [("g", codes, np.ones((20, 1)))]
    )
    with pytest.raises(DesignError, match="say nothing about the variance"):
        fit_linear(design, reml=True, control=Control(threads=1))
