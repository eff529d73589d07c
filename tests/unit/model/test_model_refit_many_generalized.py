"""refit_many of generalized models: every column is what refit makes of it."""

from __future__ import annotations

import io
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixeff as mx
from mixeff.generalized.many import GeneralizedBatch
from mixeff.model import progress as module
from mixeff.model.generalized_many import Refits

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
EPIL = "y ~ trt + base + (1 | subject)"


@pytest.fixture(scope="module")
def cbpp():
    return mx.glmer(CBPP, mx.load_dataset("cbpp"), family="binomial")


@pytest.fixture(scope="module")
def responses(cbpp):
    return cbpp.simulate(60, seed=1)


def gamma():
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(20), 6)
    mu = np.exp(1.0 + 0.5 * rng.standard_normal(20)[g])
    data = pd.DataFrame({"y": rng.gamma(5.0, mu / 5.0), "g": g})
    return mx.glmer("y ~ 1 + (1 | g)", data, family="Gamma", link="log")


def crossed():
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"a": np.arange(240) % 12, "b": np.arange(240) // 12 % 8})
    data["x"] = rng.normal(size=240)
    data["w"] = 1.0 + np.arange(240) % 3
    eta = 0.3 + 0.4 * data.x + 0.6 * rng.normal(size=12)[data.a] + 0.4 * rng.normal(size=8)[data.b]
    data["y"] = rng.poisson(np.exp(eta))
    return mx.glmer(
        "y ~ x + (1 | a) + (1 | b)", data, family="poisson", offset=0.1 * data.x.to_numpy()
    )


def slopes():
    data = mx.load_dataset("Contraception")
    data = data[data["district"].astype(int) < 25]
    return mx.glmer("use ~ age + urban + (age | district)", data, family="binomial", link="probit")


