"""Binomial responses: the same model whatever form the successes come in."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixeff as mx
from mixeff.design.build import build_design
from mixeff.design.design import Design
from mixeff.design.response import BINOMIAL, OTHER
from mixeff.errors import DataError, DataWarning, DesignError
from mixeff.formula import parse_formula

COUNTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def design(formula: str, data: Any, kind: Any = BINOMIAL, **options: Any) -> Design:
    return build_design(parse_formula(formula), data, kind=kind, **options)


@pytest.fixture(scope="module")
def cbpp() -> pd.DataFrame:
    return mx.load_dataset("cbpp")


@pytest.fixture
def small() -> pd.DataFrame:
    return pd.DataFrame({"y": [0, 1, 1, 0, 1, 0], "g": list("aabbcc")})


def test_counts_become_proportions_and_trials(cbpp: pd.DataFrame) -> None:
    got = design(COUNTS, cbpp)
    np.testing.assert_array_equal(got.response, cbpp["incidence"] / cbpp["size"])
    np.testing.assert_array_equal(got.weights, cbpp["size"])
    assert got.response_name == "cbind(incidence, size - incidence)"


def test_proportions_with_trials_as_weights_are_the_same(cbpp: pd.DataFrame) -> None:
    frame = cbpp.assign(prop=cbpp["incidence"] / cbpp["size"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = design("prop ~ period + (1 | herd)", frame, weights="size")
    want = design(COUNTS, cbpp)
    np.testing.assert_array_equal(got.response, want.response)
    np.testing.assert_array_equal(got.weights, want.weights)


def test_prior_weights_multiply_the_trials(cbpp: pd.DataFrame) -> None:
    # R: binomial()$initialize makes weights <- weights * n for a two-column response
    got = design(COUNTS, cbpp, weights=np.full(56, 3.0))
    np.testing.assert_array_equal(got.weights, 3 * cbpp["size"])


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([0, 1, 1, 0, 1, 0]),
        pd.Series([0.0, 1.0, 1.0, 0.0, 1.0, 0.0]),
        pd.Series([False, True, True, False, True, False]),
        pd.Series(["no", "yes", "yes", "no", "yes", "no"]),
        pd.Categorical(list("nyynyn"), categories=["n", "y"]),
        # a level no row has does not count, wherever it stands
        pd.Categorical(list("nyynyn"), categories=["never", "n", "y"]),
    ],
    ids=["integers", "floats", "booleans", "text", "factor", "unused level"],
)
def test_two_values_of_any_kind(small: pd.DataFrame, values: Any) -> None:
    got = design("y ~ 1 + (1 | g)", small.assign(y=values))
    np.testing.assert_array_equal(got.response, [0, 1, 1, 0, 1, 0])
    assert got.weights is None


def test_the_first_level_is_failure(small: pd.DataFrame) -> None:
    # R: factor(c("n", "y"), levels = c("y", "n")) in glm(family = binomial): "y" is failure
    values = pd.Categorical(list("nyynyn"), categories=["y", "n"])
    got = design("y ~ 1 + (1 | g)", small.assign(y=values))
    np.testing.assert_array_equal(got.response, [1, 0, 0, 1, 0, 1])


def test_a_comparison_is_a_response(cbpp: pd.DataFrame) -> None:
    got = design("I(incidence > 0) ~ period + (1 | herd)", cbpp)
    np.testing.assert_array_equal(got.response, cbpp["incidence"] > 0)


def test_polars_text(small: pd.DataFrame) -> None:
    frame = pl.DataFrame({"y": ["n", "y", "y", "n", "y", "n"], "g": list("aabbcc")})
    np.testing.assert_array_equal(design("y ~ (1 | g)", frame).response, [0, 1, 1, 0, 1, 0])


def test_missing_responses_are_left_out(cbpp: pd.DataFrame) -> None:
    frame = cbpp.assign(incidence=cbpp["incidence"].where(cbpp.index != 5))
    got = design(COUNTS, frame)
    assert got.n_omitted == 1
    np.testing.assert_array_equal(got.weights, np.delete(cbpp["size"].to_numpy(), 5))


def test_rows_without_trials_are_left_out(cbpp: pd.DataFrame) -> None:
    frame = cbpp.copy()
    frame.loc[[2, 7], ["incidence", "size"]] = 0
    with pytest.warns(DataWarning, match=r"2 rows have weight zero \(rows 2, 7,"):
        got = design(COUNTS, frame)
    assert got.n == 54
    assert got.random[0].codes.shape == (54,)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("cbind(size, incidence - size) ~ (1 | herd)", "more successes than trials in 56 rows"),
        ("cbind(-incidence, size) ~ (1 | herd)", "negative counts of successes in 34 rows"),
        ("cbind(incidence, size, size) ~ (1 | herd)", "3 columns; a binomial response has two"),
        ("incidence ~ (1 | herd)", r"cbind\(incidence, trials - incidence\)"),
        ("I(0 - size) ~ (1 | herd)", "must lie between 0 and 1"),
        ("I(1 + (incidence > 1)) ~ (1 | herd)", "Coded 1 and 2"),
        ("period ~ (1 | herd)", "4 levels"),
    ],
)
def test_what_is_no_binomial_response(cbpp: pd.DataFrame, formula: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        design(formula, cbpp)


def test_proportions_without_trials_warn_once(cbpp: pd.DataFrame) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        design("I(incidence / size) ~ (1 | herd)", cbpp)
    assert len(caught) == 1
    assert "no numbers of trials" in str(caught[0].message)


def test_fractions_of_trials_warn_once(cbpp: pd.DataFrame) -> None:
    for formula, options in (
        ("I(incidence / size) ~ (1 | herd)", {"weights": "size + 1"}),
        ("cbind(incidence + 0.5, size) ~ (1 | herd)", {}),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            design(formula, cbpp, **options)
        assert [w.category for w in caught] == [DataWarning]
        assert "whole number" in str(caught[0].message)


@pytest.mark.parametrize("formula", ["I(size > 0) ~ (1 | herd)", "I(size < 0) ~ (1 | herd)"])
def test_all_alike(cbpp: pd.DataFrame, formula: str) -> None:
    with pytest.raises(DesignError, match="constant"):
        design(formula, cbpp)


def test_equal_proportions_of_many_trials_are_a_response(small: pd.DataFrame) -> None:
    got = design("cbind(a, b) ~ 1 + (1 | g)", small.assign(a=2, b=2))
    np.testing.assert_array_equal(got.response, 0.5)


def test_a_level_for_every_row(cbpp: pd.DataFrame) -> None:
    frame = cbpp.assign(row=[f"r{i}" for i in range(56)])
    got = design("cbind(incidence, size - incidence) ~ (1 | herd) + (1 | row)", frame)
    assert [t.n_levels for t in got.random] == [56, 15]
    with pytest.raises(DesignError, match="112 random effects for 56"):
        design("incidence ~ 1 + (size | row)", frame, kind=OTHER)
    with pytest.raises(DesignError, match="56 levels for 56 observations"):
        build_design(parse_formula("incidence ~ 1 + (1 | row)"), frame)


def test_counts_of_other_families_are_numbers(cbpp: pd.DataFrame) -> None:
    with pytest.raises(DesignError, match="is a matrix of 2 columns"):
        design(COUNTS, cbpp, kind=OTHER)
    with pytest.raises(DataError, match="model of this family needs numbers"):
        design("period ~ (1 | herd)", cbpp, kind=OTHER)
