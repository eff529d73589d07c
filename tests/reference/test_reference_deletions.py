"""drop1 and ranova computed with R (lme4 and lmerTest).

The tolerance is the issue's 1e-4 relative for tests. The statistic is a difference of deviances,
each right to about 4e-6 (test_reference_anova.py): that is added as an absolute part.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import mixeff as mx
from support.fits import fit_case
from support.reference import case_ids, load_case, load_frame, reference_dir

DROP1 = {"npar": "df", "AIC": "aic", "LRT": "lrt", "Pr(Chi)": "p_value"}
RANOVA = {
    "npar": "npar",
    "logLik": "loglik",
    "AIC": "aic",
    "LRT": "lrt",
    "Df": "df",
    "Pr(>Chisq)": "p_value",
}
ORDINARY_DEVIANCE = 1e-5


def having(block: str) -> list[str]:
    found = []
    for kind in ("lmm", "glmm"):
        for name in case_ids(kind):
            text = (reference_dir() / "cases" / f"{name}.json").read_text()
            if isinstance(json.loads(text).get(block), dict):
                found.append(name)
    return found


def fit_any(name: str) -> Any:
    case = load_case(name)
    if case["kind"] == "lmm":
        return fit_case(name)
    return mx.glmer(
        case["formula"],
        load_frame(case["data"]),
        case["family"],
        n_agq=case["nAGQ"],
        control=mx.Control(double_bar="lme4", laplace="expected"),
    )


def compare(got: Any, want: dict[str, Any], columns: dict[str, str]) -> None:
    frame = got.to_frame()
    assert list(frame.index) == want["rows"]
    for theirs, ours in columns.items():
        reference = np.array([np.nan if v is None else v for v in want["data"][theirs]], float)
        value = frame[ours].to_numpy(float)
        if ours == "p_value":
            # d log p / d chisq is at most about 1/2 + 1/chisq
            np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-300)
        else:
            np.testing.assert_allclose(value, reference, rtol=1e-6, atol=ORDINARY_DEVIANCE)


def test_all_blocks_are_here() -> None:
    assert (len(having("drop1")), len(having("ranova"))) == (10, 6)


@pytest.mark.parametrize("name", having("drop1"))
def test_drop1(name: str) -> None:
    compare(fit_any(name).drop1(), load_case(name)["drop1"], DROP1)


@pytest.mark.parametrize("name", having("ranova"))
def test_ranova(name: str) -> None:
    compare(fit_any(name).ranova(), load_case(name)["ranova"], RANOVA)
