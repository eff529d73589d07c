"""Refits share the cross-products, and every response gets the answer of a fresh fit."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from mixeff.control import Control
from mixeff.errors import DesignError
from mixeff.linear import conditional_variances, fit_linear
from mixeff.linear.many import fit_many
from mixeff.linear.small import small_layout
from mixeff.linear.working import working_model
from support.dense_system import simple_design

CONTROL = Control(threads=1)


def crossed(J: int, K: int, *, weights: bool = False, offset: bool = False):
    """A correlated slope crossed with an intercept; 20 responses, some without any effects."""
    rng = np.random.default_rng(J * K)
    n = 400
    g, h = (rng.integers(0, m, n).astype(np.int32) for m in (J, K))
    x = rng.normal(3.0, 2.0, n)
    X = np.column_stack([np.ones(n), x])
    w = rng.uniform(0.5, 2.0, n) if weights else None
    design = simple_design(
        np.zeros(n)
        + rng.normal(size=n)
        + rng.normal(size=J)[g]
        + 0.5 * (rng.normal(size=J)[g] * x),
        X,
        [("g", g, X), ("h", h, np.ones(n))],
        weights=w,
    )
    if offset:
        design = dataclasses.replace(design, offset=rng.normal(size=n))
    size = rng.choice([0.0, 0.1, 1.0], (3, 20))
    Y = rng.normal(size=(n, 20)) * 3 + 100 + 2 * x[:, None]
    Y += size[0] * rng.normal(size=(J, 20))[g] + size[1] * rng.normal(size=(J, 20))[g] * x[:, None]
    Y += size[2] * 2 * rng.normal(size=(K, 20))[h]
    return design, Y


CASES = {
    "small": crossed(12, 5),
    "weights and offset": crossed(12, 5, weights=True, offset=True),
    "not small": crossed(60, 50),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reml", [True, False])
def test_every_response_as_a_fresh_fit(name, reml):
    design, Y = CASES[name]
    like = fit_linear(design, reml=reml, control=CONTROL)
    if name == "not small":
        Y = Y[:, :6]
        assert small_layout(like.prepared.system(1), like.prepared.partition) is None
    many = fit_many(design, like, Y, control=CONTROL)
    for i, y in enumerate(Y.T):
        own = dataclasses.replace(design, response=y.copy())
        fresh = fit_linear(own, reml=reml, control=CONTROL)
        again = fit_linear(own, reml=reml, control=CONTROL, like=like)
        # Asked: 1e-9 in the criterion; the optimum is flat, so theta has half as many digits.
        assert many.criterion[i] == pytest.approx(fresh.criterion, abs=1e-9)
        assert again.criterion == pytest.approx(fresh.criterion, abs=1e-9)
        np.testing.assert_allclose(many.theta[i], fresh.theta, atol=2e-6)
        np.testing.assert_allclose(again.theta, fresh.theta, atol=2e-6)
        np.testing.assert_allclose(many.beta[i], fresh.beta, atol=1e-5)
        np.testing.assert_allclose(again.modes[0], fresh.modes[0], atol=1e-5)
        assert many.sigma[i] == pytest.approx(fresh.sigma, rel=1e-6)
        assert many.converged[i]
        assert many.singular[i] == bool(fresh.convergence.singular)
        assert many.evaluations[i] == again.convergence.evaluations
    assert many.singular.any()
    assert name == "not small" or not many.singular.all()


def test_threads_and_neighbours_change_nothing():
    design, Y = CASES["small"]
    like = fit_linear(design, reml=True, control=CONTROL)
    Y = np.tile(Y, (1, 12))
    one = fit_many(design, like, Y, control=CONTROL, threads=1)
    four = fit_many(design, like, Y, control=CONTROL, threads=4)
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(four, field.name))


def test_a_warm_start_finds_the_optimum_of_another_kind_of_response():
    # From no variance of g at all to a large one, and back.
    design, _ = CASES["small"]
    rng = np.random.default_rng(5)
    flat, steep = rng.normal(size=400), rng.normal(size=400)
    steep += 10 * rng.normal(size=12)[design.random[0].codes]
    for first, second in ((flat, steep), (steep, flat)):
        like = fit_linear(dataclasses.replace(design, response=first), reml=True, control=CONTROL)
        own = dataclasses.replace(design, response=second)
        again = fit_linear(own, reml=True, control=CONTROL, like=like)
        fresh = fit_linear(own, reml=True, control=CONTROL)
        assert again.criterion == pytest.approx(fresh.criterion, abs=1e-9)


def test_conditional_variances_from_the_kept_cross_products():
    design, _ = CASES["weights and offset"]
    estimate = fit_linear(design, reml=True, control=CONTROL)
    bare = dataclasses.replace(estimate, prepared=None)
    pairs = zip(
        conditional_variances(design, estimate), conditional_variances(design, bare), strict=True
    )
    for kept, new in pairs:
        np.testing.assert_allclose(kept, new, rtol=1e-12)


def test_products_of_another_response_are_those_of_a_new_pass():
    design, Y = CASES["weights and offset"]
    prepared = working_model(design, 1).prepared
    own = dataclasses.replace(design, response=Y[:, 3].copy())
    changed = prepared.with_response(own, 1).system.products
    fresh = working_model(own, 1).system.products
    np.testing.assert_allclose(changed.fixed, fresh.fixed, atol=1e-10)
    for a, b in zip(changed.groups, fresh.groups, strict=True):
        np.testing.assert_allclose(a.dense, b.dense, atol=1e-10)


def test_a_response_without_residual_is_named():
    design, Y = CASES["small"]
    like = fit_linear(design, reml=True, control=CONTROL)
    Y = Y.copy()
    Y[:, 7] = design.X @ [1.0, 2.0]
    with pytest.raises(DesignError, match="column 7"):
        fit_many(design, like, Y, control=CONTROL)
    Y[:, 7] = np.arange(5.0)[design.random[1].codes]  # constant within the levels of h
    with pytest.raises(DesignError, match="Column 7"):
        fit_many(design, like, Y, control=CONTROL)


def test_a_pickled_fit_leaves_out_the_layout_and_refits_alike():
    """What can be made again is not stored; the layout made anew gives the very same numbers."""
    design, Y = CASES["not small"]
    like = fit_linear(design, reml=True, control=CONTROL)
    assert like.prepared is not None
    assert like.prepared.layout is not None
    stored = pickle.loads(pickle.dumps(like))
    assert stored.prepared.layout is None
    own = dataclasses.replace(design, response=Y[:, 1].copy())
    one = fit_linear(own, reml=True, control=CONTROL, like=like)
    two = fit_linear(own, reml=True, control=CONTROL, like=stored)
    assert one.criterion == two.criterion
    np.testing.assert_array_equal(one.theta, two.theta)
    for mine, want in zip(one.modes, two.modes, strict=True):
        np.testing.assert_array_equal(mine, want)
