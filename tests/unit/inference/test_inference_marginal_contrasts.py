"""Contrasts among marginal means: coefficients, names, scales, adjustments, letters."""

from __future__ import annotations

import math
import pickle
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

import mixeff as mx
from mixeff.inference.marginal.adjust import Family, adjusted
from mixeff.inference.marginal.coefficients import coefficients
from mixeff.inference.marginal.letters import letter_display
from mixeff.inference.marginal.multivariate_t import MaximalT
from mixeff.inference.marginal.studentized_range import (
    studentized_range_quantile,
    studentized_range_sf,
)
from support.reference import load_frame


@cache
def arabidopsis() -> Any:
    # R: lmer(log(total.fruits + 1) ~ amd * status + nutrient + factor(rack) + reg + (1 | gen))
    return mx.lmer(
        "log(total.fruits + 1) ~ amd * status + nutrient + factor(rack) + reg + (1 | gen)",
        load_frame("Arabidopsis"),
    )


def status(**options: Any) -> Any:
    return arabidopsis().marginal_means("status", ddf="asymptotic", **options)


@cache
def oats() -> Any:
    return mx.lmer("Y ~ N * V + (1 | B / V)", load_frame("oats"))


# --- coefficients


def test_names_and_coefficients() -> None:
    pairs = coefficients("pairwise", ["a", "b", "c"])
    assert pairs.names == ("a - b", "a - c", "b - c")
    np.testing.assert_array_equal(pairs.matrix, [[1, -1, 0], [1, 0, -1], [0, 1, -1]])
    reverse = coefficients("revpairwise", ["a", "b", "c"])
    assert reverse.names == ("b - a", "c - a", "c - b")
    assert coefficients("consecutive", ["a", "b", "c"]).names == ("b - a", "c - b")
    control = coefficients("treatment", ["a", "b", "c"], ref="b", plain=["a", "b", "c"])
    assert control.names == ("a - b", "c - b")
    assert coefficients("trt.vs.ctrlk", ["a", "b", "c"]).names == ("a - c", "b - c")
    assert coefficients("Pairs", ["a", "b", "c"]).names == pairs.names
    assert coefficients("trt_vs_ctrl", ["a", "b"]).names == ("b - a",)
    assert coefficients("pairwise", ["a-1", "b"]).names == ("(a-1) - b",)
    assert coefficients("pairwise", ["a", "b"], ratio=True).names == ("a / b",)
    effects = coefficients("eff", ["a", "b", "c"])
    np.testing.assert_allclose(effects.matrix, np.eye(3) - 1 / 3)
    others = coefficients("del.eff", ["a", "b", "c"])
    np.testing.assert_allclose(others.matrix[0], [1, -0.5, -0.5])
    assert coefficients([[1, 0, -1]], ["a", "b", "c"]).names == ("c(1, 0, -1)",)


# Fisher and Yates (1938), table XXIII
POLYNOMIALS = {
    3: [[-1, 0, 1], [1, -2, 1]],
    4: [[-3, -1, 1, 3], [1, -1, -1, 1], [-1, 3, -3, 1]],
    5: [[-2, -1, 0, 1, 2], [2, -1, -2, -1, 2], [-1, 2, 0, -2, 1], [1, -4, 6, -4, 1]],
    6: [
        [-5, -3, -1, 1, 3, 5],
        [5, -1, -4, -4, -1, 5],
        [-5, 7, 4, -4, -7, 5],
        [1, -3, 2, 2, -3, 1],
        [-1, 5, -10, 10, -5, 1],
    ],
}


@pytest.mark.parametrize("k", POLYNOMIALS)
def test_orthogonal_polynomials(k: int) -> None:
    found = coefficients("poly", [f"a{j}" for j in range(k)])
    np.testing.assert_array_equal(found.matrix, POLYNOMIALS[k])
    assert found.names[:2] == ("linear", "quadratic")


def test_polynomials_of_many_levels_stay_orthogonal() -> None:
    found = coefficients("poly", [f"a{j}" for j in range(14)]).matrix
    assert found.shape == (6, 14)
    product = found @ found.T
    np.testing.assert_array_equal(product, np.diag(np.diag(product)))


# --- tables


