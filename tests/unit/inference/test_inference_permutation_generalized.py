"""Permutation tests of generalized models against enumeration and definitions by hand."""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.inference.permutation.exchangeable import classes_of, scheme_for_responses


def scheme_of(fit, null, column, asked=None):
    place = fit.design.names.index(column)
    return scheme_for_responses(fit, null.design, fit.design.X[:, [place]], column, asked)


def counts(J=12, r=4, seed=1):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(J), r)
    data = pd.DataFrame({"g": g, "t": np.tile([0.0, 1.0], J * r // 2), "z": (g % 2) * 1.0})
    data["y"] = rng.poisson(np.exp(0.5 + 0.6 * rng.normal(size=J)[g] + 0.3 * data.t))
    return data


def test_statistics_are_those_of_fits():
    data = counts()
    fit = mx.glmer("y ~ t + (1 | g)", data, family="poisson")
    null = mx.glmer("y ~ 1 + (1 | g)", data, family="poisson")
    table = fit.permutation_test(nsim=6, seed=5)
    assert table["scheme"] == ("within",)
    assert table["statistic"][0] == pytest.approx(2 * (fit.loglik - null.loglik), abs=1e-9)
    # permutation_test gives each term a seed of its own, and each block of replicates another.
    own = np.random.SeedSequence(5).spawn(1)[0]
    rng = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(*own.spawn_key, 0)))
    responses = scheme_of(fit, null, "t").apply(rng, fit.design.response, 6)
    for y, statistic in zip(responses, table.draws[:, 0], strict=True):
        # What the null model knows is as before.
        assert null.refit(y).loglik == pytest.approx(null.loglik, abs=1e-9)
        ratio = 2 * (fit.refit(y).loglik - null.refit(y).loglik)
        assert statistic == pytest.approx(max(ratio, 0.0), abs=1e-8)


def test_p_value_is_that_of_all_arrangements():
    """Three groups of four rows, two treated: 6^3 arrangements, each fitted."""
    data = counts(J=3, r=4, seed=3)
    data["y"] = [0, 1, 2, 5, 1, 0, 3, 4, 2, 6, 1, 7]
    fit = mx.glmer("y ~ t + (1 | g)", data, family="poisson")
    null = mx.glmer("y ~ 1 + (1 | g)", data, family="poisson")
    y, observed = data["y"].to_numpy(float), 2 * (fit.loglik - null.loglik)
    treated = [list(combinations(range(4), 2)) for _ in range(3)]
    ratios = []
    for choice in product(*treated):
        new = np.empty(12)
        for group, rows in enumerate(choice):
            own, place = y[4 * group : 4 * group + 4], 4 * group + np.arange(4)
            others = [i for i in range(4) if i not in rows]
            new[place[[1, 3]]], new[place[[0, 2]]] = own[list(rows)], own[others]
        ratios.append(2 * (fit.refit(new).loglik - null.loglik))
    exact = float(np.mean(np.array(ratios) >= observed - 1e-6))
    nsim = 4000
    table = fit.permutation_test(nsim=nsim, seed=1)
    # Four Monte Carlo standard errors.
    assert abs(table["p_value"][0] - exact) < 4 * np.sqrt(exact * (1 - exact) / nsim) + 1 / nsim


def test_trials_are_dealt_out_as_from_an_urn():
    """Two rows in each of two groups: successes of the treated row are hypergeometric."""
    data = pd.DataFrame(
        {"g": [0, 0, 1, 1], "t": [0.0, 1.0, 0.0, 1.0], "s": [1, 4, 3, 5], "n": [6, 5, 9, 7]}
    )
    fit = mx.glmer("cbind(s, n - s) ~ t + (1 | g)", data, family="binomial")
    null = mx.glmer("cbind(s, n - s) ~ 1 + (1 | g)", data, family="binomial")
    draw = scheme_of(fit, null, "t")
    assert draw.name == "within"
    found = draw.apply(np.random.default_rng(2), fit.design.response, 20_000)
    successes = found * data["n"].to_numpy()
    np.testing.assert_allclose(successes, np.rint(successes), atol=1e-12)
    for a, b in ((0, 1), (2, 3)):
        total = data["s"][a] + data["s"][b]
        np.testing.assert_array_equal(np.rint(successes[:, a] + successes[:, b]), total)
        n, N = data["n"][b], data["n"][a] + data["n"][b]
        mean, part = total * n / N, n / N
        variance = total * part * (1 - part) * (N - total) / (N - 1)  # of a hypergeometric
        error = np.sqrt(variance / 20_000)
        assert abs(successes[:, b].mean() - mean) < 4 * error
        assert successes[:, b].var() == pytest.approx(variance, rel=0.05)
    # The likelihood without the term changes by the binomial coefficients alone: its estimates
    # stay. (Optima agree to the root of the tolerance of the criterion, 1e-9.)
    again = null.refit(found[0])
    np.testing.assert_allclose(again.fixef, null.fixef, atol=1e-6)


def test_the_size_is_exact_under_overdispersion():
    """Counts that vary more than Poisson counts: the chi-square test fails, this one does not."""
    rng = np.random.default_rng(8)
    rejected, chi_square, tests = 0, 0, 120
    for _ in range(tests):
        data = counts(J=10, r=4)
        data["y"] = rng.negative_binomial(0.8, 0.25, size=40)
        fit = mx.glmer("y ~ t + (1 | g)", data, family="poisson")
        table = fit.permutation_test(nsim=19, seed=rng)
        rejected += table["p_value"][0] <= 0.05
        chi_square += table["statistic"][0] > 3.841
    # Exactly one in twenty; of 120 more than 15 are as good as impossible (p = 4e-4).
    assert rejected <= 15
    assert chi_square > 30


def test_groups_are_exchanged_where_they_are_alike():
    data = counts(J=20)
    fit = mx.glmer("y ~ t + z + (1 | g)", data, family="poisson")
    null = mx.glmer("y ~ t + (1 | g)", data, family="poisson")
    scheme = scheme_of(fit, null, "z")
    assert scheme.name == "groups"
    assert "(20 of 20 levels take part)" in scheme.sentence
    y = fit.design.response
    new = scheme.apply(np.random.default_rng(1), y, 3)
    rows = np.arange(80).reshape(20, 4)
    for one in new:
        assert sorted(map(tuple, one[rows])) == sorted(map(tuple, y[rows]))
        assert null.refit(one).loglik == pytest.approx(null.loglik, abs=1e-9)
    assert fit.permutation_test("z", nsim=30, seed=1)["scheme"] == ("groups",)


def test_classes_of_groups_by_hand():
    codes = np.array([0, 1, 0, 1, 2, 2, 3, 4, 4], dtype=np.int32)
    known = np.array([[1.0], [2], [2], [1], [1], [1], [1], [2], [1]])
    # 0, 1 and 4 have rows (1, 2) in some order; 2 has (1, 1); 3 a single row.
    (found,) = classes_of(codes, known)
    assert found.tolist() == [[0, 2], [3, 1], [8, 7]]


def test_a_covariate_that_numbers_the_groups_is_a_covariate():
    """Every group has its own value: no two are alike."""
    data = counts()
    data["number"] = data["g"].astype(float)
    fit = mx.glmer("y ~ z + number + (1 | g)", data, family="poisson")
    with pytest.raises(mx.OptionError, match=r"No two levels of g that agree.*bootstrap_lrt"):
        fit.permutation_test("z")


def test_same_p_values_for_any_number_of_threads():
    fit = mx.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mx.load_dataset("cbpp"),
        family="binomial",
    )
    one, two = (fit.permutation_test(nsim=60, seed=4, threads=t) for t in (1, 2))
    np.testing.assert_array_equal(one.draws, two.draws)
    assert one["scheme"] == ("within",)
    assert "successes dealt out anew" in str(one)


