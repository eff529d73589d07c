"""Exact second derivatives equal differences of the exact gradient.

Differences are extrapolated twice (error h^6, h = 1e-3). The modes are found to 1e-10 standard
deviations, which over h leaves 1e-7 of the largest entry in the differences.
"""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.control import Control
from mixeff.errors import ConvergenceError
from mixeff.generalized import information as information_module
from mixeff.generalized import working
from mixeff.generalized.directions import directions
from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.fit import fit_generalized
from mixeff.generalized.information import dense_columns, observed_information
from mixeff.generalized.laplace import LaplaceEvaluation
from mixeff.generalized.quadrature import QuadratureProblem
from mixeff.generalized.second_derivatives import criterion_hessian
from support.generalized import case_design, fit_engine
from support.generalized_models import KINDS, SHAPES, problem_and_point, random_model


def differences_of_gradient(
    evaluation: LaplaceEvaluation, theta: np.ndarray, h: float = 1e-3
) -> np.ndarray:
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
        for size in (h / 2, h, 2 * h):
            step[j] = size
            slopes.append((gradient(at + step) - gradient(at - step)) / (2 * size))
        finer, coarser = ((4 * slopes[i] - slopes[i + 1]) / 3 for i in (0, 1))
        found[j] = (16 * finer - coarser) / 15
    return found


def caller_theta(evaluation: LaplaceEvaluation) -> np.ndarray:
    problem = evaluation.problem
    inner = problem.partition.theta(evaluation.theta)
    coordinates = problem.model.coordinates
    return coordinates.thetas(problem.partition.covariance, inner[None, :])[0]


def in_callers_beta(evaluation: LaplaceEvaluation, hessian: np.ndarray) -> np.ndarray:
    model = evaluation.problem.model
    change = np.eye(hessian.shape[0])
    own = slice(model.partition.n_theta, model.partition.n_theta + model.p)
    change[own, own] = model.coordinates.fixed.inverse
    return 0.5 * change.T @ hessian @ change


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "expected"), [*((shape, False) for shape in SHAPES), ("crossed", True)]
)
def test_second_derivatives(kind, shape, expected):
    model = random_model(kind, shape, 3, expected)
    problem, point = problem_and_point(model, 4, joint=False)
    evaluation = problem.evaluate(point)
    theta = caller_theta(evaluation)
    every = directions(evaluation, theta, model.coordinates)
    exact = criterion_hessian(evaluation, every)
    found = differences_of_gradient(evaluation, theta)
    np.testing.assert_allclose(exact, found, atol=1e-7 * np.abs(found).max())


@pytest.mark.parametrize("seed", range(10, 16))
def test_information_in_the_callers_units(seed):
    kind = sorted(KINDS)[2 * seed % len(KINDS)]
    model = random_model(kind, "three", seed, expected=False)
    problem, point = problem_and_point(model, seed, joint=False)
    evaluation = problem.evaluate(point)
    theta = caller_theta(evaluation)
    got = observed_information(evaluation, theta, model.coordinates)
    assert got.exact
    found = in_callers_beta(evaluation, differences_of_gradient(evaluation, theta))
    np.testing.assert_allclose(got.matrix, found, atol=1e-6 * np.abs(found).max())


@pytest.mark.parametrize("shape", ["slope", "crossed"])
def test_a_vanished_column_of_lambda_does_not_take_part(shape):
    model = random_model("poisson log", shape, 3, expected=False)
    problem, point = problem_and_point(model, 4, joint=False)
    point[2] = 0.0  # the covariance matrix of (intercept, x) by g has rank one
    evaluation = problem.evaluate(point)
    theta = caller_theta(evaluation)
    theta[np.abs(theta) < 1e-12] = 0.0
    assert theta[2] == 0.0
    got = observed_information(evaluation, theta, model.coordinates)
    assert not got.matrix[2].any()
    assert not got.matrix[:, 2].any()
    found = in_callers_beta(evaluation, differences_of_gradient(evaluation, theta))
    found[2] = found[:, 2] = 0.0
    np.testing.assert_allclose(got.matrix, found, atol=1e-6 * np.abs(found).max())


def test_quadrature_is_differenced():
    """In steps of a thousandth of a standard deviation, which leave an error of their square."""
    model = random_model("poisson log", "slope", 3, expected=False)
    problem, point = problem_and_point(model, 4, joint=False)
    problem = QuadratureProblem(
        model, problem.partition, joint=False, start=problem.start
    ).with_nodes(3)
    evaluation = problem.evaluate(point)
    theta = caller_theta(evaluation)
    found = in_callers_beta(evaluation, differences_of_gradient(evaluation, theta))
    got = observed_information(evaluation, theta, model.coordinates)
    assert not got.exact
    np.testing.assert_allclose(got.matrix, found, atol=1e-5 * np.abs(found).max())


def test_differences_where_the_dense_part_is_too_large(monkeypatch):
    model = random_model("gamma log", "crossed", 3, expected=False)
    problem, point = problem_and_point(model, 4, joint=False)
    evaluation = problem.evaluate(point)
    theta = caller_theta(evaluation)
    exact = observed_information(evaluation, theta, model.coordinates)
    monkeypatch.setattr(information_module, "_MEMORY", 1.0)
    got = observed_information(evaluation, theta, model.coordinates)
    assert exact.exact
    assert not got.exact
    np.testing.assert_allclose(got.matrix, exact.matrix, atol=1e-5 * np.abs(exact.matrix).max())


def test_what_cannot_be_computed_is_nan(monkeypatch):
    model = random_model("poisson log", "crossed", 3, expected=False)
    problem, point = problem_and_point(model, 4, joint=False)
    evaluation = problem.evaluate(point)

    def fails(*_):
        raise ConvergenceError("no modes")

    monkeypatch.setattr(information_module, "criterion_hessian", fails)
    got = observed_information(evaluation, caller_theta(evaluation), model.coordinates)
    assert not got.known
    assert not got.positive
    assert np.isnan(got.covariance).all()


def test_the_reader_is_told_of_differences_and_of_failure(monkeypatch):
    control = Control(threads=1)

    def notes():
        design = case_design("grouse_p")
        return " ".join(fit_generalized(design, family_of("poisson"), control=control).notes)

    def fails(*_):
        raise ConvergenceError("no modes")

    assert "Standard errors" not in notes()
    monkeypatch.setattr(information_module, "_MEMORY", -1.0)
    assert "Standard errors are from differences" in notes()
    monkeypatch.setattr(information_module, "gradient_differences", fails)
    assert "no standard errors (NaN)" in notes()


@pytest.mark.parametrize(
    ("shape", "columns"), [("one", 0), ("split", 0), ("nested", 0), ("crossed", 5), ("three", 11)]
)
def test_columns_of_the_dense_part(shape, columns):
    """The levels of g are eliminated; 5 of h (and 3 of k, two columns each) are left."""
    model = random_model("poisson log", shape, 3, expected=False)
    assert dense_columns(model.rows) == columns


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
