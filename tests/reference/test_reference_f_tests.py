"""t and F tests against lmerTest, pbkrtest, lme4 and car (blocks of the lmm and glmm cases)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

import mixeff as mx
from mixeff.inference.method import method_of
from support.dense_inference import dense_model
from support.fits import fit_case
from support.reference import case_ids, load_case, load_frame
from support.reference_fits import reference_fit

# The tolerance. lmerTest differentiates numerically (numDeriv, good to about 1e-8 of the
# largest entry), so its degrees of freedom agree to 1e-5 or better.
RTOL = 1e-4

# pbkrtest 0.5.2 builds Sigma from Z and sigma^2 I: prior weights do not enter, which
# test_what_pbkrtest_makes_of_weights shows. Ours are tested in
# tests/unit/inference/test_inference_kenward_roger.py, against dense matrices.
WEIGHTED = ("penicillin_weights_p", "sleepstudy_weights")

SCALED_F, SCALED_DF = 13.0287227, 1068.49445


def cases_with(block: str, kind: str = "lmm") -> list[str]:
    """Cases of a kind whose block R could compute."""
    cases = {name: load_case(name).get(block) for name in case_ids(kind)}
    return [name for name, found in cases.items() if found and "error" not in found]


def column(table: dict[str, Any], name: str) -> np.ndarray:
    """A column of a recorded table."""
    special = {None: np.nan, "Inf": np.inf, "-Inf": -np.inf}
    return np.array([special.get(v, v) for v in table["data"][name]], dtype=float)


def check_p(got: np.ndarray, want: np.ndarray) -> None:
    """Small p values move by more than their statistic: d log p is about -t dt + log(p) dnu / nu.

    Below 1e-300 SciPy's tails are 0 where R still has denormal numbers.
    """
    allowed = RTOL * want * np.maximum(1.0, -np.log(np.maximum(want, 1e-300))) + 1e-300
    assert np.all(np.abs(got - want) <= allowed)


def check_coefficients(fit: Any, block: dict[str, Any], ddf: str) -> None:
    """The coefficient table of a summary with degrees of freedom."""
    table = fit.contrast(np.eye(len(fit.fixef)), ddf=ddf)
    want = block["coefficients"]
    assert list(table.index) == want["rows"]
    np.testing.assert_allclose(table["std_error"], column(want, "Std. Error"), rtol=RTOL)
    np.testing.assert_allclose(table["df"], column(want, "df"), rtol=RTOL)
    np.testing.assert_allclose(table["statistic"], column(want, "t value"), rtol=RTOL, atol=1e-9)
    check_p(table["p_value"], column(want, "Pr(>|t|)"))


def check_covariance(got: np.ndarray, block: dict[str, Any]) -> None:
    """Entries of columns in very different units: each relative to its standard errors."""
    want = np.array(block["vcov_adj"]["values"], dtype=float)
    size = np.sqrt(np.outer(np.diag(want), np.diag(want)))
    np.testing.assert_allclose(got / size, want / size, atol=1e-6)


@pytest.mark.parametrize("name", cases_with("satterthwaite"))
def test_satterthwaite_coefficients(name: str) -> None:
    check_coefficients(fit_case(name), load_case(name)["satterthwaite"], "satterthwaite")


KENWARD_ROGER = [name for name in cases_with("kenward_roger") if name not in WEIGHTED]


@pytest.mark.parametrize("name", KENWARD_ROGER)
def test_kenward_roger_coefficients(name: str) -> None:
    check_coefficients(fit_case(name), load_case(name)["kenward_roger"], "kenward-roger")


@pytest.mark.parametrize("name", KENWARD_ROGER)
def test_kenward_roger_covariance(name: str) -> None:
    got = method_of(fit_case(name), "kenward-roger", function="test").covariance
    check_covariance(got, load_case(name)["kenward_roger"])


def pbkrtest_covariance(fit: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What `vcovAdj` of pbkrtest 0.5.2 computes: Phi, Phi_A, P_j and W, with n x n matrices.

    Its ``get_SigmaG`` puts the identity where V has diag(1 / w), so Sigma^-1, P, Q and W are those
    of a model without weights at the weighted model's estimates; Phi is ``vcov`` of the weighted
    fit. Without weights the two agree and this is Kenward and Roger's covariance.
    """
    d = dense_model(fit)
    G = [*d.derivatives[:-1], np.eye(fit.nobs)]
    Phi = np.linalg.inv(d.X.T @ np.linalg.solve(d.V, d.X))
    Si = np.linalg.inv(np.tensordot(d.phi, np.array(G), axes=1))
    SX = Si @ d.X
    P = np.array([-SX.T @ A @ SX for A in G])
    Q = np.array([[SX.T @ A @ Si @ B @ SX for B in G] for A in G])
    K = np.array([[np.sum((A @ Si) * (B @ Si).T) for B in G] for A in G])
    PhiP = Phi @ P
    both = np.einsum("jab,kba->jk", PhiP, PhiP)
    W = 2.0 * np.linalg.inv(K - 2.0 * np.einsum("ab,jkba->jk", Phi, Q) + both)
    inner = np.einsum("jk,jkab->ab", W, Q - np.einsum("jab,bc,kcd->jkad", P, Phi, P))
    return Phi, Phi + 2.0 * Phi @ inner @ Phi, P, W


