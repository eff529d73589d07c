"""In which order the grouping factors are eliminated, and whether what is left is dense.

The first factor's block is block-diagonal. After eliminating it, the next one is block-diagonal
too exactly when every level of the first meets at most one of its levels (nesting); such factors
follow one another in a chain. Everything else, with X and y, is the tail: dense, or sparse where
levels meet few others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mixeff.crossproducts.blocks import CrossProducts
from mixeff.factor.ordering import Cliques, Ordering, order_levels

SPARSE_FROM = 512
"""Below this many columns a dense tail is factored before a sparse one is ordered."""

WORTH = 8.0
"""So many times less work a sparse tail must be: short columns cost more per multiplication."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Positions of the grouping factors: eliminated one by one, then together.

    Attributes
    ----------
    chain, tail : tuple of int
    ordering : Ordering or None, of the tail's levels where it is sparse
    """

    chain: tuple[int, ...]
    tail: tuple[int, ...]
    ordering: Ordering | None = None


def nested_in(products: CrossProducts) -> dict[tuple[int, int], bool]:
    """For every ordered pair (a, b): does each level of a meet at most one level of b?"""
    nested = {}
    for (i, k), pair in products.pairs.items():
        nested[i, k] = bool(pair.row_counts().max(initial=0) <= 1)
        nested[k, i] = bool(pair.column_counts().max(initial=0) <= 1)
    return nested


def plan_elimination(products: CrossProducts) -> Plan:
    """The chain that leaves least to do, and the order of a sparse tail.

    This is the one place that decides between the two kinds of tail.
    """
    groups = products.groups
    levels, widths = [g.n_levels for g in groups], [g.n_columns for g in groups]
    plans = candidate_plans(nested_in(products), levels, widths)
    best = plans[0]
    limit = sparse_limit(tail_columns(products, best))
    if not best.tail or limit <= 0.0:
        return best
    for plan in plans:
        found = order_levels(Cliques.of(products, plan.chain, plan.tail), limit)
        if found is not None and found.flops < limit:
            best, limit = replace(plan, ordering=found), found.flops
        # The others eliminate fewer levels first, which meet more each: they fill more.
        if best.ordering is None:
            break
    return best


def sparse_limit(columns: int) -> float:
    """The work (sum of squares of the factor's columns) up to which a sparse tail is worth it.

    Parameters
    ----------
    columns : int, of the smallest dense tail, whose own work is a third of their cube
    """
    return columns**3 / 3.0 / WORTH if columns >= SPARSE_FROM else 0.0


def tail_columns(products: CrossProducts, plan: Plan) -> int:
    """Columns of the tail, X and y included."""
    groups = (products.groups[i] for i in plan.tail)
    return sum(g.n_levels * g.n_columns for g in groups) + products.p + 1


def choose_plan(
    nested: Mapping[tuple[int, int], bool], n_levels: Sequence[int], n_columns: Sequence[int]
) -> Plan:
    """The chain that leaves the smallest dense tail; at a tie the larger leading factor.

    Parameters
    ----------
    nested : as ``nested_in`` gives it
    n_levels, n_columns : per grouping factor, J and q
    """
    return candidate_plans(nested, n_levels, n_columns)[0]


def candidate_plans(
    nested: Mapping[tuple[int, int], bool], n_levels: Sequence[int], n_columns: Sequence[int]
) -> list[Plan]:
    """A plan per leading factor, the best for a dense tail first; see ``choose_plan``."""
    groups = range(len(n_levels))
    size = [j * q for j, q in zip(n_levels, n_columns, strict=True)]
    by_levels = sorted(groups, key=lambda i: (-n_levels[i], i))
    found: list[tuple[tuple[int, int, int], Plan]] = []
    for lead in groups:
        chain = [lead]
        for other in by_levels:
            if other != lead and nested[chain[-1], other]:
                chain.append(other)
        tail = tuple(i for i in by_levels if i not in chain)
        found.append(((sum(size[i] for i in tail), -size[lead], lead), Plan(tuple(chain), tail)))
    return [plan for _, plan in sorted(found, key=lambda pair: pair[0])] or [Plan((), ())]
