"""One parameter held at a value: how the others make the full parameter vector.

The full vector z holds theta of every term (the columns of the profiled term turned so that its
standard deviation is the first entry of its Lambda) and behind it what else the criterion depends
on: log sigma^2 of a linear model, fixed effects and log dispersion of a generalized one. A
restriction writes z = g(x; v): v is the profiled parameter, x what is left to be optimized. The
Lambda of what is left of the profiled term is one of x's covariance structures, so the conditions
at the edge of the parameter space (``optimize.boundary``) hold as they stand.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.covariance.unstructured import Unstructured
from mixeff.generalized.parameters import JointPartition

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


class PlainPartition(JointPartition):
    """A joint partition whose Lambda stay in the plain order: z is laid out by it."""

    __slots__ = ()

    @property
    def is_diagonal(self) -> NDArray[np.bool_]:
        """Which parameters are diagonal entries of a Lambda."""
        own = [s.is_diagonal for s in self.structures]
        return np.concatenate([*own, np.zeros(self.n_free, dtype=bool)])

    def moved(self, point: Floats, factors: Sequence[Floats]) -> Floats:
        """The point with other covariances."""
        pairs = zip(self.structures, factors, strict=True)
        return np.concatenate([*(s.from_root(f) for s, f in pairs), self.free(point)])

    def canonical(self, point: Floats) -> Floats:
        """Diagonal entries made non-negative, term by term."""
        parts = zip(self.structures, self.covariance.split(point), strict=True)
        return np.concatenate([*(s.canonical(t) for s, t in parts), self.free(point)])

    def pivoted(self, point: Floats) -> PlainPartition:
        """Itself."""
        return self


@dataclass(frozen=True, slots=True)
class Inner:
    """Which part of a term's Lambda a structure of x is: rows and columns from ``first`` on."""

    term: int
    first: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the coordinates of x stand in z.

    Attributes
    ----------
    size : int, length of z
    partition : PlainPartition of x: structures first, then free numbers
    inner : tuple of Inner, per structure
    places : (m,) array, the entry of z that each of the first m coordinates of x is
    """

    size: int
    partition: PlainPartition
    inner: tuple[Inner, ...]
    places: Places

    @classmethod
    def of(
        cls,
        covariance: Partition,
        size: int,
        *,
        term: int | None = None,
        columns: int = 0,
        taken: Sequence[int] = (),
        added: int = 0,
    ) -> Layout:
        """The layout without the entries ``taken`` of z.

        Parameters
        ----------
        covariance : Partition of theta
        size : int, length of z
        term, columns : the profiled term, and how many of its first columns are no structure
        taken : entries of z that are not coordinates of x
        added : int, coordinates of x behind the others that are no entries of z
        """
        structures, inner, structured, loose = [], [], [], []
        at = 0
        for t, structure in enumerate(covariance.structures):
            own = np.arange(at, at + structure.n_theta)
            at += structure.n_theta
            first = columns if t == term else 0
            kept = structure.entries[1] >= first
            if structure.size > first:
                structures.append(Unstructured(structure.size - first))
                inner.append(Inner(t, first))
                structured += own[kept].tolist()
            loose += own[~kept].tolist()
        free = [j for j in (*loose, *range(at, size)) if j not in set(taken)]
        members = tuple((i,) for i in range(len(structures)))
        partition = PlainPartition(Partition(tuple(structures), members), len(free) + added)
        return cls(size, partition, tuple(inner), np.array([*structured, *free], dtype=np.intp))

    @property
    def n_free(self) -> int:
        """Length of x."""
        return self.partition.n_theta + self.partition.n_free

    def spread(self, x: Floats) -> Floats:
        """Z with the coordinates in their places, zero elsewhere."""
        z = np.zeros(self.size)
        z[self.places] = x[: self.places.size]
        return z

    def selection(self) -> Floats:
        """(size, n_free) derivative of ``spread``."""
        J = np.zeros((self.size, self.n_free))
        J[self.places, np.arange(self.places.size)] = 1.0
        return J


@dataclass(frozen=True, slots=True)
class Restriction(ABC):
    """See the module.

    Attributes
    ----------
    layout : Layout
    """

    layout: Layout

    @abstractmethod
    def expand(self, x: Floats, v: float) -> Floats:
        """z = g(x; v)."""

    @abstractmethod
    def jacobian(self, x: Floats, v: float) -> Floats:
        """(size, n_free) dz/dx."""

    @abstractmethod
    def along(self, x: Floats, v: float) -> Floats:
        """(size,) dz/dv."""

    def bend(self, x: Floats, v: float, gradient: Floats) -> Floats | None:
        """(n_free, n_free) sum of gradient_j d2z_j/dx2; None where g is linear in x."""
        return None

    @abstractmethod
    def reduce(self, z: Floats) -> tuple[Floats, float]:
        """X and v of a z."""


@dataclass(frozen=True, slots=True)
class Entry(Restriction):
    """z_j = factor v: one entry held, all others free."""

    j: int
    factor: float = 1.0
    _selection: Floats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_selection", self.layout.selection())

    def expand(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        z = self.layout.spread(x)
        z[self.j] = self.factor * v
        return z

    def jacobian(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        return self._selection

    def along(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        out = np.zeros(self.layout.size)
        out[self.j] = self.factor
        return out

    def reduce(self, z: Floats) -> tuple[Floats, float]:
        """See ``Restriction``."""
        return z[self.layout.places], float(z[self.j]) / self.factor


@dataclass(frozen=True, slots=True)
class ScaledDeviation(Restriction):
    """z_j = v exp(-omega / 2), omega = z_-1: a standard deviation where theta is relative to sigma.

    omega, the last entry of z, is the last coordinate of x.
    """

    j: int
    _selection: Floats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_selection", self.layout.selection())

    def expand(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        z = self.layout.spread(x)
        z[self.j] = v * math.exp(-0.5 * x[-1])
        return z

    def jacobian(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        J = self._selection.copy()
        J[self.j, -1] = -0.5 * v * math.exp(-0.5 * x[-1])
        return J

    def along(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        out = np.zeros(self.layout.size)
        out[self.j] = math.exp(-0.5 * x[-1])
        return out

    def bend(self, x: Floats, v: float, gradient: Floats) -> Floats | None:
        """See ``Restriction``."""
        out = np.zeros((x.size, x.size))
        out[-1, -1] = 0.25 * v * math.exp(-0.5 * x[-1]) * gradient[self.j]
        return out

    def reduce(self, z: Floats) -> tuple[Floats, float]:
        """See ``Restriction``."""
        return z[self.layout.places], float(z[self.j]) * math.exp(0.5 * z[-1])


@dataclass(frozen=True, slots=True)
class Angle(Restriction):
    """A correlation sin v of the first two columns of a term: its Lambda begins

        exp(a)          0
        exp(b) sin v    exp(b) cos v

    with a and b, the logarithms of the two standard deviations, the last coordinates of x. At +-1
    (v = +-pi/2) everything is smooth.
    """

    corners: tuple[int, int, int]  # places in z of entries (0, 0), (1, 0), (1, 1)
    _selection: Floats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_selection", self.layout.selection())

    def expand(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        z = self.layout.spread(x)
        i, j, k = self.corners
        z[i], second = math.exp(x[-2]), math.exp(x[-1])
        z[j], z[k] = second * math.sin(v), second * math.cos(v)
        return z

    def jacobian(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        J = self._selection.copy()
        i, j, k = self.corners
        J[i, -2], second = math.exp(x[-2]), math.exp(x[-1])
        J[j, -1], J[k, -1] = second * math.sin(v), second * math.cos(v)
        return J

    def along(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        out = np.zeros(self.layout.size)
        _, j, k = self.corners
        second = math.exp(x[-1])
        out[j], out[k] = second * math.cos(v), -second * math.sin(v)
        return out

    def bend(self, x: Floats, v: float, gradient: Floats) -> Floats | None:
        """See ``Restriction``."""
        out = np.zeros((x.size, x.size))
        i, j, k = self.corners
        second = math.exp(x[-1])
        out[-2, -2] = math.exp(x[-2]) * gradient[i]
        out[-1, -1] = second * (math.sin(v) * gradient[j] + math.cos(v) * gradient[k])
        return out

    def reduce(self, z: Floats) -> tuple[Floats, float]:
        """See ``Restriction``; both standard deviations must be positive."""
        i, j, k = self.corners
        second = math.hypot(z[j], z[k])
        x = np.concatenate([z[self.layout.places], [math.log(z[i]), math.log(second)]])
        return x, math.atan2(z[j], z[k])


@dataclass(frozen=True, slots=True)
class Combination(Restriction):
    """u'z_f = v for a unit vector u over some entries f of z: a fixed effect.

    Attributes
    ----------
    entries : (p,) places in z
    direction : (p,) u
    others : (p, p - 1) orthonormal columns, orthogonal to u: their coefficients are x's last ones
    """

    entries: Places
    direction: Floats
    others: Floats
    _selection: Floats = field(init=False)

    def __post_init__(self) -> None:
        J = self.layout.selection()
        p = self.others.shape[1]
        if p:
            J[self.entries, -p:] = self.others
        object.__setattr__(self, "_selection", J)

    def expand(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        z = self._selection @ x
        z[self.entries] += v * self.direction
        return z

    def jacobian(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        return self._selection

    def along(self, x: Floats, v: float) -> Floats:
        """See ``Restriction``."""
        out = np.zeros(self.layout.size)
        out[self.entries] = self.direction
        return out

    def reduce(self, z: Floats) -> tuple[Floats, float]:
        """See ``Restriction``."""
        beta = z[self.entries]
        x = np.concatenate([z[self.layout.places], self.others.T @ beta])
        return x, float(self.direction @ beta)


def complement(direction: Floats) -> Floats:
    """(p, p - 1) orthonormal columns orthogonal to a unit vector."""
    Q = np.linalg.qr(direction[:, None], mode="complete")[0]
    return np.ascontiguousarray(Q[:, 1:])


def first_columns(rows: Floats) -> Floats:
    """Columns of a term turned so that given combinations of its effects come first.

    Parameters
    ----------
    rows : (m, q) array, m <= 2
        Unit rows t: the combinations t'b of the working effects b.

    Returns
    -------
    (q, q) array B
        b = B c, where the first m of the new effects c are the combinations: Z B are the new
        columns.
    """
    m, q = rows.shape
    turned = np.zeros((q, q))
    turned[:m] = rows
    turned[m:] = np.linalg.qr(rows.T, mode="complete")[0].T[m:]
    return np.ascontiguousarray(np.linalg.inv(turned))
