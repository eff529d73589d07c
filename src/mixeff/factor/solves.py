"""Vectors from a factor: modes, scores, quadratic forms, solves (ENGINE sections 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from mixeff.factor import kernels
from mixeff.factor.tail_products import scale_rows

if TYPE_CHECKING:
    from mixeff.factor.cholesky import BlockedFactor, BlockedSystem

Floats = NDArray[np.float64]

WELL_CONDITIONED = 1e4
"""Up to this condition number of Lambda dividing by it loses nothing that matters."""


@dataclass(frozen=True, slots=True)
class ModeState:
    """Solution for y in global order: ``u`` spherical and ``b`` = Lambda u, (width, 1) each.

    In both the entries at X are beta and the one at y is 0.
    """

    u: Floats
    b: Floats


def inverse_if_sound(Lambda: Floats) -> Floats | None:
    """Lambda^-1, or None when Lambda is singular or too badly conditioned to divide by."""
    if Lambda.shape[0] == 1:
        return 1.0 / Lambda if Lambda[0, 0] != 0.0 else None
    inverse, info = lapack.dtrtri(Lambda, lower=1)
    if info:
        return None
    size = np.abs(Lambda).sum(axis=0).max() * np.abs(inverse).sum(axis=0).max()
    return np.asarray(inverse) if size <= WELL_CONDITIONED else None


def split_groups(system: BlockedSystem, vector: Floats) -> tuple[Floats, ...]:
    """The parts of a global (width, 1) vector, (J, q) per grouping factor in the caller's order."""
    return tuple(
        np.array(vector[at : at + J * q].reshape(J, q))
        for at, J, q in zip(system.layout.position, system.n_levels, system.n_columns, strict=True)
    )


def _forward(factor: BlockedFactor, t: Floats) -> None:
    """In place: the forward half of a solve, scaled coordinates, global order with a row for y."""
    gathered = np.zeros_like(t)
    for stage, at in zip(factor.layout.stages, factor.store.stages, strict=True):
        kernels.forward(
            at.T, at.R, factor.Lambda[stage.group], stage.pointer, stage.columns, at.B,
            stage.start, t, gathered,
        )  # fmt: skip
    tail = slice(factor.layout.tail, factor.layout.width - 1)
    t[tail] -= scale_rows(gathered[tail], factor.layout.starts, factor.tail_Lambda, transpose=True)
    factor.system.tail.solve(factor.store.L, t[tail], False)


def _backward(factor: BlockedFactor, t: Floats) -> Floats:
    """In place: the backward half; returns Lambda times the solution."""
    b = np.zeros_like(t)
    tail = slice(factor.layout.tail, factor.layout.width - 1)
    factor.system.tail.solve(factor.store.L, t[tail], True)
    b[tail] = scale_rows(t[tail], factor.layout.starts, factor.tail_Lambda, transpose=False)
    pairs = list(zip(factor.layout.stages, factor.store.stages, strict=True))
    for stage, at in reversed(pairs):
        kernels.backward(
            at.T, at.R, factor.Lambda[stage.group], stage.pointer, stage.columns, at.B,
            stage.start, t, b,
        )  # fmt: skip
    return b


def conditional_modes(factor: BlockedFactor, fixed: bool = True) -> ModeState:
    """Solve for the response: the forward half is the last row of the factor.

    Without ``fixed`` the random effects alone are solved for, as if there were no X.
    """
    layout = factor.layout
    u = np.zeros((layout.width, 1))
    for stage, at in zip(layout.stages, factor.store.stages, strict=True):
        of_response = at.B[stage.pointer[1:] - 1]
        own = slice(stage.start, stage.start + of_response.size)
        np.einsum("la,lab->lb", of_response, at.R, out=u[own].reshape(of_response.shape))
    u[layout.tail : -1, 0] = factor.system.tail.response_row(factor.store.L)
    if not fixed:
        u[layout.width - 1 - factor.system.p :] = 0.0
    b = _backward(factor, u)
    return ModeState(u, b)


def scores(factor: BlockedFactor, state: ModeState) -> tuple[Floats, ...]:
    """z = Lambda^-T u where Lambda can be divided by, else from the residual."""
    layout, system = factor.layout, factor.system
    found: list[Floats] = list(split_groups(system, state.u))
    for i, u in enumerate(found):
        inverse = factor.inverses[i]
        if inverse is not None:
            found[i] = u @ inverse
        elif i in layout.tail_groups:
            a = layout.tail_groups.index(i)
            b = state.b[layout.tail : -1, 0]
            found[i] = system.tail.residual(factor.eliminated.S, a, b).reshape(u.shape)
    for stage, at in zip(layout.stages, factor.eliminated.stages, strict=True):
        if factor.inverses[stage.group] is None:
            kernels.residual_scores(
                at.G, stage.pointer, stage.columns, at.B, stage.start, state.b, found[stage.group]
            )
    return tuple(found)


def unscaled_covariance(factor: BlockedFactor) -> Floats:
    """(X'V^-1 X)^-1 from the fixed part of the factor."""
    if factor.system.p == 0:
        return np.zeros((0, 0))
    lower, _ = lapack.dpotri(factor.fixed_part(), lower=1)
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)


