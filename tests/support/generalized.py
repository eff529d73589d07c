"""Generalized reference cases as designs and families, for tests of the engine alone."""

from __future__ import annotations

from functools import cache
from typing import Any

from mixeff.control import Control
from mixeff.design.build import build_design
from mixeff.design.design import Design
from mixeff.design.response import BINOMIAL, OTHER
from mixeff.formula import parse_formula
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.families.family import Family
from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.fit import fit_generalized
from support.reference import load_case, load_frame


def case_family(case: dict[str, Any]) -> Family:
    """The family and link of a case."""
    if case["kind"] == "glmer.nb":
        return family_of("negative_binomial", "log")
    return family_of(case["family"], case["link"])


@cache
def case_design(name: str) -> Design:
    """The design of a case."""
    case = load_case(name)
    return build_design(
        parse_formula(case["formula"]),
        load_frame(case["data"]),
        weights=case.get("weights"),
        offset=case.get("offset"),
        kind=BINOMIAL if case.get("family") == "binomial" else OTHER,
    )


@cache
def fit_engine(name: str, n_agq: int = 1, laplace: str = "observed") -> GeneralizedEstimate:
    """The engine's estimate; cached."""
    control = Control(laplace=laplace, threads=1)  # type: ignore[arg-type]
    family = case_family(load_case(name))
    return fit_generalized(case_design(name), family, n_agq=n_agq, control=control)
