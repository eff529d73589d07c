"""lmer, update and refit on real data: consistency among themselves and with R."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.errors import (
    ComparisonWarning,
    DataError,
    DesignError,
    FormulaError,
    OptionError,
)
from support.reference import load_case, load_frame

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return load_frame("sleepstudy")


@pytest.fixture(scope="module")
def slope(sleep: pd.DataFrame) -> mx.LinearMixedModel:
    return mx.lmer(FORMULA, sleep)


def same_fit(a: mx.LinearMixedModel, b: mx.LinearMixedModel) -> None:
    """The criterion to rounding; estimates to its square root at worst, relative to their sizes."""
    assert a.loglik == pytest.approx(b.loglik, abs=1e-8)
    np.testing.assert_allclose(a.fixef, b.fixef, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(a.theta, b.theta, rtol=1e-5, atol=1e-6)
    assert list(a.fixef.index) == list(b.fixef.index)


def test_the_fit_remembers_what_was_asked(sleep: pd.DataFrame) -> None:
    fit = mx.lmer(FORMULA, data=sleep, reml=False, na_action="exclude")
    assert fit.formula == fit.formula_display == FORMULA
    assert fit.data_name == "sleep"
    assert fit.request.data is sleep
    assert not fit.is_reml
    assert fit.convergence.ok
    assert fit.notes == ()
    assert (fit.nobs, fit.n_omitted, fit.dropped) == (180, 0, ())


def test_conditional_variances_of_two_terms_on_one_factor() -> None:
    """As lme4's condVar for machines_int's relatives: the joint 2 x 2 from dense algebra."""
    case = load_case("nlschools_double_bar")
    fit = mx.lmer(case["formula"], load_frame(case["data"]))
    blocks = fit.ranef_variance["class"]
    assert blocks.shape == (133, 2, 2)
    want = case["ranef"]["class"]["cond_var"]
    np.testing.assert_allclose(blocks[:, 0, 0], want["(Intercept)"], rtol=1e-5)
    np.testing.assert_allclose(blocks[:, 1, 1], want["IQ"], atol=1e-5)


def test_joint_conditional_covariance_across_terms(sleep: pd.DataFrame) -> None:
    fit = mx.lmer("Reaction ~ Days + (Days || Subject)", sleep)
    # One level of a balanced design at a time: Lambda (Z'Z scaled + I)^-1 Lambda' for 10 days.
    L = np.diag(fit.theta)
    z = np.column_stack([np.ones(10), np.arange(10.0)])
    want = fit.sigma**2 * L @ np.linalg.inv(L @ z.T @ z @ L + np.eye(2)) @ L
    for block in fit.ranef_variance["Subject"]:
        np.testing.assert_allclose(block, want, rtol=1e-9)
    assert want[0, 1] < -1


def test_update_of_arguments(slope: mx.LinearMixedModel, sleep: pd.DataFrame) -> None:
    same_fit(slope.update(reml=False), mx.lmer(FORMULA, sleep, reml=False))
    weights = np.linspace(1, 2, 180)
    same_fit(slope.update(weights=weights), mx.lmer(FORMULA, sleep, weights=weights))
    fewer = sleep.iloc[:100]
    updated = slope.update(data=fewer)
    assert updated.data_name == "fewer"
    assert updated.nobs == 100
    assert slope.is_reml  # the old one is what it was


def test_update_of_the_formula(slope: mx.LinearMixedModel, sleep: pd.DataFrame) -> None:
    fewer = slope.update(". ~ . - (Days | Subject) + (1 | Subject)")
    same_fit(fewer, mx.lmer("Reaction ~ Days + (1 | Subject)", sleep))
    logged = slope.update("log(.) ~ .", start=slope.theta)
    same_fit(logged, mx.lmer("log(Reaction) ~ Days + (Days | Subject)", sleep))
    with pytest.raises(DesignError, match="no random term"):
        slope.update(". ~ . - (Days | Subject)")
    with pytest.raises(OptionError, match=r'update has no argument "REML"\. Did you mean "reml"'):
        slope.update(REML=False)


def test_update_without_a_factor_that_has_contrasts(sleep: pd.DataFrame) -> None:
    """Its contrasts go with it; those of the factors that stay, stay. The same in a glmer."""
    frame = sleep.assign(a=sleep.index % 3, b=(sleep.index // 3 % 2).astype(str))
    coded = {"factor(a)": "sum", "b": "helmert"}
    both = mx.lmer("Reaction ~ factor(a) * b + (1 | Subject)", frame, contrasts=coded)
    one = both.update(". ~ . - factor(a) - factor(a):b")
    helmert = {"b": "helmert"}
    same_fit(one, mx.lmer("Reaction ~ b + (1 | Subject)", frame, contrasts=helmert))
    assert one.request.contrasts == helmert
    assert list(one.fixef.index) == ["(Intercept)", "b1"]
    none = one.update(". ~ . - b")
    same_fit(none, mx.lmer("Reaction ~ 1 + (1 | Subject)", frame))
    with pytest.raises(DesignError, match="contrasts given for 'b'"):
        none.update(contrasts=helmert)
    counts = mx.glmer("round(Reaction) ~ b + (1 | Subject)", frame, "poisson", contrasts=helmert)
    assert list(counts.update(". ~ . - b").fixef.index) == ["(Intercept)"]


def test_misspelt_arguments_of_methods(slope: mx.LinearMixedModel) -> None:
    with pytest.raises(OptionError, match=r'"correlations"\. Did you mean "correlation"'):
        slope.summary(correlations=True)
    with pytest.raises(OptionError, match=r'residuals has no argument "type"\. It takes kind'):
        slope.residuals(type="pearson")
    with pytest.raises(OptionError, match=r'refit has no argument "start"\. It takes y'):
        slope.refit(slope.fitted, start=[1.0, 0.0, 1.0])
    with pytest.raises(
        OptionError, match="refit must be True or False, not a value of type LinearMixedModel"
    ):
        mx.anova(slope, slope, refit=slope)  # type: ignore[arg-type]


def test_refit_equals_lmer_with_the_response_replaced(
    slope: mx.LinearMixedModel, sleep: pd.DataFrame
) -> None:
    y = slope.fitted + np.random.default_rng(7).normal(0, slope.sigma, 180)
    replaced = sleep.assign(Reaction=y)
    refitted = slope.refit(y)
    same_fit(refitted, mx.lmer(FORMULA, replaced))
    same_fit(slope.refit(pd.Series(y, index=sleep.index + 7)), refitted)  # by position
    assert refitted.design.X is slope.design.X
    assert slope.design.response[0] == sleep["Reaction"].iloc[0]
    same_fit(refitted.refit(sleep["Reaction"]), slope)
    same_fit(refitted.update(reml=False), mx.lmer(FORMULA, replaced, reml=False))
    same_fit(refitted.update(data=sleep), slope)


def test_refit_of_rows_used_or_of_all_rows() -> None:
    frame = load_frame("sleepstudy_na")
    fit = mx.lmer(FORMULA, frame)
    assert fit.n_omitted == 7
    rng = np.random.default_rng(8)
    full = rng.normal(300, 50, 180)
    used = full[fit.design.rows]
    same_fit(fit.refit(full), fit.refit(used))
    keeps = fit.refit(used).update("Reaction ~ 1 + (1 | Subject)", data=frame)
    assert keeps.request.response is None  # new data, new response
    with pytest.raises(DataError, match=r"length 173 \(the rows used\) or 180 \(all rows\)"):
        fit.refit(full[:50])


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["a"] * 180, "not numeric"),
        (np.ones((180, 2)), r"shape \(180, 2\)"),
        (np.r_[np.nan, np.arange(179)], r"missing or infinite in 1 .* row 0"),
        (np.r_[np.arange(179), np.inf], "missing or infinite"),
        (np.ones(180), "constant"),
    ],
)
def test_refit_refuses(slope: mx.LinearMixedModel, y: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        slope.refit(y)  # type: ignore[arg-type]


def test_refit_ml(slope: mx.LinearMixedModel) -> None:
    ml = slope.refit_ml()
    case = load_case("sleepstudy_slope_ml")
    assert ml.loglik == pytest.approx(case["fit"]["logLik"], abs=1e-6)
    assert ml.refit_ml() is ml


def test_start_leads_to_the_same_optimum(slope: mx.LinearMixedModel, sleep: pd.DataFrame) -> None:
    same_fit(mx.lmer(FORMULA, sleep, start=[0.2, 0.1, 2.0]), slope)
    with pytest.raises(OptionError, match="start"):
        mx.lmer(FORMULA, sleep, start="good")


def test_what_lmer_refuses(sleep: pd.DataFrame) -> None:
    with pytest.raises(OptionError, match="takes no family"):
        mx.lmer(FORMULA, sleep, family="poisson")
    with pytest.raises(OptionError, match=r'"wieghts".*Did you mean "weights"'):
        mx.lmer(FORMULA, sleep, wieghts="Days")
    with pytest.raises(OptionError, match="data is missing"):
        mx.lmer(FORMULA)
    with pytest.raises(OptionError, match="formula is missing"):
        mx.lmer(data=sleep)
    with pytest.raises(OptionError, match=r"must be a mixeff\.Control, not dict"):
        mx.lmer(FORMULA, sleep, control={"tolerance": 1e-8})  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="reml must be True or False"):
        mx.lmer(FORMULA, sleep, reml="yes")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="formula must be a string"):
        mx.lmer(["Reaction ~ Days"], sleep)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match=r"no random term(.|\n)*\(1 \| g\)(.|\n)*statsmodels"):
        mx.lmer("Reaction ~ Days", sleep)
    with pytest.raises(OptionError, match="ddf"):
        mx.lmer(FORMULA, sleep).summary(ddf="satterthwait")


def test_exclude_pads_what_is_per_row() -> None:
    frame = load_frame("sleepstudy_na")
    fit = mx.lmer(FORMULA, frame, na_action="exclude")
    complete = frame[["Reaction", "Days", "Subject"]].notna().all(axis=1).to_numpy()
    for values in (fit.fitted, fit.residuals("scaled"), fit.predict()):
        assert values.shape == (180,)
        np.testing.assert_array_equal(np.isnan(values), ~complete)


def test_zero_weights_count_as_rows_left_out(sleep: pd.DataFrame) -> None:
    weights = np.r_[0.0, np.ones(179)]
    with pytest.warns(mx.DataWarning):
        fit = mx.lmer(FORMULA, sleep, weights=weights, na_action="exclude")
    assert fit.fitted.shape == (180,)
    assert np.flatnonzero(np.isnan(fit.fitted)).tolist() == [0]
    assert fit.refit(sleep["Reaction"]).nobs == 179


def test_fits_can_be_copied_and_pickled(slope: mx.LinearMixedModel) -> None:
    for other in (copy.copy(slope), copy.deepcopy(slope), pickle.loads(pickle.dumps(slope))):
        assert other.loglik == slope.loglik
        pd.testing.assert_frame_equal(other.coefficients, slope.coefficients)


def test_any_frame_gives_the_same_fit(slope: mx.LinearMixedModel, sleep: pd.DataFrame) -> None:
    arrays = {
        "Reaction": sleep["Reaction"].to_numpy(),
        "Days": sleep["Days"].to_numpy(),
        "Subject": sleep["Subject"].astype(str).to_numpy(),
    }
    same_fit(mx.lmer(FORMULA, arrays), slope)


def test_changing_the_data_afterwards_changes_no_fit(sleep: pd.DataFrame) -> None:
    arrays = {name: np.array(sleep[name], dtype=float) for name in ("Reaction", "Days")}
    arrays["Subject"] = np.array(sleep["Subject"].astype(str))
    arrays["w"] = np.linspace(1, 2, 180)
    fit = mx.lmer("Reaction ~ 0 + Days + (0 + Days | Subject)", arrays, weights=arrays["w"])
    before = fit.residuals("pearson"), fit.fitted, fit.refit_ml().loglik
    for column in ("Reaction", "Days", "w"):
        arrays[column][:] = 1.0
    after = fit.residuals("pearson"), fit.fitted, fit.refit_ml().loglik
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_fitting_arrays_loads_no_frames_and_no_optimizers() -> None:
    code = """
