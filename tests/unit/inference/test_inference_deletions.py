"""drop1 and ranova: what is left out, on which rows, and what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import mixeff as mx
from mixeff.errors import DesignWarning, OptionError
from mixeff.linear.without_random import criterion_without_random
from support.reference import load_frame


def sleep() -> pd.DataFrame:
    frame = load_frame("sleepstudy").copy()
    rng = np.random.default_rng(3)
    frame["f"] = np.where(frame["Days"] > 4, "late", "early")
    frame["z"] = rng.normal(size=len(frame))
    frame["h"] = rng.integers(0, 4, size=len(frame)).astype(str)
    return frame


def loglik(formula: str, frame: pd.DataFrame, **options: object) -> float:
    return mx.lmer(formula, frame, reml=False, **options).loglik


def test_each_row_is_the_model_without_the_term() -> None:
    frame = sleep()
    fit = mx.lmer("Reaction ~ Days * f + z + (1 | Subject)", frame)
    table = fit.drop1().to_frame()
    assert list(table.index) == ["<none>", "z", "Days:f"]
    assert list(table.columns) == ["npar", "loglik", "aic", "lrt", "df", "p_value"]
    without = ["Days * f + z", "Days * f", "Days + f + z"]
    expected = [loglik(f"Reaction ~ {rhs} + (1 | Subject)", frame) for rhs in without]
    np.testing.assert_allclose(table["loglik"], expected, atol=1e-8)


def test_terms_change_their_coding_without_an_intercept() -> None:
    """Without f, h has a column for every level (R's rule)."""
    frame = sleep()
    table = mx.lmer("Reaction ~ 0 + f + h + (1 | Subject)", frame).drop1().to_frame()
    expected = [
        loglik(f"Reaction ~ 0 + {rhs} + (1 | Subject)", frame) for rhs in ("f + h", "h", "f")
    ]
    np.testing.assert_allclose(table["loglik"], expected, atol=1e-8)
    assert table["df"].tolist()[1:] == [1.0, 3.0]


def test_a_model_may_lose_its_last_coefficient() -> None:
    frame = sleep()
    table = mx.lmer("Reaction ~ 0 + z + (1 | Subject)", frame).drop1().to_frame()
    assert table["npar"].tolist() == [3, 2]
    assert table.loc["z", "loglik"] == pytest.approx(
        loglik("Reaction ~ 0 + (1 | Subject)", frame), abs=1e-8
    )


def test_redundant_columns_come_back() -> None:
    """Without Days its copy is estimated: nothing is lost."""
    frame = sleep().assign(copy=lambda d: 2 * d["Days"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DesignWarning)
        fit = mx.lmer("Reaction ~ Days + copy + (1 | Subject)", frame)
    table = fit.drop1().to_frame()
    np.testing.assert_allclose(table["loglik"], table.loc["<none>", "loglik"], atol=1e-8)
    assert table["df"].tolist()[1:] == [0.0, 0.0]
    assert table["p_value"].isna().all()


@pytest.mark.parametrize("formula", ["z + (1 | Subject)", "z * f + (1 | Subject)"])
def test_rows_stay_where_the_variable_left_out_is_missing(formula: str) -> None:
    frame = sleep()
    frame.loc[[3, 50, 51], "z"] = np.nan
    complete = frame.dropna()
    last = "z" if "*" not in formula else "z:f"
    table = mx.lmer(f"Reaction ~ {formula}", frame).drop1().to_frame()
    smaller = "1" if last == "z" else "z + f"
    expected = loglik(f"Reaction ~ {smaller} + (1 | Subject)", complete)
    assert table.loc[last, "loglik"] == pytest.approx(expected, abs=1e-8)


def test_rows_stay_where_a_random_slope_is_missing() -> None:
    frame = sleep()
    frame.loc[[3, 50, 51], "z"] = np.nan
    fit = mx.lmer("Reaction ~ Days + (0 + f + z | Subject)", frame)
    table = fit.ranova().to_frame()
    for left, row in (("f", "z"), ("z", "f")):
        expected = mx.lmer(f"Reaction ~ Days + (0 + {left} | Subject)", frame.dropna()).loglik
        label = f"{row} in (0 + f + z | Subject)"
        assert table.loc[label, "loglik"] == pytest.approx(expected, abs=1e-7)


def test_weights_offset_and_given_responses_are_kept() -> None:
    frame = sleep().assign(w=lambda d: 1.0 + d["Days"] / 5, o=lambda d: 3 * d["Days"])
    options = {"weights": "w", "offset": "o"}
    fit = mx.lmer("Reaction ~ Days + z + (1 | Subject)", frame, **options)
    other = fit.refit(frame["Reaction"].to_numpy() ** 2)
    table = other.drop1(scope="z").to_frame()
    squared = frame.assign(Reaction=frame["Reaction"] ** 2)
    expected = loglik("Reaction ~ Days + (1 | Subject)", squared, **options)
    assert table.loc["z", "loglik"] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("scope", "rows"),
    [("z", ["z"]), (["f:Days"], ["Days:f"]), ("~ z", ["z"]), ("~ . - Days - f", ["z", "Days:f"])],
)
def test_scope(scope: object, rows: list[str]) -> None:
    fit = mx.lmer("Reaction ~ Days * f + z + (1 | Subject)", sleep())
    assert list(fit.drop1(scope).index) == ["<none>", *rows]


def test_no_test() -> None:
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep())
    assert list(fit.drop1(test=None).columns) == ["npar", "loglik", "aic"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scope": ["Dys"]}, 'no fixed-effect term "Dys". Did you mean "Days"'),
        ({"scope": "Days"}, "Days is part of Days:f"),
        ({"scope": 3}, "scope names terms"),
        ({"scope": []}, "scope names terms"),
        ({"test": "F"}, 'test must be one of "chisq"'),
        ({"tst": "chisq"}, 'no argument "tst". Did you mean "test"'),
    ],
)
def test_drop1_refuses(arguments: dict[str, object], message: str) -> None:
    fit = mx.lmer("Reaction ~ Days * f + (1 | Subject)", sleep())
    with pytest.raises(OptionError, match=message.replace("(", r"\(")):
        fit.drop1(**arguments)


