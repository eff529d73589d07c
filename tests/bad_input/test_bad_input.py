"""Every bad input of FEATURES section 1.11 that concerns linear models, and what mixeff says.

Each row: what is done, the class of the error or warning, and the words a user needs to see: what
was wrong, where, and what to do. No row may end in another package's traceback.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff import errors


def sleep() -> pd.DataFrame:
    return mx.load_dataset("sleepstudy")


def fit(formula: str = "Reaction ~ Days + (Days | Subject)", **options: Any) -> Any:
    data = options.pop("data", None)
    return mx.lmer(formula, sleep() if data is None else data, **options)


def changed(**columns: Any) -> pd.DataFrame:
    return sleep().assign(**columns)


def with_value(column: str, row: int, value: Any) -> pd.DataFrame:
    frame = sleep()
    frame[column] = frame[column].astype(float)
    frame.loc[row, column] = value
    return frame


def predict(newdata: dict[str, Any], **options: Any) -> Any:
    return fit().predict(pd.DataFrame(newdata), **options)


def duplicated() -> pd.DataFrame:
    frame = sleep()
    frame["again"] = frame["Days"]
    return frame.set_axis(["Reaction", "Days", "Subject", "Days"], axis=1)


def mixed_types() -> pd.DataFrame:
    values: list[Any] = list(sleep()["Days"])
    values[7] = "seven"
    return changed(Days=pd.Series(values, dtype=object))


def unique_ids() -> pd.DataFrame:
    return changed(row=[f"r{i}" for i in range(180)])


ERRORS: list[tuple[str, Callable[[], Any], type[Exception], list[str]]] = [
    # grouping factors
    (
        "one level",
        lambda: fit("Reaction ~ Days + (1 | g)", data=changed(g="only")),
        errors.DesignError,
        ["g", "one level"],
    ),
    (
        "levels = n",
        lambda: fit("Reaction ~ Days + (1 | row)", data=unique_ids()),
        errors.DesignError,
        ["row", "180"],
    ),
    (
        "random effects >= n",
        lambda: fit("Reaction ~ Days + (Days | Subject)", data=sleep().query("Days < 2")),
        errors.DesignError,
        ["(Days | Subject)", "36"],
    ),
    (
        "numeric grouping factor, all different",
        lambda: fit("Days ~ 1 + (1 | Reaction)"),
        errors.DesignError,
        ["Reaction"],
    ),
    (
        "random term inside the fixed effects",
        lambda: mx.lmer("angle ~ recipe + (1 | recipe)", mx.load_dataset("cake")),
        errors.DesignError,
        ["(1 | recipe)", "(Intercept)", "fixed"],
    ),
    # response
    (
        "constant response",
        lambda: fit(data=changed(Reaction=1.0)),
        errors.DesignError,
        ["Reaction", "constant"],
    ),
    (
        "text response",
        lambda: fit("Subject ~ Days + (1 | Subject)", data=sleep()),
        errors.DataError,
        ["Subject", "number"],
    ),
    ("no response", lambda: fit("~ Days + (1 | Subject)"), errors.FormulaError, ["response"]),
    # missing, infinite
    ("all rows missing", lambda: fit(data=changed(Days=np.nan)), errors.DataError, ["Days", "180"]),
    (
        "NA with na_action fail",
        lambda: fit(data=with_value("Days", 3, np.nan), na_action="fail"),
        errors.DataError,
        ["Days"],
    ),
    ("Inf in x", lambda: fit(data=with_value("Days", 3, np.inf)), errors.DataError, ["Days", "3"]),
    (
        "Inf in y",
        lambda: fit(data=with_value("Reaction", 5, -np.inf)),
        errors.DataError,
        ["Reaction", "5"],
    ),
    (
        "log of a negative",
        lambda: fit("log(Days - 5) ~ 1 + (1 | Subject)"),
        errors.DataError,
        ["log(Days - 5)"],
    ),
    # names
    (
        "unknown column",
        lambda: fit("Reaction ~ Dayz + (1 | Subject)"),
        errors.UnknownColumnError,
        ["Dayz", "Days"],
    ),
    (
        "unknown column is a KeyError",
        lambda: fit("Reaction ~ Days + (1 | subject)"),
        KeyError,
        ["subject", "Subject"],
    ),
    (
        "duplicate column names",
        lambda: fit(data=duplicated()),
        errors.DataError,
        ["Days", "more than one column"],
    ),
    (
        "object column of mixed types",
        lambda: fit(data=mixed_types()),
        errors.DataError,
        ["Days", "str"],
    ),
    (
        "dates",
        lambda: fit(data=changed(Days=pd.date_range("2020-01-01", periods=180))),
        errors.DataError,
        ["Days", "date"],
    ),
    # formula
    (
        "bar without parentheses",
        lambda: fit("Reaction ~ Days + 1 | Subject"),
        errors.FormulaError,
        ["parenthes", "(1 | Subject)"],
    ),
    ("no random term", lambda: fit("Reaction ~ Days"), errors.DesignError, ["random", "(1 |"]),
    (
        "stray character",
        lambda: fit("Reaction ~ Days $ 2 + (1 | Subject)"),
        errors.FormulaError,
        ["$", "^"],
    ),
    (
        "missing parenthesis",
        lambda: fit("Reaction ~ Days + (1 | Subject"),
        errors.FormulaError,
        ["parenthes", "^"],
    ),
    ("two tildes", lambda: fit("Reaction ~ Days ~ (1 | Subject)"), errors.FormulaError, ["~", "^"]),
    ("empty formula", lambda: fit(""), errors.FormulaError, ["formula"]),
    ("no tilde", lambda: fit("Days + (1 | Subject)"), errors.FormulaError, ["~"]),
    ("not a string", lambda: fit(3), errors.MixeffError, ["formula"]),  # type: ignore[arg-type]
    (
        "unknown function",
        lambda: fit("Reaction ~ lgo(Days) + (1 | Subject)"),
        errors.FormulaError,
        ["lgo", "log"],
    ),
    (
        "Python call",
        lambda: fit("Reaction ~ np.log(Days) + (1 | Subject)"),
        errors.FormulaError,
        ["np.log", "log"],
    ),
    (
        "dunder",
        lambda: fit("Reaction ~ __import__('os') + (1 | Subject)"),
        errors.FormulaError,
        ["__import__"],
    ),
    (
        "10 MB formula",
        lambda: fit("Reaction ~ " + "+ Days" * 1_700_000 + " + (1 | Subject)"),
        errors.FormulaError,
        ["100,000"],
    ),
    (
        "deeply nested formula",
        lambda: fit("Reaction ~ " + "(" * 40_000 + "Days" + ")" * 40_000),
        errors.FormulaError,
        ["nest"],
    ),
    # arguments
    ("misspelt argument", lambda: fit(REML=False), errors.OptionError, ["REML", "reml"]),
    ("misspelt weights", lambda: fit(wieghts="Days"), errors.OptionError, ["wieghts", "weights"]),
    (
        "negative weights",
        lambda: fit(weights=np.r_[-1.0, np.ones(179)]),
        errors.DataError,
        ["weights", "negative", "0"],
    ),
    (
        "weights of wrong length",
        lambda: fit(weights=np.ones(10)),
        errors.DataError,
        ["weights", "10", "180"],
    ),
    (
        "offset of wrong length",
        lambda: fit(offset=np.ones(10)),
        errors.DataError,
        ["offset", "10", "180"],
    ),
    ("start of wrong length", lambda: fit(start=[1.0]), errors.OptionError, ["start", "3", "1"]),
    ("start not finite", lambda: fit(start=[1.0, np.nan, 1.0]), errors.OptionError, ["start"]),
    ("bad control", lambda: fit(control={"tolerance": 1}), errors.OptionError, ["Control"]),
    ("bad na_action", lambda: fit(na_action="drop"), errors.OptionError, ["na_action", "omit"]),
    (
        "contrasts for no factor",
        lambda: fit(contrasts={"Days": "sum"}),
        errors.MixeffError,
        ["Days"],
    ),
    (
        "unknown contrast",
        lambda: mx.lmer(
            "angle ~ recipe + (1 | replicate)",
            mx.load_dataset("cake"),
            contrasts={"recipe": "summ"},
        ),
        errors.MixeffError,
        ["summ", "sum"],
    ),
    # data
    ("empty data", lambda: fit(data=sleep().iloc[:0]), errors.DataError, ["row"]),
    ("not a frame", lambda: fit(data="sleepstudy"), errors.DataError, ["str"]),
    ("no data", lambda: mx.lmer("Reaction ~ Days + (1 | Subject)"), errors.OptionError, ["data"]),
    (
        "lists of unequal length",
        lambda: mx.lmer("y ~ 1 + (1 | g)", {"y": [1.0, 2.0, 3.0], "g": ["a", "b"]}),
        errors.DataError,
        ["length"],
    ),
    # prediction
    (
        "unseen level",
        lambda: predict({"Days": [1.0], "Subject": ["nobody"]}),
        errors.PredictionError,
        ["nobody", "Subject", "allow_new_levels"],
    ),
    (
        "missing group in new data",
        lambda: predict({"Days": [1.0], "Subject": [None]}),
        errors.PredictionError,
        ["Subject", "missing"],
    ),
    (
        "new data without a column",
        lambda: predict({"Subject": ["308"]}),
        errors.UnknownColumnError,
        ["Days"],
    ),
    (
        "random term not in the model",
        lambda: fit().predict(sleep(), random="(1 | Day)"),
        errors.PredictionError,
        ["Day"],
    ),
    (
        "misspelt predict argument",
        lambda: fit().predict(new_data=sleep()),
        errors.OptionError,
        ["new_data", "newdata"],
    ),
    (
        "unseen level of a fixed factor",
        lambda: mx.lmer("angle ~ recipe + (1 | replicate)", mx.load_dataset("cake")).predict(
            pd.DataFrame({"recipe": ["Z"], "replicate": ["1"]})
        ),
        errors.PredictionError,
        ["recipe", "Z"],
    ),
    # refit, update, compare
    ("refit of wrong length", lambda: fit().refit(np.ones(3)), errors.DataError, ["3", "180"]),
    ("anova of one model", lambda: mx.anova(fit()), errors.ComparisonError, ["2 models"]),
    (
        "anova of different n",
        lambda: mx.anova(fit(), fit("Reaction ~ 1 + (1 | Subject)", data=sleep().iloc[:170])),
        errors.ComparisonError,
        ["170", "180"],
    ),
    (
        "anova of different responses",
        lambda: mx.anova(fit(), fit("log(Reaction) ~ Days + (1 | Subject)")),
        errors.ComparisonError,
        ["response"],
    ),
    (
        "unknown data set",
        lambda: mx.load_dataset("sleepstudi"),
        errors.MixeffError,
        ["sleepstudi", "sleepstudy"],
    ),
    ("unknown residuals", lambda: fit().residuals("raw"), errors.OptionError, ["raw", "response"]),
]


@pytest.mark.parametrize(
    ("action", "error", "words"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
def test_error(action: Callable[[], Any], error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        action()
    message = str(caught.value)
    assert isinstance(caught.value, errors.MixeffError)
    assert [w for w in words if w not in message] == [], message
    assert len(message) < 1500


WARNINGS: list[tuple[str, Callable[[], Any], type[Warning], list[str]]] = [
    (
        "zero weights",
        lambda: fit(weights=np.r_[0.0, np.ones(179)]),
        errors.DataWarning,
        ["weight", "zero"],
    ),
    (
        "rank deficient",
        lambda: fit("Reaction ~ Days + I(2 * Days) + (1 | Subject)"),
        errors.DesignWarning,
        ["rank deficient", "I(2 * Days)"],
    ),
]


@pytest.mark.parametrize(
    ("action", "category", "words"), [row[1:] for row in WARNINGS], ids=[row[0] for row in WARNINGS]
)
def test_warning(action: Callable[[], Any], category: type[Warning], words: list[str]) -> None:
    with pytest.warns(category) as caught:
        assert action() is not None
    text = " ".join(str(w.message) for w in caught)
    assert [w for w in words if w not in text] == [], text
    assert caught[0].filename == __file__  # it points at the caller's line, not into mixeff


def quiet(action: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return action()


def test_python_keywords_as_names() -> None:
    """``class`` and ``lambda`` are ordinary names in a formula."""
    frame = sleep().rename(columns={"Days": "lambda", "Subject": "class", "Reaction": "def"})
    renamed = quiet(lambda: mx.lmer("def ~ lambda + (lambda | class)", frame))
    assert renamed.loglik == pytest.approx(fit().loglik, abs=1e-9)


def test_numeric_grouping_factor() -> None:
    """A numeric grouping column is a factor with its values as levels, in numeric order."""
    frame = sleep().assign(Subject=lambda d: d["Subject"].astype(str).astype(int))
    numeric = quiet(lambda: mx.lmer("Reaction ~ Days + (Days | Subject)", frame))
    assert numeric.loglik == pytest.approx(fit().loglik, abs=1e-9)
    assert list(numeric.ranef["Subject"].index) == list(fit().ranef["Subject"].index)


def test_backticked_and_dotted_names() -> None:
    frame = sleep().rename(columns={"Days": "days of sleep", "Reaction": "reaction.time"})
    odd = quiet(lambda: mx.lmer("reaction.time ~ `days of sleep` + (1 | Subject)", frame))
    plain = fit("Reaction ~ Days + (1 | Subject)")
    assert odd.loglik == pytest.approx(plain.loglik, abs=1e-9)
    # names(fixef(lmer(reaction.time ~ `days of sleep` + (1 | Subject)))) of R: backticks stay
    assert list(odd.fixef.index) == ["(Intercept)", "`days of sleep`"]


def test_hopeless_formulas_are_refused_at_once() -> None:
    """Reading time grows with the text, not faster: refused before any parsing (CPU seconds)."""
    start = time.process_time()
    with pytest.raises(errors.FormulaError):
        fit("y ~ " + "a*" * 5_000_000 + "a", data={"y": [1.0], "a": [1.0]})
    assert time.process_time() - start < 30  # a guard against hanging, not a speed test


def test_the_callers_data_is_untouched() -> None:
    frame = sleep()
    before = frame.copy(deep=True)
    mx.lmer("log(Reaction) ~ poly(Days, 2) + (Days | Subject)", frame).predict(frame)
    pd.testing.assert_frame_equal(frame, before)
