"""Adaptive quadrature: exact gradient, right integrals, clear refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import nquad

from mixeff.control import Control
from mixeff.errors import OptionError
from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.fit import fit_generalized
from mixeff.generalized.laplace import LaplaceProblem
from mixeff.generalized.quadrature import QuadratureProblem, grid
from support.generalized import case_design
from support.generalized_models import differences, problem_and_point, random_model

KINDS = ["bernoulli logit", "binomial cloglog", "poisson log", "gamma log", "nb2 log"]


def quadrature(kind: str, shape: str, nodes: int) -> tuple[QuadratureProblem, np.ndarray]:
    model = random_model(kind, shape, 3, expected=False)
    problem, point = problem_and_point(model, 4, joint=False)
    found = QuadratureProblem(model, problem.partition, joint=False, start=problem.start)
    return found.with_nodes(nodes), point


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["one", "slope", "split"])
@pytest.mark.parametrize("nodes", [1, 3, 6])
def test_gradient_is_exact(kind, shape, nodes):
    problem, point = quadrature(kind, shape, nodes)
    gradient = problem.evaluate(point).gradient
    found = differences(lambda at: problem.evaluate(at).value, point)
    np.testing.assert_allclose(gradient, found, atol=1e-7 * (1 + np.abs(found).max()))


@pytest.mark.parametrize("kind", KINDS)
def test_one_node_is_laplace(kind):
    problem, point = quadrature(kind, "slope", 1)
    laplace = LaplaceProblem(problem.model, problem.partition, joint=False, start=problem.start)
    assert problem.evaluate(point).value == pytest.approx(laplace.evaluate(point).value, rel=1e-12)


@pytest.mark.parametrize(("shape", "q"), [("one", 1), ("slope", 2)])
def test_integrals_are_those_of_numerical_integration(shape, q):
    """By SciPy's adaptive integration over the spherical effects, level by level."""
    problem, point = quadrature("bernoulli logit", shape, 24 if q == 1 else 40)
    model = problem.model
    beta, dispersion = problem.parts(point)
    (group,) = model.rows.groups
    (Lambda,) = problem.partition.block_factors(point)
    total = 0.0
    for level in range(group.n_levels):
        rows = np.flatnonzero(group.codes == level)
        base = (model.offset + model.rows.X @ beta)[rows]
        ZL = group.Z[rows] @ Lambda
        weights = None if model.weights is None else model.weights[rows]

        def density(*u, base=base, ZL=ZL, rows=rows, weights=weights):
            v = np.array(u)
            terms = model.family.row_terms(model.y[rows], base + ZL @ v, weights, dispersion)
            return math.exp(terms.loglik.sum() - 0.5 * v @ v) / (2 * math.pi) ** (q / 2)

        options = {"epsabs": 1e-12, "epsrel": 1e-9}
        total += -2.0 * math.log(nquad(density, [(-8, 8)] * q, opts=options)[0])
    # The product rule has converged to about 1e-8 with this many nodes.
    assert problem.evaluate(point).value == pytest.approx(total, abs=1e-6)


def test_rule_integrates_polynomials_of_the_normal():
    nodes, log_weights = grid(5, 2)
    w = np.exp(log_weights)
    # Moments of independent standard normals: 1, E x^4 = 3, E x^2 y^2 = 1, E x^8 = 105.
    assert w.sum() == pytest.approx(1.0, rel=1e-12)
    assert w @ nodes[:, 0] ** 4 == pytest.approx(3.0, rel=1e-12)
    assert w @ (nodes[:, 0] ** 2 * nodes[:, 1] ** 2) == pytest.approx(1.0, rel=1e-12)
    assert w @ nodes[:, 1] ** 8 == pytest.approx(105.0, rel=1e-12)


def fit(name: str, family: str, n_agq: object) -> None:
    fit_generalized(case_design(name), family_of(family), n_agq=n_agq, control=Control())


def test_what_quadrature_cannot_do_is_refused():
    with pytest.raises(OptionError, match="one grouping factor, and this model has 3"):
        fit("grouse_p", "poisson", 5)
    with pytest.raises(OptionError, match="at most 100"):
        fit("cbpp_laplace", "binomial", 101)
    for bad in (-1, 1.5, True, "7"):
        with pytest.raises(OptionError, match="n_agq must be an integer"):
            fit("cbpp_laplace", "binomial", bad)
