"""The compiled passes give what ``row_terms`` gives, for every pair and any number of threads."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from mixeff.families import UserLink
from mixeff.generalized.families import Family, RowTerms, family_of
from mixeff.generalized.kernels.passes import PARTS

N = 1500
PAIRS = [
    *(("binomial", link) for link in ("logit", "probit", "cloglog", "cauchit", "log", "identity")),
    *((f, link) for f in ("poisson", "nbinom2", "nbinom1") for link in ("log", "sqrt", "identity")),
    *(("gamma", link) for link in ("inverse", "log", "identity")),
    *(("inverse.gaussian", link) for link in ("1/mu^2", "inverse", "log", "identity")),
    *(("gaussian", link) for link in ("identity", "log", "inverse")),
]
LEVELS = [(0, PARTS[:1]), (1, PARTS[:3]), (2, PARTS[:7]), (3, PARTS)]


def rows(name: str, link: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A response, predictors (near the response and far from it) and weights for the pair."""
    rng = np.random.default_rng(5)
    eta = rng.normal(0.0, 4.0, N)
    w = rng.choice([1.0, 2.0, 7.0, 30.0], N)
    if name == "binomial":
        if link == "log":
            eta = -np.abs(eta) - 1e-3
        if link == "identity":
            eta = rng.uniform(0.001, 0.999, N)
        return rng.binomial(w.astype(int), 0.4) / w, eta, w
    if link not in ("log", "identity") or (link == "identity" and name != "gaussian"):
        eta = np.exp(eta / 4)
    if name == "gaussian":
        return rng.normal(0.0, 2.0, N), eta, w
    if name in ("gamma", "inverse.gaussian"):
        return rng.gamma(2.0, 1.0, N), eta, w
    return rng.poisson(np.exp(rng.normal(0.5, 1.5, N))).astype(float), eta, w


def compare(
    family: Family, data: tuple[np.ndarray, ...], weighted: bool, dispersion: float, expected: bool
) -> None:
    y, eta, w = data
    weights = w if weighted else None
    if family.name == "binomial" and not weighted:
        y = np.rint(y)
    twin = family.row_terms(y, eta, weights, dispersion, expected=expected, curvature=True)
    unit = np.abs(family.row_terms(y, eta, weights, dispersion, expected=True).weight)
    run = family.compiled(y, weights)
    assert run is not None
    for level, names in LEVELS:
        into = {name: np.full(y.size, np.nan) for name in names}
        sums = run.fill(eta, dispersion, into=into, expected=expected)
        # Sums of up to N numbers of both signs, and the constants' rounding: 1e-12 of the sum of
        # the absolute values.
        size = np.abs(twin.loglik).sum() + np.abs(into["loglik"]).sum()
        assert sums.loglik == pytest.approx(twin.loglik.sum(), abs=1e-12 * size)
        if level >= 2 and family.has_dispersion:
            scale = np.abs(twin.loglik_r).sum()
            assert sums.loglik_r == pytest.approx(twin.loglik_r.sum(), abs=1e-12 * scale)
        if level >= 3 and family.has_dispersion:
            scale = np.abs(twin.loglik_rr).sum()
            assert sums.loglik_rr == pytest.approx(twin.loglik_rr.sum(), abs=1e-11 * scale)
        for name, got in into.items():
            want = getattr(twin, name)
            if want is None or name.startswith("loglik"):
                continue
            # Rounding of some 1e3 eps in the unit of the rows: SciPy's polygammas for NB1, the
            # fourth derivative of log Phi near -2, where terms 1e3 times as large cancel.
            bound = 1e-12 * (np.abs(want) + unit)
            assert (np.abs(got - want) <= bound).all(), (level, name)


@pytest.mark.parametrize("expected", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "link"), PAIRS)
def test_every_pair_agrees_with_its_twin(
    name: str, link: str, weighted: bool, expected: bool
) -> None:
    family = family_of(name, link)
    compare(family, rows(name, link), weighted, 0.7 if family.has_dispersion else 1.0, expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "link"), PAIRS)
def test_terms_stand_in_for_the_twins(name: str, link: str, weighted: bool) -> None:
    """Row by row, constants and rows of weight zero included."""
    family = family_of(name, link)
    y, eta, w = rows(name, link)
    w[::7] = 0.0
    weights = w if weighted else None
    if name == "binomial" and not weighted:
        y = np.rint(y)
    run = family.compiled(y, weights)
    assert run is not None
    for curvature in (False, True):
        got = run.terms(eta, 0.7, curvature=curvature)
        want = family.row_terms(y, eta, weights, 0.7, curvature=curvature)
        for field in fields(RowTerms):
            mine, twin = getattr(got, field.name), getattr(want, field.name)
            assert (mine is None) == (twin is None), field.name
            if field.name.startswith("loglik") and twin is not None:
                # Parts of size y log y and a log a, up to 1e3, are added: 1e-12 of that.
                np.testing.assert_allclose(mine, twin, rtol=1e-12, atol=1e-11)
                if weighted:
                    assert (mine[::7] == 0.0).all()


