"""The part of tr(W V_j W V_k) that belongs to the chain of factors eliminated one by one.

Formulas and symbols: ``linear/trace_products.py``. Everything is laid out as the stages of the
factor are: rows of B level by level, the tail as the tail has it. What is carried from stage to
stage for every parameter j is dA'/dphi_j = -R_j, on the pattern of A'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixeff.factor import kernels
from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.selected_inverse import tail_inverse
from mixeff.linear.level_blocks import LevelInverse, inner_products, pair_sums, rows_times

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(slots=True)
class _Change:
    """dA'/dphi_j on later stages (as their ``G`` and ``B``) and on the tail (as its ``S``)."""

    G: dict[int, Floats]
    B: dict[int, Floats]
    S: Floats

    def negate(self) -> None:
        """In place."""
        for part in (*self.G.values(), *self.B.values(), self.S):
            np.negative(part, out=part)


@dataclass(frozen=True, slots=True)
class _Gone:
    """An eliminated stage.

    Attributes
    ----------
    level : LevelInverse
    E : (m, q, q) array, of its own parameters
    own : positions of its own parameters
    rows : dict j -> (R, q) array, R_j between later columns and the levels, after elimination,
        for every parameter j of the stages before
    Bt : (R, q) array
    """

    level: LevelInverse
    E: Floats
    own: Indices
    rows: dict[int, Floats]
    Bt: Floats


