"""Model comparisons computed with R: the numbers and the printed table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mixeff as mx
from mixeff.inference.likelihood_ratio import likelihood_ratio_table
from support.fits import comparable_lines, fit_formula
from support.reference import case_ids, load_case

CASES = case_ids("anova")
# Generalized models are a later issue: here only the table made from R's own log-likelihoods.
GENERALIZED = {"cbpp_anova_p", "epil_anova_p"}
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


def table_of(case: dict[str, Any]) -> Any:
    if case["id"] in GENERALIZED:
        return generalized_table(case)
    models = {
        name: fit_formula(formula, case["data"], reml=case["REML"])
        for name, formula in case["models"].items()
    }
    # As lme4 does for models compared as fitted.
    return mx.anova(**models, refit=not case["REML"])


def generalized_table(case: dict[str, Any]) -> Any:
    names = list(case["anova"]["rows"])
    loglik = np.array([case["logLik"][n] for n in names])
    npar = np.array([case["df"][n] for n in names])
    # BIC = -2 logLik + npar log(n) gives n back
    n = np.exp((case["BIC"][names[0]] + 2 * loglik[0]) / npar[0])
    return likelihood_ratio_table(
        names=names,
        formulas=[case["models"][n] for n in names],
        npar=npar,
        loglik=loglik,
        nobs=round(n),
        data_name=case["data"],
    )


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
