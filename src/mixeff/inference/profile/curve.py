"""One parameter's profile as numbers: a monotone curve through points with exact slopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.profile import hermite
from mixeff.inference.profile.path import Path
from mixeff.inference.profile.track import Scale

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """zeta of one parameter.

    Attributes
    ----------
    name : str
    estimate : float
    focal : (m,) array, values of the parameter, ascending
    zeta : (m,) array
    parameters : (m, k) array, all parameters at each point
    coordinates, rates : (m,) arrays
        The coordinate of the path, in which the curve is smooth at the bounds of the parameter,
        and dzeta by it.
    scale : Scale, from the coordinate to the parameter
    evaluations : int, evaluations of the criterion
    """

    name: str
    estimate: float
    focal: Floats
    zeta: Floats
    parameters: Floats
    coordinates: Floats
    rates: Floats
    scale: Scale
    evaluations: int

    @classmethod
    def of(cls, name: str, path: Path) -> Curve:
        """The points a path has now."""
        points, track, edge = path.points, path.track, path.ceiling
        outer = track.scale.outer
        return cls(
            name=name,
            estimate=outer(path.center.v),
            focal=np.array([outer(p.v) for p in points]),
            zeta=np.array([min(max(p.zeta, -edge), edge) for p in points]),
            parameters=np.array([path.parameters(p) for p in points]),
            coordinates=np.array([p.v for p in points]),
            rates=np.array([0.0 if path.on_edge(p) else p.rate for p in points]),
            scale=track.scale,
            evaluations=path.evaluations,
        )

    @property
    def monotone(self) -> bool:
        """zeta never falls from point to point."""
        return bool(np.all(np.diff(self.zeta) >= -1e-9))

    def at(self, values: Floats) -> Floats:
        """zeta at values of the parameter, NaN outside the points."""
        return self._interpolate(self.coordinate(values), 0)

    def slope(self, values: Floats) -> Floats:
        """dzeta by the parameter at values of it, NaN outside the points."""
        v = self.coordinate(values)
        rate = np.array([self.scale.rate(float(x)) for x in v])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self._interpolate(v, 1) / rate)

    def coordinate(self, values: Floats) -> Floats:
        """The coordinate that belongs to values of the parameter."""
        values = np.asarray(values, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.scale.inner(values))

    def grid(self, count: int) -> Floats:
        """Values of the parameter over the points, close where zeta is steep."""
        v = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, self.zeta.size), self.coordinates)
        return np.array([self.scale.outer(float(x)) for x in v])

    def value_at(self, zeta: Floats) -> Floats:
        """The parameter where zeta has given values, by the interpolant; NaN outside the points."""
        fine = np.linspace(self.coordinates[0], self.coordinates[-1], 2001)
        found = np.maximum.accumulate(self._interpolate(fine, 0))
        v = np.interp(zeta, found, fine, left=np.nan, right=np.nan)
        return np.array([self.scale.outer(float(x)) for x in np.atleast_1d(v)])

    def _interpolate(self, v: Floats, order: int) -> Floats:
        """The Hermite cubic through zeta and its slopes, or its derivative."""
        x, y = self.coordinates, self.zeta
        v = np.asarray(v, dtype=np.float64)
        if x.size < 2:
            return np.full(v.shape, np.nan)
        i = np.clip(np.searchsorted(x, v) - 1, 0, x.size - 2)
        h = x[i + 1] - x[i]
        t, rise = (v - x[i]) / h, y[i + 1] - y[i]
        m0, m1 = hermite.slopes(rise, h, self.rates[i], self.rates[i + 1])
        if order:
            out = hermite.derivative(t, rise, m0, m1) / h
        else:
            out = y[i] + hermite.value(t, rise, m0, m1)
        # Values that are the ends themselves may miss them by a rounding.
        slack = 1e-9 * (x[-1] - x[0])
        inside = (v >= x[0] - slack) & (v <= x[-1] + slack)
        return np.where(inside, out, np.nan)