@pytest.mark.parametrize("name", WEIGHTED)
def test_what_pbkrtest_makes_of_weights(name: str) -> None:
    """Every recorded number of the two blocks follows from Sigma without the weights."""
    fit, block = fit_case(name), load_case(name)["kenward_roger"]
    Phi, adjusted, P, W = pbkrtest_covariance(fit)
    check_covariance(adjusted, block)
    rows = np.eye(len(fit.fixef))
    # Degrees of freedom of one row (pbkrtest's Lb_ddf, and its F test with q = 1): 2 / A.
    slopes = np.einsum("ka,ab,jbc,cd,kd->kj", rows, Phi, P, Phi, rows)
    df = 2.0 * np.diag(Phi) ** 2 / np.einsum("kj,jl,kl->k", slopes, W, slopes)
    se = np.sqrt(np.diag(adjusted))
    t = fit.fixef.to_numpy() / se
    want = block["coefficients"]
    np.testing.assert_allclose(se, column(want, "Std. Error"), rtol=RTOL)
    np.testing.assert_allclose(df, column(want, "df"), rtol=RTOL)
    np.testing.assert_allclose(t, column(want, "t value"), rtol=RTOL)
    check_p(2.0 * stats.t.sf(np.abs(t), df), column(want, "Pr(>|t|)"))
    # One term with one coefficient: the tables of type I and III test that coefficient. The mean
    # square is that of the F without its scale lambda, which is 1 for one row.
    for table in (block["anova_type1"], block["anova_type3"]):
        assert len(table["rows"]) == len(rows) - 1 == 1
        wanted = {key: column(table, key)[0] for key in table["columns"]}
        assert wanted["F value"] == pytest.approx(t[1] ** 2, rel=RTOL)
        assert wanted["DenDF"] == pytest.approx(df[1], rel=RTOL)
        assert wanted["NumDF"] == 1
        assert wanted["Sum Sq"] == wanted["Mean Sq"]
        assert wanted["Mean Sq"] == pytest.approx(t[1] ** 2 * fit.sigma**2, rel=RTOL)
        check_p(stats.f.sf(t[1:] ** 2, 1, df[1:]), column(table, "Pr(>F)"))
    # And these are not the numbers of the model with its weights.
    ours = fit.contrast(rows, ddf="kenward-roger")
    assert np.abs(np.asarray(ours["df"]) / df - 1.0).max() > 0.05


