"""Where a user of R's emmeans would look twice: numbers of emmeans 1.8.4.1 on warpbreaks."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixeff as mx
from mixeff.inference.marginal.scale import response_scale

Z = {"ddf": "asymptotic"}
# R: warpbreaks$breaks; nine rows of each wool and tension
BREAKS = [
    26, 30, 54, 25, 70, 52, 51, 26, 67, 18, 21, 29, 17, 12, 18, 35, 30, 36, 36, 21, 24, 18, 10, 43,
    28, 15, 26, 27, 14, 29, 19, 29, 31, 41, 20, 44, 42, 26, 19, 16, 39, 28, 21, 39, 29, 20, 21, 24,
    17, 13, 15, 15, 16, 28,
]  # fmt: skip


@cache
def frame() -> pd.DataFrame:
    """R: d <- warpbreaks; d$loom <- factor(rep(1:6, 9)); d$p <- d$breaks/80."""
    breaks = np.array(BREAKS, dtype=float)
    return pd.DataFrame(
        {
            "breaks": breaks,
            "wool": np.repeat(["A", "B"], 27),
            "tension": pd.Categorical(np.tile(np.repeat(["L", "M", "H"], 9), 2), ["L", "M", "H"]),
            "loom": np.tile(np.arange(1, 7), 9).astype(str),
            "p": breaks / 80,
            "x": (np.arange(54) * 7) % 11 / 3,
        }
    )


def fit(response: str, terms: str = "wool + tension", data: Any = None) -> Any:
    return mx.lmer(f"{response} ~ {terms} + (1 | loom)", frame() if data is None else data)


# summary(emmeans(lmer(... ~ wool + tension + (1|loom), d), "tension"), type = "response")
UNDONE = {
    "scale(breaks)": (
        [36.38888889, 26.38888889, 21.66666667],
        [2.850741053, 2.850741053, 2.850741053],
        [30.80153910, 20.80153910, 16.07931687],
    ),
    "2 * sqrt(breaks)": (
        [34.72583195, 25.62689971, 20.96990448],
        [3.052010819, 2.621849592, 2.371690234],
        [29.00160648, 20.74577476, 16.57908286],
    ),
    "asin(sqrt(p))": (
        [0.4557191594, 0.3249948593, 0.2656310829],
        [0.03834699546, 0.03606309207, 0.03400695639],
        [0.3813486505, 0.2565694793, 0.2018950682],
    ),
}


@pytest.mark.parametrize("response", UNDONE)
def test_responses_of_several_functions(response: str) -> None:
    table = fit(response).marginal_means("tension", type="response", **Z)
    for name, want in zip(("estimate", "std_error", "lower"), UNDONE[response], strict=True):
        np.testing.assert_allclose(table[name], want, rtol=1e-6)


@pytest.mark.parametrize(
    ("response", "inverse"),
    [
        ("-log(breaks / 10)", lambda x: 10 * np.exp(-x)),
        ("3 - 2 * scale(log(breaks + 1))", None),
        ("2^(breaks / 50)", lambda x: 50 * np.log2(x)),
        ("expm1(p)", np.log1p),
        ("1 / sqrt(breaks)", lambda x: 1 / x**2),
        ("center(breaks)", lambda x: x + np.mean(BREAKS)),
        ("I((breaks - 20)^3)", lambda x: 20 + np.cbrt(x)),
        ("log(breaks, base = 1 / 2)", lambda x: 0.5**x),
    ],
)
def test_chains_of_functions(response: str, inverse: Any) -> None:
    model = fit(response)
    link = model.marginal_means("tension", **Z)
    table = model.marginal_means("tension", type="response", **Z)
    if inverse is None:
        logs = np.log(np.array(BREAKS) + 1.0)
        center, spread = logs.mean(), logs.std(ddof=1)

        def inverse(x: Any) -> Any:
            return np.exp((3 - x) / 2 * spread + center) - 1

    eta, step = np.asarray(link["estimate"]), 1e-5
    np.testing.assert_allclose(table["estimate"], inverse(eta), rtol=1e-12)
    slope = (inverse(eta + step) - inverse(eta - step)) / (2 * step)
    # a central difference with this step is good to about 1e-8 of so smooth functions
    np.testing.assert_allclose(
        table["std_error"], np.abs(slope) * np.asarray(link["std_error"]), rtol=1e-6
    )
    ends = np.sort([inverse(np.asarray(link[name])) for name in ("lower", "upper")], axis=0)
    np.testing.assert_allclose([table["lower"], table["upper"]], ends, rtol=1e-12)


def test_ratios_of_multiples_of_logarithms() -> None:
    plain = fit("log(breaks)").marginal_means("tension", type="response", **Z).contrast()
    for response in ("log2(breaks)", "3 * log(2 * breaks) - 1", "log10(breaks) / 2"):
        table = fit(response).marginal_means("tension", type="response", **Z).contrast()
        assert table["contrast"][0] == "L / M"
        # fits of multiples of one response; the criterion is flat to about 1e-8 at the optimum
        for name in ("estimate", "std_error", "lower", "p_value"):
            np.testing.assert_allclose(table[name], plain[name], rtol=1e-5)


def test_interval_across_the_end_of_a_function() -> None:
    scale = response_scale(fit("sqrt(breaks)"))
    # sqrt(y) between -1 and 3 is y up to 9; between -3 and -1 it is nothing, and left alone
    low, high = scale.interval(np.array([1.0, -2.0]), np.array([-1.0, -3.0]), np.array([3.0, -1.0]))
    np.testing.assert_allclose([low, high], [[0.0, 1.0], [9.0, 9.0]])
    scale = response_scale(fit("1 / breaks"))
    low, high = scale.interval(np.array([0.1]), np.array([-0.1]), np.array([0.2]))
    assert (low[0], high[0]) == (5.0, math.inf)


def test_a_response_that_cannot_be_undone_is_said() -> None:
    table = fit("abs(breaks - 30)").marginal_means("tension", type="response", **Z)
    np.testing.assert_array_equal(
        table["estimate"], fit("abs(breaks - 30)").marginal_means("tension", **Z)["estimate"]
    )
    assert any("The response is abs(breaks - 30), taken as it is" in n for n in table.notes)
    plain = fit("breaks").marginal_means("tension", type="response", **Z)
    assert not any("taken as it is" in note for note in plain.notes)


def test_mean_over_everything() -> None:
    # emmeans(lmer(log(breaks) ~ wool + tension + (1|loom), d), "1")
    for specs in ("1", "~ 1", []):
        table = fit("log(breaks)").marginal_means(specs, **Z)
        np.testing.assert_allclose(table["estimate"], [3.241362369], rtol=1e-8)
        np.testing.assert_allclose(table["std_error"], [0.06876599062], rtol=1e-5)
    assert fit("log(breaks)").marginal_means("~ 1 | wool", **Z)["wool"] == ("A", "B")


def test_changes_of_the_mean() -> None:
    # contrast(emmeans(m, "tension"), "mean_chg", adjust = "none")
    means = fit("log(breaks)").marginal_means("tension", **Z)
    table = means.contrast("mean_chg", adjust="none")
    assert table["contrast"] == ("L|M", "M|H")
    np.testing.assert_allclose(table["estimate"], [-0.3881992423, -0.3457128623], rtol=1e-6)
    np.testing.assert_allclose(table["std_error"], [0.1084491487] * 2, rtol=1e-5)
    assert any("mvt method" in note for note in means.contrast("mean_chg").notes)


def test_differences_of_nothing_are_zero_for_certain() -> None:
    slopes = fit("breaks", "wool + tension * x").slopes("x", by=["wool", "tension"], **Z)
    table = slopes.contrast("pairwise", by="tension")
    np.testing.assert_array_equal(table["estimate"], np.zeros(3))
    np.testing.assert_array_equal(table["std_error"], np.zeros(3))
    np.testing.assert_array_equal(table["lower"], np.zeros(3))
    assert np.isnan(table["p_value"]).all()
    # far from exact in floating point: the averages do not cancel digit by digit
    effects = fit("breaks", "wool * tension + x").slopes("x", by=["wool", "tension"], **Z)
    eff = effects.contrast("eff", adjust="none")
    np.testing.assert_array_equal(eff["std_error"], np.zeros(6))


def holes() -> pd.DataFrame:
    return frame()[~((frame()["wool"] == "B") & (frame()["tension"] == "H"))]


def test_what_does_not_need_the_empty_cell_is_estimated() -> None:
    with pytest.warns(mx.DesignWarning):
        model = fit("log(breaks)", "wool * tension", holes())
    means = model.marginal_means(["wool", "tension"], weights="cells", **Z)
    assert np.isnan(means["estimate"][5])
    cells = np.asarray(means["estimate"])
    crossed = means.contrast(interaction=["pairwise", "consecutive"])
    np.testing.assert_allclose(
        crossed["estimate"],
        [(cells[2] - cells[0]) - (cells[3] - cells[1]), np.nan],
        rtol=1e-10,
    )
    # the same through a transformation, whose slope is not a number in the empty cell
    pairs = model.marginal_means("tension", by="wool", **Z).regrid().contrast(adjust="none")
    responses = np.exp(cells[[0, 2, 4, 1, 3]])
    want = [responses[0] - responses[1], responses[0] - responses[2], responses[1] - responses[2]]
    np.testing.assert_allclose(
        pairs["estimate"], [*want, responses[3] - responses[4], np.nan, np.nan], rtol=1e-10
    )


@pytest.mark.parametrize(("scale", "shift"), [(86400.0, 1.6e9), (1e9, 1.6e18), (1e-9, 0.0)])
def test_units_of_a_covariate_do_not_matter(scale: float, shift: float) -> None:
    # seconds and nanoseconds since 1970: what is estimable, and tests, stay what they are
    other = holes().assign(x=holes()["x"] * scale + shift)
    with pytest.warns(mx.DesignWarning):
        first = fit("breaks", "wool * tension + x", holes())
    with pytest.warns(mx.DesignWarning):
        second = fit("breaks", "wool * tension + x", other)
    means = [m.marginal_means("tension", by="wool", **Z) for m in (first, second)]
    assert np.isnan(means[1]["estimate"][5])
    # 1.6e18 leaves 256 nanoseconds between numbers, 3e-8 of the spread of x
    np.testing.assert_allclose(means[1]["estimate"], means[0]["estimate"], rtol=1e-5)
    tests = [m.joint_tests(**Z) for m in (first, second)]
    assert tests[1]["term"] == tests[0]["term"] == ("tension", "x", "wool:tension")
    for name in ("num_df", "f_value"):
        np.testing.assert_allclose(tests[1][name], tests[0][name], rtol=1e-4)
    scheffe = [t.contrast("pairwise", adjust="scheffe")["p_value"] for t in means]
    np.testing.assert_allclose(scheffe[1], scheffe[0], rtol=1e-4)


def test_a_family_is_what_can_be_compared() -> None:
    with pytest.warns(mx.DesignWarning):
        model = fit("log(breaks)", "wool * tension", holes())
    table = model.marginal_means("tension", by="wool", **Z).contrast("pairwise")
    z = np.abs(np.asarray(table["statistic"], dtype=float))
    # Three levels are compared in wool A; one pair is left in B, no reason to adjust.
    three = stats.studentized_range.sf(z[:3] * math.sqrt(2), 3, np.inf)
    np.testing.assert_allclose(table["p_value"][:3], three, rtol=1e-6)
    np.testing.assert_allclose(table["p_value"][3], 2 * stats.norm.sf(z[3]), rtol=1e-10)
    assert any("comparing a family of 2 to 3 estimates" in note for note in table.notes)


def test_rows_count_one_whatever_their_prior_weight() -> None:
    # emmeans counts rows too (in 1.8.4.1 unless the formula calls a function)
    data = frame().iloc[:40].assign(w=np.linspace(0.2, 3.0, 40))
    model = mx.lmer("breaks ~ wool + tension + (1 | loom)", data, weights="w")
    share = data["wool"].value_counts(normalize=True)
    equal = model.marginal_means(["tension", "wool"], **Z).to_frame()
    cells = equal.set_index(["tension", "wool"])["estimate"].unstack()
    np.testing.assert_allclose(
        model.marginal_means("tension", weights="proportional", **Z)["estimate"],
        (cells * share).sum(axis=1).loc[["L", "M", "H"]],
        rtol=1e-12,
    )


def test_interaction_contrasts_are_not_adjusted_unless_asked() -> None:
    # contrast(emmeans(m, "tension"), interaction = "pairwise") has adjust = "none"
    means = fit("log(breaks)").marginal_means("tension", **Z)
    plain = means.contrast("pairwise", adjust="none")
    np.testing.assert_array_equal(
        means.contrast(interaction="pairwise")["p_value"], plain["p_value"]
    )
    tukey = means.contrast(interaction="pairwise", adjust="tukey")
    np.testing.assert_array_equal(tukey["p_value"], means.contrast("pairwise")["p_value"])


def test_signs_in_labels_of_effects() -> None:
    data = frame().assign(kind=np.where(frame()["wool"] == "A", "A-1", "B"))
    effects = fit("breaks", "kind", data).marginal_means("kind", **Z).contrast("eff")
    assert effects["contrast"] == ("(A-1) effect", "B effect")
