"""Linear hypotheses: every form of L, joint tests, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.errors import OptionError
from mixeff.inference.hypothesis_text import parse_hypothesis
from support.reference import load_frame

NAMES = ("(Intercept)", "x", "x:z", "poly(x, 2)1", "I(x^2)")


@pytest.fixture(scope="module")
def fit() -> Any:
    return mx.lmer("Reaction ~ Days + (Days | Subject)", load_frame("sleepstudy"))


@pytest.mark.parametrize(
    ("text", "row", "value"),
    [
        ("x", [0, 1, 0, 0, 0], 0.0),
        ("x = 2", [0, 1, 0, 0, 0], 2.0),
        ("x == -2e-1", [0, 1, 0, 0, 0], -0.2),
        ("2*x:z - I(x^2)/4", [0, 0, 2, 0, -0.25], 0.0),
        ("((Intercept) + x) / 2 = poly(x, 2)1 + 1", [0.5, 0.5, 0, -1, 0], 1.0),
        ("-(x - x:z) * 3 + 1 = 0", [0, -3, 3, 0, 0], -1.0),
        ("`I(x^2)` = x - 1", [0, -1, 0, 0, 1], -1.0),
    ],
)
def test_texts(text: str, row: list[float], value: float) -> None:
    got, constant, equation = parse_hypothesis(text, NAMES)
    assert got.tolist() == row
    assert constant == value
    assert equation == ("=" in text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y = 0", '"y" in "y = 0" is not a coefficient'),
        ("xx", "is not a coefficient"),
        ("x:w", "is not a coefficient"),
        ("x * x", "not linear"),
        ("x / 0", "not linear"),
        ("1 / x", "not linear"),
        ("x +", "ends where a coefficient is expected"),
        ("(x", "is not closed"),
        ("x = 1 = 2", "more than one"),
        ("x + 3", "write the hypothetical value"),
        ("__import__('os')", "is not a coefficient"),
        ("`nothing`", "is not a coefficient"),
        ("", "ends where a coefficient is expected"),
    ],
)
def test_bad_texts(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_hypothesis(text, NAMES)


def test_every_form_says_the_same(fit: Any) -> None:
    forms = [
        [1.0, 9.0],
        np.array([[1, 9]]),
        "(Intercept) + 9 * Days",
        {"Days": 9, "(Intercept)": 1},
        pd.DataFrame({"Days": [9], "(Intercept)": [1]}),
        {"day nine": [1, 9]},
        {"day nine": "(Intercept) + 9*Days"},
        ["(Intercept) + 9 * Days"],
        [{"Days": 9, "(Intercept)": 1}],
    ]
    frames = [fit.contrast(L).to_frame() for L in forms]
    for frame in frames:
        np.testing.assert_array_equal(frame.to_numpy(), frames[0].to_numpy())
    assert [f.index[0] for f in frames] == [
        "(Intercept) + 9 Days", "(Intercept) + 9 Days", "(Intercept) + 9 * Days",
        "(Intercept) + 9 Days", "(Intercept) + 9 Days", "day nine", "day nine",
        "(Intercept) + 9 * Days", "(Intercept) + 9 Days",
    ]  # fmt: skip


def test_labels_say_what_is_estimated(fit: Any) -> None:
    table = fit.contrast(["(Intercept) = 25 * Days", "Days + 1 = 11", "2*Days"])
    assert table.index == ("(Intercept) - 25 Days", "Days", "2*Days")
    assert table["rhs"].tolist() == [0.0, 10.0, 0.0]
    joint = fit.contrast(["(Intercept) = 250", "Days = 10"], joint=True)
    assert joint.index == ("(Intercept) = 250, Days = 10",)


def test_one_row_of_the_coefficients(fit: Any) -> None:
    """lmerTest: contest1D(m, c(0, 1)), contest1D(m, c(0, 1), rhs = 10)."""
    row = fit.contrast([0, 1]).to_frame().iloc[0]
    # summary(lmerTest::lmer(...)): Days 10.467 1.546 17 6.771 3.26e-06
    assert row["estimate"] == pytest.approx(fit.fixef["Days"], rel=1e-14)
    assert row["std_error"] == pytest.approx(fit.stderr["Days"], rel=1e-12)
    assert row["df"] == pytest.approx(17.0, rel=1e-6)
    assert row["p_value"] == pytest.approx(3.263824e-06, rel=1e-4)
    moved = fit.contrast([0, 1], rhs=10).to_frame().iloc[0]
    assert moved["statistic"] == pytest.approx((row["estimate"] - 10) / row["std_error"])
    # qt(0.975, 17) = 2.109815578
    assert row["upper"] - row["estimate"] == pytest.approx(2.109815578 * row["std_error"], rel=1e-6)


def test_joint_is_square_of_single(fit: Any) -> None:
    single, joint = fit.contrast("Days = 10"), fit.contrast("Days = 10", joint=True)
    assert joint["f_value"][0] == pytest.approx(single["statistic"][0] ** 2, rel=1e-12)
    assert joint["den_df"][0] == pytest.approx(single["df"][0], rel=1e-12)
    assert joint["p_value"][0] == pytest.approx(single["p_value"][0], rel=1e-10)


def test_joint_does_not_depend_on_the_rows_chosen(fit: Any) -> None:
    a = fit.contrast(np.eye(2), rhs=[250, 10], joint=True)
    b = fit.contrast([[1, 1], [1, -3]], rhs=[260, 220], joint=True)
    c = fit.contrast([[1, 1], [1, -3], [2, 0]], rhs=[260, 220, 500], joint=True)
    for other in (b, c):
        for name in ("num_df", "den_df", "f_value", "p_value"):
            assert other[name][0] == pytest.approx(a[name][0], rel=1e-8)
    assert "only 2 are linearly independent" in c.notes[-1]


def test_joint_without_p(fit: Any) -> None:
    assert list(fit.contrast(np.eye(2), joint=True, ddf=None).columns) == ["num_df", "f_value"]
    assert list(fit.contrast("Days", ddf=None).columns) == ["estimate", "std_error", "statistic"]


def test_asymptotic_joint_is_the_wald_chi_square(fit: Any) -> None:
    beta, V = fit.fixef.to_numpy(), fit.vcov.to_numpy()
    test = fit.contrast(np.eye(2), joint=True, ddf="asymptotic")
    assert 2 * test["f_value"][0] == pytest.approx(beta @ np.linalg.solve(V, beta), rel=1e-10)
    assert np.isinf(test["den_df"][0])


@pytest.mark.parametrize(
    ("L", "options", "message"),
    [
        ([1, 2, 3], {}, "3 columns but the model has 2 coefficients"),
        ({"Day": 1}, {}, 'did you mean "Days"'),
        ([0, 0], {}, "is zero"),
        ([np.nan, 1], {}, "NaN or infinity"),
        ([], {}, "columns but the model has 2"),
        (np.zeros((0, 2)), {}, "no rows"),
        (np.zeros((2, 2, 2)), {}, "L must be numbers"),
        (object(), {}, "L must be numbers"),
        (pd.DataFrame({"Days": ["a"]}), {}, "must hold numbers"),
        ([0, 1], {"rhs": [1, 2]}, "one per row of L"),
        ([0, 1], {"rhs": "a"}, "one per row of L"),
        ("Days = 1", {"rhs": 2}, "leave rhs out"),
        ([[0, 1], [0, 2]], {"rhs": [1, 1], "joint": True}, "contradict"),
        ([0, 1], {"level": 95}, "between 0 and 1"),
        ([0, 1], {"level": "a"}, "between 0 and 1, not 'a'"),
        ([0, 1], {"joint": "yes"}, "joint must be True or False, not 'yes'"),
        (None, {}, "L must be numbers"),
        (1, {}, "L must be numbers"),
        ({"Days": 1, "(Intercept)": None}, {}, r'multiple of "\(Intercept\)" must be a number'),
        ({"a": [0, 1], "b": [0, 0]}, {}, 'row "b" is zero'),
        ([[0, 1], [0, 0]], {}, "row 2 of L is zero"),
        (pd.Series({"Day": 1.0}), {}, 'did you mean "Days"'),
        ([0, 1], {"vcov": np.eye(2)}, "not a value of type ndarray"),
        ([0, 1], {"vcov": "CR2", "ddf": "kenward-roger"}, "adjusts the model.s own covariance"),
        ([0, 1], {"vcov": "CR2", "ddf": "satterthwait"}, 'Did you mean "satterthwaite"'),
        ([0, 1], {"ddf": "satterthwait"}, 'Did you mean "satterthwaite"'),
        ([0, 1], {"df": 3}, "no argument"),
    ],
)
def test_bad_input(fit: Any, L: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        fit.contrast(L, **options)


@pytest.mark.filterwarnings("ignore::mixeff.errors.DesignWarning")
def test_dropped_coefficients_are_named() -> None:
    model = mx.lmer("Reaction ~ Days + I(2 * Days) + (1 | Subject)", load_frame("sleepstudy"))
    for L in ({"I(2 * Days)": 1}, "I(2 * Days) = 0", pd.Series({"I(2 * Days)": 1.0})):
        with pytest.raises(OptionError, match=r'"I\(2 \* Days\)".* was dropped from the model'):
            model.contrast(L)


def test_a_named_series_is_read_by_its_names(fit: Any) -> None:
    want = fit.contrast([-1.0, 9.0])["estimate"][0]
    for L in (
        pd.Series({"Days": 9.0, "(Intercept)": -1.0}),
        [pd.Series({"Days": 9.0, "(Intercept)": -1.0}), "Days"],
        pd.Series([-1.0, 9.0]),
    ):
        assert fit.contrast(L)["estimate"][0] == pytest.approx(want, rel=1e-14)
    assert fit.contrast(pd.Series({"Days": 1.0})).index == ("Days",)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "asymptotic"])
def test_joint_tests_do_not_depend_on_units(fit: Any, ddf: str) -> None:
    """Rows in units 1e8 apart are still two rows, and their F is that of the model in days."""
    sleep = load_frame("sleepstudy").assign(Days=lambda d: d["Days"] / 1e8)
    far = mx.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    one = fit.contrast(np.eye(2), [250.0, 9.0], joint=True, ddf=ddf)
    two = far.contrast(np.eye(2), [250.0, 9e8], joint=True, ddf=ddf)
    assert two["num_df"][0] == 2
    assert not any("independent" in note for note in two.notes)
    # Both models are fitted on their own, to 1e-7 in theta or better.
    assert two["f_value"][0] == pytest.approx(one["f_value"][0], rel=1e-6)
    # Single tests have 17 df both; how they are pooled depends on the rows only by rounding.
    assert two["den_df"][0] == pytest.approx(one["den_df"][0], rel=1e-5)
    # Rows that are parallel but for the small coefficient span the same hypotheses.
    rows = np.array([[1.0, 1.0], [1.0, 2.0]])
    three = far.contrast(rows, rows @ [250.0, 9e8], joint=True, ddf=ddf)
    assert three["num_df"][0] == 2
    assert three["f_value"][0] == pytest.approx(one["f_value"][0], rel=1e-5)


def test_a_model_without_coefficients_says_so() -> None:
    none = mx.lmer("Reaction ~ 0 + (1 | Subject)", load_frame("sleepstudy"))
    with pytest.raises(OptionError, match="not a coefficient of the model; it has none"):
        none.contrast("Days = 0")


def test_generalized_models_are_asymptotic() -> None:
    model = mx.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", load_frame("cbpp"), "binomial"
    )
    table = model.contrast("period2 = period3")
    assert np.isinf(table["df"][0])
    with pytest.raises(OptionError, match="is for linear models"):
        model.contrast("period2", ddf="satterthwaite")
