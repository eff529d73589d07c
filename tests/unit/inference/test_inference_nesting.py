"""What is compared, and what only looks comparable: models fitted to real data."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import mixeff as mx
from mixeff.errors import ComparisonError, ComparisonWarning
from support.reference import load_frame


def sleep() -> pd.DataFrame:
    frame = load_frame("sleepstudy").copy()
    frame["f"] = pd.cut(frame["Days"], 3, labels=["a", "b", "c"])
    frame["z"] = np.random.default_rng(4).normal(size=len(frame))
    return frame


def quietly(*models: object, **options: object) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ComparisonWarning)
        return mx.anova(*models, **options).to_frame()  # type: ignore[arg-type]


def test_other_contrasts_are_the_same_model() -> None:
    frame = sleep()
    treatment = mx.lmer("Reaction ~ f + (1 | Subject)", frame)
    summed = mx.lmer("Reaction ~ f + (1 | Subject)", frame, contrasts={"f": "sum"})
    larger = mx.lmer("Reaction ~ f * z + (1 | Subject)", frame)
    for small in (treatment, summed):
        table = quietly(small, larger)
        assert table["df"].iloc[1] == 3
        assert table["chisq"].iloc[1] == pytest.approx(
            quietly(treatment, larger)["chisq"].iloc[1], abs=1e-7
        )


def test_reml_criteria_depend_on_the_coding() -> None:
    frame = sleep()
    small = mx.lmer("Reaction ~ f + (1 | Subject)", frame)
    slopes = "Reaction ~ f + (Days | Subject)"
    quietly(small, mx.lmer(slopes, frame), refit=False)
    with pytest.warns(ComparisonWarning, match="coded differently"):
        mx.anova(small, mx.lmer(slopes, frame, contrasts={"f": "sum"}), refit=False)


def test_a_predictor_far_from_zero_is_no_constant() -> None:
    """A time stamp is no part of a model with an intercept and another predictor."""
    frame = sleep().assign(stamp=lambda d: 1.7e9 + d["Days"])
    with pytest.warns(ComparisonWarning, match="fixed effect stamp is not in the larger"):
        mx.anova(
            mx.lmer("Reaction ~ stamp + (1 | Subject)", frame),
            mx.lmer("Reaction ~ z + f + (1 | Subject)", frame),
        )
    quietly(
        mx.lmer("Reaction ~ stamp + (1 | Subject)", frame),
        mx.lmer("Reaction ~ Days + z + (1 | Subject)", frame),
    )


def test_equal_responses_of_other_rows_are_refused() -> None:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"g": np.repeat(np.arange(30), 8)})
    frame["y"] = rng.integers(0, 2, size=len(frame))
    frame["a"], frame["b"] = rng.normal(size=(2, len(frame)))
    frame.loc[0, "a"] = frame.loc[1, "b"] = np.nan
    frame.loc[[0, 1], "y"] = 1
    m0 = mx.glmer("y ~ a + (1 | g)", frame, "binomial")
    m1 = mx.glmer("y ~ b + (1 | g)", frame, "binomial")
    with pytest.raises(ComparisonError, match="same data, but not the same ones"):
        mx.anova(m0, m1)


def counts() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    frame = pd.DataFrame({"g": np.repeat(np.arange(40), 6), "x": rng.normal(size=240)})
    mean = np.exp(1 + 0.3 * frame["x"] + 0.5 * np.repeat(rng.normal(size=40), 6))
    frame["y"] = rng.negative_binomial(3, 3 / (3 + mean))
    return frame


def test_poisson_lies_on_the_boundary_of_the_negative_binomial() -> None:
    frame = counts()
    m0 = mx.glmer("y ~ x + (1 | g)", frame, "poisson")
    table = quietly(m0, mx.glmer_nb("y ~ x + (1 | g)", frame))
    # Self and Liang (1987): one parameter at the end of its range.
    expected = 0.5 * chi2.sf(table["chisq"].iloc[1], 1)
    assert table["p_boundary"].iloc[1] == pytest.approx(expected, rel=1e-10)


def test_families_and_approximations_that_differ() -> None:
    frame = counts()
    formula = "y ~ x + (1 | g)"
    shapes = [mx.families.NegativeBinomial(shape=s) for s in (2.0, 4.0)]
    two = mx.glmer("y ~ 1 + (1 | g)", frame, shapes[0])
    with pytest.warns(ComparisonWarning, match="fixed at different values"):
        mx.anova(two, mx.glmer(formula, frame, shapes[1]))
    quietly(two, mx.glmer(formula, frame, shapes[0]))
    quietly(two, mx.glmer_nb(formula, frame))
    expected = mx.Control(laplace="expected")
    with pytest.warns(ComparisonWarning, match='laplace="expected" and "observed"'):
        mx.anova(
            mx.glmer_nb("y ~ 1 + (1 | g)", frame, control=expected), mx.glmer_nb(formula, frame)
        )


def test_mixtures_are_named_under_the_table() -> None:
    frame = sleep()
    m0 = mx.lmer("Reaction ~ Days + (1 | Subject)", frame)
    m1 = mx.lmer("Reaction ~ Days + (Days | Subject)", frame)
    table = mx.anova(m0, m1)
    expected = 0.5 * (chi2.sf(table.chisq[1], 1) + chi2.sf(table.chisq[1], 2))
    assert f"m1  {expected:.4g}  1/2 chi-square(1) + 1/2 chi-square(2)" in str(table)
    assert "p_boundary of m1" in table._repr_html_()
    assert list(table.to_frame().columns)[-1] == "p_boundary"


def test_unstructured_against_independent_is_no_boundary() -> None:
    frame = sleep()
    m0 = mx.lmer("Reaction ~ Days + (Days || Subject)", frame)
    assert "p_boundary" not in quietly(m0, mx.lmer("Reaction ~ Days + (Days | Subject)", frame))


def test_several_variances_at_once() -> None:
    """Against nothing but a random intercept: two blocks, with weights from the information."""
    frame = sleep()
    frame["h"] = np.random.default_rng(12).integers(0, 12, size=len(frame)).astype(str)
    m0 = mx.lmer("Reaction ~ Days + (1 | Subject)", frame)
    m1 = mx.lmer("Reaction ~ Days + (1 | Subject) + (1 | h) + (0 + z | Subject)", frame)
    table = mx.anova(m0, m1)
    assert table.p_boundary is not None
    assert 0.25 * table.p_value[1] < table.p_boundary[1] < 0.75 * table.p_value[1] + 0.3
    assert "chi-square(0)" in table.mixtures[1]
