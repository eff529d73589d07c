"""Parametric and semi-parametric bootstrap."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixeff as mx
from mixeff.errors import OptionError
from mixeff.inference.bootstrap.pools import effect_pool, residual_pool
from mixeff.inference.bootstrap.responses import responses_of, root_seed
from mixeff.model import progress

SLEEP = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep():
    return mx.lmer(SLEEP, mx.load_dataset("sleepstudy"))


@pytest.fixture(scope="module")
def cbpp():
    return mx.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mx.load_dataset("cbpp"),
        family="binomial",
    )


def parameters(fit):
    """All parameters in the order of confint, from the public tables."""
    table = fit.varcorr.to_frame()
    term = table[table["grp"] != "Residual"]
    values = {}
    for grp, var1, var2, sdcor in zip(
        term["grp"], term["var1"], term["var2"], term["sdcor"], strict=True
    ):
        name = f"sd_{var1}|{grp}" if var2 is None else f"cor_{var2}.{var1}|{grp}"
        values[name] = sdcor
    if (table["grp"] == "Residual").any():
        values["sigma"] = fit.sigma
    values |= fit.fixef.to_dict()
    return [values[name] for name in fit.confint().index]


def blocks(fit, kind="parametric", random=None, seed=1, m=5):
    return responses_of(fit, kind, random, root_seed(seed, "t"), "t").block(0, m)


@pytest.mark.parametrize("kind", ["parametric", "semiparametric"])
def test_draws_as_refits_one_by_one(sleep, kind):
    draws = sleep.bootstrap(5, seed=1, kind=kind).draws
    for row, y in zip(draws, blocks(sleep, kind).T, strict=True):
        # Both stop at the same conditions; a correlation is the flattest direction.
        np.testing.assert_allclose(row, parameters(sleep.refit(y)), rtol=1e-6, atol=1e-7)


def test_draws_as_refits_of_crossed_factors_with_weights():
    data = mx.load_dataset("Penicillin")
    data["w"] = 0.5 + np.arange(len(data)) % 3
    fit = mx.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", data, weights="w", reml=False)
    draws = fit.bootstrap(4, seed=2).draws
    for row, y in zip(draws, blocks(fit, seed=2, m=4).T, strict=True):
        np.testing.assert_allclose(row, parameters(fit.refit(y)), rtol=1e-6)


def test_draws_of_a_generalized_model_as_refits(cbpp):
    found = cbpp.bootstrap(4, seed=3)
    assert found.names == tuple(cbpp.confint().index)
    Y = blocks(cbpp, seed=3, m=4)
    trials = cbpp.design.weights
    np.testing.assert_allclose(Y * trials[:, None], np.round(Y * trials[:, None]), atol=1e-12)
    for row, y in zip(found.draws, Y.T, strict=True):
        np.testing.assert_allclose(row, parameters(cbpp.refit(y)), rtol=1e-9)
    np.testing.assert_array_equal(cbpp.bootstrap(4, seed=3, threads=2).draws, found.draws)


def test_scale_of_a_gamma_model_is_a_parameter():
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(20), 6)
    mu = np.exp(1.0 + 0.5 * rng.standard_normal(20)[g])
    data = pd.DataFrame({"y": rng.gamma(5.0, mu / 5.0), "g": g})
    fit = mx.glmer("y ~ 1 + (1 | g)", data, family="Gamma", link="log")
    found = fit.bootstrap(3, seed=1)
    assert found.names == ("sd_(Intercept)|g", "sigma", "(Intercept)")
    np.testing.assert_allclose(found.estimate, parameters(fit), rtol=1e-12)
    for row, y in zip(found.draws, blocks(fit, m=3).T, strict=True):
        np.testing.assert_allclose(row, parameters(fit.refit(y)), rtol=1e-9)


def test_failures_of_generalized_replicates_are_counted():
    # Successes are rare: among the draws are responses of failures alone, which have no fit.
    data = pd.DataFrame({"g": np.repeat(np.arange(10), 4), "y": np.zeros(40)})
    data.loc[[3, 17, 18], "y"] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = mx.glmer("y ~ 1 + (1 | g)", data, family="binomial")
    found = fit.bootstrap(200, seed=1)
    none = (blocks(fit, seed=1, m=200) == 0).all(axis=0)
    assert none.any()
    np.testing.assert_array_equal(found.failed, none)
    assert np.isnan(found.draws[none]).all()
    assert np.isfinite(found.draws[~none]).all()
    assert not found.unconverged[none].any()
    (said,) = (n for sentence, n in found.messages.items() if "is failure" in sentence)
    assert said == none.sum()
    np.testing.assert_array_equal(fit.bootstrap(200, seed=1, threads=2).draws, found.draws)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit.bootstrap(20, seed=1)
    assert told == []


def test_a_callers_statistic_of_a_generalized_model(cbpp):
    # Its replicates are fits: the same numbers as by the batch engine.
    plain, own = cbpp.bootstrap(5, seed=2), cbpp.bootstrap(5, seed=2, statistic=lambda m: m.fixef)
    np.testing.assert_allclose(own.draws, plain.draws[:, 1:], rtol=1e-9)


def test_same_draws_for_any_number_of_threads_and_replicates(sleep):
    first = sleep.bootstrap(1100, seed=5, threads=1)  # more than one block of 1024
    np.testing.assert_array_equal(first.draws, sleep.bootstrap(1100, seed=5, threads=2).draws)
    np.testing.assert_array_equal(first.draws[:1050], sleep.bootstrap(1050, seed=5).draws)
    np.testing.assert_array_equal(first.draws[:70], sleep.bootstrap(70, seed=5).draws)
    assert not np.array_equal(first.draws[:70], sleep.bootstrap(70, seed=6).draws)
    assert not np.array_equal(first.draws[:70], first.draws[1024:1094])  # blocks differ


def test_entropy_makes_the_same_draws_again(sleep):
    first = sleep.bootstrap(10)
    np.testing.assert_array_equal(sleep.bootstrap(10, seed=first.entropy).draws, first.draws)
    assert isinstance(first.entropy, int)
    sequence = np.random.SeedSequence(5, spawn_key=(2,))
    first = sleep.bootstrap(10, seed=sequence)
    np.testing.assert_array_equal(sleep.bootstrap(10, seed=sequence).draws, first.draws)
    np.testing.assert_array_equal(sleep.bootstrap(10, seed=first.entropy).draws, first.draws)
    rng = np.random.default_rng(3)
    one, two = sleep.bootstrap(10, seed=rng), sleep.bootstrap(10, seed=rng)
    assert not np.array_equal(one.draws, two.draws)
    np.testing.assert_array_equal(sleep.bootstrap(10, seed=two.entropy).draws, two.draws)
    np.testing.assert_array_equal(
        sleep.bootstrap(10, seed=np.random.default_rng(3)).draws, one.draws
    )


def test_exact_distribution_in_the_balanced_one_way_layout():
    # y ~ 1 + (1 | g), J groups of r rows, variances s_b^2, s^2. Where MSB > MSW REML gives
    # s^2 = MSW and s_b^2 = (MSB - MSW) / r, and with n rows
    #   (n - J) MSW / s^2 ~ chi2(n - J), (J - 1) MSB / (r s_b^2 + s^2) ~ chi2(J - 1),
    #   mean ~ N(mu, (s_b^2 + s^2 / r) / J), all independent (Searle, Casella, McCulloch 1992).
    J, r = 12, 5
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(J), r)
    data = pd.DataFrame({"g": g, "y": 3.0 + 6.0 * rng.standard_normal(J)[g]})
    data["y"] += rng.standard_normal(J * r)
    fit = mx.lmer("y ~ 1 + (1 | g)", data)
    found = fit.bootstrap(4000, seed=11)
    assert not found.singular.any()
    sd, sigma, mean = found.estimate
    msw = found.draws[:, 1] ** 2
    msb = msw + r * found.draws[:, 0] ** 2
    between = r * sd**2 + sigma**2
    # Of a right sample p < 0.001 once in a thousand seeds; this seed is fixed.
    assert stats.kstest((J * r - J) * msw / sigma**2, stats.chi2(J * r - J).cdf).pvalue > 1e-3
    assert stats.kstest((J - 1) * msb / between, stats.chi2(J - 1).cdf).pvalue > 1e-3
    z = (found.draws[:, 2] - mean) / np.sqrt(between / (J * r))
    assert stats.kstest(z, stats.norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(found.draws[:, 2], msb)[0, 1]) < 4 / np.sqrt(4000)


def test_standard_errors_of_beta_are_the_models(sleep):
    # Balanced, so the estimate of beta does not depend on theta: its variance under the model is
    # vcov exactly. A standard deviation of 4000 normal draws has relative error 1/sqrt(8000) =
    # 1.1 %; four of those.
    found = sleep.bootstrap(4000, seed=2)
    frame = found.summary.to_frame()
    ratio = frame.loc[["(Intercept)", "Days"], "std_error"] / sleep.stderr
    np.testing.assert_allclose(ratio, 1.0, atol=0.045)
    bias = frame.loc[["(Intercept)", "Days"], "bias"] / sleep.stderr
    np.testing.assert_allclose(bias, 0.0, atol=4 / np.sqrt(4000))


@pytest.mark.parametrize(
    ("random", "errors", "biases"),
    [
        (
            None,
            [6.0269, 0.3529, 1.2725, 1.4458, 6.7919, 1.5415],
            [-0.6044, 0.0590, -0.1369, 0.0172, -0.1570, 0.0430],
        ),
        (
            "all",
            [4.1272, 0.2926, 0.7407, 1.4734, 3.4931, 0.6482],
            [-3.4732, 0.2557, -0.4760, 0.0442, -0.0318, 0.0066],
        ),
    ],
)
def test_as_lme4_boot_mer(sleep, random, errors, biases):
    # R 4.2, lme4:
    #   m <- lmer(Reaction ~ Days + (Days|Subject), sleepstudy)
    #   f <- function(x) c(as.data.frame(VarCorr(x))$sdcor[c(1,3,2,4)], fixef(x))
    #   b <- bootMer(m, f, nsim=1000, seed=1, use.u=FALSE)   # and TRUE
    #   apply(b$t, 2, sd, na.rm=TRUE); colMeans(b$t, na.rm=TRUE) - b$t0
    # 1000 draws there, 4000 here: a standard error has relative error sqrt(1/2000 + 1/8000) = 2.5 %
    # (draws near normal), a mean one of sqrt(1/1000 + 1/4000) = 0.035 standard deviations. Four.
    frame = sleep.bootstrap(4000, seed=1, random=random).summary.to_frame()
    np.testing.assert_allclose(frame["std_error"], errors, rtol=0.1)
    np.testing.assert_array_less(np.abs(frame["bias"] - biases) / errors, 0.14)


def test_kept_effects_leave_only_the_residual():
    data = mx.load_dataset("sleepstudy")
    fit = mx.lmer("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", data)
    m = 1000
    kept = blocks(fit, random="all", m=m)
    # Mean: the fitted values; four standard errors of 1000 draws, 180 rows.
    assert np.abs(kept.mean(axis=1) - fit.fitted).max() < 4.5 * fit.sigma / np.sqrt(m)
    spread = kept.std(axis=1, ddof=1) / fit.sigma
    assert np.abs(spread - 1).max() < 4.5 / np.sqrt(2 * m)
    some = blocks(fit, random="~ (1 | Subject)", m=m)
    slope = fit.varcorr.components[1].sd[0]
    expected = np.sqrt(fit.sigma**2 + (slope * data["Days"].to_numpy()) ** 2)
    assert np.abs(some.std(axis=1, ddof=1) / expected - 1).max() < 4.5 / np.sqrt(2 * m)
    assert np.abs(some.mean(axis=1) - fit.predict(random="~ (1 | Subject)")).max() < 5 * (
        expected.max() / np.sqrt(m)
    )


def test_weights_scale_the_noise():
    data = mx.load_dataset("sleepstudy")
    data["w"] = np.where(data["Days"] < 5, 1.0, 16.0)
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", data, weights="w")
    for kind in ("parametric", "semiparametric"):
        spread = blocks(fit, kind, "all", m=1000).std(axis=1, ddof=1)
        # Four and a half standard errors of a standard deviation; resampled residuals have
        # heavier tails than normal ones.
        expected = fit.sigma / np.sqrt(data["w"])
        np.testing.assert_allclose(spread / expected, 1.0, atol=0.2)


def test_semiparametric_pools_have_the_estimated_moments(sleep):
    pool = residual_pool(sleep.design, sleep.fitted, sleep.sigma)
    assert pool.mean() == pytest.approx(0, abs=1e-12)
    assert np.mean(pool**2) == pytest.approx(sleep.sigma**2, rel=1e-12)
    own = sleep.residuals()
    assert np.corrcoef(pool, own)[0, 1] == pytest.approx(1.0, abs=1e-12)
    modes = sleep.ranef["Subject"].to_numpy()
    component = sleep.varcorr.components[0]
    effects = effect_pool(sleep.design.random[0], modes, np.linalg.cholesky(component.covariance))
    np.testing.assert_allclose(effects.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(effects.T @ effects / 18, component.covariance, rtol=1e-9)


def test_semiparametric_takes_residuals_from_the_pool(sleep):
    Y = blocks(sleep, "semiparametric", "all", m=3)
    pool = residual_pool(sleep.design, sleep.fitted, sleep.sigma)
    distance = np.abs((Y - sleep.fitted[:, None]).ravel()[:, None] - pool).min(axis=1)
    assert distance.max() < 1e-9


def test_semiparametric_of_a_singular_fit(sleep):
    # Slopes have no variance: nothing to resample there, and nothing to refuse.
    data = mx.load_dataset("Dyestuff2")
    fit = mx.lmer("Yield ~ 1 + (1 | Batch)", data)
    assert fit.is_singular
    found = fit.bootstrap(20, kind="semiparametric", seed=1)
    assert not found.failed.any()


def test_statistic_of_the_caller(sleep):
    by_name = sleep.bootstrap(
        6, seed=1, statistic=lambda m: {"slope": m.fixef["Days"], "s": m.sigma}
    )
    assert by_name.names == ("slope", "s")
    plain = sleep.bootstrap(6, seed=1)
    np.testing.assert_allclose(by_name.draws, plain.draws[:, [5, 3]], rtol=1e-8)
    assert sleep.bootstrap(2, seed=1, statistic=lambda m: m.sigma).names == ("statistic",)

    def spread(m):
        return [m.sigma, m.sigma**2]

    assert sleep.bootstrap(2, seed=1, statistic=spread).names == ("spread1", "spread2")
    assert sleep.bootstrap(2, seed=1, statistic=lambda m: m.fixef).names == ("(Intercept)", "Days")


def test_failed_replicates_are_counted(sleep):
    calls = []

    def sometimes(m):
        calls.append(m)
        if len(calls) % 3 == 0:
            raise mx.ConvergenceError(f"replicate {len(calls)} went wrong")
        return m.sigma

    found = sleep.bootstrap(10, seed=1, statistic=sometimes)
    # The first call is that of the fit itself: replicates 1, 4 and 7 fail (counted from 0).
    assert np.flatnonzero(found.failed).tolist() == [1, 4, 7]
    assert np.isnan(found.draws[found.failed]).all()
    assert np.isfinite(found.draws[~found.failed]).all()
    assert found.messages == {"replicate 3 went wrong": 3}
    assert any("3 of 10 replicates failed and are left out" in note for note in found.notes)
    kept = found.draws[~found.failed, 0]
    frame = found.summary.to_frame()
    assert frame["std_error"].iloc[0] == pytest.approx(kept.std(ddof=1), rel=1e-12)


def test_mistakes_in_the_statistic_itself_come_through(sleep):
    def wrong(m):
        return 1.0 if m is sleep else m.sigmaa

    with pytest.raises(AttributeError):
        sleep.bootstrap(5, statistic=wrong)


def test_responses_without_a_fit_are_counted(monkeypatch, sleep):
    # A constant response has no residual variance.
    from mixeff.inference.bootstrap.responses import Responses

    block = Responses.block

    def spoiled(self, number, m):
        Y = block(self, number, m)
        Y[:, 3] = 7.0
        return Y

    whole = sleep.bootstrap(6, seed=1)
    monkeypatch.setattr(Responses, "block", spoiled)
    found = sleep.bootstrap(6, seed=1)
    assert np.flatnonzero(found.failed).tolist() == [3]
    others = np.delete(found.draws, 3, axis=0)
    # Alone or in a block: sums over rows in another order.
    np.testing.assert_allclose(others, np.delete(whole.draws, 3, axis=0), rtol=1e-8)
    assert sum(found.messages.values()) == 1


def test_correlations_without_standard_deviation_are_left_out():
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(6), 5)
    x = np.tile(np.arange(5.0), 6)
    data = pd.DataFrame(
        {"y": rng.standard_normal(30) + 0.3 * rng.standard_normal(6)[g], "x": x, "g": g}
    )
    fit = mx.lmer("y ~ x + (x | g)", data)
    found = fit.bootstrap(200, seed=1)
    zero = found.draws[:, 0] == 0
    assert zero.any()
    assert np.isnan(found.draws[zero, 1]).all()
    assert any(note.startswith("cor_x.(Intercept)|g does not exist in") for note in found.notes)
    assert not found.failed.any()
    assert found.singular.sum() >= zero.sum()


def test_confint_of_the_fit(sleep):
    options = {"nsim": 50, "seed": 4}
    for interval in ("percentile", "shortest"):
        frame = sleep.confint(0.8, method="bootstrap", interval=interval, **options)
        table = sleep.bootstrap(**options).confint(0.8, interval)
        pd.testing.assert_frame_equal(frame, table.to_frame())
    assert list(frame.columns) == ["lower", "upper"]
    assert list(frame.index) == list(sleep.confint().index)


def test_frames_and_print(sleep):
    found = sleep.bootstrap(20, seed=1)
    assert len(found) == 20
    frame = found.to_frame()
    assert frame.shape == (20, 6)
    assert list(found.summary.to_frame().columns) == ["estimate", "bias", "std_error"]
    assert "20 replicates" in str(found)
    assert "<table" in found._repr_html_()
    assert "few" in str(found.confint())
    with pytest.raises(AttributeError):
        found.kind = "x"


def test_no_warnings_from_replicates(cbpp):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cbpp.bootstrap(3, seed=1)


def test_ctrl_c_goes_through(sleep):
    def stop(m):
        if m is not sleep:
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        sleep.bootstrap(5, statistic=stop)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nsim": 1}, "nsim must be a whole number, at least 2"),
        ({"nsim": 10.0}, "nsim must be a whole number"),
        ({"nsim": True}, "nsim must be a whole number"),
        ({"kind": "parametrics"}, 'kind must be one of .* Did you mean "parametric"'),
        ({"seed": "a"}, "seed must be a whole number"),
        ({"seed": -1}, "seed must be a whole number, at least 0"),
        ({"threads": 0}, "threads must be a whole number, at least 1"),
        ({"statistic": 3}, "statistic must be a function of a fit"),
        ({"statistic": lambda m: "a"}, "statistic must give a number"),
        ({"statistic": lambda m: []}, "statistic must give a number"),
        ({"nsims": 10}, 'bootstrap has no argument "nsims". Did you mean "nsim"'),
        ({"cluster": "Subject"}, 'cluster is for kind="case"'),
        ({"random": 3}, "bootstrap: random must be"),
        ({"kind": "case", "random": "all"}, "draws no random effects"),
        ({"kind": "case", "cluster": "Days"}, "no grouping factor 'Days'; .* one of Subject"),
    ],
)
def test_bad_arguments(sleep, arguments, message):
    with pytest.raises(mx.OptionError, match=message):
        sleep.bootstrap(**{"nsim": 5, **arguments})


def test_bad_interval_arguments(sleep, cbpp):
    found = sleep.bootstrap(5, seed=1)
    for level in (0, 1, 95, "a", True):
        with pytest.raises(mx.OptionError, match="level must lie between 0 and 1"):
            found.confint(level)
    with pytest.raises(mx.OptionError, match='Did you mean "percentile"'):
        found.confint(method="percentiles")
    with pytest.raises(mx.OptionError, match='"bca" needs the acceleration'):
        found.confint(method="bca")
    with pytest.raises(mx.OptionError, match='confint has no argument "nsims"'):
        sleep.confint(method="bootstrap", nsims=10)
    with pytest.raises(mx.OptionError, match="interval must be one of"):
        sleep.confint(method="bootstrap", nsim=10, interval="wald")
    with pytest.raises(mx.OptionError, match="not exchangeable"):
        cbpp.bootstrap(5, kind="semiparametric")


def test_a_statistic_that_changes_its_names(sleep):
    with pytest.raises(mx.OptionError, match="as many numbers, under the same names"):
        sleep.bootstrap(3, statistic=lambda m: [1.0] if m is sleep else [1.0, 2.0])


def test_progress(sleep, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    sleep.bootstrap(1100, seed=1)
    assert "1024/1100" in stream.getvalue()
    assert stream.getvalue().endswith("1100/1100, 0 s left \n")
    stream.truncate(0)
    sleep.bootstrap(4, seed=1, statistic=lambda m: m.sigma)
    assert "3/4" in stream.getvalue()
    stream.truncate(0)
    sleep.bootstrap(30, seed=1, kind="case")
    assert "17/30" in stream.getvalue()
    stream.truncate(0)
    sleep.bootstrap(1100, seed=1, progress=False)
    assert stream.getvalue().strip("\0") == ""


def test_a_statistic_that_fails_for_some_replicates() -> None:
    """Replicates it has no value for are counted."""
    fit = mx.lmer("Yield ~ 1 + (1 | Batch)", mx.load_dataset("Dyestuff"))
    calls = iter(range(100))

    def flaky(one: Any) -> float:
        if next(calls) in (3, 5):
            raise ValueError("no root between 0 and 1")
        return float(one.sigma)

    draws = fit.bootstrap(10, seed=1, statistic=flaky)
    whole = fit.bootstrap(10, seed=1, statistic=lambda one: one.sigma)
    # The first call is of the fit itself.
    assert np.flatnonzero(draws.failed).tolist() == [2, 4]
    np.testing.assert_array_equal(draws.draws[~draws.failed], whole.draws[~draws.failed])
    notes = " ".join(draws.notes)
    assert "2 of 10 replicates failed and are left out." in notes
    assert "The statistic failed: ValueError: no root between 0 and 1" in notes
    with pytest.raises(OptionError, match="not NoneType"):
        fit.bootstrap(10, seed=1, statistic=lambda one: None)


def test_intervals_of_an_own_statistic_by_name() -> None:
    """parameters= names rows of the table, also where they are the caller's."""
    fit = mx.lmer("Yield ~ 1 + (1 | Batch)", mx.load_dataset("Dyestuff"))

    def both(one: Any) -> dict[str, float]:
        return {"icc": one.theta[0] ** 2 / (1 + one.theta[0] ** 2), "s": one.sigma}

    options: Any = {"nsim": 50, "seed": 1, "statistic": both}
    every = fit.confint(method="bootstrap", **options)
    one = fit.confint(method="bootstrap", parameters="icc", **options)
    assert one.index.tolist() == ["icc"]
    assert one.loc["icc"].tolist() == every.loc["icc"].tolist()
    with pytest.raises(OptionError, match=r"no parameter 'sigma'\. There are icc, s\."):
        fit.confint(method="bootstrap", parameters="sigma", **options)
