"""Exact second derivatives of the log-determinant of a penalized information.

For M(t) symmetric positive definite, with the entries of M and of its derivatives M_k on the
pattern of the levels that meet in a row,

    tr(M^-1 M_k M^-1 M_l)   and the blocks of M^-1 on that pattern.

The levels j of the grouping factor with most levels are eliminated first: M = [D, C'; C, E] with D
block diagonal. Congruence by the block Cholesky factor makes the trace a sum over the levels and a
trace of the same kind for the Schur complement S = E - C D^-1 C' (Y_k is what is left of C_k):

    sum_j tr(D^-1 D_k D^-1 D_l) + 2 tr(D^-1 Y_k' S^-1 Y_l) + tr(S^-1 S_k S^-1 S_l)
    Y_k = C_k - C D^-1 D_k,   S_k = E_k - sym(Y_k D^-1 C') - C D^-1 D_k D^-1 C'

so nothing as large as M^-1 is formed. Where every level of a factor lies in one level of each of
the others, S has the pattern of the others alone; else it is dense.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from mixeff.factor import kernels
from mixeff.generalized.penalized_blocks import FULL, Blocks, Curvature, LevelColumns, Pair

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

_KEPT = 500_000  # entries of the eliminated rows (4 MB) that are not arranged anew the second time


def determinant_curvature(blocks: Blocks, threads: int = 1) -> Curvature:
    """See the module; no digit depends on the number of threads.

    Raises
    ------
    numpy.linalg.LinAlgError
        If M is not positive definite.
    """
    if len(blocks.diagonal) == 1:
        inverse, squares = _own(blocks.diagonal[0])
        return Curvature(squares, (inverse,), {})
    if blocks.nested:
        return _nested(blocks, threads)
    return _crossed(blocks, threads)


def _own(D: Floats) -> tuple[Floats, Floats]:
    """D^-1 and the sums of tr(D^-1 D_k D^-1 D_l) over the levels."""
    inverse = _inverse(D[0])
    N = _product(inverse, D[1:])
    m = N.shape[0]
    return inverse, N.reshape(m, -1) @ N.transpose(0, 1, 3, 2).reshape(m, -1).T


def _inverse(D: Floats) -> Floats:
    """Inverse of (J, q, q) positive definite blocks."""
    if D.shape[1] == 1:
        return np.asarray(1.0 / D)
    inverse = np.asarray(np.linalg.inv(D), dtype=np.float64)
    return 0.5 * (inverse + inverse.transpose(0, 2, 1))


def _product(A: Floats, B: Floats) -> Floats:
    """A @ B for stacks of (q, q) and (q, n) matrices; with q = 1 without a call for each."""
    found: Floats = A * B if A.shape[-1] == 1 else A @ B
    return found


@dataclass(frozen=True, slots=True)
class _Panel:
    """Some levels of the first factor, b of them, with n columns of the others each.

    Attributes
    ----------
    inverse : (b, q, q) array, D^-1
    scaled : (b, q, n) array, D^-1 C'
    Y : (b, m, q, n) array, Y_k'
    half : (b, 1 + m, q, n) array, P with S_k = E_k - sym(sum P_k' D^-1 C')
    """

    inverse: Floats
    scaled: Floats
    Y: Floats
    half: Floats

    @classmethod
    def of(cls, inverse: Floats, D: Floats, C: Floats) -> _Panel:
        """From D_k (b, m, q, q) and C' with its derivatives (b, 1 + m, q, n)."""
        scaled = _product(inverse, C[:, 0])
        change = _product(D, scaled[:, None])
        half = np.array(C)
        half[:, 0] *= 0.5
        half[:, 1:] -= 0.5 * change
        return cls(inverse, scaled, C[:, 1:] - change, half)

    def squares(self, H: Floats) -> Floats:
        """Sum of 2 tr(D^-1 Y_k' H Y_l) for H = S^-1 at these columns: (b, n, n) or (n, n)."""
        b, m, q, n = self.Y.shape
        if H.ndim == 2:
            right = (self.Y.reshape(-1, n) @ H).reshape(self.Y.shape)
        else:
            right = (self.Y.reshape(b, m * q, n) @ H).reshape(self.Y.shape)
        left = _product(self.inverse[:, None], self.Y)
        flat = (x.transpose(1, 0, 2, 3).reshape(m, -1) for x in (left, right))
        found: Floats = 2.0 * (next(flat) @ next(flat).T)
        return found

    def inverse_blocks(self, H: Floats) -> tuple[Floats, Floats]:
        """Blocks of M^-1: the levels' own (b, q, q), and with their columns (b, q, n)."""
        if H.ndim == 2:
            between = -(self.scaled.reshape(-1, H.shape[0]) @ H).reshape(self.scaled.shape)
        else:
            between = -(self.scaled @ H)
        return self.inverse - between @ self.scaled.transpose(0, 2, 1), between


