"""Everything read off a generalized fit, on fits made of R's own estimates.

Nothing is optimized here, so R's numbers must come out to the 15 digits of the reference files;
rounding in the sums over rows leaves about 1e-10.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.errors import ComparisonError, ComparisonWarning, DataError, DesignError, OptionError
from mixeff.model.effects import conditional_covariances
from mixeff.model.generalized_effects import as_linear
from mixeff.model.generalized_fit import GeneralizedMixedModel
from mixeff.report.html import summary_html
from support.fits import comparable_lines, new_data
from support.reference import case_ids, load_case
from support.reference_fits import reference_fit

# The files hold the modes of at most 200 levels.
WHOLE = [
    name
    for name in case_ids("glmm")
    if all(block["nlevels"] <= 200 for block in load_case(name)["ranef"].values())
]
CLOSE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-10}


@pytest.fixture(scope="module", params=WHOLE)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def cbpp() -> GeneralizedMixedModel:
    return reference_fit("cbpp_laplace")


def test_enough_cases_are_whole() -> None:
    assert len(WHOLE) == 23


def test_summary_is_printed_as_lme4_prints_it(name: str) -> None:
    # remarks that lme4 does not make stand below the tables
    summary = dataclasses.replace(reference_fit(name).summary(), remarks=())
    got = comparable_lines(str(summary))
    want = comparable_lines(load_case(name)["summary_text"])
    got[1] = got[1].replace("[GeneralizedMixedModel]", "[glmerMod]")
    # lme4 heads the statistic "t value" where there is a dispersion, and gives p values of z
    assert got == [line.replace("t value Pr(>|z|)", "z value Pr(>|z|)") for line in want]


def test_residuals_and_deviance(name: str) -> None:
    fit, case = reference_fit(name), load_case(name)
    for kind, want in case["residuals"].items():
        got = fit.residuals(kind)
        np.testing.assert_allclose(got[:20], want["first"], **CLOSE)
        assert got.sum() == pytest.approx(want["sum"], rel=1e-8, abs=1e-8)
        assert got @ got == pytest.approx(want["sumsq"], rel=1e-9)
    assert fit.deviance == pytest.approx(case["fit"]["conditional_deviance"], rel=1e-9)
    quantiles = np.quantile(fit.residuals("scaled"), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quantiles, list(case["scaled_residual_quantiles"].values()), **CLOSE)


def test_statistics(name: str) -> None:
    fit, want = reference_fit(name), load_case(name)["fit"]
    assert fit.df == want["df"]
    assert fit.df_residual == want["df_residual"]
    for got, key in ((fit.aic, "AIC"), (fit.bic, "BIC"), (fit.aicc, "AICc")):
        assert got == pytest.approx(want[key], rel=1e-10)
    assert fit.sigma == pytest.approx(want["sigma"], rel=1e-10)
    assert fit.is_singular == want["isSingular"]
    assert not fit.is_reml
    assert fit.reml_criterion is None
    assert fit.refit_ml() is fit


def test_coefficients(name: str) -> None:
    fit, case = reference_fit(name), load_case(name)
    table = fit.coefficients
    assert list(table.columns) == ["estimate", "std_error", "statistic", "p_value"]
    assert list(table.index) == list(case["beta"])
    np.testing.assert_allclose(table["std_error"], list(case["se"].values()), **CLOSE)
    np.testing.assert_allclose(table["statistic"], list(case["z"].values()), **CLOSE)
    np.testing.assert_allclose(table["p_value"], list(case["p"].values()), rtol=1e-8)
    summary = fit.summary().coefficients
    pd.testing.assert_frame_equal(summary, table)


def test_variance_components(name: str) -> None:
    fit, table = reference_fit(name), load_case(name)["VarCorr"]["table"]["data"]
    got = fit.varcorr.to_frame()
    assert got["grp"].tolist() == table["grp"]
    np.testing.assert_allclose(got["vcov"], table["vcov"], **CLOSE)
    np.testing.assert_allclose(got["sdcor"], table["sdcor"], **CLOSE)


def test_wald_intervals(name: str) -> None:
    fit, want = reference_fit(name), load_case(name)["confint_wald"]
    got = fit.confint()
    assert got.shape[0] == len(want["rows"])
    p = len(fit.design.names)
    assert got.iloc[:-p].isna().all(axis=None)
    np.testing.assert_allclose(got.iloc[-p:], np.array(want["values"][-p:], float), **CLOSE)
    assert ("sigma" in got.index) == fit.estimate.family.has_dispersion


def test_predictions(name: str) -> None:
    fit, case = reference_fit(name), load_case(name)
    frame, want = new_data(case), case["predict"]
    if "new_level" not in want["link"]:
        pytest.skip("lme4's own predict() failed")
    unseen = frame.assign(**{want["new_level_variable"]: "a level never seen"})
    for scale in ("link", "response"):
        ours = {
            "re_null": fit.predict(frame, type=scale),
            "re_na": fit.predict(frame, type=scale, random=None),
            "new_level": fit.predict(unseen, type=scale, allow_new_levels=True),
        }
        for key, got in ours.items():
            np.testing.assert_allclose(got, want[scale][key], **CLOSE)


def test_rows_of_the_fit_are_predicted_as_fitted(cbpp: GeneralizedMixedModel) -> None:
    np.testing.assert_allclose(cbpp.predict(), cbpp.fitted, rtol=1e-14)
    np.testing.assert_allclose(cbpp.predict(type="link"), cbpp.linear_predictor, rtol=1e-14)


def test_names_of_family_and_link(cbpp: GeneralizedMixedModel) -> None:
    assert (cbpp.family, cbpp.link, cbpp.n_agq) == ("binomial", "logit", 1)
    assert cbpp.dispersion is None
    gamma = reference_fit("gamma_epil_p")
    assert (gamma.family, gamma.link) == ("Gamma", "log")
    assert gamma.dispersion == pytest.approx(gamma.sigma**2)


def test_conditional_variances_of_the_last_iteration_are_those_of_R() -> None:
    """The working model at R's modes has R's conditional variances: its weights are right."""
    for case in ("cbpp_laplace", "cbpp_probit", "cbpp_cloglog", "gamma_epil_p", "owls_p"):
        fit = reference_fit(case)
        want = fit.ranef_variance
        got = conditional_covariances(*as_linear(fit.design, fit.estimate))
        for group in want:
            np.testing.assert_allclose(got[group], want[group], rtol=1e-5)


def test_several_terms_on_one_factor_depend_on_each_other(cbpp: GeneralizedMixedModel) -> None:
    """Against the inverse of Z'WZ + Sigma^-1 by dense algebra."""
    term = cbpp.design.random[0]
    slope = dataclasses.replace(
        term, columns=("x",), values=np.arange(56.0)[:, None] / 56, label="(0 + x | herd)"
    )
    design = dataclasses.replace(cbpp.design, random=(term, slope))
    Lambda = (cbpp.estimate.Lambda[0], np.array([[0.8]]))
    estimate = dataclasses.replace(
        cbpp.estimate,
        theta=np.array([Lambda[0][0, 0], 0.8]),
        Lambda=Lambda,
        modes=(cbpp.estimate.modes[0], np.zeros((15, 1))),
        conditional_variances=(cbpp.estimate.conditional_variances[0], np.zeros((15, 1, 1))),
    )
    fit = GeneralizedMixedModel(cbpp.request, design, estimate)
    p = cbpp.fitted
    W = cbpp.design.weights * p * (1 - p)
    got = fit.ranef_variance["herd"]
    for level in range(15):
        rows = term.codes == level
        z = np.column_stack([np.ones(rows.sum()), slope.values[rows, 0]])
        prior = np.diag([1 / Lambda[0][0, 0] ** 2, 1 / 0.64])
        want = np.linalg.inv(z.T @ (W[rows, None] * z) + prior)
        np.testing.assert_allclose(got[level], want, rtol=1e-8)