def test_pbkrtest_without_weights_is_the_same_formula() -> None:
    fit = fit_case("sleepstudy_slope")
    check_covariance(pbkrtest_covariance(fit)[1], load_case("sleepstudy_slope")["kenward_roger"])


def check_table(got: Any, want: dict[str, Any], columns: dict[str, str]) -> None:
    """A table of terms; p values last."""
    assert list(got.index) == want["rows"]
    for ours, theirs in columns.items():
        if ours == "p_value":
            continue
        np.testing.assert_allclose(got[ours], column(want, theirs), rtol=RTOL, err_msg=ours)
    known = ~np.isnan(np.asarray(got["p_value"]))
    check_p(np.asarray(got["p_value"])[known], column(want, columns["p_value"])[known])


F_COLUMNS = {
    "sum_sq": "Sum Sq",
    "mean_sq": "Mean Sq",
    "num_df": "NumDF",
    "den_df": "DenDF",
    "f_value": "F value",
    "p_value": "Pr(>F)",
}
CHISQ_COLUMNS = {"chisq": "Chisq", "df": "Df", "p_value": "Pr(>Chisq)"}


# lmerTest takes scale(x) for a factor: test_type_two_with_a_scaled_covariate.
ANOVAS = [
    (name, kind)
    for name in cases_with("satterthwaite")
    for kind in (1, 2, 3)
    if (name, kind) != ("exam_scale_p", 2)
]


@pytest.mark.parametrize(("name", "kind"), ANOVAS)
def test_satterthwaite_anova(name: str, kind: int) -> None:
    want = load_case(name)["satterthwaite"][f"anova_type{kind}"]
    check_table(fit_case(name).anova(kind, "satterthwaite"), want, F_COLUMNS)


def test_type_two_with_a_scaled_covariate() -> None:
    """sex does not contain scale(x):sex's covariate, so its test is given that interaction.

    lmerTest finds the class "nmatrix.1" for scale(x), not "numeric", and treats it as a factor. The
    same model with the scaled covariate as a column, in R 4.2.2 with lmerTest 3.1-3:
    d$z <- as.numeric(scale(d$standLRT))
    anova(lmer(normexam ~ z * sex + (z | school), d), type = 2)
    """
    table = fit_case("exam_scale_p").anova(2)
    at = list(table.index).index("sex")
    # lmer's default optimizer there; F agrees to 1e-6.
    assert table["f_value"][at] == pytest.approx(SCALED_F, rel=RTOL)
    assert table["den_df"][at] == pytest.approx(SCALED_DF, rel=RTOL)


def test_type_two_of_lmertest_with_scale_as_a_factor() -> None:
    """Every recorded number: for sex the hypothesis is then sex given scale(x) alone.

    With ``scale(x)`` a factor, ``scale(x):sex`` contains sex (and scale(x), as it does anyway), so
    the coefficient of sex is taken after those of the intercept and scale(x) and before theirs.
    """
    fit = fit_case("exam_scale_p")
    want = load_case("exam_scale_p")["satterthwaite"]["anova_type2"]
    names = list(fit.fixef.index)
    x, sex, both = (names.index(n) for n in names[1:])

    def given(before: list[int], own: int) -> np.ndarray:
        """The row of ``own`` in R of the QR of the columns: before, own, all others."""
        order = [*before, own, *(j for j in range(len(names)) if j != own and j not in before)]
        row = np.zeros(len(names))
        row[order] = np.linalg.qr(fit.design.X[:, order], mode="r")[len(before)]
        return row / row[own]

    L = [given([0, sex], x), given([0, x], sex), given([0, x, sex], both)]
    assert want["rows"] == list(fit.anova(2).index)
    for k, row in enumerate(L):
        test = fit.contrast(row, joint=True)
        wanted = {key: column(want, key)[k] for key in want["columns"]}
        assert test["num_df"][0] == wanted["NumDF"]
        assert test["f_value"][0] == pytest.approx(wanted["F value"], rel=RTOL)
        assert test["den_df"][0] == pytest.approx(wanted["DenDF"], rel=RTOL)
        mean_square = test["f_value"][0] * fit.sigma**2
        assert mean_square == pytest.approx(wanted["Mean Sq"], rel=RTOL)
        assert mean_square == pytest.approx(wanted["Sum Sq"], rel=RTOL)
        check_p(np.asarray(test["p_value"]), column(want, "Pr(>F)")[[k]])