def test_numbers_get_the_name_of_their_variable() -> None:
    fit = mx.lmer("lang ~ COMB + IQ + (1 | class)", mx.load_dataset("nlschools"))
    table = fit.marginal_means("COMB").contrast("pairwise")
    assert table["contrast"] == ("COMB0 - COMB1",)
    assert fit.marginal_means("COMB").contrast("trt.vs.ctrl", ref="1")["contrast"] == (
        "COMB0 - COMB1",
    )


def test_contrasts_within_and_across() -> None:
    means = oats().marginal_means("N", "V", ddf="asymptotic")
    within = means.contrast("consecutive", adjust="none").to_frame()
    assert list(within["V"]) == [v for v in load_frame("oats").V.cat.categories for _ in range(3)]
    across = means.contrast("pairwise", by="N", adjust="none").to_frame()
    assert list(across["N"][:4]) == ["0.0cwt"] * 3 + ["0.2cwt"]
    values = means.to_frame().set_index(["N", "V"])["estimate"]
    for _, row in across.iterrows():
        left, right = row["contrast"].split(" - ")
        want = values[(row["N"], left)] - values[(row["N"], right)]
        np.testing.assert_allclose(row["estimate"], want, rtol=1e-9)
    assert len(means.contrast("pairwise", by=(), adjust="none")) == 66


def test_interaction_contrasts() -> None:
    # R: contrast(emmeans(m, ~ amd * status), interaction = c("pairwise", "consec"))
    table = (
        arabidopsis()
        .marginal_means(["amd", "status"], ddf="asymptotic")
        .contrast(interaction=["pairwise", "consec"])
    )
    assert table["amd_pairwise"] == ("clipped - unclipped",) * 2
    assert table["status_consecutive"] == ("Petri.Plate - Normal", "Transplant - Petri.Plate")
    np.testing.assert_allclose(table["estimate"], [-0.13057825678251, 0.350824583346721], rtol=1e-5)
    np.testing.assert_allclose(
        table["std_error"], [0.290476820295751, 0.326837191303511], rtol=1e-5
    )
    np.testing.assert_allclose(table["p_value"], [0.653048845995989, 0.283095057111098], rtol=1e-5)


def test_contrasts_of_contrasts() -> None:
    pairs = oats().marginal_means("N", "V", ddf="asymptotic").contrast("pairwise", adjust="none")
    second = pairs.contrast("pairwise", by="contrast", adjust="none")
    assert second["contrast1"][0] == "Golden.rain - Marvellous"
    values = np.asarray(pairs["estimate"]).reshape(3, 6)
    np.testing.assert_allclose(second["estimate"][0], values[0, 0] - values[1, 0], rtol=1e-9)


def test_ratios_of_a_log_response() -> None:
    # R: contrast(emmeans(m, ~ status, type = "response"), "pairwise")
    table = status(type="response").contrast("pairwise")
    assert table["contrast"][0] == "Normal / Petri.Plate"
    np.testing.assert_allclose(
        table["estimate"], [1.38550034688311, 1.20093943358573, 0.866791146092039], rtol=5e-6
    )
    np.testing.assert_allclose(
        table["std_error"], [0.202873818924677, 0.145210455903439, 0.146683142703231], rtol=5e-6
    )
    np.testing.assert_allclose(
        table["upper"], [1.9527545393759, 1.59438877882787, 1.28872920373976], rtol=1e-5
    )
    assert any("ratio" in note for note in table.notes)


def test_no_ratio_without_a_logarithm() -> None:
    frame = mx.load_dataset("cbpp")
    fit = mx.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        frame,
        mx.families.Binomial(link="probit"),
    )
    table = fit.marginal_means("period", type="response").contrast("pairwise")
    link = fit.marginal_means("period").contrast("pairwise")
    np.testing.assert_allclose(table["estimate"], link["estimate"])
    assert any("probit scale" in n and ".regrid()" in n for n in table.notes)


@pytest.mark.parametrize("kind", ["link", "response"])
def test_tables_can_be_pickled(kind: str) -> None:
    means = status(type=kind)
    for table in (means, means.contrast("pairwise"), means.regrid()):
        again = pickle.loads(pickle.dumps(table))
        assert str(again) == str(table)
        assert str(again.test()) == str(table.test())


