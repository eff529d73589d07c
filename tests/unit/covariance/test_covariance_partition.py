"""Theta to Lambda and back, term by term and block by block."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.covariance import Partition, Unstructured


@pytest.fixture
def partition() -> Partition:
    return Partition.of_groups(["g", "h", "g"], [2, 1, 2])


def test_lower_triangle_by_columns() -> None:
    Lambda = Unstructured(3).expand(np.arange(1.0, 7.0))
    np.testing.assert_array_equal(Lambda, [[1, 0, 0], [2, 4, 0], [3, 5, 6]])
    np.testing.assert_array_equal(Unstructured(3).pack(Lambda), np.arange(1.0, 7.0))
    np.testing.assert_array_equal(Unstructured(3).is_diagonal, [1, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(Unstructured(2).start(), [1, 0, 1])


def test_terms_of_one_group_share_a_block_diagonal_lambda(partition: Partition) -> None:
    assert partition.members == ((0, 2), (1,))
    first, second = partition.block_factors(np.arange(1.0, 8.0))
    np.testing.assert_array_equal(first, [[1, 0, 0, 0], [2, 3, 0, 0], [0, 0, 5, 0], [0, 0, 6, 7]])
    np.testing.assert_array_equal(second, [[4]])


def test_columns_of_a_block_go_back_to_their_terms(partition: Partition) -> None:
    blocks = [np.arange(8.0).reshape(2, 4), np.full((3, 1), 9.0)]
    terms = partition.per_term(blocks)
    np.testing.assert_array_equal(terms[0], [[0, 1], [4, 5]])
    np.testing.assert_array_equal(terms[1], blocks[1])
    np.testing.assert_array_equal(terms[2], [[2, 3], [6, 7]])
    squares = partition.per_term_square([np.arange(16.0).reshape(4, 4), np.eye(1)])
    np.testing.assert_array_equal(squares[2], [[10, 11], [14, 15]])


def test_canonical_sign_keeps_the_covariance_matrix() -> None:
    s = Unstructured(3)
    theta = np.random.default_rng(0).normal(size=6)
    again = s.canonical(theta)
    before, after = s.expand(theta), s.expand(again)
    np.testing.assert_allclose(before @ before.T, after @ after.T, rtol=1e-15)
    assert np.all(np.diagonal(after) >= 0)


def test_theta_survives_the_way_through_roots(partition: Partition) -> None:
    theta = partition.canonical(np.random.default_rng(1).normal(size=partition.n_theta))
    factors = partition.term_factors(theta)
    np.testing.assert_allclose(partition.from_factors(factors), theta, rtol=1e-13)


def test_slopes_and_second_order_are_derivatives_of_sigma() -> None:
    s = Unstructured(3)
    generator = np.random.default_rng(2)
    theta, slope = generator.normal(size=6), np.eye(3)
    slope[0, 2] = slope[2, 0] = 0.7
    h = 1e-6

    def sigma(t: np.ndarray) -> np.ndarray:
        return s.expand(t) @ s.expand(t).T

    unit = np.eye(6) * h
    for j in range(6):
        # Sigma is quadratic in theta: a central difference is exact up to rounding (1e-16 / h).
        change = (sigma(theta + unit[j]) - sigma(theta - unit[j])) / (2 * h)
        np.testing.assert_allclose(s.slopes(theta)[j], change, atol=1e-8)
    exact = np.zeros((6, 6))
    for j in range(6):
        for k in range(6):  # second differences with unit steps are exact for a quadratic
            a, b = np.eye(6)[j], np.eye(6)[k]
            second = sigma(a + b) - sigma(a) - sigma(b) + sigma(np.zeros(6))
            exact[j, k] = np.sum(slope * second)
    np.testing.assert_allclose(s.second_order(slope), exact, atol=1e-12)


def test_pivoted_order_describes_the_same_covariance_matrix() -> None:
    # The first variance is tiny and its column nearly free to rotate: the order must change.
    theta = np.array([0.001, 0.04, 0.1, 0.3, 0.2, 0.5, 2.0])
    partition = Partition.of_groups(["g", "h"], [3, 1])
    better = partition.pivoted(theta)
    assert better is not partition
    assert better.structures[0].order[0] == 2  # the largest variance, 0.1^2 + 0.2^2 + 0.5^2
    assert better.structures[1] is partition.structures[1]
    factors = partition.term_factors(theta)
    moved = better.from_factors(factors)
    for a, b in zip(better.term_factors(moved), factors, strict=True):
        np.testing.assert_allclose(a @ a.T, b @ b.T, atol=1e-15)
    for a, b in zip(better.block_factors(moved), factors, strict=True):
        np.testing.assert_allclose(a, np.linalg.cholesky(b @ b.T), atol=1e-12)
    assert better.pivoted(moved) is better
    flipped = better.canonical(-moved)
    np.testing.assert_allclose(flipped, moved)


@pytest.mark.parametrize(
    "theta", [[1.0, 0.5, 0.2, 1.0, 0.1, 1.0], [1.0, 0.5, 0.2, 0, 0, 0], [0.0] * 6]
)
def test_a_good_order_is_kept(theta: list[float]) -> None:
    s = Unstructured(3)
    assert s.pivoted(np.array(theta)) is s


def test_derivatives_in_another_order() -> None:
    s, plain = Unstructured(3, (2, 0, 1)), Unstructured(3)
    theta = np.random.default_rng(5).normal(size=6)
    Lambda = s.expand(theta)
    assert np.all(Lambda[[2, 0, 1]][np.triu_indices(3, 1)] == 0)
    np.testing.assert_array_equal(s.pack(Lambda), theta)
    h = 1e-6
    for j, unit in enumerate(h * np.eye(6)):
        up, down = s.expand(theta + unit), s.expand(theta - unit)
        change = (up @ up.T - down @ down.T) / (2 * h)
        np.testing.assert_allclose(s.slopes(theta)[j], change, atol=1e-8)
    slope = np.diag([1.0, 2.0, 3.0])
    assert s.second_order(slope)[0, 0] == 2 * slope[2, 2]
    assert plain.second_order(slope)[0, 0] == 2 * slope[0, 0]
