"""Every family with every link that ``glmer`` accepts, read from its own tables, and a user's link.

The criterion against its definition on dense matrices, its gradient against differences (central,
extrapolated: see ``differences``), the compiled code for one grouping factor against the general
one and against differences of its gradient, quadrature with many nodes against integration of
SciPy's densities. Linear predictors stay where all means are allowed, so that nothing is skipped.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from mixeff.families import NegativeBinomial, NegativeBinomial1, UserLink
from mixeff.generalized.families.family import Family
from mixeff.generalized.families.link_names import _LINKS, link_named
from mixeff.generalized.families.lookup import _FAMILIES, family_of
from mixeff.generalized.laplace import LaplaceProblem
from mixeff.generalized.one_factor import OneFactorProblem, SortedRows
from mixeff.generalized.one_factor_nodes import OneFactorQuadrature
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.pirls import Pirls
from mixeff.generalized.quadrature import QuadratureProblem
from mixeff.generalized.working import GeneralizedModel, working_generalized
from support.generalized_models import SHAPES, dense_value, differences
from support.handmade import make_design

LOGLOG = UserLink(
    lambda mu: -np.log(-np.log(mu)),
    lambda eta: np.exp(-np.exp(-eta)),
    lambda eta: np.exp(-eta - np.exp(-eta)),
    name="loglog",
    mean_range=(0.0, 1.0),
)
SOFTPLUS = UserLink(
    lambda mu: np.log(np.expm1(mu)),
    lambda eta: np.logaddexp(0.0, eta),
    lambda eta: 1.0 / (1.0 + np.exp(-eta)),
    name="softplus",
    mean_range=(0.0, math.inf),
)
USERS = {"loglog": LOGLOG, "softplus": SOFTPLUS}

NAMES = list(dict.fromkeys(family_of(name).name for name in _FAMILIES))
KNOWN = {"Negative Binomial, known": NegativeBinomial, "nbinom1, known": NegativeBinomial1}
PAIRS = [
    (name, link) for name in NAMES for link in (*_LINKS, *USERS)
    if not (name == "binomial" and link == "softplus")  # its means exceed one
] + [(name, "log") for name in KNOWN]  # fmt: skip
EDGED = ("identity", "inverse", "1/mu^2", "sqrt")


def made(name: str, link: str) -> Family:
    if name in KNOWN:
        return KNOWN[name](2.0)
    return family_of(name.replace("Negative Binomial", "nbinom2"), USERS.get(link, link))


def model_of(name: str, link: str, shape: str, expected: bool = False) -> GeneralizedModel:
    """Random data with means near the middle of what family and link allow."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {link} {shape}".encode()))
    family, n = made(name, link), 48
    found = USERS.get(link) or link_named(link)
    unit = name == "binomial" or found.mean_range[1] == 1.0
    middle = 0.5 if unit else 4.0
    eta0 = found.eta(np.array([middle]))
    # Predictors whose means stay within a quarter of the middle.
    size = abs(0.06 * middle / found.derivatives(eta0)[0][0])
    frame = pd.DataFrame(
        {
            "x": rng.uniform(-1, 1, size=n),
            "g": np.arange(n) % 7,
            "h": rng.integers(0, 4, n),
            "k": rng.integers(0, 3, n),
        }
    )
    frame["s"] = frame["g"] // 3
    eta = eta0 + size * (frame["x"].to_numpy() + rng.uniform(-1, 1, 7)[frame["g"]])
    weights = rng.uniform(0.5, 2.0, n)
    if name == "binomial":
        weights = rng.integers(1, 6, n).astype(float)
    mu = family.link.mu(eta)
    dispersion = {"nbinom1": 0.5, "gaussian": (0.1 * middle) ** 2}.get(name, 2.0)
    dispersion = {"Gamma": 0.03, "inverse.gaussian": 0.02 / middle}.get(name, dispersion)
    frame["y"] = family.simulate(rng, mu, weights, dispersion)
    design = make_design(
        frame, "y", ("(Intercept)", "x"), SHAPES[shape], weights=weights,
        offset=0.2 * size * rng.uniform(-1, 1, n),
    )  # fmt: skip
    return working_generalized(design, family, expected=expected, threads=1)


def problem_of(model: GeneralizedModel, joint: bool = False) -> tuple[LaplaceProblem, np.ndarray]:
    """The criterion, and a point with small variances near the fixed start."""
    rng = np.random.default_rng(1)
    estimated = model.observations.estimates_dispersion
    free = (0 if joint else model.p) + estimated
    partition = JointPartition(model.partition, free)
    theta = 0.3 * rng.normal(size=model.partition.n_theta)
    diagonal = model.partition.is_diagonal
    theta[diagonal] = rng.uniform(0.3, 1.0, diagonal.sum())
    # In units of a row's deviation, which for counts and chances is a good part of the mean: with
    # these links six deviations of an effect would lead to means that there are not.
    rough = model.family.name not in ("Gamma", "inverse.gaussian", "gaussian")
    theta *= 0.06 if rough and model.family.link.name in EDGED else 0.3
    behind = [] if joint else [model.first.beta * (1 + 0.01 * rng.normal(size=model.p))]
    if estimated:
        behind.append(np.array([math.log(model.first.dispersion) + 0.1]))
    start = Pirls(model, joint=joint).at(
        model.partition.block_factors(theta), model.zero_effects(), model.first.beta,
        model.first.dispersion,
    )  # fmt: skip
    problem = LaplaceProblem(model, partition, joint=joint, start=start)
    return problem, np.concatenate([theta, *behind])


