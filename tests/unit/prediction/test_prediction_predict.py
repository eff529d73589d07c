"""Predictions: R's values and standard errors, chosen random effects, levels never seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.errors import FormulaError, OptionError, PredictionError, UnknownColumnError
from support.handmade import dense_z
from support.reference import load_case, load_frame

CASES = [
    "sleepstudy_slope",
    "sleepstudy_weights",
    "sleepstudy_offset",
    "sleepstudy_factor_slope",
    "nlschools_double_bar",
    "nlschools_poly",
    "penicillin_crossed",
    "pastes_nested",
    "oats_unbal_p",
]


def fit_case(case: dict[str, Any]) -> mx.LinearMixedModel:
    return mx.lmer(
        case["formula"],
        load_frame(case["data"]),
        reml=case["REML"],
        weights=case.get("weights"),
        control=mx.Control(double_bar="lme4"),
    )


def new_rows(case: dict[str, Any]) -> pd.DataFrame:
    table = case["predict"]["newdata"]
    return pd.DataFrame({c: table["data"][c] for c in table["columns"]})


@pytest.mark.parametrize("name", CASES)
def test_predictions_and_standard_errors_of_R(name: str) -> None:
    """se_fit of a case is computed from the mixed-model equations given theta."""
    case = load_case(name)
    fit, want, frame = fit_case(case), case["predict"], new_rows(case)
    close = {"rtol": 1e-6, "atol": 1e-6 * fit.sigma}
    got = fit.predict(frame, se=True)
    assert got.columns.tolist() == ["estimate", "std_error"]
    np.testing.assert_allclose(got["estimate"], want["re_null"], **close)
    np.testing.assert_allclose(got["std_error"], want["se_fit"]["se_conditional"], rtol=1e-5)
    got = fit.predict(frame, random=None, se=True)
    np.testing.assert_allclose(got["estimate"], want["re_na"], **close)
    np.testing.assert_allclose(got["std_error"], want["se_fit"]["se_fixed"], rtol=1e-5)
    unseen = frame.assign(**{want["new_level_variable"]: "never seen"})
    np.testing.assert_allclose(
        fit.predict(unseen, allow_new_levels=True), want["new_level"], **close
    )


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return load_frame("sleepstudy")


@pytest.fixture(scope="module")
def slope(sleep: pd.DataFrame) -> mx.LinearMixedModel:
    return mx.lmer("Reaction ~ Days + (Days | Subject)", sleep)


def test_the_rows_of_the_fit(slope: mx.LinearMixedModel, sleep: pd.DataFrame) -> None:
    np.testing.assert_array_equal(slope.predict(), slope.fitted)
    np.testing.assert_allclose(slope.predict(sleep), slope.fitted, rtol=1e-12)
    fixed = slope.fixef["(Intercept)"] + slope.fixef["Days"] * sleep["Days"]
    np.testing.assert_allclose(slope.predict(random=None), fixed, rtol=1e-12)


def test_labels_follow_the_new_data(slope: mx.LinearMixedModel) -> None:
    frame = pd.DataFrame({"Days": [1.0, 2.0], "Subject": ["308", "309"]}, index=["a", "b"])
    got = slope.predict(frame)
    assert isinstance(got, pd.Series)
    assert got.index.tolist() == ["a", "b"]
    assert slope.predict(frame, se=True).index.tolist() == ["a", "b"]
    arrays = {"Days": np.array([1.0, 2.0]), "Subject": ["308", "309"]}
    assert isinstance(slope.predict(arrays), np.ndarray)
    np.testing.assert_array_equal(slope.predict(arrays), got)


def test_a_bar_formula_chooses_terms(slope: mx.LinearMixedModel) -> None:
    frame = pd.DataFrame({"Days": [3.0, 7.0], "Subject": ["308", "372"]})
    fixed = slope.predict(frame, random=None)
    modes = slope.ranef["Subject"].loc[["308", "372"]]
    intercept, days = modes["(Intercept)"].to_numpy(), modes["Days"].to_numpy() * [3.0, 7.0]
    for text, want in {
        "~ (1 | Subject)": intercept,
        "(1 | Subject)": intercept,
        "~ (0 + Days | Subject)": days,
        "~ (Days | Subject)": intercept + days,
        "~ (Days || Subject)": intercept + days,
        "~ 0": 0.0,
    }.items():
        np.testing.assert_allclose(slope.predict(frame, random=text), fixed + want, rtol=1e-12)
    np.testing.assert_array_equal(slope.predict(frame, random="all"), slope.predict(frame))


def test_one_of_two_grouping_factors() -> None:
    frame = load_frame("Penicillin")
    fit = mx.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", frame)
    got = fit.predict(frame[["sample"]], random="(1 | sample)")  # plate is not needed
    want = fit.fixef.iloc[0] + fit.ranef["sample"].loc[frame["sample"], "(Intercept)"].to_numpy()
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_factor_effects_by_name() -> None:
    frame = load_frame("sleepstudy_w")
    fit = mx.lmer("Reaction ~ Days + (late | Subject)", frame)
    np.testing.assert_allclose(fit.predict(frame, random="(late | Subject)"), fit.fitted)
    with pytest.raises(PredictionError, match=r"late, which is not a random effect"):
        fit.predict(frame, random="(0 + late | Subject)")  # another coding, not a part
    split = mx.lmer("Reaction ~ Days + (late || Subject)", frame)
    np.testing.assert_allclose(split.predict(frame, random="(late || Subject)"), split.fitted)


def test_nested_groups_in_either_order() -> None:
    frame = load_frame("Pastes")
    fit = mx.lmer("strength ~ 1 + (1 | batch / cask)", frame)
    both = [fit.predict(frame, random=f"(1 | {g})") for g in ("cask:batch", "batch:cask")]
    np.testing.assert_array_equal(*both)
    np.testing.assert_allclose(fit.predict(frame, random="(1 | batch / cask)"), fit.fitted)


@pytest.mark.parametrize(
    ("random", "words"),
    [
        ("(1 | Day)", r"no random term on Day .*grouping factors are Subject"),
        ("(late | Subject)", r"asks for late.*\(Intercept\), Days"),
        ("~ Days", "names Days, which is not a random term"),
    ],
)
def test_terms_the_model_does_not_have(
    slope: mx.LinearMixedModel, sleep: pd.DataFrame, random: str, words: str
) -> None:
    with pytest.raises(PredictionError, match=words):
        slope.predict(sleep, random=random)


def test_wrong_arguments(slope: mx.LinearMixedModel, sleep: pd.DataFrame) -> None:
    with pytest.raises(OptionError, match=r'"new_data"\. Did you mean "newdata"'):
        slope.predict(new_data=sleep)
    with pytest.raises(OptionError, match='random must be "all", None or a bar formula'):
        slope.predict(sleep, random=True)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match='type must be one of "response", "link"'):
        slope.predict(sleep, type="prob")
    with pytest.raises(OptionError, match="se must be True or False"):
        slope.predict(sleep, se="yes")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="offset is for newdata"):
        slope.predict(offset=np.zeros(180))
    with pytest.raises(FormulaError):
        slope.predict(sleep, random="(1 | Subject")


def test_levels_not_seen(slope: mx.LinearMixedModel) -> None:
    frame = pd.DataFrame({"Days": [1.0, 1.0, 1.0], "Subject": ["308", "nobody", None]})
    with pytest.raises(PredictionError, match=r"Subject is missing in 1 of 3 rows .*row 2"):
        slope.predict(frame)
    with pytest.raises(PredictionError, match=r"levels of Subject .* nobody\. .*allow_new_levels"):
        slope.predict(frame.iloc[:2])
    got = slope.predict(frame, allow_new_levels=True)
    fixed = slope.predict(frame, random=None)  # needs no subject at all
    np.testing.assert_array_equal(got.iloc[1:], fixed.iloc[1:])
    assert got.iloc[0] != fixed.iloc[0]
    many = pd.DataFrame({"Days": np.ones(8), "Subject": list("abcdefgh")})
    with pytest.raises(PredictionError, match="a, b, c, d, e and 3 more"):
        slope.predict(many)


def test_unseen_interaction_levels_are_named_as_the_model_names_them() -> None:
    fit = mx.lmer("strength ~ 1 + (1 | batch / cask)", load_frame("Pastes"))
    with pytest.raises(PredictionError, match=r"levels of cask:batch .* z:A"):
        fit.predict({"batch": ["A"], "cask": ["z"]})


def test_missing_columns_and_values(slope: mx.LinearMixedModel) -> None:
    with pytest.raises(UnknownColumnError, match="Days"):
        slope.predict(pd.DataFrame({"Subject": ["308"]}))
    with pytest.raises(UnknownColumnError, match="Subject"):
        slope.predict(pd.DataFrame({"Days": [1.0]}))
    frame = pd.DataFrame({"Days": [np.nan, 1.0], "Subject": ["308", "308"]})
    got = slope.predict(frame, se=True)
    assert got.isna().all(axis=1).tolist() == [True, False]
    assert got["estimate"].iloc[1] == pytest.approx(
        slope.predict(frame.iloc[1:]).iloc[0], rel=1e-12
    )


def test_an_offset_given_as_array_is_asked_for(sleep: pd.DataFrame) -> None:
    shift = np.linspace(0, 10, 180)
    by_array = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep, offset=shift)
    by_column = mx.lmer(
        "Reaction ~ Days + (1 | Subject)", sleep.assign(shift=shift), offset="shift"
    )
    rows = sleep.iloc[[5, 100]]
    with pytest.raises(PredictionError, match="offset"):
        by_array.predict(rows)
    want = by_array.fitted[[5, 100]]
    np.testing.assert_allclose(by_array.predict(rows, offset=shift[[5, 100]]), want, rtol=1e-12)
    new = rows.assign(shift=shift[[5, 100]])
    np.testing.assert_allclose(by_column.predict(new), want, rtol=1e-9)


def test_dropped_columns_stay_out(sleep: pd.DataFrame) -> None:
    with pytest.warns(mx.DesignWarning):
        fit = mx.lmer("Reaction ~ Days + I(2 * Days) + (1 | Subject)", sleep)
    np.testing.assert_allclose(fit.predict(sleep), fit.fitted, rtol=1e-12)


def test_standard_errors_from_the_dense_mixed_model_equations() -> None:
    """Two crossed factors and a slope, weights: sigma^2 c' C^-1 c with C written out."""
    frame = load_frame("Penicillin2").iloc[::2].reset_index(drop=True)
    fit = mx.lmer(
        "diameter ~ diameter2 + (1 + diameter2 | plate) + (1 | sample)", frame, weights="w"
    )
    design = fit.design
    G = [
        np.kron(np.eye(t.n_levels), L)
        for t, L in zip(design.random, fit.estimate.Lambda, strict=True)
    ]
    ZL = np.hstack([dense_z(t) @ g for t, g in zip(design.random, G, strict=True)])
    T = np.hstack([ZL, design.X])
    C = (T * design.weights[:, None]).T @ T  # type: ignore[index]
    C[: ZL.shape[1], : ZL.shape[1]] += np.eye(ZL.shape[1])
    want = fit.sigma * np.sqrt(np.einsum("ij,ji->i", T, np.linalg.solve(C, T.T)))
    np.testing.assert_allclose(fit.predict(se=True)["std_error"], want, rtol=1e-7)


def test_an_unseen_level_has_its_whole_variance(slope: mx.LinearMixedModel) -> None:
    frame = pd.DataFrame({"Days": [0.0, 5.0], "Subject": ["nobody", "nobody"]})
    got = slope.predict(frame, allow_new_levels=True, se=True)["std_error"]
    fixed = slope.predict(frame, random=None, se=True)["std_error"]
    Sigma = slope.varcorr.components[0].covariance
    z = np.array([[1.0, 0.0], [1.0, 5.0]])
    want = np.sqrt(fixed**2 + np.einsum("ij,jk,ik->i", z, Sigma, z))
    np.testing.assert_allclose(got, want, rtol=1e-9)
