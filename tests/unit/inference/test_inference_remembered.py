"""Degrees of freedom are computed once for a fit, and never for another question."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.errors import OptionError
from mixeff.inference import kenward_roger, satterthwaite
from mixeff.inference.method import method_of

KINDS: tuple[dict[str, Any], ...] = (
    {"ddf": "satterthwaite"},
    {"ddf": "kenward-roger"},
    {"ddf": "asymptotic"},
    {"vcov": "CR0"},
    {"vcov": "CR2"},
    {"ddf": "asymptotic", "vcov": "CR2"},
)


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    n = 90
    g, a = rng.integers(0, 9, n), rng.integers(0, 3, n)
    y = rng.normal(size=9)[g] + 0.4 * a + rng.normal(size=n)
    x = rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "a": a.astype(str), "g": g.astype(str)})


def fitted(**options: Any) -> mx.LinearMixedModel:
    return mx.lmer("y ~ a + x + (1 | g)", frame(), **options)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the modules that asked for traces, in order."""
    made: list[str] = []
    for module in (satterthwaite, kenward_roger):
        name, before = module.__name__.rsplit(".", 1)[1], module.variance_information

        def counted(*given: Any, _name: str = name, _make: Any = before, **more: Any) -> Any:
            made.append(_name)
            return _make(*given, **more)

        monkeypatch.setattr(module, "variance_information", counted)
    return made


def test_one_computation_serves_all_tables(calls: list[str]) -> None:
    fit = fitted()
    fit.summary(ddf="satterthwaite")
    fit.anova()
    fit.marginal_means("a")
    fit.slopes("x")
    fit.contrast("x = 0")
    assert calls == ["satterthwaite"]
    fit.summary(ddf="kenward-roger")
    fit.anova(ddf="kenward-roger")
    assert calls == ["satterthwaite", "kenward_roger"]


@pytest.mark.parametrize("reml", [True, False])
def test_every_answer_is_that_of_a_fresh_fit(reml: bool) -> None:
    """Whatever was asked before, twice and in both orders."""
    fit = fitted(reml=reml)
    for kinds in (KINDS, KINDS[::-1]):
        for kind in kinds:
            own, fresh = fit.contrast("x = 0", **kind), fitted(reml=reml).contrast("x = 0", **kind)
            pd.testing.assert_frame_equal(own.to_frame(), fresh.to_frame())
            assert own.notes == fresh.notes


def test_other_fits_have_their_own(calls: list[str]) -> None:
    fit = fitted()
    first = fit.contrast("x = 0").to_frame()
    other = fit.refit(np.random.default_rng(1).normal(size=90))
    again = other.contrast("x = 0").to_frame()
    assert calls == ["satterthwaite"] * 2
    assert again["df"].iloc[0] != first["df"].iloc[0]
    less = fit.update("y ~ a + (1 | g)")
    assert less.contrast("a1 = 0").to_frame()["df"].iloc[0] > 0
    assert calls == ["satterthwaite"] * 3


def test_copies_and_pickles_start_empty(calls: list[str]) -> None:
    fit = fitted()
    before = len(pickle.dumps(fit))
    want = fit.contrast("x = 0").to_frame()
    after = len(pickle.dumps(fit))
    assert after - before < 200  # the name of an empty store
    for other in (copy.deepcopy(fit), pickle.loads(pickle.dumps(fit))):
        pd.testing.assert_frame_equal(other.contrast("x = 0").to_frame(), want)
    assert calls == ["satterthwaite"] * 3


def test_what_is_kept_cannot_be_written_to() -> None:
    fit = fitted()
    for ddf in ("satterthwaite", "kenward-roger"):
        method = method_of(fit, ddf, function="test")
        assert method is method_of(fit, ddf, function="test")
        with pytest.raises(ValueError, match="read-only"):
            method.covariance[0, 0] = 0.0
    # The fit's own covariance is a copy, for the caller to change.
    vcov = fit.vcov
    vcov.iloc[0, 0] = 1e9
    assert method_of(fit, "satterthwaite", function="test").covariance[0, 0] < 1e3


def test_threads_get_the_same() -> None:
    fit = fitted()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: method_of(fit, "satterthwaite", function="test"), range(8)))
    assert all(method is found[0] for method in found)


def test_refusals_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = fitted()
    monkeypatch.setattr(kenward_roger, "LARGEST_MEMORY", -1.0)
    for _ in range(2):
        with pytest.raises(OptionError):
            fit.summary(ddf="kenward-roger")
    monkeypatch.undo()
    assert "Kenward" in str(fit.summary(ddf="kenward-roger"))
