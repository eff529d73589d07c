"""Tables of results, and data frames that are such tables."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd

import mixeff as mx
from mixeff.inference.table import ResultTable


def table() -> ResultTable:
    columns = {"estimate": np.array([1.25, -0.5]), "p_value": np.array([0.003, 0.7])}
    return ResultTable("Slopes", ("a", "b"), columns, ("Wald tests.",))


def test_a_table_answers_to_what_a_frame_can_do():
    found = table()
    assert found.loc["b", "estimate"] == -0.5
    assert found.round(1).shape == (2, 2)
    assert np.asarray(found).tolist() == [[1.25, 0.003], [-0.5, 0.7]]
    assert not hasattr(found, "nonsense")
    assert pickle.loads(pickle.dumps(found)).to_frame().equals(found.to_frame())


def test_stars_stand_for_the_p_value_of_the_boundary():
    columns = {"p_value": np.array([0.0015, 0.02]), "p_boundary": np.array([0.0009, np.nan])}
    lines = str(ResultTable("T", ("a", "b"), columns)).splitlines()
    assert lines[2].endswith(" ***")
    assert lines[3].endswith(" *")


def test_intervals_are_a_frame_that_prints_its_method():
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    intervals = fit.confint()
    assert isinstance(intervals, pd.DataFrame)
    assert str(intervals).startswith("95 % Wald confidence intervals\n")
    assert "Wald" in intervals._repr_html_()
    assert type(intervals.to_frame()) is pd.DataFrame
    assert type(intervals.round(1)) is pd.DataFrame
    again = pickle.loads(pickle.dumps(intervals))
    assert again.equals(intervals)
    # Written into, it is no longer that table and must not print as if it were.
    intervals.loc["Days", "lower"] = 0.0
    assert "Wald" not in str(intervals)
    assert "Wald" not in intervals._repr_html_()
