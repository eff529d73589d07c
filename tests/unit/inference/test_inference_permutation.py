"""Permutation tests against definitions by hand."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.inference.permutation.schemes import (
    Rearranged,
    blocks_of,
    signs,
    whole_groups,
    within_blocks,
)


def layout(J=10, r=4, seed=1, effect=0.0, slopes=0.0):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(J), r)
    x = np.tile(np.arange(r) - (r - 1) / 2, J)
    y = rng.standard_normal(J)[g] + (effect + slopes * rng.standard_normal(J)[g]) * x
    y += rng.standard_normal(J * r)
    return pd.DataFrame({"y": y, "x": x, "g": g, "z": np.where(g < J // 2, "a", "b")})


def likelihood_ratio(data, y, formula, null):
    frame = data.assign(y=y)
    fits = [mx.lmer(f, frame, reml=False) for f in (formula, null)]
    return max(0.0, 2 * (fits[0].loglik - fits[1].loglik))


def source(fit, null, scheme, m, seed=None):
    """The rearranged responses a test sees, from the null model's ML coefficients."""
    ml = null.refit_ml()
    mean = ml.design.X @ ml.estimate.beta
    # permutation_test gives each term a seed of its own.
    own = np.random.SeedSequence(seed).spawn(1)[0]
    return Rearranged.of(mean, fit.design.response - mean, scheme, own, m)


@pytest.mark.parametrize(
    ("formula", "null", "name"),
    [
        ("y ~ x + (1 | g)", "y ~ 1 + (1 | g)", "within"),
        ("y ~ z + (1 | g)", "y ~ 1 + (1 | g)", "groups"),
        ("y ~ x + (x | g)", "y ~ 1 + (x | g)", "signs"),
        ("y ~ z + x + (x | g)", "y ~ x + (x | g)", "groups"),
    ],
)
def test_statistics_are_those_of_fits(formula, null, name):
    data = layout()
    fit, below = mx.lmer(formula, data), mx.lmer(null, data)
    term = next(t for t in ("z", "x") if t in formula.split("(")[0] and f"{t} +" not in null)
    table = fit.permutation_test(term, nsim=4, seed=5)
    assert table["scheme"] == (name,)
    codes = fit.design.random[0].codes
    scheme = {
        "within": lambda: within_blocks(blocks_of(fit.design), "g"),
        "groups": lambda: whole_groups(codes, "g"),
        "signs": lambda: signs(codes, "g"),
    }[name]()
    Y = source(fit, below, scheme, 4, seed=5).block(0, 4)
    expected = [likelihood_ratio(data, y, formula, null) for y in Y.T]
    # Differences of two optima found to 1e-9 each.
    np.testing.assert_allclose(table.draws[:, 0], expected, atol=1e-6)
    observed = likelihood_ratio(data, data["y"], formula, null)
    assert table["statistic"][0] == pytest.approx(observed, abs=1e-7)
    count = sum(t >= observed for t in expected)
    assert table["p_value"][0] == (1 + count) / 5


def test_within_keeps_blocks_and_moves_their_rows():
    data = layout(J=6, r=5)
    data = data.iloc[np.random.default_rng(1).permutation(len(data))].iloc[:-3]
    codes = data["g"].to_numpy()
    r = np.random.default_rng(2).standard_normal(codes.size)
    found = within_blocks(codes, "g").apply(np.random.default_rng(3), r, 200)
    for j in range(6):
        rows = codes == j
        np.testing.assert_array_equal(np.sort(found[:, rows], axis=1), [np.sort(r[rows])] * 200)
    # Every value comes to every place of its block as often: 200 draws, 5 places at most.
    first = np.flatnonzero(codes == 0)
    share = (found[:, first[0]] == r[first[1]]).mean()
    assert abs(share - 1 / first.size) < 4 * np.sqrt(0.16 / 200)


def test_whole_groups_travel_together():
    codes = np.tile(np.arange(5, dtype=np.int32), 3)  # rows of a group apart
    r = np.arange(15.0)
    found = whole_groups(codes, "g").apply(np.random.default_rng(3), r, 50)
    vectors = {tuple(r[codes == j]) for j in range(5)}
    for row in found:
        assert {tuple(row[codes == j]) for j in range(5)} == vectors
    assert len({tuple(row) for row in found}) > 25


