"""Which scheme a term allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design, RandomTerm
from mixeff.errors import OptionError
from mixeff.inference.clusters import coarsest, crossing, nested_in
from mixeff.inference.permutation.schemes import (
    Scheme,
    blocks_of,
    patterns_of,
    signs,
    whole_groups,
    within_blocks,
)

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

FEWEST = 5
"""Groups below which even all arrangements say little: 2 of 2^5 is a p value of 0.06."""


def scheme_for(
    design: Design, columns: Floats, label: str, scheme: str | None, within: str | None
) -> Scheme:
    """The scheme asked for, or the one with the weakest assumption that can move the term.

    Parameters
    ----------
    design : Design
    columns : (n, k) array, columns of X of the term
    label : str, the term
    scheme : {"within", "groups", "signs"} or None
    within : str or None, grouping factor

    Raises
    ------
    OptionError
        Nothing is exchangeable that way; the sentence says why.
    """
    blocks, name = _blocks(design, within)
    movable = varies_within(columns, blocks)
    if scheme == "within" or (scheme is None and within is not None):
        if not movable:
            raise OptionError(
                f"permutation_test: {label} is constant within {name}, so permuting there cannot "
                'move it. Use scheme="groups" or scheme="signs", which treat whole groups.'
            )
        return within_blocks(blocks, name)
    if scheme is None and movable and _often(columns, blocks):
        return within_blocks(blocks, name)
    outer = outermost(design, label)
    if outer.n_levels < FEWEST:
        raise OptionError(
            f"permutation_test: {label} can only be tested by whole levels of {outer.group}, and "
            f"{outer.n_levels} of them have too few arrangements. Use mixeff.bootstrap_lrt."
        )
    alike = _alike(design, outer)
    if scheme == "groups" and not alike:
        raise OptionError(
            f"permutation_test: the levels of {outer.group} differ in size, random-effect columns, "
            "weights or factors nested within, so they are not exchangeable. Use "
            'scheme="signs", which needs no such thing.'
        )
    between = not varies_within(columns, outer.codes.astype(np.int64))
    if scheme == "groups" or (scheme is None and alike and between):
        if not _varies_between(columns, outer):
            raise OptionError(
                f"permutation_test: {label} is the same in all levels of {outer.group}, so "
                'exchanging them cannot move it. Use scheme="signs".'
            )
        return whole_groups(outer.codes, outer.group)
    return signs(outer.codes, outer.group)


def _blocks(design: Design, within: str | None) -> tuple[Longs, str]:
    """Blocks of rows with the same random effects, or the levels of a factor that are such."""
    blocks = blocks_of(design)
    if within is None:
        groups = list(dict.fromkeys(t.group for t in design.random))
        return blocks, " and ".join(groups)
    factors = {t.group: t for t in design.random}
    if within not in factors:
        raise OptionError(
            f"permutation_test: the model has no grouping factor {within!r}; within must be one of "
            f"{', '.join(factors)}."
        )
    codes = factors[within].codes.astype(np.int64)
    if not nested_in(codes, blocks):
        raise OptionError(
            f"permutation_test: random effects or weights change within levels of {within}, so its "
            "rows are not exchangeable. Leave out within=, or use "
            'scheme="signs".'
        )
    return codes, within


def varies_within(columns: Floats, blocks: Longs) -> bool:
    """Whether a column takes several values in some block."""
    order = np.argsort(blocks, kind="stable")
    same = np.diff(blocks[order]) == 0
    return bool((np.diff(columns[order], axis=0)[same] != 0).any())


def _often(columns: Floats, blocks: Longs) -> bool:
    """Whether a column varies in at least half of the blocks."""
    order = np.argsort(blocks, kind="stable")
    same = np.diff(blocks[order]) == 0
    moved = same & (np.diff(columns[order], axis=0) != 0).any(axis=1)
    varying = np.unique(blocks[order][1:][moved]).size
    return bool(2 * varying >= int(blocks.max()) + 1)


def _varies_between(columns: Floats, outer: RandomTerm) -> bool:
    """Whether the groups differ in a column, its rows taken in order."""
    rows = np.argsort(outer.codes, kind="stable").reshape(outer.n_levels, -1)
    by_group = columns[rows]
    return bool((by_group != by_group[:1]).any())


def outermost(design: Design, label: str) -> RandomTerm:
    """The factor in whose levels all others are nested: its levels are independent."""
    outer = coarsest(design.random)
    if crossing(design.random, outer.codes) is None:
        return outer
    names = " and ".join(dict.fromkeys(t.group for t in design.random))
    raise OptionError(
        f"permutation_test: {names} are crossed, so no groups of rows are independent of each "
        f"other, and {label} hardly varies among rows with the same random effects: there is "
        "nothing to exchange. Use mixeff.bootstrap_lrt."
    )


def _alike(design: Design, outer: RandomTerm) -> bool:
    """Whether all levels have the same size, columns and weights, and no factor within them."""
    if len({t.group for t in design.random}) > 1:
        return False
    return int(patterns_of(design, outer.codes).max()) == 0