def test_tests_of_means() -> None:
    table = status().test(2.0)
    z = (np.asarray(table["estimate"]) - 2.0) / np.asarray(table["std_error"])
    np.testing.assert_allclose(table["statistic"], z, rtol=1e-12)
    np.testing.assert_allclose(table["p_value"], 2 * stats.norm.sf(np.abs(z)), rtol=1e-10)


# --- adjustments

# contrast(emmeans(m, ~ status), "pairwise", adjust = ...): p values, upper ends of the intervals
R_ADJUSTED = {
    "tukey": ([0.066737179, 0.284119805, 0.675120804], [0.669241, 0.4664905, 0.2536566]),
    "sidak": ([0.075878806, 0.341364081, 0.7820906], [0.6756892, 0.4718152, 0.2611089]),
    "bonferroni": ([0.077883242, 0.389824402, 1.0], [0.6766032, 0.4725699, 0.2621651]),
    "holm": ([0.077883242, 0.259882935, 0.398237221], [0.6766032, 0.4725699, 0.2621651]),
    "hochberg": ([0.077883242, 0.259882935, 0.398237221], [0.6766032, 0.4725699, 0.2621651]),
    "scheffe": ([0.083801484, 0.317714585, 0.699897578], [0.6844761, 0.4790711, 0.2712639]),
    "fdr": ([0.077883242, 0.194912201, 0.398237221], [0.6766032, 0.4725699, 0.2621651]),
    "BY": ([0.142785943, 0.357339035, 0.730101573], [0.6766032, 0.4725699, 0.2621651]),
    "none": ([0.0259610805, 0.1299414674, 0.3982372215], [0.6130517, 0.4200913, 0.1887186]),
}


@pytest.mark.parametrize("adjust", R_ADJUSTED)
def test_adjustments_as_emmeans(adjust: str) -> None:
    table = status().contrast("pairwise", adjust=adjust)
    p, upper = R_ADJUSTED[adjust]
    np.testing.assert_allclose(table["p_value"], p, rtol=1e-5)
    np.testing.assert_allclose(table["upper"], upper, rtol=1e-5)


def test_dunnettx_as_emmeans() -> None:
    # contrast(emmeans(m, ~ status), "trt.vs.ctrl", adjust = "dunnettx")
    table = status().contrast("trt.vs.ctrl", adjust="dunnettx")
    np.testing.assert_allclose(table["p_value"], [0.049379698, 0.229738081], rtol=1e-5)
    # the first end is 0.0007 from zero, where R's root finder stops 1e-6 away
    np.testing.assert_allclose(table["upper"], [-0.0007295, 0.0855441], atol=3e-6)


def test_tukey_only_for_all_pairs() -> None:
    table = status().contrast("trt.vs.ctrl", adjust="tukey")
    sidak = status().contrast("trt.vs.ctrl", adjust="sidak")
    np.testing.assert_array_equal(table["p_value"], sidak["p_value"])
    assert any("sidak is used instead" in note for note in table.notes)


def test_families_are_within_levels() -> None:
    table = oats().marginal_means("N", "V", ddf="asymptotic").contrast("pairwise")
    assert any("comparing a family of 4 estimates" in note for note in table.notes)
    z = abs(float(table["statistic"][0]))
    np.testing.assert_allclose(
        table["p_value"][0], stats.studentized_range.sf(z * np.sqrt(2), 4, np.inf), rtol=1e-7
    )


def test_missing_tests_do_not_count() -> None:
    family = Family(
        statistic=np.array([2.0, np.nan, -1.0]),
        df=np.array([10.0, np.nan, 10.0]),
        correlation=np.eye(3),
        rank=2,
        compared=0,
    )
    plain = 2 * stats.t.sf([2.0, 1.0], 10)
    for adjust, want in {"bonferroni": 2 * plain, "sidak": 1 - (1 - plain) ** 2}.items():
        got = adjusted(family, adjust, 0.95).p_value
        np.testing.assert_allclose(got, [want[0], np.nan, min(want[1], 1.0)], rtol=1e-12)


# --- the studentized range


