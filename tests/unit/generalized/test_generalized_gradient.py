"""The Laplace criterion equals dense algebra, its gradient the differences of the criterion.

Random models of every family and link: crossed, nested and vector-valued random effects, weights,
an offset. Differences are central, extrapolated twice (error h^6); their rounding, with steps of
0.004 and values up to a few hundred, is near 1e-10, so 1e-7 leaves room only for wrong derivatives.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixeff.errors import ConvergenceError
from support.generalized_models import (
    KINDS,
    SHAPES,
    dense_value,
    differences,
    problem_and_point,
    random_model,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_value_is_that_of_dense_algebra(kind, shape):
    model = random_model(kind, shape, 3, expected=False)
    problem, point = problem_and_point(model, 4, joint=False)
    value = problem.evaluate(point).value
    assert value == pytest.approx(dense_value(problem, point), abs=1e-8, rel=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(sorted(SHAPES)),
    expected=st.booleans(),
    joint=st.booleans(),
)
def test_gradient_is_exact(kind, seed, shape, expected, joint):
    model = random_model(kind, shape, seed, expected)
    try:
        problem, point = problem_and_point(model, seed + 1, joint)
        gradient = problem.evaluate(point).gradient

        def value(at):
            return problem.evaluate(at).value

        found = differences(value, point)
    except ConvergenceError:
        return  # a mean outside the family's range: the criterion does not exist near this point
    np.testing.assert_allclose(gradient, found, atol=1e-7 * (1 + np.abs(found).max()))


def test_gradient_vanishes_at_a_vanished_variance():
    """Theta = 0 is stationary; Xi is what tells whether to leave."""
    model = random_model("poisson log", "slope", 5, expected=False)
    problem, point = problem_and_point(model, 6, joint=False)
    point[:3] = 0.0
    evaluation = problem.evaluate(point)
    assert not evaluation.gradient[:3].any()
    # d f / d Sigma_11 from the value at a small variance t: f(t) - f(0) = Xi t + O(t^2).
    Xi = evaluation.sigma_slopes[0][0, 0]
    values = []
    for t in (1e-4, 2e-4):
        near = np.array(point)
        near[0] = np.sqrt(t)
        values.append((problem.evaluate(near).value - evaluation.value) / t)
    assert 2 * values[0] - values[1] == pytest.approx(Xi, rel=1e-4)


def test_curvature_along_a_direction_is_positive():
    model = random_model("bernoulli logit", "slope", 5, expected=False)
    problem, point = problem_and_point(model, 6, joint=False)
    evaluation = problem.evaluate(point)
    assert evaluation.curvature_along(0, np.array([0.6, 0.8])) > 0
    assert np.linalg.eigvalsh(evaluation.hessian)[0] > 0
    assert replace(evaluation).value == evaluation.value