import sys, numpy as np, mixeff
rng = np.random.default_rng(0)
data = {"y": rng.normal(size=60), "x": rng.normal(size=60), "g": np.repeat(np.arange(6), 10)}
fit = mixeff.lmer("y ~ x + (1 | g)", data)
fit.fitted, fit.theta, fit.loglik, fit.sigma, fit.is_singular, fit.residuals("scaled")
heavy = ("pandas", "narwhals", "pyarrow", "matplotlib", "scipy.optimize", "scipy.special")
print([m for m in heavy if m in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_arrow_stream_can_be_updated(slope: mx.LinearMixedModel, sleep: pd.DataFrame) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pandas(sleep)

    class Stream:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return table.__arrow_c_stream__(requested_schema)

    fit = mx.lmer(FORMULA, Stream())
    same_fit(fit, slope)
    same_fit(fit.update(reml=False), slope.refit_ml())


def test_anova_refits_reml_fits_and_says_so(sleep: pd.DataFrame) -> None:
    """sleepstudy_anova of the reference, from REML fits; the double bar is nested in the bar."""
    case = load_case("sleepstudy_anova")
    m0, m1, m2, m3 = (mx.lmer(f, sleep) for f in case["models"].values())
    table = mx.anova(m3, m1, m0, m2)
    frame = table.to_frame()
    assert frame.index.tolist() == ["m0", "m1", "m2", "m3"]
    np.testing.assert_allclose(frame["loglik"], case["anova"]["data"]["logLik"], atol=1e-6)
    assert any("refitting" in note for note in table.notes)
    assert table.data_name == "sleep"
    assert m0.is_reml


def test_two_machines_models_are_nested() -> None:
    frame = load_frame("Machines")
    small = mx.lmer("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", frame)
    large = mx.lmer("score ~ Machine + (0 + Machine | Worker)", frame)
    assert mx.anova(small, large).npar.tolist() == [6, 10]
    other = mx.lmer("score ~ Machine + (1 | Worker)", frame)
    with pytest.warns(ComparisonWarning, match="not nested"):
        mx.anova(mx.lmer("score ~ 1 + (1 | Worker:Machine)", frame, reml=False), other)


def test_syntax_errors_pass_through(sleep: pd.DataFrame) -> None:
    with pytest.raises(FormulaError):
        mx.lmer("Reaction ~ Days + (1 | Subject", sleep)


def test_printing_forwards(slope: mx.LinearMixedModel) -> None:
    assert str(slope) == repr(slope)
    assert "REML criterion at convergence: 1743.628" in str(slope)
    assert "Scaled residuals" in str(slope.summary())
    assert "<table" in slope._repr_html_()
    assert "Residual" in str(slope.varcorr)
    assert "npar" in str(mx.anova(slope, slope.refit_ml()))
    assert "AIC" in str(mx.aic(slope))


def test_without_fixed_effects_reml_is_maximum_likelihood(sleep: pd.DataFrame) -> None:
    """R: m <- lmer(Reaction ~ 0 + (1 | Subject), sleepstudy); isREML(m) is FALSE."""
    m = mx.lmer("Reaction ~ 0 + (1 | Subject)", sleep)
    assert not m.is_reml
    assert m.deviance == pytest.approx(1985.68, abs=0.005)  # deviance(m)
    assert str(m).startswith("Linear mixed model fit by maximum likelihood")
    assert m.update(". ~ . + Days + 1").is_reml
