"""Every warning comes once and points at the caller's line, however deep it is found."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixeff as mx
from mixeff import errors


@cache
def sleep() -> Any:
    return mx.load_dataset("sleepstudy")


@cache
def cbpp() -> Any:
    return mx.load_dataset("cbpp")


@cache
def epil() -> Any:
    return mx.load_dataset("epil")


@cache
def linear() -> mx.LinearMixedModel:
    return mx.lmer("Reaction ~ Days + (1 | Subject)", sleep())


@cache
def trials() -> mx.GeneralizedMixedModel:
    return mx.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp(), "binomial")


@cache
def single() -> mx.GeneralizedMixedModel:
    return mx.glmer("I(incidence > 0) ~ size + (1 | herd)", cbpp(), "binomial")


PROPORTIONS = np.linspace(0.0, 1.0, 56)
FIRST_ZERO = np.concatenate([[0.0], np.ones(179)])

ACTIONS: list[tuple[str, Callable[[], Any], type[Warning], str]] = [
    (
        "lmer, rank",
        lambda: mx.lmer("Reaction ~ Days + I(2 * Days) + (1 | Subject)", sleep()),
        errors.DesignWarning,
        "rank deficient",
    ),
    (
        "lmer, weight zero",
        lambda: mx.lmer("Reaction ~ Days + (1 | Subject)", sleep(), weights=FIRST_ZERO),
        errors.DataWarning,
        "1 row has weight zero (row 0, counted from 0); it carries no",
    ),
    (
        "lmer, both sides of the bar",
        lambda: mx.lmer("Reaction ~ Days + (Days | Days)", sleep(), control=mx.Control()),
        errors.DesignWarning,
        "both sides of the bar",
    ),
    (
        "update of a linear model",
        lambda: linear().update(". ~ . + I(2 * Days)"),
        errors.DesignWarning,
        "rank deficient",
    ),
    (
        "evaluations run out in lmer",
        lambda: mx.lmer(
            "Reaction ~ Days + (Days | Subject)", sleep(), control=mx.Control(max_evaluations=1)
        ),
        errors.ConvergenceWarning,
        "Not converged",
    ),
    (
        "evaluations run out in update",
        lambda: linear().update(control=mx.Control(max_evaluations=1)),
        errors.ConvergenceWarning,
        "Not converged",
    ),
    (
        "glmer, proportions without trials",
        lambda: mx.glmer("I(incidence / size) ~ period + (1 | herd)", cbpp(), "binomial"),
        errors.DataWarning,
        "no numbers of trials",
    ),
    (
        "update to proportions without trials",
        lambda: trials().update("I(incidence / size) ~ ."),
        errors.DataWarning,
        "no numbers of trials",
    ),
    (
        "refit with proportions of single trials",
        lambda: single().refit(PROPORTIONS),
        errors.DataWarning,
        "no whole number of successes",
    ),
    (
        "refit with proportions that are no counts",
        lambda: trials().refit(PROPORTIONS),
        errors.DataWarning,
        "no whole number of successes",
    ),
    (
        "separation in refit",
        lambda: trials().refit(np.where(cbpp()["period"] == "1", 1.0, 0.0)),
        errors.ConvergenceWarning,
        "separated by period2, period3 and period4, each by itself",
    ),
    (
        "separation of negative binomial counts",
        lambda: mx.glmer_nb(
            "I(y * (period != 4)) ~ factor(period) + (1 | subject)", epil()
        ),
        errors.ConvergenceWarning,
        "separated by factor(period)4:",
    ),
    (
        "means at the edge",
        lambda: mx.glmer("y ~ base + (1 | subject)", epil(), "poisson", link="identity"),
        errors.ConvergenceWarning,
        '4 rows have means at zero, the edge of what a poisson',
    ),
    (
        "information criteria of different data",
        lambda: mx.aic(linear(), trials()),
        errors.ComparisonWarning,
        "",
    ),
    (
        "new data beyond the knots",
        lambda: mx.lmer("Reaction ~ ns(Days, 3) + bs(Days, df=1) + (1 | Subject)", sleep()),
        errors.DataWarning,
        "",
    ),
]  # fmt: skip


@pytest.mark.parametrize("name", [action[0] for action in ACTIONS])
def test_place_of_a_warning(name: str) -> None:
    ((action, category, words),) = [row[1:] for row in ACTIONS if row[0] == name]
    linear(), trials(), single()  # whatever these say belongs to their own lines
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    assert caught
    texts = [str(w.message) for w in caught]
    assert len(set(texts)) == len(texts)
    assert {w.filename for w in caught} == {__file__}, texts
    assert issubclass(caught[0].category, category)
    assert words in texts[0], texts


def test_warnings_are_given_in_one_way() -> None:
    """``notify`` finds the caller's line; a stack level counted by hand goes wrong some day."""
    source = Path(mx.__file__).parent
    given = [p.name for p in source.rglob("*.py") if re.search(r"warnings\.warn\(", p.read_text())]
    assert given == ["notices.py"]
