"""Where one model lies within a larger one: inside, or where some variances are zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.boundary import Boundary, Mixture, mixture
from mixeff.inference.nesting import same_groups, within
from mixeff.linear.null_information import boundary_information

if TYPE_CHECKING:
    from mixeff.design.design import Design, RandomTerm

Floats = NDArray[np.float64]

# A statistic this small is zero: the larger model's estimate lies on the boundary too.
_ZERO = 1e-6


def boundary_sizes(small: Design, large: Design) -> tuple[int, ...]:
    """Per random term of ``large`` the number of effects that have no variance in ``small``.

    The terms of ``small`` must lie in those of ``large``.
    """
    return tuple(
        other.n_columns - _span(homes, other).shape[1]
        for homes, other in zip(_homes(small, large), large.random, strict=True)
    )


def boundary_of(
    small: Design, Lambda: Sequence[Floats], large: Any, added: int, *, dispersion: bool = False
) -> Boundary | None:
    """How the smaller model lies on the boundary of the larger one; None if it does not.

    Parameters
    ----------
    small : Design of the smaller model, nested in the larger
    Lambda : its relative factors, one per random term
    large : the larger fitted model
    added : int, parameters more in the larger model
    dispersion : bool
        The larger family has a parameter that is at the end of its range in the smaller.
    """
    sizes = tuple(k for k in boundary_sizes(small, large.design) if k)
    if dispersion:
        sizes = (*sizes, 1)
    if not sizes:
        return None
    dimension = sum(k * (k + 1) // 2 for k in sizes)
    boundary = Boundary(added - dimension, sizes)
    if boundary.free < 0:
        return Boundary(0, sizes, reason="the parameters added cannot be told from the variances")
    if boundary.known:
        return boundary
    if large.request.family is not None:
        why = "the information about several variances at zero is computed for linear models only"
        return Boundary(boundary.free, sizes, reason=why)
    found = _information(small, Lambda, large)
    if found is None:
        why = "the data do not tell the variances that are zero apart"
        return Boundary(boundary.free, sizes, reason=why)
    return Boundary(boundary.free, found[1], found[0])


def boundary_test(boundary: Boundary, statistic: float) -> tuple[float, Mixture | None]:
    """The p value (NaN if there is no mixture) and the mixture."""
    found = mixture(boundary)
    if found is None:
        return np.nan, None
    return found.tail(0.0 if statistic < _ZERO else statistic), found


def _information(
    small: Design, Lambda: Sequence[Floats], large: Any
) -> tuple[Floats, tuple[int, ...]] | None:
    from mixeff.linear.working import working_model

    design = large.design
    spans, covariances = [], []
    for homes, other in zip(_homes(small, design), design.random, strict=True):
        spans.append(_span(homes, other))
        S = np.zeros((other.n_columns, other.n_columns))
        for term in homes:
            place = next(j for j, t in enumerate(small.random) if t is term)
            if same_groups(term.codes, other.codes):
                C = _combination(term, other)
                root = C @ Lambda[place]
                S += root @ root.T
            else:  # a multiple of the identity between indicator columns
                S += _split_covariance(other, float(Lambda[place][0, 0]))
        covariances.append(S)
    prepared = large.estimate.prepared or working_model(design).prepared
    return boundary_information(prepared, spans, covariances, large.estimate)


def _homes(small: Design, large: Design) -> list[list[RandomTerm]]:
    """For every term of ``large`` the terms of ``small`` that lie in it, each in one only."""
    homes: list[list[RandomTerm]] = [[] for _ in large.random]
    for term in small.random:
        fitting = [
            (other.n_columns, j) for j, other in enumerate(large.random) if within(term, other)
        ]
        if fitting:
            homes[min(fitting)[1]].append(term)
    return homes


def _span(homes: Sequence[RandomTerm], other: RandomTerm) -> Floats:
    """(q, r) effects of ``other`` that vary under the null."""
    q = other.n_columns
    if any(not same_groups(term.codes, other.codes) for term in homes):
        return np.eye(q)
    C = np.hstack([np.zeros((q, 0)), *(_combination(term, other) for term in homes)])
    if not C.shape[1]:
        return C
    U, s, _ = np.linalg.svd(C, full_matrices=False)
    return np.asarray(U[:, s > 1e-8 * s[0]])


def _combination(term: RandomTerm, other: RandomTerm) -> Floats:
    """C with columns of ``term`` = columns of ``other`` @ C."""
    scale = np.linalg.norm(other.values, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    found = np.linalg.lstsq(other.values / scale, term.values, rcond=None)[0]
    return np.asarray(found / scale[:, None])


def _split_covariance(other: RandomTerm, root: float) -> Floats:
    """Covariance of the effects of ``other`` if its distinct rows had independent effects."""
    patterns = np.unique(other.values, axis=0)
    inverse = np.linalg.pinv(patterns)
    return np.asarray(root**2 * inverse @ inverse.T)
