"""What must not change the answer: row order, labels, units, chunks of the same information."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mixeff as mx

SETTINGS = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
# Two optimizations stopped below a predicted decrease of 1e-9 differ by at most about 1e-9 in the
# criterion, and by its square root (times the curvature) in standardized parameters.
CRITERION, PARAMETER = 1e-8, 1e-4


def simulated(seed: int, groups: int = 12, per_group: int = 8) -> pd.DataFrame:
    """Random intercepts and slopes, unbalanced; the variance may well be estimated as zero."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), per_group)
    g = g[rng.random(g.size) > 0.15]
    x = rng.normal(size=g.size)
    f = rng.integers(0, 3, size=g.size)
    b = rng.normal(size=(groups, 2)) * rng.uniform(0, 1.5, size=2)
    y = 1 + 0.5 * x + 0.3 * f + b[g, 0] + b[g, 1] * x + rng.normal(size=g.size)
    return pd.DataFrame(
        {
            "y": y,
            "x": x,
            "f": pd.Categorical(np.array(["u", "v", "w"])[f]),
            "g": pd.Categorical(np.array([f"g{i:02d}" for i in range(groups)])[g]),
        }
    )


def fit(frame: pd.DataFrame, formula: str = "y ~ x + f + (x | g)", **options: object) -> object:
    return mx.lmer(formula, frame, **options)


def assert_same_fit(a: object, b: object) -> None:
    assert a.loglik == pytest.approx(b.loglik, abs=CRITERION)
    np.testing.assert_allclose(a.fixef, b.fixef, atol=PARAMETER * float(a.stderr.max()))
    np.testing.assert_allclose(a.sigma, b.sigma, rtol=PARAMETER)


seeds = st.integers(0, 10_000)


@SETTINGS
@given(seeds, st.randoms(use_true_random=False))
def test_row_order(seed: int, random: object) -> None:
    frame = simulated(seed)
    order = np.random.default_rng(seed + 1).permutation(len(frame))
    assert_same_fit(fit(frame), fit(frame.iloc[order]))


@SETTINGS
@given(seeds)
def test_level_labels(seed: int) -> None:
    frame = simulated(seed)
    names = list(frame["g"].cat.categories)
    shuffled = list(np.random.default_rng(seed).permutation(names))
    new = dict(zip(names, shuffled, strict=True))
    renamed = frame.assign(g=frame["g"].cat.rename_categories(new))
    a, b = fit(frame), fit(renamed)
    assert_same_fit(a, b)
    moved = b.ranef["g"].loc[[new[n] for n in a.ranef["g"].index]]
    scale = float(np.abs(a.ranef["g"].to_numpy()).max()) + a.sigma * 1e-3
    np.testing.assert_allclose(a.ranef["g"], moved, atol=1e-3 * scale)


@SETTINGS
@given(seeds, st.sampled_from([1e-6, 1e-3, 7.0, 1e6]))
def test_units_of_a_predictor(seed: int, unit: float) -> None:
    frame = simulated(seed)
    a, b = fit(frame), fit(frame.assign(x=frame["x"] * unit))
    # x enters X'V^-1X: the REML criterion moves by log(unit^2), the ML one not at all
    assert b.reml_criterion - a.reml_criterion == pytest.approx(2 * np.log(unit), abs=1e-7)
    assert b.fixef["x"] * unit == pytest.approx(a.fixef["x"], abs=PARAMETER * a.stderr["x"])
    assert b.sigma == pytest.approx(a.sigma, rel=PARAMETER)


@SETTINGS
@given(seeds, st.sampled_from([1e-4, 0.5, 1e4]))
def test_units_of_the_response(seed: int, unit: float) -> None:
    frame = simulated(seed)
    a = fit(frame, reml=False)
    b = fit(frame.assign(y=frame["y"] * unit), reml=False)
    assert b.deviance - a.deviance == pytest.approx(2 * len(frame) * np.log(unit), abs=1e-6)
    assert b.sigma / unit == pytest.approx(a.sigma, rel=PARAMETER)
    np.testing.assert_allclose(b.fixef / unit, a.fixef, atol=PARAMETER * float(a.stderr.max()))


