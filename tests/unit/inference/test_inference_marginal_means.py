"""Marginal means: closed forms, brute-force averages of model rows, R's emmeans, estimability."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from support.reference import load_frame

Z = {"ddf": "asymptotic"}


@cache
def arabidopsis() -> Any:
    # R: lmer(log(total.fruits + 1) ~ amd * status + nutrient + factor(rack) + reg + (1 | gen))
    return mx.lmer(
        "log(total.fruits + 1) ~ amd * status + nutrient + factor(rack) + reg + (1 | gen)",
        load_frame("Arabidopsis"),
    )


def some_data(seed: int = 1) -> pd.DataFrame:
    """Unbalanced: two factors, a covariate, twelve groups."""
    rng = np.random.default_rng(seed)
    n = 240
    frame = pd.DataFrame(
        {
            "a": rng.choice(["u", "v", "w"], n, p=[0.5, 0.3, 0.2]),
            "b": rng.choice(["k", "l"], n, p=[0.7, 0.3]),
            "x": rng.gamma(3.0, 1.0, n),
            "g": rng.integers(0, 12, n).astype(str),
        }
    )
    effect = {"u": 0.0, "v": 1.0, "w": -0.5}
    frame["y"] = (
        frame.a.map(effect)
        + 0.3 * np.log(frame.x)
        + 0.4 * (frame.b == "l") * (frame.a == "v")
        + 0.5 * rng.standard_normal(12)[frame.g.astype(int)]
        + rng.standard_normal(n)
    )
    return frame


@cache
def fitted() -> Any:
    return mx.lmer("y ~ a * b + log(x) + (1 | g)", some_data())


def test_balanced_one_way_means_are_cell_means() -> None:
    # In a balanced one-way layout with crossed blocks the fixed part reproduces the cell means.
    frame = mx.load_dataset("ergoStool")
    table = mx.lmer("effort ~ Type + (1 | Subject)", frame).marginal_means("Type", **Z)
    cells = frame.groupby("Type", observed=True)["effort"].mean()
    np.testing.assert_allclose(table["estimate"], cells.to_numpy(), rtol=1e-10)
    assert table["Type"] == tuple(cells.index)
    assert list(table.to_frame()) == ["Type", "estimate", "std_error", "df", "lower", "upper"]


def by_hand(fit: Any, weights: dict[str, float], level: str) -> np.ndarray:
    """The row of X averaged over b, written out from R's column names."""
    x = float(np.log(some_data().x.mean()))
    rows = []
    for b, w in weights.items():
        value = {
            "(Intercept)": 1.0,
            "av": float(level == "v"),
            "aw": float(level == "w"),
            "bl": float(b == "l"),
            "log(x)": x,
            "av:bl": float(level == "v" and b == "l"),
            "aw:bl": float(level == "w" and b == "l"),
        }
        rows.append(w * np.array([value[name] for name in fit.fixef.index]))
    return np.sum(rows, axis=0)


@pytest.mark.parametrize("weights", ["equal", "proportional", "outer", "cells"])
def test_means_are_averages_of_model_rows(weights: str) -> None:
    fit, frame = fitted(), some_data()
    table = fit.marginal_means("a", weights=weights, **Z)
    beta, covariance = fit.fixef.to_numpy(), fit.vcov.to_numpy()
    share = frame.b.value_counts(normalize=True)
    for j, level in enumerate("uvw"):
        own = frame.b[frame.a == level].value_counts(normalize=True)
        scheme = {
            "equal": {"k": 0.5, "l": 0.5},
            "proportional": dict(share),
            "outer": dict(share),
            "cells": dict(own),
        }[weights]
        row = by_hand(fit, scheme, level)
        se = float(np.sqrt(row @ covariance @ row))
        np.testing.assert_allclose(table["estimate"][j], row @ beta, rtol=1e-10)
        np.testing.assert_allclose(table["std_error"][j], se, rtol=1e-10)
        np.testing.assert_allclose(table["upper"][j], row @ beta + 1.959963984540054 * se)
        assert table["df"][j] == np.inf


# emmeans(m, "reg", weights = w), emm_options(lmer.df = "asymptotic"), emmeans 1.8.4.1
R_WEIGHTS = {
    "equal": ([2.25830412, 2.91620746, 1.672146], [0.23606638, 0.15433565, 0.19425625]),
    "proportional": ([2.35999814, 3.01790148, 1.77384003], [0.23498931, 0.15062897, 0.19152227]),
    "outer": ([2.35882567, 3.01672902, 1.77266756], [0.23504551, 0.15063051, 0.19151593]),
    "cells": ([2.33279947, 3.03278288, 1.76835467], [0.23450903, 0.15041629, 0.19158761]),
    "flat": ([2.2652512, 2.91620746, 1.672146], [0.23577463, 0.15433565, 0.19425625]),
}


