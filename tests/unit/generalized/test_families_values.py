"""Log-likelihoods against SciPy, deviance residuals against R, simulated moments, extremes."""

from __future__ import annotations

import math
import warnings
from dataclasses import fields

import numpy as np
import pytest
from scipy import stats

from mixeff.errors import OptionError
from mixeff.families import (
    Binomial,
    Gamma,
    Gaussian,
    InverseGaussian,
    NegativeBinomial,
    NegativeBinomial1,
    Poisson,
)
from mixeff.generalized.families import Family, RowTerms

COUNTS = np.array([0.0, 1.0, 2.0, 7.0, 30.0, 4000.0])
SIZES = np.array([0.2, 0.9, 3.0, 7.0, 45.0, 3900.0])
# SciPy evaluates most of these naively: at 4000 its terms of 3e4 leave 1e-11.
LOOSE = 1e-11


def _loglik(family: Family, y: np.ndarray, mu: np.ndarray, w: object, d: float = 1.0) -> np.ndarray:
    weights = None if w is None else np.asarray(w, dtype=float)
    return family.row_terms(y, family.link.eta(mu), weights, d).loglik


def test_binomial_constants_are_scipys() -> None:
    m = np.array([1.0, 5.0, 12.0, 3000.0, 40.0])
    x = np.array([1.0, 0.0, 7.0, 1234.0, 40.0])
    mu = np.array([0.3, 0.2, 0.5, 0.41, 0.97])
    for link in ("logit", "probit", "cloglog", "cauchit", "log", "identity"):
        got = _loglik(Binomial(link), x / m, mu, m)
        np.testing.assert_allclose(got, stats.binom.logpmf(x, m, mu), rtol=LOOSE)


def test_poisson_constants_are_scipys() -> None:
    for link in ("log", "sqrt", "identity"):
        got = _loglik(Poisson(link), COUNTS, SIZES, None)
        np.testing.assert_allclose(got, stats.poisson.logpmf(COUNTS, SIZES), rtol=LOOSE)
    weighted = _loglik(Poisson(), COUNTS, SIZES, np.full(6, 2.5))
    np.testing.assert_allclose(weighted, 2.5 * stats.poisson.logpmf(COUNTS, SIZES), rtol=LOOSE)


@pytest.mark.parametrize("w", [None, np.array([1.0, 2.0, 0.5, 1.0, 3.0, 1.0])])
def test_continuous_constants_are_scipys(w: np.ndarray | None) -> None:
    y, mu, phi = COUNTS + 0.1, SIZES, 0.7
    rate = (np.ones(6) if w is None else w) / phi
    gamma = stats.gamma.logpdf(y, rate, scale=mu / rate)
    np.testing.assert_allclose(_loglik(Gamma(), y, mu, w, phi), gamma, rtol=LOOSE)
    # SciPy's mu is mean / scale.
    wald = stats.invgauss.logpdf(y, mu / rate, scale=rate)
    np.testing.assert_allclose(_loglik(InverseGaussian(), y, mu, w, phi), wald, rtol=LOOSE)
    normal = stats.norm.logpdf(y, mu, 1 / np.sqrt(rate))
    np.testing.assert_allclose(_loglik(Gaussian("log"), y, mu, w, phi), normal, rtol=LOOSE)


@pytest.mark.parametrize("shape", [0.3, 4.0, 50.0])
def test_negative_binomial_constants_are_scipys(shape: float) -> None:
    got = _loglik(NegativeBinomial(), COUNTS, SIZES, None, shape)
    want = stats.nbinom.logpmf(COUNTS, shape, shape / (shape + SIZES))
    np.testing.assert_allclose(got, want, rtol=LOOSE)
    got = _loglik(NegativeBinomial1(), COUNTS, SIZES, None, shape)
    want = stats.nbinom.logpmf(COUNTS, SIZES / shape, 1 / (1 + shape))
    np.testing.assert_allclose(got, want, rtol=LOOSE)


def test_a_large_shape_is_poisson() -> None:
    """log NB - log Poisson = ((y - mu)^2 - y) / (2 shape) + O(shape^-2)."""
    y, mu, shape = COUNTS[:5], SIZES[:5], 1e9
    limit = _loglik(Poisson(), y, mu, None)
    got = _loglik(NegativeBinomial(), y, mu, None, shape)
    # The log odds are -17: y times their rounding.
    np.testing.assert_allclose(got, limit + ((y - mu) ** 2 - y) / (2 * shape), rtol=1e-13)
    tiny = _loglik(NegativeBinomial1(), y, mu, None, 1e-12)
    np.testing.assert_allclose(tiny, limit, rtol=1e-11)