def assert_differences(problem: Any, point: np.ndarray) -> None:
    gradient = problem.evaluate(point).gradient
    found = differences(lambda at: problem.evaluate(at).value, point)
    np.testing.assert_allclose(gradient, found, atol=1e-7 * (1 + np.abs(found).max()))


def test_the_tables_are_complete() -> None:
    assert len(NAMES) == len(set(_FAMILIES.values())) == 7
    assert len(PAIRS) == 7 * (len(_LINKS) + 2) - 1 + 2


@pytest.mark.parametrize(("name", "link"), PAIRS)
@pytest.mark.parametrize(("shape", "expected"), [("slope", True), ("crossed", False)])
def test_laplace_of_any_grouping_factors(name: str, link: str, shape: str, expected: bool) -> None:
    problem, point = problem_of(model_of(name, link, shape, expected))
    value = problem.evaluate(point).value
    assert value == pytest.approx(dense_value(problem, point), abs=1e-8, rel=1e-11)
    assert_differences(problem, point)


@pytest.mark.parametrize(("name", "link"), PAIRS)
def test_fixed_effects_found_with_the_modes(name: str, link: str) -> None:
    """The criterion of ``n_agq=0``."""
    assert_differences(*problem_of(model_of(name, link, "nested"), joint=True))


@pytest.mark.parametrize(("name", "link"), PAIRS)
def test_compiled_criterion_of_one_factor(name: str, link: str) -> None:
    model = model_of(name, link, "slope")
    rows = SortedRows.of(model)
    general, point = problem_of(model)
    if rows is None:
        assert model.observations.compiled is None  # no pass for this pair: the general path
        return
    compiled = OneFactorProblem(model, general.partition, rows)
    one, two = general.evaluate(point), compiled.evaluate(point)
    assert two.value == pytest.approx(one.value, rel=1e-11, abs=1e-9)
    scale = 1.0 + np.abs(one.gradient).max()
    np.testing.assert_allclose(two.gradient, one.gradient, atol=2e-9 * scale)
    found = [
        differences(lambda at, j=j: compiled.evaluate(at).gradient[j], point)
        for j in range(point.size)
    ]
    hessian = two.found.hessian
    np.testing.assert_allclose(hessian, found, atol=1e-7 * (1.0 + np.abs(hessian).max()))


@pytest.mark.parametrize(("name", "link"), PAIRS)
def test_gradient_of_quadrature(name: str, link: str) -> None:
    model = model_of(name, link, "slope")
    laplace, point = problem_of(model)
    general = QuadratureProblem(model, laplace.partition, joint=False, start=laplace.start)
    assert_differences(general.with_nodes(2), point)
    rows = SortedRows.of(model)
    if rows is not None:
        like = OneFactorProblem(model, laplace.partition, rows)
        assert_differences(OneFactorQuadrature.like(like, 3), point)


def log_density(
    family: Family, y: np.ndarray, mu: np.ndarray, w: np.ndarray, d: float
) -> np.ndarray:
    """SciPy's; prior weights multiply the log of counts, and divide phi of measurements."""
    name = family.name.split("(")[0]
    if name == "binomial":
        return stats.binom.logpmf(np.round(y * w), w, mu)
    if name == "poisson":
        return w * stats.poisson.logpmf(y, mu)
    if name == "Negative Binomial":
        return w * stats.nbinom.logpmf(y, d, d / (d + mu))
    if name == "nbinom1":
        return w * stats.nbinom.logpmf(y, mu / d, 1 / (1 + d))
    if name == "Gamma":
        return stats.gamma.logpdf(y, w / d, scale=mu * d / w)
    if name == "inverse.gaussian":
        return stats.invgauss.logpdf(y, mu * d / w, scale=w / d)
    assert name == "gaussian"
    return stats.norm.logpdf(y, mu, np.sqrt(d / w))


@pytest.mark.parametrize(("name", "link"), PAIRS)
def test_many_nodes_give_the_integral(name: str, link: str) -> None:
    """The log-likelihood within 1e-4, as asked; here 1e-7. A Cauchy link converges slowly."""
    nodes = 61 if link == "cauchit" else 25
    model = model_of(name, link, "one")
    laplace, point = problem_of(model)
    problem = QuadratureProblem(model, laplace.partition, joint=False, start=laplace.start)
    value = problem.with_nodes(nodes).evaluate(point).value
    beta, dispersion = laplace.parts(point)
    (group,), ((sd,),) = model.rows.groups, laplace.partition.block_factors(point)[0]
    fixed = model.offset + model.rows.X @ beta
    total = 0.0
    for level in range(group.n_levels):
        rows = group.codes == level

        def log_joint(u: float, rows: np.ndarray = rows) -> float:
            mu = model.family.link.mu(fixed[rows] + group.Z[rows, 0] * sd * u)
            logs = log_density(model.family, model.y[rows], mu, model.weights[rows], dispersion)
            return float(logs.sum() + stats.norm.logpdf(u))

        top = log_joint(0.0)
        found = integrate.quad(
            lambda u, f=log_joint, top=top: math.exp(f(u) - top), -6.0, 6.0, epsrel=1e-10, limit=200
        )
        total += -2.0 * (top + math.log(found[0]))
    assert value == pytest.approx(total, abs=2e-7)
    rows = SortedRows.of(model)
    if rows is not None:
        like = OneFactorProblem(model, laplace.partition, rows)
        assert OneFactorQuadrature.like(like, nodes).evaluate(point).value == pytest.approx(
            value, rel=1e-11, abs=1e-9
        )
