"""The compiled fit of small models against the same fit step by step in Python."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

import mixeff.generalized.fit as engine
from mixeff.control import Control
from mixeff.design.design import Design
from mixeff.errors import ConvergenceWarning
from mixeff.generalized.estimate import LATE, GeneralizedEstimate
from mixeff.generalized.families.family import Family
from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.families.negative_binomial import NegativeBinomial
from mixeff.generalized.fit import fit_generalized
from mixeff.generalized.kernels import one_factor_fits
from mixeff.model.generalized_fitting import fit_design, prepare
from support.generalized import case_design, case_family
from support.handmade import make_design
from support.reference import load_case

# Both ways end with last steps judged by the gradient; what is left is rounding of sums.
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
PAIRS = [
    ("binomial", "logit"),
    ("binomial", "probit"),
    ("binomial", "cloglog"),
    ("poisson", "log"),
    ("poisson", "sqrt"),
]


def both_ways(
    design: Design, family: Family, monkeypatch: pytest.MonkeyPatch, laplace: str = "observed"
) -> tuple[GeneralizedEstimate, GeneralizedEstimate]:
    control = Control(laplace=laplace, threads=1)  # type: ignore[arg-type]
    small = fit_generalized(design, family, control=control)
    monkeypatch.setattr(engine, "fit_small", lambda *_: None)
    step_by_step = fit_generalized(design, family, control=control)
    monkeypatch.undo()
    return small, step_by_step


def assert_same(one: GeneralizedEstimate, two: GeneralizedEstimate) -> None:
    for name in ("theta", "beta", "linear_predictor", "covariance", "information"):
        mine, other = getattr(one, name), getattr(two, name)
        scale = float(np.abs(other).max()) or 1.0
        np.testing.assert_allclose(mine / scale, other / scale, err_msg=name, **CLOSE)
    for name in ("Lambda", "modes", "conditional_variances"):
        for mine, other in zip(getattr(one, name), getattr(two, name), strict=True):
            np.testing.assert_allclose(mine, other, err_msg=name, **CLOSE)
    assert one.loglik == pytest.approx(two.loglik, abs=1e-9)
    assert one.notes == two.notes
    pair = one.convergence, two.convergence
    verdicts = [(v.ok, [d.sentence for d in v.singular], v.optimizer) for v in pair]
    assert verdicts[0] == verdicts[1]
    assert one.convergence.curvature == pytest.approx(two.convergence.curvature, rel=1e-6)
    assert (one.n_agq, one.laplace) == (two.n_agq, two.laplace)
    if one.dispersion is not None:
        assert one.dispersion == pytest.approx(two.dispersion, rel=1e-9)


def made(
    kind: tuple[str, str], seed: int, columns: tuple[str, ...] = ("(Intercept)",), n: int = 150
) -> tuple[Design, Family]:
    rng = np.random.default_rng(seed)
    family = family_of(*kind)
    data = pd.DataFrame({"x": rng.normal(2.0, 3.0, n), "g": rng.integers(0, 12, n)})
    effects = rng.normal(0.0, 0.6, (12, len(columns)))
    eta = 0.4 + 0.1 * data.x + effects[data.g, 0]
    if len(columns) > 1:
        eta = eta + 0.2 * effects[data.g, 1] * data.x
    if kind[1] == "sqrt":
        eta = np.maximum(eta + 3.0, 0.5)
    trials = rng.integers(1, 9, n).astype(float) if kind[0] == "binomial" else None
    mean = family.link.mu(eta.to_numpy())
    data["y"] = rng.poisson(mean) if trials is None else rng.binomial(trials.astype(int), mean)
    if trials is not None:
        data["y"] = data.y / trials
    design = make_design(
        data, "y", ("(Intercept)", "x"), (("g", columns),), weights=trials,
        offset=0.1 * rng.normal(size=n),
    )  # fmt: skip
    return design, family


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("columns", [("(Intercept)",), ("(Intercept)", "x")])
@pytest.mark.parametrize("kind", PAIRS)
def test_same_fit_as_step_by_step(kind, columns, seed, monkeypatch):
    design, family = made(kind, seed, columns)
    small, step_by_step = both_ways(design, family, monkeypatch)
    assert_same(small, step_by_step)


def test_most_of_them_are_compiled():
    """What is compared above is not one way with itself."""
    fits = [fit_generalized(*made(kind, 0), control=Control()) for kind in PAIRS]
    assert all(fit.later is not None for fit in fits)


def test_the_expected_information(monkeypatch):
    design, family = made(("binomial", "probit"), 5)
    small, step_by_step = both_ways(design, family, monkeypatch, "expected")
    assert small.later is not None
    assert_same(small, step_by_step)


def test_a_known_shape(monkeypatch):
    design, _ = made(("poisson", "log"), 3)
    small, step_by_step = both_ways(design, NegativeBinomial(2.5), monkeypatch)
    assert small.later is not None
    assert small.dispersion == 2.5
    assert_same(small, step_by_step)


def dispersed(kind: tuple[str, str], seed: int, spread: float) -> tuple[Design, Family]:
    rng = np.random.default_rng(seed)
    n, family = 150, family_of(*kind)
    data = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 15, n)})
    weights = rng.integers(1, 4, n).astype(float) if seed % 2 else None
    eta = 1.0 + 0.3 * data.x + spread * rng.normal(size=15)[data.g]
    if seed == 2:
        eta = eta + spread * rng.normal(size=15)[data.g] * data.x
    mean = np.exp(eta).to_numpy()
    if kind[0] in ("negative_binomial", "nbinom1"):
        data["y"], weights = rng.negative_binomial(2, 2 / (2 + mean)).astype(float), None
    elif kind[0] == "gaussian":
        data["y"] = mean + 0.5 * rng.normal(size=n)
    else:
        data["y"] = rng.gamma(3.0, mean / 3.0)
    if kind[1] == "inverse":
        data["y"] = 1.0 / data.y
    columns = ("(Intercept)", "x") if seed == 2 else ("(Intercept)",)
    design = make_design(data, "y", ("(Intercept)", "x"), (("g", columns),), weights=weights)
    return design, family


DISPERSED = [
    ("negative_binomial", "log"),
    ("negative_binomial", "sqrt"),
    ("nbinom1", "log"),
    ("Gamma", "log"),
    ("Gamma", "inverse"),
    ("inverse.gaussian", "log"),
    ("gaussian", "log"),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", DISPERSED)
def test_an_estimated_dispersion(kind, seed, monkeypatch):
    design, family = dispersed(kind, seed, 0.6)
    small, step_by_step = both_ways(design, family, monkeypatch)
    if seed == 1:
        assert small.later is not None
    assert small.family.name == step_by_step.family.name
    assert_same(small, step_by_step)
    assert small.convergence.evaluations == step_by_step.convergence.evaluations


def test_an_estimated_dispersion_without_variance(monkeypatch):
    ended = set()
    for kind in DISPERSED:
        for seed in (0, 1):
            design, family = dispersed(kind, seed, 0.0)
            small, step_by_step = both_ways(design, family, monkeypatch)
            assert small.later is not None
            assert_same(small, step_by_step)
            ended.add(small.convergence.singular != ())
    assert ended == {False, True}


def test_counts_that_are_poisson_after_all(monkeypatch):
    """A shape on its way to infinity is left to the search that knows how to end there."""
    design, _ = made(("poisson", "log"), 0)
    design = dataclasses.replace(design, response=4.0 + np.arange(150) % 3, offset=None)
    family = family_of("negative_binomial")
    small, step_by_step = both_ways(design, family, monkeypatch)
    assert small.later is None
    assert small.loglik == pytest.approx(step_by_step.loglik, abs=1e-9)
    assert small.notes == step_by_step.notes
    assert "vary no more than Poisson counts do" in small.notes[-1]


@pytest.mark.parametrize("name", ["cbpp_laplace", "contra_p", "contra_slope_p"])
def test_reference_cases(name, monkeypatch):
    case = load_case(name)
    small, step_by_step = both_ways(case_design(name), case_family(case), monkeypatch)
    assert small.later is not None
    assert_same(small, step_by_step)
    assert small.convergence.evaluations == step_by_step.convergence.evaluations


def test_no_variance(monkeypatch):
    """A response without groups: theta is exactly zero, and the verdict names it."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=200), "g": np.arange(200) % 20})
    data["y"] = (np.arange(200) // 20 % 2).astype(float)  # as many ones in every group
    design = make_design(data, "y", ("(Intercept)", "x"), (("g", ("(Intercept)",)),))
    small, step_by_step = both_ways(design, family_of("binomial"), monkeypatch)
    assert small.later is not None
    assert small.sound
    assert small.theta[0] == 0.0
    assert small.convergence.singular
    assert_same(small, step_by_step)


def test_hardly_any_variance(monkeypatch):
    """On both sides of the edge the compiled search ends where the other does."""
    ended = set()
    for kind in PAIRS:
        for seed in range(6):
            design, family = made(kind, seed)
            # What the groups differ in goes: their rows are dealt out anew.
            codes = np.random.default_rng(seed).permutation(design.random[0].codes)
            design = dataclasses.replace(
                design, random=(dataclasses.replace(design.random[0], codes=codes),)
            )
            small, step_by_step = both_ways(design, family, monkeypatch)
            assert small.later is not None
            assert_same(small, step_by_step)
            ended.add(small.convergence.singular != ())
    assert ended == {False, True}


def test_estimates_beyond_the_kernel_are_left_alone():
    """A start of the caller's, the fast fit, quadrature."""
    design, family = made(("poisson", "log"), 1)
    assert fit_generalized(design, family, control=Control(), start=[0.5]).later is None
    assert fit_generalized(design, family, control=Control(), n_agq=0).later is None
    assert fit_generalized(design, family, control=Control(), n_agq=5).later is None


def separated() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    g = rng.integers(0, 30, 300)
    z = (rng.random(300) < 0.2).astype(float)
    y = np.where(z == 1, 1.0, rng.random(300) < 1 / (1 + np.exp(-rng.normal(size=30)[g])))
    return pd.DataFrame({"y": y, "z": z, "g": g})


def test_trouble_is_told_at_the_fit():
    """What waits are numbers, never a warning: separation is found before the fit returns."""
    request, design = prepare(
        formula="y ~ z + (1 | g)", data=separated(), data_name="d", family="binomial", link=None,
        n_agq=1, weights=None, offset=None, contrasts=None, na_action="omit", start=None,
        control=None,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="separated by z"):
        fit_design(request, design)


def test_a_sound_fit_does_no_further_work():
    """Nothing that waits is computed to know that there is nothing to warn of."""
    design, family = made(("binomial", "logit"), 0)
    estimate = fit_generalized(design, family, control=Control())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert estimate.sound
    assert estimate.later is not None
    assert "findings" not in vars(estimate.later)
    assert np.isfinite(estimate.covariance).all()
    assert "findings" in vars(estimate.later)


def test_means_at_the_edge_are_not_sound():
    """A mean of zero under a link that would let it pass: the notes are made at once."""
    design, _ = made(("poisson", "log"), 0)
    design = dataclasses.replace(design, response=design.response + 20.0, offset=None)
    estimate = fit_generalized(design, family_of("poisson", "identity"), control=Control())
    assert estimate.sound
    eta = np.array(estimate.later.found.eta[0])
    eta[3] = 1e-9
    found = estimate.later.found._replace(eta=eta[None, :])
    assert not dataclasses.replace(estimate.later, found=found).sound


@pytest.mark.parametrize(
    "again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy]
)
def test_copies_hold_the_parts_themselves(again):
    design, family = made(("poisson", "log"), 0)
    estimate = fit_generalized(design, family, control=Control())
    other = again(estimate)
    assert other.later is None
    assert other.notes == estimate.notes
    assert other.convergence.sentence == estimate.convergence.sentence
    np.testing.assert_array_equal(other.covariance, estimate.covariance)
    np.testing.assert_array_equal(other.theta, estimate.theta)


def test_unknown_parts_are_unknown():
    design, family = made(("poisson", "log"), 0)
    estimate = fit_generalized(design, family, control=Control())
    with pytest.raises(AttributeError, match="no attribute 'sigma'"):
        _ = estimate.sigma
    assert all(hasattr(estimate, name) for name in LATE)


def call_kernel(y, X, codes, levels, entry=None, draws=None, shift=None):
    n = y.shape[1]
    entry = np.zeros(1, dtype=np.int32) if entry is None else entry
    draws = np.empty((0, 0), dtype=np.int64) if draws is None else draws
    shift = np.zeros(len(draws) or len(y)) if shift is None else shift
    return one_factor_fits(
        "binomial", "logit", y, np.empty(0), np.zeros(n), X, np.ones((n, 1)), codes, levels,
        np.zeros_like(y), 1.0, False, entry, entry, draws, shift, np.empty(0), 1e-8, 10, 1,
    )  # fmt: skip


def test_the_kernel_refuses_arrays_that_do_not_fit():
    n = 6
    y, X, codes = np.ones((1, n)), np.ones((n, 1)), np.zeros(n, dtype=np.int32)
    with pytest.raises(ValueError, match="shapes"):
        call_kernel(np.ones((1, n - 1)), X, codes, 1)
    with pytest.raises(ValueError, match="shapes"):
        call_kernel(y, X, codes, 1, shift=np.zeros(2))
    with pytest.raises(ValueError, match="no level"):
        call_kernel(y, X, np.full(n, 3, dtype=np.int32), 1)
    with pytest.raises(ValueError, match="outside Lambda"):
        call_kernel(y, X, codes, 1, entry=np.full(1, 1, dtype=np.int32))
    with pytest.raises(ValueError, match="what is no level"):
        call_kernel(y, X, codes, 1, draws=np.ones((2, 3), dtype=np.int64))
    with pytest.raises(ValueError, match="shapes"):
        call_kernel(np.ones((2, n)), X, codes, 1, draws=np.zeros((2, 3), dtype=np.int64))


def test_the_kernel_gives_up_where_there_is_no_information():
    """Two equal columns of X: no start, and no number is made up."""
    n = 12
    y = (np.arange(n) % 2).astype(float)[None, :]
    codes = (np.arange(n) // 4).astype(np.int32)
    *_, end = call_kernel(y, np.ones((n, 2)), codes, 3)
    assert end.tolist() == [0]