MODELS = {
    "cbpp": lambda: mx.glmer(CBPP, mx.load_dataset("cbpp"), family="binomial"),
    "cloglog": lambda: mx.glmer(CBPP, mx.load_dataset("cbpp"), family="binomial", link="cloglog"),
    "expected": lambda: mx.glmer(
        CBPP, mx.load_dataset("cbpp"), family="binomial", link="probit",
        control=mx.Control(laplace="expected"),
    ),
    "fast": lambda: mx.glmer(CBPP, mx.load_dataset("cbpp"), family="binomial", n_agq=0),
    "nodes": lambda: mx.glmer(CBPP, mx.load_dataset("cbpp"), family="binomial", n_agq=7),
    "start": lambda: mx.glmer(CBPP, mx.load_dataset("cbpp"), family="binomial", start=[0.5]),
    "poisson": lambda: mx.glmer(EPIL, mx.load_dataset("epil"), family="poisson"),
    "shape given": lambda: mx.glmer(
        EPIL, mx.load_dataset("epil"), family=mx.families.NegativeBinomial(2.5)
    ),
    "negative binomial": lambda: mx.glmer_nb(EPIL, mx.load_dataset("epil")),
    "gamma": gamma,
    "crossed": crossed,
    "slopes": slopes,
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_each_column_as_refit(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mx.MixeffWarning)
        fit = MODELS[name]()
        Y = fit.simulate(8, seed=3)
        many = mx.refit_many(fit, Y)
        ones = [fit.refit(y) for y in Y.T]
    assert len(many) == 8
    for j, one in enumerate(ones):
        # The same steps from the same start; sums over rows and products of units may be rounded
        # in another order.
        assert many.loglik[j] == pytest.approx(one.loglik, abs=1e-9)
        np.testing.assert_allclose(many.theta[j], one.theta, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(many.beta[j], one.fixef, rtol=1e-9, atol=1e-9)
        assert many.sigma[j] == pytest.approx(one.sigma, rel=1e-9)
        if one.dispersion is not None:
            assert many.dispersion[j] == pytest.approx(one.dispersion, rel=1e-9)
        assert bool(many.singular[j]) == one.is_singular
        assert bool(many.converged[j]) == one.convergence.ok
        assert many.evaluations[j] == one.convergence.evaluations
    assert (many.dispersion is None) == (fit.dispersion is None)
    np.testing.assert_array_equal(many.criterion, -2.0 * many.loglik)


def test_lme4():
    # m <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial,
    #            glmerControl(tolPwrss = 1e-12)); for the successes s below
    # refit(m, cbind(s, size - s), control = glmerControl(optimizer = "bobyqa", tolPwrss = 1e-12,
    #       optCtrl = list(rhoend = 1e-9, maxfun = 1e5))): theta, fixef, logLik
    expected = [
        [1.05823325, -1.61824828, -1.29255245, -1.26477792, -0.77407058, -112.79758163],
        [0.82358991, -2.83264378, 0.20316061, 0.20825720, 1.81345760, -112.01757892],
        [0.56480497, 0.15569695, -0.19835465, -0.87801937, -0.38395776, -254.75979344],
    ]
    data = mx.load_dataset("cbpp")
    size, incidence = data["size"].to_numpy(), data["incidence"].to_numpy()
    successes = [
        np.minimum(size, incidence[::-1]),
        np.minimum(size, np.roll(incidence, -5)),
        np.arange(1, 57) * 7 % (size + 1),
    ]
    many = mx.glmer(CBPP, data, family="binomial").refit_many(
        np.stack(successes, axis=1) / size[:, None]
    )
    found = np.column_stack([many.theta, many.beta, many.loglik])
    # bobyqa ends within 2e-7 of the optimum; ours is never lower.
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (many.loglik >= np.array(expected)[:, -1] - 1e-8).all()


@pytest.mark.parametrize("name", ["cbpp", "crossed", "negative binomial"])
def test_threads_change_no_digit(name):
    fit = MODELS[name]()
    Y = fit.simulate(12, seed=5)
    one, three = (fit.refit_many(Y, threads=t) for t in (1, 3))
    for part in ("theta", "beta", "sigma", "loglik", "evaluations", "converged", "singular"):
        np.testing.assert_array_equal(getattr(one, part), getattr(three, part))


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(12)), few=st.integers(1, 12))
def test_a_column_does_not_depend_on_the_others(cbpp, responses, order, few):
    chosen = list(order)[:few]
    whole, part = cbpp.refit_many(responses[:, :12]), cbpp.refit_many(responses[:, chosen])
    np.testing.assert_array_equal(part.beta, whole.beta[chosen])
    np.testing.assert_array_equal(part.theta, whole.theta[chosen])
    np.testing.assert_array_equal(part.loglik, whole.loglik[chosen])


def test_a_count_beyond_the_compiled_passes():
    """Counts above 1e5 are for the family's own formulas: that column alone goes the long way."""
    fit = MODELS["poisson"]()
    Y = fit.simulate(3, seed=1)
    Y[:, 1] = np.round(Y[:, 1] * 1e4) + 2e5
    many = fit.refit_many(Y)
    one = fit.refit(Y[:, 1])
    assert one.estimate.later is None
    np.testing.assert_allclose(many.beta[1], one.fixef, rtol=1e-9)
    np.testing.assert_array_equal(many.beta[[0, 2]], fit.refit_many(Y[:, [0, 2]]).beta)


def test_troubles_are_kept_and_told_once(cbpp, responses):
    # No case of the disease in the second period: its coefficient has no finite estimate.
    Y = responses[:, :4].copy()
    Y[(cbpp.design.X[:, 1] == 1)[:, None] & np.array([False, True, False, True])] = 0.0
    with pytest.warns(mx.ConvergenceWarning, match=r"2 of 4 fits.*column 1 .*period2") as told:
        many = cbpp.refit_many(Y)
    assert len(told) == 1
    assert sorted(many.troubles) == [1, 3]
    with pytest.warns(mx.ConvergenceWarning) as alone:
        cbpp.refit(Y[:, 3])
    assert many.troubles[3] == tuple(str(w.message) for w in alone)


