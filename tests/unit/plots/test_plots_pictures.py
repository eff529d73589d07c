"""The pictures draw the numbers of their sisters, and leave pyplot alone."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from mixeff import plots
from mixeff.datasets import load_dataset


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(3)
    names = [f"g{i}" for i in range(12)]
    residual, fitted = rng.normal(size=120), rng.normal(size=120)
    modes = pd.DataFrame(rng.normal(size=(12, 2)), index=names, columns=["(Intercept)", "x"])
    return SimpleNamespace(
        fitted=fitted,
        residuals=lambda kind: residual,
        ranef={"g": modes},
        ranef_variance={"g": np.tile(np.diag([0.04, 0.09]), (12, 1, 1))},
    )


def xy(line):
    return np.column_stack([np.asarray(v, dtype=float) for v in line.get_data()])


def test_facet_picture_draws_points_and_lines():
    schools = load_dataset("nlschools")
    figure = plots.facet_lines(schools, "IQ", "lang", "class", rows=151)
    numbers = plots.facet_lines_data(schools, "IQ", "lang", "class", rows=151)
    assert len(figure.axes) == len(numbers.lines) == 10
    labels = [axes.texts[0].get_text() for axes in figure.axes]
    assert labels == numbers.lines.index.tolist()
    for axes, label in zip(figure.axes, labels, strict=True):
        points, line = axes.lines
        own = numbers.points[numbers.points["group"] == label]
        np.testing.assert_array_equal(xy(points), own[["x", "y"]].to_numpy())
        ends = xy(line)
        row = numbers.lines.loc[label]
        np.testing.assert_allclose(ends[:, 1], row["intercept"] + row["slope"] * ends[:, 0])
        assert ends[:, 0].tolist() == [row["x_min"], row["x_max"]]
    assert len({axes.get_xlim() + axes.get_ylim() for axes in figure.axes}) == 1


def test_facet_panels_do_not_overlap():
    figure = plots.facet_lines(load_dataset("Oxboys"), "age", "height", "Subject")
    boxes = [axes.get_position() for axes in figure.axes]
    assert len(boxes) == 26
    for i, a in enumerate(boxes):
        assert 0 < a.x0 < a.x1 < 1
        assert 0 < a.y0 < a.y1 < 1
        for b in boxes[i + 1 :]:
            apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
            assert apart


def test_residual_pictures_draw_their_numbers(fit):
    axes = plots.residuals_vs_fitted(fit).axes[0]
    expected = plots.residuals_vs_fitted_data(fit).to_numpy()
    np.testing.assert_array_equal(xy(axes.lines[1]), expected)
    axes = plots.qq(fit).axes[0]
    np.testing.assert_array_equal(xy(axes.lines[1]), plots.qq_data(fit).to_numpy())


def test_caterpillar_orders_by_the_first_column(fit):
    figure = plots.caterpillar(fit, "g")
    assert [axes.get_title() for axes in figure.axes] == ["(Intercept)", "x"]
    drawn = {
        round(float(x), 12): float(y) for line in figure.axes[0].lines[1:] for x, y in xy(line)
    }
    assert [drawn[x] for x in sorted(drawn)] == list(range(12))
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == fit.ranef["g"].sort_values("(Intercept)").index.tolist()


def test_pictures_are_png_without_pyplot(tmp_path):
    code = (
        "import sys, mixeff.plots as p\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from mixeff.datasets import load_dataset\n"
        "f = p.facet_lines(load_dataset('Rail', backend='dict') | {'i': list(range(18))},"
        " 'i', 'travel', 'Rail')\n"
        f"f.savefig({str(tmp_path / 'a.png')!r})\n"
        "assert f._repr_png_()[:4] == b'\\x89PNG'\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