def test_all_sign_changes_where_they_are_few():
    data = layout(J=6, effect=0.7, slopes=0.5)
    formula, null = "y ~ x + (x | g)", "y ~ 1 + (x | g)"
    table = mx.lmer(formula, data).permutation_test(nsim=99, seed=1)
    assert table["n"][0] == 64
    assert any("all 64 arrangements" in note for note in table.notes)
    below = mx.lmer(null, data, reml=False)
    mean = float(below.fixef.iloc[0])
    r = data["y"].to_numpy() - mean
    statistics = [
        likelihood_ratio(data, mean + r * np.array(s)[data["g"]], formula, null)
        for s in product([1, -1], repeat=6)
    ]
    expected = np.mean(np.array(statistics) >= statistics[0] - 1e-6)
    assert table["p_value"][0] == expected
    np.testing.assert_allclose(np.sort(table.draws[:, 0]), np.sort(statistics), atol=1e-6)


def test_groups_as_the_exact_test_of_group_means():
    # Balanced: the statistic grows with the difference of means, so its p value is that of all
    # 70 ways to call 4 of 8 groups "a".
    data = layout(J=8, seed=4)
    fit = mx.lmer("y ~ z + (1 | g)", data)
    table = fit.permutation_test(nsim=1999, seed=1)
    means = data.groupby("g")["y"].mean().to_numpy()
    ways = [
        abs(means[list(c)].sum() - np.delete(means, list(c)).sum())
        for c in combinations(range(8), 4)
    ]
    observed = abs(means[:4].sum() - means[4:].sum())
    exact = np.mean(np.array(ways) >= observed - 1e-9)
    assert abs(table["p_value"][0] - exact) < 4 * np.sqrt(exact * (1 - exact) / 1999)


def test_within_as_the_permutation_test_of_least_squares():
    # Balanced, x with one mean: the statistic grows with the F of x beside dummies of the groups.
    data = layout(J=5, r=6, seed=3, effect=0.3)
    fit = mx.lmer("y ~ x + (1 | g)", data)
    table = fit.permutation_test(nsim=999, seed=1)
    rng = np.random.default_rng(5)
    y, x = data["y"].to_numpy().reshape(5, 6), data["x"].to_numpy().reshape(5, 6)
    inner = y - y.mean(axis=1, keepdims=True)

    def slope(values):
        return abs((values * x).sum())

    others = [slope(rng.permuted(inner, axis=1)) for _ in range(999)]
    p = (1 + sum(s >= slope(inner) for s in others)) / 1000
    assert abs(table["p_value"][0] - p) < 4 * np.sqrt(2 * p * (1 - p) / 999)


@pytest.mark.parametrize(
    ("formula", "name"), [("y ~ x", "within"), ("y ~ z", "groups"), ("y ~ x", "signs")]
)
def test_size_under_the_null(formula, name):
    # 100 data sets without effects: 5 rejections at 5 % expected, binomial sd 2.2; 13 or more come
    # once in a thousand.
    rejected = 0
    random = "(x | g)" if name == "signs" else "(1 | g)"
    for seed in range(100):
        data = layout(J=10, r=4, seed=seed, slopes=0.8 if name == "signs" else 0.0)
        table = mx.lmer(f"{formula} + {random}", data).permutation_test(nsim=59, seed=seed)
        assert table["scheme"] == (name,)
        rejected += table["p_value"][0] <= 0.05
    assert rejected < 13


def test_several_terms_and_the_same_numbers_again():
    data = layout(effect=0.5)
    fit = mx.lmer("y ~ z * x + (1 | g)", data)
    table = fit.permutation_test(nsim=60, seed=1, threads=1)
    assert table.index == ("z:x",)
    fit = mx.lmer("y ~ z + x + (1 | g)", data)
    table = fit.permutation_test(nsim=60, seed=1, threads=1)
    assert table.index == ("z", "x")
    assert list(table.to_frame().columns) == ["scheme", "statistic", "df", "n", "p_value"]
    again = fit.permutation_test(["z", "x"], nsim=60, seed=1, threads=2)
    np.testing.assert_array_equal(table.draws, again.draws)
    assert "Freedman" in str(table)