@pytest.mark.parametrize("weights", R_WEIGHTS)
def test_weights_as_emmeans(weights: str) -> None:
    # `nutrient` has two values and `rack` is made a factor: both count as factors.
    table = arabidopsis().marginal_means("reg", weights=weights, **Z)
    means, errors = R_WEIGHTS[weights]
    # the optima of lme4 and of this package agree to about 1e-6
    np.testing.assert_allclose(table["estimate"], means, rtol=2e-6)
    np.testing.assert_allclose(table["std_error"], errors, rtol=2e-6)


def test_coding_of_factors_does_not_matter() -> None:
    frame = some_data()
    tables = [
        mx.lmer("y ~ a * b + log(x) + (1 | g)", frame, contrasts=c).marginal_means("a", "b")
        for c in (None, {"a": "sum", "b": "helmert"}, {"a": "difference", "b": "sum"})
    ]
    for other in tables[1:]:
        for name in ("estimate", "std_error", "df"):
            # criterion flat to rounding at the optimum: its place, and so df, agree to about 1e-6
            np.testing.assert_allclose(other[name], tables[0][name], rtol=1e-5)


def test_at_replaces_values_and_keeps_their_order() -> None:
    fit = fitted()
    table = fit.marginal_means(["a", "x"], at={"a": ["w", "u"], "x": [1.0, 2.0], "b": "l"}, **Z)
    assert table["a"] == ("w", "u", "w", "u")
    np.testing.assert_array_equal(table["x"], [1.0, 1.0, 2.0, 2.0])
    beta = fit.fixef
    want = [
        beta["(Intercept)"]
        + beta["bl"]
        + np.log(x) * beta["log(x)"]
        + (beta["aw"] + beta["aw:bl"] if a == "w" else 0.0)
        for x in (1.0, 2.0)
        for a in "wu"
    ]
    np.testing.assert_allclose(table["estimate"], want, rtol=1e-10)


def test_truth_values_are_a_factor() -> None:
    frame = some_data()
    frame["late"] = frame.x > 3
    fit = mx.lmer("y ~ late + a + (1 | g)", frame)
    table = fit.marginal_means("late", **Z)
    assert table["late"] == ("FALSE", "TRUE")
    np.testing.assert_allclose(np.diff(table["estimate"]), fit.fixef["lateTRUE"], rtol=1e-10)
    only = fit.marginal_means("a", at={"late": True}, **Z)
    np.testing.assert_allclose(
        only["estimate"][0], fit.fixef["(Intercept)"] + fit.fixef["lateTRUE"], rtol=1e-10
    )


def test_rows_left_out_do_not_count() -> None:
    frame = some_data()
    frame.loc[:20, "y"] = np.nan
    fit = mx.lmer("y ~ a + x + (1 | g)", frame)
    mean = frame.x[21:].mean()
    beta = fit.fixef
    table = fit.marginal_means("a", **Z)
    np.testing.assert_allclose(
        table["estimate"][0], beta["(Intercept)"] + mean * beta["x"], rtol=1e-10
    )


def lacking() -> Any:
    frame = load_frame("Arabidopsis")
    frame = frame[~((frame.amd == "clipped") & (frame.status == "Petri.Plate"))]
    with pytest.warns(mx.DesignWarning):
        return mx.lmer("log(total.fruits + 1) ~ amd * status + reg + (1 | gen)", frame)


