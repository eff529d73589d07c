"""Slopes: derivatives of the fixed effects by hand, by differences of predictions, and emmeans'."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx

Z = {"ddf": "asymptotic"}


@cache
def schools() -> Any:
    # R: lmer(lang ~ poly(IQ, 2) * COMB + log(SES) + ns(GS, 3) + (1 | class), nlschools)
    return mx.lmer(
        "lang ~ poly(IQ, 2) * COMB + log(SES) + ns(GS, 3) + (1 | class)",
        mx.load_dataset("nlschools"),
    )


def test_slopes_as_emtrends() -> None:
    # emtrends(m, ~ COMB | IQ, "IQ", at = list(IQ = c(9, 14)), delta.var = 1e-6): a difference
    # quotient good to about 1e-7
    table = schools().slopes("IQ", "COMB", "IQ", at={"IQ": [9, 14]}, **Z)
    np.testing.assert_allclose(
        table["estimate"],
        [2.11714109293836, 2.41832534511979, 2.08309140520732, 2.77998036154494],
        rtol=5e-6,
    )
    np.testing.assert_allclose(
        table["std_error"],
        [0.151820541268398, 0.226177136574343, 0.135453648193534, 0.236186772982953],
        rtol=5e-6,
    )
    for name, value, error in (
        ("SES", 0.160609366756368, 0.0140967540144421),
        ("GS", -0.232642787500172, 0.141476043119682),
    ):
        table = schools().slopes(name, **Z)
        np.testing.assert_allclose(table["estimate"], value, rtol=5e-6)
        np.testing.assert_allclose(table["std_error"], error, rtol=5e-6)


def test_slope_of_a_product_is_exact() -> None:
    fit = mx.lmer("lang ~ IQ * COMB + IQ:GS + (1 | class)", mx.load_dataset("nlschools"))
    beta = fit.fixef
    table = fit.slopes("IQ", by="COMB", at={"GS": 20}, **Z)
    common = beta["IQ"] + 20 * beta["IQ:GS"]
    np.testing.assert_allclose(table["estimate"], [common, common + beta["IQ:COMB1"]], rtol=1e-13)
    pairs = table.contrast("revpairwise")
    np.testing.assert_allclose(pairs["estimate"], beta["IQ:COMB1"], rtol=1e-10)
    np.testing.assert_allclose(pairs["std_error"], fit.stderr["IQ:COMB1"], rtol=1e-8)
    assert table.title == "Slopes of IQ for COMB"


@pytest.mark.parametrize(
    ("term", "derivative"),
    [
        ("log(x)", lambda x, c: np.array([c / x])),
        ("sqrt(x)", lambda x, c: np.array([c / (2 * np.sqrt(x))])),
        ("I(x^3)", lambda x, c: np.array([c * 3 * x**2])),
        ("exp(x)", lambda x, c: np.array([c * np.exp(x)])),
        ("sin(x)", lambda x, c: np.array([c * np.cos(x)])),
        ("scale(x)", None),
    ],
)
def test_derivatives_in_closed_form(term: str, derivative: Any) -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(0.5, 3.0, 200)
    frame = pd.DataFrame({"x": x, "g": (np.arange(200) % 10).astype(str)})
    frame["y"] = x + rng.standard_normal(200)
    fit = mx.lmer(f"y ~ {term} + (1 | g)", frame)
    c = fit.fixef.iloc[1]
    for at in (0.6, 1.7):
        want = c / np.std(x, ddof=1) if derivative is None else derivative(at, c)
        got = fit.slopes("x", at={"x": at}, **Z)["estimate"]
        # truncation of the differences is below 1e-11, rounding about 1e-12
        np.testing.assert_allclose(got, want, rtol=1e-9)


@pytest.mark.parametrize("term", ["poly(x, 4)", "ns(x, 4)", "bs(x, 5)"])
def test_derivatives_of_bases(term: str) -> None:
    rng = np.random.default_rng(4)
    x = rng.uniform(0.0, 5.0, 300)
    frame = pd.DataFrame({"x": x, "g": (np.arange(300) % 10).astype(str)})
    frame["y"] = np.sin(x) + rng.standard_normal(300)
    fit = mx.lmer(f"y ~ {term} + (1 | g)", frame)
    step = 1e-4
    new = {"x": [1.3 - step, 1.3 + step], "g": ["0", "0"]}
    low, high = fit.predict(new, random=None)
    got = fit.slopes("x", at={"x": 1.3}, **Z)["estimate"][0]
    # the quotient here is of second order: about step^2
    np.testing.assert_allclose(got, (high - low) / (2 * step), rtol=1e-6)


def test_near_the_end_of_the_domain() -> None:
    rng = np.random.default_rng(5)
    x = rng.uniform(0.0, 1000.0, 100) + 1e-3
    frame = pd.DataFrame({"x": x, "g": (np.arange(100) % 5).astype(str)})
    frame["y"] = rng.standard_normal(100)
    fit = mx.lmer("y ~ log(x) + (1 | g)", frame)
    # a step of a 2000th of the range would leave the domain of the logarithm
    got = fit.slopes("x", at={"x": 0.3}, **Z)["estimate"][0]
    np.testing.assert_allclose(got, fit.fixef["log(x)"] / 0.3, rtol=1e-5)


def test_a_kink_is_said() -> None:
    rng = np.random.default_rng(6)
    x = rng.integers(0, 9, 100).astype(float)
    frame = pd.DataFrame({"x": x, "g": (np.arange(100) % 5).astype(str)})
    frame["y"] = rng.standard_normal(100)
    fit = mx.lmer("y ~ x + abs(x - 4) + (1 | g)", frame)
    assert not any("bends" in n for n in fit.slopes("x", at={"x": 3}, **Z).notes)
    table = fit.slopes("x", at={"x": 4.0005}, **Z)
    assert any("bend" in n for n in table.notes)


def test_slopes_of_a_link_are_said_to_be() -> None:
    frame = mx.load_dataset("cbpp")
    fit = mx.glmer(
        "cbind(incidence, size - incidence) ~ period + size + (1 | herd)", frame, "binomial"
    )
    table = fit.slopes("size")
    np.testing.assert_allclose(table["estimate"], fit.fixef["size"], rtol=1e-10)
    assert any("logit, not of the response" in note for note in table.notes)


def test_offset_has_a_slope_too() -> None:
    frame = mx.load_dataset("cbpp")
    fit = mx.glmer("incidence ~ period + offset(log(size)) + (1 | herd)", frame, "poisson")
    table = fit.slopes("size", at={"size": 10})
    np.testing.assert_allclose(table["estimate"], 0.1, rtol=1e-9)
    assert table["std_error"][0] == 0.0
