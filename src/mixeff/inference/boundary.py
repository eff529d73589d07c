"""Chi-bar-square distributions: likelihood-ratio tests whose null puts variances on the boundary.

Under such a null the statistic behaves as the squared length of the projection of a normal vector
on the cone of directions in which the parameters may leave the null (Self and Liang 1987). The cone
is a product of a linear space, of dimension f (parameters free in sign: coefficients, covariances),
and of one cone of positive semidefinite k x k matrices for every group of k random effects that are
new. The statistic is then a mixture over j of chi-squares with f + j degrees of freedom, with the
weights of the second part alone:

* one variance, k = 1: 1/2 and 1/2 (Stram and Lee 1994, cases 1 to 3), whatever the information;
* two or three variances: angles of the cone in the metric of their efficient information
  (Shapiro 1985), for a 2 x 2 block too, whose cone has three dimensions;
* larger ones: the projections are simulated, with fixed random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 20_000
_SEED = 19871994
_STEPS = 500  # of the projection; it stops when no draw moves any more
_STILL = 1e-8


@dataclass(frozen=True, slots=True)
class Boundary:
    """How a null lies on the boundary of the larger model.

    Attributes
    ----------
    free : int
        Parameters added whose sign is free: coefficients, covariances.
    sizes : tuple of int
        k of every new block of random effects whose k x k covariance is zero under the null.
    information : (d, d) array or None
        Efficient information about the entries of those blocks (lower triangles by columns, block
        after block), all other parameters estimated; needed unless there is one block with k = 1.
    reason : str
        Why there is no mixture, where ``information`` is needed and missing.
    """

    free: int
    sizes: tuple[int, ...]
    information: Floats | None = None
    reason: str = ""

    @property
    def dimension(self) -> int:
        """Entries of all new covariance blocks."""
        return sum(k * (k + 1) // 2 for k in self.sizes)

    @property
    def known(self) -> bool:
        """Whether the mixture can be had."""
        return self.sizes == (1,) or self.information is not None


@dataclass(frozen=True, slots=True)
class Mixture:
    """Weights of chi-squares with ``free``, ``free + 1`` ... degrees of freedom.

    ``draws`` holds simulated squared lengths where the weights are not known in closed form.
    """

    free: int
    weights: Floats | None
    draws: Floats | None = None

    def tail(self, statistic: float) -> float:
        """P(mixture >= statistic); NaN for a statistic that is NaN.

        Examples
        --------
        >>> half = Mixture(0, np.array([0.5, 0.5]))
        >>> round(half.tail(2.7055), 4)  # the 90 % point of chi-square(1)
        0.05
        """
        if math.isnan(statistic):
            return math.nan
        if self.weights is not None:
            tails = [chi_square_tail(self.free + j, statistic) for j in range(self.weights.size)]
            return float(self.weights @ np.array(tails))
        assert self.draws is not None
        rest = statistic - self.draws
        if self.free == 0:
            return float(np.mean(rest <= 0))
        from scipy.special import chdtrc

        return float(np.mean(np.where(rest > 0, chdtrc(self.free, np.maximum(rest, 0.0)), 1.0)))

    @property
    def words(self) -> str:
        """``1/2 chi-square(0) + 1/2 chi-square(1)``."""
        if self.weights is None:
            return "a chi-bar-square"
        parts = zip(self.weights.tolist(), range(self.free, self.free + 99), strict=False)
        return " + ".join(f"{_part(w)} chi-square({df})" for w, df in parts if w > 0)


def _part(weight: float) -> str:
    return "1/2" if weight == 0.5 else f"{weight:.3f}"


def chi_square_tail(df: int, statistic: float) -> float:
    """P(chi-square >= statistic); with no degrees of freedom all mass lies at zero."""
    from scipy.special import chdtrc

    if df == 0:
        return float(statistic <= 0)
    return float(chdtrc(df, max(statistic, 0.0)))


def mixture(boundary: Boundary) -> Mixture | None:
    """The null distribution, or None where the information it needs is missing."""
    if boundary.sizes == (1,):
        return Mixture(boundary.free, np.array([0.5, 0.5]))
    if boundary.information is None:
        return None
    if boundary.dimension <= 3:
        return Mixture(boundary.free, cone_weights(boundary.sizes, boundary.information))
    return Mixture(boundary.free, None, simulate_lengths(boundary.sizes, boundary.information))


def cone_weights(sizes: Sequence[int], information: Floats) -> Floats:
    """Weights of chi-square(0) ... chi-square(d) for cones of up to three dimensions.

    In three dimensions the weights of even and of odd order sum to 1/2 each, so that the part of
    the sphere in the cone and that in its polar cone give all four (Shapiro 1985).

    Parameters
    ----------
    sizes : blocks; (1,), (1, 1), (1, 1, 1) or (2,)
    information : (d, d) array, positive definite

    Examples
    --------
    >>> cone_weights((1, 1), np.eye(2)).tolist()
    [0.25, 0.5, 0.25]
    """
    d = information.shape[0]
    if d == 1:
        return np.array([0.5, 0.5])
    covariance = np.linalg.inv(information)
    if tuple(sizes) == (2,):
        inside, polar = _matrix_angles(information)
    elif d == 2:
        inside = _orthant(covariance)
        return np.array([0.5 - inside, 0.5, inside])
    else:
        inside, polar = _orthant(covariance), _orthant(information)
    return np.array([polar, 0.5 - inside, 0.5 - polar, inside])


def _orthant(covariance: NDArray[np.floating[Any]]) -> float:
    """P(all entries of a normal vector are positive), for two or three entries."""
    scale = np.sqrt(np.diag(covariance))
    rho = np.clip(covariance / np.outer(scale, scale), -1.0, 1.0)
    angles = np.arcsin(rho[np.triu_indices_from(rho, 1)])
    if rho.shape[0] == 2:
        return float(0.25 + angles.sum() / (2.0 * math.pi))
    return float(0.125 + angles.sum() / (4.0 * math.pi))


def _matrix_angles(information: Floats) -> tuple[float, float]:
    """Parts of the sphere in the cone of 2 x 2 psd matrices and in its polar cone.

    Along every ray of the cone's surface the density of a normal direction is known, so each part
    is an integral over one angle: that of the area a closed curve on the sphere encloses.
    """
    root = np.linalg.cholesky(information)
    t = 2.0 * math.pi * np.arange(4096) / 4096
    # v v' for v = (cos t/2, sin t/2): the surface of the cone, in the coordinates (11, 21, 22).
    surface = np.column_stack([(1 + np.cos(t)) / 2, np.sin(t) / 2, (1 - np.cos(t)) / 2])
    inside = _enclosed(surface @ root)
    # D is in the polar cone if <D, information vv'> <= 0 for all v: its rays are the normals
    # - information^-1 (dual ray); the dual cone is psd in the pairing that counts 21 twice.
    dual = surface * np.array([1.0, 2.0, 1.0])
    polar = _enclosed(np.linalg.solve(root, dual.T).T)
    return inside, polar


def _enclosed(rays: Floats) -> float:
    """Part of the sphere inside the closed convex cone with these rays, in order around it."""
    unit = rays / np.linalg.norm(rays, axis=1)[:, None]
    axis = unit.mean(axis=0)
    axis /= np.linalg.norm(axis)
    after = np.roll(unit, -1, axis=0)
    # Solid angles of the triangles (axis, ray, next ray): Van Oosterom and Strackee (1983).
    volume = np.cross(unit, after) @ axis
    below = 1.0 + unit @ axis + after @ axis + np.einsum("ij,ij->i", unit, after)
    return float(abs(2.0 * np.arctan2(volume, below).sum())) / (4.0 * math.pi)


def simulate_lengths(sizes: Sequence[int], information: Floats, draws: int = DRAWS) -> Floats:
    """(draws,) squared lengths of projections on the cone, in the metric of the information.

    Each projection minimizes (z - D)' J (z - D) over D in the cone, by the accelerated projected
    gradient (Beck and Teboulle 2009), all draws at once; the random numbers are always the same.
    """
    J = np.asarray(information, dtype=np.float64)
    scale = 1.0 / np.sqrt(_diagonal_scale(sizes, J))
    J = J * np.outer(scale, scale)
    root = np.linalg.cholesky(J)
    normal = np.random.default_rng(_SEED).standard_normal((draws, J.shape[0]))
    pull = normal @ root.T  # J z for z ~ N(0, J^-1)
    metric = _pairing(sizes)  # the Euclidean metric of symmetric matrices
    values = np.linalg.eigvalsh(J / np.sqrt(np.outer(metric, metric)))
    step = 1.0 / values[-1]
    D = np.zeros_like(normal)
    ahead, momentum = D, 1.0
    for _ in range(_STEPS):
        new = _project(sizes, ahead - step * (ahead @ J - pull) / metric)
        later = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum**2))
        moved = new - D
        ahead = new + (momentum - 1.0) / later * moved
        D, momentum = new, later
        if float(np.abs(moved).max()) < _STILL:
            break
    # At the projection <D, J (z - D)> = 0, so |D|^2 is <D, J z>.
    return np.asarray(np.maximum(np.einsum("ij,ij->i", D, pull), 0.0))


def _places(sizes: Sequence[int]) -> list[tuple[slice, NDArray[np.intp], NDArray[np.intp]]]:
    """Per block its coordinates, and the row and column of each."""
    found, first = [], 0
    for k in sizes:
        columns, rows = np.triu_indices(k)
        found.append((slice(first, first + rows.size), rows, columns))
        first += rows.size
    return found


def _pairing(sizes: Sequence[int]) -> Floats:
    return np.concatenate([np.where(r == c, 1.0, 2.0) for _, r, c in _places(sizes)])


def _diagonal_scale(sizes: Sequence[int], information: Floats) -> Floats:
    """Units in which every variance has information 1, shared by the covariances of the block."""
    out = np.empty(information.shape[0])
    for own, rows, columns in _places(sizes):
        block = np.diag(information)[own]
        unit = np.sqrt(block[rows == columns])
        out[own] = unit[rows] * unit[columns]
    return out


def _project(sizes: Sequence[int], points: Floats) -> Floats:
    """Nearest psd matrices in the Euclidean metric of symmetric matrices."""
    out = np.empty_like(points)
    for (own, rows, columns), k in zip(_places(sizes), sizes, strict=True):
        if k == 1:
            out[:, own] = np.maximum(points[:, own], 0.0)
            continue
        S = np.empty((points.shape[0], k, k))
        S[:, rows, columns] = S[:, columns, rows] = points[:, own]
        values, vectors = np.linalg.eigh(S)
        positive = (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.transpose(0, 2, 1)
        out[:, own] = positive[:, rows, columns]
    return out
