"""What a summary shows when asked for something else than the default."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mixeff.errors import OptionError
from mixeff.report.show import format_fit
from mixeff.report.summarize import DIFFERENT_SCALES, summarize
from support.printed import lmerMod, printed_fit, verdict
from support.reference import load_case


def fit_of(name: str) -> lmerMod:
    return printed_fit(load_case(name))


def test_coefficients_are_a_labelled_frame() -> None:
    case = load_case("nlschools_m1_reml")
    frame = summarize(fit_of("nlschools_m1_reml")).coefficients
    assert list(frame.columns) == ["estimate", "std_error", "statistic"]
    assert list(frame.index) == list(case["beta"])
    # the case's own numbers, through one multiplication and a square root
    np.testing.assert_allclose(frame["std_error"], list(case["se"].values()), rtol=1e-12)
    np.testing.assert_allclose(frame["statistic"], list(case["t"].values()), rtol=1e-12)


def test_coefficients_with_degrees_of_freedom_and_p_values() -> None:
    # lmerTest's table of the case: df and p in their columns, stars and legend below
    case = load_case("sleepstudy_slope")
    table = case["satterthwaite"]["coefficients"]["data"]
    summary = replace(
        summarize(fit_of("sleepstudy_slope")),
        df=np.array(table["df"]),
        p_value=np.array(table["Pr(>|t|)"]),
    )
    frame = summary.coefficients
    assert list(frame.columns) == ["estimate", "std_error", "df", "statistic", "p_value"]
    wanted = case["satterthwaite"]["summary_text"].split("\n")
    start = wanted.index("Fixed effects:")
    got = str(summary).split("\n")
    assert got[got.index("Fixed effects:") :] == wanted[start:]


def test_correlation_argument() -> None:
    fit = fit_of("cake_split")
    heading = "Correlation of Fixed Effects:"
    assert heading not in str(summarize(fit))
    assert "p = 18 > 12" in summarize(fit).note
    shown = summarize(fit, correlation=True)
    assert heading in str(shown)
    assert shown.note == ""
    # the largest |correlation| printed is that of the case, to three decimals
    matrix = np.array(load_case("cake_split")["vcov_correlation"]["values"])
    np.testing.assert_allclose(shown.correlation, matrix, rtol=1e-10, atol=1e-12)
    assert heading not in str(summarize(fit_of("sleepstudy_slope"), correlation=False))
    # a single coefficient has no correlations, asked for or not
    assert heading not in str(summarize(fit_of("dyestuff"), correlation=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"ddf": "satterthwait"}, "Did you mean"), ({"correlation": "yes"}, "True, False")],
)
def test_options_that_do_not_exist(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        summarize(fit_of("dyestuff"), **options)


@pytest.mark.parametrize(
    ("weights", "line"),
    [
        ("w*2 + 1", "Weights: w * 2 + 1"),  # lme4: weights = w*2+1 prints "Weights: w * 2 + 1"
        (np.ones(3), "Weights: (array)"),
        (SimpleNamespace(name="load"), "Weights: load"),
    ],
)
def test_weights_are_named(weights: object, line: str) -> None:
    fit = fit_of("sleepstudy_slope")
    fit.request.weights = weights
    assert str(summarize(fit)).split("\n")[3] == line
    assert format_fit(fit).split("\n")[3] == line


def test_offset_is_named() -> None:
    # lmer(..., offset = off) prints " Offset: off" after the weights
    fit = fit_of("sleepstudy_slope")
    fit.request.offset = "off"
    assert str(summarize(fit)).split("\n")[3] == " Offset: off"


# R: x <- scale(rnorm(300))[, 1]; lmer(y ~ z + I(x * k) + (1 | g)) warns for k = 1010, 1 / 1010 and
# not for 990; a lone predictor with sd 1010 warns, a shifted one does not, nor do 0/1 columns.
@pytest.mark.parametrize(
    ("sizes", "warned"),
    [((1.0, 990.0), False), ((1.0, 1010.0), True), ((1.0, 1 / 1010), True), ((1010.0,), True),
     ((1.0, 1.0), False), ((40.0, 0.1), False)],
)  # fmt: skip
def test_very_different_scales(sizes: tuple[float, ...], warned: bool) -> None:
    fit = fit_of("sleepstudy_slope")
    unit = np.array([-1.0, 0.0, 1.0])  # standard deviation 1
    zero_one = np.array([0.0, 1.0, 1.0])
    fit.design.X = np.column_stack([np.ones(3), zero_one, *(5000 + unit * s for s in sizes)])
    assert (DIFFERENT_SCALES in summarize(fit).warnings) == warned


def test_one_dropped_column_is_singular_in_grammar() -> None:
    fit = replace(fit_of("sleepstudy_slope"), dropped=("I(2 * Days)",))
    # lmer(y ~ z + I(2 * z) + (1 | g)) of lme4 1.1-31
    assert summarize(fit).warnings == (
        "fixed-effect model matrix is rank deficient so dropping 1 column / coefficient",
    )


def test_a_fit_that_did_not_converge_says_so() -> None:
    failed = replace(verdict(False), ok=False, sentence="The gradient is not zero.")
    fit = replace(fit_of("sleepstudy_slope"), convergence=failed)
    for text in (str(summarize(fit)).rstrip("\n"), format_fit(fit)):
        assert text.split("\n")[-2:] == [
            "optimizer (newton) convergence code: 1 (not converged)",
            "The gradient is not zero.",
        ]


def test_residuals_padded_with_missing_rows() -> None:
    fit = fit_of("sleepstudy_slope")
    text = str(summarize(fit))
    padded = replace(fit, scaled=np.concatenate([[np.nan], fit.scaled, [np.nan]]))
    assert str(summarize(padded)) == text


def test_many_groups_go_to_a_line_of_their_own() -> None:
    # s$ngrps <- c(averyveryverylonggroupname = 123456, averyveryverylonggroupname2 = 123456)
    name = "averyveryverylonggroupname"
    fit = replace(fit_of("sleepstudy_slope"), ngroups={name: 123456, name + "2": 123456})
    lines = str(summarize(fit)).split("\n")
    i = lines.index("Number of obs: 180, groups:  ")
    assert lines[i + 1] == f"{name}, 123456; {name}2, 123456"


def test_repr_is_the_text() -> None:
    summary = summarize(fit_of("dyestuff"))
    assert repr(summary) == str(summary)