@pytest.mark.parametrize("name", KENWARD_ROGER)
@pytest.mark.parametrize("kind", [1, 3])
def test_kenward_roger_anova(name: str, kind: int) -> None:
    want = load_case(name)["kenward_roger"][f"anova_type{kind}"]
    check_table(fit_case(name).anova(kind, "kenward-roger"), want, F_COLUMNS)


@pytest.mark.parametrize("name", cases_with("anova_F"))
def test_sequential_table_of_lme4(name: str) -> None:
    got, want = fit_case(name).anova(1, None).to_frame(), load_case(name)["anova_F"]
    got = got[got["num_df"] > 0]  # lme4 leaves out terms without a column of their own
    assert list(got.index) == want["rows"]
    np.testing.assert_allclose(got["num_df"], column(want, "npar"), rtol=0)
    for ours, theirs in (("sum_sq", "Sum Sq"), ("mean_sq", "Mean Sq"), ("f_value", "F value")):
        np.testing.assert_allclose(got[ours], column(want, theirs), rtol=RTOL)


def car_tables(kind: str) -> list[tuple[str, int]]:
    """Cases of a kind with a Wald chi-square table that car could compute."""
    return [
        (name, number)
        for name in cases_with("car_anova", kind)
        for number in (2, 3)
        if "error" not in load_case(name)["car_anova"].get(f"type{number}_chisq", {"error": 1})
    ]


@pytest.mark.parametrize(("name", "kind"), car_tables("lmm"))
def test_wald_chi_square_of_car(name: str, kind: int) -> None:
    meaning = "marginal" if kind == 2 else "coefficients"
    got = fit_case(name).anova(kind, "asymptotic", hypotheses=meaning)
    check_table(got, load_case(name)["car_anova"][f"type{kind}_chisq"], CHISQ_COLUMNS)


def glmm_fit(name: str) -> Any:
    """Our fit, of the approximation lme4 maximizes."""
    case = load_case(name)
    laplace = "observed" if (case["family"], case["link"]) in CANONICAL else "expected"
    return mx.glmer(
        case["formula"],
        load_frame(case["data"]),
        case["family"],
        link=case["link"],
        n_agq=case["nAGQ"],
        weights=case.get("weights"),
        offset=case.get("offset"),
        control=mx.Control(double_bar="lme4", laplace=laplace),
    )


CANONICAL = {("binomial", "logit"), ("poisson", "log")}

# lme4 does not maximize over the dispersion: another estimate.
DISPERSION = ("gamma_epil_p", "gamma_inv_p", "gauss_log_p", "invgauss_p")

# car takes lme4's finite-difference Hessian. Its standard errors differ from glmmTMB's by 1.5 %
# (grouse_p), 0.15 % (owls_p) and 0.09 % (mmmec_p), ours by 2e-6; for verbagg_p, 7e-5 from ours,
# there is no other reference, and 1e-3 is what test_reference_glmm asks of lme4's.
INEXACT_HESSIAN = ("grouse_p", "mmmec_p", "owls_p", "verbagg_p")


