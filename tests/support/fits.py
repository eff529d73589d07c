"""Reference cases fitted with mixeff, each once a session."""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Any

import pandas as pd

import mixeff as mx
from mixeff.errors import DesignWarning
from support.reference import load_case, load_frame

R_CONTRASTS = {"contr.helmert": "helmert", "contr.sum": "sum", "contr.treatment": "treatment"}


def fit_formula(formula: str, data: str, **options: Any) -> mx.LinearMixedModel:
    """Fit a formula to a reference data set, with lme4's reading of ``||`` (the cases use it)."""
    with warnings.catch_warnings():
        # a rank-deficient X is part of some cases; the warning has a test of its own
        warnings.simplefilter("ignore", DesignWarning)
        return mx.lmer(formula, load_frame(data), control=mx.Control(double_bar="lme4"), **options)


@cache
def fit_case(name: str) -> mx.LinearMixedModel:
    """The model of one reference case."""
    case = load_case(name)
    contrasts = {k: R_CONTRASTS[v] for k, v in (case.get("contrasts") or {}).items()} or None
    return fit_formula(
        case["formula"],
        case["data"],
        reml=case["REML"],
        weights=case.get("weights"),
        offset=case.get("offset"),
        contrasts=contrasts,
    )


def new_data(case: dict[str, Any]) -> pd.DataFrame:
    """The case's rows to predict, as a frame."""
    table = case["predict"]["newdata"]
    return pd.DataFrame({c: table["data"][c] for c in table["columns"]})


def comparable_lines(text: str) -> list[str]:
    """Printed lines with what may differ made equal: quotes, class name, data name, end blanks."""
    text = text.translate(str.maketrans({"\u2018": "'", "\u2019": "'"})).rstrip()
    lines = [line.rstrip() for line in text.split("\n")]
    lines = [re.sub(r"\[.*\]$", "[]", lines[0]), *lines[1:]]
    return [re.sub(r"^(\s*Data: ).*$", r"\1", line) for line in lines]