def test_codings_that_change_without_the_term():
    # Without x the factor z has a column per level, as it has with it; without z the constant is
    # gone from the model, as R has it.
    data = layout(effect=0.5)
    fit = mx.lmer("y ~ 0 + z + x + (1 | g)", data)
    table = fit.permutation_test("x", nsim=30, seed=1)
    same = mx.lmer("y ~ z + x + (1 | g)", data).permutation_test("x", nsim=30, seed=1)
    np.testing.assert_allclose(table.draws, same.draws, atol=1e-6)
    assert table["df"].tolist() == [1.0]
    # A redundant column comes back where the term it depended on goes.
    data["x2"] = 2.0 * data["x"]
    with pytest.warns(mx.DesignWarning):
        fit = mx.lmer("y ~ x + x2 + (1 | g)", data)
    with pytest.raises(mx.OptionError, match="x adds nothing to the other terms"):
        fit.permutation_test("x")


def test_weights_must_be_alike_where_rows_are_exchanged():
    data = layout()
    data["w"] = np.tile([1.0, 1.0, 2.0, 2.0], 10)
    fit = mx.lmer("y ~ x + (1 | g)", data, weights="w")
    table = fit.permutation_test(nsim=20, seed=1)
    # Rows of one weight only: two blocks in each group, in which x still varies.
    assert table["scheme"] == ("within",)
    r = np.arange(40.0)
    found = within_blocks(blocks_of(fit.design), "g").apply(np.random.default_rng(1), r, 50)
    weight = data["w"].to_numpy()
    np.testing.assert_array_equal(weight[found.astype(int)], np.tile(weight, (50, 1)))
    data["w"] = 1.0 + np.arange(40)
    fit = mx.lmer("y ~ x + (1 | g)", data, weights="w")
    assert fit.permutation_test(nsim=20, seed=1)["scheme"] == ("signs",)


def test_unequal_groups_change_signs():
    data = layout().iloc[:-1]
    fit = mx.lmer("y ~ z + (1 | g)", data)
    assert fit.permutation_test(nsim=20, seed=1)["scheme"] == ("signs",)
    with pytest.raises(mx.OptionError, match=r'not exchangeable\. Use scheme="signs"'):
        fit.permutation_test(scheme="groups")


def test_what_is_refused():
    data = layout()
    fit = mx.lmer("y ~ x + z + (1 | g)", data)
    slopes = mx.lmer("y ~ x + (x | g)", data)
    cases = [
        (fit, {"terms": "q"}, "no fixed-effect term 'q'"),
        (fit, {"nsim": 0}, "nsim must be a whole number"),
        (fit, {"scheme": "sign"}, 'Did you mean "signs"'),
        (fit, {"within": "h"}, "no grouping factor 'h'"),
        (fit, {"within": "g", "scheme": "signs"}, 'within is for scheme="within"'),
        (fit, {"terms": "z", "scheme": "within"}, "z is constant within g"),
        (fit, {"terms": "x", "scheme": "groups"}, "is the same in all levels of g"),
        (slopes, {"within": "g"}, "random effects or weights change within levels of g"),
        (fit, {"perms": 3}, 'no argument "perms"'),
        (mx.lmer("y ~ x * z + (1 | g)", data), {"terms": "x"}, "x is part of x:z"),
        (mx.lmer("y ~ 1 + (1 | g)", data), {}, "no fixed-effect term to test"),
        (mx.lmer("y ~ x + (x | g)", layout(J=4)), {}, "4 of them have too few arrangements"),
    ]
    for model, options, message in cases:
        with pytest.raises(mx.OptionError, match=message):
            model.permutation_test(**options)


def test_crossed_factors():
    rng = np.random.default_rng(1)
    g, h = np.repeat(np.arange(8), 12), np.tile(np.repeat(np.arange(6), 2), 8)
    data = pd.DataFrame({"g": g, "h": h, "w": np.tile([0.0, 1.0], 48), "v": (h < 3) * 1.0})
    data["y"] = rng.standard_normal(8)[g] + rng.standard_normal(6)[h] + rng.standard_normal(96)
    fit = mx.lmer("y ~ w + v + (1 | g) + (1 | h)", data)
    # Two rows in each cell, which differ in w: they can be exchanged.
    assert fit.permutation_test("w", nsim=20, seed=1)["scheme"] == ("within",)
    with pytest.raises(mx.OptionError, match=r"are crossed.*bootstrap_lrt"):
        fit.permutation_test("v")
