"""Likelihood-ratio tables: the numbers from R's log-likelihoods, and what may be compared."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest

from mixeff.errors import ComparisonError, ComparisonWarning, OptionError
from mixeff.inference.likelihood_ratio import anova, likelihood_ratio_table, upper_tail
from mixeff.inference.nesting import nesting_notes
from mixeff.model.fit import LinearMixedModel
from support.handmade import handmade_fit, make_design
from support.reference import case_ids, load_case, load_frame

INTERCEPT = ["(Intercept)"]
SLOPE = ["(Intercept)", "Days"]


@pytest.mark.parametrize("name", case_ids("anova"))
def test_table_from_the_log_likelihoods_of_R(name: str) -> None:
    case = load_case(name)
    want, names = case["anova"]["data"], case["anova"]["rows"]
    loglik, npar = want["logLik"], want["npar"]
    nobs = round(np.exp((want["BIC"][0] + 2 * loglik[0]) / npar[0]))
    # Turned around, so that the sorting is seen; ties must be given in R's order.
    order = list(range(len(names)))[::-1] if len(set(npar)) == len(npar) else range(len(names))
    frame = likelihood_ratio_table(
        names=[names[i] for i in order],
        formulas=[case["models"][names[i]] for i in order],
        npar=[npar[i] for i in order],
        loglik=[loglik[i] for i in order],
        nobs=nobs,
        data_name=case["data"],
    ).to_frame()
    assert list(frame.columns) == [
        "npar",
        "aic",
        "bic",
        "loglik",
        "deviance",
        "chisq",
        "df",
        "p_value",
    ]
    assert frame.index.tolist() == names
    keys = ["npar", "AIC", "BIC", "logLik", "deviance", "Chisq", "Df", "Pr(>Chisq)"]
    for ours, theirs in zip(frame.columns, keys, strict=True):
        reference = np.array([np.nan if v is None else v for v in want[theirs]], float)
        # R's file has 15 digits; differences of numbers near 1e4 lose four of them.
        np.testing.assert_allclose(frame[ours].to_numpy(float), reference, rtol=1e-9, atol=1e-9)


def test_upper_tail() -> None:
    """R: pchisq(c(3.84, 825.092932698706), 1, lower.tail = FALSE); no test without df."""
    p = upper_tail(np.array([np.nan, 3.84, 825.092932698706, 24.3]), np.array([np.nan, 1, 1, 0]))
    np.testing.assert_allclose(p[1:3], [0.0500435212487051, 1.89020971435626e-181], rtol=1e-10)
    assert np.isnan(p[[0, 3]]).all()


def fit(
    fixed: list[str] = SLOPE,
    random: list[tuple[str, list[str]]] | None = None,
    *,
    reml: bool = False,
    frame: pd.DataFrame | None = None,
    **fields: object,
) -> LinearMixedModel:
    data = load_frame("sleepstudy") if frame is None else frame
    random = [("Subject", INTERCEPT)] if random is None else random
    design = make_design(data, "Reaction", fixed, random, **fields)
    theta = [1.0, 0.0, 0.5] if random[0][1] == SLOPE else [1.0] * len(random)
    return handmade_fit(design, theta, reml)


def quiet_anova(*models: LinearMixedModel, **options: object) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return anova(*models, **options)  # type: ignore[arg-type]


def test_rows_are_named_as_the_caller_names_the_models() -> None:
    smaller, larger = fit(INTERCEPT), fit()
    assert anova(larger, smaller).names == ("smaller", "larger")
    assert anova(fit(INTERCEPT), larger).names == ("model1", "larger")
    assert anova(m0=smaller, m1=larger).names == ("m0", "m1")
    assert anova(larger, larger=smaller).names == ("larger", "larger.1")


def test_nothing_is_said_of_nested_models() -> None:
    quiet_anova(fit(INTERCEPT), fit())
    quiet_anova(fit(), fit(random=[("Subject", SLOPE)]))
    quiet_anova(
        fit(random=[("Subject", INTERCEPT), ("Subject", ["Days"])]),
        fit(random=[("Subject", SLOPE)]),
    )


def test_the_same_model_twice_has_no_p_value() -> None:
    model = fit()
    table = anova(model, model)
    assert table.names == ("model", "model.1")
    assert table.df[1] == table.chisq[1] == 0
    assert np.isnan(table.p_value).all()
    assert table.notes == ()


def test_reparametrized_fixed_effects_are_nested() -> None:
    """Days in other units, shifted: the same column space."""
    frame = load_frame("sleepstudy").assign(
        hours=lambda d: 24e6 * (d["Days"] - 3), square=lambda d: d["Days"] ** 2
    )
    smaller = fit(["(Intercept)", "hours"], frame=frame)
    quiet_anova(smaller, fit(["(Intercept)", "Days", "square"], frame=frame))


@pytest.mark.parametrize(
    ("smaller", "larger", "reason"),
    [
        ({"fixed": ["(Intercept)", "noise"]}, {"fixed": [*SLOPE, "square"]}, "fixed effect noise"),
        (
            {"random": [("Subject", ["Days"])]},
            {"fixed": [*SLOPE, "square"]},
            r"random term \(Days \| Subject\)",
        ),
        ({"weights": np.linspace(1, 2, 180)}, {"fixed": [*SLOPE, "square"]}, "prior weights"),
        ({"offset": np.linspace(0, 1, 180) ** 5}, {"fixed": [*SLOPE, "square"]}, "offsets"),
    ],
)
def test_models_that_are_not_nested(smaller: dict, larger: dict, reason: str) -> None:
    noise = np.random.default_rng(1).normal(size=180)
    frame = load_frame("sleepstudy").assign(noise=noise, square=lambda d: d["Days"] ** 2)
    with pytest.warns(ComparisonWarning, match=reason) as caught:
        table = anova(m0=fit(frame=frame, **smaller), m1=fit(frame=frame, **larger))
    assert "m0 is not nested in m1" in str(caught[0].message)
    assert "chi-square test does not apply" in table.notes[-1]


def test_an_offset_within_the_fixed_effects_changes_no_model() -> None:
    shifted = fit(offset=load_frame("sleepstudy")["Days"].to_numpy(float))
    assert nesting_notes(("a", fit()), ("b", shifted)) == []


def test_split_intercepts_are_nested_in_the_unstructured_term() -> None:
    """(1 | Worker) + (1 | Worker:Machine) within (0 + Machine | Worker); not the other way."""
    frame = load_frame("Machines").copy()
    frame["Reaction"] = frame["score"]
    frame["Worker:Machine"] = frame["Worker"].astype(str) + ":" + frame["Machine"].astype(str)
    for level in "ABC":
        frame[f"Machine{level}"] = (frame["Machine"] == level).astype(float)
    columns = ["MachineA", "MachineB", "MachineC"]
    designs = [
        make_design(frame, "Reaction", INTERCEPT, random)
        for random in (
            [("Worker:Machine", INTERCEPT), ("Worker", INTERCEPT)],
            [("Worker", columns)],
        )
    ]
    small = handmade_fit(designs[0], [1.0, 1.0], reml=False)
    large = handmade_fit(designs[1], [1.0, 0.0, 0.0, 1.0, 0.0, 1.0], reml=False)
    assert nesting_notes(("a", small), ("b", large)) == []
    assert "random term" in nesting_notes(("b", large), ("a", small))[0]


def test_reml_fits_need_refit_or_the_same_fixed_effects() -> None:
    restricted, other = fit(reml=True), fit(INTERCEPT, reml=True)
    with pytest.warns(ComparisonWarning, match="REML fits with different fixed effects"):
        anova(restricted, other, refit=False)
    quiet_anova(restricted, fit(random=[("Subject", SLOPE)], reml=True), refit=False)
    with pytest.raises(ComparisonError, match="REML and ML fits are mixed"):
        anova(restricted, fit(), refit=False)


def test_different_data_are_refused() -> None:
    frame = load_frame("sleepstudy")
    short = frame.iloc[:170]
    with pytest.raises(ComparisonError, match=r"180 \(0 omitted\) and 170"):
        anova(fit(), fit(frame=short))
    logged = fit(
        frame=frame.assign(Reaction=np.log(frame["Reaction"])), response_name="log(Reaction)"
    )
    with pytest.raises(ComparisonError, match=r"responses differ, Reaction and log\(Reaction\)"):
        anova(fit(), logged)
    with pytest.raises(ComparisonError, match="values of Reaction differ"):
        anova(fit(), fit(frame=frame.assign(Reaction=frame["Reaction"] + 1)))
    moved = fit(frame=frame.assign(Reaction=frame["Reaction"] + 1), rows=np.arange(1, 181))
    with pytest.raises(ComparisonError, match="not the same ones"):
        anova(fit(), moved)


def test_wrong_arguments() -> None:
    with pytest.raises(ComparisonError, match="at least 2 models"):
        anova(fit())
    with pytest.raises(OptionError, match='Did you mean "refit"'):
        anova(fit(), fit(), refitt=False)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="argument 2 is not a fitted model but a str"):
        anova(fit(), "m1")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="refit must be True or False"):
        anova(fit(), fit(), refit="no")  # type: ignore[arg-type]


def test_tables_are_frozen() -> None:
    table = anova(fit(INTERCEPT), fit())
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.npar = np.zeros(2)  # type: ignore[misc]