@dataclass(slots=True)
class Chain:
    """The stages of a factor, gone through from the first to the last.

    Its system's room for intermediate results must hold the inverse: ``trace_blocks`` was the last
    call.
    """

    factor: BlockedFactor
    changes: dict[int, _Change] = field(default_factory=dict)
    gone: list[_Gone] = field(default_factory=list)

    @classmethod
    def of(cls, factor: BlockedFactor) -> Chain:
        """Nothing eliminated yet."""
        return cls(factor)

    @property
    def _drop(self) -> int:
        """Rows of X and y at the end of every level."""
        layout = self.factor.layout
        return int(layout.products.size - layout.starts[-1])

    def eliminate(
        self, s: int, directions: Sequence[Floats], own: Sequence[Indices], K: Floats
    ) -> None:
        """Take stage s out: K gets all that does not depend on later columns."""
        stage, at = self.factor.layout.stages[s], self.factor.eliminated.stages[s]
        E, mine = directions[stage.group], own[stage.group]
        level = LevelInverse.of(at.G, self.factor.Lambda[stage.group])
        K[np.ix_(mine, mine)] += pair_sums(level.N, level.N, E, E)
        B = at.B.copy()
        for back in range(1, self._drop + 1):
            B[stage.pointer[1:] - back] = 0.0
        heads = {j: -change.G.pop(s) for j, change in self.changes.items()}
        _own_heads(level, E, mine, heads, K)
        U = rows_times(B, level.Omega, stage.pointer)
        rows = {j: self._transform(s, j, U, H) for j, H in heads.items()}
        Bt = rows_times(B, level.Y.transpose(0, 2, 1), stage.pointer)
        self.gone.append(_Gone(level, E, mine, rows, Bt))
        for j, direction in zip(mine.tolist(), E, strict=True):
            self.changes[j] = self._born(s, Bt, direction)

    def _born(self, s: int, Bt: Floats, E: Floats) -> _Change:
        """-Bt' E Bt, from the eigenvectors of E."""
        stores = self.factor.eliminated
        later = range(s + 1, len(stores.stages))
        change = _Change(
            {u: np.zeros_like(stores.stages[u].G) for u in later},
            {u: np.zeros_like(stores.stages[u].B) for u in later},
            np.zeros_like(stores.S),
        )
        values, vectors = np.linalg.eigh(E)
        self._subtract(s, Bt @ (vectors[:, values > 0] * np.sqrt(values[values > 0])), change)
        if np.any(values < 0):
            change.negate()
            self._subtract(s, Bt @ (vectors[:, values < 0] * np.sqrt(-values[values < 0])), change)
            change.negate()
        return change

    def _transform(self, s: int, j: int, U: Floats, H: Floats) -> Floats:
        """R_j on the later columns becomes that after stage s; returns R_10 - B' Omega H.

        With D = -R: D' = D_22 - U W' - W U', U = B' Omega, W = D_10 + U H / 2, a difference of
        two squares.
        """
        change, pointer = self.changes[j], self.factor.layout.stages[s].pointer
        D = change.B.pop(s)
        UH = rows_times(U, H, pointer)
        W = D + 0.5 * UH
        size, other = float(np.linalg.norm(U)), float(np.linalg.norm(W))
        if size > 0 and other > 0:
            a = np.sqrt(other / size)
            self._subtract(s, np.sqrt(0.5) * (a * U + W / a), change)
            change.negate()
            self._subtract(s, np.sqrt(0.5) * (a * U - W / a), change)
            change.negate()
        return -D - UH

    def _subtract(self, s: int, C: Floats, change: _Change) -> None:
        """C_l C_l' of every level from all later parts."""
        stage = self.factor.layout.stages[s]
        C = np.ascontiguousarray(C)
        for link in stage.links:
            kernels.scatter_stage(
                stage.pointer, link.offset, link.ancestor, link.place, C,
                change.G[link.stage], change.B[link.stage],
            )  # fmt: skip
        self.factor.system.tail.subtract(s, C, change.S)

    def settle(self, K: Floats) -> None:
        """The terms that are linear in Q, from its entries on the pattern of every level's rows."""
        scratch = self.factor.system.scratch()
        for s, gone in enumerate(self.gone):
            level, pointer = gone.level, self.factor.layout.stages[s].pointer
            P = level.Y @ scratch.K[s] @ level.Y.transpose(0, 2, 1)  # Bt Q Bt'
            first = pair_sums(level.N, P, gone.E, gone.E)
            K[np.ix_(gone.own, gone.own)] -= first + first.T
            for j, C in gone.rows.items():
                QC = self._times_inverse(s, C)
                P = inner_products(gone.Bt, QC, pointer)
                inner = np.einsum("lab,lcb->ac", P, level.Y)
                found = -2.0 * np.einsum("kab,ba->k", gone.E, inner)
                K[j, gone.own] += found
                K[gone.own, j] += found
                for k, other in gone.rows.items():
                    P = inner_products(other, QC, pointer)
                    K[j, k] += 2.0 * np.einsum("lab,lba->", level.Omega, P)

    def _times_inverse(self, s: int, C: Floats) -> Floats:
        """Q C_l on the rows of every level of stage s."""
        layout, scratch = self.factor.layout, self.factor.system.scratch()
        stage, out = layout.stages[s], np.empty_like(C)
        Q = tail_inverse(self.factor)
        self.factor.system.tail.inverse_rows(s, self._drop, C, Q, out, half=False)
        for link in stage.links:
            kernels.inverse_stage(
                stage.pointer, link.offset, self._drop, link.ancestor, link.place, C,
                scratch.diagonal[link.stage], scratch.rows[link.stage], out,
            )  # fmt: skip
        return out

    def tail_changes(self) -> dict[int, Floats]:
        """-R_j on the tail, laid out as its ``S``, per parameter; they are given away."""
        found = {j: change.S for j, change in self.changes.items()}
        self.changes.clear()
        return found


def _own_heads(
    level: LevelInverse, E: Floats, own: Indices, heads: dict[int, Floats], K: Floats
) -> None:
    """The terms of parameters eliminated before with this factor's own block of Q."""
    if not heads:
        return
    slope = np.einsum("lba,kbc,lcd->klad", level.Y, E, level.Y, optimize=True)
    for j, H in heads.items():
        found = np.einsum("lab,klba->k", H, slope)
        K[j, own] += found
        K[own, j] += found
        half = level.Omega @ H @ level.Omega
        for k, other in heads.items():
            K[j, k] += np.einsum("lab,lba->", half, other)
