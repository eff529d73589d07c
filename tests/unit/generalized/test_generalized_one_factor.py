"""The compiled criterion of one grouping factor: against the general path, dense algebra, and the
differences of its own gradient, on random models of every family and link.

Value and gradient are compared with another code for the same formulas: 1e-9 leaves room for the
modes, right to 1e-10 standard deviations, with means near the edge of what a link allows.
Differences are central, extrapolated twice (error h^6), of gradients right to 1e-12 in steps of
0.004: 1e-7 of the largest second derivative leaves room only for wrong formulas.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixeff.errors import ConvergenceError
from mixeff.generalized.one_factor import OneFactorProblem, SortedRows
from mixeff.generalized.one_factor_nodes import OneFactorQuadrature
from mixeff.generalized.quadrature import QuadratureProblem
from mixeff.linear.coordinates import Coordinates
from support.generalized_models import (
    KINDS,
    dense_value,
    differences,
    problem_and_point,
    random_model,
)

SHAPES = ("one", "slope", "split")


def both(kind, shape, seed, expected):
    model = random_model(kind, shape, seed, expected)
    general, point = problem_and_point(model, seed + 1, joint=False)
    rows = SortedRows.of(model)
    return general, OneFactorProblem(model, general.partition, rows), point


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), shape=st.sampled_from(SHAPES), expected=st.booleans())
def test_equals_the_general_path(kind, seed, shape, expected):
    general, compiled, point = both(kind, shape, seed, expected)
    try:
        one = general.evaluate(point)
        one.gradient  # noqa: B018
    except ConvergenceError:
        return  # a mean outside the family's range: the criterion does not exist here
    two = compiled.evaluate(point)
    assert two.value == pytest.approx(one.value, rel=1e-10, abs=1e-9)
    scale = 1.0 + np.abs(one.gradient).max()
    np.testing.assert_allclose(two.gradient, one.gradient, atol=2e-9 * scale)
    for a, b in zip(one.sigma_slopes, two.sigma_slopes, strict=True):
        np.testing.assert_allclose(b, a, atol=2e-9 * (1.0 + np.abs(a).max()))
    for a, b in zip(one._working, two._working, strict=True):
        np.testing.assert_allclose(b, a, atol=2e-9 * (1.0 + np.abs(a).max()))
    for a, b in zip(one.conditional_variances(), two.conditional_variances(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(two.point.eta, one.point.eta, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("expected", [False, True])
def test_value_is_that_of_dense_algebra(kind, shape, expected):
    general, compiled, point = both(kind, shape, 3, expected)
    value = compiled.evaluate(point).value
    assert value == pytest.approx(dense_value(general, point), abs=1e-9, rel=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), shape=st.sampled_from(SHAPES), expected=st.booleans())
def test_hessian_is_exact(kind, seed, shape, expected):
    _, problem, point = both(kind, shape, seed, expected)
    try:
        hessian = problem.evaluate(point).found.hessian
        found = [
            differences(lambda at, j=j: problem.evaluate(at).gradient[j], point)
            for j in range(point.size)
        ]
    except ConvergenceError:
        return
    np.testing.assert_allclose(hessian, found, atol=1e-7 * (1.0 + np.abs(hessian).max()))


@pytest.mark.parametrize("kind", ["bernoulli logit", "gamma log", "nb2 log"])
@pytest.mark.parametrize("shape", SHAPES)
def test_hessian_in_the_callers_units_is_that_of_its_gradient(kind, shape):
    _, problem, point = both(kind, shape, 5, False)
    model = problem.model
    coordinates: Coordinates = model.coordinates
    k = model.partition.n_theta
    inner = point[:k]
    theta = coordinates.thetas(model.partition, inner[None, :]).ravel()

    def gradient(at):
        working = coordinates.working_theta(model.partition, at[:k])
        evaluation = problem.evaluate(np.concatenate([working, at[k:]]))
        return evaluation.callers_gradient(coordinates, at[:k])

    at = np.concatenate([theta, point[k:]])
    hessian = problem.evaluate(point).callers_hessian(coordinates, theta)
    found = [differences(lambda v, j=j: gradient(v)[j], at) for j in range(at.size)]
    np.testing.assert_allclose(hessian, found, atol=1e-7 * (1.0 + np.abs(hessian).max()))


def test_gradient_and_hessian_rows_of_a_vanished_column_are_zero():
    _, problem, point = both("poisson log", "slope", 4, False)
    point[:3] = [0.4, 0.2, 0.0]
    evaluation = problem.evaluate(point)
    assert evaluation.gradient[2] == 0.0
    assert not evaluation.hessian[2].any()
    assert evaluation.sigma_slopes[0][1, 1] != 0.0


def test_threads_change_no_digit():
    rng = np.random.default_rng(1)
    _, problem, point = both("bernoulli logit", "slope", 2, False)
    rows = problem.rows
    J, n = 900, 9000
    codes = np.sort(rng.integers(0, J, n))
    pointer = np.searchsorted(codes, np.arange(J + 1)).astype(np.int64)
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    many = replace(
        rows, y=(rng.random(n) < 0.4).astype(float), weights=np.empty(0), offset=np.zeros(n),
        X=X, Z=X, pointer=pointer,
    )  # fmt: skip
    found = []
    for threads in (1, 3):
        other = OneFactorProblem(problem.model, problem.partition, replace(many, threads=threads))
        found.append(other.evaluate(point))
    assert found[0].value == found[1].value
    np.testing.assert_array_equal(found[0].gradient, found[1].gradient)
    np.testing.assert_array_equal(found[0].found.hessian, found[1].found.hessian)


def test_impossible_means_are_refused():
    _, problem, point = both("poisson identity", "one", 1, False)
    point = np.array(point)
    point[1:3] = [-50.0, 0.0]
    with pytest.raises(ConvergenceError, match="outside the range"):
        problem.evaluate(point)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["one", "slope"])
@pytest.mark.parametrize("n_nodes", [1, 4, 5])
def test_quadrature_equals_the_general_path(kind, shape, n_nodes):
    general, laplace, point = both(kind, shape, 6, False)
    slow = QuadratureProblem(
        general.model, general.partition, joint=False, start=general.start
    ).with_nodes(n_nodes)
    try:
        one = slow.evaluate(point)
        gradient = one.gradient
    except ConvergenceError:
        return
    problem = OneFactorQuadrature.like(laplace, n_nodes)
    two = problem.evaluate(point)
    assert two.value == pytest.approx(one.value, rel=1e-10, abs=1e-9)
    if not np.isfinite(gradient).all():  # a node at impossible means: the general path gives up
        # Other nodes are near such means, so only short steps have no bend: rounding is 1e-8 then.
        found = differences(lambda at: problem.evaluate(at).value, point, h=2e-4)
        np.testing.assert_allclose(two.gradient, found, atol=1e-6 * (1.0 + np.abs(found).max()))
        return
    scale = 1.0 + np.abs(gradient).max()
    np.testing.assert_allclose(two.gradient, gradient, atol=2e-9 * scale)
