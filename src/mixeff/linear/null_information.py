"""Information about the covariances of the random effects at a value on the boundary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.linear.effective import LARGEST_MEMORY, LARGEST_WORK
from mixeff.linear.sigma_coordinates import basis, pack, triangle
from mixeff.linear.variance_information import trace_work, variance_information

if TYPE_CHECKING:
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.linear.working import Prepared

Floats = NDArray[np.float64]


def boundary_information(
    prepared: Prepared,
    spans: Sequence[Floats],
    covariances: Sequence[Floats],
    estimate: LinearEstimate,
) -> tuple[Floats, tuple[int, ...]] | None:
    """Efficient information about covariance blocks that are zero.

    The expected information tr(P V_j P V_k) with the residual variance profiled out, at covariances
    Sigma_i = C_i S_i C_i'; entries of N_i' Sigma_i N_i, N_i spanning the null space of C_i', are
    the parameters, all others are nuisance and are projected out. Where the traces would take
    minutes, the average information (Gilmour, Thompson and Cullis 1995) stands in.

    Parameters
    ----------
    prepared : Prepared, of the model in which the blocks are free
    spans : C_i (q, r) per random term, r = 0 for a term that has no effects under the null
    covariances : (q, q) Sigma_i relative to sigma^2 per term, in the caller's units
    estimate : LinearEstimate of that model, by REML or ML

    Returns
    -------
    information : (d, d) array, blocks by their lower triangles, by columns
    sizes : tuple of int, k of every block
    None if the information is singular: the data do not tell the blocks apart.
    """
    whole = _information(prepared, covariances, estimate)
    inverses = [b.inverse for b in prepared.coordinates.random]
    maps, tested, sizes = [], [], []
    for T, C in zip(inverses, spans, strict=True):
        own, flags, k = _split_coordinates(T @ C)
        maps.append(own)
        tested.append(flags)
        if k:
            sizes.append(k)
    change = _block_diagonal(maps)
    flags_of_all = np.concatenate(tested)
    information = _efficient(change.T @ whole @ change, flags_of_all)
    return None if information is None else (information, tuple(sizes))


def _information(
    prepared: Prepared, covariances: Sequence[Floats], estimate: LinearEstimate
) -> Floats:
    """Of the working coordinates of Sigma, at other covariances than the estimate's."""
    theta = prepared.partition.from_factors([_root(S) for S in covariances])
    work = trace_work(prepared, theta)
    exact = work.multiplications <= LARGEST_WORK and work.memory <= LARGEST_MEMORY
    info = variance_information(prepared, replace(estimate, theta=theta), exact=exact)
    degrees = prepared.products.n - (prepared.products.p if estimate.reml else 0)
    K = info.trace_products
    if K is None:
        return info.forms - np.outer(info.squares, info.squares) / degrees
    if not estimate.reml:
        return K - np.outer(info.traces, info.traces) / degrees
    traces = info.restricted_traces
    return info.restricted(K) - np.outer(traces, traces) / degrees


def _root(S: Floats) -> Floats:
    """A square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(S)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _split_coordinates(C: Floats) -> tuple[Floats, NDArray[np.bool_], int]:
    """Coordinates of Sigma = A E A' with E split into old and new effects.

    A = [U N], orthonormal, U spanning C: then N' Sigma N = E_NN. Returned are the matrix from the
    coordinates of E to those of Sigma, which of E's belong to E_NN, and the size of E_NN.
    """
    q = C.shape[0]
    U, s, _ = np.linalg.svd(C) if C.shape[1] else (np.eye(q), np.empty(0), None)
    rank = int((s > 1e-10 * s[0]).sum()) if s.size else 0
    rows, columns = triangle(q)
    linear = np.column_stack([pack([U @ E @ U.T]) for E in basis(q)])
    return linear, (rows >= rank) & (columns >= rank), q - rank


def _block_diagonal(blocks: Sequence[Floats]) -> Floats:
    from scipy.linalg import block_diag

    return np.asarray(block_diag(*blocks))


def _efficient(information: Floats, tested: NDArray[np.bool_]) -> Floats | None:
    """Schur complement of the parameters not tested."""
    scale = np.sqrt(np.diag(information))
    if not scale.all():
        return None
    unit = information / np.outer(scale, scale)
    if not np.linalg.eigvalsh(unit)[0] > 1e-8:
        return None
    inverse = np.linalg.inv(unit)[np.ix_(tested, tested)]
    own = scale[tested]
    return np.asarray(np.linalg.inv(inverse) * np.outer(own, own))
