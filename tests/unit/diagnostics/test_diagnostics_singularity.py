"""Singular fits and residuals through the fit."""

from __future__ import annotations

import numpy as np
import pytest

import mixeff as mx
from mixeff.diagnostics.residuals import KINDS, residuals
from mixeff.diagnostics.singularity import column_sizes, is_singular
from mixeff.errors import OptionError
from support.handmade import factors, make_design
from support.reference import load_case, load_frame


@pytest.mark.parametrize("name", ["dyestuff", "dyestuff2_singular", "early_p", "rail_p"])
def test_as_lme4_on_the_reference(name: str) -> None:
    case = load_case(name)
    fit = mx.lmer(case["formula"], load_frame(case["data"]))
    assert fit.is_singular == case["fit"]["isSingular"]
    assert bool(fit.convergence.singular) == fit.is_singular


def test_the_tolerance_is_a_standard_deviation_in_units_of_the_residual() -> None:
    design = make_design(
        load_frame("sleepstudy"), "Reaction", ["(Intercept)"], [("Subject", ["(Intercept)"])]
    )
    for theta, tol, want in [(2e-4, 1e-4, False), (5e-5, 1e-4, True), (0.01, 0.1, True)]:
        assert is_singular(design, factors(design, [theta]), tol) is want
    with pytest.raises(OptionError, match="tol must be positive"):
        is_singular(design, factors(design, [1.0]), 0.0)


def test_column_sizes() -> None:
    np.testing.assert_allclose(
        column_sizes(np.array([[1.0, 3.0], [1.0, 4.0]])), [1.0, np.sqrt(12.5)]
    )


def test_residual_kinds() -> None:
    """residuals(fit, "pearson") of R: sqrt(w) (y - fitted); scaled: over sigma."""
    case = load_case("sleepstudy_weights")
    frame = load_frame(case["data"])
    fit = mx.lmer(case["formula"], frame, weights="w")
    raw = frame["Reaction"].to_numpy() - fit.fitted
    root = np.sqrt(frame["w"].to_numpy())
    want = {
        "response": raw,
        "working": raw,
        "pearson": root * raw,
        "deviance": root * raw,
        "scaled": root * raw / fit.sigma,
    }
    assert set(want) == set(KINDS)
    for kind, values in want.items():
        np.testing.assert_allclose(fit.residuals(kind), values, atol=1e-12)
        np.testing.assert_allclose(residuals(fit.design, fit.estimate, kind), values, atol=1e-12)
    quantiles = np.quantile(fit.residuals("scaled"), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(
        quantiles, list(case["scaled_residual_quantiles"].values()), atol=1e-6
    )