def test_what_the_data_cannot_estimate_is_said() -> None:
    fit = lacking()
    # R: emmeans(m, ~ amd | status): clipped Petri.Plate is nonEst
    table = fit.marginal_means("amd", "status", **Z)
    want = [2.32352832577036, 2.69448064186959, np.nan]
    want += [2.26203617162398, 2.14385835141125, 2.41326695802078]
    errors = [0.14768007879832, 0.147534396585839, np.nan]
    errors += [0.223786133938409, 0.197319768348962, 0.195854965487999]
    np.testing.assert_allclose(table["estimate"], want, rtol=2e-6)
    np.testing.assert_allclose(table["std_error"], errors, rtol=2e-5)
    assert any("Not estimable" in n and "clipped Petri.Plate." in n for n in table.notes)
    # R: contrast(...): the difference within Petri.Plate is nonEst, the others are not
    pairs = table.contrast("pairwise")
    np.testing.assert_allclose(
        pairs["estimate"], [-0.370952316099231, np.nan, -0.269408606609526], rtol=5e-6
    )
    # R: emmeans(m, ~ amd, weights = "cells" / "flat") can be estimated, equal weights cannot
    assert np.isnan(fit.marginal_means("amd", **Z)["estimate"][0])
    for weights, means in {
        "cells": [2.33326300711468, 2.62161422680704],
        "flat": [2.23369333859081, 2.45659459050478],
    }.items():
        table = fit.marginal_means("amd", weights=weights, **Z)
        np.testing.assert_allclose(table["estimate"], means, rtol=2e-6)


def test_differences_of_inestimable_means_may_be_estimable() -> None:
    # Two designs without a common level: a mean of a averaged over b is not estimable,
    # differences within a design are.
    rng = np.random.default_rng(3)
    n = 80
    a = rng.integers(0, 4, n)
    b = rng.integers(0, 2, n) + 2 * (a > 1)
    frame = {"a": [f"a{j}" for j in a], "b": [f"b{j}" for j in b]}
    frame |= {"y": rng.standard_normal(n) + a, "g": (np.arange(n) % 8).astype(str)}
    with pytest.warns(mx.DesignWarning):
        fit = mx.lmer("y ~ b + a + (1 | g)", frame)
    means = fit.marginal_means("a", **Z)
    assert np.isnan(means["estimate"]).all()
    pairs = means.contrast("pairwise", adjust="none").to_frame().set_index("contrast")["estimate"]
    assert np.isfinite(pairs[["a0 - a1", "a2 - a3"]]).all()
    assert np.isnan(pairs[["a0 - a2", "a0 - a3", "a1 - a2", "a1 - a3"]]).all()


def test_joint_tests_of_what_can_be_estimated() -> None:
    # R: joint_tests(m): status and amd:status keep one df each ("e"), amd none
    table = lacking().joint_tests(**Z)
    assert table["term"] == ("status", "reg", "amd:status")
    np.testing.assert_array_equal(table["num_df"], [1, 2, 1])
    np.testing.assert_allclose(
        table["p_value"], [0.0983848167922248, 1.07157798520685e-05, 0.706767169101555], rtol=5e-5
    )
    assert any("nothing of amd " in note for note in table.notes)


def test_joint_tests_within_levels() -> None:
    # R: joint_tests(m, by = "status")
    table = arabidopsis().joint_tests("status", **Z).to_frame()
    amd = table[table["term"] == "amd"]
    assert list(amd["status"]) == ["Normal", "Petri.Plate", "Transplant"]
    np.testing.assert_allclose(
        amd["p_value"], [0.00324064817795927, 0.0540019426667078, 0.438920031220041], rtol=5e-5
    )


def test_joint_tests_of_a_table() -> None:
    means = fitted().marginal_means(["a", "b"], at={"x": 1.0})
    # the variables of the table are all factors of the model: the same hypotheses as the model's
    own = means.joint_tests().to_frame()
    model = fitted().joint_tests().to_frame().set_index("term")
    for _, row in own.iterrows():
        np.testing.assert_allclose(row["f_value"], model.loc[row["term"], "f_value"], rtol=1e-8)
        np.testing.assert_allclose(row["den_df"], model.loc[row["term"], "den_df"], rtol=1e-8)
    within = means.joint_tests(by="b")
    assert within["term"] == ("a", "a")
    assert within["b"] == ("k", "l")


def test_transformed_response() -> None:
    # R: emmeans(m, ~ status, type = "response"): exp(.) - 1
    fit = arabidopsis()
    table = fit.marginal_means("status", type="response", **Z)
    np.testing.assert_allclose(
        table["estimate"], [10.610861632552, 7.38026613177861, 8.66814920706257], rtol=5e-6
    )
    np.testing.assert_allclose(
        table["std_error"], [1.38793658777745, 1.37210850199126, 1.41222460415157], rtol=5e-6
    )
    np.testing.assert_allclose(
        table["lower"], [8.18573070874257, 5.07980734061711, 6.26120179764511], rtol=5e-6
    )
    # contrast(regrid(emmeans(m, ~ status)), "pairwise", adjust = "none")
    pairs = table.regrid().contrast("pairwise", adjust="none")
    np.testing.assert_allclose(
        pairs["estimate"], [3.2305955007734, 1.94271242548943, -1.28788307528397], rtol=1e-5
    )
    np.testing.assert_allclose(
        pairs["p_value"], [0.0189802475483827, 0.120175582664152, 0.395415291954846], rtol=5e-5
    )


