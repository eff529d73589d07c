"""The compiled passes over columns give what their NumPy twins give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixeff import compiled
from mixeff.compiled import twins

NONE = np.empty(0)


def columns(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack(
        [
            np.full(n, 2.5),
            np.zeros(n),
            rng.integers(0, 2, n),
            3 + rng.standard_normal(n),
            1e8 + rng.standard_normal(n),
        ]
    )


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 1025, 40_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_agree_with_the_twin(n: int, weighted: bool) -> None:
    values = columns(n, n)
    weights = np.random.default_rng(1).uniform(0.5, 2, n) if weighted else NONE
    mean, gram, kinds, total = compiled.column_moments(values, weights, 1)
    expected = twins.column_moments(values, weights, 1)
    # The twin adds n numbers in a row: its mean may be off by some sqrt(n) roundings.
    np.testing.assert_allclose(mean, expected[0], rtol=1e-14, atol=1e-13)
    np.testing.assert_allclose(gram[:4, :4], expected[1][:4, :4], rtol=1e-10, atol=1e-10 * n)
    np.testing.assert_allclose(gram, expected[1], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(kinds, expected[2])
    assert total == pytest.approx(expected[3], rel=1e-14)


def test_moments_keep_their_digits_when_the_first_rows_lie_far_away() -> None:
    # A jump after the first rows is the worst case of a provisional mean.
    rng = np.random.default_rng(0)
    values = (1e6 + rng.standard_normal((50_000, 1))).copy()
    values[:300] = 0.0
    exact = np.longdouble(values[:, 0])
    centred = exact - exact.mean()
    mean, gram, _, _ = compiled.column_moments(values, NONE, 1)
    assert mean[0] == pytest.approx(float(exact.mean()), rel=1e-15)
    assert gram[0, 0] == pytest.approx(float(centred @ centred), rel=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_results_do_not_depend_on_the_threads(weighted: bool) -> None:
    values = columns(100_003, 3)
    y = values[:, 3].copy()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else NONE
    found = []
    for threads in (1, 2, 5):
        moments = compiled.column_moments(values, weights, threads)
        mean, gram, _, total = moments
        basis = (np.zeros(5), np.ones(5), mean, gram, total)
        rest = compiled.regress(values, *basis, y, weights, True, threads)
        found.append([*moments, *rest])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n", [9, 300, 5_000])
@pytest.mark.parametrize("k", [0, 1, 4])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("centre", [False, True])
def test_regression_agrees_with_the_twin(n: int, k: int, weighted: bool, centre: bool) -> None:
    rng = np.random.default_rng(n + k)
    X, y = 5.0 + rng.standard_normal((n, k)), 10.0 + rng.standard_normal(n)
    weights = rng.uniform(0.5, 2, n) if weighted else NONE
    shift, scale = rng.standard_normal(k), rng.uniform(1, 2, k)
    mean, gram, _, total = twins.column_moments(X, weights, 1)
    arguments = (X, shift, scale, mean, gram, total, y, weights, centre, 1)
    # Conditions below 100: what is left of 1e-16 after two rounds of correction.
    for found, expected in zip(
        compiled.regress(*arguments), twins.regress(*arguments), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_regression_on_dependent_columns_still_splits_the_response() -> None:
    # Without a Cholesky factor nothing is taken out, and nothing is lost either.
    y = np.arange(6.0)
    one, zeros = np.zeros(1), np.zeros((6, 1))
    moments = (one, np.zeros((1, 1)), 6.0)
    found = compiled.regress(zeros, one, np.ones(1), *moments, y, NONE, True, 1)
    center, projection, unit, left, _, start = found
    assert projection.tolist() == [0.0]
    assert unit == start
    np.testing.assert_allclose(center + unit * left, y, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("kind", ["constant", "none", "offset 1e9", "still", "dependent", "zero"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_standard_basis_agrees_with_the_twin(kind: str, weighted: bool) -> None:
    rng = np.random.default_rng(5)
    X = 3.0 + rng.standard_normal((50, 3)) * [1.0, 1e-4, 1e4]
    constant = NONE
    if kind != "none":
        X[:, 0], constant = 2.0, np.array([0.5, 0.0, 0.0])
    if kind == "offset 1e9":
        X[:, 2] += 1e9
    if kind == "still":
        X[:, 1] = 7.0 + 1e-14 * rng.integers(0, 2, 50)
    if kind == "dependent":
        X[:, 2] = 3.0 * X[:, 1] + 1.0
    if kind == "zero":
        X[:, 2] = 0.0
    weights = rng.uniform(0.5, 2, 50) if weighted else NONE
    mean, centred, _, total = compiled.column_moments(X, weights, 1)
    arguments = (mean, centred, total, 50, constant, 1e-3)
    found, expected = compiled.standard_basis(*arguments), twins.standard_basis(*arguments)
    for mine, other in zip(found[:3], expected[:3], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-14)
    # Independence by R's rule is a looser question, asked of the columns after the constant.
    rank = (mean, centred, 1, 50, 3e-5)
    if not weighted:
        full = kind in ("constant", "none", "offset 1e9")
        assert compiled.plainly_full_rank(*rank) == twins.plainly_full_rank(*rank) == full
    assert found[3] == expected[3] == (kind not in ("still", "dependent", "zero"))


FINITE = st.floats(allow_nan=False, width=32) | st.sampled_from([0.0, -0.0, 1e300, -1e300])


@settings(max_examples=60, deadline=None)
@given(st.lists(FINITE | st.just(float("nan")), max_size=60))
def test_hashing_numbers_is_unique(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    codes, distinct = compiled.index_numbers(array)
    expected = twins.index_numbers(array)
    np.testing.assert_array_equal(codes, expected[0])
    np.testing.assert_array_equal(distinct, expected[1])


def test_hashing_many_numbers_is_unique() -> None:
    values = np.random.default_rng(0).integers(0, 40_000, 200_000) * 1e7 + 0.5
    codes, distinct = compiled.index_numbers(values)
    expected, inverse = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(distinct, expected)
    np.testing.assert_array_equal(codes, inverse)


WHOLE = st.integers(-5, 25).map(float) | st.sampled_from([float("nan"), 0.5, float("inf"), 1e18])


@settings(max_examples=60, deadline=None)
@given(st.lists(WHOLE, max_size=30), st.integers(-5, 5), st.integers(1, 30))
def test_placing_integers_agrees_with_the_twin(values: list[float], low: int, size: int) -> None:
    array = np.array(values, dtype=np.float64)
    found = compiled.place_integers(array, float(low), size)
    expected = twins.place_integers(array, float(low), size)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


PAIRS = st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 6)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.sampled_from([7, 100_000]))
def test_combined_codes_agree_with_the_twin(pairs: list[tuple[int, int]], n_right: int) -> None:
    left = np.array([a for a, _ in pairs], dtype=np.int32)
    right = np.array([b for _, b in pairs], dtype=np.int32)
    found = compiled.combine_codes(left, 7, right, n_right)
    for a, b in zip(found, twins.combine_codes(left, 7, right, n_right), strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 9), max_size=30), st.integers(0, 10))
def test_used_levels_agree_with_the_twin(items: list[int], n_levels: int) -> None:
    codes = np.array(items, dtype=np.int32)
    used, count, missing = compiled.used_levels(codes, n_levels)
    expected = twins.used_levels(codes, n_levels)
    np.testing.assert_array_equal(used, expected[0])
    assert (count, missing) == expected[1:]
