"""Contrast matrices against R 4.2 and MASS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mixeff.errors import DesignError, OptionError
from mixeff.formula.contrasts import contrast_matrix, full_dummy, orthonormal_polynomials

FOUR = ("a", "b", "c", "d")

# R: contr.treatment(letters[1:4]), (..., base = 2), contr.SAS, contr.sum, contr.helmert,
#    MASS::contr.sdif(letters[1:4]); suffixes: colnames, or 1 2 3 where R gives none.
AS_R: list[tuple[Any, list[list[float]], tuple[str, ...]]] = [
    ("treatment", [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], ("b", "c", "d")),
    (("contr.treatment", "b"), [[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]], ("a", "c", "d")),
    ("contr.SAS", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], ("a", "b", "c")),
    ("contr.sum", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]], ("1", "2", "3")),
    ("helmert", [[-1, -1, -1], [1, -1, -1], [0, 2, -1], [0, 0, 3]], ("1", "2", "3")),
    (
        "difference",
        [[-0.75, -0.5, -0.25], [0.25, -0.5, -0.25], [0.25, 0.5, -0.25], [0.25, 0.5, 0.75]],
        ("b-a", "c-b", "d-c"),
    ),
    ("dummy", np.eye(4).tolist(), FOUR),
]


@pytest.mark.parametrize(("kind", "matrix", "suffixes"), AS_R)
def test_exact_matrices(kind: Any, matrix: list[list[float]], suffixes: tuple[str, ...]) -> None:
    found, names = contrast_matrix(kind, FOUR)
    assert found.tolist() == matrix
    assert names == suffixes


def test_polynomial_as_r() -> None:
    # R: options(digits = 17); contr.poly(5), its columns
    linear = [
        -0.63245553203367588,
        -0.31622776601683777,
        0,
        0.31622776601683783,
        0.63245553203367588,
    ]
    square = [0.53452248382484879, -0.26726124191242440, -0.53452248382484868]
    cube = [-0.31622776601683777, 0.63245553203367577, 0, -0.63245553203367599, 0.31622776601683783]
    fourth = [0.11952286093343928, -0.47809144373375756, 0.71713716560063634]
    columns = [linear, square + square[1::-1], cube, fourth + fourth[1::-1]]
    expected = np.array(columns).T
    found, names = contrast_matrix("contr.poly", tuple("vwxyz"))
    # Both are rounded; R's own zeros are 4e-17 and 2e-16.
    np.testing.assert_allclose(found, expected, atol=1e-14, rtol=0)
    assert names == (".L", ".Q", ".C", "^4")


def test_polynomial_with_scores_as_r() -> None:
    # R: contr.poly(3, scores = c(1, 2, 5))
    expected = [
        [-0.56613851707229790, 0.58834840541455224],
        [-0.22645541, -0.78446454055273607],
        [0.79259392390121708, 0.19611613513818413],
    ]
    found, _ = contrast_matrix(("poly", [1, 2, 5]), FOUR[:3])
    np.testing.assert_allclose(found, expected, atol=1e-8, rtol=0)  # one entry to 8 digits


def test_polynomials_stay_orthonormal_where_r_gives_up() -> None:
    # R: contr.poly(96) is an error. Orthonormality is the definition; 1e-13 is 100 roundings.
    found = orthonormal_polynomials(np.arange(96.0), 95)
    np.testing.assert_allclose(found.T @ found, np.eye(95), atol=1e-13, rtol=0)
    np.testing.assert_allclose(found.sum(axis=0), 0.0, atol=1e-12)


@pytest.mark.parametrize("kind", ["treatment", "sum", "helmert", "poly", "difference", "SAS"])
@pytest.mark.parametrize("k", [2, 3, 7])
def test_every_kind_spans_the_means(kind: str, k: int) -> None:
    levels = tuple(f"l{i}" for i in range(k))
    matrix, suffixes = contrast_matrix(kind, levels)
    assert matrix.shape == (k, k - 1) == (k, len(suffixes))
    assert matrix.flags.c_contiguous
    assert np.linalg.matrix_rank(np.column_stack([np.ones(k), matrix])) == k


def test_difference_coefficients_are_differences() -> None:
    means = np.array([3.0, 7.0, 4.0, 9.0])
    matrix, _ = contrast_matrix("contr.sdif", FOUR)
    beta = np.linalg.solve(np.column_stack([np.ones(4), matrix]), means)
    np.testing.assert_allclose(beta, [means.mean(), 4.0, -3.0, 5.0], rtol=1e-12)


def test_matrices_and_mappings_of_the_caller() -> None:
    rows = [[1, 2], [0, 1], [-1, 0]]
    levels = FOUR[:3]
    columns = {"first": [1, 0, -1], "second": {"a": 2, "b": 1}}
    frame = pd.DataFrame(rows, index=["a", "b", "c"], columns=["u", "v"]).loc[["c", "a", "b"]]
    for given, names in (
        (rows, ("1", "2")),
        (np.array(rows), ("1", "2")),
        (columns, ("first", "second")),
        (dict(zip(levels, rows, strict=True)), ("1", "2")),
        (frame, ("u", "v")),
    ):
        matrix, suffixes = contrast_matrix(given, levels)
        assert matrix.tolist() == rows
        assert suffixes == names
    assert contrast_matrix([1, 0, -1], levels)[0].shape == (3, 1)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("helmet", "Did you mean `helmert`"),
        ("nonsense", "Known are `treatment`"),
        (("treatment", "z"), "no level `z`"),
        (("sum", "a"), "take no option"),
        ([[1.0], [2.0]], "4 rows and up to 3 columns, not 2 x 1"),
        ([["x"], ["y"], ["z"], ["w"]], "numbers only"),
        ([[np.nan], [1], [2], [3]], "missing or infinite"),
        ({"u": [1, 2]}, "2 values for 4 levels"),
        ({"u": {"a": 1, "q": -1}}, "`q`"),
        ({}, "empty"),
        (("poly", [1, 1, 2, 3]), "4 different scores"),
    ],
)
def test_refused(kind: Any, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        contrast_matrix(kind, FOUR)


def test_one_level_has_no_contrasts() -> None:
    with pytest.raises(DesignError, match="only the level `a`"):
        contrast_matrix("treatment", ("a",))
    matrix, suffixes = full_dummy(("a",))
    assert matrix.tolist() == [[1.0]]
    assert suffixes == ("a",)
