"""The entries of the covariance matrices as coordinates: Sigma_i by the lower triangle, by columns.

The derivative of the criterion in Sigma exists at singular Lambda too, and the traces
H_i = dlog|V| / dSigma_i are smooth in Sigma, nearly so that 1/H is linear (``traces.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Selection = tuple[Indices, ...]


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


@cache
def basis(q: int) -> Floats:
    """(m, q, q) the symmetric matrix E_j that belongs to each coordinate; not to be written to."""
    rows, columns = triangle(q)
    E = np.zeros((rows.size, q, q))
    j = np.arange(rows.size)
    E[j, rows, columns] = 1.0
    E[j, columns, rows] = 1.0
    E.flags.writeable = False
    return E


@lru_cache(maxsize=64)
def basis_of_blocks(partition: Partition) -> tuple[tuple[Floats, ...], Selection]:
    """``basis`` of all terms as ``Partition.block_slopes`` has it, and the place of each entry.

    The places as indices of a matrix over the entries of the blocks, ``np.ix_``.
    """
    slopes, where = partition.block_slopes([basis(s.size) for s in partition.structures])
    return tuple(slopes), np.ix_(where, where)


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
    q = D.shape[0]
    return _multiplicity(q) * D[triangle(q)]


@cache
def _multiplicity(q: int) -> Floats:
    """How often each coordinate stands in the matrix."""
    rows, columns = triangle(q)
    found = np.where(rows == columns, 1.0, 2.0)
    found.flags.writeable = False
    return found


def derivative(partition: Partition, factors: Sequence[Floats]) -> Floats:
    """(k, k) d(coordinates) / d(theta): dSigma = e_r Lambda_c' + Lambda_c e_r' for each theta.

    ``factors`` is Lambda per term.
    """
    out = np.zeros((partition.n_theta, partition.n_theta))
    first = 0
    for structure, Lambda in zip(partition.structures, factors, strict=True):
        q = structure.size
        if q == 1:
            out[first, first] = 2.0 * Lambda[0, 0]
            first += 1
            continue
        rows, columns = structure.entries
        change = np.zeros((rows.size, q, q))
        j = np.arange(rows.size)
        change[j, rows, :] += Lambda[:, columns].T
        change[j, :, rows] += Lambda[:, columns].T
        left, right = triangle(q)
        last = first + rows.size
        out[first:last, first:last] = change[:, left, right].T
        first = last
    return out
