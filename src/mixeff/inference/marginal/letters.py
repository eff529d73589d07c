"""Compact letter display of all pairwise comparisons, by inserting and absorbing.

Piepho, H.-P. (2004). An algorithm for a letter-based representation of all-pairwise comparisons.
Journal of Computational and Graphical Statistics 13, 456-466.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.inference.table import Column, ResultTable
from mixeff.model.options import check_switch

if TYPE_CHECKING:
    from mixeff.inference.marginal.tables import EstimateTable

Floats = NDArray[np.float64]
Group = frozenset[int]

_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def letter_table(
    table: EstimateTable, alpha: float, adjust: str | None, reverse: bool
) -> ResultTable:
    """The rows of a table, sorted, with a column ``group``; see `EstimateTable.letters`."""
    from mixeff.inference.marginal.compare import families_of

    check_switch("letters", "reverse", reverse)
    if not (isinstance(alpha, int | float) and 0 < alpha < 1):
        raise OptionError(f"letters: alpha must lie between 0 and 1, not {alpha!r}.")
    estimates = table.estimates
    values = estimates.judged().value
    pairs = table.contrast("pairwise", adjust=adjust)
    p = np.full(len(pairs.estimates.functions), np.nan)
    p[pairs.estimates.rows] = pairs["p_value"]
    families = families_of(estimates)
    letters = np.full(values.size, "", dtype=object)
    order: list[int] = []
    for rows, p_values in zip(families, p.reshape(len(families), -1), strict=True):
        ranked = sorted(
            range(rows.size), key=lambda j: (np.isnan(v := values[rows[j]]), -v if reverse else v)
        )
        order += [int(rows[j]) for j in ranked]
        letters[rows[ranked]] = _family_letters(ranked, p_values, alpha, values[rows])
    # The rows of the table are those that can occur.
    order = [j for j in order if not estimates.functions.absent[j]]
    places = np.searchsorted(estimates.rows, order)
    columns = {name: _taken(column, places) for name, column in table.columns.items()}
    note = (
        f"Estimates that share a letter do not differ significantly at alpha = {alpha:g}, which "
        "does not show that they are equal."
    )
    adjusting = [n for n in pairs.notes if n.startswith("P value adjustment")]
    return ResultTable(
        title=f"{table.title}, with letters",
        index=table.index,
        columns={**columns, "group": tuple(letters[order])},
        notes=(*table.notes, *(n.partition(". ")[0] + "." for n in adjusting), note),
    )


def _taken(column: Column, places: NDArray[np.intp]) -> Column:
    if isinstance(column, tuple):
        return tuple(column[j] for j in places)
    return np.asarray(column)[places]


def _family_letters(ranked: list[int], p_values: Floats, alpha: float, values: Floats) -> list[str]:
    """Letters of one family, in the order of the ranks; blank where there is no estimate."""
    known = [j for j in ranked if not np.isnan(values[j])]
    place = {j: k for k, j in enumerate(known)}
    different = [
        (place[i], place[j])
        for (i, j), p in zip(combinations(range(len(ranked)), 2), p_values, strict=True)
        if i in place and j in place and p < alpha
    ]
    texts = letter_display(len(known), different)
    return [texts[place[j]] if j in place else "" for j in ranked]


def letter_display(n: int, different: Iterable[tuple[int, int]]) -> list[str]:
    """Letters of n items such that two share one exactly if they are not declared different.

    Examples
    --------
    >>> letter_display(4, [(0, 2), (0, 3), (1, 3)])
    ['a  ', 'ab ', ' bc', '  c']
    """
    pairs = {frozenset(pair) for pair in different}
    groups = _swept(_inserted(n, pairs))
    groups.sort(key=lambda g: sorted(g))
    letters = [_letter(j) for j in range(len(groups))]
    return [
        "".join(a if i in g else " " * len(a) for a, g in zip(letters, groups, strict=True))
        for i in range(n)
    ]


def _inserted(n: int, pairs: set[frozenset[int]]) -> list[Group]:
    """Groups without a pair that differs, and none inside another (insert and absorb)."""
    groups: list[Group] = [frozenset(range(n))]
    for pair in sorted(pairs, key=sorted):
        split: list[Group] = []
        for group in groups:
            split += [group - {i} for i in pair] if pair <= group else [group]
        groups = _absorbed(split)
    return groups


def _absorbed(groups: list[Group]) -> list[Group]:
    kept: list[Group] = []
    for group in sorted(groups, key=len, reverse=True):
        if not any(group <= other for other in kept):
            kept.append(group)
    return kept


def _swept(groups: list[Group]) -> list[Group]:
    """Groups without members whose every tie another group shows too."""
    for place in range(len(groups)):
        for i in sorted(groups[place]):
            group = groups[place]
            others = [g for k, g in enumerate(groups) if k != place and i in g]
            if others and all(any(j in g for g in others) for j in group if j != i):
                groups[place] = group - {i}
    return [g for g in _absorbed(groups) if g]


def _letter(place: int) -> str:
    if place < len(_ALPHABET):
        return _ALPHABET[place]
    more, rest = divmod(place, len(_ALPHABET))
    return _letter(more - 1) + _ALPHABET[rest]
