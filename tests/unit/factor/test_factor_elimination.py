"""The order of elimination, errors of the system, BLAS threads."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.crossproducts.blocks import GroupBlock
from mixeff.errors import ConvergenceError, DesignError
from mixeff.factor import stages, threads
from mixeff.factor.elimination import Plan, plan_elimination
from support.brute_system import Brute, designs, lambdas

DESIGNS = designs()


def plan(name):
    layout = DESIGNS[name].build().layout
    return tuple(s.group for s in layout.stages), layout.tail_groups


@pytest.mark.parametrize(
    ("design", "chain", "tail"),
    [
        ("one scalar", (0,), ()),
        ("crossed", (1,), (0,)),  # the larger one leads, whatever the caller's order
        ("chain", (1, 2, 0), ()),
        ("chain vectors", (0, 1, 2), ()),
        ("chain and crossed", (1, 3, 0), (2,)),
        ("partially nested", (0,), (1,)),
        ("empty chain levels", (0, 1), (2,)),
    ],
)
def test_chain_and_tail(design, chain, tail):
    assert plan(design) == (chain, tail)


def test_a_long_chain_is_never_dense():
    rng = np.random.default_rng(0)
    pupil = rng.integers(0, 20_000, 50_000)
    classes = rng.integers(0, 2_000, 20_000)[pupil]
    school = rng.integers(0, 60, 2_000)[classes]
    blocks = [
        GroupBlock(c.astype(np.int32), J, np.ones((c.size, 1)))
        for c, J in ((school, 60), (pupil, 20_000), (classes, 2_000))
    ]
    system = Brute(rng.normal(size=50_000), np.ones((50_000, 1)), blocks).build()
    assert system.layout.A.shape == (2, 2)
    factor = system.factorize([np.eye(1)] * 3)
    # Only the intercept and y are dense; sum of the chain's diagonal blocks is positive.
    assert factor.logdet_random > 0
    assert all(H[0, 0] > 0 for H in factor.trace_blocks(True))


def test_the_smaller_tail_decides_not_the_larger_block():
    # 40 classes with 3 columns are 120, 100 pupils with one are 100: pupils still go first.
    rng = np.random.default_rng(1)
    pupil = np.arange(300) % 100
    classes = pupil % 40
    blocks = [
        GroupBlock(classes.astype(np.int32), 40, rng.normal(size=(300, 3))),
        GroupBlock(pupil.astype(np.int32), 100, np.ones((300, 1))),
    ]
    system = Brute(rng.normal(size=300), np.ones((300, 1)), blocks).build()
    assert [s.group for s in system.layout.stages] == [1, 0]


def test_no_random_terms_at_all():
    brute = Brute(DESIGNS["one scalar"].y, DESIGNS["one scalar"].X, [])
    system = brute.build()
    factor = system.factorize([])
    expected, rss, *_ = np.linalg.lstsq(brute.X, brute.y, rcond=None)
    # Normal equations of a well-conditioned 60 x 3 matrix.
    np.testing.assert_allclose(factor.beta(), expected, rtol=1e-12)
    np.testing.assert_allclose(factor.pwrss, rss[0], rtol=1e-12)
    assert factor.logdet_random == 0.0
    assert factor.trace_blocks(True) == ()
    assert factor.modes() == ()


def test_plan_of_nothing():
    brute = Brute(DESIGNS["one scalar"].y, DESIGNS["one scalar"].X, [])
    layout = brute.build().layout
    assert Plan(tuple(s.group for s in layout.stages), layout.tail_groups) == Plan((), ())
    assert callable(plan_elimination)


def test_dependent_columns_are_named():
    X = DESIGNS["one scalar"].X
    brute = Brute(DESIGNS["one scalar"].y, np.column_stack([X, X[:, 0] * 0]), [])
    brute.blocks = DESIGNS["one scalar"].blocks
    with pytest.raises(DesignError, match="column 4"):
        brute.build().factorize([np.eye(1)])


@pytest.mark.parametrize("design", ["one vector", "crossed", "crossed vectors"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_lambda_that_is_not_finite_is_an_error_and_the_system_survives(design, bad):
    brute = DESIGNS[design]
    system = brute.build()
    Lambda = lambdas(brute)["regular"]
    for i in range(len(Lambda)):
        broken = [L.copy() for L in Lambda]
        broken[i][0, 0] = bad
        with pytest.raises(ConvergenceError, match="not positive definite"):
            system.factorize(broken)
    found = system.factorize(Lambda)
    np.testing.assert_allclose(found.pwrss, brute.results(Lambda)["pwrss"], rtol=1e-10)


def test_wrong_shapes_of_lambda():
    with pytest.raises(ConvergenceError, match=r"sizes \(3,\)"):
        DESIGNS["one vector"].build().factorize([np.eye(2)])


@pytest.mark.parametrize("reml", [True, False])
def test_walking_the_tail_by_column_changes_nothing(reml, monkeypatch):
    brute = DESIGNS["three crossed"]
    Lambda = lambdas(brute)["regular"]
    monkeypatch.setattr(stages, "INDEXED_TAIL", 0)
    factor = brute.build(threads=2).factorize(Lambda)
    expected = brute.results(Lambda, reml)
    np.testing.assert_allclose(factor.pwrss, expected["pwrss"], rtol=1e-10)
    for H, want in zip(factor.trace_blocks(reml), expected["trace_blocks"], strict=True):
        np.testing.assert_allclose(H, want, rtol=0, atol=1e-9 * np.abs(want).max())


def test_blas_runs_on_one_thread_inside_and_is_restored():
    handles = threads._openblas()
    before = [get() for get, _ in handles]

    def now():
        return {get() for get, _ in handles} or {None}

    inside, outside = ({1}, {2}) if handles else ({None}, {None})
    try:
        for _, put in handles:
            put(2)
        # Even blocks of nine columns start threads where they may (measured: 40 times slower).
        with threads.one_blas_thread():
            assert now() == inside
            with threads.one_blas_thread():
                assert now() == inside
            assert now() == inside
        assert now() == outside
        with pytest.raises(ZeroDivisionError), threads.one_blas_thread():
            raise ZeroDivisionError
        assert now() == outside
    finally:
        for (_, put), count in zip(handles, before, strict=True):
            put(count)


def test_another_blas_is_left_alone(monkeypatch):
    monkeypatch.setattr(threads, "_openblas", tuple)
    with threads.one_blas_thread():
        pass
    assert threads._openblas() == ()
