"""The case bootstrap against fits of data frames put together level by level."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.inference.bootstrap.cases import _compiled, _fitter, _from_rows, clusters_of
from mixeff.inference.bootstrap.parameters import parameter_names, parameters_of_fit
from mixeff.inference.bootstrap.refits import silent
from mixeff.inference.bootstrap.statistics import all_parameters, of_function
from mixeff.inference.bootstrap.tally import Tally
from mixeff.model.generalized_many import Refits


def stacked(data, column, levels, groups):
    """The rows of some levels one after the other, repeated levels under names of their own."""
    parts = []
    for k, level in enumerate(levels):
        part = data[data[column].astype(str) == level].copy()
        for name in groups:
            part[name] = part[name].astype(str) + f"/{k}"
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def draws_by_hand(fit, data, column, groups, seed, nsim, **options):
    """The definition: J levels drawn with replacement, the model fitted to their rows."""
    levels = fit.ranef[column].index
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    rows = []
    for _ in range(nsim):
        drawn = levels[rng.integers(len(levels), size=len(levels))]
        one = mx.lmer(fit.formula, stacked(data, column, drawn, groups), **options)
        rows.append(parameters_of_fit(one))
    return np.array(rows)


def test_one_factor_as_fits_of_stacked_rows():
    data = mx.load_dataset("sleepstudy").iloc[:-7]  # unbalanced: n changes with the levels drawn
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", data)
    found = fit.bootstrap(5, kind="case", seed=3)
    by_hand = draws_by_hand(fit, data, "Subject", ["Subject"], 3, 5)
    # Two searches that stop at a predicted decrease of 1e-9: variances to about 1e-5 of it.
    np.testing.assert_allclose(found.draws, by_hand, rtol=2e-6, atol=1e-6)


def test_weights_offset_two_terms_and_ml():
    data = mx.load_dataset("sleepstudy")
    data["w"] = 0.5 + data["Days"] % 3
    data["o"] = data["Days"] ** 2
    formula = "Reaction ~ Days + offset(o) + (1 | Subject) + (0 + Days | Subject)"
    fit = mx.lmer(formula, data, weights="w", reml=False)
    found = fit.bootstrap(4, kind="case", seed=1)
    by_hand = draws_by_hand(fit, data, "Subject", ["Subject"], 1, 4, weights="w", reml=False)
    np.testing.assert_allclose(found.draws, by_hand, rtol=2e-6, atol=1e-6)


def test_nested_factors_are_drawn_with_the_outer_one():
    data = mx.load_dataset("Pastes")
    fit = mx.lmer("strength ~ 1 + (1 | batch/cask)", data)
    found = fit.bootstrap(4, kind="case", seed=5)
    assert "10 levels of batch" in found.scheme
    by_hand = draws_by_hand(fit, data, "batch", ["batch"], 5, 4)
    np.testing.assert_allclose(found.draws, by_hand, rtol=2e-6, atol=1e-6)


def test_sums_per_level_as_fits_of_rows():
    # The same replicates by the other way, which makes a fit of every one.
    data = mx.load_dataset("sleepstudy")
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", data)
    names = parameter_names(fit)

    def everything(m):
        return dict(zip(names, parameters_of_fit(m), strict=True))

    fast = fit.bootstrap(20, kind="case", seed=1)
    slow = fit.bootstrap(20, kind="case", seed=1, statistic=everything)
    np.testing.assert_allclose(fast.draws, slow.draws, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(fast.acceleration, slow.acceleration, rtol=1e-4, atol=1e-6)


def test_generalized_model_as_fits_of_stacked_rows():
    data = mx.load_dataset("cbpp")
    formula = "cbind(incidence, size - incidence) ~ 1 + (1 | herd)"
    fit = mx.glmer(formula, data, family="binomial")
    found = fit.bootstrap(3, kind="case", seed=2)
    levels = fit.ranef["herd"].index
    rng = np.random.default_rng(np.random.SeedSequence(2))
    for row in found.draws:
        drawn = levels[rng.integers(len(levels), size=len(levels))]
        one = mx.glmer(formula, stacked(data, "herd", drawn, ["herd"]), family="binomial")
        np.testing.assert_allclose(row, parameters_of_fit(one), rtol=1e-5)


def test_acceleration_by_leaving_out_levels():
    data = mx.load_dataset("sleepstudy")
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", data)
    found = fit.bootstrap(50, kind="case", seed=1)
    without = np.array([
        parameters_of_fit(mx.lmer(fit.formula, data[data["Subject"].astype(str) != s]))
        for s in fit.ranef["Subject"].index
    ])  # fmt: skip
    shift = without.mean(axis=0) - without
    expected = (shift**3).sum(axis=0) / (6 * (shift**2).sum(axis=0) ** 1.5)
    np.testing.assert_allclose(found.acceleration, expected, atol=1e-4)
    assert np.isfinite(found.confint(method="bca")["lower"]).all()


def test_standard_errors_of_a_mean_over_levels():
    # Balanced y ~ 1 + (1 | g): the estimate is the mean of the level means, whose case bootstrap
    # variance is sum (mean_j - mean)^2 / J^2 exactly. 3000 draws: 1.3 % relative error, times 4.
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(25), 4)
    data = pd.DataFrame({"g": g, "y": rng.gamma(1.0, size=25)[g] + rng.standard_normal(100)})
    fit = mx.lmer("y ~ 1 + (1 | g)", data)
    means = data.groupby("g")["y"].mean().to_numpy()
    expected = means.std() / np.sqrt(25)
    found = fit.bootstrap(3000, kind="case", seed=1).summary.to_frame()
    assert found.loc["(Intercept)", "std_error"] == pytest.approx(expected, rel=0.052)


def test_levels_without_information_fail_and_are_counted():
    # One of eight levels has treatment b: it is missing in (7/8)^8 = 34 % of the draws.
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(8), 5)
    data = pd.DataFrame({"g": g, "y": rng.standard_normal(40) + rng.standard_normal(8)[g]})
    data["treatment"] = np.where(g == 3, "b", "a")
    fit = mx.lmer("y ~ treatment + (1 | g)", data)
    fast = fit.bootstrap(300, kind="case", seed=1)
    slow = fit.bootstrap(300, kind="case", seed=1, statistic=lambda m: m.fixef)
    np.testing.assert_array_equal(fast.failed, slow.failed)
    rng = np.random.default_rng(np.random.SeedSequence(1))
    drawn = rng.integers(8, size=(300, 8))
    np.testing.assert_array_equal(fast.failed, ~(drawn == 3).any(axis=1) | (drawn == 3).all(axis=1))
    assert sum(fast.messages.values()) == fast.failed.sum() > 60
    assert any("treatmentb" in sentence for sentence in fast.messages)


def test_crossed_factors_are_refused():
    fit = mx.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", mx.load_dataset("Penicillin"))
    with pytest.raises(mx.OptionError, match="plate is not nested in it"):
        fit.bootstrap(10, kind="case")
    fit = mx.lmer("strength ~ 1 + (1 | batch/cask)", mx.load_dataset("Pastes"))
    with pytest.raises(mx.OptionError, match="batch is not nested in it"):
        fit.bootstrap(10, kind="case", cluster="cask:batch")


def test_sums_take_no_statistic_of_the_caller():
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", mx.load_dataset("sleepstudy"))
    clusters = clusters_of(fit.design, None)
    same = np.arange(18)
    for statistic in (all_parameters(fit), of_function(fit, parameters_of_fit)):
        tally = Tally.of_size(1, 4)
        _fitter(fit, clusters, statistic, 1)(same[None, :], 0, tally, silent)
        # Every level once is the data: the fit itself.
        np.testing.assert_allclose(tally.values[0], parameters_of_fit(fit), rtol=1e-7)


def test_troubles_of_generalized_fits_are_counted():
    # Treatment b has one success in all, in level 0: where 0 is not drawn the responses of b are
    # failures alone, which no finite coefficient fits.
    g = np.repeat(np.arange(6), 10)
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": g, "y": (rng.random(60) < 0.5) * 1})
    data["treatment"] = np.where(np.arange(60) % 2 == 0, "a", "b")
    data.loc[data["treatment"] == "b", "y"] = 0
    data.loc[1, "y"] = 1
    fit = mx.glmer("y ~ treatment + (1 | g)", data, family="binomial")
    found = fit.bootstrap(12, kind="case", seed=3)
    drawn = np.random.default_rng(np.random.SeedSequence(3)).integers(6, size=(12, 6))
    without = int((~(drawn == 0).any(axis=1)).sum())
    assert without > 0
    separated = [n for sentence, n in found.messages.items() if "treatmentb" in sentence]
    assert sum(separated) == without


def cbpp_fit():
    return mx.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mx.load_dataset("cbpp"),
        family="binomial",
    )


def epil_fit(n_agq=1):
    return mx.glmer_nb("y ~ trt + (1 | subject)", mx.load_dataset("epil"), n_agq=n_agq)


@pytest.mark.parametrize("make_fit", [cbpp_fit, epil_fit])
def test_compiled_draws_are_those_of_the_rows(make_fit):
    # The same draws by the search from the rows of each, in other working coordinates; both end
    # where the gradient is zero to rounding.
    fit = make_fit()
    clusters, statistic = clusters_of(fit.design, None), all_parameters(fit)
    J = clusters.n_levels
    levels = np.random.default_rng(5).integers(J, size=(25, J))
    tallies = []
    for make in (_compiled, _from_rows):
        tally = Tally.of_size(25, len(statistic.names))
        make(fit, clusters, statistic, 1)(levels, 0, tally, silent)
        tallies.append(tally)
    compiled, rows = tallies
    np.testing.assert_allclose(compiled.values, rows.values, rtol=1e-7, atol=1e-7)
    for part in ("failed", "singular", "unconverged"):
        np.testing.assert_array_equal(getattr(compiled, part), getattr(rows, part))
    assert compiled.messages == rows.messages
    assert Refits.of(fit, 1).batch.draws(levels)[1].sum() >= 20  # not one way with itself


def test_a_draw_of_every_level_is_the_fit():
    data = mx.load_dataset("epil")
    fit = mx.glmer(
        "y ~ trt + base + (1 | subject)", data, family="poisson", offset=0.1 * data["V4"]
    )
    refits = Refits.of(fit, 1)
    found, known = refits.batch.draws(np.stack([np.arange(59), np.arange(59)[::-1]]))
    assert known.all()
    for j in range(2):
        np.testing.assert_allclose(found.beta[j], fit.fixef, rtol=1e-9)
        assert found.loglik[j] == pytest.approx(fit.loglik, abs=1e-9)


def test_draws_of_models_beyond_the_compiled_search():
    fit = epil_fit(n_agq=3)
    assert not Refits.of(fit, 1).batch.draws(np.zeros((2, 59), dtype=np.int64))[1].any()
    one, two = (fit.bootstrap(3, kind="case", seed=1, threads=t) for t in (1, 2))
    np.testing.assert_array_equal(one.draws, two.draws)
    assert np.isfinite(one.draws).all()
