"""Families and links by name, and responses a family cannot have."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import mixeff as mx
from mixeff.errors import DataError, DataWarning, OptionError
from mixeff.generalized.families import family_of


@pytest.mark.parametrize(
    ("name", "cls", "link"),
    [
        ("binomial", "Binomial", "logit"),
        ("bernoulli", "Binomial", "logit"),
        ("poisson", "Poisson", "log"),
        ("Gamma", "Gamma", "inverse"),
        ("gamma", "Gamma", "inverse"),
        ("inverse.gaussian", "InverseGaussian", "1/mu^2"),
        ("inverse_gaussian", "InverseGaussian", "1/mu^2"),
        ("gaussian", "Gaussian", "identity"),
        ("negative_binomial", "NegativeBinomial", "log"),
        ("nbinom2", "NegativeBinomial", "log"),
        ("nbinom1", "NegativeBinomial1", "log"),
    ],
)
def test_names_and_their_default_links(name: str, cls: str, link: str) -> None:
    """R's defaults."""
    family = family_of(name)
    assert type(family).__name__ == cls
    assert family.link.name == link
    assert family_of(name, "sqrt").link.name == "sqrt"


def test_a_family_object_passes_through() -> None:
    family = mx.families.Poisson(link="sqrt")
    assert family_of(family) is family
    assert family_of(family, "sqrt") is family
    assert family_of(mx.families.Gamma, "log") == mx.families.Gamma(link="log")
    with pytest.raises(OptionError, match="already has the link 'sqrt'"):
        family_of(family, "log")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("poison", "Did you mean 'poisson'"),
        ("quasipoisson", "no likelihood.*nbinom1"),
        ("quasibinomial", "no likelihood.*random effect for every row"),
        ("weibull", "Unknown family 'weibull'.*Families: binomial"),
    ],
)
def test_unknown_and_quasi_families_are_refused(name: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        family_of(name)


def test_unknown_links_are_refused() -> None:
    with pytest.raises(OptionError, match="Did you mean 'logit'"):
        family_of("binomial", "loggit")
    with pytest.raises(OptionError, match="family must be a name"):
        family_of(3)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="positive, not -1"):
        mx.families.NegativeBinomial(shape=-1)
    with pytest.raises(OptionError, match="positive, not 0"):
        mx.families.NegativeBinomial1(phi=0)


def test_the_name_carries_the_shape_as_rs_does() -> None:
    # format(round(theta, 4)) in MASS::negative.binomial
    assert mx.families.NegativeBinomial(2.34567).name == "Negative Binomial(2.3457)"
    assert mx.families.NegativeBinomial().with_dispersion(3.0).shape == 3.0
    assert mx.families.NegativeBinomial1().with_dispersion(0.5).phi == 0.5


@pytest.mark.parametrize(
    ("family", "y", "words"),
    [
        ("poisson", [1, 2.5, 3.5, 4], r"2 values that are not whole numbers.*2.5 \(row 1\), 3.5"),
        ("poisson", [1, -2, 3, 4], r"1 value below zero, of 4 rows used: -2 \(row 1\)"),
        ("nbinom1", [1, np.inf, 3, 4], r"not finite numbers.*inf \(row 1\)"),
        ("nbinom2", [1, 0.5, 3, 4], "negative binomial model has 1 value that are not whole"),
        ("binomial", [0, 1.2, -0.1, 1], r"2 values outside \[0, 1\].*cbind"),
        ("gamma", [0, 1, 0, 2], r"Gamma model has 2 values that are zero or negative"),
        ("inverse.gaussian", [-1, 1, 1, 2], "zero or negative"),
        ("gaussian", [np.nan, 1, 1, 2], "not finite"),
    ],
)
def test_impossible_responses_are_refused_once(family: str, y: list[float], words: str) -> None:
    with pytest.raises(DataError, match=words):
        family_of(family).check_response(np.array(y, dtype=float), None)


def test_only_the_first_rows_are_listed() -> None:
    with pytest.raises(DataError) as caught:
        family_of("poisson").check_response(np.arange(100) + 0.5, None)
    assert "100 values" in str(caught.value)
    assert str(caught.value).count("(row ") == 5


def test_successes_that_are_not_whole_give_one_warning() -> None:
    family = family_of("binomial")
    y = np.array([0.5, 0.3, 1.0])
    with pytest.warns(DataWarning, match="2 values .*weights='trials'") as caught:
        family.check_response(y, None)
    assert len(caught) == 1
    with pytest.warns(DataWarning, match="1 value .*number of trials"):
        family.check_response(y, np.array([4.0, 4.0, 4.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # 3/7 * 7 is not exactly 3.
        family.check_response(np.array([3 / 7, 1.0]), np.array([7.0, 2.0]))


def test_functions_of_a_link_must_belong_together() -> None:
    log = (np.log, np.exp, np.exp)
    link = mx.families.UserLink(*log, name="mylog", mean_range=(0.0, np.inf))
    assert link.name == "mylog"
    assert mx.families.Poisson(link=link).link is link
    with pytest.raises(OptionError, match="do not belong together"):
        mx.families.UserLink(np.log10, np.exp, np.exp)
    with pytest.raises(OptionError, match="not the slope of its inverse"):
        mx.families.UserLink(np.log, np.exp, np.sin)
    with pytest.raises(OptionError, match="element by element"):
        mx.families.UserLink(np.log, lambda eta: np.exp(eta).sum(), np.exp)


def test_nan_of_a_users_link_is_named() -> None:
    link = mx.families.UserLink(
        lambda mu: mu**2, np.sqrt, lambda eta: 0.5 / np.sqrt(eta), domain=(0.0, np.inf)
    )
    assert np.isnan(link.mu(np.array([-1.0]))).all()
    with pytest.raises(OptionError, match=r"inverse function .* NaN at eta = -2.*domain="):
        mx.families.UserLink(lambda mu: mu**2, np.sqrt, lambda eta: 0.5 / np.sqrt(eta))
