"""AIC and BIC tables, and the names models go by."""

from __future__ import annotations

import math

import pytest

from mixeff.errors import ComparisonWarning, OptionError
from mixeff.inference.coefficients import coefficient_table
from mixeff.inference.information import aic, bic
from mixeff.model.criteria import akaike_corrected
from mixeff.model.fit import LinearMixedModel
from support.handmade import handmade_fit, make_design
from support.reference import load_case, load_frame


def slope_fit(reml: bool = True) -> LinearMixedModel:
    """sleepstudy_slope at R's theta."""
    case = load_case("sleepstudy_slope" if reml else "sleepstudy_slope_ml")
    columns = ["(Intercept)", "Days"]
    design = make_design(load_frame("sleepstudy"), "Reaction", columns, [("Subject", columns)])
    return handmade_fit(design, list(case["theta"].values()), reml)


def intercept_fit(rows: int = 180) -> LinearMixedModel:
    case = load_case("sleepstudy_intercept")
    design = make_design(
        load_frame("sleepstudy").iloc[:rows],
        "Reaction",
        ["(Intercept)", "Days"],
        [("Subject", ["(Intercept)"])],
    )
    return handmade_fit(design, list(case["theta"].values()))


def test_reml_criteria_are_those_of_R() -> None:
    """AIC(m1, m2) and BIC(m1, m2) of REML fits: the reference cases' fit blocks."""
    m1, m2 = intercept_fit(), slope_fit()
    wants = [load_case(c)["fit"] for c in ("sleepstudy_intercept", "sleepstudy_slope")]
    frame = aic(m1, m2).to_frame()
    assert frame.index.tolist() == ["m1", "m2"]
    assert frame.columns.tolist() == ["df", "aic"]
    assert frame["df"].tolist() == [w["df"] for w in wants]
    assert frame["aic"].tolist() == pytest.approx([w["AIC"] for w in wants], abs=2e-6)
    frame = bic(small=m1, large=m2).to_frame()
    assert frame.index.tolist() == ["small", "large"]
    assert frame["bic"].tolist() == pytest.approx([w["BIC"] for w in wants], abs=2e-6)


def test_one_model_makes_a_table_too() -> None:
    assert aic(slope_fit()).names == ("model1",)
    assert len(aic(slope_fit()).to_frame()) == 1


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.warns(ComparisonWarning, match=r"number of observations \(180, 170\)"):
        aic(intercept_fit(), intercept_fit(170))
    with pytest.warns(ComparisonWarning, match="REML and ML fits are mixed"):
        bic(slope_fit(), slope_fit(reml=False))


def test_wrong_arguments() -> None:
    with pytest.raises(OptionError, match="argument 1 is not a fitted model but a list"):
        aic([slope_fit()])  # type: ignore[arg-type]
    with pytest.raises(OptionError, match='"k" is neither an option nor a fitted model'):
        aic(slope_fit(), k=2)  # type: ignore[arg-type]


def test_corrected_aic_needs_observations() -> None:
    """Hurvich and Tsai: -2 l + 2k + 2k(k+1)/(n-k-1)."""
    assert akaike_corrected(-10.0, 3, 10) == pytest.approx(20 + 6 + 24 / 6)
    assert math.isinf(akaike_corrected(-10.0, 3, 4))


def test_coefficient_table() -> None:
    fit, case = slope_fit(), load_case("sleepstudy_slope")
    table = coefficient_table(fit.design, fit.estimate)
    assert table.df is None
    assert table.p_value is None
    assert table.statistic.tolist() == pytest.approx(list(case["t"].values()), rel=1e-6)