def test_counts_of_a_billion_keep_their_digits() -> None:
    """Poisson at its mean: -log(2 pi y)/2 - 1/(12 y) by Stirling; terms of 2e10 cancel."""
    y = np.array([1e9])
    want = -0.5 * math.log(2 * math.pi * 1e9) - 1 / 12e9
    assert _loglik(Poisson("identity"), y, y, None)[0] == pytest.approx(want, rel=1e-14)


# R 4.2: y, mu, w below; sign(y - mu) * sqrt(family$dev.resids(y, mu, w)), printed with %.15g.
Y = np.array([0.0, 1, 2, 7, 30])
MU = np.array([0.3, 1.5, 2, 4.2, 55])
W = np.array([1.0, 2, 1, 3, 0.5])
YP = np.array([0.2, 1, 2.5, 7, 30])
YB = np.array([0, 0.25, 0.5, 1, 0.9])
MB = np.array([0.2, 0.3, 0.5, 0.8, 0.35])
WB = np.array([1.0, 4, 2, 3, 10])
R_DEVIANCES = [
    (
        Poisson(),
        (Y, MU, W),
        [-0.774596669241483, -0.614930538815029, 0, 2.15746986031592, -2.61073282679223],
    ),
    (
        Gamma(),
        (YP, MU, W),
        [
            -0.379820417499721,
            -0.537147185694317,
            0.231760430987648,
            0.966977899129063,
            -0.389346053049034,
        ],
    ),
    (
        InverseGaussian(),
        (YP, MU, W),
        [
            -0.74535599249993,
            -0.471404520791032,
            0.158113883008419,
            0.436435780471985,
            -0.0586815658516275,
        ],
    ),
    (
        Gaussian(),
        (YP, MU, W),
        [-0.1, -0.707106781186548, 0.5, 4.84974226119286, -17.6776695296637],
    ),
    (
        Binomial(),
        (YB, MB, WB),
        [-0.668047230836578, -0.22206781696995, 0, 1.15709174566465, 3.6409757765374],
    ),
    # MASS::negative.binomial(1.7)
    (
        NegativeBinomial(1.7),
        (Y, MU, W),
        [-0.743346729522929, -0.461572491552124, 0, 1.08707266375385, -0.498126077565192],
    ),
]


@pytest.mark.parametrize(("family", "data", "want"), R_DEVIANCES)
def test_deviance_residuals_are_rs(
    family: Family, data: tuple[np.ndarray, ...], want: list[float]
) -> None:
    # R printed 15 digits, and computes the small ones with some cancellation.
    np.testing.assert_allclose(family.deviance_residuals(*data), want, rtol=1e-12, atol=1e-15)


def test_nb1_deviance_residuals_are_nb2s_with_the_size_held() -> None:
    got = NegativeBinomial1(phi=0.8).deviance_residuals(Y, MU, None)
    each = [
        float(NegativeBinomial(m / 0.8).deviance_residuals(Y[i : i + 1], MU[i : i + 1], None)[0])
        for i, m in enumerate(MU)
    ]
    np.testing.assert_allclose(got, each, rtol=1e-14)


def test_deviance_residuals_without_a_shape_are_refused() -> None:
    with pytest.raises(OptionError, match="need its shape"):
        NegativeBinomial().deviance_residuals(Y, MU, None)


@pytest.mark.parametrize(
    ("family", "dispersion"),
    [
        (Binomial(), 1.0),
        (Poisson(), 1.0),
        (Gamma(), 0.4),
        (InverseGaussian(), 0.3),
        (Gaussian(), 2.0),
        (NegativeBinomial(), 1.5),
        (NegativeBinomial1(), 1.5),
    ],
)
def test_simulated_moments(family: Family, dispersion: float) -> None:
    n, binomial = 200_000, isinstance(family, Binomial)
    mu = 0.3 if binomial else 2.0
    weighted = isinstance(family, Binomial | Gamma | InverseGaussian | Gaussian)
    w = np.full(n, 4.0) if weighted else None
    y = family.simulate(np.random.default_rng(1), np.full(n, mu), w, dispersion)
    variance = float(family.variance(np.array([mu]), dispersion)[0]) / (4.0 if weighted else 1.0)
    # Four standard errors of a mean; the variance of a variance is below 30 sigma^4 / n here.
    assert y.mean() == pytest.approx(mu, abs=4 * math.sqrt(variance / n))
    assert y.var() == pytest.approx(variance, rel=4 * math.sqrt(30 / n))
    family.check_response(y, w)


