"""Brute-force dense algebra behind the System protocol: the independent oracle of the tests.

V = I + Z Lambda Lambda' Z' is formed and inverted; nothing is shared with the blocked engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design, RandomTerm

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DenseBlock:
    """Codes and model columns of one grouping block."""

    codes: NDArray[np.int32]
    n_levels: int
    values: Floats

    def dense(self) -> Floats:
        """Z (n, J q), level by level."""
        n, q = self.values.shape
        Z = np.zeros((n, self.n_levels, q))
        Z[np.arange(n), self.codes] = self.values
        return Z.reshape(n, -1)


class DenseFactor:
    """Everything the Factor protocol promises, from V^-1."""

    inverts_in_place = False

    def __init__(self, system: DenseSystem, Lambda: Sequence[Floats]) -> None:
        self.s, self.Lambda = system, tuple(np.asarray(L, dtype=float) for L in Lambda)
        big = [np.kron(np.eye(J), L) for J, L in zip(system.n_levels, self.Lambda, strict=True)]
        self.L = _block_diagonal(big)
        ZL = system.Z @ self.L
        V = np.eye(system.n) + ZL @ ZL.T
        self.Vi = np.linalg.inv(V)
        self.logdet_random = float(np.linalg.slogdet(V)[1])
        X = system.X
        self.XtViX = X.T @ self.Vi @ X
        self.logdet_fixed = float(np.linalg.slogdet(self.XtViX)[1]) if system.p else 0.0
        self.C = np.linalg.inv(self.XtViX)
        self.P = self.Vi - self.Vi @ X @ self.C @ X.T @ self.Vi
        self.Py = self.P @ system.y
        self.pwrss = float(system.y @ self.Py)

    def beta(self) -> Floats:
        return self.C @ (self.s.X.T @ self.Vi @ self.s.y)

    def unscaled_covariance(self) -> Floats:
        return self.C

    def _split(self, columns: Floats) -> tuple[Floats, ...]:
        out, first = [], 0
        for J, q in zip(self.s.n_levels, self.s.n_columns, strict=True):
            out.append(columns[first : first + J * q].reshape(J, q, *columns.shape[1:]))
            first += J * q
        return tuple(out)

    def modes(self) -> tuple[Floats, ...]:
        return self._split(self.L @ self.L.T @ self.s.Z.T @ self.Py)

    def scores(self) -> tuple[Floats, ...]:
        return self._split(self.s.Z.T @ self.Py)

    def trace_blocks(self, reml: bool, squares: bool = False) -> tuple[Floats, ...]:
        M = self.s.Z.T @ (self.P if reml else self.Vi) @ self.s.Z
        return tuple(b.sum(axis=0) for b in self._diagonal(M))

    def _diagonal(self, M: Floats) -> list[Floats]:
        out, first = [], 0
        for J, q in zip(self.s.n_levels, self.s.n_columns, strict=True):
            part = M[first : first + J * q, first : first + J * q].reshape(J, q, J, q)
            out.append(np.stack([part[j, :, j, :] for j in range(J)]))
            first += J * q
        return out

    def information(self, scores: Sequence[Floats], slopes: Sequence[Floats]) -> Floats:
        columns = [
            np.einsum("jab,lb->laj", D, z).reshape(z.size, len(D))
            for z, D in zip(scores, slopes, strict=True)
        ]
        t = self.s.Z @ _block_diagonal(columns)
        return t.T @ self.P @ t

    def conditional_variances(self) -> tuple[Floats, ...]:
        ZL = self.s.Z @ self.L
        M = np.linalg.inv(ZL.T @ ZL + np.eye(ZL.shape[1]))
        return tuple(self._diagonal(self.L @ M @ self.L.T))

    def solve(self, right: Floats) -> Floats:
        ZL, X = self.s.Z @ self.L, self.s.X
        A = np.block([[ZL.T @ ZL + np.eye(ZL.shape[1]), ZL.T @ X], [X.T @ ZL, X.T @ X]])
        return np.linalg.solve(A, right)


class DenseSystem:
    """The whole model in dense matrices."""

    def __init__(
        self, y: Floats, X: Floats, blocks: Sequence[DenseBlock], weights: Floats | None = None
    ) -> None:
        root = np.ones(len(y)) if weights is None else np.sqrt(weights)
        self.y, self.X = y * root, X * root[:, None]
        self.Z = np.hstack([b.dense() for b in blocks]) * root[:, None]
        self.n, self.p = X.shape
        self.n_levels = tuple(b.n_levels for b in blocks)
        self.n_columns = tuple(b.values.shape[1] for b in blocks)

    def factorize(self, Lambda: Sequence[Floats]) -> DenseFactor:
        return DenseFactor(self, Lambda)


def _block_diagonal(parts: Sequence[Floats]) -> Floats:
    out = np.zeros((sum(p.shape[0] for p in parts), sum(p.shape[1] for p in parts)))
    r = c = 0
    for p in parts:
        out[r : r + p.shape[0], c : c + p.shape[1]] = p
        r, c = r + p.shape[0], c + p.shape[1]
    return out


def simple_design(
    y: Floats,
    X: Floats,
    terms: Sequence[tuple[str, NDArray[np.int32], Floats]],
    *,
    weights: Floats | None = None,
    offset: Floats | None = None,
    columns: Sequence[Sequence[str]] | None = None,
) -> Design:
    """A Design from arrays, without a formula: terms are (group, codes, values (n, q))."""
    X = np.ascontiguousarray(X, dtype=float)
    random = []
    for i, (group, codes, values) in enumerate(terms):
        values = np.ascontiguousarray(values, dtype=float).reshape(len(y), -1)
        names = tuple(columns[i]) if columns else tuple(f"z{j}" for j in range(values.shape[1]))
        levels = tuple(str(j) for j in range(int(codes.max()) + 1))
        constant = bool(np.all(values[:, 0] == 1.0))
        shown = " + ".join(names[1:] if constant and len(names) > 1 else names)
        label = f"({'1' if constant and len(names) == 1 else shown} | {group})"
        codes = np.ascontiguousarray(codes, dtype=np.int32)
        random.append(RandomTerm(group, levels, codes, names, values, label, constant))
    return Design(
        response=np.asarray(y, dtype=float),
        response_name="y",
        X=X,
        names=tuple(f"x{j}" for j in range(X.shape[1])),
        dropped=(),
        random=tuple(random),
        weights=weights,
        offset=offset,
        rows=np.arange(len(y)),
        n_omitted=0,
        state=None,  # type: ignore[arg-type]
    )


def dense_of_design(design: Design) -> DenseSystem:
    """The design in the caller's own columns, terms not merged."""
    y = design.response if design.offset is None else design.response - design.offset
    blocks = [DenseBlock(t.codes, t.n_levels, t.values) for t in design.random]
    return DenseSystem(y, design.X, blocks, design.weights)
