"""The Laplace criterion equals dense algebra, its gradient the differences of the criterion.

Random models of every family and link: crossed, nested and vector-valued random effects, weights,
an offset. Differences are central, extrapolated twice (error h^6); their rounding, with steps of
0.004 and values up to a few hundred, is near 1e-10, so 1e-7 leaves room only for wrong derivatives.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixeff.errors import ConvergenceError
from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.laplace import LaplaceProblem
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.pirls import Pirls
from mixeff.generalized.working import GeneralizedModel, working_generalized
from support.handmade import make_design

# Family, link, and the linear predictor's range in which all means are allowed.
KINDS = {
    "bernoulli logit": ("binomial", "logit", 0.0, 0.7),
    "binomial probit": ("binomial", "probit", 0.0, 0.5),
    "binomial cloglog": ("binomial", "cloglog", -0.5, 0.4),
    "binomial cauchit": ("binomial", "cauchit", 0.0, 0.3),
    "poisson log": ("poisson", "log", 0.5, 0.5),
    "poisson sqrt": ("poisson", "sqrt", 3.0, 0.3),
    "poisson identity": ("poisson", "identity", 9.0, 0.6),
    "gamma log": ("Gamma", "log", 0.3, 0.4),
    "gamma inverse": ("Gamma", "inverse", 3.0, 0.2),
    "gamma identity": ("Gamma", "identity", 5.0, 0.3),
    "inverse gaussian log": ("inverse.gaussian", "log", 0.2, 0.3),
    "inverse gaussian 1/mu^2": ("inverse.gaussian", "1/mu^2", 3.0, 0.2),
    "gaussian log": ("gaussian", "log", 1.0, 0.2),
    "gaussian identity": ("gaussian", "identity", 0.0, 1.0),
    "gaussian inverse": ("gaussian", "inverse", 2.0, 0.1),
    "nb2 log": ("negative_binomial", "log", 1.0, 0.4),
    "nb1 log": ("nbinom1", "log", 1.0, 0.4),
}
SHAPES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "one": (("g", ("(Intercept)",)),),
    "slope": (("g", ("(Intercept)", "x")),),
    "crossed": (("g", ("(Intercept)", "x")), ("h", ("(Intercept)",))),
    "nested": (("s", ("(Intercept)",)), ("g", ("(Intercept)",))),
    "three": (("g", ("(Intercept)",)), ("h", ("(Intercept)",)), ("k", ("(Intercept)", "x"))),
    "split": (("g", ("(Intercept)",)), ("g", ("x",))),
}


def random_model(kind: str, shape: str, seed: int, expected: bool) -> GeneralizedModel:
    family_name, link, middle, spread = KINDS[kind]
    rng = np.random.default_rng(seed)
    n = 48
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "g": rng.integers(0, 8, n),
            "h": rng.integers(0, 5, n),
            "k": rng.integers(0, 3, n),
        }
    )
    frame["s"] = frame["g"] // 3
    family = family_of(family_name, link)
    eta = middle + spread * 0.5 * (frame["x"].to_numpy() + rng.normal(size=8)[frame["g"]])
    if family_name == "binomial" and link != "logit":
        weights = rng.integers(1, 6, n).astype(float)
    else:
        weights = None if rng.random() < 0.5 else np.ones(n)
        if family_name in ("Gamma", "gaussian", "inverse.gaussian"):
            weights = rng.uniform(0.5, 2.0, n)
    mu = family.link.mu(np.maximum(eta, 0.2 * middle) if middle > 1 else eta)
    frame["y"] = family.simulate(rng, mu, weights, 0.2)
    frame["y"] = np.maximum(frame["y"], 1e-3) if "a" in family_name[:2] else frame["y"]
    if family_name in ("Gamma", "inverse.gaussian"):
        frame["y"] = np.maximum(frame["y"], 1e-3)
    design = make_design(
        frame, "y", ("(Intercept)", "x"), SHAPES[shape], weights=weights,
        offset=0.1 * rng.normal(size=n) if middle < 1.5 else None,
    )  # fmt: skip
    return working_generalized(design, family, expected=expected, threads=1)


def problem_and_point(
    model: GeneralizedModel, seed: int, joint: bool
) -> tuple[LaplaceProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    free = (0 if joint else model.p) + model.family.has_dispersion
    partition = JointPartition(model.partition, free)
    theta = rng.normal(size=model.partition.n_theta) * 0.3
    theta[model.partition.is_diagonal] = rng.uniform(0.1, 0.6, model.partition.is_diagonal.sum())
    behind = [] if joint else [model.first.beta + 0.05 * rng.normal(size=model.p)]
    if model.family.has_dispersion:
        behind.append(np.array([np.log(model.first.dispersion) + 0.1]))
    start = Pirls(model, joint=joint).at(
        model.partition.block_factors(theta), model.zero_effects(), model.first.beta, 1.0
    )
    problem = LaplaceProblem(model, partition, joint=joint, start=start)
    return problem, np.concatenate([theta, *behind])


def differences(value: Any, at: np.ndarray, h: float = 0.004) -> np.ndarray:
    """Central differences extrapolated twice: error of order h^6."""
    found = np.zeros_like(at)
    for j in range(at.size):
        step = np.zeros_like(at)

        def slope(size: float, step: np.ndarray = step, j: int = j) -> float:
            step[j] = size
            return (value(at + step) - value(at - step)) / (2 * size)

        one, two, four = slope(h / 2), slope(h), slope(2 * h)
        a, b = (4 * one - two) / 3, (4 * two - four) / 3
        found[j] = (16 * a - b) / 15
    return found


def dense_value(problem: LaplaceProblem, point: np.ndarray) -> float:
    """The criterion by Newton's method on dense matrices, from its definition."""
    model = problem.model
    beta, dispersion = problem.parts(point)
    n = model.y.size
    blocks = []
    for g, L in zip(model.rows.groups, problem.partition.block_factors(point), strict=True):
        Z = np.zeros((n, g.n_levels, g.Z.shape[1]))
        Z[np.arange(n), g.codes] = g.Z @ L
        blocks.append(Z.reshape(n, -1))
    ZL = np.hstack(blocks)
    u = np.zeros(ZL.shape[1])
    for _ in range(200):
        terms = model.terms(model.offset + model.rows.X @ beta + ZL @ u, dispersion)
        M = ZL.T @ (terms.weight[:, None] * ZL) + np.eye(u.size)
        step = np.linalg.solve(M, ZL.T @ terms.score - u)
        u = u + step * min(1.0, 1.0 / (1e-300 + np.abs(step).max()))
        if np.abs(step).max() < 1e-13:
            break
    terms = model.terms(model.offset + model.rows.X @ beta + ZL @ u, dispersion)
    weight = terms.weight
    if model.expected:
        eta = model.offset + model.rows.X @ beta + ZL @ u
        weight = model.terms(eta, dispersion, expected=True).weight
    M = ZL.T @ (weight[:, None] * ZL) + np.eye(u.size)
    return float(-2.0 * terms.loglik.sum() + u @ u + np.linalg.slogdet(M)[1])


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