def test_generalized_models_have_drop1_and_reduced_random_terms() -> None:
    frame = load_frame("cbpp").assign(later=lambda d: (d["period"] != "1").astype(float))
    formula = "cbind(incidence, size - incidence) ~ period + "
    fit = mx.glmer(formula + "(later | herd)", frame, "binomial")
    table = fit.ranova().to_frame()
    small = mx.glmer(formula + "(1 | herd)", frame, "binomial")
    row = table.loc["later in (later | herd)"]
    assert row["loglik"] == pytest.approx(small.loglik, abs=1e-7)
    assert row["p_boundary"] < row["p_value"]
    # R 4.2: logLik(glm(cbind(incidence, size - incidence) ~ period, binomial, lme4::cbpp))
    assert small.ranova().to_frame().loc["(1 | herd)", "loglik"] == pytest.approx(
        -99.0291994894, abs=1e-8
    )


def grouped_counts() -> pd.DataFrame:
    return load_frame("epil").assign(base=lambda d: np.log(d["base"] / 4))


def test_negative_binomial_against_no_random_effects() -> None:
    """R 4.2: MASS::glm.nb(y ~ trt + log(base / 4), MASS::epil); logLik, to its own tolerance."""
    fit = mx.glmer_nb("y ~ trt + base + (1 | subject)", grouped_counts())
    table = fit.ranova().to_frame()
    assert table.loc["(1 | subject)", "loglik"] == pytest.approx(-652.8549818976, abs=1e-6)
    assert table["npar"].tolist() == [5, 4]
    row = table.loc["(1 | subject)"]
    assert row["p_boundary"] == pytest.approx(row["p_value"] / 2, rel=1e-10)


def test_gamma_against_no_random_effects() -> None:
    """Density by SciPy, maximized over coefficients and shape together."""
    frame = sleep()
    fit = mx.glmer("Reaction ~ Days + (1 | Subject)", frame, "Gamma", link="log")
    y, x = frame["Reaction"].to_numpy(), frame["Days"].to_numpy()

    def negative(parameters: np.ndarray) -> float:
        shape = np.exp(parameters[2])
        mean = np.exp(parameters[0] + parameters[1] * x)
        return -float(stats.gamma.logpdf(y, shape, scale=mean / shape).sum())

    best = optimize.minimize(
        negative, [5.6, 0.03, 3.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10}
    )
    table = fit.ranova().to_frame()
    assert table.loc["(1 | Subject)", "loglik"] == pytest.approx(-best.fun, abs=1e-7)


# R 4.2: s <- lme4::sleepstudy; s$w <- 1 + s$Days/5; s$o <- 3*s$Days
# l <- lm(Reaction ~ Days, s, weights=w, offset=o); logLik(l, REML=TRUE); logLik(l)
ORDINARY = {True: -963.212344837925, False: -966.709026146867}


@pytest.mark.parametrize("reml", [True, False])
def test_ordinary_least_squares(reml: bool) -> None:
    frame = sleep().assign(w=lambda d: 1.0 + d["Days"] / 5, o=lambda d: 3 * d["Days"])
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", frame, weights="w", offset="o", reml=reml)
    assert -0.5 * criterion_without_random(fit.design, reml=reml) == pytest.approx(
        ORDINARY[reml], abs=1e-9
    )
    assert fit.ranova().to_frame().loc["(1 | Subject)", "loglik"] == pytest.approx(
        ORDINARY[reml], abs=1e-9
    )


def test_ranova_rows_and_mixtures() -> None:
    fit = mx.lmer("Reaction ~ Days + (Days + z | Subject) + (1 | h)", sleep())
    table = fit.ranova()
    assert list(table.index) == [
        "<none>",
        "Days in (Days + z | Subject)",
        "z in (Days + z | Subject)",
        "(1 | h)",
    ]
    assert list(table.columns)[-1] == "p_boundary"
    text = "\n".join(table.notes)
    assert "1/2 chi-square(2) + 1/2 chi-square(3)" in text
    assert "p_boundary of (1 | h): 1/2 chi-square(0) + 1/2 chi-square(1)" in text


def test_numeric_slope_alone_is_left_out() -> None:
    fit = mx.lmer("Reaction ~ Days + (Days || Subject)", sleep())
    table = fit.ranova().to_frame()
    assert list(table.index) == ["<none>", "(1 | Subject)", "(0 + Days | Subject)"]
    # R 4.2: logLik(lmer(Reaction ~ Days + (0 + Days | Subject), sleepstudy)),
    # logLik(lmer(Reaction ~ Days + (1 | Subject), sleepstudy))
    np.testing.assert_allclose(table["loglik"][1:], [-883.2625, -893.2325], atol=1e-4)


def test_ranova_refuses() -> None:
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep())
    with pytest.raises(OptionError, match="reduce_terms must be True or False"):
        fit.ranova("yes")
    with pytest.raises(OptionError, match="no argument"):
        fit.ranova(ddf="x")
