"""Pairs read back from the stages are the very numbers the cross-products had."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.factor import dense_tail
from mixeff.factor.cholesky import BlockedSystem
from mixeff.factor.read_back import ReadBack
from support.brute_system import designs, lambdas


def twins(name: str) -> tuple[BlockedSystem, BlockedSystem]:
    plain = designs()[name].build()
    return plain, BlockedSystem(plain.products, lean=True)


@pytest.mark.parametrize("name", sorted(designs()))
def test_every_pair_comes_back_bit_by_bit(name, monkeypatch):
    monkeypatch.setattr("mixeff.factor.cholesky.SHARED_IN_FITS", 0)
    plain, lean = twins(name)
    assert list(lean.products.pairs) == list(plain.products.pairs)
    for key, pair in plain.products.pairs.items():
        found = lean.products.pairs[key]
        assert key in lean.products.pairs
        for one in ("indptr", "indices", "values"):
            np.testing.assert_array_equal(getattr(found, one), getattr(pair, one))
        assert found.n_columns == pair.n_columns
    assert ((0, 0) in lean.products.pairs) is False


def test_the_first_factor_of_a_crossed_model_is_not_kept_twice(monkeypatch):
    monkeypatch.setattr("mixeff.factor.cholesky.SHARED_IN_FITS", 0)
    plain, lean = twins("three crossed")
    pairs = lean.products.pairs
    assert isinstance(pairs, ReadBack)
    lead = lean.layout.stages[0].group
    assert {key for key in pairs if key[0] == lead} == set(pairs.rows)
    assert pairs.rows
    for rows in pairs.rows.values():
        assert rows.B is lean.layout.stages[0].B
    # What the tail's own square is filled from is the lean set too: nothing holds the old one.
    assert lean.layout.products.products is lean.products
    assert isinstance(plain.products.pairs, dict)


@pytest.mark.parametrize("name", sorted(designs()))
def test_a_lean_system_gives_the_same_numbers(name, monkeypatch):
    monkeypatch.setattr(dense_tail, "SHARED_IN_FITS", 0)
    monkeypatch.setattr("mixeff.factor.cholesky.SHARED_IN_FITS", 0)
    plain, lean = twins(name)
    again = BlockedSystem(lean.products, lean=True)  # laid out from pairs that were read back
    for Lambda in lambdas(designs()[name]).values():
        factors = [system.factorize(Lambda) for system in (plain, lean, again)]
        for of in factors[1:]:
            assert of.pwrss == factors[0].pwrss
            assert of.logdet_random == factors[0].logdet_random
            for mine, want in zip(of.modes(), factors[0].modes(), strict=True):
                np.testing.assert_array_equal(mine, want)
            # Another place for the inverse may round differently, nothing more.
            pairs = zip(of.trace_blocks(True), factors[0].trace_blocks(True), strict=True)
            for mine, want in pairs:
                np.testing.assert_allclose(mine, want, rtol=0, atol=1e-11 * np.abs(want).max())


@pytest.mark.parametrize("shared", [0, 10**6])
@pytest.mark.parametrize("name", sorted(designs()))
def test_another_response_in_the_same_layout(name, shared, monkeypatch):
    """The layout used again gives, bit by bit, what one made anew from the products gives."""
    monkeypatch.setattr("mixeff.factor.cholesky.SHARED_IN_FITS", shared)
    _, old = twins(name)
    rng = np.random.default_rng(5)
    given = [rng.normal(size=(g.n_levels, g.n_columns)) for g in old.products.groups]
    fixed = rng.normal(size=old.p + 1)
    fixed[-1] = 1e4  # y'y: far more than what anything explains
    before = [stage.B.copy() for stage in old.layout.stages]
    products = old.products.with_response(fixed, given)
    again = BlockedSystem(products, lean=True, like=old.layout)
    fresh = BlockedSystem(products, lean=True)
    for mine, want in zip(again.layout.stages, fresh.layout.stages, strict=True):
        np.testing.assert_array_equal(mine.B, want.B)
        assert mine.columns is not want.columns
        np.testing.assert_array_equal(mine.columns, want.columns)
    for mine, kept in zip(old.layout.stages, before, strict=True):
        np.testing.assert_array_equal(mine.B, kept)
    if isinstance(again.products.pairs, ReadBack):
        own = {id(stage.B) for stage in again.layout.stages}
        assert {id(rows.B) for rows in again.products.pairs.rows.values()} <= own
    for Lambda in lambdas(designs()[name]).values():
        one, two = again.factorize(Lambda), fresh.factorize(Lambda)
        assert (one.pwrss, one.logdet_random) == (two.pwrss, two.logdet_random)
        for mine, want in zip(one.modes(), two.modes(), strict=True):
            np.testing.assert_array_equal(mine, want)


def test_small_models_keep_their_pairs():
    plain, lean = twins("three crossed")
    assert isinstance(lean.products.pairs, dict)
    assert lean.products is plain.products
