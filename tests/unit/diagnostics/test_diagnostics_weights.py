"""A fit is not singular or regular according to the unit of its weights."""

from __future__ import annotations

import numpy as np
import pytest

import mixeff as mx


@pytest.mark.parametrize("unit", [1e-10, 1.0, 1e10])
def test_unit_of_the_weights(unit: float) -> None:
    """All weights times c: theta is divided by sqrt(c), the model is the same."""
    sleep = mx.load_dataset("sleepstudy")
    m = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep, weights=np.full(180, unit))
    assert not m.is_singular
    assert not m.convergence.singular


@pytest.mark.parametrize("unit", [1e-10, 1.0, 1e10])
def test_a_variance_of_zero_stays_singular(unit: float) -> None:
    """Dyestuff2's variance is zero (reference case dyestuff2_singular), whatever the unit."""
    dyes = mx.load_dataset("Dyestuff2")
    m = mx.lmer("Yield ~ 1 + (1 | Batch)", dyes, weights=np.full(30, unit))
    assert m.is_singular
    assert m.convergence.singular
