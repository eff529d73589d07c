"""Exact second derivatives equal differences of the exact gradient.

Differences are extrapolated (error h^4, h = 1e-4); rounding of the gradient over h leaves 1e-9.
"""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.control import Control
from mixeff.generalized import working
from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.fit import fit_generalized
from mixeff.generalized.information import observed_information
from mixeff.generalized.laplace import LaplaceEvaluation
from mixeff.generalized.quadrature import QuadratureProblem
from mixeff.generalized.second import can_differentiate, second_derivatives
from support.generalized import case_design, fit_engine
from support.generalized_models import KINDS, problem_and_point, random_model


def differences_of_gradient(evaluation: LaplaceEvaluation, theta: np.ndarray) -> np.ndarray:
    """Hessian in the caller's theta and the working parameters behind it."""
    problem, coordinates = evaluation.problem, evaluation.problem.model.coordinates
    covariance = problem.partition.covariance
    at = np.concatenate([theta, problem.partition.free(evaluation.theta)])

    def gradient(point: np.ndarray) -> np.ndarray:
        inner = coordinates.working_theta(covariance, point[: theta.size])
        here = problem.evaluate(np.concatenate([inner, point[theta.size :]]))
        return here.callers_gradient(coordinates, point[: theta.size])

    found = np.zeros((at.size, at.size))
    for j in range(at.size):
        step = np.zeros(at.size)
        slopes = []
        for h in (1e-4, 2e-4):
            step[j] = h
            slopes.append((gradient(at + step) - gradient(at - step)) / (2 * h))
        found[j] = (4 * slopes[0] - slopes[1]) / 3
    return found


def caller_theta(evaluation: LaplaceEvaluation) -> np.ndarray:
    problem = evaluation.problem
    inner = problem.partition.theta(evaluation.theta)
    coordinates = problem.model.coordinates
    return coordinates.thetas(problem.partition.covariance, inner[None, :])[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["one", "slope", "split"])
def test_second_derivatives(kind, shape):
    model = random_model(kind, shape, 3, expected=False)
    problem, point = problem_and_point(model, 4, joint=False)
    evaluation = problem.evaluate(point)
    assert can_differentiate(evaluation)
    theta = caller_theta(evaluation)
    exact = second_derivatives(evaluation, theta, model.coordinates)
    found = differences_of_gradient(evaluation, theta)
    np.testing.assert_allclose(exact, found, atol=1e-7 * np.abs(found).max())


def test_what_is_not_differentiated_is_differenced():
    """Crossed factors and quadrature: steps of a thousandth of a standard deviation."""
    for shape, nodes in (("crossed", 1), ("slope", 3)):
        model = random_model("poisson log", shape, 3, expected=False)
        problem, point = problem_and_point(model, 4, joint=False)
        if nodes > 1:
            problem = QuadratureProblem(
                model, problem.partition, joint=False, start=problem.start
            ).with_nodes(nodes)
        evaluation = problem.evaluate(point)
        assert not can_differentiate(evaluation)
        theta = caller_theta(evaluation)
        found = 0.5 * differences_of_gradient(evaluation, theta)
        k, p = theta.size, model.p
        back = model.coordinates.fixed.inverse
        found[:, k : k + p] = found[:, k : k + p] @ back
        found[k : k + p] = back.T @ found[k : k + p]
        got = observed_information(evaluation, theta, model.coordinates)
        # A step of 1e-3 standard deviations leaves an error of its square.
        np.testing.assert_allclose(got.matrix, found, atol=1e-5 * np.abs(found).max())


def test_rows_may_be_sorted_for_the_sums(monkeypatch):
    """The order of the rows is the machine's matter: estimates agree to rounding."""
    plain = fit_engine("grouse_p")
    monkeypatch.setattr(working, "SORTED", 0)
    control = Control(threads=1)
    other = fit_generalized(case_design("grouse_p"), family_of("poisson"), control=control)
    assert other.loglik == pytest.approx(plain.loglik, abs=1e-9)
    np.testing.assert_allclose(other.linear_predictor, plain.linear_predictor, atol=1e-6)
    for a, b in zip(other.modes, plain.modes, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
