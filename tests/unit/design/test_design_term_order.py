"""The order of random terms is lme4's, ties included."""

from __future__ import annotations

import numpy as np
import pytest

import mixeff as mx
from mixeff.design.random import lme4_order

# R 4.2.2, lme4 1.1-31: names(getME(m, "theta")) for six levels of a and eight of b,
#   lmer(y ~ x + (1 | a) + (0 + x | a) + (1 | b)):  b.(Intercept) a.x a.(Intercept)
#   lmer(y ~ x + (1 | b) + (1 | a) + (0 + x | a)):  b.(Intercept) a.(Intercept) a.x


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("y ~ x + (1 | a) + (0 + x | a) + (1 | b)", ["(Intercept)", "x", "(Intercept)"]),
        ("y ~ x + (1 | b) + (1 | a) + (0 + x | a)", ["(Intercept)", "(Intercept)", "x"]),
    ],
)
def test_ties_come_as_in_lme4(formula: str, columns: list[str]) -> None:
    rng = np.random.default_rng(3)
    a, b = (v.ravel() for v in np.meshgrid(np.arange(6), np.arange(8)))
    a, b = np.tile(a, 4), np.tile(b, 4)
    x = rng.normal(size=a.size)
    y = rng.normal(size=6)[a] + rng.normal(size=8)[b] + rng.normal(size=a.size)
    design = mx.lmer(formula, {"y": y, "x": x, "a": a, "b": b}).design
    assert [t.group for t in design.random] == ["b", "a", "a"]
    assert [t.columns[0] for t in design.random] == columns


def test_order_of_a_single_term() -> None:
    assert lme4_order([5]) == [0]
