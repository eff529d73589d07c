"""Traces near a point where they are known: what saves the inverse in the last steps of a fit.

H_i = d log|V| / dSigma_i (of P for REML) is dear, an inverse, but does not depend on the response
and is smooth. Its derivative is minus the curvature K_jk = tr(P V_j P V_k), V_j = Z_i E_j Z_i', and
in balanced designs its inverse is linear in the covariances: for one factor with m rows per level
H = J / (1 / m + Sigma); the expected mean squares of nested factors likewise (Searle, Casella and
McCulloch 1992, chapter 4). So H is continued from an exact point as

    H_i(Sigma + U) = [H_i^-1 + H_i^-1 (K U)_i H_i^-1]^-1 ,

exact to first order, with a second-order error that only unbalancedness makes. K is exact over the
dense tail; for eliminated factors it comes from the quadratic forms of the average information,
whose expectation it is, with scores scaled so that z_i'z_i / sigma^2 = H_i: most of their sampling
error goes with that. Between an eliminated factor and the tail it is taken as zero.

log|V| itself is exact at every point. How far the integral of the continued traces along a step
misses its change is the error that is left, as far as it lies along the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.system import Factor
from mixeff.linear.sigma_coordinates import (
    basis,
    matrix_to_slopes,
    pack,
    places,
    slopes_to_matrices,
)

Floats = NDArray[np.float64]

_NODES = 16  # of the quadrature along a step: ten digits while no variance changes eightfold
_SAFETY = 10.0  # times the number of coordinates: for the error across the step
_ROUGH = 0.3  # K is taken to be right within this part of itself
_ROUNDING = 8.0 * float(np.finfo(np.float64).eps)  # of log|V|, relative
_EDGE = 0.02  # relative standard deviations below this are too near the boundary to continue H
FAR = 8.0  # no variance differs by more than this factor from a point that is continued
_SECANT = 1.1  # no variance differs by more than this factor from a point that corrects K
_SOUND = 1e-8  # smallest eigenvalue, relative to the largest, of a matrix that is divided by


@dataclass(frozen=True, slots=True)
class Continued:
    """Traces continued to another point.

    Attributes
    ----------
    traces : tuple of (q, q) arrays, H_i per term
    error : float
        Deviance units: what following the gradient made of them instead of the exact one may
        cost, e' A^-1 e / 2 with e the estimated error of the gradient and A the information.
    curvature : (k, k) array, K there
    """

    traces: tuple[Floats, ...]
    error: float
    curvature: Floats


@dataclass(frozen=True, slots=True)
class ExactTraces:
    """The traces at one point in working coordinates, and their curvature.

    Attributes
    ----------
    reml : bool
    sigma, traces : tuple of (q, q) arrays, per term
    logdet : float, log|V| (REML: + log|X'V^-1 X|) but for a constant
    curvature : (k, k) array, K in the coordinates of ``sigma_coordinates``
    """

    reml: bool
    sigma: tuple[Floats, ...]
    traces: tuple[Floats, ...]
    logdet: float
    curvature: Floats

    def continued(
        self, sigma: Sequence[Floats], logdet: float, information: Floats
    ) -> Continued | None:
        """At another Sigma, where log|V| and the average information (k, k) are known.

        None near the boundary, far away and where the continuation does not exist.
        """
        changes = [S - old for S, old in zip(sigma, self.sigma, strict=True)]
        step = pack(changes)
        if not step.any():
            return Continued(self.traces, 0.0, self.curvature)
        if any(too_far(S, old, FAR) for S, old in zip(sigma, self.sigma, strict=True)):
            return None
        nodes, weights = _quadrature()
        slopes = slopes_to_matrices(self.curvature @ step, [S.shape[0] for S in sigma])
        last, maps, integral = [], [], 0.0
        for H, D, U in zip(self.traces, slopes, changes, strict=True):
            G = np.linalg.inv(H)
            path = G + nodes[:, None, None] * (G @ D @ G)
            if np.linalg.eigvalsh(path[-1])[0] <= 0:  # affine in the node: then positive on all
                return None
            found = np.linalg.inv(path)
            integral += float(weights @ np.einsum("nab,ab->n", found, U))
            last.append(0.5 * (found[-1] + found[-1].T))
            maps.append(_congruence_map(found[-1] @ G).T)
        miss = abs(integral - (logdet - self.logdet)) + _ROUNDING * abs(logdet)
        error = _error(miss, step, information)
        return Continued(tuple(last), error, _moved(self.curvature, maps))


def corrected(record: ExactTraces, before: ExactTraces | None) -> ExactTraces:
    """K made to agree with exact traces at a point before, where that is near.

    A BFGS correction (Nocedal and Wright 2006, eq. 6.19) by the step between the two: the inverses
    of their traces differ by G D G with D = K step, but for what unbalancedness adds.
    """
    if before is None or before.reml is not record.reml:
        return record
    pairs = list(zip(before.sigma, record.sigma, strict=True))
    if any(too_far(old, new, _SECANT) for old, new in pairs):
        return record
    step = pack([old - new for old, new in pairs])
    triples = zip(before.traces, record.traces, strict=True)
    slopes = [H @ np.linalg.inv(old) @ H - H for old, H in triples]
    actual = np.concatenate([matrix_to_slopes(0.5 * (D + D.T)) for D in slopes])
    K = record.curvature
    Ks = K @ step
    model, found = float(step @ Ks), float(step @ actual)
    if not (model > 0 and 0.5 * model < found < 2.0 * model):
        return record
    K = K - np.outer(Ks, Ks) / model + np.outer(actual, actual) / found
    return replace(record, curvature=0.5 * (K + K.T))


def _moved(curvature: Floats, maps: Sequence[Floats]) -> Floats:
    """K where H = G^-1 has become Ht: D becomes Ht G D G Ht in each term's rows."""
    half = np.zeros_like(curvature)
    first = 0
    for C in maps:
        last = first + C.shape[0]
        half[first:last] = 0.5 * (C @ curvature[first:last])
        first = last
    return half + half.T


def too_far(new: Floats, old: Floats, factor: float) -> bool:
    """Some variance multiplied by more than ``factor``, or divided, or near zero."""
    if min(np.linalg.eigvalsh(new)[0], np.linalg.eigvalsh(old)[0]) < _EDGE**2:
        return True
    root = np.linalg.inv(np.linalg.cholesky(old))
    ratios = np.linalg.eigvalsh(root @ new @ root.T)
    return bool(ratios[0] * factor < 1.0 or ratios[-1] > factor)


def _error(miss: float, step: Floats, information: Floats) -> float:
    """The cost of an error that misses log|V| by ``miss``: the gradient's along the step is twice.

    An error of K makes one of the gradient that grows linearly with the step, so its integral is
    half of step times error. Where the step is so short that ``miss`` is rounding, what K is
    trusted for bounds it.
    """
    length = float(step @ information @ step)
    trusted = 0.5 * _ROUGH**2 * length
    if not length > 0:
        return float("inf")
    return min(trusted, _SAFETY * step.size * 0.5 * (2.0 * miss) ** 2 / length)


@cache
def _quadrature() -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on (0, 1), and the end of the step with weight zero."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return np.append(0.5 * (nodes + 1.0), 1.0), np.append(0.5 * weights, 0.0)


@dataclass(slots=True)
class TraceMemory:
    """The latest exact traces of one criterion; ``latest`` may come from a fit before."""

    latest: ExactTraces | None = field(default=None)


def curvature(
    partition: Partition,
    factor: Factor,
    traces: Sequence[Floats],
    squares: Sequence[Floats],
    forms: Floats,
) -> Floats | None:
    """K at a point: ``squares`` z_i'z_i / sigma^2 per term, ``forms`` (k, k) of the scores there.

    None where some scores do not span their columns.
    """
    scales = [_congruence(w, H) for w, H in zip(squares, traces, strict=True)]
    sizes = [H.shape[0] for H in traces]
    own = places(sizes)
    R = np.zeros_like(forms)
    for at, scale in zip(own, scales, strict=True):
        if scale is None:
            return None
        R[at, at] = _congruence_map(scale)
    K = R.T @ forms @ R
    exact = factor.tail_squares if isinstance(factor, BlockedFactor) else None
    if exact is None:
        return K
    tail = {i for i, _ in exact}
    terms = list(zip(partition.columns_of_terms(), own, sizes, strict=True))
    for ((i, a), left, q), ((k, c), right, r) in product(terms, terms):
        if (i in tail) != (k in tail):
            K[left, right] = 0.0
        elif i in tail:
            U = exact[i, k][a, a, c, c]
            K[left, right] = np.einsum("jab,kcd,abcd->jk", basis(q), basis(r), U, optimize=True)
    return K


def _congruence(w: Floats, H: Floats) -> Floats | None:
    """The root S of the symmetric C with C w C = H, so that S (S w S) S = H; None if singular."""
    values = np.linalg.eigvalsh(w)
    if not values[0] > _SOUND * values[-1]:
        return None
    half = _power(w, 0.5)
    back = np.linalg.inv(half)
    inner = half @ H @ half
    values = np.linalg.eigvalsh(inner)
    if not values[0] > _SOUND * values[-1]:
        return None
    return _power(back @ _power(inner, 0.5) @ back, 0.5)


def _power(symmetric: Floats, exponent: float) -> Floats:
    values, vectors = np.linalg.eigh(0.5 * (symmetric + symmetric.T))
    return np.asarray((vectors * np.maximum(values, 0.0) ** exponent) @ vectors.T)


def _congruence_map(M: Floats) -> Floats:
    """(m, m) the map of coordinates U -> M U M'; its transpose maps slopes D -> M' D M."""
    return np.column_stack([pack([M @ E @ M.T]) for E in basis(M.shape[0])])
