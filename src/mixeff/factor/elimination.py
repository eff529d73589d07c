"""In which order the grouping factors are eliminated.

The first factor's block is block-diagonal. After eliminating it, the next one is block-diagonal
too exactly when every level of the first meets at most one of its levels (nesting); such factors
follow one another in a chain. Everything else, with X and y, is the dense tail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixeff.crossproducts.blocks import CrossProducts


@dataclass(frozen=True, slots=True)
class Plan:
    """Positions of the grouping factors: eliminated one by one, then together."""

    chain: tuple[int, ...]
    tail: tuple[int, ...]


def nested_in(products: CrossProducts) -> dict[tuple[int, int], bool]:
    """For every ordered pair (a, b): does each level of a meet at most one level of b?"""
    nested = {}
    for (i, k), pair in products.pairs.items():
        nested[i, k] = bool(pair.row_counts().max(initial=0) <= 1)
        nested[k, i] = bool(pair.column_counts().max(initial=0) <= 1)
    return nested


def plan_elimination(products: CrossProducts) -> Plan:
    """The plan for these cross-products; see ``choose_plan``."""
    groups = products.groups
    return choose_plan(
        nested_in(products), [g.n_levels for g in groups], [g.n_columns for g in groups]
    )


def choose_plan(
    nested: Mapping[tuple[int, int], bool], n_levels: Sequence[int], n_columns: Sequence[int]
) -> Plan:
    """The chain that leaves the smallest dense tail; at a tie the larger leading factor.

    Parameters
    ----------
    nested : as ``nested_in`` gives it
    n_levels, n_columns : per grouping factor, J and q
    """
    groups = range(len(n_levels))
    size = [j * q for j, q in zip(n_levels, n_columns, strict=True)]
    by_levels = sorted(groups, key=lambda i: (-n_levels[i], i))
    best: Plan = Plan((), ())
    cost: tuple[int, int, int] | None = None
    for lead in groups:
        chain = [lead]
        for other in by_levels:
            if other != lead and nested[chain[-1], other]:
                chain.append(other)
        tail = tuple(i for i in by_levels if i not in chain)
        found = (sum(size[i] for i in tail), -size[lead], lead)
        if cost is None or found < cost:
            best, cost = Plan(tuple(chain), tail), found
    return best
