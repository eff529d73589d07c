"""The fit object on designs made by hand: every number against R's (reference cases) or algebra."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from mixeff.errors import OptionError
from mixeff.model.effects import conditional_covariances
from mixeff.model.fit import LinearMixedModel
from mixeff.model.varcorr import printed_names, syntactic_name, unique_names
from support.handmade import dense_z, handmade_fit, make_design
from support.reference import load_case, load_frame

# Reference optima are good to about 1e-8 relative, dense algebra on 180 rows to 1e-11.
CLOSE = 1e-6


def case_fit(name: str) -> LinearMixedModel:
    """The fit of a sleepstudy case at R's theta."""
    case = load_case(name)
    random = {
        "sleepstudy_slope": [("Subject", ["(Intercept)", "Days"])],
        "sleepstudy_slope_ml": [("Subject", ["(Intercept)", "Days"])],
        "sleepstudy_weights": [("Subject", ["(Intercept)", "Days"])],
        "sleepstudy_fdb_p": [("Subject", ["(Intercept)"]), ("Subject", ["lateno", "lateyes"])],
    }[name]
    frame = load_frame(case["data"]).copy()
    for level in ("no", "yes") if "late" in frame else ():
        frame[f"late{level}"] = (frame["late"] == level).astype(float)
    weights = frame[case["weights"]].to_numpy(float) if case.get("weights") else None
    design = make_design(frame, "Reaction", ["(Intercept)", "Days"], random, weights=weights)
    return handmade_fit(
        design, list(case["theta"].values()), reml=case["REML"], formula=case["formula"]
    )


@pytest.fixture(
    params=["sleepstudy_slope", "sleepstudy_slope_ml", "sleepstudy_weights", "sleepstudy_fdb_p"]
)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_statistics(name: str) -> None:
    fit, want = case_fit(name), load_case(name)["fit"]
    assert fit.loglik == pytest.approx(want["logLik"], abs=1e-6)
    assert (fit.df, fit.df_residual) == (want["df"], want["df_residual"])
    assert fit.aic == pytest.approx(want["AIC"], abs=2e-6)
    assert fit.bic == pytest.approx(want["BIC"], abs=2e-6)
    assert fit.aicc == pytest.approx(want["AICc"], abs=2e-6)
    assert fit.sigma == pytest.approx(want["sigma"], rel=CLOSE)
    for got, key in ((fit.deviance, "deviance"), (fit.reml_criterion, "REMLcrit")):
        assert (got is None) == (want[key] is None)
        assert got is None or got == pytest.approx(want[key], abs=2e-6)
    assert fit.is_singular == want["isSingular"]
    assert fit.ngroups == {"Subject": 18}
    assert fit.family == "gaussian"


def test_fixed_effects(name: str) -> None:
    fit, case = case_fit(name), load_case(name)
    assert fit.fixef.to_dict() == pytest.approx(case["beta"], rel=CLOSE)
    assert fit.stderr.to_dict() == pytest.approx(case["se"], rel=CLOSE)
    np.testing.assert_allclose(fit.vcov, case["vcov"]["values"], rtol=CLOSE)
    assert list(fit.vcov.columns) == case["vcov"]["cols"]
    table = fit.coefficients
    assert list(table.columns) == ["estimate", "std_error", "statistic"]
    assert table["statistic"].to_dict() == pytest.approx(case["t"], rel=CLOSE)


def test_variance_components(name: str) -> None:
    table = load_case(name)["VarCorr"]["table"]["data"]
    got = case_fit(name).varcorr.to_frame()
    assert list(got.columns) == ["grp", "var1", "var2", "vcov", "sdcor"]
    for column in ("grp", "var1", "var2"):
        assert got[column].tolist() == table[column]  # None, not NaN, where a name is missing
    np.testing.assert_allclose(got["vcov"], table["vcov"], rtol=CLOSE)
    np.testing.assert_allclose(got["sdcor"], table["sdcor"], rtol=CLOSE)


