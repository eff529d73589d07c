"""Which columns of a rank-deficient matrix go: R's rule, made safe against large means."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mixeff.design.build import build_design
from mixeff.design.rank import independent_columns
from mixeff.errors import DesignWarning
from mixeff.formula import parse_formula

RNG = np.random.default_rng(20)
N = 60
X1, X2, X3 = RNG.normal(size=(3, N))
G = np.arange(N) % 3
ONES = np.ones(N)


def kept(*columns: np.ndarray, intercept: bool = True, span: bool = True) -> list[int]:
    X = np.column_stack(columns)
    return independent_columns(X, intercept=intercept, constant_in_span=span).tolist()


def indicators(g: np.ndarray) -> list[np.ndarray]:
    return [(g == k).astype(float) for k in np.unique(g)]


# R 4.2: q <- qr(X, tol = 1e-7); sort(q$pivot[seq_len(q$rank)]) - 1, for the same structure.
CASES = {
    "full rank": ((ONES, X1, X2, X3), [0, 1, 2, 3]),
    "multiple": ((ONES, X1, 2 * X1, X2), [0, 1, 3]),
    "shift": ((ONES, X1, X1 - 1, X2), [0, 1, 3]),
    "constant column": ((ONES, 5.1 * ONES, X1), [0, 2]),
    "zero column": ((ONES, 0 * X1, X1), [0, 2]),
    "sum": ((ONES, X1, X2, X1 + X2, X3), [0, 1, 2, 4]),
    "all indicators": ((ONES, *indicators(G), X1), [0, 1, 2, 4]),
    "below the tolerance": ((ONES, X1, X1 + 1e-9 * X2), [0, 1]),
    "above the tolerance": ((ONES, X1, X1 + 1e-5 * X2), [0, 1, 2]),
    "just above, where a Gram matrix is blind": ((ONES, X1, X1 + 4e-7 * X2), [0, 1, 2]),
    "one of many scales": ((ONES, 1e9 * X1, 1e-9 * X2, X3), [0, 1, 2, 3]),
}


@pytest.mark.parametrize("name", CASES)
def test_columns_kept_are_r_s(name: str) -> None:
    columns, expected = CASES[name]
    assert kept(*columns) == expected


@pytest.mark.parametrize("shift", [1e8, 1e10, -1e8])
def test_a_large_mean_neither_drops_nor_saves_a_column(shift: float) -> None:
    x = X1 + shift
    assert kept(ONES, x, X2) == [0, 1, 2]
    assert kept(ONES, x, 2 * x, X2) == [0, 1, 3]
    assert kept(ONES, x, X2 + shift, x + X2) == [0, 1, 2]
    assert kept(ONES, x, X2 + shift, X3) == [0, 1, 2, 3]


@pytest.mark.parametrize("shift", [0.0, 1e8])
def test_constant_in_the_span_without_an_intercept(shift: float) -> None:
    d, x = indicators(G), X1 + shift
    assert kept(*d, x, intercept=False) == [0, 1, 2, 3]
    assert kept(x, *d, intercept=False) == [0, 1, 2, 3]
    assert kept(x, 2 * x, *d, intercept=False) == [0, 2, 3, 4]
    assert kept(*d, x, x - 3, X2, intercept=False) == [0, 1, 2, 3, 5]
    assert kept(*d, *indicators(np.arange(N) // 30), intercept=False) == [0, 1, 2, 3]
    assert kept(x, *d, 4 * ONES, intercept=False) == [0, 1, 2, 3]


def test_no_constant_in_the_span_is_r_s_rule_as_it_stands() -> None:
    assert kept(X1, 3 * X1, X2, intercept=False, span=False) == [0, 2]
    assert kept(X1, X1 + 1, intercept=False, span=False) == [0, 1]


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixeff.design.rank._BLOCK", 7)
    for columns, expected in CASES.values():
        assert kept(*columns) == expected


def test_fewer_rows_than_columns() -> None:
    X = np.column_stack([np.ones(3), RNG.normal(size=(3, 5))])
    assert independent_columns(X, intercept=True, constant_in_span=True).tolist() == [0, 1, 2]


def test_design_drops_and_says_so_in_lme4_s_words() -> None:
    d = {"y": X3, "x": X1, "g": G}
    formula = parse_formula("y ~ x + I(2 * x) + I(x - 1) + (1 | g)")
    with pytest.warns(DesignWarning) as caught:
        design = build_design(formula, d)
    text = (
        "fixed-effect model matrix is rank deficient so dropping 2 columns / coefficients: "
        "I(2 * x), I(x - 1)"
    )
    assert [str(w.message) for w in caught] == [text]
    assert caught[0].filename == __file__  # the warning points at the caller
    assert design.notes == (text,)
    assert design.dropped == ("I(2 * x)", "I(x - 1)")
    assert design.names == ("(Intercept)", "x")
    X, _, _ = design.state.fixed_matrix({"x": [10.0]})
    assert X.tolist() == [[1.0, 10.0]]


def test_one_dropped_column_is_singular() -> None:
    with pytest.warns(DesignWarning, match=r"dropping 1 column / coefficient: I\(x \+ 1\)$"):
        build_design(parse_formula("y ~ x + I(x + 1)"), {"y": X3, "x": X1})


def test_an_empty_cell_of_an_interaction_goes() -> None:
    # R: the column of the empty cell is zero and is the one dropped
    d = {"y": X3, "a": np.array(["p", "q"])[np.arange(N) % 2], "b": np.array(["u", "v"])[G // 2]}
    use = ~((d["a"] == "q") & (d["b"] == "v"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DesignWarning)
        design = build_design(parse_formula("y ~ a * b"), {k: v[use] for k, v in d.items()})
    assert design.dropped == ("aq:bv",)


@pytest.mark.parametrize("shift", [0.0, 1e8])
def test_interactions_survive_a_large_mean(shift: float) -> None:
    # The slopes of x in the groups do not depend on the origin of x: nothing may be dropped.
    d = {"y": X3, "x": X1 + shift, "z": X2 - shift, "a": np.array(["p", "q", "r"])[G]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert build_design(parse_formula("y ~ x * a"), d).dropped == ()
        assert build_design(parse_formula("y ~ x * z"), d).dropped == ()
    with pytest.warns(DesignWarning, match=r"dropping 1 column / coefficient: I\(x \+ 1\)$"):
        design = build_design(parse_formula("y ~ x * a + I(x + 1)"), d)
    assert design.names[-1] == "x:ar"
