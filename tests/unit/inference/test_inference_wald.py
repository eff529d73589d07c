"""Wald intervals against R's confint(fit, method = "Wald")."""

from __future__ import annotations

import numpy as np
import pytest

import mixeff as mx
from mixeff.errors import OptionError
from support.reference import load_case, load_frame


@pytest.mark.parametrize("name", ["sleepstudy_slope", "penicillin_crossed", "machines_slope"])
def test_intervals_of_R(name: str) -> None:
    case = load_case(name)
    want = case["confint_wald"]
    fit = mx.lmer(case["formula"], load_frame(case["data"]), reml=case["REML"])
    got = fit.confint()
    assert got.columns.tolist() == ["lower", "upper"]
    values = np.array(want["values"], dtype=float)
    assert got.index.tolist()[-len(fit.fixef) :] == want["rows"][-len(fit.fixef) :]
    # Bounds to 1e-6 standard errors, as good as the reference's theta.
    np.testing.assert_allclose(got.to_numpy(), values, atol=1e-6 * fit.stderr.max())


def test_rows_of_the_variance_parameters() -> None:
    """lme4: rownames(confint(fit, method = "Wald", oldNames = FALSE))."""
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", load_frame("sleepstudy"))
    assert fit.confint(0.9).index.tolist() == [
        "sd_(Intercept)|Subject",
        "cor_Days.(Intercept)|Subject",
        "sd_Days|Subject",
        "sigma",
        "(Intercept)",
        "Days",
    ]


def test_wrong_arguments() -> None:
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", load_frame("sleepstudy"))
    with pytest.raises(OptionError, match="level must lie between 0 and 1, not 95"):
        fit.confint(95)
    with pytest.raises(OptionError, match=r"method must be one of .*Did you mean .wald"):
        fit.confint(method="waldo")
    with pytest.raises(OptionError, match='no argument "levle"'):
        fit.confint(levle=0.9)
