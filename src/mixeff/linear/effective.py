"""Effective degrees of freedom of a linear mixed model: sum_i d yhat_i / d y_i.

With theta held fixed this is the trace of the hat matrix (Hodges and Sargent 2001; Vaida and
Blanchard 2005). The fitted values also move because theta does: theta minimizes d(theta, y), the
profiled criterion, so that dtheta/dy' = -H^-1 d2d/dtheta dy' with its Hessian H, and (Greven and
Kneib 2010) the sum gains

    2 sum_jk (H^-1)_jk [ a_j'R a_k / sigma^2 - (y'P V_k P y)(y'P R a_j) / (nu sigma^4) ] ,

a_j = P V_j P y, R = V - Z Sigma Z' the residual covariance relative to sigma^2. Every product is
one of cross-products: P R P = P - P Z Sigma Z'P. At a singular optimum Sigma moves along
covariances of the same rank: Sigma_i = Q Q' with Q (q, r), whose entries are the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.linear.random_products import flat
from mixeff.linear.sigma_coordinates import basis, pack, places, slopes_to_matrices
from mixeff.linear.variance_information import (
    VarianceInformation,
    _Inverse,
    trace_work,
    variance_information,
)

if TYPE_CHECKING:
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.linear.working import Prepared

Floats = NDArray[np.float64]

LARGEST_WORK = 2e12
"""Multiplications of the traces, beyond which they take minutes."""

LARGEST_MEMORY = 6e9

_NO_VARIANCE = 1e-5  # roots of Sigma relative to sigma (working columns have mean square 1)
_NOTHING = 1e-9  # curvature below this part of the largest: turns of Q, which leave Sigma alone


@dataclass(frozen=True, slots=True)
class EffectiveDegrees:
    """Two counts of the mean's parameters.

    Attributes
    ----------
    known : float, trace of the hat matrix: variances taken as known
    estimated : float, with the variances' own dependence on the response
    exact : bool
        The Hessian is exact; else the average information stands for it.
    """

    known: float
    estimated: float
    exact: bool = True


def effective_degrees(prepared: Prepared, estimate: LinearEstimate) -> EffectiveDegrees:
    """Both counts at the optimum.

    Parameters
    ----------
    prepared : Prepared, cross-products with the fitted response
    estimate : LinearEstimate

    Notes
    -----
    The Hessian takes the traces of ``linear/trace_products.py``. Where they would be minutes of
    work, the average information takes its place.
    """
    partition = prepared.partition
    theta = prepared.coordinates.working_theta(partition, estimate.theta)
    Sigma = [L @ L.T for L in partition.term_factors(theta)]
    work = trace_work(prepared, estimate.theta, vanished=False)
    exact = work.multiplications <= LARGEST_WORK and work.memory <= LARGEST_MEMORY
    info = variance_information(prepared, estimate, exact=exact, vanished=False)
    known = prepared.products.p + float(pack(Sigma) @ info.restricted_traces)
    change, bend = _tangent(Sigma, _slopes(info, estimate.reml), [S.shape[0] for S in Sigma])
    if not change.shape[1]:
        return EffectiveDegrees(known, known)
    degrees = prepared.products.n - (prepared.products.p if estimate.reml else 0)
    A, B = _moved(prepared, theta, info, degrees)
    H = change.T @ _curvature(info, estimate.reml, degrees) @ change + bend
    pull = 2.0 * (A - np.outer(B, info.squares) / degrees)
    moved = change.T @ pull @ change
    more = float(np.sum(_pseudo_inverse(H) * moved))
    return EffectiveDegrees(known, known + more, exact)


def _slopes(info: VarianceInformation, reml: bool) -> Floats:
    """dd/dSigma in coordinates."""
    return np.asarray((info.restricted_traces if reml else info.traces) - info.squares)


def _curvature(info: VarianceInformation, reml: bool, degrees: int) -> Floats:
    """Second derivatives of the profiled criterion in the coordinates of Sigma."""
    K = info.trace_products
    if K is None:
        return info.forms - np.outer(info.squares, info.squares) / degrees
    traces = info.restricted(K) if reml else K
    return 2.0 * info.forms - np.outer(info.squares, info.squares) / degrees - traces


def _tangent(
    Sigma: Sequence[Floats], slopes: Floats, sizes: Sequence[int]
) -> tuple[Floats, Floats]:
    """Derivative of the coordinates of Sigma in the entries of Q; what the bend of Q Q' adds."""
    blocks, bends, total = [], [], slopes.size
    pairs = zip(Sigma, slopes_to_matrices(slopes, sizes), places(sizes), strict=True)
    for S, Xi, at in pairs:
        q = S.shape[0]
        values, vectors = np.linalg.eigh(S)
        alive = values > _NO_VARIANCE**2
        Q = vectors[:, alive] * np.sqrt(values[alive])
        for b in range(Q.shape[1]):
            part = np.zeros((total, q))
            for a in range(q):
                E = np.zeros((q, q))
                E[a] = Q[:, b]
                part[at, a] = pack([E + E.T])
            blocks.append(part)
            bends.append(2.0 * Xi)
    if not blocks:
        return np.zeros((total, 0)), np.zeros((0, 0))
    width = sum(b.shape[0] for b in bends)
    bend, first = np.zeros((width, width)), 0
    for own in bends:
        last = first + own.shape[0]
        bend[first:last, first:last] = own
        first = last
    return np.hstack(blocks), bend


def _moved(
    prepared: Prepared, theta: Floats, info: VarianceInformation, degrees: int
) -> tuple[Floats, Floats]:
    """A_jk = a_j'R a_k / sigma^2 and B_j = y'P R a_j / sigma^2 in the coordinates of Sigma."""
    partition, products = prepared.partition, prepared.products
    factor = prepared.system().factorize(partition.block_factors(theta))
    z = factor.scores()
    directions, where = partition.block_slopes([basis(s.size) for s in partition.structures])
    apply = _Inverse.of(products, factor, factor.Lambda)
    F, C = apply.fixed(), factor.unscaled_covariance()
    roots = factor.Lambda
    found = []
    for i, E in enumerate(directions):
        for e in E:
            c = z[i] @ e
            fixed = flat(F[i]).T @ c.ravel()
            solved = apply.random(i, c[:, :, None])
            # Lambda'Z'P Z c, whose products are those with Sigma
            found.append(
                np.concatenate(
                    [
                        ((v[:, :, 0] - f @ (C @ fixed)) @ L).ravel()
                        for v, f, L in zip(solved, F, roots, strict=True)
                    ]
                )
            )
    D = np.array(found)[where]
    own = np.concatenate([(zi @ L).ravel() for zi, L in zip(z, roots, strict=True)])
    sigma2 = factor.pwrss / degrees
    return info.forms - D @ D.T / sigma2, info.squares - D @ own / sigma2


def _pseudo_inverse(H: Floats) -> Floats:
    """Inverse on the directions that change Sigma, parameters scaled to unit curvature."""
    H = 0.5 * (H + H.T)
    size = np.sqrt(np.maximum(np.diag(H), 0.0))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    values, vectors = np.linalg.eigh(scale[:, None] * H * scale)
    kept = values > _NOTHING * max(values[-1], 0.0)
    root = scale[:, None] * vectors[:, kept] / np.sqrt(values[kept])
    return np.asarray(root @ root.T)
