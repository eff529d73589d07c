"""What cluster-robust variances need: per cluster, the rows' part in the coefficients.

With V relative to sigma^2, block-diagonal in the clusters, and M = (X'V^-1 X)^-1, every cluster c
has an adjustment A_c of its residuals and the matrix

    E_c = A_c V_c^-1 X_c M        so that        vcov = sum_c (E_c'e_c)(E_c'e_c)' .

CR2 (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018, section 2.2) takes V as the working
covariance: A_c = L_c B_c^{+1/2} L_c', V_c = L_c L_c', B_c = L_c'(V_c - X_c M X_c')L_c, which is the
symmetric matrix with A_c (V_c - X_c M X_c') A_c = V_c. Clusters of equal size are treated together.
On the complement of the columns of [Z_c X_c] both V_c and V_c - X_c M X_c' are a multiple of the
identity if the weights are equal, A_c is the identity and E_c vanishes: large clusters are
projected on those columns, and no matrix of their rows squared is formed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design
from mixeff.errors import OptionError

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

LARGEST = 3_000
"""Rows (or columns of a projected cluster) of the largest dense matrix."""

_ENTRIES = 2_000_000  # of the matrices treated together
_NOTHING = 1e-12  # eigenvalues that are rounding errors of a subtraction


@dataclass(frozen=True, slots=True)
class Clusters:
    """The rows of a design by cluster.

    Attributes
    ----------
    codes : (n,) array, cluster of each row, 0 .. m - 1
    m : int
    order : (n,) array, rows sorted by cluster
    starts : (m + 1,) array, where each cluster begins in ``order``
    """

    codes: Codes
    m: int
    order: Codes
    starts: Codes

    @classmethod
    def of(cls, codes: NDArray[np.integer]) -> Clusters:
        """From any integer codes; clusters without rows are left out."""
        used, own = np.unique(codes, return_inverse=True)
        own = own.reshape(-1).astype(np.intp)
        counts = np.bincount(own, minlength=used.size)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
        return cls(own, int(used.size), np.argsort(own, kind="stable"), starts)

    def sums(self, values: Floats) -> Floats:
        """Sums over the rows of each cluster: (n, k) -> (m, k)."""
        return np.asarray(np.add.reduceat(values[self.order], self.starts[:-1], axis=0))

    def by_size(self) -> Iterator[Codes]:
        """(c, size) rows of clusters of one size, in parts of bounded size."""
        sizes = np.diff(self.starts)
        for size in np.unique(sizes).tolist():
            own = np.flatnonzero(sizes == size)
            part = max(1, _ENTRIES // size**2)
            for first in range(0, own.size, part):
                begin = self.starts[own[first : first + part]]
                yield self.order[begin[:, None] + np.arange(size)]


@dataclass(frozen=True, slots=True)
class WorkingCovariance:
    """V relative to sigma^2, row by row: V = W^-1 + sum_i Z_i Sigma_i Z_i'.

    Attributes
    ----------
    roots : (n, q) arrays, rows of Z_i Lambda_i, one per random term
    levels : (n,) codes, one per random term
    residual : (n,) array, 1 / w
    """

    roots: tuple[Floats, ...]
    levels: tuple[NDArray[np.int32], ...]
    residual: Floats

    @classmethod
    def of(cls, design: Design, Lambda: Sequence[Floats]) -> WorkingCovariance:
        """Terms without any variance are left out."""
        pairs = [(t, L) for t, L in zip(design.random, Lambda, strict=True) if L.any()]
        residual = np.ones(design.n) if design.weights is None else 1.0 / design.weights
        return cls(
            tuple(t.values @ L for t, L in pairs), tuple(t.codes for t, _ in pairs), residual
        )

    def times(self, T: Floats) -> Floats:
        """V T for (n, k)."""
        out: Floats = self.residual[:, None] * T
        for B, codes in zip(self.roots, self.levels, strict=True):
            J = int(codes.max()) + 1
            for j in range(T.shape[1]):
                per_level = [np.bincount(codes, B[:, a] * T[:, j], J) for a in range(B.shape[1])]
                out[:, j] += np.einsum("na,na->n", B, np.column_stack(per_level)[codes])
        return out

    def blocks(self, rows: Codes) -> Floats:
        """(c, s, s) dense V of clusters with rows (c, s)."""
        c, s = rows.shape
        V = np.zeros((c, s, s))
        V[:, np.arange(s), np.arange(s)] = self.residual[rows]
        for B, codes in zip(self.roots, self.levels, strict=True):
            own, levels = B[rows], codes[rows]
            V += (own @ own.transpose(0, 2, 1)) * (levels[:, :, None] == levels[:, None, :])
        return V

    def columns(self, rows: Codes) -> int:
        """Columns of Z that the rows of one cluster meet."""
        pairs = zip(self.roots, self.levels, strict=True)
        return sum(B.shape[1] * np.unique(codes[rows]).size for B, codes in pairs)

    def span(self, rows: Codes) -> Floats:
        """(s, k) columns of Z Lambda of one cluster."""
        found = []
        for B, codes in zip(self.roots, self.levels, strict=True):
            used, own = np.unique(codes[rows], return_inverse=True)
            block = np.zeros((rows.size, used.size, B.shape[1]))
            block[np.arange(rows.size), own.reshape(-1)] = B[rows]
            found.append(block.reshape(rows.size, -1))
        return np.hstack(found) if found else np.zeros((rows.size, 0))


def influence_of_rows(
    X: Floats, M: Floats, V: WorkingCovariance, clusters: Clusters, *, adjusted: bool
) -> Floats:
    """E (n, p): E_c of every cluster, row by row.

    Parameters
    ----------
    X : (n, p) array
    M : (p, p) array, (X'V^-1 X)^-1
    V : WorkingCovariance, block-diagonal in the clusters
    clusters : Clusters
    adjusted : bool
        The adjustments of CR2; else A_c = I.

    Raises
    ------
    OptionError
        A cluster is too large for dense algebra, and its weights differ.
    """
    E = np.empty_like(X)
    for rows in clusters.by_size():
        size = rows.shape[1]
        if size <= X.shape[1] + 2 or not _projects(X, V, rows[0]):
            if size > LARGEST:
                raise OptionError(_too_large(size))
            E[rows] = _influence(X[rows], V.blocks(rows), M, adjusted)
            continue
        for own in rows:
            E[own] = _projected(X[own], V, own, M, adjusted)
    return E


def _projects(X: Floats, V: WorkingCovariance, rows: Codes) -> bool:
    """Whether projecting clusters of this size pays: equal weights, fewer columns than rows.

    Judged by the first of them for all of small ones, which are treated together.
    """
    size, columns = rows.size, V.columns(rows) + X.shape[1]
    small = size <= 4 * columns or size <= 40
    return not small and bool(np.ptp(V.residual[rows]) == 0.0) and columns <= LARGEST


def _projected(X: Floats, V: WorkingCovariance, rows: Codes, M: Floats, adjusted: bool) -> Floats:
    """E of one cluster by way of the columns of [Z X]."""
    if np.ptp(V.residual[rows]) != 0.0 or V.columns(rows) + X.shape[1] > LARGEST:
        if rows.size > LARGEST:
            raise OptionError(_too_large(rows.size))
        return np.asarray(_influence(X[None], V.blocks(rows[None]), M, adjusted)[0])
    Z = V.span(rows)
    Q = np.linalg.qr(np.hstack([Z, X]))[0]
    ZQ, XQ = Q.T @ Z, Q.T @ X
    inner = ZQ @ ZQ.T + V.residual[rows[0]] * np.eye(Q.shape[1])
    return np.asarray(Q @ _influence(XQ[None], inner[None], M, adjusted)[0])


def _influence(X: Floats, V: Floats, M: Floats, adjusted: bool) -> Floats:
    """(c, s, p) E of clusters with X (c, s, p) and V (c, s, s)."""
    L = np.linalg.cholesky(V)
    half = np.linalg.solve(L, X @ M)
    if not adjusted:
        return np.asarray(np.linalg.solve(L.transpose(0, 2, 1), half))
    Lt = L.transpose(0, 2, 1)
    G, LX = Lt @ L, Lt @ X
    whole = G @ G
    B = whole - LX @ M @ LX.transpose(0, 2, 1)
    values, vectors = np.linalg.eigh(0.5 * (B + B.transpose(0, 2, 1)))
    # Against what was subtracted from: all of B may be rounding.
    kept = values > _NOTHING * np.trace(whole, axis1=1, axis2=2)[:, None]
    root = np.where(kept, 1.0 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
    turned = vectors.transpose(0, 2, 1) @ half
    # E = A V^-1 X M = L B^{+1/2} L' (L L')^-1 X M = L B^{+1/2} L^-1 X M
    return np.asarray(L @ (vectors @ (root[:, :, None] * turned)))


def _too_large(size: int) -> str:
    return (
        f"cluster-robust variances: a cluster has {size} rows, too many for dense algebra where "
        "weights differ within a cluster or it has thousands of random effects. Take vcov=None, or "
        "give smaller clusters."
    )
