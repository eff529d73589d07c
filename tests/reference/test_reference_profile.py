"""Profile intervals of every case that has them, against R's confint(profile(fit)).

R's limits are read off splines through a fine grid of points, each optimized to a tolerance of its
own; `max_abs_grid_difference`, how far they move from R's default grid to the fine one, bounds
their accuracy. Here limits are exact, so 1e-4 relative is R's part.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import mixeff as mx
from support.fits import fit_case
from support.reference import case_ids, load_case, load_frame

CASES = [i for k in ("lmm", "glmm") for i in case_ids(k) if "confint_profile" in load_case(i)]
LEVELS = [95, 90]


def of_r(case: dict[str, Any], level: int) -> np.ndarray:
    return np.array(case["confint_profile"][f"level{level}"]["values"], dtype=float)


def generalized(case: dict[str, Any]) -> mx.GeneralizedMixedModel:
    return mx.glmer(case["formula"], load_frame(case["data"]), family=case["family"])


def test_all_cases_are_here() -> None:
    assert len(CASES) == 10


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", CASES)
def test_limits(name: str, level: int) -> None:
    case = load_case(name)
    fit = generalized(case) if case["kind"] == "glmm" else fit_case(name)
    got = fit.confint(level / 100, "profile")
    names = case["confint_profile"]["readable_names"]
    assert got.index.tolist()[: len(names)] == names
    want = of_r(case, level)
    if name == "dyestuff2_singular":
        # R's (0, Inf) for sigma is a spline that failed; the test below has the right ones.
        got, want = got.drop(index="sigma"), np.delete(want, 1, axis=0)
    near = 1e-4 * np.abs(want) + 1e-12
    assert np.all(np.abs(got.to_numpy() - want) <= near)


@pytest.mark.parametrize("level", LEVELS)
def test_sigma_where_r_gives_no_interval(level: int) -> None:
    """dyestuff2: with the best standard deviation of the batches at every sigma, by dense algebra.

    The mean profiles out (balanced one-way layout): with a = sigma^2, b = a + 5 s^2, J = 6 batches,
    -2 log L = J (4 log a + log b) + W / a + B / b + const for the sums of squares within W and
    between B.
    """
    data = load_frame("Dyestuff2")
    y = data["Yield"].to_numpy(float).reshape(6, 5)
    within = float(((y - y.mean(1, keepdims=True)) ** 2).sum())
    between = float(5 * ((y.mean(1) - y.mean()) ** 2).sum())

    def deviance(a: float) -> float:
        b = max(a, between / 6)
        return 6 * (4 * math.log(a) + math.log(b)) + within / a + between / b

    best = minimize_scalar(deviance, bounds=(1, 100), method="bounded", options={"xatol": 1e-12})
    cut = {95: 3.841458820694124, 90: 2.705543454095404}[level]  # qchisq(level, 1)

    def rise(a: float) -> float:
        return deviance(a) - best.fun - cut

    want = [math.sqrt(brentq(rise, *ends, xtol=1e-12)) for ends in ((1, best.x), (best.x, 200))]
    got = mx.lmer("Yield ~ 1 + (1 | Batch)", data, reml=False).confint(level / 100, "profile")
    np.testing.assert_allclose(got.loc["sigma"], want, rtol=1e-8)
