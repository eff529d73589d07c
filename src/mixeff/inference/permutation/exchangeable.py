"""What may be exchanged in a generalized model, where residuals may not.

The variance of a residual follows its mean, so that residuals of a null model are not exchangeable
whatever is done to them (Freedman and Lane's scheme), and the sign of a response means nothing. But
observations that differ in nothing the null model knows of are exchangeable themselves:

* ``within``: rows with the same random effects, the same values of all other predictors, the same
  offset and weight. Given the random effects they are independent and alike without the term, so
  permuting their responses is exact. The rows of a binomial count are taken apart: given the number
  of successes of such rows, every choice of the trials that succeed is as likely as another, and
  successes are dealt out to the rows as from an urn.
* ``groups``: the responses of whole groups of the same size whose rows agree in predictors, offset
  and weights but for the term. Exact if such groups are exchangeable.

Both are as well permutations of the term's columns among rows or groups that are otherwise alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.inference.permutation.choosing import outermost, varies_within
from mixeff.inference.permutation.schemes import Scheme

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Draw = Callable[[np.random.Generator, Floats, int], Floats]

FEWEST = 20
"""Arrangements below which no p value is below 0.05."""

ADVICE = "Use mixeff.bootstrap_lrt."


@dataclass(frozen=True, slots=True)
class Way:
    """One way to exchange.

    Attributes
    ----------
    scheme : Scheme
    logarithm : float, of the number of different arrangements
    share : float, part of the rows that may get another response
    """

    scheme: Scheme
    logarithm: float
    share: float


def scheme_for_responses(
    fit: MixedModel, smaller: Design, columns: Floats, label: str, asked: str | None
) -> Scheme:
    """The scheme asked for, or the first that can move the term.

    Parameters
    ----------
    fit : MixedModel, a generalized one
    smaller : Design, without the term
    columns : (n, k) array, columns of X of the term
    label : str, the term
    asked : {"within", "groups"} or None

    Raises
    ------
    OptionError
        Nothing is exchangeable that way; the sentence says why.
    """
    if asked == "signs":
        raise OptionError(
            'permutation_test: scheme="signs" is for symmetric residuals; those of a generalized '
            'model are not. Use scheme="within" or "groups", or mixeff.bootstrap_lrt.'
        )
    tried = [make for name, make in _WAYS.items() if asked in (None, name)]
    found = [make(fit, smaller, columns, label) for make in tried]
    ways = [way for way in found if isinstance(way, Way)]
    if not ways:
        reasons = " ".join(str(reason) for reason in found)
        raise OptionError(f"permutation_test: {reasons} {ADVICE}")
    able = [w for w in ways if w.logarithm >= math.log(FEWEST)]
    if not able:
        most = round(math.exp(max(w.logarithm for w in ways)))
        raise OptionError(
            f"permutation_test: there are only {most} different arrangements for {label} among "
            f"observations that are otherwise alike, so no p value could be below {1 / most:.2g}. "
            f"{ADVICE}"
        )
    # Within groups wherever most of the data speak: it assumes less.
    return next((w for w in able if w.share >= 0.5), max(able, key=lambda w: w.share)).scheme


def _within(fit: MixedModel, smaller: Design, columns: Floats, label: str) -> Way | str:
    """Rows, or trials, that the null model cannot tell apart."""
    design = fit.design
    trials = trials_of(fit)
    levels = np.column_stack([t.codes for t in design.random]).astype(np.float64)
    blocks = _alike([levels, _known(design, smaller, weights=trials is None)])[0]
    if not varies_within(columns, blocks):
        return (
            f"{label} does not vary among rows that agree in everything else (random effects, "
            "other predictors, offset, weights), so that no responses may be exchanged within "
            f"{_groups(design)}."
        )
    kinds = _alike([columns])[0]
    if trials is not None:
        counts = np.rint(trials).astype(np.int64)
        draw, what = _urns(blocks, counts), "successes dealt out anew to the trials of rows"
        assumes = "trials of such rows are independent and alike, as a binomial has them"
        logarithm = _ways_of_urns(blocks, kinds, counts, design.response)
    else:
        draw, what = _shuffles(blocks), "responses permuted among rows"
        assumes = "such rows are exchangeable"
        logarithm = _ways_of_rows(blocks, kinds)
    moved = np.isin(blocks, np.unique(blocks[_differ(columns, blocks)]))
    sentence = (
        f"within: {what} with the same random effects, other predictors, offset and weights "
        f"({int(moved.sum())} of {design.n} rows take part); assumes that without the term "
        f"{assumes}."
    )
    return Way(Scheme("within", sentence, np.inf, draw), logarithm, float(moved.mean()))


def _whole(fit: MixedModel, smaller: Design, columns: Floats, label: str) -> Way | str:
    """Groups whose rows the null model cannot tell apart."""
    design = fit.design
    if len({t.group for t in design.random}) > 1:
        return (
            f"Whole groups may be exchanged only with one grouping factor, and the model has "
            f"{_groups(design)}."
        )
    outer = outermost(design, label)
    classes = classes_of(outer.codes, _known(design, smaller, weights=True))
    moving = [c for c in classes if (columns[c] != columns[c[:1]]).any()]
    if not moving:
        return (
            f"No two levels of {outer.group} that agree in size, other predictors, offset and "
            f"weights differ in {label}, so that no whole levels may be exchanged."
        )
    logarithm = sum(_ways_of_groups(columns[c]) for c in moving)
    sentence = (
        f"groups: responses of whole levels of {outer.group} exchanged between levels that agree "
        f"in size, other predictors, offset and weights ({sum(map(len, moving))} of "
        f"{outer.n_levels} levels take part); assumes that without the term such levels are "
        "exchangeable."
    )
    share = sum(c.size for c in moving) / design.n
    return Way(Scheme("groups", sentence, np.inf, _exchanges(moving)), logarithm, share)


_WAYS = {"within": _within, "groups": _whole}


def trials_of(fit: MixedModel) -> Floats | None:
    """(n,) numbers of trials, where the weights of a binomial are those and nothing more."""
    design = fit.design
    counts = design.response_name.startswith("cbind(")
    if fit.family != "binomial" or design.weights is None:
        return None
    if counts and fit.request.weights is not None:  # trials times weights
        return None
    trials, successes = design.weights, design.weights * design.response
    near = (np.abs(part - np.rint(part)).max() < 1e-6 for part in (trials, successes))
    return trials if all(near) else None


def _known(design: Design, smaller: Design, *, weights: bool) -> Floats:
    """(n, c) all a null model knows of the rows but which levels they belong to."""
    parts = [*(t.values for t in design.random), smaller.X]
    if weights and design.weights is not None:
        parts.append(design.weights[:, None])
    if design.offset is not None:
        parts.append(design.offset[:, None])
    return np.hstack(parts)


def _alike(columns: list[Floats]) -> tuple[Longs, Longs]:
    """(n,) which rows are the same, and how many of each kind there are."""
    _, kinds, sizes = np.unique(np.hstack(columns), axis=0, return_inverse=True, return_counts=True)
    return np.asarray(kinds.reshape(-1), dtype=np.int64), sizes


def _groups(design: Design) -> str:
    return " and ".join(dict.fromkeys(t.group for t in design.random))


def classes_of(codes: NDArray[np.int32], rows: Floats) -> list[Longs]:
    """Groups that are alike: per class the rows (J, size) of its groups, side by side.

    ``rows`` (n, c) is compared; rows of a group that are equal may stand in either order.
    """
    kinds = _alike([rows])[0]
    order = np.lexsort((kinds, codes))
    ends = np.flatnonzero(np.diff(codes[order])) + 1
    found: dict[bytes, list[Longs]] = {}
    for part in np.split(order, ends):
        found.setdefault(kinds[part].tobytes(), []).append(part)
    return [np.stack(parts) for parts in found.values() if len(parts) > 1]


def _differ(columns: Floats, blocks: Longs) -> NDArray[np.bool_]:
    """(n,) rows that differ in the term from the first of their block."""
    _, first = np.unique(blocks, return_index=True)
    found: NDArray[np.bool_] = (columns != columns[first[blocks]]).any(axis=1)
    return found


def _shuffles(blocks: Longs) -> Draw:
    base = np.argsort(blocks, kind="stable")

    def apply(rng: np.random.Generator, y: Floats, m: int) -> Floats:
        # Sorted by block and, in a block, by a random number.
        order = np.argsort(blocks + rng.random((m, blocks.size)), axis=1)
        out = np.empty((m, y.size))
        out[:, base] = y[order]
        return out

    return apply


def _urns(blocks: Longs, trials: Longs) -> Draw:
    members = [np.flatnonzero(blocks == b) for b in range(int(blocks.max()) + 1)]
    members = [rows for rows in members if rows.size > 1]

    def apply(rng: np.random.Generator, y: Floats, m: int) -> Floats:
        out = np.tile(y, (m, 1))
        successes = np.rint(y * trials).astype(np.int64)
        for rows in members:
            dealt = rng.multivariate_hypergeometric(trials[rows], successes[rows].sum(), size=m)
            out[:, rows] = dealt / np.maximum(trials[rows], 1)
        return out

    return apply


def _exchanges(classes: list[Longs]) -> Draw:
    def apply(rng: np.random.Generator, y: Floats, m: int) -> Floats:
        out = np.tile(y, (m, 1))
        for rows in classes:
            order = np.argsort(rng.random((m, rows.shape[0])), axis=1)
            out[:, rows] = y[rows][order]
        return out

    return apply


def _ways_of_rows(blocks: Longs, kinds: Longs) -> float:
    """Logarithm of the number of arrangements, rows of a block with the same term apart or not."""
    cells = np.unique(np.column_stack([blocks, kinds]), axis=0, return_counts=True)[1]
    sizes = np.bincount(blocks)
    return _log_factorials(sizes) - _log_factorials(cells)


def _ways_of_groups(columns: Floats) -> float:
    """The same for groups (J, size, k) of a class."""
    flat = columns.reshape(columns.shape[0], -1)
    return _log_factorials(np.array([len(flat)])) - _log_factorials(_alike([flat])[1])


def _ways_of_urns(blocks: Longs, kinds: Longs, trials: Longs, y: Floats) -> float:
    """The same for trials: tables of successes by values of the term, in every block."""
    total = 0.0
    for b in np.unique(blocks):
        rows = blocks == b
        own = np.bincount(kinds[rows], trials[rows]).astype(np.int64)
        ways = np.ones(1)
        for n in own[own > 0]:
            ways = np.convolve(ways, np.ones(int(n) + 1))
            ways = np.minimum(ways, 1e200)
        total += math.log(ways[int(np.rint(y[rows] @ trials[rows]))])
    return total


def _log_factorials(sizes: Longs) -> float:
    return float(sum(math.lgamma(n + 1.0) for n in sizes.tolist()))
