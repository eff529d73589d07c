"""Trouble is named: separation, variances without end, a rough Laplace approximation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.control import Control
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.families.negative_binomial import NegativeBinomial
from mixeff.generalized.families.negative_binomial1 import NegativeBinomial1
from mixeff.generalized.fit import fit_generalized
from mixeff.generalized.notes import is_advice
from mixeff.generalized.separation import separating_direction
from support.generalized import fit_engine
from support.handmade import make_design

X = np.column_stack([np.ones(6), [0, 0, 0, 1, 1, 1], [3.0, 1, 2, 5, 4, 6]])


def frame(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = 300
    g = rng.integers(0, 30, n)
    x = rng.normal(size=n)
    z = (rng.random(n) < 0.2).astype(float)
    chance = 1 / (1 + np.exp(-x - rng.normal(size=30)[g]))
    y = np.where(z == 1, 1.0, rng.random(n) < chance)
    return pd.DataFrame(
        {"y": y, "x": x, "z": z, "g": g, "c": rng.poisson(np.exp(0.3 * x)) * (1 - z)}
    )


def fit(
    data: pd.DataFrame, response: str, fixed: tuple[str, ...], family: str
) -> GeneralizedEstimate:
    design = make_design(data, response, fixed, (("g", ("(Intercept)",)),))
    return fit_generalized(design, family_of(family), control=Control(threads=1))


@pytest.mark.parametrize(("response", "family"), [("y", "binomial"), ("c", "poisson")])
def test_separation_names_the_column(response, family):
    """Where z is 1 every y is 1, and every count 0."""
    estimate = fit(frame(), response, ("(Intercept)", "x", "z"), family)
    (note,) = estimate.notes
    assert "separated by z:" in note
    assert abs(estimate.beta[2]) > 15
    # The other coefficient is that of the rows with z = 0, fitted alone.
    rest = fit(frame()[frame().z == 0], response, ("(Intercept)", "x"), family)
    assert estimate.beta[1] == pytest.approx(rest.beta[1], abs=1e-3)


def test_no_false_alarm():
    assert fit(frame(), "y", ("(Intercept)", "x"), "binomial").notes == ()


def separated(data: pd.DataFrame, fixed: tuple[str, ...]) -> str:
    (note,) = fit(data, "y", ("(Intercept)", *fixed), "binomial").notes
    return note.split(":")[0]


def test_the_least_that_separates_is_named():
    """A threshold of one predictor; two of which either does; a line that needs both."""
    data = frame()
    data["w"] = np.random.default_rng(7).normal(size=len(data))
    data["y"] = (data["x"] > 0.3).astype(float)
    assert separated(data, ("w", "x")) == "The responses are separated by x"
    data["y"] = ((data["z"] == 1) | (data["x"] > 0)).astype(float)
    data["z2"] = data["z"] * (data["w"] > 0)
    name = separated(data, ("z", "z2"))
    assert name == "The responses are separated by z and z2, each by itself"
    data["y"] = (data["x"] + data["w"] > 0.1).astype(float)
    name = separated(data, ("x", "z", "w"))
    assert name == "The responses are separated by a combination of x and w"


def test_counts_of_a_negative_binomial_separate_too():
    estimate = fit(frame(), "c", ("(Intercept)", "x", "z"), "negative_binomial")
    assert "separated by z:" in estimate.notes[0]


@pytest.mark.parametrize("family", ["nbinom1", "nbinom2"])
def test_counts_without_overdispersion_are_named(family):
    """Binomial counts vary less than Poisson's; the numbers are those of the Poisson model."""
    data = frame()
    data["c"] = np.random.default_rng(2).binomial(6, 0.5, len(data)).astype(float)
    estimate = fit(data, "c", ("(Intercept)", "x"), family)
    assert estimate.notes[-1].startswith("The counts vary no more than Poisson counts do")
    assert is_advice(estimate.notes[-1])
    poisson = fit(data, "c", ("(Intercept)", "x"), "poisson")
    assert estimate.loglik == pytest.approx(poisson.loglik, abs=1e-6)
    np.testing.assert_allclose(estimate.beta, poisson.beta, atol=1e-6)
    data["c"] = np.random.default_rng(2).negative_binomial(2, 0.4, len(data)).astype(float)
    notes = fit(data, "c", ("(Intercept)", "x"), family).notes
    assert not any("Poisson" in note for note in notes)


