"""Tests of terms: what must not change them, closed forms, terms that cannot be tested."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.errors import OptionError
from mixeff.inference.term_hypotheses import covariance_root, least_squares_root
from mixeff.inference.type_three import marginal
from support.reference import load_frame

NAMES = ("sum_sq", "num_df", "den_df", "f_value", "p_value")


def unbalanced(seed: int = 4) -> pd.DataFrame:
    """Two factors and a covariate, cells of 2 to 9 rows."""
    rng = np.random.default_rng(seed)
    n = 120
    frame = pd.DataFrame(
        {
            "a": np.array(["a1", "a2", "a3"])[rng.choice(3, n, p=[0.5, 0.3, 0.2])],
            "b": np.array(["b1", "b2"])[rng.choice(2, n, p=[0.65, 0.35])],
            "x": rng.normal(2.0, 1.0, n),
            "g": rng.integers(0, 15, n).astype(str),
        }
    )
    shift = frame["a"].map({"a1": 0.0, "a2": 1.0, "a3": -0.5})
    effects = rng.normal(size=15)[frame["g"].astype(int)]
    frame["y"] = shift + 0.4 * frame["x"] + effects + rng.normal(size=n)
    return frame


def assert_same(one: Any, two: Any, rtol: float = 1e-6) -> None:
    assert one.index == two.index
    for name in NAMES:
        np.testing.assert_allclose(one[name], two[name], rtol=rtol, err_msg=name)


FORMULAS = ["y ~ a * b + (1 | g)", "y ~ a * b * x + (1 | g)", "y ~ a + b + a:x + (x | g)"]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("coding", ["sum", "helmert", "poly"])
def test_type_three_does_not_depend_on_coding(formula: str, coding: str) -> None:
    frame = unbalanced()
    one = mx.lmer(formula, frame)
    two = mx.lmer(formula, frame, contrasts={"a": coding, "b": "sum"})
    assert_same(one.anova(), two.anova())
    if "* x" not in formula:
        assert_same(one.anova(3, "kenward-roger"), two.anova(3, "kenward-roger"))
    chi = [m.anova(3, "asymptotic") for m in (one, two)]
    np.testing.assert_allclose(chi[0]["chisq"], chi[1]["chisq"], rtol=1e-6)


def test_type_three_does_not_depend_on_the_reference_level_or_the_order_of_rows() -> None:
    frame = unbalanced()
    other = frame.sample(frac=1.0, random_state=1)
    other["a"] = pd.Categorical(other["a"], categories=["a3", "a1", "a2"])
    other["b"] = pd.Categorical(other["b"], categories=["b2", "b1"])
    formula = "y ~ a * b + x + (1 | g)"
    one, two = mx.lmer(formula, frame).anova(), mx.lmer(formula, other).anova()
    # pooled df of the two-row terms depend on the first level a little: F and 1-row terms do not
    np.testing.assert_allclose(one["f_value"], two["f_value"], rtol=1e-6)
    np.testing.assert_allclose(one["den_df"], two["den_df"], rtol=2e-2)
    rows = [1, 2]
    np.testing.assert_allclose(one["den_df"][rows], two["den_df"][rows], rtol=1e-5)


def test_units_of_a_covariate_do_not_matter() -> None:
    frame = unbalanced()
    one = mx.lmer("y ~ a * x + (1 | g)", frame)
    two = mx.lmer("y ~ a * x + (1 | g)", frame.assign(x=1e5 * frame["x"]))
    for kind in (1, 2, 3):
        assert_same(one.anova(kind), two.anova(kind), rtol=1e-5)


def test_marginal_means_of_the_levels_are_equal() -> None:
    """Type III of a in a * b: the unweighted means of the cells over b are equal (closed form)."""
    frame = unbalanced()
    fit = mx.lmer("y ~ a * b + (1 | g)", frame)
    cells = pd.DataFrame([(a, b) for a in ("a1", "a2", "a3") for b in ("b1", "b2")])
    cells.columns = ["a", "b"]
    X = fit.design.state.fixed_matrix(cells)[0].reshape(3, 2, -1).mean(axis=1)
    L = X[1:] - X[0]
    want, got = fit.contrast(L, joint=True), fit.anova()
    at = got.index.index("a")
    assert got["f_value"][at] == pytest.approx(want["f_value"][0], rel=1e-9)
    assert got["den_df"][at] == pytest.approx(want["den_df"][0], rel=1e-9)


def test_balanced_data_have_one_table() -> None:
    fit = mx.lmer("yield ~ nitro * Variety + (1 | Block / Variety)", mx.load_dataset("Oats"))
    tables = [fit.anova(kind) for kind in (1, 2, 3)]
    for other in tables[1:]:
        # nitro is a number here: of type 3 its slope is averaged over the varieties
        np.testing.assert_allclose(other["f_value"][2], tables[0]["f_value"][2], rtol=1e-8)
    np.testing.assert_allclose(tables[0]["f_value"][0], tables[1]["f_value"][0], rtol=1e-8)


def test_missing_cell() -> None:
    """SAS's rule with an empty cell: the functions that the data determine, and a note.

    a with cells (a1, b1), (a1, b2), (a2, b1), (a2, b2), (a3, b1): of the estimable functions of a
    and a:b those orthogonal to the one of a:b alone. Computed here from the definition.
    """
    frame = unbalanced()
    frame = frame[~((frame["a"] == "a3") & (frame["b"] == "b2"))]
    with pytest.warns(mx.errors.DesignWarning):
        fit = mx.lmer("y ~ a * b + (1 | g)", frame)
    table = fit.anova()
    assert table["num_df"].tolist() == [2.0, 1.0, 1.0]
    assert any("combinations of levels have data" in note for note in table.notes)
    # Overparametrized columns: 1, a (3), b (2), cells (6); estimable: means of the five cells.
    cells = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    rows = np.zeros((5, 12))
    for k, (i, j) in enumerate(cells):
        rows[k, [0, 1 + i, 4 + j, 6 + 2 * i + j]] = 1.0
    own, inside = slice(1, 4), np.r_[1:4, 6:12]
    outside = np.setdiff1d(np.arange(12), inside)
    null = np.linalg.svd(rows[:, outside].T)[2][np.linalg.matrix_rank(rows[:, outside]) :]
    alone = np.linalg.svd((null @ rows)[:, own].T)[2][2:] @ null  # a:b only
    functions = null @ rows
    only = alone @ rows
    projector = np.eye(12) - only.T @ np.linalg.pinv(only.T)
    weights = np.linalg.lstsq(rows.T, (functions @ projector).T, rcond=None)[0].T
    named = pd.DataFrame([(f"a{i + 1}", f"b{j + 1}") for i, j in cells], columns=["a", "b"])
    X = fit.design.state.fixed_matrix(named)[0]
    L = weights @ X
    want = fit.contrast(L[np.linalg.norm(L, axis=1) > 1e-9], joint=True, ddf="asymptotic")
    got = fit.anova(3, "asymptotic")
    assert got["chisq"][0] == pytest.approx(want["f_value"][0] * want["num_df"][0], rel=1e-8)


def test_dropped_terms_are_named() -> None:
    with pytest.warns(mx.errors.DesignWarning):
        fit = mx.lmer("Reaction ~ Days + I(2 * Days) + (1 | Subject)", load_frame("sleepstudy"))
    table = fit.anova()
    assert np.isnan(table["f_value"][1])
    assert table["f_value"][0] == pytest.approx(169.401361, rel=1e-6)  # case sleepstudy_rankdef
    assert any("I(2 * Days)" in note for note in table.notes)


def test_nothing_to_test() -> None:
    fit = mx.lmer("Yield ~ 1 + (1 | Batch)", load_frame("Dyestuff"))
    for kind in (1, 2, 3):
        assert len(fit.anova(kind)) == 0
        assert fit.anova(kind).to_frame().shape == (0, 6)
    assert list(fit.anova(3, "asymptotic", hypotheses="coefficients").index) == ["(Intercept)"]


@pytest.mark.parametrize("groups", ["(1 | Batch)", "(1 | Batch) + (1 | half)"])
def test_no_coefficients_at_all(groups: str) -> None:
    frame = load_frame("Dyestuff").assign(half=lambda d: (np.arange(len(d)) % 2).astype(str))
    fit = mx.lmer(f"Yield ~ 0 + {groups}", frame)
    for ddf in ("satterthwaite", "kenward-roger", "asymptotic", None):
        assert len(fit.anova(ddf=ddf)) == 0
        assert len(fit.summary(ddf=ddf).coefficients) == 0
    assert np.isfinite(fit.conditional_aic().caic)
    counts = mx.glmer("round(Yield / 100) ~ 0 + (1 | Batch)", frame, "poisson")
    assert len(counts.summary(vcov="CR1").coefficients) == 0


def oats() -> pd.DataFrame:
    """MASS's oats without 14 rows."""
    out = np.array([1, 5, 8, 14, 22, 23, 31, 40, 41, 47, 55, 60, 66, 70]) - 1
    return load_frame("oats").drop(index=out)


