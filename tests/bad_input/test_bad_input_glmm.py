"""Every bad input of FEATURES section 1.11 that concerns generalized models, a message for each.

Each row: what is done, the class of the error or warning, and the words a user needs to see: what
was wrong, where, and what to do. Never one warning per row of the data.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff import errors

COUNTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def cbpp() -> pd.DataFrame:
    return mx.load_dataset("cbpp")


def epil() -> pd.DataFrame:
    return mx.load_dataset("epil")


def binomial(formula: str = COUNTS, data: Any = None, **options: Any) -> Any:
    return mx.glmer(formula, cbpp() if data is None else data, "binomial", **options)


def counts(
    formula: str = "y ~ trt + (1 | subject)", family: Any = "poisson", **options: Any
) -> Any:
    data = options.pop("data", None)
    return mx.glmer(formula, epil() if data is None else data, family, **options)


def emptied(column: str) -> pd.Series:
    """A column of cbpp with a zero in row 3."""
    values = cbpp()[column]
    return values.where(values.index != 3, 0)


def nowhere(eta: np.ndarray) -> np.ndarray:
    """The exponential, but no number above 3."""
    return np.where(eta < 3, np.exp(np.minimum(eta, 3)), np.nan)


ERRORS: list[tuple[str, Callable[[], Any], type[Exception], list[str]]] = [
    # responses
    (
        "constant response",
        lambda: counts("I(0 * y) ~ trt + (1 | subject)"),
        errors.DesignError,
        ["constant", "I(0 * y)"],
    ),
    (
        "only failures",
        lambda: binomial("I(size > 100) ~ period + (1 | herd)"),
        errors.DesignError,
        ["constant", "failure"],
    ),
    (
        "factor as counts",
        lambda: counts("trt ~ lbase + (1 | subject)"),
        errors.DataError,
        ["trt", "placebo", "number"],
    ),
    (
        "three levels as successes",
        lambda: binomial("period ~ size + (1 | herd)"),
        errors.DataError,
        ["4 levels", "failure and success", "I(period =="],
    ),
    (
        "counts that are not whole",
        lambda: counts("I(y / 2) ~ trt + (1 | subject)"),
        errors.DataError,
        ["whole numbers", "row", "offset"],
    ),
    (
        "negative counts",
        lambda: counts("I(y - 5) ~ trt + (1 | subject)"),
        errors.DataError,
        ["below zero", "row"],
    ),
    (
        "negative counts, negative binomial",
        lambda: mx.glmer_nb("I(y - 5) ~ trt + (1 | subject)", epil()),
        errors.DataError,
        ["below zero", "row"],
    ),
    (
        "zero in Gamma",
        lambda: counts(family="Gamma"),
        errors.DataError,
        ["Gamma", "zero or negative", "row"],
    ),
    (
        "outside [0, 1]",
        lambda: binomial("I(incidence / size - 0.1) ~ period + (1 | herd)"),
        errors.DataError,
        ["between 0 and 1", "row"],
    ),
    (
        "counts of successes alone",
        lambda: binomial("incidence ~ period + (1 | herd)"),
        errors.DataError,
        ["cbind(incidence, trials - incidence)"],
    ),
    (
        "more successes than trials",
        lambda: binomial("cbind(size, incidence - size) ~ period + (1 | herd)"),
        errors.DataError,
        ["more successes than trials", "56 rows"],
    ),
    (
        "three columns",
        lambda: binomial("cbind(incidence, size, size) ~ period + (1 | herd)"),
        errors.DataError,
        ["3 columns", "cbind(successes, failures)"],
    ),
    (
        "Inf in y",
        lambda: counts(data=epil().assign(y=lambda d: d["y"].where(d.index != 4, np.inf))),
        errors.DataError,
        ["y", "infinite"],
    ),
    (
        "all rows missing",
        lambda: counts(data=epil().assign(lbase=np.nan), formula="y ~ lbase + (1 | subject)"),
        errors.DataError,
        ["lbase", "236"],
    ),
    # families and links
    ("quasi family", lambda: counts(family="quasipoisson"), errors.OptionError, ["no likelihood"]),
    (
        "gaussian",
        lambda: counts(family="gaussian"),
        errors.OptionError,
        ["lmer(", "reml=False", "link="],
    ),
    ("misspelt family", lambda: counts(family="posson"), errors.OptionError, ["poisson"]),
    ("no family", lambda: mx.glmer(COUNTS, cbpp()), errors.OptionError, ["family", "binomial"]),
    ("a function as family", lambda: counts(family=max), errors.OptionError, ["family"]),
    ("misspelt link", lambda: counts(link="lgo"), errors.OptionError, ["lgo", "log"]),
    (
        "two links",
        lambda: counts(family=mx.families.Poisson(link="sqrt"), link="log"),
        errors.OptionError,
        ["sqrt", "log"],
    ),
    (
        "NaN from a link of one's own",
        lambda: counts(link=mx.families.UserLink(np.log, nowhere, np.exp)),
        errors.OptionError,
        ["NaN", "domain"],
    ),
    # n_agq
    (
        "quadrature for two factors",
        lambda: counts("y ~ trt + (1 | subject) + (1 | period)", n_agq=5),
        errors.OptionError,
        ["one grouping factor", "subject, period", "n_agq=1"],
    ),
    (
        "quadrature for four effects",
        lambda: counts("y ~ trt + (lbase + lage + V4 | subject)", n_agq=5),
        errors.OptionError,
        ["4 random effects", "up to 3"],
    ),
    ("too many nodes", lambda: counts(n_agq=101), errors.OptionError, ["n_agq", "100"]),
    ("negative nodes", lambda: counts(n_agq=-1), errors.OptionError, ["n_agq", "whole number"]),
    ("half a node", lambda: counts(n_agq=1.5), errors.OptionError, ["n_agq", "1.5"]),  # type: ignore[arg-type]
    # the model
    ("no random term", lambda: counts("y ~ trt"), errors.DesignError, ["(1 | g)", "glm"]),
    (
        "one level",
        lambda: counts("y ~ trt + (1 | g)", data=epil().assign(g="only")),
        errors.DesignError,
        ["g", "one level"],
    ),
    (
        "more effects than rows",
        lambda: counts("y ~ trt + (lbase | row)", data=epil().assign(row=range(236))),
        errors.DesignError,
        ["472 random effects", "236"],
    ),
    # arguments
    ("misspelt argument", lambda: counts(nAGQ=3), errors.OptionError, ["nAGQ", "n_agq"]),
    ("REML", lambda: counts(reml=True), errors.OptionError, ["reml"]),
    ("family of glmer_nb", lambda: mx.glmer_nb("y ~ trt + (1 | subject)", epil(), family="poisson"),
     errors.OptionError, ["family"]),
    ("start of wrong length", lambda: counts(start=[1, 2, 3, 4]), errors.OptionError, ["theta"]),
    (
        "start of wrong names",
        lambda: counts(start={"thta": [1.0]}),
        errors.OptionError,
        ["thta", "theta"],
    ),
    (
        "start of too few coefficients",
        lambda: counts(start={"theta": [1.0], "fixef": [1.0]}),
        errors.OptionError,
        ["2 finite numbers", "trtprogabide"],
    ),
    (
        "weights of wrong length",
        lambda: binomial("I(incidence / size) ~ 1 + (1 | herd)", weights=[1.0, 2.0]),
        errors.DataError,
        ["weights", "2", "56"],
    ),
    (
        "negative weights",
        lambda: counts(weights=np.full(236, -1.0)),
        errors.DataError,
        ["weights", "negative"],
    ),
    ("glmer's family in lmer", lambda: mx.lmer("y ~ trt + (1 | subject)", epil(), family="poisson"),
     errors.OptionError, ["glmer"]),
    # after the fit
    (
        "unseen level",
        lambda: counts().predict({"trt": ["placebo"], "subject": ["nobody"]}),
        errors.PredictionError,
        ["nobody", "subject", "allow_new_levels"],
    ),
    (
        "unknown scale",
        lambda: counts().predict(type="responce"),
        errors.OptionError,
        ["responce", "response"],
    ),
    ("REML in update", lambda: counts().update(reml=True), errors.OptionError, ["reml"]),
    (
        "refit with impossible counts",
        lambda: counts().refit(np.arange(236) - 3.0),
        errors.DataError,
        ["below zero"],
    ),
    (
        "refit with other trials",
        lambda: binomial().refit(np.ones((56, 2))),
        errors.DataError,
        ["trials of the fit"],
    ),
    (
        "refit with failures alone",
        lambda: binomial().refit(np.zeros(56)),
        errors.DesignError,
        ["constant", "failure"],
    ),
    (
        "refit_many with the same count everywhere",
        lambda: counts().refit_many(np.column_stack([epil()["y"], np.ones(236)])),
        errors.DataError,
        ["column 1 (counted from 0)", "1 of 2", "constant"],
    ),
    (
        "refit_many with counts below zero",
        lambda: counts().refit_many(np.arange(472).reshape(236, 2) - 3.0),
        errors.DataError,
        ["column 0", "below zero", "row 0"],
    ),
    (
        "refit_many with successes in the place of proportions",
        lambda: binomial().refit_many(np.full((56, 2), 2.0)),
        errors.DataError,
        ["outside [0, 1]", "proportion"],
    ),
    (
        "anova of counts and a normal response",
        lambda: mx.anova(counts(), mx.lmer("y ~ trt + (1 | subject)", epil(), reml=False)),
        errors.ComparisonError,
        ["poisson", "gaussian", "different scales"],
    ),
]  # fmt: skip


def quiet(action: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return action()


@pytest.mark.parametrize(
    ("action", "error", "words"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
def test_error(action: Callable[[], Any], error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        quiet(action)
    message = str(caught.value)
    assert isinstance(caught.value, errors.MixeffError)
    assert [w for w in words if w not in message] == [], message
    assert len(message) < 700


WARNINGS: list[tuple[str, Callable[[], Any], type[Warning], list[str]]] = [
    (
        "proportions without trials",
        lambda: binomial("I(incidence / size) ~ period + (1 | herd)"),
        errors.DataWarning,
        ["no numbers of trials", "weights=", "cbind"],
    ),
    (
        "successes that are not whole",
        lambda: binomial("I(incidence / size) ~ period + (1 | herd)", weights="size + 1"),
        errors.DataWarning,
        ["no whole number of successes", "row"],
    ),
    (
        "rows without trials",
        lambda: binomial(data=cbpp().assign(**{c: emptied(c) for c in ("size", "incidence")})),
        errors.DataWarning,
        ["1 row", "weight zero", "3"],
    ),
    (
        "complete separation",
        lambda: binomial("I(period == '1') ~ period + (1 | herd)"),
        errors.ConvergenceWarning,
        ["separated by", "period", "leave the predictor out"],
    ),
    (
        "quasi-complete separation",
        lambda: binomial(
            "y ~ period + (1 | herd)",
            cbpp().assign(y=lambda d: (d["period"] == "1") | (d["incidence"] > 0)),
        ),
        errors.ConvergenceWarning,
        ["separated by", "period"],
    ),
    (
        "a level without any counts",
        lambda: counts(
            "y ~ factor(period) + (1 | subject)",
            data=epil().assign(y=lambda d: d["y"].where(d["period"] != 4, 0)),
        ),
        errors.ConvergenceWarning,
        ["separated by factor(period)4"],
    ),
    (
        "rank deficient",
        lambda: counts("y ~ lbase + I(2 * lbase) + (1 | subject)"),
        errors.DesignWarning,
        ["rank deficient", "I(2 * lbase)"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "category", "words"), [row[1:] for row in WARNINGS], ids=[row[0] for row in WARNINGS]
)
def test_warning(action: Callable[[], Any], category: type[Warning], words: list[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert action() is not None
    assert [w.category for w in caught] == [category], [str(w.message) for w in caught]
    text = str(caught[0].message)
    assert [w for w in words if w not in text] == [], text
    assert caught[0].filename == __file__  # it points at the caller's line, not into mixeff


def test_a_level_for_every_row_is_no_mistake() -> None:
    fit = quiet(lambda: binomial(f"{COUNTS} + (1 | row)", cbpp().assign(row=range(56))))
    assert fit.ngroups == {"row": 56, "herd": 15}
    assert fit.convergence.ok


def test_groups_of_zeros_are_no_trouble() -> None:
    frame = epil().assign(y=lambda d: d["y"].where(d["subject"] > 5, 0))
    fit = quiet(lambda: counts(data=frame))
    assert fit.convergence.ok
    assert np.isfinite(fit.ranef["subject"]).all(axis=None)


def test_missing_values_leave_rows_out() -> None:
    frame = epil().assign(y=lambda d: d["y"].where(d.index != 7))
    fit = quiet(lambda: counts(data=frame, na_action="exclude"))
    assert fit.n_omitted == 1
    for values in (fit.fitted, fit.linear_predictor, fit.residuals("deviance"), fit.predict()):
        assert np.flatnonzero(np.isnan(values)).tolist() == [7]


def test_the_callers_data_is_untouched() -> None:
    frame = cbpp()
    before = frame.copy(deep=True)
    binomial(data=frame).predict(frame)
    pd.testing.assert_frame_equal(frame, before)
