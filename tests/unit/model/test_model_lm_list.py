"""Least squares by group against lme4's lmList."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.errors import DesignError, FormulaError, OptionError
from support.reference import load_frame

# f <- lmList(Reaction ~ Days | Subject, sleepstudy); coef(f); summary(f); confint(f); sigma(f)
R_COEF = {"308": (244.1927, 21.764702), "335": (263.0347, -2.881034), "372": (267.0448, 11.298073)}
R_STDERR = (15.04169, 2.817566)
R_SIGMA = 25.59182
R_CONFINT = {
    ("308", "(Intercept)"): (179.4339, 308.9515),
    ("310", "(Intercept)"): (186.7857, 220.1827),
    ("308", "Days"): (9.634266613, 33.895138),
    ("309", "Days"): (0.008641467, 4.514929),
}


@pytest.fixture(scope="module")
def fits() -> mx.LmList:
    return mx.lm_list("Reaction ~ Days | Subject", load_frame("sleepstudy"))


def test_coefficients_of_R(fits: mx.LmList) -> None:
    """R prints 7 digits."""
    for level, want in R_COEF.items():
        assert tuple(fits.coefficients.loc[level]) == pytest.approx(want, rel=1e-6)
    assert fits.coef.equals(fits.coefficients)  # R: coef(fits)
    np.testing.assert_allclose(fits.stderr, np.tile(R_STDERR, (18, 1)), rtol=1e-6)
    assert fits.sigma == pytest.approx(R_SIGMA, rel=1e-6)
    assert fits.df_residual == 144
    assert fits.group_df.tolist() == [8] * 18
    assert fits.notes == ()
    frame = fits.to_frame()
    assert frame.columns.tolist() == ["estimate", "std_error", "df", "statistic"]
    assert frame.loc[("308", "Days"), "statistic"] == pytest.approx(7.7246464, rel=1e-6)


def test_intervals_of_R(fits: mx.LmList) -> None:
    got = fits.confint()
    for row, want in R_CONFINT.items():
        assert tuple(got.loc[row]) == pytest.approx(want, rel=1e-6)
    # R: 21.764702 + c(-1, 1) * qt(0.95, 144) * 2.817566
    pooled = fits.confint(0.9, pooled=True).loc[("308", "Days")]
    assert tuple(pooled) == pytest.approx((17.1002097, 26.4291943), rel=1e-6)
    with pytest.raises(OptionError, match="level"):
        fits.confint(95)


def test_weights_and_offset_are_least_squares_of_the_rows() -> None:
    frame = load_frame("sleepstudy_w")
    fits = mx.lm_list("Reaction ~ Days | Subject", frame, weights="w", offset="off")
    rows = frame[frame["Subject"] == "310"]
    X = np.column_stack([np.ones(len(rows)), rows["Days"]])
    W = np.diag(rows["w"])
    beta = np.linalg.solve(X.T @ W @ X, X.T @ W @ (rows["Reaction"] - rows["off"]))
    np.testing.assert_allclose(fits.coefficients.loc["310"], beta, rtol=1e-10)


def test_groups_too_small_give_nan_and_a_note() -> None:
    frame = load_frame("sleepstudy")
    keep = (frame["Subject"] != "308") | (frame["Days"] == 4)
    keep &= (frame["Subject"] != "309") | (frame["Days"] < 2)
    fits = mx.lm_list("Reaction ~ Days | Subject", frame[keep])
    assert np.isnan(fits.coefficients.loc["308", "Days"])
    assert np.isfinite(fits.coefficients.loc["309"]).all()
    assert fits.group_df[["308", "309", "310"]].tolist() == [0, 0, 8]
    assert "1 of 18 groups: 308" in fits.notes[0]
    assert "2 of 18 groups: 308, 309" in fits.notes[1]
    assert fits.confint().loc["309"].isna().all(axis=None)
    assert "NaN" in str(fits)
    with pytest.raises(DesignError, match="no residual variance"):
        mx.lm_list("Reaction ~ Days | Subject", frame[frame["Days"] < 2])


def test_levels_that_do_not_occur_in_a_group() -> None:
    """A level absent from a group is not determined there; the others keep their meaning."""
    frame = pd.DataFrame(
        {
            "y": [1.0, 2.0, 4.0, 8.0, 3.0, 5.0, 4.0, 6.0],
            "f": ["a", "a", "b", "b", "a", "a", "a", "a"],
            "g": ["u"] * 4 + ["v"] * 4,
        }
    )
    fits = mx.lm_list("y ~ f | g", frame)
    assert fits.coefficients.loc["u"].tolist() == pytest.approx([1.5, 4.5])
    assert fits.coefficients.loc["v", "(Intercept)"] == pytest.approx(4.5)
    assert np.isnan(fits.coefficients.loc["v", "fb"])


@pytest.mark.parametrize(
    "formula",
    [
        "Reaction ~ Days",
        "~ Days | Subject",
        "Reaction ~ Days + (Days | Subject)",
    ],
)
def test_other_formulas_are_refused(formula: str) -> None:
    with pytest.raises(FormulaError):
        mx.lm_list(formula, load_frame("sleepstudy"))


def test_misspelt_arguments_are_named() -> None:
    with pytest.raises(OptionError, match=r'lm_list has no argument "weight"\. Did you mean "wei'):
        mx.lm_list("Reaction ~ Days | Subject", load_frame("sleepstudy"), weight="Days")
