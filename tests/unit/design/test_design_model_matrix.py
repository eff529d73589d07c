"""Model matrices against R 4.2's ``model.matrix``: column names, and a checksum of every column.

The numbers come from R with the data below (``expand.grid(a, b, r = 1:2)``, x, z, l, o) by
``X <- model.matrix(f, d, contrasts.arg = ca); colnames(X); colSums(X * 1:12)``.
"""

from __future__ import annotations

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


# formula|contrasts|names|column sums weighted by row number
R_OUTPUT = """
~a||(Intercept);aa2;aa3|78.0;26.0;30.0
~0 + a||aa1;aa2;aa3|22.0;26.0;30.0
~a:b||(Intercept);aa1:bb1;aa2:bb1;aa3:bb1;aa1:bb2;aa2:bb2;aa3:bb2|78.0;8.0;10.0;12.0;14.0;16.0;18.0
~0 + a:b||aa1:bb1;aa2:bb1;aa3:bb1;aa1:bb2;aa2:bb2;aa3:bb2|8.0;10.0;12.0;14.0;16.0;18.0
~a * b||(Intercept);aa2;aa3;bb2;aa2:bb2;aa3:bb2|78.0;26.0;30.0;48.0;16.0;18.0
~a + b||(Intercept);aa2;aa3;bb2|78.0;26.0;30.0;48.0
~0 + a + b||aa1;aa2;aa3;bb2|22.0;26.0;30.0;48.0
~x:a||(Intercept);x:aa1;x:aa2;x:aa3|78.0;10.2;39.1;-29.4
~0 + x:a||x:aa1;x:aa2;x:aa3|10.2;39.1;-29.4
~x * a||(Intercept);x;aa2;aa3;x:aa2;x:aa3|78.0;19.9;26.0;30.0;39.1;-29.4
~a:x + b||(Intercept);bb2;aa1:x;aa2:x;aa3:x|78.0;48.0;10.2;39.1;-29.4
~x + a:x||(Intercept);x;x:aa2;x:aa3|78.0;19.9;39.1;-29.4
~a + a:b||(Intercept);aa2;aa3;aa1:bb2;aa2:bb2;aa3:bb2|78.0;26.0;30.0;14.0;16.0;18.0
~b + a:b||(Intercept);bb2;bb1:aa2;bb2:aa2;bb1:aa3;bb2:aa3|78.0;48.0;10.0;16.0;12.0;18.0
~a/b||(Intercept);aa2;aa3;aa1:bb2;aa2:bb2;aa3:bb2|78.0;26.0;30.0;14.0;16.0;18.0
~0 + a/x||aa1;aa2;aa3;aa1:x;aa2:x;aa3:x|22.0;26.0;30.0;10.2;39.1;-29.4
~l||(Intercept);lTRUE|78.0;35.0
~0 + l||lFALSE;lTRUE|43.0;35.0
~l * a||(Intercept);lTRUE;aa2;aa3;lTRUE:aa2;lTRUE:aa3|78.0;35.0;26.0;30.0;24.0;3.0
~l:x||(Intercept);lFALSE:x;lTRUE:x|78.0;-35.3;55.2
~o||(Intercept);o.L;o.Q|78.0;22.6274169979695;2.4980018054066e-15
~0 + o||olo;omid;ohi|10.0;26.0;42.0
~o * a||(Intercept);o.L;o.Q;aa2;aa3;o.L:aa2;o.Q:aa2;o.L:aa3;o.Q:aa3|78.0;22.6274169979695;2.4980018054066e-15;26.0;30.0;6.36396103067893;-5.30722777603022;12.7279220613579;4.89897948556636
~o:x||(Intercept);olo:x;omid:x;ohi:x|78.0;5.4;30.0;-15.5
~x:z||(Intercept);x:z|78.0;-32.0
~I(x^2) * a||(Intercept);I(x^2);aa2;aa3;I(x^2):aa2;I(x^2):aa3|78.0;160.19;26.0;30.0;77.61;75.72
~a * b * l||(Intercept);aa2;aa3;bb2;lTRUE;aa2:bb2;aa3:bb2;aa2:lTRUE;aa3:lTRUE;bb2:lTRUE;aa2:bb2:lTRUE;aa3:bb2:lTRUE|78.0;26.0;30.0;48.0;35.0;16.0;18.0;24.0;3.0;16.0;16.0;0.0
~a:b:x||(Intercept);aa1:bb1:x;aa2:bb1:x;aa3:bb1:x;aa1:bb2:x;aa2:bb2:x;aa3:bb2:x|78.0;6.8;15.2;-3.0;3.4;23.9;-26.4
~(a + b + x)^2||(Intercept);aa2;aa3;bb2;x;aa2:bb2;aa3:bb2;aa2:x;aa3:x;bb2:x|78.0;26.0;30.0;48.0;19.9;16.0;18.0;39.1;-29.400000000000002;0.899999999999998
~log(z) + a||(Intercept);log(z);aa2;aa3|78.0;153.818098406043;26.0;30.0
~0 + x + a||x;aa1;aa2;aa3|19.9;22.0;26.0;30.0
~x + l:a||(Intercept);x;lFALSE:aa1;lTRUE:aa1;lFALSE:aa2;lTRUE:aa2;lFALSE:aa3;lTRUE:aa3|78.0;19.9;14.0;8.0;2.0;24.0;27.0;3.0
~a:b + a:l||(Intercept);aa1:bb1;aa2:bb1;aa3:bb1;aa1:bb2;aa2:bb2;aa3:bb2;aa1:lTRUE;aa2:lTRUE;aa3:lTRUE|78.0;8.0;10.0;12.0;14.0;16.0;18.0;8.0;24.0;3.0
~0 + a:b + a:l||aa1:bb1;aa2:bb1;aa3:bb1;aa1:bb2;aa2:bb2;aa3:bb2;aa1:lTRUE;aa2:lTRUE;aa3:lTRUE|8.0;10.0;12.0;14.0;16.0;18.0;8.0;24.0;3.0
~0 + l:x + a||aa1;aa2;aa3;lFALSE:x;lTRUE:x|22.0;26.0;30.0;-35.3;55.2
~a|a=contr.sum|(Intercept);a1;a2|78.0;-8.0;-4.0
~a * b|a=contr.sum,b=contr.helmert|(Intercept);a1;a2;b1;a1:b1;a2:b1|78.0;-8.0;-4.0;18.0;0.0;0.0
~0 + a * b|a=contr.sum,b=contr.helmert|aa1;aa2;aa3;b1;a1:b1;a2:b1|22.0;26.0;30.0;18.0;0.0;0.0
~x:a + a|a=contr.helmert|(Intercept);a1;a2;x:aa1;x:aa2;x:aa3|78.0;4.0;12.0;10.2;39.1;-29.4
~o|o=contr.treatment|(Intercept);omid;ohi|78.0;26.0;42.0
~l|l=contr.sum|(Intercept);l1|78.0;8.0
~a|a=contr.poly|(Intercept);a.L;a.Q|78.0;5.65685424949238;1.27675647831893e-15
~poly(z, 2) * b||(Intercept);poly(z, 2)1;poly(z, 2)2;bb2;poly(z, 2)1:bb2;poly(z, 2)2:bb2|78.0;10.1185283210858;1.09489780290272;48.0;12.62725435110707;4.1058667608852
~b:poly(z, 2)||(Intercept);bb1:poly(z, 2)1;bb2:poly(z, 2)1;bb1:poly(z, 2)2;bb2:poly(z, 2)2|78.0;-2.50872603002127;12.62725435110707;-3.01096895798247;4.1058667608852
~bs(z, df = 4) + a||(Intercept);bs(z, df = 4)1;bs(z, df = 4)2;bs(z, df = 4)3;bs(z, df = 4)4;aa2;aa3|78.0;13.427498121713;16.9105935386927;21.6769346356123;21.2426746806912;26.0;30.0
~ns(z, df = 3):b||(Intercept);ns(z, df = 3)1:bb1;ns(z, df = 3)2:bb1;ns(z, df = 3)3:bb1;ns(z, df = 3)1:bb2;ns(z, df = 3)2:bb2;ns(z, df = 3)3:bb2|78.0;5.469859890866;11.27148719441928;-4.9922862287864;8.69369309302513;19.30885310259254;12.49069197117422
~poly(z, 1)||(Intercept);poly(z, 1)|78.0;10.1185283210858
~scale(z) * a||(Intercept);scale(z);aa2;aa3;scale(z):aa2;scale(z):aa3|78.0;33.55936187162636;26.0;30.0;6.10170215847752;21.63330765278393
~`my x` * a||(Intercept);`my x`;aa2;aa3;`my x`:aa2;`my x`:aa3|78.0;19.9;26.0;30.0;39.1;-29.4
~`g h`:x||(Intercept);`g h`a1:x;`g h`a2:x;`g h`a3:x|78.0;10.2;39.1;-29.4
"""
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
