"""NumPy twins of the compiled kernels: the same signatures, written for clarity.

Layout shared by all of them. A *stage* is one grouping factor eliminated level by level; ``G``
(J, q, q) holds its diagonal blocks, and the rows ``pointer[l]:pointer[l + 1]`` of ``B`` (R, q) its
products with every later column it meets: ``columns`` (R,) gives that column's global position,
ascending within a level. Global positions run over the stages first, then the dense tail (other
random columns, X, y), which starts at ``tail``. Of the square tail arrays ``S`` is
the upper triangle and ``L`` the lower one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, solve_triangular

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]


# --- the pass over the rows ------------------------------------------------------------------


def level_order(codes: Codes, n_levels: int, within: Longs | None) -> tuple[Longs, Longs]:
    """Stable counting sort of the rows (taken in the order ``within``) by level.

    Returns the (J + 1,) start of every level and the (n,) row numbers.
    """
    counts = np.bincount(codes, minlength=n_levels)
    pointer = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if within is None:
        return pointer, np.argsort(codes, kind="stable").astype(np.int64)
    return pointer, within[np.argsort(codes[within], kind="stable")].astype(np.int64)


def working(values: Floats, shift: Floats, scale: Floats, root: Floats) -> Floats:
    """Working columns with the square root of the weights folded in."""
    columns = (values - shift) / scale
    return columns * root[:, None] if root.size else columns


def level_gram(
    codes: Codes, pointer: Longs, order: Longs, values: Floats, shift: Floats, scale: Floats,
    X: Floats, X_shift: Floats, X_scale: Floats, y: Floats, y_shift: Floats, y_scale: Floats,
    root: Floats, threads: int,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Z_l'Z_l (J, q, q) and [X y]'Z_l (J, p + 1, q) of every level."""
    Z = working(values, shift, scale, root)
    D = np.hstack([working(X, X_shift, X_scale, root), working(y, y_shift, y_scale, root)])
    n_levels = pointer.size - 1
    gram = np.zeros((n_levels, Z.shape[1], Z.shape[1]))
    dense = np.zeros((n_levels, D.shape[1], Z.shape[1]))
    for level in range(n_levels):
        rows = order[pointer[level] : pointer[level + 1]]
        gram[level] = Z[rows].T @ Z[rows]
        dense[level] = D[rows].T @ Z[rows]
    return gram, dense


def pair_gram(
    pointer: Longs, order: Longs, codes: Codes, values: Floats, shift: Floats, scale: Floats,
    other: Floats, other_shift: Floats, other_scale: Floats, root: Floats, threads: int,
) -> tuple[Longs, Codes, Floats]:  # fmt: skip
    """Z_l'W_j for every pair of levels that meet; ``order`` sorts by l, within it by ``codes``."""
    Z = working(values, shift, scale, root)[order]
    W = working(other, other_shift, other_scale, root)[order]
    n_levels = pointer.size - 1
    level = np.repeat(np.arange(n_levels), np.diff(pointer))
    partner = codes[order]
    new = np.ones(order.size, dtype=bool)
    new[1:] = (np.diff(level) != 0) | (np.diff(partner) != 0)
    start = np.flatnonzero(new)
    values_out = np.zeros((start.size, Z.shape[1], W.shape[1]))
    if start.size:
        values_out = np.add.reduceat(Z[:, :, None] * W[:, None, :], start, axis=0)
    counts = np.bincount(level[start], minlength=n_levels)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return indptr, partner[start].astype(np.int32), values_out


def fixed_gram(
    X: Floats, X_shift: Floats, X_scale: Floats, y: Floats, y_shift: Floats, y_scale: Floats,
    root: Floats, threads: int,
) -> Floats:  # fmt: skip
    """[X y]'[X y], (p + 1, p + 1)."""
    D = np.hstack([working(X, X_shift, X_scale, root), working(y, y_shift, y_scale, root)])
    return np.asarray(D.T @ D)


# --- elimination of one stage ----------------------------------------------------------------


