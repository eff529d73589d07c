"""Model matrices against R 4.2's ``model.matrix``: column names, and a checksum of every column.

The numbers in ``model_matrix_r.txt`` come from R with the data below (``expand.grid(a, b,
r = 1:2)`` with x, z, l, o) by
``X <- model.matrix(f, d, contrasts.arg = ca); colnames(X); colSums(X * 1:12)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mixeff.design.build import build_design
from mixeff.design.coding import resolve_contrasts
from mixeff.design.fixed import linear_matrix, plan_linear
from mixeff.design.inputs import part_labels, read_inputs
from mixeff.errors import DesignError, OptionError
from mixeff.formula import parse_formula
from mixeff.frames import open_frame


def data() -> pd.DataFrame:
    x = [0.5, -1.2, 2.3, 0.1, 1.7, -0.4, 0.9, 2.2, -1.1, 0.3, 1.4, -2.0]
    z = [1.0, 4, 2, 8, 5, 7, 3, 6, 9, 11, 10, 12]
    d = pd.DataFrame({"x": x, "z": z})
    d["a"] = pd.Categorical(["a1", "a2", "a3"] * 4)
    d["b"] = pd.Categorical(["b1", "b1", "b1", "b2", "b2", "b2"] * 2)
    d["l"] = d.x > 0.4
    d["o"] = pd.Categorical(
        ["lo"] * 4 + ["mid"] * 4 + ["hi"] * 4, ["lo", "mid", "hi"], ordered=True
    )
    d["my x"], d["g h"] = d.x, d.a
    d["y"] = np.arange(12.0)
    return d


def matrix(formula: str, contrasts: dict[str, Any] | None = None) -> tuple[list[str], Any]:
    """The full model matrix, dependent columns included, as R's model.matrix has it."""
    parsed = parse_formula("y " + formula)
    inputs = read_inputs(parsed, open_frame(data()), None, None, "omit")
    chosen = resolve_contrasts(contrasts, inputs.values, part_labels(parsed.fixed))
    plan = plan_linear(parsed.fixed, inputs.values, chosen)
    return list(plan.names), linear_matrix(plan, inputs.values, 12)


# One line a formula: formula|contrasts|names|column sums weighted by row number.
R_OUTPUT = Path(__file__).with_name("model_matrix_r.txt").read_text()
ROWS = [line.split("|") for line in R_OUTPUT.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[f"{r[0]} {r[1]}".strip() for r in ROWS])
def test_model_matrix_is_r_s(row: list[str]) -> None:
    formula, contrasts, names, sums = row
    chosen = dict(pair.split("=") for pair in contrasts.split(",")) if contrasts else None
    ours, X = matrix(formula, chosen)
    assert ours == names.split(";")
    # R printed 15 digits; 12 rows of numbers below 20 lose less than 1e-12.
    weighted = (X * np.arange(1, 13)[:, None]).sum(axis=0)
    np.testing.assert_allclose(weighted, [float(s) for s in sums.split(";")], atol=1e-11)


def test_custom_matrix_gives_its_own_columns() -> None:
    # R: model.matrix(~ a, d, contrasts.arg = list(a = cbind(c(-1, 0, 1), c(1, -2, 1))))
    own = np.array([[-1.0, 1], [0, -2], [1, 1]])
    names, X = matrix("~ a", {"a": own})
    assert names == ["(Intercept)", "a1", "a2"]
    np.testing.assert_array_equal(X[:3, 1:], own)


def test_custom_matrix_may_name_its_columns() -> None:
    table = pd.DataFrame({".lin": [1.0, -1, 0]}, index=["a3", "a1", "a2"])
    names, X = matrix("~ a", {"a": table})
    assert names == ["(Intercept)", "a.lin"]
    np.testing.assert_array_equal(X[:3, 1], [-1, 0, 1])  # aligned by the level in the index


def test_mapping_of_levels_to_rows() -> None:
    names, X = matrix("~ b", {"b": {"b2": 0.5, "b1": -0.5}})
    assert names == ["(Intercept)", "b1"]
    np.testing.assert_array_equal(X[[0, 3], 1], [-0.5, 0.5])


@pytest.mark.parametrize(
    ("contrasts", "says"),
    [
        ({"A": "sum"}, "did you mean 'a'"),
        ({"x": "sum"}, "numeric"),
        ({"a": np.ones((2, 2))}, "3 levels"),
        ({"a": {"a1": 1.0}}, "lack a row for the level 'a2'"),
        ("sum", "mapping"),
    ],
)
def test_bad_contrasts_are_refused(contrasts: Any, says: str) -> None:
    with pytest.raises(DesignError, match=says):
        build_design(parse_formula("y ~ x + a"), data(), contrasts=contrasts)


def test_unknown_contrast_names_the_nearest() -> None:
    with pytest.raises(OptionError, match="sum"):
        build_design(parse_formula("y ~ x + a"), data(), contrasts={"a": "summ"})


def test_factor_with_one_level_is_refused() -> None:
    d = data()
    with pytest.raises(DesignError, match=r"a has only one level \(a1\)"):
        build_design(parse_formula("y ~ a"), d[d.a == "a1"])


def test_unused_levels_leave_no_column() -> None:
    d = data()
    design = build_design(parse_formula("y ~ a"), d[d.a != "a1"])
    assert design.names == ("(Intercept)", "aa3")


def test_assign_tells_the_term_of_each_column() -> None:
    # R: attr(model.matrix(~ a * x), "assign") is 0 1 1 2 3 3
    design = build_design(parse_formula("y ~ a * x"), data())
    assert design.state.assign == (0, 1, 1, 2, 3, 3)


def test_integers_with_their_suffix_name_columns_without_it():
    # R: colnames(model.matrix(y ~ I(k/2L) + factor(k > 3L), data.frame(y = 1:8, k = 1:8),
    #      contrasts.arg = list("factor(k > 3L)" = "contr.sum")))
    frame = {"y": np.arange(8.0), "k": np.arange(1, 9)}
    for key in ("factor(k > 3L)", "factor(k > 3)"):
        formula = parse_formula("y ~ I(k/2L) + factor(k > 3L)")
        got = build_design(formula, frame, contrasts={key: "sum"})
        assert list(got.names) == ["(Intercept)", "I(k/2)", "factor(k > 3)1"]