def nested_quadrature(q: float, k: int, df: float) -> float:
    """P(Q > q) by adaptive quadrature of the textbook double integral."""

    def upper(z: float) -> float:
        return 0.5 * math.erfc(z / math.sqrt(2.0))

    def tail(w: float) -> float:
        def inner(z: float) -> float:
            density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
            a = upper(z)
            return k * density * (a ** (k - 1) - (a - upper(z + w)) ** (k - 1))

        return quad(inner, -12, 8, epsabs=1e-13, epsrel=1e-9, points=[-w / 2, 0])[0]

    constant = 2 * (df / 2) ** (df / 2) / math.gamma(df / 2)

    def outer(s: float) -> float:
        return constant * s ** (df - 1) * math.exp(-0.5 * df * s * s) * tail(q * s)

    return quad(outer, 1e-9, 4, epsabs=1e-12, epsrel=1e-7, limit=200)[0]


def test_studentized_range_by_quadrature() -> None:
    # q and df of the reference case where R's ptukey is wrong by 2.4e-7 (6.15837e-4)
    q, df = 9.05776657197765 * np.sqrt(2), 5.04701970369303
    np.testing.assert_allclose(
        studentized_range_sf(q, 3, df), nested_quadrature(q, 3, df), rtol=1e-7
    )


@pytest.mark.parametrize("k", [3, 4, 10])
@pytest.mark.parametrize("df", [1.0, 5.0, 24.0, 139.3, np.inf])
def test_studentized_range_as_scipy(k: int, df: float) -> None:
    for q in (0.5, 2.0, 4.0):
        # scipy's own quadrature leaves about 1e-9
        np.testing.assert_allclose(
            studentized_range_sf(q, k, df), stats.studentized_range.sf(q, k, df), rtol=1e-7
        )


@pytest.mark.parametrize("df", [0.8, 1.0, 2.5, 7.0, 60.0, 1e5])
def test_range_of_two_is_student(df: float) -> None:
    # |t| sqrt(2) of two means, far into the tail, where 1 - P has no digits left
    for q in (0.1, 3.0, 20.0, 45.0):
        exact = 2 * stats.t.sf(q / np.sqrt(2), df)
        np.testing.assert_allclose(studentized_range_sf(q, 2, df), exact, rtol=1e-8)


def test_quantiles_of_the_range() -> None:
    # R: qtukey(.95, c(3, 5, 10), c(10, 20, 60)), accurate to about 1e-4
    for k, df, want in ((3, 10.0, 3.87677675), (5, 20.0, 4.231857), (10, 60.0, 4.646324)):
        q = studentized_range_quantile(0.95, k, df)
        np.testing.assert_allclose(q, want, atol=1e-4)
        np.testing.assert_allclose(studentized_range_sf(q, k, df), 0.05, rtol=1e-8)


# --- the multivariate t


def pairs_correlation(k: int) -> np.ndarray:
    rows = []
    for i, j in combinations(range(k), 2):
        row = np.zeros(k)
        row[i], row[j] = 1.0, -1.0
        rows.append(row)
    C = np.array(rows)
    return C @ C.T / 2


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("df", [4.0, 25.0, np.inf])
def test_maximal_t_of_all_pairs_is_tukey(k: int, df: float) -> None:
    # Singular correlations; with equal variances the largest |t| is the range over sqrt(2).
    largest = MaximalT(pairs_correlation(k), df)
    for t in (0.5, 1.5, 2.5, 4.0, 7.0):
        exact = studentized_range_sf(t * np.sqrt(2), k, df)
        # stated accuracy: relative error about 1e-3, fixed points so always the same
        np.testing.assert_allclose(largest.tail(t, df), exact, rtol=2e-3)
    exact = studentized_range_quantile(0.95, k, df) / np.sqrt(2)
    np.testing.assert_allclose(largest.quantile(0.95, df), exact, rtol=5e-4)