def test_random_effects_and_rows(name: str) -> None:
    fit, case = case_fit(name), load_case(name)
    want = case["ranef"]["Subject"]
    modes = fit.ranef["Subject"]
    assert modes.index.tolist() == want["levels"]
    assert modes.columns.tolist() == want["terms"]
    for j, term in enumerate(want["terms"]):
        np.testing.assert_allclose(modes.iloc[:, j], want["values"][term], atol=1e-5)
    np.testing.assert_allclose(fit.fitted[:20], case["fitted"]["first"], rtol=CLOSE)
    np.testing.assert_allclose(fit.residuals()[:20], case["residuals"]["first"], atol=1e-5)
    quantiles = np.quantile(fit.residuals("scaled"), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(
        quantiles, list(case["scaled_residual_quantiles"].values()), atol=1e-6
    )


def test_coef_is_fixed_plus_random() -> None:
    """lme4's coef(): late* has no fixed part, Days no random one."""
    fit = case_fit("sleepstudy_fdb_p")
    coef, modes = fit.coef["Subject"], fit.ranef["Subject"]
    assert coef.columns.tolist() == ["(Intercept)", "Days", "lateno", "lateyes"]
    np.testing.assert_allclose(
        coef["(Intercept)"] - fit.fixef["(Intercept)"], modes["(Intercept)"], atol=1e-10
    )
    np.testing.assert_array_equal(coef["Days"], np.full(18, fit.fixef["Days"]))
    np.testing.assert_array_equal(coef["lateyes"], modes["lateyes"])


def test_conditional_covariances_of_merged_terms() -> None:
    """Against sigma^2 (Lambda'Z'Z Lambda + I)^-1 written out, blocks of one level."""
    fit = case_fit("sleepstudy_fdb_p")
    z = np.concatenate([dense_z(t) for t in fit.design.random], axis=1)
    big = np.zeros((54, 54))
    big[:18, :18] = np.kron(np.eye(18), fit.estimate.Lambda[0])
    big[18:, 18:] = np.kron(np.eye(18), fit.estimate.Lambda[1])
    zl = z @ big
    full = fit.sigma**2 * big @ np.linalg.inv(zl.T @ zl + np.eye(54)) @ big.T
    blocks = conditional_covariances(fit.design, fit.estimate)["Subject"]
    assert blocks.shape == (18, 3, 3)
    for level in (0, 7, 17):
        at = [level, 18 + 2 * level, 19 + 2 * level]
        np.testing.assert_allclose(blocks[level], full[np.ix_(at, at)], rtol=1e-8, atol=1e-8)


def test_pearson_residuals_carry_the_weights() -> None:
    fit = case_fit("sleepstudy_weights")
    assert fit.design.weights is not None
    raw = fit.residuals("response")
    np.testing.assert_array_equal(fit.residuals("working"), raw)
    np.testing.assert_allclose(fit.residuals("pearson"), np.sqrt(fit.design.weights) * raw)
    np.testing.assert_array_equal(fit.residuals("deviance"), fit.residuals("pearson"))
    with pytest.raises(OptionError, match='Did you mean "pearson"'):
        fit.residuals("pearsons")


def test_fits_are_frozen_and_their_arrays_are_copies() -> None:
    fit = case_fit("sleepstudy_slope")
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.estimate = None  # type: ignore[misc, assignment]
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        fit.sigma = 1.0  # type: ignore[misc]
    before = fit.theta, fit.fixef, fit.coefficients, fit.vcov
    for value in before:
        value *= 0
    assert fit.theta[0] > 0
    assert fit.fixef.iloc[0] > 0
    assert fit.coefficients.iloc[0, 0] > 0
    assert fit.vcov.iloc[0, 0] > 0


def test_exclude_pads_with_nan() -> None:
    frame = load_frame("sleepstudy")
    rows = np.r_[0:3, 4:180]
    used = frame.iloc[rows].reset_index(drop=True)
    design = make_design(
        used,
        "Reaction",
        ["(Intercept)", "Days"],
        [("Subject", ["(Intercept)"])],
        rows=rows.astype(np.int64),
        n_omitted=1,
    )
    theta = [1.2]
    plain, padded = handmade_fit(design, theta), handmade_fit(design, theta, na_action="exclude")
    assert plain.fitted.shape == (179,)
    assert padded.fitted.shape == padded.residuals().shape == (180,)
    assert np.flatnonzero(np.isnan(padded.fitted)).tolist() == [3]
    np.testing.assert_array_equal(padded.fitted[rows], plain.fitted)


def test_singular_whatever_the_units() -> None:
    """lme4's theta changes with the units of a slope; the answer must not."""
    frame = load_frame("sleepstudy").copy()
    frame["ms"] = frame["Days"] * 1e6
    theta = list(load_case("sleepstudy_slope")["theta"].values())
    random = [("Subject", ["(Intercept)", "ms"])]
    design = make_design(frame, "Reaction", ["(Intercept)", "ms"], random)
    # Row 2 of Lambda belongs to the slope.
    scaled = [theta[0], theta[1] / 1e6, theta[2] / 1e6]
    assert not handmade_fit(design, scaled).is_singular
    assert handmade_fit(design, [theta[0], theta[1] / 1e6, 0.0]).is_singular


def test_zero_variance_has_no_correlation() -> None:
    """R prints NaN for the correlation with an effect without variance."""
    frame = load_frame("sleepstudy")
    random = [("Subject", ["(Intercept)", "Days"])]
    design = make_design(frame, "Reaction", ["(Intercept)", "Days"], random)
    table = handmade_fit(design, [0.9, 0.0, 0.0]).varcorr.to_frame()
    assert np.isnan(table["sdcor"][2])
    assert table["vcov"].tolist()[1:3] == [0.0, 0.0]


def test_repeated_names() -> None:
    """R: make.unique(c("a", "a", "b", "a.1", "a")) gives a, a.2, b, a.1, a.3."""
    assert unique_names(["a", "a", "b", "a.1", "a"]) == ["a", "a.2", "b", "a.1", "a.3"]
    assert unique_names(["class", "class"]) == ["class", "class.1"]


def test_groups_that_stand_twice_are_printed_as_lme4_does() -> None:
    """VarCorr(lmer(y ~ nitro + (nitro || B:Variety) + (1 | B))): B.Variety, B.Variety.1, B."""
    assert printed_names(["B:Variety", "B:Variety", "B"]) == ["B.Variety", "B.Variety.1", "B"]
    # VarCorr(lmer(diameter ~ 1 + (1 | plate:sample) + (1 | plate) + (0 + v | plate)))
    assert printed_names(["plate:sample", "plate", "plate"]) == ["plate.sample", "plate", "plate.1"]
    assert printed_names(["plate:sample", "plate"]) == ["plate:sample", "plate"]


def test_syntactic_names() -> None:
    """R: make.names(c("a:b", "g", "1a", "_x", "TRUE", "a b", ".2a", "\u00e9:x", ".a"))."""
    names = ["a:b", "g", "1a", "_x", "TRUE", "a b", ".2a", "\u00e9:x", ".a"]
    made = ["a.b", "g", "X1a", "X_x", "TRUE.", "a.b", "X.2a", "\u00e9.x", ".a"]
    assert [syntactic_name(name) for name in names] == made


def test_frames_are_pandas(name: str) -> None:
    fit = case_fit(name)
    assert isinstance(fit.fixef, pd.Series)
    assert isinstance(fit.ranef["Subject"], pd.DataFrame)
