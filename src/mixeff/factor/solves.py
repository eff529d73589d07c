"""Vectors from a factor: modes, scores, quadratic forms, solves (ENGINE sections 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
            at.T, factor.Lambda[stage.group], stage.pointer, stage.columns, at.C, stage.start, t,
            gathered,
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
            at.T, factor.Lambda[stage.group], stage.pointer, stage.columns, at.C, stage.start, t, b
        )
    return b


def conditional_modes(factor: BlockedFactor) -> ModeState:
    """Solve for the response: the forward half is the last row of the factor."""
    layout = factor.layout
    u = np.zeros((layout.width, 1))
    for stage, at in zip(layout.stages, factor.store.stages, strict=True):
        u[stage.start : stage.start + at.G.shape[0] * at.G.shape[1], 0] = at.C[
            stage.pointer[1:] - 1
        ].ravel()
    u[layout.tail : -1, 0] = factor.system.tail.response_row(factor.store.L)
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
            found[i] = system.tail.residual(factor.store.S, a, b).reshape(u.shape)
    for stage, at in zip(layout.stages, factor.store.stages, strict=True):
        if factor.inverses[stage.group] is None:
            kernels.residual_scores(
                at.G, stage.pointer, stage.columns, at.B, stage.start, state.b, found[stage.group]
            )
    return tuple(found)


def unscaled_covariance(factor: BlockedFactor) -> Floats:
    """(X'V^-1 X)^-1 from the fixed part of the factor."""
    if factor.system.p == 0:
        return np.zeros((0, 0))
    lower, _ = lapack.dpotri(factor.system.tail.fixed_part(factor.store.L), lower=1)
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)


def quadratic(factor: BlockedFactor, directions: Sequence[Floats]) -> Floats:
    """C' Z' P Z C as the Schur complement of the extra columns Z C."""
    layout, system = factor.layout, factor.system
    m = directions[0].shape[2] if directions else 0
    c = np.zeros((layout.width, m))
    for i, at in enumerate(layout.position):
        size = system.n_levels[i] * system.n_columns[i]
        c[at : at + size] = np.asarray(directions[i]).reshape(size, m)
    out = np.zeros_like(c)
    for stage in layout.stages:
        kernels.multiply(stage.G, stage.pointer, stage.columns, stage.B, stage.start, c, out)
    out[layout.tail :] += layout.products.times(c[layout.tail :])
    total = c.T @ out
    t = _times_Lambda_transposed(factor, out)
    _forward(factor, t)
    total -= t[:-1].T @ t[:-1]
    return np.asarray((total + total.T) / 2)


def _times_Lambda_transposed(factor: BlockedFactor, M: Floats) -> Floats:
    """Lambda' M on the random rows, global order."""
    out = np.array(M)
    for i, at in enumerate(factor.layout.position):
        J, q = factor.system.n_levels[i], factor.system.n_columns[i]
        block = M[at : at + J * q].reshape(J, q, -1)
        out[at : at + J * q] = (factor.Lambda[i].T @ block).reshape(J * q, -1)
    return out


def solve(factor: BlockedFactor, right: Floats) -> Floats:
    """Both halves, from the caller's order to global order and back."""
    layout = factor.layout
    right = np.asarray(right, dtype=np.float64)
    given = right.reshape(right.shape[0], -1)
    t = np.zeros((layout.width, given.shape[1]))
    where = _caller_rows(factor)
    t[where] = given
    _forward(factor, t)
    t[-1] = 0.0
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
