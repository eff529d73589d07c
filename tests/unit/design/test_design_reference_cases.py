"""Columns, rows, groups and levels of every linear reference case, against what R's lme4 made."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from mixeff.design.build import build_design
from mixeff.design.design import Design
from mixeff.errors import DesignWarning
from mixeff.formula import parse_formula
from support.reference import case_ids, load_case, load_frame

CASES = case_ids("lmm")


def design_of(case: dict[str, Any]) -> Design:
    # The cases *_fdb_* hold lme4's textual splitting of ``||``.
    double_bar = "lme4" if "_fdb_" in case["id"] else "independent"
    formula = parse_formula(case["formula"], double_bar=double_bar)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DesignWarning)
        return build_design(
            formula,
            load_frame(case["data"]),
            weights=case.get("weights"),
            offset=case.get("offset"),
            contrasts=case.get("contrasts"),
        )


@pytest.mark.parametrize("name", CASES)
def test_design_agrees_with_lme4(name: str) -> None:
    case = load_case(name)
    design = design_of(case)
    assert list(design.names) == list(case["beta"])
    assert list(design.dropped) == case["dropped_columns"]
    assert design.n == case["nobs"]
    assert design.n_omitted == case["n_omitted"]
    n_total = load_frame(case["data"]).shape[0]
    omitted = sorted(set(range(1, n_total + 1)) - set((design.rows + 1).tolist()))
    assert omitted == [int(row) for row in case.get("omitted_rows_1based", [])]
    assert {t.group: t.n_levels for t in design.random} == case["ngroups"]
    assert sum(t.n_theta for t in design.random) == case["n_theta"]


@pytest.mark.parametrize("name", CASES)
def test_random_terms_agree_with_lme4(name: str) -> None:
    case = load_case(name)
    design = design_of(case)
    order = list(dict.fromkeys(t.group for t in design.random))
    assert order == list(case["ngroups"])
    for group in order:
        terms = [t for t in design.random if t.group == group]
        reference = case["ranef"][group]
        assert [c for t in terms for c in t.columns] == reference["terms"]
        shown = reference["levels"]
        assert list(terms[0].levels[: len(shown)]) == shown


@pytest.mark.parametrize("name", CASES)
def test_new_data_rows_score_as_in_training(name: str) -> None:
    # The state applied to the training rows must give back X and the random columns. The tolerance
    # is that of recomputing a spline or polynomial basis, a few ulps of values of size 1e4.
    case = load_case(name)
    design = design_of(case)
    frame = load_frame(case["data"]).iloc[design.rows]
    newdata = design.state.open(frame)
    X, offset, complete = design.state.fixed_matrix(newdata)
    assert complete.all()
    np.testing.assert_allclose(X, design.X, rtol=1e-12, atol=1e-12)
    if design.offset is not None:
        np.testing.assert_array_equal(offset, design.offset)
    for place, term in enumerate(design.random):
        codes, values = design.state.random_matrix(newdata, place)
        np.testing.assert_array_equal(codes, term.codes)
        np.testing.assert_allclose(values, term.values, rtol=1e-12, atol=1e-12)