def test_frame(responses, cbpp):
    frame = cbpp.refit_many(responses).to_frame()
    assert list(frame.columns) == [
        *cbpp.design.names, "herd.(Intercept)", "sigma", "criterion", "loglik", "converged",
        "singular", "evaluations",
    ]  # fmt: skip
    assert (frame["sigma"] == 1.0).all()
    fit = MODELS["negative binomial"]()
    many = fit.refit_many(fit.simulate(2, seed=1))
    np.testing.assert_array_equal(many.to_frame()["dispersion"], many.dispersion)
    assert "2 fits: 2 converged" in repr(many)


def test_all_rows_or_the_rows_used():
    data = mx.load_dataset("epil")
    data.loc[[3, 50], "base"] = np.nan
    fit = mx.glmer(EPIL, data, family="poisson")
    Y = np.random.default_rng(0).poisson(5.0, size=(236, 5)).astype(float)
    used = np.delete(Y, [3, 50], axis=0)
    np.testing.assert_array_equal(fit.refit_many(Y).beta, fit.refit_many(used).beta)


def test_no_responses(cbpp):
    assert len(cbpp.refit_many(np.empty((56, 0)))) == 0


def test_wrong_responses(cbpp, responses):
    with pytest.raises(mx.DataError, match="shape"):
        cbpp.refit_many(responses[:, 0])
    with pytest.raises(mx.OptionError, match="threads"):
        cbpp.refit_many(responses, threads=0)
    bad = responses.copy()
    bad[7, 3] = np.nan
    with pytest.raises(mx.DataError, match=r"column 3 \(counted from 0\).*row 7.*1 of 60"):
        cbpp.refit_many(bad)
    bad[7, 3], bad[2, 9] = 1.5, -0.5
    named = pd.DataFrame(bad, columns=[f"voxel{j}" for j in range(60)])
    with pytest.raises(mx.DataError, match=r"'voxel3'.*\(2 of 60 .*1.5 \(row 7\)"):
        cbpp.refit_many(named)
    with pytest.raises(
        mx.DesignError, match=r"column 1 .*every one of the 56 rows used is success"
    ):
        cbpp.refit_many(np.column_stack([responses[:, 0], np.ones(56)]))


def test_successes_that_are_no_whole_numbers_are_warned_of_once(cbpp, responses):
    with pytest.warns(mx.DataWarning, match="no whole number of successes") as told:
        cbpp.refit_many(np.clip(responses[:, :3] + 0.01, 0.0, 1.0))
    assert len(told) == 1


def test_what_does_not_depend_on_the_response_is_made_once(monkeypatch):
    from mixeff.generalized import working

    fit = MODELS["crossed"]()
    made = []
    real = working.Columns.of
    monkeypatch.setattr(working.Columns, "of", lambda *parts: made.append(1) or real(*parts))
    fit.refit_many(fit.simulate(5, seed=2))
    assert len(made) == 1


def test_a_bar_counts_columns(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    fit = MODELS["crossed"]()
    fit.refit_many(fit.simulate(3, seed=2), progress=True)
    assert all(f"{j}/3" in stream.getvalue() for j in (1, 2, 3))


def test_failures_of_single_fits_are_kept(monkeypatch):
    """One response without a fit does not take the others with it."""
    from mixeff.generalized import many

    fit = MODELS["crossed"]()
    Y = fit.simulate(4, seed=2)
    real = many.find_optimum

    def sometimes(design, *parts, **more):
        if np.array_equal(design.response, Y[:, 2]):
            raise mx.ConvergenceError("No modes.")
        return real(design, *parts, **more)

    monkeypatch.setattr(many, "find_optimum", sometimes)
    found = Refits.of(fit, 1).estimates(Y)
    assert {j: str(e) for j, e in found.errors.items()} == {2: "No modes."}
    assert np.isnan(found.beta[2]).all()
    assert np.isfinite(found.beta[[0, 1, 3]]).all()
    with pytest.raises(mx.ConvergenceError, match=r"column 2 .*No modes"):
        fit.refit_many(Y)


def test_small_models_are_compiled(cbpp):
    assert Refits.of(cbpp, 1).batch.small is not None
    for name in ("crossed", "nodes", "fast", "start"):
        assert Refits.of(MODELS[name](), 1).batch.small is None, name
    assert isinstance(Refits.of(cbpp, 1).batch, GeneralizedBatch)
