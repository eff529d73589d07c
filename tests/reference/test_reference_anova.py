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
    assert comparable_lines(str(table)) == comparable_lines(case["text"])
