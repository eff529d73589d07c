"""Pictures of marginal means and contrasts, and the numbers they draw."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import mixeff as mx
from mixeff import plots
from mixeff.errors import OptionError
from support.reference import load_frame


@cache
def oats() -> Any:
    return mx.lmer("Y ~ N * V + (1 | B / V)", load_frame("oats"))


def test_numbers_are_those_of_the_table() -> None:
    means = oats().marginal_means("N", "V", ddf="asymptotic")
    numbers = plots.marginal_means_data(means)
    assert list(dict.fromkeys(numbers["panel"])) == [
        "V = Golden.rain",
        "V = Marvellous",
        "V = Victory",
    ]
    assert list(numbers["row"][:4]) == ["0.0cwt", "0.2cwt", "0.4cwt", "0.6cwt"]
    assert set(numbers["series"]) == {""}
    np.testing.assert_array_equal(numbers["upper"], means["upper"])
    both = plots.marginal_means_data(oats().marginal_means(["N", "V"], ddf="asymptotic"))
    assert list(dict.fromkeys(both["series"])) == list(dict.fromkeys(numbers["panel"]))


def test_a_panel_for_each_level_and_a_mark_for_each_estimate() -> None:
    means = oats().marginal_means("N", "V", ddf="asymptotic")
    figure = plots.marginal_means(means)
    assert [axes.get_title() for axes in figure.axes] == list(
        dict.fromkeys(plots.marginal_means_data(means)["panel"])
    )
    drawn = [axes.lines[0].get_xdata() for axes in figure.axes]
    np.testing.assert_array_equal(np.concatenate(drawn), means["estimate"])


def test_series_have_a_legend_and_contrasts_a_line_at_nothing() -> None:
    both = plots.marginal_means(oats().marginal_means(["N", "V"], ddf="asymptotic"))
    assert len(both.legends[0].get_texts()) == 3
    pairs = oats().marginal_means("N", ddf="asymptotic").contrast("pairwise")
    np.testing.assert_array_equal(
        plots.marginal_means(pairs).axes[0].lines[0].get_xdata(), [0.0, 0.0]
    )
    fit = mx.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mx.load_dataset("cbpp"),
        "binomial",
    )
    ratios = fit.marginal_means("period", type="response").contrast("pairwise")
    picture = plots.marginal_means(ratios)
    np.testing.assert_array_equal(picture.axes[0].lines[0].get_xdata(), [1.0, 1.0])
    assert picture.axes[0].get_xscale() == "log"
    assert "(odds ratio)" in picture.get_supxlabel()
    means = plots.marginal_means(fit.marginal_means("period", type="response"))
    assert means.axes[0].get_xscale() == "linear"
    assert means.get_supxlabel() == "Marginal means of period (probability), 95% intervals"
    assert means.get_supylabel() == "period"


def test_something_else_is_refused() -> None:
    with pytest.raises(OptionError, match="not a LinearMixedModel"):
        plots.marginal_means(oats())
