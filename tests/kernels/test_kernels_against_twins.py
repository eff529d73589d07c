"""Every call a whole factor makes to a compiled kernel is repeated by its NumPy twin.

Both do the same sums on numbers of order 1 to 100, in another order: 1e-12 relative to the largest
entry of each array is some thousand roundings.
"""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.factor import dense_tail, kernels, stages
from mixeff.factor.kernels import twins
from support.brute_system import designs, lambdas, random_slopes

DESIGNS = designs()
# What a call leaves undefined: room to work in, the other triangle, what lies past the size.
SCRATCH = {"scatter_tail": {6}, "inverse_tail": {8}, "tail_traces": {5}}


def comparable(name, args, i):
    array = args[i]
    # S counts above its diagonal, L below; both lie in one array.
    if name == "factor_tail" and i < 2:
        return np.tril(array) if i else np.triu(array)
    if name == "scatter_tail" and i == 5:
        return np.triu(array)
    if name == "invert_tail" and array.ndim == 2:
        # What lies above the diagonal is S where the inverse takes the place of L.
        size = args[1]
        return np.tril(array[:size, :size])
    if name == "solve_tail" and i == 0:
        return np.tril(array)
    if name == "tail_traces" and i < 2:
        return array[:0]
    if name == "scale_inverse" and array.ndim == 2:
        size = args[1]
        return np.tril(array[:size, :size])
    return array


def close(found, expected, what):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    assert found.dtype.kind == expected.dtype.kind, what
    if found.dtype.kind == "i":
        np.testing.assert_array_equal(found, expected, err_msg=what)
        return
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * scale, err_msg=what)


def duplicate(value):
    return value.copy() if isinstance(value, np.ndarray) else value


# Whole fits are compared with the search in Python and with plain sums:
# test_kernels_small_{fit,classes}.py; what leads to them with the blocked system, to the last bit:
# test_kernels_small_rows.py.
WHOLE = {"small_fit", "small_fits", "small_point", "response_products", "rescale_roots"}
# tests/unit/linear/test_linear_unprofiled.py
WHOLE |= {"small_unprofiled"}
WHOLE |= {"subtract_fits", "small_arrays", "nested_codes", "term_units", "fixed_units"}
# Passes over rows with changing weights: test_kernels_weighted.py.
WHOLE |= {
    "add_bilinear",
    "add_effects",
    "add_quadratic",
    "level_products",
    "subtract_outer",
    "weighted_fixed",
    "weighted_levels",
    "weighted_pairs",
}
# The sparse tail is compared with dense algebra: tests/unit/factor/test_factor_sparse_tail.py.
WHOLE |= {name for name in kernels.__all__ if name.startswith("sparse_")}


@pytest.fixture
def doubled(monkeypatch):
    """Replace every kernel by one that also runs its twin and compares; counts the calls."""
    calls: dict[str, int] = {}

    def wrap(name):
        compiled, twin = getattr(kernels, name), getattr(twins, name)

        def both(*args):
            copies = tuple(duplicate(a) for a in args)
            if name == "invert_tail" and args[0] is args[2]:
                copies = (copies[0], copies[1], copies[0], copies[3])
            found, expected = compiled(*args), twin(*copies)
            calls[name] = calls.get(name, 0) + 1
            if isinstance(expected, (tuple, list)):
                assert len(found) == len(expected)
                for a, b in zip(found, expected, strict=True):
                    close(a, b, name)
            elif expected is not None:
                close(found, expected, name)
            for i, arg in enumerate(args):
                if isinstance(arg, np.ndarray) and i not in SCRATCH.get(name, ()):
                    close(comparable(name, args, i), comparable(name, copies, i), f"{name} {i}")
            return found

        return both

    for name in set(kernels.__all__) - WHOLE:
        monkeypatch.setattr(kernels, name, wrap(name))
    return calls


def exercise(brute, Lambda):
    factor = brute.build().factorize(Lambda)
    factor.scores()
    factor.trace_blocks(True)
    factor.trace_blocks(False)
    factor.conditional_variances()
    rng = np.random.default_rng(0)
    factor.information(*random_slopes(brute.blocks, 3))
    width = sum(b.n_levels * b.n_columns for b in brute.blocks) + brute.X.shape[1]
    factor.solve(rng.normal(size=(width, 2)))


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("indexed", [True, False], ids=["by column", "by level"])
@pytest.mark.parametrize("kind", ["regular", "zero", "rank deficient"])
def test_all_kernels(design, indexed, kind, doubled, monkeypatch):
    monkeypatch.setattr(stages, "INDEXED_TAIL", 0 if indexed else 10**9)
    # The inverse in the place of the factor in half of the runs.
    monkeypatch.setattr(dense_tail, "SHARED_TAIL", 0 if indexed else 10**9)
    exercise(DESIGNS[design], lambdas(DESIGNS[design])[kind])
    always = {"eliminate", "scatter_tail", "factor_tail", "stage_traces", "inverse_tail"}
    assert always <= set(doubled)
    assert ("index_columns" in doubled) == indexed


def test_every_kernel_has_a_twin_and_is_called(doubled, monkeypatch):
    monkeypatch.setattr(stages, "INDEXED_TAIL", 0)
    for design in ("chain and crossed", "three crossed"):
        exercise(DESIGNS[design], lambdas(DESIGNS[design])["zero"])
    assert set(doubled) == set(kernels.__all__) - WHOLE


def test_no_rows_and_no_levels():
    none = np.empty(0, dtype=np.int32)
    pointer, order = kernels.level_order(none, 3, None)
    assert pointer.tolist() == [0, 0, 0, 0]
    assert order.size == 0
    pointer, order = kernels.level_order(none, 0, None)
    assert pointer.tolist() == [0]


def test_a_wrong_type_is_refused_not_copied():
    with pytest.raises(TypeError):
        kernels.level_order(np.zeros(3, dtype=np.int64), 1, None)
    with pytest.raises(TypeError):
        kernels.solve_tail(np.eye(2), np.ones((2, 2), dtype=np.float32), False)
    with pytest.raises(TypeError):
        kernels.solve_tail(np.eye(2), np.asfortranarray(np.ones((2, 2, 2))[0].T)[:, ::-1], False)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_a_pivot_that_is_not_finite_is_reported(bad):
    G = np.array([[[bad]]])
    pointer = np.array([0, 1])
    out = [np.empty((1, 1, 1)), np.empty((1, 1, 1)), np.empty((1, 1))]
    scale = np.array([[1e100]])
    for module in (kernels, twins):
        assert np.isnan(module.eliminate(G, pointer, np.ones((1, 1)), scale, *out))