@pytest.mark.filterwarnings("ignore::mixeff.errors.DesignWarning")
@pytest.mark.parametrize("contrasts", [None, {"V": "sum", "N": "helmert"}])
def test_pooled_df_with_an_empty_cell(contrasts: Any) -> None:
    """lmerTest 3.1-3, R 4.2.2, with either coding:

    d <- oats[-c(1,5,8,14,22,23,31,40,41,47,55,60,66,70),]; d <- subset(d, !(V=="Victory" &
    N=="0.4cwt")); anova(lmer(Y ~ V*N + (1|B/V), d)).
    lmer's optimizer and numerical derivatives: 1e-5.
    """
    frame = oats()
    frame = frame[~((frame["V"] == "Victory") & (frame["N"] == "0.4cwt"))]
    table = mx.lmer("Y ~ V * N + (1 | B / V)", frame, contrasts=contrasts).anova()
    assert table["num_df"].tolist() == [2, 3, 5]
    np.testing.assert_allclose(table["den_df"], [10.01658415, 26.94076761, 26.94199281], rtol=1e-5)
    np.testing.assert_allclose(
        table["f_value"], [1.6615620227, 26.4655121771, 0.2106525031], rtol=1e-5
    )


def test_a_term_within_another_whose_other_factor_has_no_term() -> None:
    """``x + V/N``: V:N contains V, although N alone is no term.

    lmerTest 3.1-3 overlooks it (R writes 2, not 1, for V in the factors of V:N), so that its types
    II and III for V are tests at the first level of N, and change with it: F = 1.1125 with
    0.0cwt first, 0.7757 with 0.6cwt. Its type I is right and is type II for V, as x comes first:
    anova(lmer(Y ~ x + V/N + (1|B/V), d), type = 1), d as above with d$x <- (1:58) %% 7.
    """
    frame = oats().assign(x=lambda d: np.arange(1, len(d) + 1) % 7)
    fit = mx.lmer("Y ~ x + V / N + (1 | B / V)", frame)
    got = fit.anova(2)
    assert got["f_value"][1] == pytest.approx(1.493835280, rel=1e-5)
    assert got["den_df"][1] == pytest.approx(9.50445674, rel=1e-5)
    other = frame.assign(N=frame["N"].cat.reorder_categories(frame["N"].cat.categories[::-1]))
    turned = mx.lmer("Y ~ x + V / N + (1 | B / V)", other)
    for name in NAMES:
        assert turned.anova()[name][1] == pytest.approx(fit.anova()[name][1], rel=1e-6)
    # The definition: V averaged evenly over the four levels of N.
    rows = pd.DataFrame([("Golden.rain", n) for n in frame["N"].cat.categories], columns=["V", "N"])
    cells = {v: rows.assign(V=v, x=3.0) for v in frame["V"].cat.categories}
    means = [fit.design.state.fixed_matrix(c)[0].mean(axis=0) for c in cells.values()]
    want = fit.contrast(np.array([means[1] - means[0], means[2] - means[0]]), joint=True)
    assert fit.anova()["f_value"][1] == pytest.approx(want["f_value"][0], rel=1e-8)