def test_maximal_t_of_comparisons_with_a_control() -> None:
    # 1 - mvtnorm::pmvt(-t, t, corr, df = 15, GenzBretz(maxpts = 5e6)): control of 10, groups of
    # 5, 8, 12, 20; errors below 6e-7
    n = np.array([5.0, 8.0, 12.0, 20.0])
    root = np.sqrt(n / (n + 10.0))
    correlation = np.outer(root, root)
    np.fill_diagonal(correlation, 1.0)
    largest = MaximalT(correlation, 15.0)
    want = {1.5: 0.401613842908, 2.5: 0.0769030139545, 4.0: 0.00405265401276}
    for t, p in want.items():
        np.testing.assert_allclose(largest.tail(t, 15.0), p, rtol=1e-3)
    normal = MaximalT(correlation, np.inf)
    want = {1.5: 0.369189255396, 2.5: 0.0429444708005, 4.0: 0.000247374877932}
    for t, p in want.items():
        np.testing.assert_allclose(normal.tail(t, np.inf), p, rtol=1e-3)


@pytest.mark.parametrize(("groups", "df"), [(3, 20.0), (5, 10.0), (9, 60.0)])
def test_dunnetts_critical_values(groups: int, df: float) -> None:
    # Equal group sizes (correlation 0.5): given the control's mean and s the comparisons are
    # independent, which leaves a double integral (Dunnett 1955, eq. 2).
    correlation = np.full((groups, groups), 0.5) + np.eye(groups) / 2
    point = MaximalT(correlation, df).quantile(0.95, df)

    # Gauss-Legendre with 400 points each over all but 1e-15 of both densities
    nodes, weights = np.polynomial.legendre.leggauss(400)
    y, wy = 8.0 * nodes, 8.0 * weights
    s, ws = 1.5 + 1.5 * nodes, 1.5 * weights
    c = np.sqrt(2.0) * point * s[:, None]
    inside = stats.norm.pdf(y) * (stats.norm.cdf(y + c) - stats.norm.cdf(y - c)) ** groups
    density = stats.chi.pdf(s * np.sqrt(df), df) * np.sqrt(df)
    level = ws @ (density * (inside @ wy))
    # 5e-4 in the point is about 1e-3 of the 5 %
    np.testing.assert_allclose(1 - level, 0.05, rtol=1e-3)


def test_independent_statistics_are_sidak() -> None:
    largest = MaximalT(np.eye(4), np.inf)
    for t in (1.0, 2.0, 3.0, 6.0):
        exact = -np.expm1(4 * np.log1p(-2 * stats.norm.sf(t)))
        np.testing.assert_allclose(largest.tail(t, np.inf), exact, rtol=1e-3)


def test_one_statistic_is_student() -> None:
    largest = MaximalT(np.ones((3, 3)), 7.0)
    np.testing.assert_allclose(largest.tail(2.0, 7.0), 2 * stats.t.sf(2.0, 7), rtol=1e-12)


# --- letters


def shares(texts: list[str], i: int, j: int) -> bool:
    return bool({*texts[i].strip()} & {*texts[j].strip()} - {" "})


@pytest.mark.parametrize("seed", range(20))
def test_letters_show_exactly_the_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    pairs = list(combinations(range(n), 2))
    different = [p for p in pairs if rng.random() < rng.random()]
    texts = letter_display(n, different)
    for i, j in pairs:
        assert shares(texts, i, j) == ((i, j) not in different)
    # no letter to spare: without any one of them some tie would not show
    letters = sorted({c for t in texts for c in t if c != " "})
    for letter in letters:
        fewer = [t.replace(letter, " ") for t in texts]
        lost = [p for p in pairs if p not in different and not shares(fewer, *p)]
        alone = [i for i in range(n) if texts[i].strip() == letter]
        assert lost or alone


def test_piephos_example_of_a_chain() -> None:
    assert letter_display(4, [(0, 2), (0, 3), (1, 3)]) == ["a  ", "ab ", " bc", "  c"]
    assert letter_display(3, []) == ["a", "a", "a"]
    assert letter_display(2, [(0, 1)]) == ["a ", " b"]


def test_letters_of_a_table() -> None:
    means = oats().marginal_means("V", ddf="asymptotic")
    table = oats().marginal_means("N", ddf="asymptotic").letters()
    assert [g.strip() for g in table["group"]] == ["a", "b", "c", "c"]
    assert np.all(np.diff(table["estimate"]) > 0)
    down = means.letters(reverse=True)
    assert down["V"] == ("Marvellous", "Golden.rain", "Victory")
    assert set(down["group"]) == {"a"}
    strict = oats().marginal_means("N", "V", ddf="asymptotic").letters(1e-12)
    assert set(strict["group"]) == {"a"}
