"""The picture of a bootstrap draws the numbers of its sister."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import mixeff as mx
from mixeff import plots
from mixeff.errors import OptionError


@pytest.fixture(scope="module")
def bootstrap() -> Any:
    return mx.lmer("Yield ~ 1 + (1 | Batch)", mx.load_dataset("Dyestuff")).bootstrap(400, seed=3)


def test_every_draw_is_counted_once(bootstrap: Any) -> None:
    numbers = plots.bootstrap_draws_data(bootstrap, bins=20)
    for name, own in numbers.groupby("parameter"):
        draws = bootstrap.to_frame()[name].to_numpy()
        assert own["count"].sum() == 400
        inside = (draws >= own["left"].iloc[3]) & (draws < own["right"].iloc[3])
        assert own["count"].iloc[3] == inside.sum()
        np.testing.assert_array_equal(own["left"].to_numpy()[1:], own["right"].to_numpy()[:-1])


def test_picture(bootstrap: Any) -> None:
    figure = plots.bootstrap_draws(bootstrap, level=0.8, bins=20)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == list(bootstrap.names)
    bounds = bootstrap.confint(0.8).to_frame()
    for axes, name, estimate in zip(panels, bootstrap.names, bootstrap.estimate, strict=True):
        every, within = axes.containers
        numbers = plots.bootstrap_draws_data(bootstrap, name, bins=20)
        assert [bar.get_height() for bar in every] == numbers["count"].tolist()
        shaded = [bar for bar in within if bar.get_width() > 0]
        ends = shaded[0].get_x(), shaded[-1].get_x() + shaded[-1].get_width()
        np.testing.assert_allclose(ends, bounds.loc[name], rtol=1e-12)
        assert axes.lines[0].get_xdata()[0] == estimate


def test_failed_replicates_are_left_out() -> None:
    fit = mx.lmer("Yield ~ 1 + (1 | Batch)", mx.load_dataset("Dyestuff2"))
    # A log of zero is no number: those replicates have no value.
    drawn = fit.bootstrap(60, seed=1, statistic=lambda m: 1 / m.theta[0] if m.theta[0] else np.nan)
    known = np.isfinite(drawn.draws[:, 0]).sum()
    assert 0 < known < 60
    assert plots.bootstrap_draws_data(drawn)["count"].sum() == known


def test_mistakes(bootstrap: Any) -> None:
    with pytest.raises(OptionError, match=r"no draws of 'sigm'\. Did you mean"):
        plots.bootstrap_draws(bootstrap, "sigm")
    with pytest.raises(OptionError, match="bins must be a positive whole number, not 0"):
        plots.bootstrap_draws(bootstrap, bins=0)


def test_a_fit_is_bootstrapped_first() -> None:
    fit = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"))
    assert plots.bootstrap_draws_data(fit, "sigma")["count"].sum() == 1000
