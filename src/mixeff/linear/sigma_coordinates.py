"""The entries of the covariance matrices as coordinates: Sigma_i by the lower triangle, by columns.

The derivative of the criterion in Sigma exists at singular Lambda too, and the traces
H_i = dlog|V| / dSigma_i are smooth in Sigma, nearly so that 1/H is linear (``traces.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@cache
def triangle(q: int) -> tuple[Indices, Indices]:
    """Rows and columns of the lower triangle, by columns."""
    columns, rows = np.triu_indices(q)
    rows.flags.writeable = columns.flags.writeable = False
    return rows, columns


def places(sizes: Sequence[int]) -> list[slice]:
    """Coordinates of each term, for terms of so many columns."""
    ends = accumulate((q * (q + 1) // 2 for q in sizes), initial=0)
    return [slice(a, b) for a, b in pairwise(ends)]


def basis(q: int) -> Floats:
    """(m, q, q) the symmetric matrix E_j that belongs to each coordinate."""
    rows, columns = triangle(q)
    E = np.zeros((rows.size, q, q))
    j = np.arange(rows.size)
    E[j, rows, columns] = 1.0
    E[j, columns, rows] = 1.0
    return E


def pack(matrices: Sequence[Floats]) -> Floats:
    """Coordinates of symmetric matrices, one per term."""
    return np.concatenate([M[triangle(M.shape[0])] for M in matrices])


def unpack(coordinates: Floats, sizes: Sequence[int]) -> tuple[Floats, ...]:
    """The symmetric matrices of coordinates, one per term."""
    found = []
    for own, q in zip(places(sizes), sizes, strict=True):
        rows, columns = triangle(q)
        S = np.zeros((q, q))
        S[rows, columns] = S[columns, rows] = coordinates[own]
        found.append(S)
    return tuple(found)


def slopes_to_matrices(slopes: Floats, sizes: Sequence[int]) -> tuple[Floats, ...]:
    """Per term the symmetric D with <D, dSigma> = slopes . d(coordinates)."""
    found = []
    for own, q in zip(places(sizes), sizes, strict=True):
        rows, columns = triangle(q)
        D = np.zeros((q, q))
        D[rows, columns] += 0.5 * slopes[own]
        D[columns, rows] += 0.5 * slopes[own]
        found.append(D)
    return tuple(found)


def matrix_to_slopes(D: Floats) -> Floats:
    """The other way, for one term: <D, E_j> for symmetric D."""
    rows, columns = triangle(D.shape[0])
    return np.where(rows == columns, 1.0, 2.0) * D[rows, columns]


def derivative(partition: Partition, theta: Floats) -> Floats:
    """(k, k) d(coordinates) / d(theta): dSigma = e_r Lambda_c' + Lambda_c e_r' for each theta."""
    out = np.zeros((partition.n_theta, partition.n_theta))
    sizes = [s.size for s in partition.structures]
    factors = partition.term_factors(theta)
    for own, structure, Lambda in zip(places(sizes), partition.structures, factors, strict=True):
        rows, columns = structure.entries
        change = np.zeros((rows.size, structure.size, structure.size))
        j = np.arange(rows.size)
        change[j, rows, :] += Lambda[:, columns].T
        change[j, :, rows] += Lambda[:, columns].T
        first, second = triangle(structure.size)
        out[own, own] = change[:, first, second].T
    return out