def _nested(blocks: Blocks, threads: int) -> Curvature:
    """Eliminate the first factor; what it leaves is added to one level of each of the others."""
    D, rest = blocks.diagonal[0], blocks.rest
    inverse, squares = _own(D)
    own = [blocks.pairs[0, k] for k in range(1, len(blocks.diagonal))]
    sizes = [p.values.shape[3] for p in own]
    ends = np.cumsum([0, *sizes])
    parts = [slice(int(a), int(b)) for a, b in pairwise(ends)]
    C = np.concatenate([p.values for p in own], axis=3).transpose(1, 0, 2, 3)
    panel = _Panel.of(inverse, D[1:].transpose(1, 0, 2, 3), C)
    places = {key: _positions(pair, own[key[0]], own[key[1]]) for key, pair in rest.pairs.items()}
    reduced = _reduced(rest, panel, own, parts, places)
    inner = determinant_curvature(reduced, threads)
    H = np.empty((inverse.shape[0], int(ends[-1]), int(ends[-1])))
    for k, part in enumerate(parts):
        H[:, part, part] = inner.diagonal[k][own[k].column]
    for (i, k), place in places.items():
        block = inner.between[i, k][place]
        H[:, parts[i], parts[k]] = block
        H[:, parts[k], parts[i]] = block.transpose(0, 2, 1)
    diagonal, columns = panel.inverse_blocks(H)
    between = {(i + 1, k + 1): v for (i, k), v in inner.between.items()}
    between.update({(0, k + 1): columns[:, :, part] for k, part in enumerate(parts)})
    squares = squares + inner.squares + panel.squares(H)
    return Curvature(squares, (diagonal, *inner.diagonal), between)


def _positions(pair: Pair, one: Pair, two: Pair) -> Longs:
    """Which entry of ``pair`` each level's two ancestors are."""
    width = int(max(pair.column.max(), two.column.max())) + 1
    keys = pair.row * width + pair.column
    order = np.argsort(keys)
    found = np.searchsorted(keys, one.column * width + two.column, sorter=order)
    return np.asarray(order[found], dtype=np.int64)


def _reduced(
    rest: Blocks,
    panel: _Panel,
    own: list[Pair],
    parts: list[slice],
    places: dict[tuple[int, int], Longs],
) -> Blocks:
    """The Schur complement of nested levels, with its derivatives."""

    def less(values: Floats, place: Longs, a: slice, b: slice) -> Floats:
        out = np.array(values)
        P, T = panel.half, panel.scaled
        for k in range(out.shape[0]):
            one = P[:, k, :, a].transpose(0, 2, 1) @ T[:, :, b]
            one += T[:, :, a].transpose(0, 2, 1) @ P[:, k, :, b]
            size = one[0].size
            entry = (place[:, None] * size + np.arange(size)).ravel()
            out[k] -= np.bincount(entry, one.ravel(), out[k].size).reshape(out[k].shape)
        return out

    diagonal = tuple(
        less(d, own[k].column, parts[k], parts[k]) for k, d in enumerate(rest.diagonal)
    )
    pairs = {
        (i, k): Pair(p.row, p.column, less(p.values, places[i, k], parts[i], parts[k]))
        for (i, k), p in rest.pairs.items()
    }
    return Blocks(diagonal, pairs)


def _crossed(blocks: Blocks, threads: int) -> Curvature:
    """Eliminate the first factor; what it leaves is dense."""
    D = blocks.diagonal[0]
    inverse, squares = _own(D)
    rows = LevelColumns.of(blocks)
    S = _dense(blocks.rest, rows.size)

    def made(full: bool = False) -> Iterator[tuple[Longs, Longs | None, _Panel]]:
        for levels, places in rows.batches():
            if places is None or not full:
                change = D[1:, levels].transpose(1, 0, 2, 3)
                yield (
                    levels,
                    places,
                    _Panel.of(inverse[levels], change, rows.gather(levels, places)),
                )

    kept = list(made()) if rows.values.size <= _KEPT else None
    for _, places, panel in made(full=True) if kept is None else kept:
        if places is None:
            _subtract(S, panel)
    _subtract_few(S, rows, inverse, D[1:], threads)
    H, inner = _dense_curvature(S)
    squares = squares + inner
    own, between = np.empty_like(inverse), np.empty((rows.column.size, inverse.shape[1]))
    for levels, places, panel in made() if kept is None else kept:
        at = None if places is None else rows.column[places]
        Q = H if at is None else H[at[:, :, None], at[:, None, :]]
        squares += panel.squares(Q)
        own[levels], found = panel.inverse_blocks(Q)
        if places is None:
            level, entry = rows.entries(levels)
            between[entry] = found[level, :, rows.column[entry]]
        else:
            between[places] = found.transpose(0, 2, 1)
    pairs = {(0, k + 1): between[source].transpose(0, 2, 1) for k, source in enumerate(rows.source)}
    diagonal, others = _read(blocks.rest, H)
    pairs.update({(i + 1, k + 1): v for (i, k), v in others.items()})
    return Curvature(squares, (own, *diagonal), pairs)


