"""Marginal means, contrasts, joint tests and slopes against R's emmeans and multcomp."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import mixeff as mx
from support.reference import case_ids, load_case, load_frame

# The estimates of two optimizers agree to about 1e-6; p values amplify that by their exponent.
RTOL = 1e-4
# R forms 1 - (1 - p)^n and 1 - P(...): what is left of the smallest p values is rounding.
ROUNDING = 1e-15


def tukey_atol(table: Any) -> float:
    """Accuracy of R's ptukey.

    1 - P to about 1e-12 with many df. With five it is wrong by 2.4e-7 (6.15837e-4 for q = 12.8096,
    3 means, df = 5.047; scipy and nested adaptive quadrature both give 6.16075e-4, as we do: see
    the unit tests of the studentized range).
    """
    return 5e-7 if float(np.min(np.asarray(table["df"]))) < 10 else 5e-12


RESULTS = [
    (case, place)
    for case in case_ids("emmeans")
    for place in range(len(load_case(case)["results"]))
]


@cache
def fitted(name: str) -> Any:
    case = load_case(name)
    frame = load_frame(case["data"])
    if case.get("family"):
        return mx.glmer(case["formula"], frame, case["family"])
    return mx.lmer(case["formula"], frame)


def label(case: str, place: int) -> str:
    result = load_case(case)["results"][place]
    return f"{case}-{result['name']}-{result['df_method']}-{result['type']}"


def numbers(values: list[Any]) -> np.ndarray:
    return np.array([np.nan if v is None else float(v) for v in values])


def means_of(case: str, result: dict[str, Any]) -> Any:
    return fitted(case).marginal_means(
        result["spec"],
        at=(result["options"] or {}).get("at"),
        type=result["type"],
        ddf=result["df_method"],
    )


def compare(table: Any, reference: dict[str, Any], p_atol: float = 0.0) -> None:
    frame = table.to_frame()
    theirs = reference["data"]
    names = {"SE": "std_error", "df": "df", "p.value": "p_value"}
    for name, values in theirs.items():
        if name.endswith("LCL") or name == "lower.CL":
            ours = "lower"
        elif name.endswith("UCL") or name == "upper.CL":
            ours = "upper"
        elif name.endswith(".ratio") and name[0] in "tz":
            ours = "statistic"
        elif name in names:
            ours = names[name]
        elif name in ("emmean", "prob", "estimate", "odds.ratio") or name.endswith(".trend"):
            ours = "estimate"
        elif name == "null":
            continue
        else:
            text = [str(v) for v in frame[name]]
            if frame[name].dtype.kind == "f":
                text = [f"{v:g}" for v in frame[name]]
            assert text == [str(v) for v in values], name
            continue
        atol = p_atol if ours == "p_value" else 1e-10
        np.testing.assert_allclose(
            frame[ours].to_numpy(float), numbers(values), rtol=RTOL, atol=atol, err_msg=name
        )


@pytest.mark.parametrize(("case", "place"), RESULTS, ids=[label(*r) for r in RESULTS])
def test_means_and_contrasts(case: str, place: int) -> None:
    result = load_case(case)["results"][place]
    means = means_of(case, result)
    compare(means, result["means"])
    given = result["contrasts"]
    method = given["coefficients"] if given["method"] == "custom" else given["method"]
    contrasts = means.contrast(method, adjust=given["adjust"])
    tukey = given["adjust"] == "tukey"
    compare(contrasts, given["table"], tukey_atol(contrasts) if tukey else ROUNDING)
    if tukey and "P value adjustment" in given["text"]:
        sentence = next(
            line for line in given["text"].splitlines() if line.startswith("P value adjustment")
        )
        assert sentence.strip() in " ".join(contrasts.notes)


@pytest.mark.parametrize("case", case_ids("emmeans"))
def test_joint_tests(case: str) -> None:
    reference = load_case(case)["joint_tests"]["data"]
    table = fitted(case).joint_tests(ddf=load_case(case)["results"][0]["df_method"]).to_frame()
    assert list(table["term"]) == reference["model term"]
    np.testing.assert_array_equal(table["num_df"], reference["df1"])
    # recorded with two and three decimals
    np.testing.assert_allclose(table["den_df"], numbers(reference["df2"]), atol=0.0051)
    np.testing.assert_allclose(table["f_value"], reference["F.ratio"], atol=6e-4)
    np.testing.assert_allclose(table["p_value"], reference["p.value"], rtol=RTOL)


@pytest.mark.parametrize("case", case_ids("emtrends"))
def test_slopes(case: str) -> None:
    record = load_case(case)
    slopes = fitted(case).slopes(record["var"], record["spec"], ddf=record["df_method"])
    compare(slopes, record["trends"])
    compare(slopes.contrast("pairwise"), record["pairs"])


@pytest.mark.parametrize("case", case_ids("glht"))
def test_pairs_of_multcomp(case: str) -> None:
    record = load_case(case)
    means = fitted(case).marginal_means(record["factor"], ddf="asymptotic")
    for adjust, column in (("none", "p_univariate"), ("holm", "p_holm")):
        got = means.contrast("revpairwise", adjust=adjust).to_frame().set_index("contrast")
        got = got.loc[record["comparison"]]
        np.testing.assert_allclose(got["estimate"], record["estimate"], rtol=RTOL)
        np.testing.assert_allclose(got["std_error"], record["se"], rtol=RTOL)
        np.testing.assert_allclose(got["statistic"], record["z"], rtol=RTOL)
        np.testing.assert_allclose(got["p_value"], record[column], rtol=RTOL, atol=ROUNDING)