def information(
    factor: BlockedFactor, scores: Sequence[Floats], slopes: Sequence[Floats]
) -> Floats:
    """C' Z' P Z C as the Schur complement of the extra columns Z C."""
    found, t, entries = _reduced(factor, scores, slopes)
    found -= t.T @ t
    return np.asarray(found[entries.upper])


def joint_information(
    factor: BlockedFactor, scores: Sequence[Floats], slopes: Sequence[Floats]
) -> tuple[Floats, Floats, Floats]:
    """C'Z' V^-1 Z C (m, m), X' V^-1 Z C (p, m) and X' V^-1 X (p, p): X is not projected out.

    V^-1 = W - W Z Lambda M^-1 Lambda'Z'W; scores and slopes as ``information`` takes them.
    """
    found, t, entries = _reduced(factor, scores, slopes)
    random = int(factor.layout.starts[-1])
    found -= t[:random].T @ t[:random]
    L = np.tril(factor.fixed_part())
    return found[entries.upper], L @ t[random:, entries.back], L @ L.T


@dataclass(frozen=True, slots=True)
class _Entries:
    """Where the extra columns of each factor stand, in elimination order and in the caller's.

    Attributes
    ----------
    ends : tuple of int
        First column of each factor in elimination order; the last entry is their number m.
    back : (m,) array, for each of the caller's columns its place in elimination order
    upper : pair of (m, m) arrays
        Places of a symmetric matrix in the caller's order where only the upper triangle in
        elimination order counts.
    """

    ends: tuple[int, ...]
    back: NDArray[np.intp]
    upper: tuple[NDArray[np.intp], NDArray[np.intp]]

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, order: tuple[int, ...], counts: tuple[int, ...]) -> _Entries:
        """``counts`` columns for each factor, in the caller's order; ``order`` of elimination."""
        ends = (0, *accumulate(counts[i] for i in order))
        places = [np.arange(ends[at], ends[at + 1]) for at in np.argsort(order)]
        back = np.concatenate(places)
        upper = np.minimum.outer(back, back), np.maximum.outer(back, back)
        for array in (back, *upper):
            array.flags.writeable = False
        return cls(ends, back, upper)


def _reduced(
    factor: BlockedFactor, scores: Sequence[Floats], slopes: Sequence[Floats]
) -> tuple[Floats, Floats, _Entries]:
    """The extra columns Z C after the stages: their products, their rows of the factor's tail.

    The upper triangle of the first counts; both are in elimination order.

    With A c the products of such a column, a stage leaves of them what it leaves of its other later
    columns: c'Gc - c'G Omega G c of their own and B (I - Omega G) c with those columns, so nothing
    has more than a row per column of the later stages and the tail.
    """
    layout, store, tail = factor.layout, factor.store, factor.system.tail
    order = (*(stage.group for stage in layout.stages), *layout.tail_groups)
    entries = _Entries.of(order, tuple([s.shape[0] for s in slopes]))
    ends, m = entries.ends, entries.ends[-1]
    origin = int(layout.stages[0].G[:, 0].size) if layout.stages else 0
    sums, found = np.zeros((layout.width - origin, m)), np.zeros((m, m))
    for s, (stage, at) in enumerate(zip(layout.stages, store.stages, strict=True)):
        i = stage.group
        kernels.stage_information(
            at.G, factor.Lambda[i], at.T, at.R, factor.inverses[i] is not None, stage.pointer,
            stage.columns, at.B, stage.start, scores[i], slopes[i], ends[s], origin, sums,
            found,
        )  # fmt: skip
    sums = sums[layout.tail - origin :]
    first = len(layout.stages)
    for a, i in enumerate(layout.tail_groups):
        mine = slice(ends[first + a], ends[first + a + 1])
        own = slice(int(layout.starts[a]), int(layout.starts[a + 1]))
        count, q, _ = slopes[i].shape
        c = scores[i] @ slopes[i].transpose(2, 1, 0).reshape(q, q * count)
        c = c.reshape(scores[i].size, count)
        tail.times(store.S, a, c, mine.start, sums)
        found[: mine.stop, mine] += sums[own, : mine.stop].T @ c
    t = scale_rows(sums[:-1], layout.starts, factor.tail_Lambda, transpose=True, here=True)
    tail.solve(store.L, t, False)
    return found, t, entries


def solve(factor: BlockedFactor, right: Floats, fixed: bool = True) -> Floats:
    """Both halves, from the caller's order to global order and back.

    Without ``fixed`` the system is that of the random effects alone; the rows of X come back as 0.
    """
    layout = factor.layout
    right = np.asarray(right, dtype=np.float64)
    given = right.reshape(right.shape[0], -1)
    t = np.zeros((layout.width, given.shape[1]))
    where = _caller_rows(factor)
    t[where] = given
    _forward(factor, t)
    t[-1 if fixed else layout.width - 1 - factor.system.p :] = 0.0
    _backward(factor, t)
    return t[where].reshape(right.shape)


def _caller_rows(factor: BlockedFactor) -> NDArray[np.int64]:
    """Global row of every entry in the caller's order: grouping factors, then X."""
    layout, system = factor.layout, factor.system
    parts = [
        np.arange(at, at + J * q)
        for at, J, q in zip(layout.position, system.n_levels, system.n_columns, strict=True)
    ]
    parts.append(np.arange(layout.width - 1 - system.p, layout.width - 1))
    return np.concatenate(parts)
