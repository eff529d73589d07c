"""Generalized fits made of a reference case's own numbers: nothing is optimized here."""

from __future__ import annotations

from typing import Any

import numpy as np

import mixeff as mx
from mixeff.control import Control
from mixeff.design.build import build_design
from mixeff.design.response import BINOMIAL, OTHER
from mixeff.formula import parse_formula
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.families.lookup import family_of
from mixeff.model.generalized_fit import GeneralizedMixedModel
from mixeff.model.linear_predictor import fitted_values
from mixeff.model.request import Request
from mixeff.optimize.verdict import Verdict
from support.handmade import factors
from support.reference import load_case, load_frame


def numbers(mapping: dict[str, float]) -> np.ndarray:
    return np.array(list(mapping.values()), dtype=float)


def reference_fit(name: str, notes: tuple[str, ...] = ()) -> GeneralizedMixedModel:
    """The fit of a case whose random effects are all in the file (at most 200 levels)."""
    case = load_case(name)
    parsed = parse_formula(case["formula"], double_bar="lme4")
    frame = load_frame(case["data"])
    kind = BINOMIAL if case["family"] == "binomial" else OTHER
    design = build_design(
        parsed, frame, weights=case.get("weights"), offset=case.get("offset"), kind=kind
    )
    estimate = reference_estimate(case, design, notes)
    request = Request(
        formula=case["formula"],
        parsed=parsed,
        data=frame,
        data_name=case["data"],
        reml=False,
        weights=case.get("weights"),
        offset=case.get("offset"),
        control=Control(double_bar="lme4"),
        family=estimate.family,
        n_agq=estimate.n_agq,
    )
    return GeneralizedMixedModel(request, design, estimate)


def reference_estimate(
    case: dict[str, Any], design: Any, notes: tuple[str, ...]
) -> GeneralizedEstimate:
    sigma = case["fit"]["sigma"]
    family = family_of(case["family"], case["link"])
    theta = numbers(case["theta"]) * sigma  # ours is not relative to the dispersion
    Lambda = factors(design, theta)
    modes, variances = [], []
    for term in design.random:
        block = case["ranef"][term.group]
        modes.append(np.column_stack([block["values"][c] for c in term.columns]))
        spread = np.column_stack([block["cond_var"][c] for c in term.columns])
        variances.append(np.einsum("jk,kl->jkl", spread, np.eye(len(term.columns))))
    beta = numbers(case["beta"])
    draft = {"beta": beta, "modes": tuple(modes)}
    return GeneralizedEstimate(
        family=family,
        n_agq=case["nAGQ"],
        laplace="expected",
        theta=theta,
        Lambda=Lambda,
        dispersion=sigma**2 if family.has_dispersion else None,
        loglik=case["fit"]["logLik"],
        linear_predictor=fitted_values(design, type("Draft", (), draft)),
        covariance=np.array(case["vcov"]["values"], float),
        information=np.full((0, 0), np.nan),
        conditional_variances=tuple(variances),
        convergence=Verdict(True, "Converged.", np.zeros(theta.size), 1.0, 0.0, 1, 0.0, "newton"),
        notes=notes,
        **draft,
    )


__all__ = ["mx", "numbers", "reference_fit"]
