"""Model comparisons computed with R: the numbers and the printed table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mixeff as mx
from support.fits import comparable_lines, fit_formula
from support.reference import case_ids, load_case, load_frame

CASES = case_ids("anova")
COLUMNS = {
    "npar": "npar",
    "AIC": "aic",
    "BIC": "bic",
    "logLik": "loglik",
    "deviance": "deviance",
    "Chisq": "chisq",
    "Df": "df",
    "Pr(>Chisq)": "p_value",
}


def fit_model(formula: str, case: dict[str, Any]) -> Any:
    if "family" in case:
        return mx.glmer(formula, load_frame(case["data"]), case["family"])
    return fit_formula(formula, case["data"], reml=case["REML"])


def table_of(case: dict[str, Any]) -> Any:
    models = {name: fit_model(formula, case) for name, formula in case["models"].items()}
    # As lme4 does for models compared as fitted.
    return mx.anova(**models, refit=not case["REML"])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::mixeff.errors.ComparisonWarning")
def test_anova(name: str) -> None:
    case = load_case(name)
    table = table_of(case)
    got, want = table.to_frame(), case["anova"]
    assert list(got.index) == want["rows"]
    for theirs, ours in COLUMNS.items():
        reference = np.array([np.nan if v is None else v for v in want["data"][theirs]], float)
        value = got[ours].to_numpy(float)
        if ours == "p_value":
            # d log p / d chisq is about -1/2: twice 2e-6 in chisq moves p by 4e-6 relative
            np.testing.assert_allclose(value, reference, rtol=1e-5)
        else:
            np.testing.assert_allclose(value, reference, atol=4e-6, rtol=0)
    # What stands behind a blank line, the mixtures of nulls on the boundary, R does not print.
    printed = str(table).split("\n\n")[0]
    assert comparable_lines(printed) == comparable_lines(case["text"])


# Which rows add a variance to the row above: read off the formulas of the cases.
BOUNDARY = {
    "nlschools_anova_all": {"model4": (1, 2)},
    "nlschools_anova_m1_m4": {"model4": (1, 2)},
    "nlschools_anova_reml": {"model4": (1, 2)},
    "sleepstudy_anova": {"m2": (0, 1)},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::mixeff.errors.ComparisonWarning")
def test_anova_boundary(name: str) -> None:
    from scipy.stats import chi2

    table = table_of(load_case(name)).to_frame()
    expected = BOUNDARY.get(name, {})
    assert ("p_boundary" in table) == bool(expected)
    for row in table.index if expected else ():
        if row not in expected:
            assert np.isnan(table.loc[row, "p_boundary"])
            continue
        # Stram and Lee (1994): half chi-square(q) and half chi-square(q + 1); chi-square(0) is 0.
        tails = [chi2.sf(table.loc[row, "chisq"], df) if df else 0.0 for df in expected[row]]
        assert table.loc[row, "p_boundary"] == pytest.approx(np.mean(tails), rel=1e-12)