@pytest.mark.parametrize("family", ["gamma", "inverse_gaussian", "gaussian"])
def test_responses_without_error_are_named(family):
    data = frame()
    data["y"] = np.exp(1 + 0.5 * data["x"])
    design = make_design(data, "y", ("(Intercept)", "x"), (("g", ("(Intercept)",)),))
    control = Control(threads=1, max_evaluations=200)
    estimate = fit_generalized(design, family_of(family, "log"), control=control)
    assert "fitted without error" in estimate.notes[0]


def test_means_at_the_edge_are_named():
    """A level of zeros pulls its mean to zero, which an identity link does not forbid."""
    data = frame()
    data["c"] = np.where(data["g"] == 3, 0, 2 + data["c"] + (data["g"] % 5) * 4)
    design = make_design(data, "c", ("(Intercept)",), (("g", ("(Intercept)",)),))
    poisson = family_of("poisson", "identity")
    estimate = fit_generalized(design, poisson, control=Control(threads=1))
    (note,) = estimate.notes
    rows = np.flatnonzero(data["g"] == 3)
    assert note.startswith(f"{rows.size} rows have means at zero, the edge of what a poisson")
    assert f"(rows {rows[0]}, {rows[1]}" in note
    assert not estimate.convergence.ok
    assert "touch the edge" in estimate.convergence.sentence
    assert 'link="log"' in note
    inside = fit(data, "c", ("(Intercept)",), "poisson")  # the logarithm keeps means positive
    assert inside.convergence.ok


def test_separating_direction():
    """Complete, quasi-complete and no separation, by construction."""
    split = np.array([0.0, 0, 0, 1, 1, 1])
    found = separating_direction(X, split, True)
    assert found is not None
    assert ((2 * split - 1) * (X @ found) >= -1e-9).all()
    assert separating_direction(X, np.array([0.0, 1, 0, 1, 0, 1]), True) is None
    quasi = np.array([0.0, 1, 0, 1, 1, 1])  # all ones where the second column is 1
    found = separating_direction(X[:, :2], quasi, True)
    np.testing.assert_allclose(found, [0, 1], atol=1e-9)
    assert separating_direction(X[:, :2], np.array([0.5, 0.5, 0, 0.5, 1, 1]), True) is None


def test_a_variance_without_end_is_named():
    data = frame()
    data["y"] = (np.arange(30) % 2)[data["g"]].astype(float)  # one response in every level
    estimate = fit(data, "y", ("(Intercept)", "x"), "binomial")
    assert any("the variance may have no finite estimate" in note for note in estimate.notes)


def test_a_rough_laplace_approximation_is_told():
    """The reference has the exact optimum: it differs by half a unit of the log-likelihood."""
    (note,) = fit_engine("bacteria_cauchit_p").notes
    assert "adaptive quadrature would change the log-likelihood" in note
    assert fit_engine("cbpp_laplace").notes == ()


@pytest.mark.parametrize("given", [NegativeBinomial, NegativeBinomial1])
def test_a_known_dispersion_is_not_estimated(given):
    """With it given, the likelihood is that of the estimated one at this value or less."""
    data = frame()
    data["c"] = np.random.default_rng(1).negative_binomial(2, 0.4, len(data)).astype(float)
    formula = "c ~ x + (1 | g)"
    free = mx.glmer(formula, data, given())
    known = mx.glmer(formula, data, given(free.dispersion))
    assert known.dispersion == free.dispersion
    assert known.loglik == pytest.approx(free.loglik, abs=1e-7)
    assert known.df == free.df - 1
    other = mx.glmer(formula, data, given(2 * free.dispersion))
    assert other.loglik < free.loglik
    relinked = other.update(link="sqrt")
    assert (relinked.dispersion, relinked.link, relinked.df) == (other.dispersion, "sqrt", other.df)


def test_a_known_shape_is_not_estimated():
    """With the shape given, the likelihood is that of the estimated one at this shape or less."""
    data = frame()
    data["c"] = np.random.default_rng(1).negative_binomial(2, 0.4, len(data)).astype(float)
    design = make_design(data, "c", ("(Intercept)", "x"), (("g", ("(Intercept)",)),))
    free = fit_generalized(design, family_of("negative_binomial"), control=Control(threads=1))
    assert free.dispersion is not None
    known = fit_generalized(design, NegativeBinomial(free.dispersion), control=Control(threads=1))
    assert known.dispersion == free.dispersion
    assert known.loglik == pytest.approx(free.loglik, abs=1e-7)
    assert known.information.shape[0] == free.information.shape[0] - 1
    other = fit_generalized(
        design, NegativeBinomial(2 * free.dispersion), control=Control(threads=1)
    )
    assert other.loglik < free.loglik
