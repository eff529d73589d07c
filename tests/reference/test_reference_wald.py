"""Wald intervals of every linear model fitted with R, on our own fits."""

from __future__ import annotations

import numpy as np
import pytest

from support.fits import fit_case
from support.reference import case_ids, load_case

LMM = [name for name in case_ids("lmm") if load_case(name)["beta"]]


@pytest.mark.parametrize("name", LMM)
def test_linear(name: str) -> None:
    fit, want = fit_case(name), load_case(name)["confint_wald"]
    p = len(fit.fixef)
    got = fit.confint()
    assert list(got.index[-p:]) == want["rows"][-p:]
    # beta and its standard errors are right to about 1e-7 of the latter (test_reference_lmm.py)
    bounds = np.array(want["values"][-p:], float)
    assert np.abs((got.iloc[-p:] - bounds).div(fit.stderr, axis=0)).max(axis=None) < 1e-6
