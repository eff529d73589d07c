"""tr(W V_j W V_k) of small designs: all kinds of tail, forced, agree with each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixeff.factor import elimination
from mixeff.factor.dense_tail import DenseTail
from mixeff.factor.sparse_tail import SparseTail
from mixeff.linear.sigma_coordinates import basis
from mixeff.linear.trace_products import trace_products
from support.neighbours import factors_of, neighbours

SETTINGS = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def found_with(kind: type, brute, Lambda) -> np.ndarray:
    """K and H in one vector, the tail forced to be of one kind."""
    limit = np.inf if kind is SparseTail else 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elimination, "sparse_limit", lambda columns: limit)
        system = brute.build()
    assert isinstance(system.tail, kind) or not system.layout.tail_groups
    directions = [basis(b.n_columns) for b in brute.blocks]
    H, K = trace_products(system.factorize(Lambda), directions)
    np.testing.assert_array_equal(K, K.T)
    return np.concatenate([K.ravel(), *(h.ravel() for h in H)])


@SETTINGS
@given(st.integers(0, 10_000))
def test_sparse_equals_dense(seed: int) -> None:
    rng = np.random.default_rng(seed)
    brute = neighbours(rng)
    Lambda = factors_of(rng, brute)
    dense, sparse = (found_with(kind, brute, Lambda) for kind in (DenseTail, SparseTail))
    # The columns' condition numbers reach 1e4, as in test_factor_sparse_tail.py.
    np.testing.assert_allclose(sparse, dense, rtol=0, atol=1e-9 * np.abs(dense).max())