def test_standard_errors_of_predictions(cbpp: GeneralizedMixedModel) -> None:
    """Fixed part: x' vcov x. With modes: c' C^-1 c, C the matrix of the last penalized step."""
    X, term = cbpp.design.X, cbpp.design.random[0]
    fixed = cbpp.predict(random=None, se=True, type="link")["std_error"]
    V = cbpp.estimate.covariance
    np.testing.assert_allclose(fixed, np.sqrt(np.einsum("ij,jk,ik->i", X, V, X)), rtol=1e-10)
    Z = np.eye(15)[term.codes]
    p = cbpp.fitted
    W = cbpp.design.weights * p * (1 - p)
    both = np.hstack([X, Z])
    C = both.T @ (W[:, None] * both)
    C[4:, 4:] += np.eye(15) / cbpp.estimate.theta[0] ** 2
    want = np.sqrt(np.einsum("ij,jk,ik->i", both, np.linalg.inv(C), both))
    got = cbpp.predict(se=True, type="link")["std_error"]
    np.testing.assert_allclose(got, want, rtol=1e-8)
    # delta method on the response: dmu/deta = p (1 - p)
    response = cbpp.predict(se=True)["std_error"]
    np.testing.assert_allclose(response, want * p * (1 - p), rtol=1e-8)


