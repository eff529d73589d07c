"""Which parameters a model has, and what those of its covariance matrices are made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.design.design import Design
from mixeff.inference.profile.restriction import first_columns

Floats = NDArray[np.float64]

_NOTHING = 1e-8  # a standard deviation below this, in working units, is zero


@dataclass(frozen=True, slots=True)
class Kind:
    """One parameter.

    Attributes
    ----------
    kind : {"sd", "cor", "scale", "beta"}
        ``scale``: sigma, or the shape of a negative binomial.
    term : int, of sd and cor
    first, second : int
        Columns of the term (second > first for a correlation); ``first`` of a beta its column of X.
    """

    kind: str
    term: int = 0
    first: int = 0
    second: int = 0


def kinds(design: Design, *, scale: bool) -> tuple[Kind, ...]:
    """All parameters, in the order of ``inference.wald.variance_names`` and the coefficients."""
    found = []
    for t, term in enumerate(design.random):
        for i in range(term.n_columns):
            found.append(Kind("sd", t, i))
            found += [Kind("cor", t, i, k) for k in range(i + 1, term.n_columns)]
    if scale:
        found.append(Kind("scale"))
    return (*found, *(Kind("beta", first=j) for j in range(len(design.names))))


def deviations(roots: Sequence[Floats]) -> list[float]:
    """Standard deviations and correlations of square roots of the covariance matrices, in order.

    A correlation is NaN where one of its standard deviations is zero.
    """
    found = []
    for root in roots:
        sizes = np.sqrt(np.einsum("ij,ij->i", root, root)).tolist()
        for i, size in enumerate(sizes):
            found.append(size)
            for k in range(i + 1, len(sizes)):
                product = size * sizes[k]
                cosine = float(root[i] @ root[k]) / product if product > 0 else math.nan
                found.append(min(max(cosine, -1.0), 1.0) if product > 0 else cosine)
    return found


def correlation_corners(start: int, q: int) -> tuple[int, int, int]:
    """Places of entries (0, 0), (1, 0), (1, 1) of a term's Lambda, theta by columns."""
    return start, start + 1, start + q


def has_both(z: Floats, corners: tuple[int, int, int]) -> bool:
    """Both standard deviations of a correlation are more than rounding."""
    i, j, k = corners
    return float(z[i]) > _NOTHING and math.hypot(z[j], z[k]) > _NOTHING


def turned_columns(
    partition: Partition, theta: Floats, basis: Floats, kind: Kind
) -> tuple[Floats, Floats | None, int, float]:
    """Theta with the columns of the term turned so that those of the parameter come first.

    Parameters
    ----------
    partition : Partition
    theta : (k,) array, working coordinates
    basis : (q, q) array, working effects to the caller's
    kind : Kind, a standard deviation or correlation

    Returns
    -------
    theta : (k,) array
    turn : (q, q) array B or None
        Working effects are B times the turned ones; None where nothing need be turned.
    start : int, first place of the term in theta
    length : float, the caller's (first) effect per unit of the turned one
    """
    structure = partition.structures[kind.term]
    start = sum(s.n_theta for s in partition.structures[: kind.term])
    rows = basis[[kind.first, kind.second] if kind.kind == "cor" else [kind.first]]
    lengths = np.linalg.norm(rows, axis=1)
    if structure.size == 1:
        return theta, None, start, float(lengths[0])
    turn = first_columns(rows / lengths[:, None])
    own = slice(start, start + structure.n_theta)
    turned = theta.copy()
    root: Floats = np.linalg.inv(turn) @ structure.expand(theta[own])
    turned[own] = structure.from_root(root)
    return turned, turn, start, float(lengths[0])
