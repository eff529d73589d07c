"""Every entry of RowTerms against differentiation of the textbook density with 45 digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mixeff.families import UserLink
from mixeff.generalized.families import Family, family_of
from mixeff.generalized.families.link_names import _LINKS, link_named
from mixeff.generalized.families.lookup import _FAMILIES

pytest.importorskip("mpmath")

from support.family_densities import exact_terms

POSITIVE = ("identity", "inverse", "1/mu^2", "sqrt")
FAMILIES = ("binomial", "poisson", "gamma", "inverse_gaussian", "gaussian", "nbinom2", "nbinom1")
# Everything glmer accepts, also what few will ask for.
PAIRS = [(family, link) for family in FAMILIES for link in _LINKS]
# Rounding: a few hundred eps, relative to the entry or, where an entry passes through zero or is a
# difference of such (y far from its mean), to the expected information, the natural unit of all.
# NB1 composes four polygamma differences: SciPy's are good to about 1e-14, with factors up to 1e2.
TOLERANCE = 2e-12


def _eta(link: str, family: str, unit: float) -> float:
    """unit in (-1, 1) to a predictor valid for the pair."""
    if family == "binomial" and link in (*POSITIVE, "log"):
        mean = np.exp(-3.0 * (unit + 1.0) - 0.01) if link == "log" else 0.01 + 0.49 * (unit + 1.0)
        return float(link_named(link).eta(np.array([mean]))[0])
    if link in POSITIVE:
        return math.exp(2.0 * unit)
    if link != "log" and family not in ("binomial", "gaussian"):
        # A positive response or a count with a mean in (0, 1): further out y is 1e6 means, and the
        # entries are differences of numbers that much larger.
        return 2.0 * unit
    # 1 - h of cloglog is exp(-exp(eta)): beyond 3.5 the 45 digits of the reference run out.
    return 3.5 * unit if link == "cloglog" else 6.0 * unit


def _response(family: str, count: int, weight: float, unit: float) -> float:
    if family == "binomial":
        return (count % (int(weight) + 1)) / weight
    if family == "gaussian":
        return 3.0 * unit
    return math.exp(2.0 * unit) if family in ("gamma", "inverse_gaussian") else float(count)


def _compare(
    family: Family, names: tuple[str, str], y: float, eta: float, w: float, dispersion: float
) -> None:
    unit = float(exact_terms(*names, y, eta, w, dispersion, True)["weight"])
    for expected in (False, True):
        got = family.row_terms(
            np.array([y]),
            np.array([eta]),
            np.array([w]),
            dispersion,
            expected=expected,
            curvature=True,
        )
        exact = exact_terms(*names, y, eta, w, dispersion, expected)
        for name, number in exact.items():
            value = getattr(got, name)
            if value is None:
                assert not family.has_dispersion, name
                continue
            error = abs(float(value[0]) - float(number))
            assert error <= TOLERANCE * (abs(float(number)) + unit), (name, expected)


def test_every_family_is_here() -> None:
    assert {type(family_of(name)) for name in FAMILIES} == set(_FAMILIES.values())


@pytest.mark.parametrize(("name", "link"), PAIRS)
# Without shrinking: an example costs some 60 derivatives with 45 digits.
@settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(
    unit=st.floats(-1, 1),
    place=st.floats(-1, 1),
    count=st.integers(0, 60),
    trials=st.integers(1, 40),
    spread=st.floats(-3, 3),
)
def test_every_derivative(
    name: str, link: str, unit: float, place: float, count: int, trials: int, spread: float
) -> None:
    family = family_of(name, link)
    weight = float(trials) if name == "binomial" else 0.25 * trials
    dispersion = math.exp(spread) if family.has_dispersion else 1.0
    y = _response(name, count, weight, place)
    eta = _eta(link, name, unit)
    _compare(family, (name, link), y, eta, weight, dispersion)


@pytest.mark.parametrize("eta", [-700.0, -80.0, -30.0, -9.0, -2.01, -1.99, 9.0, 30.0, 37.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_probit_far_in_the_tails(eta: float, y: float) -> None:
    """Relative to each entry: those of order eta^-3 and eta^-4 keep their digits."""
    got = family_of("binomial", "probit").row_terms(
        np.array([y]), np.array([eta]), None, curvature=True
    )
    if abs(eta) > 40 and (eta > 0) == (y > 0):
        assert float(got.weight[0]) == 0.0
        return
    exact = exact_terms("binomial", "probit", y, eta, 1.0, 1.0, False)
    for name in ("loglik", "score", "weight", "weight_slope", "weight_curvature"):
        number = float(exact[name])
        if abs(number) < 1e-290:
            continue
        # 1e-10: near -2 the continued fraction and the direct form both have factors of 1e3.
        assert float(getattr(got, name)[0]) == pytest.approx(number, rel=1e-10, abs=0.0), name


@pytest.mark.parametrize("shape", [1e-3, 15.9, 16.1, 1e4, 1e8, 1e12])
@pytest.mark.parametrize("y", [0.0, 3.0, 250.0])
def test_nb2_shape_derivatives_towards_poisson(shape: float, y: float) -> None:
    """dl/dr and d2l/dr2 vanish as 1/shape and stay exact: nothing of order y cancels in them."""
    eta = math.log(5.0)
    got = family_of("nbinom2", "log").row_terms(
        np.array([y]), np.array([eta]), None, shape, curvature=True
    )
    exact = exact_terms("nbinom2", "log", y, eta, 1.0, shape, False)
    for name, value in exact.items():
        mine = getattr(got, name)
        # 1e-10 for the digamma differences below 16; relative to the entry, however small.
        assert float(mine[0]) == pytest.approx(float(value), rel=1e-10, abs=1e-30), name


@pytest.mark.parametrize("phi", [1e3, 1e-2, 1e-6, 1e-10])
@pytest.mark.parametrize("y", [0.0, 3.0, 250.0])
def test_nb1_first_dispersion_derivatives_towards_poisson(phi: float, y: float) -> None:
    eta = math.log(5.0)
    got = family_of("nbinom1", "log").row_terms(
        np.array([y]), np.array([eta]), None, phi, curvature=True
    )
    exact = exact_terms("nbinom1", "log", y, eta, 1.0, phi, False)
    for name in ("loglik", "score", "weight", "loglik_r", "loglik_rr", "score_r"):
        mine = float(getattr(got, name)[0])
        assert mine == pytest.approx(float(exact[name]), rel=1e-10, abs=1e-30), name


def test_a_users_link_is_as_good_as_the_built_in_one() -> None:
    mine = UserLink(
        lambda mu: np.log(mu / (1 - mu)),
        lambda eta: 1 / (1 + np.exp(-eta)),
        lambda eta: np.exp(-eta) / (1 + np.exp(-eta)) ** 2,
        mean_range=(0.0, 1.0),
    )
    eta = np.linspace(-6, 6, 41)
    y = (np.arange(41) % 4) / 3
    w = np.full(41, 3.0)
    got = family_of("binomial", mine).row_terms(y, eta, w, curvature=True)
    exact = family_of("binomial").row_terms(y, eta, w, curvature=True)
    # Differences of order 12: rounding 1e-13, 1e-12 and 1e-10 in second to fourth derivative of
    # the mean, divided by probabilities down to 2.5e-3.
    np.testing.assert_allclose(got.loglik, exact.loglik, rtol=1e-12)
    np.testing.assert_allclose(got.score, exact.score, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(got.weight, exact.weight, atol=1e-10)
    np.testing.assert_allclose(got.weight_slope, exact.weight_slope, atol=1e-8)
    np.testing.assert_allclose(got.weight_curvature, exact.weight_curvature, atol=1e-6)


def test_a_users_link_with_a_bounded_domain() -> None:
    """mu = eta^(-1/2) on eta > 0: the step shrinks towards the singularity."""
    mine = UserLink(
        lambda mu: mu**-2,
        lambda eta: eta**-0.5,
        lambda eta: -0.5 * eta**-1.5,
        domain=(0.0, np.inf),
        mean_range=(0.0, np.inf),
    )
    eta = np.array([1e-3, 0.1, 1.0, 30.0])
    exact = family_of("gamma", "1/mu^2").link.derivatives(eta)
    # Rounding over the step (at most 1/50) to the powers 1 to 3; at eta = 30 the function varies on
    # a scale 30 times the step's, which costs that factor to the power too.
    for got, want, rtol in zip(
        mine.derivatives(eta), exact, (1e-15, 1e-12, 1e-9, 1e-6), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=rtol)