@pytest.mark.parametrize(("name", "kind"), car_tables("glmm"))
def test_wald_chi_square_of_car_generalized(name: str, kind: int) -> None:
    """With lme4's own coefficients and covariance: every case."""
    case, fit = load_case(name), glmm_fit(name)
    given = replace(
        fit.estimate,
        beta=np.array(list(case["beta"].values()), dtype=float),
        covariance=np.array(case["vcov"]["values"], dtype=float),
    )
    meaning = "marginal" if kind == 2 else "coefficients"
    want = case["car_anova"][f"type{kind}_chisq"]
    check_table(replace(fit, estimate=given).anova(kind, hypotheses=meaning), want, CHISQ_COLUMNS)
    if name not in (*DISPERSION, *INEXACT_HESSIAN):
        check_table(fit.anova(kind, hypotheses=meaning), want, CHISQ_COLUMNS)


@pytest.mark.parametrize("name", cases_with("anova_F", "glmm"))
def test_sequential_table_of_lme4_generalized(name: str) -> None:
    # With a dispersion lme4's numbers take the place of our estimate.
    fit = reference_fit(name) if name in DISPERSION else glmm_fit(name)
    got, want = fit.anova(1, None), load_case(name)["anova_F"]
    assert list(got.index) == want["rows"]
    np.testing.assert_allclose(got["num_df"], column(want, "npar"), rtol=0)
    for ours, theirs in (("sum_sq", "Sum Sq"), ("mean_sq", "Mean Sq"), ("f_value", "F value")):
        np.testing.assert_allclose(got[ours], column(want, theirs), rtol=RTOL)


def plain_quotes(text: str) -> str:
    """R's quotes differ between platforms."""
    return text.translate(str.maketrans({"\u2018": "'", "\u2019": "'"})).rstrip()


NUMBER = re.compile(r"(?<![\w.])-?\d+\.?\d*(?:e[+-]\d+)?(?![\w])")


def alike(got: str, want: str) -> bool:
    """The same line, but for one unit in the last digit of its numbers.

    lmerTest prints eight digits of degrees of freedom that its numerical derivatives give to 1e-5
    (nlschools_GS_slope_p and nlschools_m5_IQonly, whose random slopes are nearly singular).
    """
    if NUMBER.sub("#", got) != NUMBER.sub("#", want):
        return False
    pairs = zip(NUMBER.findall(got), NUMBER.findall(want), strict=True)
    return all(
        abs(float(a) - float(b)) <= max(1.001 * unit(b), 2e-5 * abs(float(b))) for a, b in pairs
    )


def unit(text: str) -> float:
    """One in the last digit."""
    digits, _, exponent = text.partition("e")
    decimals = len(digits.partition(".")[2])
    return float(10.0 ** (int(exponent or 0) - decimals))


def differing(got: str, want: str) -> list[tuple[str, str]]:
    """Lines that are not alike; title and data name made equal, the optimizer's remark left out."""
    texts = []
    for text in (got, want):
        text = plain_quotes(text).replace("LinearMixedModel", "lmerModLmerTest")
        lines = [line.rstrip() for line in text.split("\n")]
        lines = [line for line in lines if "Data:" not in line and line]
        ends = [k for k, line in enumerate(lines) if line.startswith("optimizer (")]
        texts.append(lines[: ends[0]] if ends else lines)
    assert len(texts[0]) == len(texts[1])
    return [(a, b) for a, b in zip(*texts, strict=True) if not alike(a, b)]


@pytest.mark.parametrize("name", cases_with("satterthwaite"))
def test_printed_anova(name: str) -> None:
    want = load_case(name)["satterthwaite"]["anova_text"]
    got = str(fit_case(name).anova()).split("\n\n")[0]
    assert differing(got, want) == []


@pytest.mark.parametrize("name", cases_with("satterthwaite"))
def test_printed_summary(name: str) -> None:
    want = load_case(name)["satterthwaite"]["summary_text"]
    lines = differing(str(fit_case(name).summary(ddf="satterthwaite")), want)
    if name == "sleepstudy_fdb_p":  # theta is not unique, nor are the variances printed
        lines = [
            pair
            for pair in lines
            if not pair[0].startswith((" Subject", "          ", " Residual"))
        ]
    assert lines == []
