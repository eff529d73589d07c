"""Pictures of profiles draw the numbers of their sisters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import mixeff as mx
from mixeff import plots
from mixeff.errors import OptionError


@pytest.fixture(scope="module")
def profile() -> Any:
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"), reml=False)
    return fit.profile()


def test_zeta(profile: Any) -> None:
    numbers = plots.profile_zeta_data(profile, n=51)
    assert numbers.groupby("parameter").size().eq(51).all()
    figure = plots.profile_zeta(profile)
    titles = [a.get_title() for a in figure.axes]
    assert titles == list(profile.profiled)
    drawn = plots.profile_zeta_data(profile)
    for axes, name in zip(figure.axes, titles, strict=True):
        own = drawn[drawn["parameter"] == name]
        curve = next(line for line in axes.lines if len(line.get_xdata()) == len(own))
        np.testing.assert_array_equal(curve.get_ydata(), own["zeta"])
    # The marks end at -/+ the normal quantile; interpolated between points half a unit apart.
    sigma = figure.axes[titles.index("sigma")]
    marks = [line for line in sigma.lines if line.get_color() == "#b3401d"][:2]
    tops = [line.get_ydata()[1] for line in marks]
    np.testing.assert_allclose(sorted(tops), [-1.959964, 1.959964], atol=1e-3)
    assert min(plots.profile_zeta(profile, "Days", absolute=True).axes[0].lines[0].get_ydata()) >= 0


def test_density(profile: Any) -> None:
    numbers = plots.profile_density_data(profile, ["sigma", "Days"])
    assert numbers.columns.tolist() == ["parameter", "value", "density"]
    for _, own in numbers.groupby("parameter"):
        assert np.trapezoid(own["density"], own["value"]) == pytest.approx(1.0, abs=1e-3)
    figure = plots.profile_density(profile, ["sigma", "Days"])
    assert [a.get_title() for a in figure.axes if a.get_visible()] == ["sigma", "Days"]


def test_pairs(profile: Any) -> None:
    names = ["sigma", "(Intercept)", "Days"]
    figure = plots.profile_pairs(profile, names, levels=[0.5, 0.9])
    assert len(figure.axes) == 9
    # Two contours and two traces off the diagonal, a name on it.
    counts = sorted(len(a.lines) for a in figure.axes)
    assert counts == [0] * 3 + [4] * 6
    numbers = plots.profile_pairs_data(profile, names, levels=[0.5, 0.9])
    contour = numbers[(numbers["x"] == "sigma") & (numbers["y"] == "(Intercept)")]
    contour = contour[(contour["kind"] == "contour") & (contour["level"] == 0.9)]
    panel = figure.axes[1 * 3 + 0]  # second row from above is the second parameter's
    np.testing.assert_array_equal(panel.lines[1].get_xdata(), contour["x_value"])
    with pytest.raises(OptionError, match="from 2 to 10 can be drawn"):
        plots.profile_pairs(profile, ["sigma"])


def test_a_fit_is_profiled_first() -> None:
    fit = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"), reml=False)
    figure = plots.profile_zeta(fit, "sigma")
    assert [a.get_title() for a in figure.axes if a.get_visible()] == ["sigma"]
