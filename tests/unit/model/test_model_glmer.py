"""glmer and glmer_nb: the same model however it is asked for, and what can be done with the fit."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixeff as mx
from mixeff.errors import ConvergenceWarning

COUNTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def cbpp() -> pd.DataFrame:
    return mx.load_dataset("cbpp")


@pytest.fixture(scope="module")
def epil() -> pd.DataFrame:
    return mx.load_dataset("epil")


@pytest.fixture(scope="module")
def fit(cbpp: pd.DataFrame) -> mx.GeneralizedMixedModel:
    return mx.glmer(COUNTS, cbpp, "binomial")


def assert_same_fit(a: Any, b: Any) -> None:
    """The same optimum: both stop within 1e-9 of the deviance, 1e-5 of a standard error."""
    assert a.loglik == pytest.approx(b.loglik, abs=1e-8)
    np.testing.assert_array_less(np.abs(a.fixef - b.fixef) / b.stderr, 1e-4)


def test_proportions_and_trials(fit: mx.GeneralizedMixedModel, cbpp: pd.DataFrame) -> None:
    frame = cbpp.assign(prop=cbpp["incidence"] / cbpp["size"])
    other = mx.glmer("prop ~ period + (1 | herd)", frame, "binomial", weights="size")
    assert_same_fit(other, fit)
    assert "Weights: size" in str(other.summary())


@pytest.mark.parametrize(
    "family",
    ["binomial", "bernoulli", mx.families.Binomial(), mx.families.Binomial],
    ids=["name", "alias", "object", "class"],
)
def test_ways_to_name_the_family(
    fit: mx.GeneralizedMixedModel, cbpp: pd.DataFrame, family: Any
) -> None:
    assert_same_fit(mx.glmer(COUNTS, cbpp, family), fit)


def test_one_row_a_trial_is_the_same_but_for_a_constant(
    fit: mx.GeneralizedMixedModel, cbpp: pd.DataFrame
) -> None:
    """56 binomial rows taken apart into trials: log choose(n, y) is what the likelihood lacks."""
    from scipy.special import gammaln

    y, n = (cbpp[c].to_numpy(dtype=int) for c in ("incidence", "size"))
    rows = cbpp.loc[cbpp.index.repeat(n), ["herd", "period"]]
    rows["sick"] = np.concatenate(
        [np.r_[np.ones(a), np.zeros(b - a)] for a, b in zip(y, n, strict=True)]
    )
    single = mx.glmer("sick ~ period + (1 | herd)", rows, "binomial")
    constant = (gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)).sum()
    assert single.loglik + constant == pytest.approx(fit.loglik, abs=1e-8)
    np.testing.assert_allclose(single.fixef, fit.fixef, rtol=1e-5)
    np.testing.assert_allclose(single.stderr, fit.stderr, rtol=1e-5)


@pytest.mark.parametrize("kind", ["polars", "dict"])
def test_other_frames(fit: mx.GeneralizedMixedModel, cbpp: pd.DataFrame, kind: str) -> None:
    text = {c: cbpp[c].astype(str).tolist() for c in ("herd", "period")}
    columns = text | {c: cbpp[c].tolist() for c in ("incidence", "size")}
    frame = pl.DataFrame(columns) if kind == "polars" else columns
    assert_same_fit(mx.glmer(COUNTS, frame, "binomial"), fit)


def test_offset_as_argument_and_in_the_formula(epil: pd.DataFrame) -> None:
    frame = epil.assign(months=np.where(epil["V4"] == 1, 0.5, 0.25))
    inside = mx.glmer("y ~ trt + offset(log(months)) + (1 | subject)", frame, "poisson")
    outside = mx.glmer("y ~ trt + (1 | subject)", frame, "poisson", offset="log(months)")
    assert_same_fit(outside, inside)
    new = frame.iloc[:3]
    # lme4's predict(newdata) forgets an offset given as an argument (README of the reference)
    np.testing.assert_allclose(outside.predict(new), inside.predict(new), rtol=1e-6)
    np.testing.assert_allclose(outside.predict(new), outside.fitted[:3], rtol=1e-10)


def test_contrasts(fit: mx.GeneralizedMixedModel, cbpp: pd.DataFrame) -> None:
    coded = mx.glmer(COUNTS, cbpp, "binomial", contrasts={"period": "sum"})
    assert coded.loglik == pytest.approx(fit.loglik, abs=1e-8)
    assert list(coded.fixef.index) == ["(Intercept)", "period1", "period2", "period3"]


def test_starts_lead_to_the_same_optimum(fit: mx.GeneralizedMixedModel, cbpp: pd.DataFrame) -> None:
    for start in ([2.0], {"theta": [0.1], "fixef": np.zeros(4)}, np.r_[0.5, fit.fixef]):
        assert_same_fit(mx.glmer(COUNTS, cbpp, "binomial", start=start), fit)


def test_update_of_family_link_and_nodes(fit: mx.GeneralizedMixedModel, cbpp: pd.DataFrame) -> None:
    probit = fit.update(link="probit")
    assert_same_fit(probit, mx.glmer(COUNTS, cbpp, "binomial", link="probit"))
    assert probit.link == "probit"
    assert probit.update(". ~ . - period").link == "probit"
    assert fit.update(n_agq=0).n_agq == 0
    assert "Quadrature, nAGQ = 0" in str(fit.update(n_agq=0)).replace("\n  ", " ")
    nine = fit.update(n_agq=9)
    assert nine.update(". ~ 1 + (1 | herd)").n_agq == 9
    assert isinstance(nine, mx.GeneralizedMixedModel)


def test_refit_with_the_same_response_in_any_form(
    fit: mx.GeneralizedMixedModel, cbpp: pd.DataFrame
) -> None:
    counts = np.column_stack([cbpp["incidence"], cbpp["size"] - cbpp["incidence"]])
    for y in (counts, counts[:, 0] / counts.sum(axis=1)):
        assert_same_fit(fit.refit(y), fit)


def test_refit_is_a_new_fit(fit: mx.GeneralizedMixedModel, cbpp: pd.DataFrame) -> None:
    y = fit.simulate(seed=1)[:, 0]
    frame = cbpp.assign(incidence=np.round(y * cbpp["size"]).astype(int))
    assert_same_fit(fit.refit(y), mx.glmer(COUNTS, frame, "binomial"))
    # a response given to refit() stays when the formula changes
    kept = fit.refit(y).update(". ~ . - period")
    assert_same_fit(kept, mx.glmer(COUNTS.replace("period", "1"), frame, "binomial"))


def test_refit_of_a_draw_from_the_model_finds_it_again(epil: pd.DataFrame) -> None:
    """Mean of 40 refitted slopes within 4 standard errors of the truth they were drawn from."""
    fit = mx.glmer("y ~ trt + lbase + (1 | subject)", epil, "poisson")
    draws = fit.simulate(40, seed=5)
    slopes = np.array([fit.refit(y).fixef["lbase"] for y in draws.T])
    error = slopes.std(ddof=1) / np.sqrt(40)
    assert abs(slopes.mean() - fit.fixef["lbase"]) < 4 * error
    assert slopes.std(ddof=1) == pytest.approx(fit.stderr["lbase"], rel=0.4)


def test_negative_binomial_beside_poisson(epil: pd.DataFrame) -> None:
    formula = "y ~ trt + lbase + (1 | subject)"
    poisson = mx.glmer(formula, epil, "poisson")
    nb = mx.glmer_nb(formula, epil)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Poisson lies within it
        table = mx.anova(poisson, nb).to_frame()
    assert table["df"].iloc[1] == 1
    assert nb.df == poisson.df + 1
    assert nb.dispersion is not None
    assert nb.sigma == 1.0  # as lme4's sigma()
    assert nb.varcorr.residual_sd is None
    assert_same_fit(nb, mx.glmer(formula, epil, "nbinom2"))


def test_known_shape_is_not_a_parameter(epil: pd.DataFrame) -> None:
    formula = "y ~ trt + lbase + (1 | subject)"
    free = mx.glmer_nb(formula, epil)
    shape = round(float(free.dispersion or 0.0), 6)
    known = mx.glmer(formula, epil, mx.families.NegativeBinomial(shape=shape))
    assert known.df == free.df - 1
    assert known.loglik == pytest.approx(free.loglik, abs=1e-6)


def test_link_of_ones_own(fit: mx.GeneralizedMixedModel, cbpp: pd.DataFrame) -> None:
    logit = mx.families.UserLink(
        lambda mu: np.log(mu / (1 - mu)),
        lambda eta: 1 / (1 + np.exp(-eta)),
        lambda eta: np.exp(-eta) / (1 + np.exp(-eta)) ** 2,
    )
    own = mx.glmer(COUNTS, cbpp, "binomial", link=logit)
    assert own.loglik == pytest.approx(fit.loglik, abs=1e-6)
    np.testing.assert_allclose(own.fixef, fit.fixef, rtol=1e-3)


def test_a_fit_survives_pickling(fit: mx.GeneralizedMixedModel) -> None:
    again = pickle.loads(pickle.dumps(fit))
    assert str(again.summary()).split("\n")[5:] == str(fit.summary()).split("\n")[5:]


def test_a_variance_of_zero_is_named() -> None:
    """Five groups of the same four answers: nothing varies between them."""
    frame = {"y": [0, 1, 1, 0] * 5, "x": [0.0, 1.0, 0.0, 1.0] * 5, "g": np.repeat(list("abcde"), 4)}
    fit = mx.glmer("y ~ x + (1 | g)", frame, "binomial")
    assert fit.is_singular
    assert fit.theta[0] == 0
    assert fit.convergence.ok
    assert "boundary (singular) fit" in str(fit.summary())
    # then it is a generalized linear model: log odds 0 in both halves, 2 x 2 table of tens
    np.testing.assert_allclose(fit.fixef, 0, atol=1e-6)
    np.testing.assert_allclose(fit.stderr, [np.sqrt(1 / 5 + 1 / 5), np.sqrt(4 / 5)], rtol=1e-6)


def test_one_warning_for_separation(cbpp: pd.DataFrame) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = mx.glmer("I(period == '1') ~ period + (1 | herd)", cbpp, "binomial")
    assert [w.category for w in caught] == [ConvergenceWarning]
    assert str(caught[0].message) == fit.notes[0]
    assert fit.notes[0] in " ".join(str(fit.summary()).split())


def test_linear_models_do_not_load_the_families() -> None:
    code = (
        "import sys, mixeff as mx\n"
        "mx.lmer('y ~ 1 + (1 | g)', {'y': [1., 2, 4, 3, 5, 9], 'g': list('aabbcc')})\n"
        "bad = [m for m in sys.modules if m.startswith('mixeff.generalized')]\n"
        "assert not bad, bad\n"
        "import mixeff.model.glmer\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
