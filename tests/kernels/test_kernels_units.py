"""The way back to the caller's units: the formulas written out in NumPy, and terms of any size."""

from __future__ import annotations

import numpy as np
import pytest

import mixeff as mx
from mixeff.covariance import Partition, Unstructured, lower_factor
from mixeff.factor import kernels
from mixeff.linear.coordinates import LARGEST_TERM, rescaled


@pytest.mark.parametrize("q", [1, 2, 5, LARGEST_TERM])
def test_one_term_in_other_units(q):
    rng = np.random.default_rng(q)
    basis, theta = rng.normal(size=(q, q)), rng.normal(size=q * (q + 1) // 2)
    modes = rng.normal(size=(7, q + 3))
    found = kernels.term_units(basis, theta, modes, 2, 1.7)
    structure = Unstructured(q)
    Lambda = lower_factor(basis @ structure.expand(theta))
    # Two orders of sums over at most 15 numbers of order 1.
    np.testing.assert_allclose(found[0], structure.pack(Lambda), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found[1], Lambda, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found[2], 1.7 * modes[:, 2 : q + 2] @ basis.T, atol=1e-13)


@pytest.mark.parametrize("p", [0, 1, 4])
@pytest.mark.parametrize("centred", [False, True])
def test_fixed_effects_in_other_units(p, centred):
    rng = np.random.default_rng(p)
    basis, projection, beta = rng.normal(size=(p, p)), rng.normal(size=p), rng.normal(size=p)
    covariance = (lambda A: A @ A.T)(rng.normal(size=(p, p)))
    constant = rng.normal(size=p) if centred else np.empty(0)
    found = kernels.fixed_units(basis, projection, 2.5, 30.0, constant, beta, covariance)
    expected = basis @ (projection + 2.5 * beta) + (30.0 * constant if centred else 0.0)
    np.testing.assert_allclose(found[0], expected, atol=1e-12)
    np.testing.assert_allclose(found[1], basis @ covariance @ basis.T, atol=1e-12)
    np.testing.assert_array_equal(found[1], found[1].T)


def test_terms_too_large_for_the_kernels_change_units_too():
    sizes = [LARGEST_TERM + 1, 2]
    partition = Partition.of_groups(["g", "h"], sizes)
    rng = np.random.default_rng(0)
    matrices = [rng.normal(size=(q, q)) for q in sizes]
    theta = rng.normal(size=(2, partition.n_theta))
    found = rescaled(partition, matrices, theta)
    for mine, own in zip(found, theta, strict=True):
        pairs = zip(
            partition.term_factors(mine), partition.term_factors(own), matrices, strict=True
        )
        for outer, inner, matrix in pairs:
            root = matrix @ inner
            np.testing.assert_allclose(outer @ outer.T, root @ root.T, rtol=1e-9, atol=1e-9)
            assert (np.diagonal(outer) >= 0).all()


def test_a_model_with_a_term_of_sixteen_columns_is_fitted():
    rng = np.random.default_rng(3)
    n, levels = 1200, 40
    f, g = np.tile(np.arange(16), n // 16), np.repeat(np.arange(levels), n // levels)
    y = rng.normal(size=(levels, 16))[g, f] + rng.normal(size=n)
    data = {"y": y, "f": [f"l{i:02d}" for i in f], "g": g}
    control = mx.Control(max_evaluations=2)
    with pytest.warns(mx.ConvergenceWarning):
        fit = mx.lmer("y ~ 1 + (0 + f | g)", data, control=control)
    Lambda = fit.estimate.Lambda[0]
    assert Lambda.shape == (16, 16)
    np.testing.assert_array_equal(Lambda, np.tril(Lambda))
    assert fit.estimate.modes[0].shape == (levels, 16)
