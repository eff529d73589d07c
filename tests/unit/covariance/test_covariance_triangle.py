"""Square roots made triangular: the product is kept, singular matrices get exact zeros."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.covariance import lower_factor, null_space


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (3, 4), (5, 8)])
def test_keeps_the_covariance_matrix_and_matches_cholesky(shape: tuple[int, int]) -> None:
    root = np.random.default_rng(3).normal(size=shape)
    # Rounding of at most a few units in the last place of numbers near 1.
    np.testing.assert_allclose(
        lower_factor(root), np.linalg.cholesky(root @ root.T), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_singular_matrix_has_exactly_zero_columns(rank: int) -> None:
    q = 4
    basis = np.random.default_rng(rank).normal(size=(q, rank))
    root = np.column_stack([basis, np.zeros((q, q - rank))])
    Lambda = lower_factor(root)
    np.testing.assert_allclose(Lambda @ Lambda.T, root @ root.T, atol=1e-13)
    assert np.count_nonzero(np.abs(Lambda).sum(axis=0)) == rank
    assert np.all(np.diagonal(Lambda) >= 0)
    assert np.all(Lambda[np.triu_indices(q, 1)] == 0.0)


def test_zero_first_variance_leaves_the_second_in_its_own_column() -> None:
    # Semidefinite Cholesky of [[0, 0], [0, 9]]: theta is (0, 0, 3), not (0, 3, 0).
    np.testing.assert_array_equal(
        lower_factor(np.array([[0.0, 0.0], [3.0, 0.0]])), [[0, 0], [0, 3]]
    )


def test_a_small_variance_keeps_its_digits() -> None:
    # Sigma = L L' with an entry of 1e-9: forming Sigma would lose it (1e-18 beside 1).
    L = np.array([[1.0, 0.0], [0.5, 1e-9]])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    # The rotated root holds 1e-9 beside 1 with 16 digits: 7 are left.
    assert lower_factor(L @ turn)[1, 1] == pytest.approx(1e-9, rel=1e-6)


def test_null_space_is_what_the_transpose_sends_to_zero() -> None:
    Lambda = np.array([[1.0, 0, 0], [2.0, 0, 0], [0.5, 0, 3.0]])
    basis = null_space(Lambda)
    assert basis.shape == (3, 1)
    np.testing.assert_allclose(Lambda.T @ basis, 0.0, atol=1e-15)
    assert null_space(np.eye(3)).shape == (3, 0)
    assert null_space(np.diag([1.0, 1e-5]), 1e-4).shape == (2, 1)
