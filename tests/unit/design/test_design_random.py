"""Random terms: order, levels, columns, ``||``, and what is refused or warned of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mixeff.design.build import build_design
from mixeff.design.design import Design
from mixeff.errors import DesignError, DesignWarning
from mixeff.formula import parse_formula

RNG = np.random.default_rng(7)
N = 96


def data() -> dict[str, Any]:
    rows = np.arange(N)
    return {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "a": np.array(["a1", "a2", "a3"])[rows % 3],
        "b": np.array(["b1", "b2", "b3", "b4"])[rows % 4],
        "c": np.array([f"c{k}" for k in range(8)])[rows // 12],
        "n": (rows % 5 + 8).astype(float),
        "flag": rows % 2 == 0,
    }


def design(formula: str, d: dict[str, Any] | None = None) -> Design:
    return build_design(parse_formula(formula), data() if d is None else d)


def test_terms_are_ordered_by_number_of_levels_ties_in_reverse() -> None:
    # R: names(lFormula(y ~ 1 + (1 | a) + (0 + x | a) + (1 | c) + (1 | b), d)$reTrms$cnms) is
    # c b a a, the columns of the last two "x" and "(Intercept)".
    got = design("y ~ 1 + (1 | a) + (0 + x | a) + (1 | c) + (1 | b)")
    assert [t.group for t in got.random] == ["c", "b", "a", "a"]
    assert [t.columns for t in got.random[2:]] == [("x",), ("(Intercept)",)]
    assert [t.has_intercept for t in got.random] == [True, True, False, True]
    assert [s.group for s in got.state.random] == ["c", "b", "a", "a"]


def test_nested_groups_are_named_as_lme4_does() -> None:
    # R: lFormula(y ~ 1 + (1 | a/b))$reTrms$flist: "b:a", "a"; levels of b:a are b1:a1, b1:a2 ...
    got = design("y ~ 1 + (1 | a / b)")
    inner, outer = got.random
    assert (inner.group, outer.group) == ("b:a", "a")
    assert inner.levels[:4] == ("b1:a1", "b1:a2", "b1:a3", "b2:a1")
    d = data()
    expected = [f"{b}:{a}" for a, b in zip(d["a"], d["b"], strict=True)]
    assert [inner.levels[k] for k in inner.codes] == expected


def test_numeric_and_logical_groups() -> None:
    got = design("y ~ 1 + (1 | n) + (1 | flag)")
    assert got.random[0].levels == ("8", "9", "10", "11", "12")
    assert got.random[1].levels == ("FALSE", "TRUE")


def test_group_may_be_an_expression() -> None:
    got = design("y ~ 1 + (1 | factor(n)) + (1 | interaction(a, b))")
    assert [t.n_levels for t in got.random] == [12, 5]


def test_factor_left_of_the_bar() -> None:
    # R: lFormula(...)$reTrms$cnms
    assert design("y ~ 1 + (a | c)").random[0].columns == ("(Intercept)", "aa2", "aa3")
    assert design("y ~ 1 + (0 + a | c)").random[0].columns == ("aa1", "aa2", "aa3")
    got = design("y ~ 1 + (x * flag | c)").random[0]
    assert got.columns == ("(Intercept)", "x", "flagTRUE", "x:flagTRUE")
    assert got.values.shape == (N, 4)
    assert got.values.flags.c_contiguous
    assert got.n_theta == 10


def test_contrasts_of_random_effects_stay_the_default_as_in_lme4() -> None:
    # R: lFormula(y ~ a + (a | c), contrasts = list(a = "contr.sum"))$reTrms$cnms is aa2, aa3
    got = build_design(parse_formula("y ~ a + (a | c)"), data(), contrasts={"a": "sum"})
    assert got.names == ("(Intercept)", "a1", "a2")
    assert got.random[0].columns == ("(Intercept)", "aa2", "aa3")


def test_double_bar_gives_one_term_per_column() -> None:
    got = design("y ~ x + (x || c)")
    assert [t.columns for t in got.random] == [("(Intercept)",), ("x",)]
    assert [t.label for t in got.random] == ["(1 | c)", "(0 + x | c)"]
    assert got.notes == ()


def test_double_bar_separates_the_levels_of_a_factor_and_says_so() -> None:
    got = design("y ~ x + (a || c)")
    assert [t.columns for t in got.random] == [("(Intercept)",), ("aa1",), ("aa2",), ("aa3",)]
    assert len(got.notes) == 1
    assert "lme4" in got.notes[0]
    assert "aa1, aa2, aa3" in got.notes[0]
    textual = build_design(parse_formula("y ~ x + (a || c)", double_bar="lme4"), data())
    assert [t.columns for t in textual.random] == [("(Intercept)",), ("aa1", "aa2", "aa3")]


def test_unused_levels_of_a_group_are_dropped() -> None:
    d = pd.DataFrame(data())
    d["c"] = pd.Categorical(d["c"])
    d.loc[d.c == "c3", "y"] = np.nan
    got = build_design(parse_formula("y ~ x + (1 | c)"), d)
    assert got.random[0].levels == ("c0", "c1", "c2", "c4", "c5", "c6", "c7")
    assert got.n_omitted == 12
    assert got.random[0].codes.max() == 6


def test_one_level() -> None:
    d = data() | {"g": ["only"] * N}
    with pytest.raises(DesignError, match=r"factor g of \(1 \| g\) has only one level \('only'\)"):
        design("y ~ x + (1 | g)", d)


def test_as_many_levels_as_rows() -> None:
    with pytest.raises(DesignError, match="has 96 levels for 96 observations"):
        design("y ~ x + (1 | id)", data() | {"id": np.arange(N)})
    with pytest.raises(DesignError, match="Did you mean it left of the bar"):
        design("y ~ 1 + (1 | x)")


def test_as_many_random_effects_as_rows() -> None:
    # lme4: number of observations (=96) <= number of random effects (=96) for term (x | pair)
    d = data() | {"pair": np.arange(N) // 2}
    with pytest.raises(DesignError, match="2 x 48 = 96 random effects for 96 observations"):
        design("y ~ x + (x | pair)", d)
    assert len(design("y ~ x + (x || pair)", d).random) == 2


def test_variable_on_both_sides_of_the_bar() -> None:
    with pytest.raises(DesignError, match=r"both sides of the bar.*Did you mean \(1 \| a\)"):
        design("y ~ x + (a | a)")
    with pytest.warns(DesignWarning, match="both sides of the bar"):
        design("y ~ x + (a | a:c)")


def test_columns_left_of_the_bar_that_cannot_be_estimated() -> None:
    with pytest.warns(DesignWarning, match=r"columns I\(2 \* x\) are linear combinations"):
        design("y ~ x + (x + I(2 * x) | c)")
    with pytest.warns(DesignWarning, match="columns z are zero"):
        design("y ~ x + (0 + z | c)", data() | {"z": np.zeros(N)})


def test_a_formula_without_random_terms_has_none() -> None:
    assert design("y ~ x").random == ()


def test_million_rows_stay_quick_to_code() -> None:
    # No wall time is checked; a Python loop over the rows would make this test stand out.
    n = 200_000
    d = {"y": RNG.normal(size=n), "g": RNG.integers(0, 20_000, n), "h": RNG.integers(0, 9, n)}
    got = design("y ~ 1 + (1 | g / h)", d)
    assert got.random[0].group == "h:g"
    counts = np.bincount(got.random[0].codes)
    assert counts.sum() == n
    assert counts.min() > 0
    k = int(got.random[0].codes[123])
    assert got.random[0].levels[k] == f"{d['h'][123]}:{d['g'][123]}"