EXTREME = [-700.0, -300.0, -40.0, 40.0, 300.0, 700.0]


@pytest.mark.parametrize("expected", [False, True])
@pytest.mark.parametrize(
    ("family", "y"),
    [
        *(
            (Binomial(link), y)
            for link in ("logit", "probit", "cloglog", "cauchit")
            for y in (0, 1)
        ),
        *((family, y) for family in (Poisson(), NegativeBinomial()) for y in (0, 3, 10**6)),
        *((NegativeBinomial1(), y) for y in (0, 3, 10**6)),
        (Gamma("log"), 2.0),
        (Gaussian("logit"), 2.0),
        (Gaussian("probit"), 2.0),
        (Gaussian("cloglog"), 2.0),
    ],
)
def test_far_predictors_give_numbers_and_no_warning(
    family: Family, y: float, expected: bool
) -> None:
    eta = np.array(EXTREME)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        terms = family.row_terms(
            np.full(6, float(y)), eta, None, 2.0, expected=expected, curvature=True
        )
        mu = family.link.mu(eta)
    for field in fields(RowTerms):
        values = getattr(terms, field.name)
        assert values is None or np.isfinite(values).all(), field.name
    low, high = family.link.mean_range
    assert ((mu > low) & (mu < high)).all()


def test_an_impossible_predictor_has_no_likelihood() -> None:
    one = np.ones(2)
    for family in (Poisson("identity"), Gamma("inverse"), InverseGaussian("identity")):
        terms = family.row_terms(one, np.array([-0.5, 0.5]), None)
        assert terms.loglik[0] == -np.inf
        assert np.isfinite(terms.loglik[1])
    zero = Poisson("identity").row_terms(0 * one, np.array([-0.5, 0.5]), None)
    assert zero.loglik[0] == -np.inf


@pytest.mark.parametrize("weights", [None, np.array([3.0, 1.0, 3.0])])
@pytest.mark.parametrize(
    ("link", "below", "above"),
    [
        ("identity", -0.2, 1.2),
        ("log", None, 0.2),
        ("inverse", -3.0, 0.5),
        ("sqrt", None, 1.2),
        ("1/mu^2", None, 0.5),
    ],
)
def test_a_chance_outside_zero_and_one_has_no_likelihood(link, below, above, weights) -> None:
    """Also of a failure or a success alone, where only one of the two logarithms is wanted."""
    y, family = np.array([0.0, 1.0, 1 / 3]), Binomial(link)
    for eta in (below, above):
        if eta is None:
            continue
        at = np.full(3, eta)
        single = slice(0, 3 if weights is not None else 2)
        w = None if weights is None else weights
        terms = family.row_terms(y[single], at[single], w)
        assert (terms.loglik == -np.inf).all()
        run = family.compiled(y[single], w)
        if run is not None:
            for j in range(y[single].size):
                alone = family.compiled(y[j : j + 1], None if w is None else w[j : j + 1])
                assert alone is not None
                assert alone.fill(at[:1]).loglik == -np.inf


def test_rows_of_weight_zero_say_nothing() -> None:
    y, eta, w = np.array([1.0, 2.0]), np.array([0.3, 0.4]), np.array([0.0, 1.0])
    for family in (Gamma("log"), Gaussian(), Poisson(), NegativeBinomial(), InverseGaussian("log")):
        terms = family.row_terms(y, eta, w, 1.3, curvature=True)
        alone = family.row_terms(y[1:], eta[1:], w[1:], 1.3, curvature=True)
        for field in fields(RowTerms):
            values, one = getattr(terms, field.name), getattr(alone, field.name)
            assert values is None or (values[0] == 0.0 and values[1] == one[0]), field.name


def test_starts_are_valid_means() -> None:
    y = np.array([0.0, 1.0, 0.0, 3.0])
    for link in ("log", "identity", "sqrt"):
        for family in (Poisson(link), NegativeBinomial(link=link)):
            start = family.initial_mu(y, None)
            assert np.isfinite(family.link.eta(start)).all()
            assert (start > 0).all()
    for link in ("log", "inverse", "sqrt", "1/mu^2"):
        eta = Gaussian(link).link.eta(Gaussian(link).initial_mu(y - 1.0, None))
        assert np.isfinite(eta).all()
    start = Binomial().initial_mu(np.array([0.0, 1.0]), np.array([3.0, 1.0]))
    # R's binomial()$initialize: (w y + 0.5) / (w + 1)
    np.testing.assert_allclose(start, [0.125, 0.75])