def _subtract(S: Floats, panel: _Panel) -> None:
    """S_k -= P_k' D^-1 C', the half of the symmetric matrix that is to be reflected.

    Of levels that meet all columns, or nearly.
    """
    b, K, q, n = panel.half.shape
    right = panel.scaled.reshape(b * q, n)
    for k in range(K):
        S[k] -= panel.half[:, k].reshape(b * q, n).T @ right


def _subtract_few(S: Floats, rows: LevelColumns, inverse: Floats, D: Floats, threads: int) -> None:
    """The same of the levels that meet few columns; the lower triangle and half the diagonal."""
    counts = np.diff(rows.pointer)
    chosen = np.flatnonzero(counts <= FULL * rows.size)
    if not chosen.size:
        return
    level, entry = rows.entries(chosen)
    column, C = rows.column[entry], rows.values[entry]
    scaled = _times(inverse[chosen[level]], C[:, 0])
    pointer = np.concatenate([[0], np.cumsum(counts[chosen])])
    meets, order = kernels.level_order(column.astype(np.int32), rows.size, None)
    sorted_level = level[order].astype(np.int32)
    for k in range(S.shape[0]):
        half = C[:, k] - 0.5 * _times(D[k - 1, chosen[level]], scaled) if k else 0.5 * C[:, 0]
        kernels.subtract_outer(
            pointer, column, np.ascontiguousarray(half), scaled, meets, order, sorted_level, S[k],
            threads,
        )  # fmt: skip


def _times(square: Floats, vectors: Floats) -> Floats:
    """(R, q) products of (R, q, q) symmetric matrices and (R, q) vectors."""
    if square.shape[1] == 1:
        return np.asarray(square[:, 0] * vectors)
    found: Floats = np.einsum("rab,rb->ra", square, vectors)
    return found


def _starts(blocks: Blocks) -> list[int]:
    """First dense column of every factor."""
    return [0, *np.cumsum([d.shape[1] * d.shape[2] for d in blocks.diagonal]).tolist()]


def _entries(blocks: Blocks) -> Iterator[tuple[Floats, Longs, Longs]]:
    """All blocks (K, nnz, q, r) with their dense rows (nnz, q, 1) and columns (nnz, 1, r)."""
    starts = _starts(blocks)
    for k, d in enumerate(blocks.diagonal):
        at = starts[k] + np.arange(d.shape[1])[:, None] * d.shape[2] + np.arange(d.shape[2])
        yield d, at[:, :, None], at[:, None, :]
    for (i, k), pair in blocks.pairs.items():
        q, r = pair.values.shape[2:]
        row = starts[i] + pair.row[:, None] * q + np.arange(q)
        column = starts[k] + pair.column[:, None] * r + np.arange(r)
        yield pair.values, row[:, :, None], column[:, None, :]


def _dense(blocks: Blocks, size: int) -> Floats:
    """(K, T, T) matrices whose sum with their transpose is M and its derivatives."""
    S = np.zeros((blocks.diagonal[0].shape[0], size, size))
    for number, (values, row, column) in enumerate(_entries(blocks)):
        S[:, row, column] = 0.5 * values if number < len(blocks.diagonal) else values
    return S


def _dense_curvature(S: Floats) -> tuple[Floats, Floats]:
    """S^-1 and tr(S^-1 S_k S^-1 S_l) from the halves; ``S`` is lost."""
    for part in S:
        part += part.T
    L, info = lapack.dpotrf(S[0], lower=1)
    if info:
        raise np.linalg.LinAlgError("The penalized information is not positive definite.")
    index = np.tril_indices(S.shape[1])
    flat = np.empty((S.shape[0] - 1, index[0].size))
    for part, out in zip(S[1:], flat, strict=True):
        # L^-1 S_k L^-T, the squares of whose entries sum up to the trace.
        found, _ = lapack.dsygst(part.T, L, lower=1, overwrite_a=1)
        out[:] = found[index]
    flat[:, index[0] != index[1]] *= math.sqrt(2.0)
    H, _ = lapack.dpotri(L, lower=1)
    H = np.tril(H) + np.tril(H, -1).T
    return np.ascontiguousarray(H), flat @ flat.T


def _read(blocks: Blocks, H: Floats) -> tuple[list[Floats], dict[tuple[int, int], Floats]]:
    """The blocks of H on the pattern."""
    found = [H[row, column] for _, row, column in _entries(blocks)]
    count = len(blocks.diagonal)
    return found[:count], dict(zip(blocks.pairs, found[count:], strict=True))