def test_crossed_factors_and_other_families():
    rng = np.random.default_rng(1)
    g, h = np.repeat(np.arange(8), 12), np.tile(np.repeat(np.arange(6), 2), 8)
    data = pd.DataFrame({"g": g, "h": h, "w": np.tile([0.0, 1.0], 48), "v": (h < 3) * 1.0})
    data["y"] = rng.gamma(3.0, np.exp(0.4 * rng.normal(size=8)[g] + 0.3 * rng.normal(size=6)[h]))
    fit = mx.glmer("y ~ w + v + (1 | g) + (1 | h)", data, family="Gamma", link="log")
    assert fit.permutation_test("w", nsim=5, seed=1)["scheme"] == ("within",)
    with pytest.raises(mx.OptionError, match=r"only with one grouping factor.*g and h"):
        fit.permutation_test("v")


def test_what_cannot_be_exchanged_is_refused():
    data = counts()
    data["x"] = np.random.default_rng(0).normal(size=48)
    data["w"] = np.random.default_rng(1).uniform(1, 2, size=48)
    few = counts(J=2, r=2)
    few["y"] = [1.0, 3.0, 2.0, 5.0]
    fits = {
        "plain": mx.glmer("y ~ t + z + (1 | g)", data, family="poisson"),
        "beside": mx.glmer("y ~ t + x + (1 | g)", data, family="poisson"),
        "weights": mx.glmer("y ~ t + (1 | g)", data, family="poisson", weights="w"),
        "few": mx.glmer("y ~ t + (1 | g)", few, family="poisson"),
    }
    cases = [
        ("plain", {"scheme": "signs"}, "symmetric residuals"),
        ("plain", {"within": "g"}, "within is for linear models"),
        ("plain", {"terms": "z", "scheme": "within"}, "z does not vary among rows that agree"),
        ("plain", {"terms": "t", "scheme": "groups"}, "No two levels of g"),
        ("beside", {"terms": "t"}, r"t does not vary .* No two levels of g .*bootstrap_lrt"),
        ("weights", {}, "does not vary among rows that agree"),
        ("few", {}, "only 4 different arrangements for t .* below 0.25"),
    ]
    for name, options, message in cases:
        with pytest.raises(mx.OptionError, match=message):
            fits[name].permutation_test(**options)


def test_permuting_responses_is_permuting_the_term():
    """The statistic of a permuted response is that of the term permuted the other way."""
    data = counts(J=4, r=3, seed=6)
    data["t"] = np.tile([0.0, 1.0, 2.0], 4)
    fit = mx.glmer("y ~ t + (1 | g)", data, family="poisson")
    for order in list(permutations(range(3)))[1:4]:
        rows = (np.arange(4)[:, None] * 3 + np.array(order)).ravel()
        back = data.assign(t=np.empty(12))
        back.loc[rows, "t"] = data["t"].to_numpy()
        other = mx.glmer("y ~ t + (1 | g)", back, family="poisson")
        assert fit.refit(data["y"].to_numpy()[rows]).loglik == pytest.approx(other.loglik, abs=1e-9)