def test_many_combinations_are_not_written_out() -> None:
    """Six factors of six levels: 46,656 cells, a few hundred rows suffice."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({f"f{k}": rng.integers(0, 6, 400).astype(str) for k in range(6)})
    frame["g"], frame["y"] = rng.integers(0, 20, 400).astype(str), rng.normal(size=400)
    fit = mx.lmer("y ~ f0 + f1 + f2 + f3 + f4 + f5 + (1 | g)", frame)
    for term, k in zip(marginal(fit), range(6), strict=True):
        own = [j for j, name in enumerate(fit.design.names) if name.startswith(f"f{k}")]
        np.testing.assert_allclose(term.L, np.eye(len(fit.design.names))[own], atol=1e-9)


def test_roots() -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(7, 4))
    C = np.linalg.inv(A.T @ A)
    R = covariance_root(C)
    np.testing.assert_allclose(R.T @ R, A.T @ A, rtol=1e-10)
    np.testing.assert_array_equal(np.tril(R, -1), 0.0)
    U = least_squares_root(A)
    np.testing.assert_allclose(np.diag(U), 1.0)
    np.testing.assert_allclose(U, R / np.diag(R)[:, None], rtol=1e-9, atol=1e-12)


def test_columns_and_titles() -> None:
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", load_frame("sleepstudy"))
    assert list(fit.anova().columns) == [
        "sum_sq", "mean_sq", "num_df", "den_df", "f_value", "p_value",
    ]  # fmt: skip
    assert list(fit.anova(1, None).columns) == ["sum_sq", "mean_sq", "num_df", "f_value"]
    assert list(fit.anova(3, "asymptotic").columns) == ["chisq", "df", "p_value"]
    kenward = str(fit.anova(1, "kenward-roger"))
    assert kenward.startswith("Type I Analysis of Variance Table with Kenward-Roger's method\n")
    assert "Pr(>Chisq)" in str(fit.anova(2, "asymptotic"))
    assert "<table>" in fit.anova()._repr_html_()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": 4}, "type must be 1, 2 or 3"),
        ({"type": True}, "type must be 1, 2 or 3"),
        ({"ddf": "kenward"}, 'Did you mean "kenward-roger"'),
        ({"ddf": "kenward", "vcov": "CR2"}, 'Did you mean "kenward-roger"'),
        ({"ddf": "kenward-roger", "vcov": "CR2"}, 'take ddf="satterthwaite" or "asymptotic"'),
        ({"hypotheses": "coefs"}, "hypotheses must be one of"),
        ({"type": 2, "hypotheses": "coefficients"}, "is a table of type 3"),
        ({"test": "F"}, "no argument"),
    ],
)
def test_bad_input(options: dict[str, Any], message: str) -> None:
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", load_frame("sleepstudy"))
    with pytest.raises(OptionError, match=message):
        fit.anova(**options)


def test_names_as_r_writes_them() -> None:
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", load_frame("sleepstudy"))
    for ddf in ("Satterthwaite", "Kenward-Roger"):
        assert str(fit.anova(ddf=ddf)) == str(fit.anova(ddf=ddf.lower()))
        assert str(fit.summary(ddf=ddf)) == str(fit.summary(ddf=ddf.lower()))
    assert str(fit.anova(vcov="cr2")) == str(fit.anova(vcov="CR2"))
    assert str(fit.summary(vcov="cr2")) == str(fit.summary(vcov="CR2"))
    # Without degrees of freedom F is Wald's: t^2 with the robust standard error.
    plain = fit.anova(ddf=None, vcov="CR1").to_frame()
    t = fit.contrast([0, 1], ddf="asymptotic", vcov="CR1").to_frame()["statistic"]
    np.testing.assert_allclose(plain["f_value"], t**2, rtol=1e-10)


def test_summary_and_intervals_with_df() -> None:
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", load_frame("sleepstudy"))
    frame = fit.summary(ddf="kenward-roger").coefficients
    assert list(frame.columns) == ["estimate", "std_error", "df", "statistic", "p_value"]
    assert "t-tests use Kenward-Roger's method" in str(fit.summary(ddf="kenward-roger"))
    normal = fit.summary(ddf="asymptotic")
    assert list(normal.coefficients.columns) == ["estimate", "std_error", "statistic", "p_value"]
    assert "z value Pr(>|z|)" in str(normal)
    assert "Pr(&gt;|t|)" in fit.summary(ddf="auto")._repr_html_()
    assert list(fit.coefficients.columns) == ["estimate", "std_error", "statistic"]
    wald, t = fit.confint(), fit.confint(ddf="auto")
    # qt(.975, 17) / qnorm(.975) = 2.109816 / 1.959964
    ratio = (t.loc["Days", "upper"] - fit.fixef["Days"]) / (
        wald.loc["Days", "upper"] - fit.fixef["Days"]
    )
    assert ratio == pytest.approx(2.109815578 / 1.959963985, rel=1e-6)
    with pytest.raises(OptionError, match="ddf must be one of"):
        fit.confint(ddf="t")


def test_robust_standard_errors_are_named() -> None:
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", load_frame("sleepstudy"))
    assert "t-tests use CR2 standard errors" in str(fit.summary(vcov="CR2"))
    assert fit.anova(vcov="CR2").title.endswith("with CR2 standard errors")
    plain = fit.anova(vcov="CR2", ddf=None)
    assert plain.title.endswith("with CR2 standard errors")
    assert plain.notes[0] == "Cluster-robust covariance CR2 (18 clusters: Subject)."
    assert fit.contrast("Days", vcov="CR0", ddf=None).notes[0].startswith("Cluster-robust")
    model = mx.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", load_frame("cbpp"), "binomial"
    )
    assert "Cluster-robust covariance CR1" in str(model.summary(vcov="CR1"))
    assert "Cluster-robust" not in str(model.summary())


def test_type_as_r_writes_it_and_models_given_instead():
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    assert str(fit.anova(type="III")) == str(fit.anova(type=3))
    with pytest.raises(OptionError, match=r"compare models: mixeff.anova\(m0, m1\)"):
        fit.anova(fit)
    for wrong in (True, "IV", [3], np.array([3, 1]), pd.DataFrame({"a": [3]})):
        with pytest.raises(OptionError, match="type must be 1, 2 or 3"):
            fit.anova(type=wrong)
