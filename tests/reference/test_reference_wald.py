"""Wald intervals of every case that has them, against R's confint(fit, method = "Wald")."""

from __future__ import annotations

import numpy as np
import pytest

import mixeff as mx
from support.fits import fit_case
from support.reference import case_ids, load_case, load_frame

LINEAR = [i for i in case_ids("lmm") if "confint_wald" in load_case(i)]

# Generalized cases where lme4 maximizes the same approximation and stops at its optimum; the
# reasons of the others (expected information with a link that is not canonical, its dispersion, an
# optimizer that stops short) stand with their fits: test_reference_glmm.py, and
# tests/unit/model/test_model_generalized.py makes these intervals from R's own estimates.
GENERALIZED = (
    "bacteria_p", "cbpp_agq0", "cbpp_agq9", "cbpp_laplace", "cbpp_obs_p", "contra_agq25_p",
    "contra_p", "contra_slope_p", "epil_agq_p", "epil_p", "exam_pass_p", "hsb_pm_p", "sala_p",
    "snails_p",
)  # fmt: skip


def compare(fit: mx.LinearMixedModel | mx.GeneralizedMixedModel, name: str, near: float) -> None:
    want = load_case(name)["confint_wald"]
    p = len(fit.fixef)
    got = fit.confint()
    assert got.index.tolist()[-p:] == want["rows"][-p:]
    assert got.to_numpy()[:-p].size == 0 or np.isnan(got.to_numpy()[:-p]).all()
    values = np.array(want["values"], dtype=float)[-p:]
    # A bound near zero has no relative error to speak of: standard errors are the unit.
    error = np.abs(got.to_numpy()[-p:] - values) / fit.stderr.to_numpy()[:, None]
    assert error.max() < near


def test_all_linear_cases_are_here() -> None:
    assert len(LINEAR) == 70


@pytest.mark.parametrize("name", LINEAR)
def test_linear(name: str) -> None:
    compare(fit_case(name), name, 1e-4)


@pytest.mark.parametrize("name", GENERALIZED)
def test_generalized(name: str) -> None:
    case = load_case(name)
    fit = mx.glmer(
        case["formula"],
        load_frame(case["data"]),
        case["family"],
        link=case["link"],
        n_agq=case["nAGQ"],
        weights=case.get("weights"),
        offset=case.get("offset"),
    )
    compare(fit, name, 1e-4)
