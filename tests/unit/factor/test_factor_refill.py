"""A refilled system is that of the new weights; its inverse blocks are those of dense algebra.

Everything is of order one; 1e-10 leaves room for the conditioning of the small systems.
"""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.crossproducts.reweighted import LevelRows, WeightedRows
from mixeff.factor import elimination, stages
from mixeff.factor.inverse_blocks import inverse_blocks
from mixeff.factor.refill import Refillable
from mixeff.factor.solves import joint_information, solve
from support.brute_system import Brute, designs, lambdas

DESIGNS = designs()
RNG = np.random.default_rng(12)


def refilled(brute: Brute, weights: np.ndarray) -> tuple[Refillable, WeightedRows]:
    """Filled with other weights first, then with these; the response as products W y."""
    groups = [LevelRows.of(b.codes, b.n_levels, b.values) for b in brute.blocks]
    rows = WeightedRows.of(brute.X, groups)
    cell = Refillable(rows.empty())
    for w in (RNG.uniform(1, 2, brute.y.size), weights):
        rows.fill(cell.products, w, w * brute.y)
        cell.refresh()
    return cell, rows


def plain(name: str) -> tuple[Brute, np.ndarray]:
    brute = DESIGNS[name]
    w = np.random.default_rng(5).uniform(0.2, 3.0, brute.y.size)
    blocks = [type(b)(b.codes, b.n_levels, b.values) for b in brute.blocks]
    return Brute(brute.y, brute.X, blocks, w), w


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("kind", ["regular", "zero", "rank deficient"])
def test_same_factor_as_of_a_new_system(name, kind):
    brute, w = plain(name)
    Lambda = lambdas(brute)[kind]
    cell, _ = refilled(brute, w)
    found = cell.factorize(Lambda, w)
    expected = brute.build().factorize(Lambda)
    assert found.logdet_random == pytest.approx(expected.logdet_random, abs=1e-10)
    assert found.logdet_fixed == pytest.approx(expected.logdet_fixed, abs=1e-10)
    for a, b in zip(found.modes(), expected.modes(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)
    np.testing.assert_allclose(found.beta(), expected.beta(), atol=1e-10)


def dense(brute: Brute, Lambda):
    """Z Lt and Lt in full, weights as a diagonal matrix apart."""
    Z = np.hstack(
        [np.zeros((brute.y.size, 0)), *Brute(brute.y, brute.X, brute.blocks).working()[2]]
    )
    Lt = np.zeros((Z.shape[1], Z.shape[1]))
    at = 0
    for b, L in zip(brute.blocks, Lambda, strict=True):
        size = b.n_levels * L.shape[0]
        Lt[at : at + size, at : at + size] = np.kron(np.eye(b.n_levels), L)
        at += size
    return Z, Lt


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("kind", ["regular", "zero"])
@pytest.mark.parametrize("way", ["by column", "by level", "sparse"])
def test_leverage_and_traces(name, kind, way, monkeypatch):
    monkeypatch.setattr(stages, "INDEXED_TAIL", 0 if way == "by column" else 10**9)
    if way == "sparse":
        monkeypatch.setattr(elimination, "sparse_limit", lambda columns: np.inf)
    brute, w = plain(name)
    w = np.where(np.arange(w.size) % 11 == 0, -0.05, w)  # observed information may be negative
    Lambda = lambdas(brute)[kind]
    cell, rows = refilled(brute, w)
    factor = cell.factorize(Lambda, w)
    blocks = inverse_blocks(cell, factor)
    Z, Lt = dense(brute, Lambda)
    W = np.diag(w)
    M = Lt.T @ Z.T @ W @ Z @ Lt + np.eye(Z.shape[1])
    Q = Lt @ np.linalg.inv(M) @ Lt.T
    leverage = rows.quadratic(blocks.diagonal, blocks.between)
    np.testing.assert_allclose(leverage, np.einsum("ri,ij,rj->r", Z, Q, Z), atol=1e-10)
    H = Z.T @ (W - W @ Z @ Q @ Z.T @ W) @ Z
    at = 0
    for b, trace in zip(brute.blocks, blocks.traces, strict=True):
        q = b.values.shape[1]
        own = [H[i : i + q, i : i + q] for i in range(at, at + b.n_levels * q, q)]
        np.testing.assert_allclose(trace, np.sum(own, axis=0), atol=1e-9)
        at += b.n_levels * q


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("limit", [0.0, np.inf], ids=["dense", "sparse"])
def test_without_the_fixed_effects(name, limit, monkeypatch):
    """Solutions for the random effects alone, and quadratic forms in V^-1."""
    monkeypatch.setattr(elimination, "sparse_limit", lambda columns: limit)
    brute, w = plain(name)
    Lambda = lambdas(brute)["regular"]
    cell, _ = refilled(brute, w)
    factor = cell.factorize(Lambda, w)
    Z, Lt = dense(brute, Lambda)
    W, X = np.diag(w), brute.X
    M = Lt.T @ Z.T @ W @ Z @ Lt + np.eye(Z.shape[1])
    right = RNG.normal(size=(Z.shape[1] + X.shape[1], 2))
    found = solve(factor, right, fixed=False)
    np.testing.assert_allclose(
        found[: Z.shape[1]], np.linalg.solve(M, right[: Z.shape[1]]), atol=1e-10
    )
    assert not found[Z.shape[1] :].any()
    q = [b.values.shape[1] for b in brute.blocks]
    scores = [RNG.normal(size=(b.n_levels, k)) for b, k in zip(brute.blocks, q, strict=True)]
    slopes = [RNG.normal(size=(2, k, k)) for k in q]
    slopes = [s + s.transpose(0, 2, 1) for s in slopes]
    c = np.zeros((Z.shape[1], 2 * len(q)))
    at = 0
    for i, (z, s) in enumerate(zip(scores, slopes, strict=True)):
        for j in range(2):
            c[at : at + z.size, 2 * i + j] = (z @ s[j]).ravel()
        at += z.size
    Vi = W - W @ Z @ Lt @ np.linalg.inv(M) @ Lt.T @ Z.T @ W
    CC, XC, XX = joint_information(factor, scores, slopes)
    np.testing.assert_allclose(CC, c.T @ Z.T @ Vi @ Z @ c, atol=1e-8)
    np.testing.assert_allclose(XC, X.T @ Vi @ Z @ c, atol=1e-8)
    np.testing.assert_allclose(XX, X.T @ Vi @ X, atol=1e-8)
