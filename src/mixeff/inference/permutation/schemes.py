"""What may be exchanged under the null hypothesis, and how it is drawn.

Given the fixed effects, r = y - X beta is the sum of random effects and residuals. Three things can
be done to it that leave its distribution as it is, each under its own assumption:

* ``within``: rows are permuted within blocks of rows that have the same random effects. There
  r = constant + e: exact if the residuals are exchangeable, whatever the random effects are.
* ``groups``: the vectors r_g of whole groups are exchanged between groups of the same size, the
  same random-effect columns and weights. Exact if the groups are exchangeable.
* ``signs``: the vectors r_g of whole groups are multiplied by 1 or -1 (the "independent and
  symmetric errors" of Winkler, Ridgway, Webster, Smith and Nichols 2014, Permutation inference for
  the general linear model, NeuroImage 92, 381-397). Exact if the groups are independent and
  random effects and residuals symmetric about zero.

r is computed with the coefficients of the null model (Freedman and Lane 1983, A nonstochastic
interpretation of reported significance levels, JBES 1, 292-298): exact up to their estimation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design
from mixeff.linear.many import responses_at_once

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

SCHEMES = ("within", "groups", "signs")


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to exchange.

    Attributes
    ----------
    name : str, one of ``SCHEMES``
    sentence : str, for the note under the table
    arrangements : float, how many different ones there are (infinite where they are not counted)
    apply : callable, (generator, (n,) r, m) -> (m, n) rearranged
    every : callable or None
        Index (m,) of arrangements -> (m, n): all of them, where they are few. The first leaves r as
        it is.
    """

    name: str
    sentence: str
    arrangements: float
    apply: Callable[[np.random.Generator, Floats, int], Floats]
    every: Callable[[Longs, Floats], Floats] | None = None


@dataclass(frozen=True, slots=True)
class Rearranged:
    """Responses of the null model with r rearranged; see ``refits.Source``.

    Attributes
    ----------
    mean : (n,) array, X beta and offset under the null model
    r : (n,) array
    scheme : Scheme
    seed : SeedSequence
    at_once : int
    exhaustive : bool, all arrangements one after the other
    """

    mean: Floats
    r: Floats
    scheme: Scheme
    seed: np.random.SeedSequence
    at_once: int
    exhaustive: bool

    @classmethod
    def of(
        cls, mean: Floats, r: Floats, scheme: Scheme, seed: np.random.SeedSequence, most: int
    ) -> Rearranged:
        """All arrangements where there are no more than ``most``, else drawn ones."""
        few = scheme.every is not None and scheme.arrangements <= most
        return cls(mean, r, scheme, seed, responses_at_once(r.size), few)

    def block(self, number: int, m: int) -> Floats:
        """(n, m) responses."""
        if self.exhaustive and self.scheme.every is not None:
            first = number * self.at_once
            found = self.scheme.every(np.arange(first, first + m), self.r)
        else:
            key = (*self.seed.spawn_key, number)
            own = np.random.SeedSequence(self.seed.entropy, spawn_key=key)
            found = self.scheme.apply(np.random.default_rng(own), self.r, m)
        return np.ascontiguousarray((found + self.mean).T)


def blocks_of(design: Design) -> Longs:
    """(n,) blocks of rows with the same random effects: levels, random columns and weights."""
    parts = [np.column_stack([t.codes, t.values]) for t in design.random]
    if design.weights is not None:
        parts.append(design.weights[:, None])
    _, blocks = np.unique(np.hstack(parts), axis=0, return_inverse=True)
    return np.asarray(blocks.reshape(-1), dtype=np.int64)


def within_blocks(blocks: Longs, name: str) -> Scheme:
    """Rows permuted within blocks."""
    base = np.argsort(blocks, kind="stable")

    def apply(rng: np.random.Generator, r: Floats, m: int) -> Floats:
        # Sorted by block and, in a block, by a random number.
        order = np.argsort(blocks + rng.random((m, blocks.size)), axis=1)
        out = np.empty((m, r.size))
        out[:, base] = r[order]
        return out

    sentence = (
        f"within: residuals of the null model permuted within {name}; assumes that residuals "
        "with the same random effects are exchangeable."
    )
    return Scheme("within", sentence, np.inf, apply)


def patterns_of(design: Design, codes: NDArray[np.int32]) -> Longs:
    """(J,) which groups look alike: size, random columns row by row, weights."""
    order = np.argsort(codes, kind="stable")
    columns = [t.values for t in design.random]
    if design.weights is not None:
        columns.append(design.weights[:, None])
    rows = np.hstack(columns)[order]
    ends = np.flatnonzero(np.diff(codes[order])) + 1
    kinds: dict[bytes, int] = {}
    return np.array([kinds.setdefault(part.tobytes(), len(kinds)) for part in np.split(rows, ends)])


def whole_groups(codes: NDArray[np.int32], name: str) -> Scheme:
    """Residual vectors exchanged between groups, all of one size, rows in the order of the data."""
    n_groups = int(codes.max()) + 1
    rows = np.argsort(codes, kind="stable").reshape(n_groups, -1)

    def apply(rng: np.random.Generator, r: Floats, m: int) -> Floats:
        order = np.argsort(rng.random((m, n_groups)), axis=1)
        out = np.empty((m, r.size))
        out[:, rows] = r[rows][order]
        return out

    sentence = (
        f"groups: residuals of the null model exchanged between whole levels of {name}; assumes "
        "that the levels are exchangeable."
    )
    return Scheme("groups", sentence, np.inf, apply)


def signs(codes: NDArray[np.int32], name: str) -> Scheme:
    """Residual vectors of whole groups with random signs."""
    n_groups = int(codes.max()) + 1

    def apply(rng: np.random.Generator, r: Floats, m: int) -> Floats:
        chosen = 1.0 - 2.0 * rng.integers(2, size=(m, n_groups))
        return np.asarray(r * chosen[:, codes])

    def every(index: Longs, r: Floats) -> Floats:
        bits = (index[:, None] >> np.arange(n_groups)) & 1
        return np.asarray(r * (1.0 - 2.0 * bits)[:, codes])

    sentence = (
        f"signs: residuals of the null model with random signs for whole levels of {name}; assumes "
        "that the levels are independent and random effects and residuals symmetric."
    )
    return Scheme("signs", sentence, 2.0**n_groups, apply, every)
