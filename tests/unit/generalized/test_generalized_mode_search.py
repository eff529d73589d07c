"""The search for modes in one compiled call against the same search step by step.

Both take the same steps, so that they differ by the order of sums only: the modes by some roundings
of numbers of order one, far below the 1e-10 standard deviations to which they are found.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixeff.errors import ConvergenceError
from mixeff.factor import elimination
from mixeff.factor.sparse_tail import SparseTail
from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.pirls import CONVERGED, Pirls, Point
from mixeff.generalized.working import GeneralizedModel, working_generalized
from support.generalized_models import KINDS, SHAPES, problem_and_point, random_model
from support.handmade import make_design


def stepwise(model: GeneralizedModel) -> GeneralizedModel:
    """The model, from now on without compiled search."""
    for system in model.systems().values():
        system.forget()
    model._searches.update({True: None, False: None})
    return model


def dense_step(model, Lambda, point, joint):
    """Squared length of Newton's step by dense algebra, in the metric of the information."""
    n = model.y.size
    columns = []
    for g, L in zip(model.rows.groups, Lambda, strict=True):
        Z = np.zeros((n, g.n_levels, g.Z.shape[1]))
        Z[np.arange(n), g.codes] = g.Z @ L
        columns.append(Z.reshape(n, -1))
    A = np.hstack([*columns, model.rows.X] if joint else columns)
    penalty = np.concatenate([*(u.ravel() for u in point.u), np.zeros(model.p if joint else 0)])
    M = (A * point.weight[:, None]).T @ A
    M += np.diag(
        np.concatenate([np.ones(sum(u.size for u in point.u)), np.zeros(model.p)])[: len(M)]
    )
    right = A.T @ point.score - penalty
    return float(right @ np.linalg.solve(M, right))


def searched(model: GeneralizedModel, seed: int, joint: bool):
    """Modes at a point, from there at another: the steps, the points, the factors' determinants."""
    problem, at = problem_and_point(model, seed, joint)
    pirls = Pirls(model, joint=joint)
    found = []
    for point in (at, at * 1.03):
        beta, dispersion = problem.parts(point)
        Lambda = problem.partition.block_factors(point)
        start = problem.start if pirls.last is None else pirls.last.point
        modes = pirls.find(Lambda, beta, dispersion, start)
        cell = model.cell if joint else model.bare
        assert cell.weights is modes.point.weight
        assert cell.Lambda is Lambda
        sums = cell.latest.logdet_random, cell.latest.logdet_fixed
        found.append((modes, sums, Lambda))
    return found


