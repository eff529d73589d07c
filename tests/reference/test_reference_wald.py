"""Wald intervals of every linear case, against R's confint(fit, method = "Wald").

Those of generalized models stand with their fits: test_reference_glmm.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from support.fits import fit_case
from support.reference import case_ids, load_case

CASES = [i for i in case_ids("lmm") if "confint_wald" in load_case(i)]


def test_all_cases_are_here() -> None:
    assert len(CASES) == 70


@pytest.mark.parametrize("name", CASES)
def test_intervals(name: str) -> None:
    fit, want = fit_case(name), load_case(name)["confint_wald"]
    p = len(fit.fixef)
    got = fit.confint()
    assert got.index.tolist()[-p:] == want["rows"][-p:]
    assert got.to_numpy()[:-p].size == 0 or np.isnan(got.to_numpy()[:-p]).all()
    values = np.array(want["values"], dtype=float)[-p:]
    # A bound near zero has no relative error to speak of: standard errors are the unit.
    error = np.abs(got.to_numpy()[-p:] - values) / fit.stderr.to_numpy()[:, None]
    assert error.max() < 1e-4
