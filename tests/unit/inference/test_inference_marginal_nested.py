"""Marginal means of factors nested in others, against R's emmeans 1.8.4.1."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff import plots

Z = {"ddf": "asymptotic"}
LEVELS = ("ctl", "A1", "A2", "B1", "B2", "B3")
DRUGS = ("none", "A", "A", "B", "B", "B")
# Two optimizers agree to about 1e-6 in the estimates.
CLOSE = {"rtol": 2e-6}


@cache
def frame() -> pd.DataFrame:
    """Six treatments in three kinds, unbalanced; the R code of the same formulas is below."""
    i = np.arange(120)
    place = (i // 7) % 6
    treatment = pd.Categorical.from_codes(place, LEVELS)
    drug = pd.Categorical([DRUGS[j] for j in place], ("none", "A", "B"))
    x = ((5 * i) % 17) / 4
    y = ((7 * i * i + 3 * i) % 23) / 4 + (place + 1) / 2 + (i % 8) * 5 / 2 + x / 3
    sex = np.array(["f", "m"])[(i * i + i // 3) % 2]
    return pd.DataFrame(
        {"trt": treatment, "drug": drug, "sex": sex, "x": x, "g": (i % 8).astype(str), "y": y}
    )


@cache
def fit() -> Any:
    # i <- 0:119; trt <- c("ctl","A1","A2","B1","B2","B3")[1 + (i %/% 7) %% 6]; ...
    # m <- lmer(y ~ drug/trt + sex + x + (1|g), d)
    with pytest.warns(mx.DesignWarning):
        return mx.lmer("y ~ drug / trt + sex + x + (1 | g)", frame())


def test_means_over_what_occurs() -> None:
    # emmeans(m, "drug", lmer.df = "satterthwaite")
    table = fit().marginal_means("drug")
    np.testing.assert_allclose(table["estimate"], [12.13016112, 13.18386233, 14.29195870], **CLOSE)
    np.testing.assert_allclose(
        table["std_error"], [2.207531452, 2.191219937, 2.187669790], rtol=2e-5
    )
    np.testing.assert_allclose(table["df"], [7.352615081, 7.137956656, 7.091833984], rtol=1e-4)
    assert "trt is nested in drug: combinations that do not occur are left out." in table.notes
    # emmeans(m, "drug", weights = "proportional", lmer.df = "asymptotic")
    table = fit().marginal_means("drug", weights="proportional", **Z)
    np.testing.assert_allclose(table["estimate"], [12.20725801, 13.23526025, 14.30438569], **CLOSE)


def test_a_nested_level_belongs_to_one_other() -> None:
    # emmeans(m, "trt", lmer.df = "asymptotic"), which shows the drugs beside
    want = [12.13016112, 12.92603379, 13.44169087, 13.53007831, 14.60223519, 14.74356259]
    table = fit().marginal_means("trt", **Z)
    np.testing.assert_allclose(table["estimate"], want, **CLOSE)
    assert not any("drug with equal weights" in note for note in table.notes)
    both = fit().marginal_means("trt", by="drug", **Z)
    assert (both["trt"], both["drug"]) == (LEVELS, DRUGS)
    np.testing.assert_allclose(both["estimate"], want, **CLOSE)
    assert not any("Not estimable" in note for note in both.notes)


def test_comparisons_within_levels() -> None:
    # contrast(emmeans(m, ~ trt | drug, lmer.df = "asymptotic"), "pairwise")
    pairs = fit().marginal_means("trt", by="drug", **Z).contrast("pairwise")
    assert pairs["contrast"] == ("A1 - A2", "B1 - B2", "B1 - B3", "B2 - B3")
    assert pairs["drug"] == ("A", "B", "B", "B")
    np.testing.assert_allclose(
        pairs["estimate"], [-0.5156570849, -1.0721568864, -1.2134842802, -0.1413273938], rtol=1e-5
    )
    np.testing.assert_allclose(
        pairs["p_value"], [0.32838436479, 0.10424044267, 0.08744444548, 0.96772497747], rtol=5e-5
    )
    np.testing.assert_allclose(
        pairs["upper"][1:], [0.1635203849, 0.1332980836, 1.2164263620], rtol=1e-4
    )
    assert any("comparing a family of 2 to 3 estimates" in note for note in pairs.notes)
    # contrast(emmeans(m, "drug", lmer.df = "asymptotic"), "pairwise")
    drugs = fit().marginal_means("drug", **Z).contrast("pairwise")
    np.testing.assert_allclose(
        drugs["estimate"], [-1.053701206, -2.161797575, -1.108096369], rtol=1e-5
    )
    np.testing.assert_allclose(drugs["p_value"][0], 5.320491271e-02, rtol=5e-5)


def test_joint_tests_within_what_a_factor_is_nested_in() -> None:
    # joint_tests(m, lmer.df = "asymptotic")
    table = fit().joint_tests(**Z)
    assert table["term"] == ("drug", "sex", "x", "drug:trt")
    np.testing.assert_array_equal(table["num_df"], [2, 1, 1, 3])
    np.testing.assert_allclose(table["f_value"], [13.548, 1.177, 8.583, 2.298], atol=6e-4)
    p = [1.306184615e-06, 2.779804974e-01, 3.393064513e-03, 7.538369155e-02]
    np.testing.assert_allclose(table["p_value"], p, rtol=1e-4)
    assert not any("estimate" in note for note in table.notes)
    own = fit().marginal_means("trt", by="drug", **Z).joint_tests()
    assert own["term"] == ("trt", "trt")
    assert own["drug"] == ("A", "B")
    np.testing.assert_array_equal(own["num_df"], [1, 2])
    both = fit().marginal_means(["trt", "drug"], **Z).joint_tests()
    assert both["term"] == ("drug", "trt:drug")
    np.testing.assert_allclose(both["f_value"], [13.548, 2.298], atol=6e-4)


def test_slopes_where_columns_were_dropped() -> None:
    # m2 <- lmer(y ~ drug*x + trt + (1|g), d); emtrends(m2, "drug", var = "x", delta.var = 1e-5)
    with pytest.warns(mx.DesignWarning):
        model = mx.lmer("y ~ drug * x + trt + (1 | g)", frame())
    table = model.slopes("x", "drug", **Z)
    np.testing.assert_allclose(
        table["estimate"], [0.9809057501, 0.2516440917, 0.2262150763], rtol=1e-5
    )
    np.testing.assert_allclose(
        table["std_error"], [0.3066727449, 0.2142671195, 0.1826028450], rtol=1e-5
    )


def test_letters_and_picture_have_the_rows_that_occur() -> None:
    table = fit().marginal_means("trt", by="drug", **Z)
    letters = table.letters()
    assert letters["trt"] == LEVELS
    assert letters["group"] == ("a",) * 6
    pd.testing.assert_frame_equal(
        plots.marginal_means_data(table)[["row", "estimate"]],
        pd.DataFrame({"row": LEVELS, "estimate": table["estimate"]}),
    )


@pytest.mark.parametrize("options", [{"by": "trt"}, {"interaction": "pairwise"}])
def test_contrasts_of_what_cannot_occur(options: dict[str, str]) -> None:
    with pytest.raises(mx.OptionError, match=r'Compare trt within drug, by="drug"'):
        fit().marginal_means(["trt", "drug"]).contrast(**options)


def test_the_same_partition_under_two_names() -> None:
    data = frame().assign(copy=lambda d: d["drug"].cat.codes.map(lambda j: "kmn"[j]))
    with pytest.warns(mx.DesignWarning):
        model = mx.lmer("y ~ drug + copy + (1 | g)", data)
    table = model.marginal_means("drug", **Z)
    plain = mx.lmer("y ~ drug + (1 | g)", data).marginal_means("drug", **Z)
    np.testing.assert_allclose(table["estimate"], plain["estimate"], rtol=1e-6)
    assert model.joint_tests(**Z)["term"] == ("drug",)