@SETTINGS
@given(seeds, st.sampled_from([-50.0, 3.0, 1e5]))
def test_origin_of_predictor_and_response(seed: int, shift: float) -> None:
    frame = simulated(seed)
    a = fit(frame)
    b = fit(frame.assign(x=frame["x"] + shift, y=frame["y"] + shift))
    assert b.reml_criterion == pytest.approx(a.reml_criterion, abs=1e-6)
    assert b.fixef["x"] == pytest.approx(a.fixef["x"], abs=PARAMETER * a.stderr["x"])
    assert b.sigma == pytest.approx(a.sigma, rel=PARAMETER)


@SETTINGS
@given(seeds, st.integers(2, 4))
def test_integer_weights_of_a_group_mean(seed: int, copies: int) -> None:
    """A row with weight k stands for the mean of k equal rows: same estimates of beta and Sigma.

    With every row repeated k times and ML, the residual variance estimated from copies shrinks
    (the copies agree exactly), so replication and weights differ in sigma. What must agree: a
    constant weight k leaves beta and the random-effect covariance and multiplies sigma by sqrt k.
    """
    frame = simulated(seed)
    a = fit(frame)
    b = fit(frame, weights=np.full(len(frame), float(copies)))
    assert_scaled = pytest.approx(a.sigma * np.sqrt(copies), rel=PARAMETER)
    assert b.sigma == assert_scaled
    assert b.loglik == pytest.approx(a.loglik, abs=1e-7)
    np.testing.assert_allclose(b.fixef, a.fixef, atol=PARAMETER * float(a.stderr.max()))


@SETTINGS
@given(seeds)
def test_contrasts_span_the_same_space(seed: int) -> None:
    frame = simulated(seed)
    a = fit(frame, reml=False)
    b = fit(frame, reml=False, contrasts={"f": "sum"})
    c = fit(frame, "y ~ 0 + f + x + (x | g)", reml=False)
    for other in (b, c):
        assert other.loglik == pytest.approx(a.loglik, abs=CRITERION)
        np.testing.assert_allclose(other.fitted, a.fitted, atol=1e-3 * a.sigma)


@SETTINGS
@given(seeds)
def test_frame_type(seed: int) -> None:
    import polars
    import pyarrow

    frame = simulated(seed)
    a = fit(frame)
    plain = {name: frame[name].astype(str) if name in "fg" else frame[name] for name in frame}
    for other in (
        polars.from_pandas(frame),
        pyarrow.Table.from_pandas(frame),
        {name: np.asarray(column) for name, column in plain.items()},
    ):
        b = fit(other)
        assert b.loglik == pytest.approx(a.loglik, abs=1e-10)
        assert list(b.fixef.index) == list(a.fixef.index)


def test_torture_offsets_and_scales() -> None:
    """1e8 added to predictor and response, units 1e-6 and 1e6: nine digits stay (the issue's line).

    The data are dyadic and the units powers of two, so that shifting and scaling are exact in
    floating point: every lost digit would be ours.
    """
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(30), 10)
    x = rng.integers(0, 40, size=g.size) / 2.0
    b = rng.normal(size=(30, 2))
    y = np.round((3 + b[g, 0] * 4 + (0.7 + b[g, 1]) * x + rng.normal(size=g.size) * 3) * 64) / 64
    frame = pd.DataFrame({"y": y, "x": x, "g": g})
    formula = "y ~ x + (x | g)"
    a = mx.lmer(formula, frame)
    slope = a.varcorr.to_frame()["vcov"].iloc[1]
    for shift in (0.0, 1e8):
        for unit in (2.0**-20, 1.0, 2.0**20):
            moved = pd.DataFrame({"y": y + shift, "x": (x + shift) * unit, "g": g})
            m = mx.lmer(formula, moved)
            assert m.fixef["x"] * unit == pytest.approx(a.fixef["x"], rel=1e-9)
            assert m.varcorr.to_frame()["vcov"].iloc[1] * unit**2 == pytest.approx(slope, rel=1e-9)
            assert m.sigma == pytest.approx(a.sigma, rel=1e-9)
