"""The order of the tail's levels and the pattern of its factor, against elimination on a graph."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.factor import kernels
from mixeff.factor.ordering import Cliques, order_levels


def cliques_of(sets, count, weights=None, border=2):
    pointer = np.cumsum([0, *(len(s) for s in sets)]).astype(np.int64)
    nodes = np.array([v for s in sets for v in s], dtype=np.int32)
    weights = np.ones(count, dtype=np.int32) if weights is None else weights
    return Cliques(pointer, nodes, weights, np.zeros(count, dtype=np.int32), border)


def random_cliques(rng):
    count = int(rng.integers(3, 60))
    centre = rng.integers(0, count, int(rng.integers(1, 2 * count)))
    sets = [
        np.unique(np.clip(c + rng.integers(-3, 4, rng.integers(1, 6)), 0, count - 1))
        for c in centre
    ]
    if rng.random() < 0.3:  # a popular level
        sets = [np.union1d(s, [0]) for s in sets]
    return cliques_of(sets, count, rng.integers(1, 4, count).astype(np.int32), 1)


def eliminate(cliques, order):
    """Patterns of the factor's level columns by playing elimination; then entries and flops."""
    count = cliques.weights.size
    graph = np.eye(count, dtype=bool)
    for a, b in zip(cliques.pointer[:-1], cliques.pointer[1:], strict=True):
        graph[np.ix_(cliques.nodes[a:b], cliques.nodes[a:b])] = True
    left = np.ones(count, dtype=bool)
    patterns, entries, flops = [], 0, 0
    for v in order:
        left[v] = False
        later = graph[v] & left
        graph[np.ix_(later, later)] = True
        patterns.append(np.flatnonzero(later))
        below = cliques.weights[later].sum() + cliques.border
        for k in range(cliques.weights[v]):
            height = below + cliques.weights[v] - k
            entries, flops = entries + height, flops + height**2
    return patterns, entries, flops


@pytest.mark.parametrize("seed", range(60))
def test_counts_are_those_of_elimination(seed):
    cliques = random_cliques(np.random.default_rng(seed))
    found = order_levels(cliques, np.inf)
    assert sorted(found.order) == list(range(cliques.weights.size))
    _, entries, flops = eliminate(cliques, found.order)
    assert (found.entries, found.flops) == (entries, flops)


@pytest.mark.parametrize("seed", range(60))
def test_panels_hold_the_pattern(seed):
    cliques = random_cliques(np.random.default_rng(seed))
    found = order_levels(cliques, np.inf)
    order, first, rows_at, rows, start, *_ = kernels.sparse_pattern(
        cliques.pointer, cliques.nodes, found.order, cliques.weights, cliques.factors, 1
    )
    patterns, entries, _ = eliminate(cliques, order)
    assert entries == found.entries  # another order of the same tree fills the same
    ends = np.cumsum([0, *cliques.weights[order]])
    place = np.argsort(order)
    assert first[-1] == ends[-1] + 1
    assert start[-1] >= entries
    for k, pattern in enumerate(patterns):
        s = np.searchsorted(first, ends[k], side="right") - 1
        held = {*range(first[s], first[s + 1]), *rows[rows_at[s] : rows_at[s + 1]].tolist()}
        assert ends[k + 1] <= first[s + 1]  # a level is not cut
        for v in place[pattern]:
            assert held >= set(range(ends[v], ends[v + 1]))
        assert ends[-1] in held  # y
        below = rows[rows_at[s] : rows_at[s + 1]]
        assert np.all(np.diff(below) > 0)


def test_a_path_and_a_star_fill_nothing():
    path = cliques_of([(i, i + 1) for i in range(50)], 51)
    star = cliques_of([(0, i) for i in range(1, 51)], 51)
    # 51 diagonal entries, 50 edges, two rows of the border.
    assert order_levels(path, np.inf).entries == 51 + 50 + 2 * 51
    assert order_levels(star, np.inf).entries == 51 + 50 + 2 * 51


def test_a_grid_fills_far_less_than_its_band():
    """Minimum degree on a square grid of m^2 levels: O(m^2 log m) entries; the band has m^3."""
    m = 40
    at = np.arange(m * m).reshape(m, m)
    sets = [(a, b) for a, b in zip(at[:, 1:].ravel(), at[:, :-1].ravel(), strict=True)]
    sets += [(a, b) for a, b in zip(at[1:].ravel(), at[:-1].ravel(), strict=True)]
    found = order_levels(cliques_of(sets, m * m, border=0), np.inf)
    assert found.entries < m**3 / 2


def test_too_much_work_is_given_up():
    rng = np.random.default_rng(2)
    sets = [np.unique(rng.integers(0, 400, 6)) for _ in range(2000)]
    cliques = cliques_of(sets, 400)
    assert order_levels(cliques, np.inf) is not None
    assert order_levels(cliques, 400**3 / 3 / 8) is None
    near = cliques_of([(i, i + 1, i + 2) for i in range(398)], 400)
    work = order_levels(near, np.inf).flops
    assert order_levels(near, work) is not None
    assert order_levels(near, work / 2) is None