@pytest.mark.parametrize(
    ("response", "inverse"),
    [
        ("log(y)", np.exp),
        ("log2(y)", np.exp2),
        ("log(y, 10)", lambda x: 10.0**x),
        ("log(2 + y)", lambda x: np.exp(x) - 2.0),
        ("log1p(y)", np.expm1),
        ("sqrt(y)", np.square),
        ("I(1 / y)", lambda x: 1.0 / x),
        ("I(y^2)", np.sqrt),
        ("I(y^(1/3))", lambda x: x**3),
        ("exp(y)", np.log),
    ],
)
def test_transformations_are_undone(response: str, inverse: Any) -> None:
    frame = some_data()
    frame["y"] = np.exp(0.2 * frame["y"])
    fit = mx.lmer(f"{response} ~ a + (1 | g)", frame)
    link = fit.marginal_means("a", **Z)
    table = fit.marginal_means("a", type="response", **Z)
    eta, step = np.asarray(link["estimate"]), 1e-6
    np.testing.assert_allclose(table["estimate"], inverse(eta), rtol=1e-12)
    slope = (inverse(eta + step) - inverse(eta - step)) / (2 * step)
    # a central difference with this step is good to about 1e-9
    np.testing.assert_allclose(
        table["std_error"], np.abs(slope) * np.asarray(link["std_error"]), rtol=1e-7
    )
    ends = np.sort([inverse(np.asarray(link[name])) for name in ("lower", "upper")], axis=0)
    np.testing.assert_allclose([table["lower"], table["upper"]], ends, rtol=1e-12)


def test_offset_at_the_mean_of_its_variable() -> None:
    frame = mx.load_dataset("cbpp")
    by_formula = mx.glmer(
        "incidence ~ period + offset(log(size)) + (1 | herd)", frame, family="poisson"
    )
    table = by_formula.marginal_means("period", **Z)
    # The offset of a formula is that of the grid, log(mean(size)); emmeans 1.8.4.1 puts the mean of
    # the offsets, 2.537878, in its place, and then at= of `size` changes nothing.
    np.testing.assert_allclose(
        table["estimate"],
        by_formula.fixef["(Intercept)"]
        + np.log(frame["size"].mean())
        + np.append(0.0, by_formula.fixef[1:]),
        rtol=1e-10,
    )
    per_animal = by_formula.marginal_means("period", offset=0.0, type="response", **Z)
    np.testing.assert_allclose(per_animal["estimate"][0], np.exp(by_formula.fixef["(Intercept)"]))
    as_array = mx.glmer(
        "incidence ~ period + (1 | herd)",
        frame,
        family="poisson",
        offset=np.log(frame["size"].to_numpy(float)),
    )
    held = as_array.marginal_means("period", **Z)
    np.testing.assert_allclose(
        held["estimate"][0],
        as_array.fixef["(Intercept)"] + np.log(frame["size"]).mean(),
        rtol=1e-10,
    )
    assert any("offset" in note for note in held.notes)


def test_robust_covariance_and_ddf_reach_the_table() -> None:
    fit = fitted()
    satterthwaite = fit.marginal_means("a")
    kenward = fit.marginal_means("a", ddf="kenward-roger")
    assert np.isfinite(satterthwaite["df"]).all()
    assert not np.allclose(kenward["std_error"], satterthwaite["std_error"], rtol=1e-12)


def test_notes_say_what_was_done() -> None:
    notes = " ".join(fitted().marginal_means("a", **Z).notes)
    assert "Averaged over b with equal weights." in notes
    assert f"At x = {some_data().x.mean():.7g}." in notes
    assert "a interacts with b" in notes
    assert "confidence level 0.95" in notes
    response = fitted().marginal_means("~ a | b", level=0.9, **Z)
    assert response.title == "Marginal means of a within b"
    assert "confidence level 0.9," in " ".join(response.notes)


def test_variable_named_as_a_result() -> None:
    frame = some_data().rename(columns={"a": "df"})
    table = mx.lmer("y ~ df + (1 | g)", frame).marginal_means("df", **Z)
    assert table["df_"] == ("u", "v", "w")
    assert np.isinf(table["df"]).all()
