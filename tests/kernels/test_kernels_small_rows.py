"""The arrays of the compiled search made straight from the rows: those of the blocked system."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from mixeff.factor import kernels
from mixeff.factor.cholesky import BlockedSystem
from mixeff.factor.elimination import nested_in
from mixeff.linear.direct import LARGEST_ROWS, DirectSystem
from mixeff.linear.small import small_layout
from mixeff.linear.small_arrays import SmallArrays
from mixeff.linear.working import working_model
from support.dense_system import simple_design


def design_of(seed: int, n: int | None = None):
    """One to three factors, nested or crossed, levels without rows, weights, several columns."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(30, 1500)) if n is None else n
    g = rng.integers(0, rng.integers(4, 30), n).astype(np.int32)
    codes = {"g": g, "h": rng.integers(0, 5, n).astype(np.int32), "k": (g // 3).astype(np.int32)}
    names = [["g"], ["g", "h"], ["g", "k"], ["h", "g"], ["g", "h", "k"], ["g", "h", "g"]][seed % 6]
    terms = []
    for place, name in enumerate(names):
        q = int(rng.integers(1, 3))
        Z = np.column_stack([np.ones(n), rng.normal(size=n)])[:, :q]
        terms.append((name, codes[name], Z if place < 2 else rng.normal(size=(n, 1))))
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])[:, : int(rng.integers(0, 4))]
    weights = rng.uniform(0.3, 3.0, n) if seed % 2 else None
    return simple_design(rng.normal(size=n), X, terms, weights=weights)


def same(found: SmallArrays, expected: SmallArrays) -> None:
    for mine, other in zip(found.parts, expected.parts, strict=True):
        np.testing.assert_array_equal(mine, other)
    mine, other = found.arrangement, expected.arrangement
    assert (mine.lead, mine.tail, mine.starts) == (other.lead, other.tail, other.starts)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seed", range(36))
def test_the_same_numbers_as_through_the_blocked_system(seed, threads):
    model = working_model(design_of(seed), threads)
    system = model.system
    assert isinstance(system, DirectSystem)
    layout = small_layout(system.blocked, model.partition)
    assert layout is not None
    same(system.arrays, SmallArrays.of(layout, model.partition))
    assert (system.n, system.p) == (system.blocked.n, system.blocked.p)
    assert system.n_levels == system.blocked.n_levels
    assert system.n_columns == system.blocked.n_columns


@pytest.mark.parametrize("seed", range(6))
def test_another_response_shares_the_rows(seed):
    model = working_model(design_of(seed), 1)
    y = np.random.default_rng(seed).normal(size=model.system.n)
    found = model.system.with_response(y, 1)
    layout = small_layout(found.blocked, model.partition)
    same(found.arrays, SmallArrays.of(layout, model.partition))
    np.testing.assert_array_equal(found.arrays.G, model.system.arrays.G)


def test_copies_leave_out_what_can_be_made_again():
    system = working_model(design_of(4), 1).system
    expected = system.products
    for other in (copy.copy(system), copy.deepcopy(system), pickle.loads(pickle.dumps(system))):
        np.testing.assert_array_equal(other.products.fixed, expected.fixed)
        same(other.arrays, system.arrays)


def test_many_rows_go_the_way_that_has_threads():
    assert isinstance(working_model(design_of(0, LARGEST_ROWS), 1).system, DirectSystem)
    assert isinstance(working_model(design_of(0, LARGEST_ROWS + 1), 1).system, BlockedSystem)


@pytest.mark.parametrize("seed", range(24))
def test_nesting_is_read_from_the_codes(seed):
    rng = np.random.default_rng(seed)
    n, left, right = 60, 8, int(rng.integers(1, 6))
    a = rng.integers(0, left, n).astype(np.int32)
    b = (a % right if seed % 3 else rng.integers(0, right, n)).astype(np.int32)
    if seed % 4 == 1:
        b = a.copy()
        right = left
    design = simple_design(rng.normal(size=n), np.ones((n, 1)), [("a", a, np.ones(n))])
    design = simple_design(design.response, design.X, [("a", a, np.ones(n)), ("b", b, np.ones(n))])
    nested = nested_in(working_model(design, 1).system.products)
    found = kernels.nested_codes(a, left, b, right)
    assert found == (nested[0, 1], nested[1, 0])


def test_arrays_that_do_not_fit_are_refused():
    codes, one, none = np.zeros(3, np.int32), np.ones((3, 1)), np.empty(0)
    unit = (np.zeros(1), np.ones(1))
    dense = (one, *unit, np.ones(2), none)
    with pytest.raises(ValueError, match="do not fit"):
        kernels.small_arrays(codes, 1, one, *unit, [], [], [], [], [], *dense)
    with pytest.raises(ValueError, match="different rows"):
        kernels.nested_codes(codes, 1, codes[:2], 1)