@pytest.mark.parametrize("dispersion", [1e-3, 15.9, 16.1, 1e5])
@pytest.mark.parametrize("name", ["nbinom2", "nbinom1", "gamma"])
def test_extreme_dispersions_agree_too(name: str, dispersion: float) -> None:
    y, eta, w = rows(name, "log")
    compare(family_of(name, "log"), (y, eta / 3, w), True, dispersion, False)


@pytest.mark.parametrize("name", ["nbinom2", "nbinom1"])
def test_counts_above_the_tables(name: str) -> None:
    """With more counts than rows no table is made."""
    rng = np.random.default_rng(2)
    eta = rng.normal(6.0, 1.0, 300)
    y = rng.poisson(np.exp(eta)).astype(float)
    compare(family_of(name, "log"), (y, eta, np.ones(300)), False, 2.5, False)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
def test_far_predictors_agree(link: str) -> None:
    eta = np.array([-700.0, -300.0, -45.0, -38.5, -10.0, -2.0, 2.0, 10.0, 38.5, 45.0, 300.0, 700.0])
    family = family_of("binomial", link)
    for value in (0.0, 1.0):
        y = np.full(eta.size, value)
        twin = family.row_terms(y, eta, None, curvature=True)
        run = family.compiled(y, None)
        assert run is not None
        into = {name: np.empty(eta.size) for name in PARTS if getattr(twin, name) is not None}
        run.fill(eta, into=into)
        for name, got in into.items():
            # atol: exp stops at exp(-708), where the twin goes on to denormal numbers.
            np.testing.assert_allclose(got, getattr(twin, name), rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("dispersion", [0.01, 1.5, 100.0])
@pytest.mark.parametrize("name", ["poisson", "nbinom2", "nbinom1"])
def test_far_counts_agree(name: str, dispersion: float) -> None:
    """Sizes down to the smallest numbers, where y / size overflows."""
    eta = np.array([-690.0, -300.0, -40.0, -5.0, 5.0, 40.0, 300.0, 700.0])
    family = family_of(name, "log")
    for count in (0.0, 1.0, 3.0, 1e5):
        y = np.full(eta.size, count)
        run = family.compiled(y, None)
        assert run is not None
        got = run.terms(eta, dispersion, curvature=True)
        want = family.row_terms(y, eta, None, dispersion, curvature=True)
        unit = family.row_terms(y, eta, None, dispersion, expected=True).weight
        for field in fields(RowTerms):
            mine, twin = getattr(got, field.name), getattr(want, field.name)
            if mine is None:
                continue
            # The log-factorial of 1e5 is 1e6: its rounding.
            slack = 1e-9 if field.name.startswith("loglik") else 1e-290
            assert (np.abs(mine - twin) <= 1e-11 * (np.abs(twin) + unit) + slack).all(), field.name


@pytest.mark.parametrize("n", [1, 7, 255, 256, 257, 20_000])
def test_no_digit_depends_on_the_threads(n: int) -> None:
    rng = np.random.default_rng(n)
    eta = rng.normal(0.0, 2.0, n)
    y = rng.poisson(np.exp(eta)).astype(float)
    family = family_of("nbinom2")
    results = []
    for threads in (1, 2, 5):
        run = family.compiled(y, None, threads)
        assert run is not None
        into = {"score": np.empty(n), "weight_slope_r": np.empty(n)}
        results.append((run.fill(eta, 1.3, into=into), into))
    for sums, into in results[1:]:
        assert sums == results[0][0]
        for name, got in into.items():
            np.testing.assert_array_equal(got, results[0][1][name])


def test_what_has_no_compiled_pass_says_so() -> None:
    y = np.array([1.0, 2.0])
    user = UserLink(np.log, np.exp, np.exp, name="log", mean_range=(0.0, np.inf))
    assert family_of("poisson", user).compiled(y, None) is None
    assert family_of("poisson", "logit").compiled(y, None) is None
    # At a count of 1e6 the sum y eta - exp(eta) would lose digits row_terms keeps.
    assert family_of("poisson").compiled(1e6 * y, None) is None
    assert family_of("nbinom2").compiled(y + 0.5, None) is None
    assert family_of("poisson").compiled(y, None) is not None


def test_an_impossible_predictor_has_no_likelihood() -> None:
    y, eta = np.array([0.0, 1.0]), np.array([-0.5, 0.5])
    for name, link in (
        ("poisson", "identity"),
        ("gamma", "inverse"),
        ("inverse.gaussian", "inverse"),
        ("nbinom2", "identity"),
    ):
        run = family_of(name, link).compiled(y + 1.0 * (name[0] in "gi"), None)
        assert run is not None
        assert run.fill(eta).loglik == -np.inf


def test_wrong_arrays_are_refused() -> None:
    y = np.array([0.0, 1.0])
    run = family_of("binomial").compiled(y, None)
    assert run is not None
    with pytest.raises(ValueError, match="different lengths"):
        run.fill(np.zeros(3))
    with pytest.raises(ValueError, match="another length"):
        run.fill(np.zeros(2), into={"score": np.empty(3)})
    with pytest.raises(ValueError, match="beyond the level"):
        run.fill(np.zeros(2), into={"weight_slope": np.empty(2)}, level=1)
