"""Simulated responses have the distribution the model says; the seed decides which they are.

Draws are compared with exact moments: a mean of N draws lies within 4.5 of its standard errors
(two sides: 7e-6), a standard deviation of N normal draws within 4.5 / sqrt(2 N) of its value. Seeds
are fixed, so a test that passes once passes always.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.errors import OptionError, PredictionError
from support.fits import fit_case
from support.handmade import dense_z
from support.reference import load_case

WIDE = 4.5


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return mx.load_dataset("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleep: pd.DataFrame) -> mx.LinearMixedModel:
    return mx.lmer("Reaction ~ Days + (Days | Subject)", sleep)


@pytest.mark.parametrize(
    "name",
    [
        "sleepstudy_slope",
        "sleepstudy_weights",
        "sleepstudy_offset",
        "penicillin_crossed",
        "pastes_nested",
        "machines_slope",
        "nlschools_double_bar",
    ],
)
def test_mean_response_is_distributed_as_R_says(name: str) -> None:
    want, draws = load_case(name)["simulate"], 4000
    means = np.concatenate(
        [np.mean(fit_case(name).simulate(500, seed=seed), axis=0) for seed in range(8)]
    )
    sd = want["sd_of_mean"]
    assert abs(means.mean() - want["mean_of_mean"]) < WIDE * sd / np.sqrt(draws)
    assert abs(means.std(ddof=1) / sd - 1) < WIDE / np.sqrt(2 * draws)


def test_covariance_is_that_of_the_model(fit: mx.LinearMixedModel) -> None:
    """V = sigma^2 (Z Lambda Lambda' Z' + I), by dense algebra, for the rows of two subjects."""
    draws, term = 20_000, fit.design.random[0]
    rows = np.flatnonzero(term.codes < 2)
    z = dense_z(term)[rows] @ np.kron(np.eye(18), fit.estimate.Lambda[0])
    V = fit.sigma**2 * (z @ z.T + np.eye(len(rows)))
    y = np.hstack([fit.simulate(1000, seed=s)[rows] for s in range(draws // 1000)])
    root = np.sqrt(np.diag(V))
    mean = fit.design.X[rows] @ fit.estimate.beta
    assert np.abs((y.mean(axis=1) - mean) / root).max() < WIDE / np.sqrt(draws)
    # the variance of a product of two normals is at most twice the product of their variances
    assert np.abs((np.cov(y) - V) / np.outer(root, root)).max() < WIDE * np.sqrt(2 / draws)


def test_the_seed_decides(fit: mx.LinearMixedModel) -> None:
    one = fit.simulate(3, seed=7)
    assert one.shape == (180, 3)
    np.testing.assert_array_equal(one, fit.simulate(3, seed=7))
    np.testing.assert_array_equal(one, fit.simulate(3, seed=np.random.default_rng(7)))
    assert not np.array_equal(one, fit.simulate(3, seed=8))
    # the first draws do not depend on how many follow
    np.testing.assert_array_equal(one[:, :2], fit.simulate(2, seed=7))


def test_modes_can_be_kept(fit: mx.LinearMixedModel) -> None:
    y = fit.simulate(4000, seed=1, random="all")
    within = WIDE * fit.sigma / np.sqrt(4000)
    assert np.abs(y.mean(axis=1) - fit.fitted).max() < within
    assert np.abs(y.std(axis=1, ddof=1) / fit.sigma - 1).max() < WIDE / np.sqrt(8000)


def test_some_effects_kept_and_others_drawn(fit: mx.LinearMixedModel) -> None:
    """Intercepts kept, slopes drawn: on day 0 only the residual varies, on day 9 the slope too."""
    y = fit.simulate(4000, seed=1, random="~ (1 | Subject)")
    day = fit.design.random[0].values[:, 1]
    slope = fit.varcorr.components[0].sd[1]
    for d in (0.0, 9.0):
        want = np.hypot(fit.sigma, d * slope)
        got = y[day == d].std(axis=1, ddof=1)
        assert np.abs(got / want - 1).max() < WIDE / np.sqrt(8000)


def test_new_data_with_new_levels(fit: mx.LinearMixedModel) -> None:
    """Rows of one new level share its effect, rows of two new levels share nothing."""
    frame = pd.DataFrame(
        {"Days": [0.0, 0.0, 0.0], "Subject": ["a", "a", "b"]}, index=["p", "q", "r"]
    )
    draws = 20_000
    got = fit.simulate(draws, seed=1, newdata=frame)
    assert list(got.index) == ["p", "q", "r"]
    assert list(got.columns[:2]) == ["sim_1", "sim_2"]
    between = fit.varcorr.components[0].sd[0] ** 2
    want = np.full((3, 3), 0.0)
    want[:2, :2] = between
    want[2, 2] = between
    want += fit.sigma**2 * np.eye(3)
    assert np.abs(np.cov(got) / want[0, 0] - want / want[0, 0]).max() < WIDE * np.sqrt(2 / draws)
    with pytest.raises(PredictionError, match="a, b"):
        fit.simulate(newdata=frame, random="all")
    kept = fit.simulate(draws, seed=1, newdata=frame, random="all", allow_new_levels=True)
    np.testing.assert_array_equal(kept, got)


def test_missing_values_give_missing_draws(sleep: pd.DataFrame) -> None:
    holes = sleep.assign(Reaction=sleep["Reaction"].where(sleep.index != 3))
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", holes, na_action="exclude")
    y = fit.simulate(2, seed=1)
    assert y.shape == (180, 2)
    assert np.flatnonzero(np.isnan(y).any(axis=1)).tolist() == [3]
    new = {"Days": [1.0, np.nan, 2.0], "Subject": ["308", "308", None]}
    assert np.isnan(fit.simulate(seed=1, newdata=new)[:, 0]).tolist() == [False, True, True]


def test_a_draw_can_be_fitted(fit: mx.LinearMixedModel) -> None:
    y = fit.simulate(seed=3)
    again = fit.refit(y)
    np.testing.assert_array_equal(again.design.response, y[:, 0])


def test_weights_of_new_rows(sleep: pd.DataFrame) -> None:
    heavy = sleep.assign(w=np.where(sleep["Days"] > 4, 4.0, 1.0))
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", heavy, weights="w")
    new = {"Days": [0.0, 0.0], "Subject": ["308", "308"], "w": [1.0, 100.0]}
    y = fit.simulate(4000, seed=1, newdata=new, random="all")
    got = y.std(axis=1, ddof=1) / fit.sigma
    assert np.abs(got / [1.0, 0.1] - 1).max() < WIDE / np.sqrt(8000)
    with pytest.raises(PredictionError, match="lack w"):
        fit.simulate(newdata={"Days": [0.0], "Subject": ["308"]})
    by_array = mx.lmer("Reaction ~ Days + (1 | Subject)", heavy, weights=heavy["w"].to_numpy())
    with pytest.raises(PredictionError, match="name of a column"):
        by_array.simulate(newdata=new)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nsim": 0}, "nsim must be a whole number"),
        ({"nsim": 1.5}, "nsim must be a whole number"),
        ({"sed": 1}, 'Did you mean "seed"'),
        ({"random": 3}, "random must be"),
        ({"offset": [1.0]}, "offset is for newdata"),
    ],
)
def test_wrong_arguments(fit: mx.LinearMixedModel, options: dict, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        fit.simulate(**options)
