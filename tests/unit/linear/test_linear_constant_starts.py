"""A mean that no fixed effect can hold: every factor that can is tried."""

from __future__ import annotations

import numpy as np
import pytest

import mixeff as mx
from mixeff.linear.starting import constant_starts
from mixeff.linear.working import working_model

# Levels of g and h, x, y: random numbers with one decimal, a mean far from zero.
DATA = {
    10: (
        "341134204200232402241401324344",
        "033032101330132103022121320122",
        "-0.2 -1.8 0.2 -0.2 0.1 1.5 0.2 0.3 0.6 -0.3 -0.7 -0.7 0.8 0.5 -0.5 1.2 0.2 -1.3 "
        "0.6 -0.1 -1.3 0.5 -0.3 -0.4 0.6 -2.2 -1.3 -0.4 0.2 -0.7",
        "8.4 7.7 9.1 11.1 4.9 14.7 13.1 12.4 9.7 11.3 14.8 17.6 13.8 5.5 11.9 11.1 14.2 "
        "9.6 16.1 12.0 11.6 11.6 15.6 8.7 5.1 10.3 9.5 8.1 11.0 10.2",
    ),
    26: (
        "422110133422433042004231044211",
        "210233111320230233030022303201",
        "2.0 -0.2 -1.2 0.0 -1.2 0.0 1.6 0.9 3.1 0.4 0.3 -0.9 -0.9 0.3 -0.9 -0.3 -0.3 "
        "-1.2 2.3 -1.9 0.2 1.0 1.1 -0.4 -1.0 2.5 2.2 0.2 0.1 0.1",
        "86.3 77.6 75.6 83.5 90.8 83.0 73.3 77.0 83.8 78.0 80.2 75.5 71.4 75.5 72.0 84.3 "
        "75.2 74.3 79.7 86.9 76.1 82.9 79.0 86.7 83.5 90.1 87.9 80.0 82.3 83.4",
    ),
}
# lme4 1.1-31: lmer(y ~ 0 + (1 + x | g) + (1 | h)), the largest log-likelihood from the default and
# 30 random starts; from the default start it ends at -65.46480448 and -75.47229440.
BEST = {10: -64.3716972, 26: -72.91879886}
FORMULA = "y ~ 0 + (1 + x | g) + (1 | h)"


def data(case: int) -> dict[str, object]:
    g, h, x, y = DATA[case]
    numbers = {name: np.array(text.split(), dtype=float) for name, text in (("y", y), ("x", x))}
    return numbers | {"g": list(g), "h": list(h)}


@pytest.mark.parametrize("case", DATA)
@pytest.mark.parametrize("reml", [True, False])
def test_the_better_factor_holds_the_mean(case, reml):
    fit = mx.lmer(FORMULA, data(case), reml=reml)  # one and the same without fixed effects
    assert fit.convergence.ok
    # R's numbers have ten digits.
    assert fit.loglik == pytest.approx(BEST[case], abs=1e-8)
    y = np.asarray(data(case)["y"])
    again = fit.refit(y)
    assert again.loglik == pytest.approx(BEST[case], abs=1e-8)
    # Another response first: the search of the second does not start at its optimum.
    other = fit.refit(np.sort(y))
    many = mx.refit_many(other, np.column_stack([y, 3.0 * y]))
    # Y in other units: the density changes by the unit.
    expected = BEST[case] - np.array([0.0, y.size * np.log(3.0)])
    np.testing.assert_allclose(many.loglik, expected, atol=1e-8)


def test_the_large_search_tries_them_too(monkeypatch):
    monkeypatch.setattr("mixeff.linear.small.search_arrays", lambda criterion: None)
    for case, best in BEST.items():
        assert mx.lmer(FORMULA, data(case)).loglik == pytest.approx(best, abs=1e-8)


@pytest.mark.parametrize(
    ("formula", "count"),
    [
        ("y ~ 0 + (1 + x | g) + (1 | h)", 2),
        ("y ~ 0 + x + (1 | g) + (1 | h)", 2),
        ("y ~ 1 + (1 + x | g) + (1 | h)", 0),  # the fixed intercept holds it
        ("y ~ 0 + h + (1 | g) + (1 | h)", 0),  # so do indicators
        ("y ~ 0 + (1 + x | g)", 0),  # one factor only
        ("y ~ 0 + (0 + x | g) + (1 | h)", 0),
        ("y ~ 0 + (1 | g) + (0 + x | g)", 0),
    ],
)
def test_ordinary_models_have_no_more_starts(formula, count):
    design = mx.lmer(formula, data(10), reml=False).design
    model = working_model(design, 1)
    starts = constant_starts(model.coordinates, model.partition)
    assert len(starts) == count
    for start in starts:
        # One factor holds the constant with a standard deviation of ten residual ones and its own.
        sizes = []
        for Lambda, basis in zip(
            model.partition.term_factors(start), model.coordinates.random, strict=True
        ):
            if basis.constant is not None:
                c = basis.inverse @ basis.constant
                sizes.append(float(np.linalg.norm(np.linalg.solve(Lambda, c))))
        assert sorted(sizes)[0] == pytest.approx(1.0 / np.sqrt(101.0), rel=1e-12)