@pytest.mark.parametrize("case", ["cbpp_laplace", "mmmec_p", "gamma_epil_p", "invgauss_p"])
def test_simulated_responses_have_mean_and_variance(case: str) -> None:
    """Given the modes E y = mu, Var y = phi V(mu) / w: standardized by 3000 draws."""
    fit, draws = reference_fit(case), 3000
    y = fit.simulate(draws, seed=1, random="all")
    mu = fit.fitted
    variance = {
        "binomial": lambda m: m * (1 - m),
        "poisson": lambda m: m,
        "Gamma": lambda m: m**2,
        "inverse.gaussian": lambda m: m**3,
    }[fit.family](mu) * fit.sigma**2
    variance = variance if fit.design.weights is None else variance / fit.design.weights
    z = (y.mean(axis=1) - mu) / np.sqrt(variance / draws)
    assert np.abs(z).max() < 5.0  # 354 rows at most: 2e-4 for the largest, seeds fixed
    assert abs(np.mean(y.var(axis=1, ddof=1) / variance) - 1) < 0.05


def test_simulated_effects_have_their_variance(cbpp: GeneralizedMixedModel) -> None:
    """The mean of p over new effects differs from p at effects of zero, by quadrature."""
    draws = 20_000
    y = np.hstack([cbpp.simulate(2000, seed=s) for s in range(draws // 2000)])
    x, w = np.polynomial.hermite_e.hermegauss(40)
    eta = cbpp.design.X @ cbpp.estimate.beta
    p = 1 / (1 + np.exp(-(eta[:, None] + cbpp.estimate.theta[0] * x)))
    mean = p @ w / w.sum()
    z = (y.mean(axis=1) - mean) / (y.std(axis=1, ddof=1) / np.sqrt(draws))
    assert np.abs(z).max() < 4.5


def test_simulation_of_new_rows_takes_their_trials(cbpp: GeneralizedMixedModel) -> None:
    new = {"period": ["1", "2"], "herd": ["1", "77"], "incidence": [0, 0], "size": [5, 1000]}
    y = cbpp.simulate(200, seed=1, newdata=pd.DataFrame(new)).to_numpy()
    np.testing.assert_allclose(y[0] * 5, np.round(y[0] * 5), atol=1e-12)
    assert len(np.unique(y[1])) > 20
    with pytest.raises(mx.PredictionError, match="lack incidence, size"):
        cbpp.simulate(newdata={"period": ["1"], "herd": ["1"]})


def test_likelihood_ratio_test_needs_no_refit() -> None:
    big, small = reference_fit("contra_slope_p"), reference_fit("contra_p")
    with pytest.raises(ComparisonError, match="same rows"):
        mx.anova(big, reference_fit("cbpp_laplace"))
    table = mx.anova(small, big).to_frame()
    want = 2 * (big.loglik - small.loglik)
    assert table["chisq"].iloc[1] == pytest.approx(want)
    assert table["df"].iloc[1] == 3
    assert "refitting" not in str(mx.anova(small, big))


def test_comparisons_name_what_differs(cbpp: GeneralizedMixedModel) -> None:
    nodes, probit = reference_fit("cbpp_agq9"), reference_fit("cbpp_probit")
    with pytest.warns(ComparisonWarning, match="n_agq=1 and 9"):
        mx.anova(cbpp, nodes)
    with pytest.warns(ComparisonWarning, match="links logit and probit"):
        mx.anova(cbpp, probit)
    trials = dataclasses.replace(cbpp.design, weights=2 * cbpp.design.weights)
    other = GeneralizedMixedModel(cbpp.request, trials, cbpp.estimate)
    with pytest.raises(ComparisonError, match="numbers of trials differ"):
        mx.anova(cbpp, other)
    table = mx.aic(cbpp, probit).to_frame()
    assert table["df"].tolist() == [5, 5]
    linear = mx.lmer("yp ~ lbase + trt + (1 | subjF)", reference_fit("gamma_epil_p").request.data)
    with pytest.warns(ComparisonWarning, match="families gaussian and Gamma"):
        mx.anova(linear, reference_fit("gamma_epil_p"))


def test_probabilities_and_densities_do_not_compare() -> None:
    poisson = reference_fit("epil_p")
    linear = mx.lmer(poisson.formula, poisson.request.data, reml=False)
    with pytest.raises(ComparisonError, match="different scales"):
        mx.anova(poisson, linear)
    with pytest.warns(ComparisonWarning, match="densities"):
        mx.aic(poisson, linear)


def test_pictures_and_pages(cbpp: GeneralizedMixedModel) -> None:
    from mixeff import plots

    assert len(plots.caterpillar_data(cbpp, "herd")) == 15
    assert plots.qq_data(cbpp, kind="deviance")["residual"].is_monotonic_increasing
    assert plots.residuals_vs_fitted_data(cbpp, kind="pearson").shape == (56, 2)
    page = summary_html(cbpp.summary())
    assert "binomial  ( logit )" in page
    assert "z value" in page
    assert "Generalized linear mixed model" in cbpp._repr_html_()


def test_remarks_are_printed_under_the_tables() -> None:
    remark = (
        "period4 separates the successes from the failures: " + "its estimate is infinite. " * 4
    )
    fit = reference_fit("cbpp_laplace", notes=(remark.strip(),))
    assert fit.notes == (remark.strip(),)
    for text in (str(fit), str(fit.summary())):
        tail = text.split("\n\n")[-1]
        assert " ".join(tail.split()) == remark.strip()
        assert max(map(len, tail.split("\n"))) < 80
    assert remark.strip() in " ".join(summary_html(fit.summary()).split())


def test_short_print_has_family_and_criteria(cbpp: GeneralizedMixedModel) -> None:
    lines = str(cbpp).split("\n")
    assert lines[2] == " Family: binomial  ( logit )"
    assert lines[4] == "   Data: cbpp"
    # AIC, BIC, logLik, -2 logLik of the case, to four decimals
    assert lines[6].split() == ["194.0526", "204.1793", "-92.0263", "184.0526", "51"]


def test_wrong_arguments(cbpp: GeneralizedMixedModel) -> None:
    with pytest.raises(DesignError, match=r"column 0 .*every one of the 56 rows used is failure"):
        cbpp.refit_many(np.zeros((56, 2)))
    with pytest.raises(OptionError, match="kind must be one of"):
        cbpp.residuals("martingale")
    with pytest.raises(DataError, match="do not add up to the trials"):
        cbpp.refit(np.ones((56, 2)))
    with pytest.raises(DataError, match="outside"):
        cbpp.refit(np.linspace(-1, 2, 56))