def eliminate(
    G: Floats, pointer: Longs, B: Floats, Lambda: Floats, T: Floats, R: Floats, C: Floats
) -> float:
    """D_l = Lambda' G_l Lambda + I = T_l T_l', R_l = Lambda T_l^-T, C = B R; sum of log|D_l|.

    NaN when a D_l is not positive definite.
    """
    logdet = 0.0
    q = Lambda.shape[0]
    for level in range(G.shape[0]):
        D = Lambda.T @ G[level] @ Lambda + np.eye(q)
        if not np.isfinite(D).all():
            return float("nan")
        T[level], info = lapack.dpotrf(D, lower=1, clean=1)
        if info:
            return float("nan")
        R[level] = solve_triangular(T[level], Lambda.T, lower=True).T
        rows = slice(pointer[level], pointer[level + 1])
        C[rows] = B[rows] @ R[level]
        logdet += 2.0 * float(np.sum(np.log(np.diag(T[level]))))
    return logdet


def index_columns(
    pointer: Longs, skip: int, columns: Codes, tail: int, width: int, q: int, room: int
) -> tuple[Longs, Codes, Codes]:
    """The tail rows listed tail column by tail column, levels ascending: starts, row, level.

    Levels that touch more than a quarter of the tail are left out: they are packed for BLAS.
    """
    level = np.repeat(np.arange(pointer.size - 1), np.diff(pointer))
    counts = np.diff(pointer) - skip
    sparse = ~((4 * counts > width) & (q <= room // 2))
    rows = np.flatnonzero(sparse[level] & (columns >= tail))
    rows = rows[np.argsort(columns[rows], kind="stable")]
    counts = np.bincount(columns[rows] - tail, minlength=width)
    meets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return meets, rows.astype(np.int32), level[rows].astype(np.int32)


def scatter_tail(
    pointer: Longs, skip: int, columns: Codes, tail: int, C: Floats, S: Floats, panel: Floats,
    meets: Longs, meets_row: Codes, meets_level: Codes, threads: int,
) -> None:  # fmt: skip
    """S -= C_l C_l' over the tail rows of every level; the first ``skip`` rows are later stages.

    ``panel`` (k, T) is room to pack dense levels into, ``meets...`` the index by column, which
    gives another order of the same work; neither matters here.
    """
    for level in range(pointer.size - 1):
        rows = slice(pointer[level] + skip, pointer[level + 1])
        at = columns[rows] - tail
        S[np.ix_(at, at)] -= np.triu(C[rows] @ C[rows].T)


def scatter_stage(
    pointer: Longs, offset: int, ancestor: Codes, place: Codes, C: Floats, G: Floats, B: Floats
) -> None:
    """Subtract C_l C_l' from the blocks ``G``, ``B`` of a later stage.

    Rows ``offset:offset + q`` of level l belong to its one level ``ancestor[l]`` there; row r after
    them is row ``place[r]`` of that stage's ``B``.
    """
    q = G.shape[1]
    for level, to in enumerate(ancestor):
        first = pointer[level] + offset
        own = C[first : first + q]
        rows = slice(first + q, pointer[level + 1])
        G[to] -= own @ own.T
        B[place[rows]] -= C[rows] @ own.T


# --- the dense tail --------------------------------------------------------------------------


def place_pairs(
    indptr: Longs, indices: Codes, values: Floats, row: int, column: int, S: Floats
) -> None:
    """Write the products of two factors to their rows from ``row`` and columns from ``column``."""
    _, q, k = values.shape
    for level in range(indptr.size - 1):
        for e in range(indptr[level], indptr[level + 1]):
            at, to = row + level * q, column + indices[e] * k
            S[at : at + q, to : to + k] = values[e]


def tail_blocks(starts: Longs, Lambdas: tuple[Floats, ...]) -> list[tuple[slice, Floats]]:
    """The columns of every random block in the tail with its Lambda."""
    return [(slice(starts[i], starts[i + 1]), L) for i, L in enumerate(Lambdas)]


def times_Lambda(M: Floats, starts: Longs, Lambdas: tuple[Floats, ...]) -> Floats:
    """M Lt for M whose columns are (at least) the tail's random columns."""
    out = np.array(M)
    for cols, L in tail_blocks(starts, Lambdas):
        out[:, cols] = (M[:, cols].reshape(M.shape[0], -1, L.shape[0]) @ L).reshape(M.shape[0], -1)
    return out


def symmetric(M: Floats) -> Floats:
    """The full matrix of an upper triangle."""
    return np.asarray(np.triu(M) + np.triu(M, 1).T)


def put_lower(M: Floats, values: Floats) -> None:
    """Overwrite the lower triangle of M; above it another matrix may lie."""
    rows, columns = np.tril_indices(M.shape[0])
    M[rows, columns] = values[rows, columns]


def factor_tail(
    S: Floats, L: Floats, starts: Longs, Lambdas: tuple[Floats, ...], out: Floats, threads: int
) -> int:
    """L L' = Lt' S Lt + I (I on random columns), the last pivot at least 0.

    ``out`` gets log|.| of the random part, of the fixed part, and the last pivot squared (r^2).
    Returns 0, or the number of the first bad pivot.
    """
    random, last = int(starts[-1]), S.shape[0] - 1
    M = times_Lambda(times_Lambda(symmetric(S), starts, Lambdas).T, starts, Lambdas)
    M[np.arange(random), np.arange(random)] += 1.0
    if not np.isfinite(M).all():
        return 1
    if last:
        factor, info = lapack.dpotrf(M[:last, :last], lower=1, clean=1)
        if info:
            return int(info)
        L[:last, :last] = factor
        L[last, :last] = solve_triangular(factor, M[last, :last], lower=True)
    log_pivots = 2.0 * np.log(np.diag(L)[:last])
    out[0] = log_pivots[:random].sum()
    out[1] = log_pivots[random:].sum()
    out[2] = max(float(M[last, last] - L[last, :last] @ L[last, :last]), 0.0)
    L[last, last] = np.sqrt(out[2])
    return 0


def solve_tail(L: Floats, right: Floats, transpose: bool) -> None:
    """In place right <- L^-1 right (or L^-T right) with the leading part of L."""
    if right.size:
        part = L[: right.shape[0], : right.shape[0]]
        right[...] = solve_triangular(part, right, lower=True, trans="T" if transpose else "N")


def invert_tail(L: Floats, size: int, Q: Floats, threads: int) -> None:
    """Lower triangle of Q[:size, :size] = inverse of the leading part of L L'; Q may be L."""
    if size:
        inverse, _ = lapack.dpotri(L[:size, :size], lower=1)
        put_lower(Q[:size, :size], inverse)


def tail_traces(
    S: Floats, Q: Floats, size: int, starts: Longs, Lambdas: tuple[Floats, ...], panel: Floats
) -> list[Floats]:
    """(H Lambda)_i, the sum over levels of the diagonal blocks of S Lt Q; Q = M^-1, lower triangle.

    ``panel`` is room for 32 rows of T numbers and one for each column of a level, or two for
    each where that is more.
    """
    transposed = tuple(L.T for L in Lambdas)
    Q = symmetric(Q[:size, :size].T)
    product = symmetric(S[:size, :size]) @ times_Lambda(Q, starts, transposed).T
    found = []
    for cols, L in tail_blocks(starts, Lambdas):
        q = L.shape[0]
        block = product[cols, cols].reshape(-1, q, (cols.stop - cols.start) // q, q)
        found.append(np.einsum("lalb->ab", block))
    return found


def scale_inverse(Q: Floats, size: int, starts: Longs, Lambdas: tuple[Floats, ...]) -> None:
    """Q <- Lt Q Lt' on the lower triangle of the leading part."""
    transposed = tuple(L.T for L in Lambdas)
    half = times_Lambda(symmetric(Q[:size, :size].T), starts, transposed)
    put_lower(Q[:size, :size], times_Lambda(half.T, starts, transposed))


# --- selected inverse of one stage -----------------------------------------------------------


def inverse_tail(
    pointer: Longs, skip: int, drop: int, columns: Codes, tail: int, B: Floats, Q: Floats,
    QB: Floats, panel: Floats, meets: Longs, meets_row: Codes, meets_level: Codes, half: bool,
    threads: int,
) -> None:  # fmt: skip
    """QB_l = Q B_l over the tail rows of every level, less the last ``drop``; the rest is 0.

    ``half`` asks for no more than B_l'Q B_l: with an index by column, products below the diagonal
    are counted twice and those above left out. Of Q the lower triangle is read.
    """
    QB[...] = 0.0
    Q = symmetric(Q.T)
    for level in range(pointer.size - 1):
        rows = slice(pointer[level] + skip, pointer[level + 1] - drop)
        at = columns[rows] - tail
        part = Q[np.ix_(at, at)]
        packed = 4 * (at.size + drop) > Q.shape[0] and B.shape[1] <= panel.shape[0] // 2
        if half and meets.size and not packed:
            part = 2.0 * np.tril(part, -1) + np.diag(np.diag(part))
        QB[rows] = part @ B[rows]


def inverse_stage(
    pointer: Longs, offset: int, drop: int, ancestor: Codes, place: Codes, B: Floats,
    diagonal: Floats, off: Floats, QB: Floats,
) -> None:  # fmt: skip
    """Add to QB what the rows of a later stage contribute.

    ``diagonal`` (J, q, q) and ``off`` (R, q) are that stage's part of the inverse, laid out as its
    ``G`` and ``B``.
    """
    q = diagonal.shape[1]
    for level, to in enumerate(ancestor):
        first = pointer[level] + offset
        own = slice(first, first + q)
        rows = slice(first + q, pointer[level + 1] - drop)
        part = off[place[rows]]
        QB[own] += diagonal[to] @ B[own] + part.T @ B[rows]
        QB[rows] += part @ B[own]


def level_quadratic(pointer: Longs, B: Floats, QB: Floats, K: Floats) -> None:
    """K_l = B_l' (QB)_l for every level, its symmetric part."""
    for level in range(pointer.size - 1):
        rows = slice(pointer[level], pointer[level + 1])
        product = B[rows].T @ QB[rows]
        K[level] = (product + product.T) / 2


def stage_traces(
    G: Floats, Lambda: Floats, T: Floats, R: Floats, K: Floats, divide: bool
) -> Floats:
    """H = sum_l N_l - F_l K_l F_l', F_l = (I + G_l Lambda Lambda')^-1, N_l = F_l G_l."""
    F = level_F(G, Lambda, T, R, divide)
    H = np.sum(F @ G - F @ K @ F.transpose(0, 2, 1), axis=0)
    return np.asarray((H + H.T) / 2)


def level_F(G: Floats, Lambda: Floats, T: Floats, R: Floats, divide: bool) -> Floats:
    """F_l = Lambda^-T D_l^-1 Lambda' (``divide``) or I - G_l R_l R_l', the same number."""
    q = Lambda.shape[0]
    if not divide:
        return np.asarray(np.eye(q) - G @ R @ R.transpose(0, 2, 1))
    inverse = np.linalg.inv(Lambda).T
    return np.asarray(inverse @ np.linalg.solve(T @ T.transpose(0, 2, 1), Lambda.T))


def stage_inverse(R: Floats, K: Floats, diagonal: Floats) -> None:
    """Diagonal blocks of Lambda M^-1 Lambda': Omega + Omega K Omega, Omega = R R'."""
    omega = R @ R.transpose(0, 2, 1)
    diagonal[...] = omega + omega @ K @ omega


def stage_off_inverse(pointer: Longs, R: Floats, QB: Floats) -> None:
    """QB <- -QB Omega: the blocks of the inverse between later columns and each level."""
    for level in range(pointer.size - 1):
        rows = slice(pointer[level], pointer[level + 1])
        QB[rows] = -QB[rows] @ (R[level] @ R[level].T)


# --- vectors ---------------------------------------------------------------------------------


def forward(
    T: Floats, R: Floats, Lambda: Floats, pointer: Longs, columns: Codes, B: Floats, start: int,
    t: Floats, gathered: Floats,
) -> None:  # fmt: skip
    """t_l <- T_l^-1 (t_l - Lambda' gathered_l); gathered of later columns += B_l R_l t_l."""
    q = Lambda.shape[0]
    for level in range(T.shape[0]):
        own = slice(start + level * q, start + (level + 1) * q)
        rows = slice(pointer[level], pointer[level + 1])
        t[own] = solve_triangular(T[level], t[own] - Lambda.T @ gathered[own], lower=True)
        gathered[columns[rows]] += B[rows] @ R[level] @ t[own]


def backward(
    T: Floats, R: Floats, Lambda: Floats, pointer: Longs, columns: Codes, B: Floats, start: int,
    t: Floats, b: Floats,
) -> None:  # fmt: skip
    """t_l <- u_l = T_l^-T (t_l - R_l'B_l' b_later), b_l = Lambda u_l; that of y does not count."""
    q = Lambda.shape[0]
    for level in range(T.shape[0]):
        own = slice(start + level * q, start + (level + 1) * q)
        rows = slice(pointer[level], pointer[level + 1] - 1)
        right = t[own] - R[level].T @ (B[rows].T @ b[columns[rows]])
        t[own] = solve_triangular(T[level], right, lower=True, trans="T")
        b[own] = Lambda @ t[own]


def stage_information(
    G: Floats, Lambda: Floats, T: Floats, R: Floats, divide: bool, pointer: Longs, columns: Codes,
    B: Floats, start: int, z: Floats, slopes: Floats, earlier: int, origin: int, sums: Floats,
    information: Floats,
) -> None:  # fmt: skip
    """What the elimination of one stage leaves of extra columns Z c, c_l = slope_j z_l.

    ``sums`` has a row per global column from ``origin`` on and a column per direction: for the
    ``earlier`` ones, of stages already eliminated, what they left; own ones follow them. Of every
    level goes v = [sums, G c] with x = [-Omega sums, F'c]: v'x to ``information`` (its upper
    triangle), B_l x to the sums of later columns, y left out.
    """
    F, q = level_F(G, Lambda, T, R, divide), G.shape[1]
    m = earlier + slopes.shape[0]
    for level in range(G.shape[0]):
        c = (slopes @ z[level]).T
        v, x = np.zeros((q, m)), np.zeros((q, m))
        v[:, earlier:], x[:, earlier:] = G[level] @ c, F[level].T @ c
        if earlier:
            at = start - origin + level * q
            v[:, :earlier] = sums[at : at + q, :earlier]
            x[:, :earlier] = -R[level] @ R[level].T @ v[:, :earlier]
        information[:m, :m] += np.triu(v.T @ x)
        rows = slice(pointer[level], pointer[level + 1] - 1)
        sums[columns[rows] - origin, :m] += B[rows] @ x


def symmetric_times(S: Floats, first: int, last: int, c: Floats, at: int, out: Floats) -> None:
    """Columns from ``at`` on of ``out`` = S c for c on the columns first .. last of S."""
    out[:, at : at + c.shape[1]] = symmetric(S)[: out.shape[0], first:last] @ c


def residual_scores(
    G: Floats, pointer: Longs, columns: Codes, B: Floats, start: int, b: Floats, z: Floats
) -> None:
    """z_l = Z_l'y - B_l' b_later - G_l b_l, from the blocks as eliminated so far."""
    q = G.shape[1]
    for level in range(G.shape[0]):
        own = slice(start + level * q, start + (level + 1) * q)
        rows = slice(pointer[level], pointer[level + 1] - 1)
        last = pointer[level + 1] - 1
        later = B[rows].T @ b[columns[rows], 0]
        z[level] = B[last] - later - G[level] @ b[own, 0]
