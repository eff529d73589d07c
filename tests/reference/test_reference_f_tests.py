"""t and F tests against lmerTest, pbkrtest, lme4 and car (blocks of the lmm and glmm cases)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.fits import fit_case
from support.reference import case_ids, load_case

# The tolerance. lmerTest differentiates numerically (numDeriv, good to about 1e-8 of the
# largest entry), so its degrees of freedom agree to 1e-5 or better.
RTOL = 1e-4


def cases_with(block: str, kind: str = "lmm") -> list[str]:
    """Cases of a kind whose block R could compute."""
    cases = {name: load_case(name).get(block) for name in case_ids(kind)}
    return [name for name, found in cases.items() if found and "error" not in found]


def column(table: dict[str, Any], name: str) -> np.ndarray:
    """A column of a recorded table."""
    special = {None: np.nan, "Inf": np.inf, "-Inf": -np.inf}
    return np.array([special.get(v, v) for v in table["data"][name]], dtype=float)


def check_p(got: np.ndarray, want: np.ndarray) -> None:
    """Small p values move by more than their statistic: d log p is about -t dt + log(p) dnu / nu.

    R underflows to 0 below the smallest double.
    """
    assert np.all(np.abs(got - want) <= RTOL * want * np.maximum(1.0, -np.log(want + 1e-300)))


def check_coefficients(fit: Any, block: dict[str, Any], ddf: str) -> None:
    """The coefficient table of a summary with degrees of freedom."""
    table = fit.contrast(np.eye(len(fit.fixef)), ddf=ddf)
    want = block["coefficients"]
    assert list(table.index) == want["rows"]
    np.testing.assert_allclose(table["std_error"], column(want, "Std. Error"), rtol=RTOL)
    np.testing.assert_allclose(table["df"], column(want, "df"), rtol=RTOL)
    np.testing.assert_allclose(table["statistic"], column(want, "t value"), rtol=RTOL, atol=1e-9)
    check_p(table["p_value"], column(want, "Pr(>|t|)"))


@pytest.mark.parametrize("name", cases_with("satterthwaite"))
def test_satterthwaite_coefficients(name: str) -> None:
    check_coefficients(fit_case(name), load_case(name)["satterthwaite"], "satterthwaite")