@pytest.mark.parametrize("joint", [False, True], ids=["given", "joint"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_as_step_by_step(kind, shape, joint):
    seed = 11
    model = random_model(kind, shape, seed, False)
    assert model.search(joint=joint) is not None
    compiled = searched(model, seed, joint)
    for (modes, sums, Lambda), (twin, twin_sums, _) in zip(
        compiled, searched(stepwise(model), seed, joint), strict=True
    ):
        assert modes.steps == twin.steps
        for u, v in zip(modes.point.u, twin.point.u, strict=True):
            np.testing.assert_allclose(u, v, rtol=0, atol=1e-9)
        for name in ("beta", "eta", "score", "weight"):
            one, two = getattr(modes.point, name), getattr(twin.point, name)
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-8 * (1 + np.abs(two).max()))
        assert modes.point.objective == pytest.approx(twin.point.objective, rel=1e-12, abs=1e-10)
        np.testing.assert_allclose(sums, twin_sums, rtol=1e-9, atol=1e-9)
        # Ten times: the weights here are summed by other algebra.
        assert dense_step(model, Lambda, modes.point, joint) <= 10 * CONVERGED


@pytest.mark.parametrize("kind", ["binomial cauchit", "poisson identity", "gamma inverse"])
def test_far_from_the_modes(kind):
    """Weights of both signs, effects at which there is no likelihood, halved steps."""
    outcomes = []
    for compiled in (True, False):
        model = random_model(kind, "crossed", 5, False)
        if not compiled:
            stepwise(model)
        problem, at = problem_and_point(model, 5, False)
        beta, dispersion = problem.parts(at)
        Lambda = problem.partition.block_factors(at)
        rng = np.random.default_rng(2)
        pirls = Pirls(model, joint=False)
        assert (pirls.compiled is not None) == compiled
        near = pirls.find(Lambda, beta, dispersion, problem.start).point
        found = []
        for size in (1.0, 8.0, 60.0):
            u = tuple(size * rng.normal(size=v.shape) for v in near.u)
            start = Point(u, beta, near.eta, near.score, near.weight, near.objective)
            try:
                modes = pirls.find(Lambda, beta, dispersion, start)
                found.append((modes.point.objective, modes.steps))
            except ConvergenceError as error:
                found.append((str(error), 0))
        outcomes.append(found)
    for one, two in zip(*outcomes, strict=True):
        assert one[1] == two[1]
        if one[1]:
            assert one[0] == pytest.approx(two[0], rel=1e-11)
        else:
            assert one[0] == two[0]


def test_no_likelihood_at_all():
    """The message is that of the search step by step."""
    model = random_model("poisson identity", "crossed", 3, False)
    problem, at = problem_and_point(model, 3, False)
    _, dispersion = problem.parts(at)
    Lambda = problem.partition.block_factors(at)
    with pytest.raises(ConvergenceError, match="cannot be computed at the starting values"):
        Pirls(model, joint=False).find(Lambda, -model.first.beta, dispersion, None)


def separated() -> GeneralizedModel:
    """A predictor that separates the responses: beta has no finite maximum."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": np.repeat([0.0, 1.0], 60), "g": rng.integers(0, 9, 120)})
    frame["h"] = rng.integers(0, 4, 120)
    frame["y"] = np.where(frame["x"] == 1.0, 1.0, rng.integers(0, 2, 120))
    design = make_design(frame, "y", ("(Intercept)", "x"), SHAPES["crossed"][1:] + SHAPES["one"])
    return working_generalized(design, family_of("binomial", "logit"), threads=1)


def test_separation_ends_as_step_by_step():
    found = []
    for model in (separated(), stepwise(separated())):
        Lambda = tuple(np.full((1, 1), 0.4) for _ in model.rows.groups)
        pirls = Pirls(model, joint=True)
        try:
            found.append(pirls.find(Lambda, None, 1.0, None).point.objective)
        except ConvergenceError as error:
            found.append(str(error))
    one, two = found
    assert isinstance(one, float)
    # Each further step gains less than the rule for endless predictors asks.
    assert one == pytest.approx(two, abs=1e-4)


def test_factor_at_other_weights():
    """Weights that are not of the modes: the factor is that of the system made anew."""
    from mixeff.generalized.pirls import factor_rows

    for joint in (False, True):
        found = []
        for twin in (False, True):
            model = random_model("bernoulli logit", "three", 8, False)
            if twin:
                stepwise(model)
            problem, at = problem_and_point(model, 8, joint)
            weight = np.random.default_rng(1).uniform(0.1, 2.0, model.y.size)
            factor = factor_rows(model, problem.partition.block_factors(at), weight, joint)
            right = np.arange(1.0, 1.0 + sum(factor.system.n_levels[i] * factor.system.n_columns[i]
                                             for i in range(3)) + factor.system.p)  # fmt: skip
            found.append((factor.logdet_random, factor.logdet_fixed, *factor.solve(right)))
        np.testing.assert_allclose(*found, rtol=1e-10, atol=1e-10)


def test_what_it_is_not_for(monkeypatch):
    """A sparse tail; a family without a compiled pass is in test_generalized_every_link.py."""
    monkeypatch.setattr(elimination, "SPARSE_FROM", 20)
    monkeypatch.setattr(elimination, "WORTH", 1.0)
    rng = np.random.default_rng(9)
    g = np.arange(240) % 80
    frame = pd.DataFrame({"x": rng.normal(size=240), "g": g, "h": (g + np.arange(240) // 80) % 60})
    frame["y"] = rng.poisson(2.0, 240).astype(float)
    shape = ("g", ("(Intercept)",)), ("h", ("(Intercept)",))
    design = make_design(frame, "y", ("(Intercept)", "x"), shape)
    model = working_generalized(design, family_of("poisson"), threads=1)
    assert isinstance(model.bare.system.tail, SparseTail)
    assert model.search(joint=False) is None
