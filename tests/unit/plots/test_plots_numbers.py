"""The numbers behind the pictures, against R and closed forms."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mixeff import plots
from mixeff.datasets import load_dataset
from mixeff.errors import DataError, OptionError
from mixeff.plots.data import running_mean
from mixeff.plots.qq import quartile_line

TIGHT = {"rtol": 1e-12, "atol": 0}  # closed forms of a few sums: rounding only


@pytest.fixture(scope="module")
def schools():
    return load_dataset("nlschools")


def fake_fit(residual, fitted=None):
    return SimpleNamespace(fitted=fitted, residuals=lambda kind: np.asarray(residual))


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow", "dict"])
def test_facet_lines_are_those_of_lm(backend):
    frame = load_dataset("nlschools", backend=backend)
    lines = plots.facet_lines_data(frame, "IQ", "lang", "class", rows=151).lines
    # R: d <- nlschools[1:151,]; for (g in c("180", "1082", "2680"))
    #      c(nrow(d[d$class == g,]), coef(lm(lang ~ IQ, d[d$class == g,])))
    expected = {
        "180": (25, 13.29935007009049, 2.23843507072767),
        "1082": (5, -30.09999999999999, 5.76190476190476),
        "2680": (18, 12.62106072252115, 2.26825518831668),
    }
    for label, numbers in expected.items():
        got = lines.loc[label, ["n", "intercept", "slope"]]
        np.testing.assert_allclose(got.to_numpy(float), numbers, **TIGHT)


def test_facet_panels_in_level_order(schools):
    numbers = plots.facet_lines_data(schools, "IQ", "lang", "class", rows=151)
    # R: levels(droplevels(nlschools$class[1:151]))
    order = "180 280 1082 1280 1580 1680 1880 2180 2480 2680"
    assert " ".join(numbers.lines.index) == order
    assert len(numbers.points) == 151
    assert numbers.points["y"].sum() == schools["lang"][:151].sum()


def test_facet_line_needs_two_different_x():
    data = {"x": [1.0, 1.0, 2.0, 3.0], "y": [1.0, 3.0, 5.0, 7.0], "g": ["b", "b", "a", "a"]}
    lines = plots.facet_lines_data(data, "x", "y", "g").lines
    assert np.isnan(lines.loc["b", "slope"])
    assert lines.loc["a", "slope"] == 2.0


def test_facet_lines_leave_out_missing_rows():
    data = {"x": [1.0, np.nan, 2.0, 3.0], "y": [1.0, 9.0, 2.0, np.nan], "g": [7, 7, 7, 8]}
    lines = plots.facet_lines_data(data, "x", "y", "g").lines
    assert lines.index.tolist() == ["7"]
    assert lines.loc["7", ["n", "slope"]].tolist() == [2, 1.0]


def test_facet_lines_refuse_what_cannot_be_drawn(schools):
    with pytest.raises(DataError, match="'class' is not numeric"):
        plots.facet_lines_data(schools, "class", "lang", "COMB")
    with pytest.raises(KeyError, match="lan"):
        plots.facet_lines_data(schools, "IQ", "lan", "class")
    with pytest.raises(DataError, match="No complete row"):
        plots.facet_lines_data(schools, "IQ", "lang", "class", rows=slice(5, 5))
    with pytest.raises(OptionError, match="rows must be"):
        plots.facet_lines_data(schools, "IQ", "lang", "class", rows="first")


def test_qq_quantiles_are_those_of_qqnorm():
    # R: sort(qqnorm(c(3,1,2,9,5), plot = FALSE)$x)
    few = [-1.179761117611860, -0.497200570681554, 0, 0.497200570681554, 1.179761117611860]
    got = plots.qq_data(fake_fit([3, 1, 2, 9, 5]))
    np.testing.assert_allclose(got["normal"], few, rtol=1e-12, atol=1e-15)
    assert got["residual"].tolist() == [1, 2, 3, 5, 9]
    # R: x <- c(3,1,2,9,5,7,11,4,8,2.5,6,0); sort(qqnorm(x, plot = FALSE)$x)[1:3]
    more = plots.qq_data(fake_fit([3, 1, 2, 9, 5, 7, 11, 4, 8, 2.5, 6, 0]))
    first = [-1.731664396122245, -1.150349380376008, -0.812217801499913]
    np.testing.assert_allclose(more["normal"][:3], first, rtol=1e-12)
    # R: qy <- quantile(x, c(.25, .75)); qx <- qnorm(c(.25, .75)); diff(qy) / diff(qx) ...
    line = quartile_line(more)
    np.testing.assert_allclose(line, (4.8125, 3.6138429076074), rtol=1e-12)


def test_running_mean_keeps_the_total():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"fitted": rng.normal(size=200), "residual": rng.normal(size=200)})
    means = running_mean(data)
    assert len(means) == 10  # 200 rows in classes of 20
    assert means["fitted"].is_monotonic_increasing
    np.testing.assert_allclose(means["residual"].mean(), data["residual"].mean(), atol=1e-14)
    assert len(running_mean(data[:3])) == 3


def test_caterpillar_is_ranef_of_lme4():
    from mixeff import lmer

    fit = lmer("travel ~ 1 + (1 | Rail)", load_dataset("Rail"))
    got = plots.caterpillar_data(fit, "Rail").set_index("level")
    # R: as.data.frame(ranef(lmer(travel ~ 1 + (1 | Rail), nlme::Rail))); lme4 stops at 1e-7
    modes = dict(zip("251634", RAIL_MODES_R, strict=True))
    np.testing.assert_allclose(got["mode"], [modes[g] for g in got.index], rtol=1e-5)
    np.testing.assert_allclose(got["sd"], 2.3112989, rtol=1e-5)
    # qnorm(.975)
    reach = (got["upper"] - got["lower"]) / 2 / got["sd"]
    np.testing.assert_allclose(reach, 1.95996398454005, rtol=1e-12)


RAIL_MODES_R = (-34.530912, -16.356748, -12.391476, 16.026308, 18.008945, 29.243882)


def test_caterpillar_refuses_unknown_group_and_level():
    fit = SimpleNamespace(ranef={"class": pd.DataFrame({"(Intercept)": [0.0]})})
    with pytest.raises(OptionError, match="no grouping factor 'klass'; it has class"):
        plots.caterpillar_data(fit, "klass")
    with pytest.raises(OptionError, match="level must lie between 0 and 1"):
        plots.caterpillar_data(fit, "class", level=95)
