"""Small blocks of every level of a grouping factor, and the ragged rows that belong to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LevelInverse:
    """Y = (I + G Sigma)^-1, N = Y G and Omega = Sigma Y for every level, (J, q, q) each."""

    Y: Floats
    N: Floats
    Omega: Floats

    @classmethod
    def of(cls, G: Floats, Lambda: Floats) -> LevelInverse:
        """From the Gram matrices of the levels; any Lambda, also a singular one."""
        Sigma = Lambda @ Lambda.T
        q = Sigma.shape[0]
        if q == 1:
            return cls(1.0 / (1.0 + G * Sigma), G / (1.0 + G * Sigma), Sigma / (1.0 + G * Sigma))
        Y: Floats = np.asarray(np.linalg.inv(np.eye(q) + G @ Sigma), dtype=np.float64)
        N, Omega = Y @ G, Sigma @ Y
        half = [0.5 * (M + M.transpose(0, 2, 1)) for M in (N, Omega)]
        return cls(Y, *half)


def pair_sums(N: Floats, M: Floats, E: Floats, F: Floats) -> Floats:
    """(j, k) sums over levels of tr(E_j N_l F_k M_l), for (J, q, r) N and (J, r, q) M."""
    sums = (N.reshape(N.shape[0], -1).T @ M.reshape(M.shape[0], -1)).reshape(
        *N.shape[1:], *M.shape[1:]
    )
    half = np.tensordot(E, sums, axes=((1, 2), (3, 0)))
    return np.tensordot(half, F, axes=((1, 2), (1, 2)))


def pairs_of_levels(N: Floats, E: Floats, F: Floats) -> Floats:
    """(j, k) sums over pairs of levels of tr(E_j N_lm F_k N_lm'), for a (J q, K r) matrix N."""
    q, r = E.shape[1], F.shape[1]
    if q == r == 1:
        return np.asarray(np.einsum("ab,ab->", N, N) * np.outer(E[:, 0, 0], F[:, 0, 0]))
    sums = np.empty((q, r, q, r))
    for a in range(q):
        for b in range(r):
            for c in range(q):
                for d in range(r):
                    sums[a, b, c, d] = np.einsum("lm,lm->", N[a::q, b::r], N[c::q, d::r])
    half = np.tensordot(E, sums, axes=((1, 2), (2, 0)))
    return np.tensordot(half, F, axes=((1, 2), (1, 2)))


def level_sums(left: Floats, right: Floats, q: int) -> Floats:
    """(q, q) sum over levels of left_l' right_l for (T, J q) matrices, given by their rows.

    Parameters
    ----------
    left, right : (J q, T) arrays, the transposes
    """
    out = np.empty((q, q))
    for a in range(q):
        for b in range(q):
            out[a, b] = np.einsum("lt,lt->", left[a::q], right[b::q])
    return out


def rows_times(rows: Floats, blocks: Floats, pointer: Longs) -> Floats:
    """Every row of a level times the block of its level: (R, q) times (J, q, r)."""
    counts = np.diff(pointer)
    out = np.zeros((rows.shape[0], blocks.shape[2]))
    for a in range(blocks.shape[1]):
        for b in range(blocks.shape[2]):
            out[:, b] += rows[:, a] * np.repeat(blocks[:, a, b], counts)
    return out


def inner_products(left: Floats, right: Floats, pointer: Longs) -> Floats:
    """(J, q, r) left_l' right_l of the rows of every level; no level is without rows."""
    out = np.empty((pointer.size - 1, left.shape[1], right.shape[1]))
    for a in range(left.shape[1]):
        for b in range(right.shape[1]):
            out[:, a, b] = np.add.reduceat(left[:, a] * right[:, b], pointer[:-1])
    return out
