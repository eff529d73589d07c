"""Level tables: R's labels and order, unused levels, interactions."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.frames.levels import (
    codes_of_numbers,
    drop_unused,
    interaction,
    match_levels,
    number_label,
    sort_levels,
)


def codes(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


# R 4.2: as.character(c(1, -1, 1.5, ...))
R_LABELS = {
    1.0: "1", -1.0: "-1", 1.5: "1.5", 100000.0: "1e+05", 123456.0: "123456", 0.1 + 0.2: "0.3",
    1 / 3: "0.333333333333333", 1e-4: "1e-04", 0.00012345: "0.00012345", 1e15: "1e+15",
    -1.5e-10: "-1.5e-10", 1e300: "1e+300", 0.001: "0.001", 250000.0: "250000", 3e5: "3e+05",
    float("inf"): "Inf", 0.0: "0", 99999.0: "99999", 1234567.1: "1234567.1",
}  # fmt: skip


@pytest.mark.parametrize("number", R_LABELS)
def test_numbers_are_labelled_as_in_r(number: float) -> None:
    assert number_label(number) == R_LABELS[number]


def test_numeric_groups_are_in_numeric_order() -> None:
    # R: levels(factor(c(10, 2, 1.5, NA, 1e5)))
    got, levels = codes_of_numbers(np.array([10, 2, 1.5, np.nan, 1e5]))
    assert levels == ("1.5", "2", "10", "1e+05")
    assert got.tolist() == [2, 1, 0, -1, 3]
    # R: levels(factor(c(100000L, -3L))): integers are written in full
    assert codes_of_numbers(np.array([1e5, -3.0]), integer=True)[1] == ("-3", "100000")


def test_counting_and_sorting_agree_on_numbers() -> None:
    rng = np.random.default_rng(3)
    dense = rng.integers(-50, 50, 2000).astype(float)
    spread = dense * 1e7  # too wide a range to count
    a, b = codes_of_numbers(dense)[0], codes_of_numbers(spread)[0]
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a, np.unique(dense, return_inverse=True)[1])


def test_numbers_equal_to_fifteen_digits_are_one_level() -> None:
    # R: nlevels(factor(c(0.3, 0.1 + 0.2, 0.5))) is 2
    got, levels = codes_of_numbers(np.array([0.3, 0.1 + 0.2, 0.5]))
    assert (got.tolist(), levels) == ([0, 0, 1], ("0.3", "0.5"))


def test_drop_unused_keeps_the_order() -> None:
    got, levels = drop_unused(codes(3, 1, -1, 3), ("d", "c", "b", "a"))
    assert (got.tolist(), levels) == ([1, 0, -1, 1], ("c", "a"))
    same = codes(1, 0)
    assert drop_unused(same, ("x", "y"))[0] is same


def test_sort_levels_sorts_by_code_point() -> None:
    got, levels = sort_levels(codes(0, 1, 2, -1), ("b", "a", "B"))
    assert (got.tolist(), levels) == ([2, 1, 0, -1], ("B", "a", "b"))


def test_interaction_has_r_s_order_and_only_what_occurs() -> None:
    # R: levels(droplevels(f1:f2)) with f1 = c(b, a, b, b), f2 = c(2, 1, 1, 2), levels sorted
    got, levels = interaction([(codes(1, 0, 1, 1), ("a", "b")), (codes(1, 0, 0, 1), ("1", "2"))])
    assert levels == ("a:1", "b:1", "b:2")
    assert got.tolist() == [2, 0, 1, 2]


def test_interaction_of_three_with_missing() -> None:
    two = ("p", "q")
    got, levels = interaction(
        [(codes(0, 1, -1, 1), two), (codes(1, 0, 0, 1), two), (codes(0, 0, 0, -1), two)]
    )
    assert levels == ("p:q:p", "q:p:p")
    assert got.tolist() == [0, 1, -1, -1]


def test_interaction_with_a_product_too_large_to_count() -> None:
    rng = np.random.default_rng(5)
    many = tuple(str(k) for k in range(40_000))
    a, b = (rng.integers(0, 40_000, 300).astype(np.int32) for _ in range(2))
    got, levels = interaction([(a, many), (b, many)])
    pairs = sorted(set(zip(a.tolist(), b.tolist(), strict=True)))
    assert levels == tuple(f"{i}:{j}" for i, j in pairs)
    assert [levels[k] for k in got] == [f"{i}:{j}" for i, j in zip(a, b, strict=True)]


def test_match_levels_tells_unseen_from_missing() -> None:
    got, unseen = match_levels(codes(0, 1, 2, -1), ("z", "a", "b"), ("a", "b", "c"))
    assert (got.tolist(), unseen) == ([-1, 0, 1, -2], ("z",))
