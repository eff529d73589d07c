"""Following one parameter away from its estimate, and finding where zeta takes a value.

zeta(v) is the signed square root of the increase of the deviance (Bates et al. 2015, section 5.1;
Bates and Watts 1988, section 6.1). By the envelope theorem the slope of the minimum in v is that of
the criterion with the others held, so every point knows dzeta/dv too: intervals are roots of cubic
Hermite interpolants, moved to until zeta itself has the value asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import ConvergenceError
from mixeff.inference.profile.track import Solved, Track

Floats = NDArray[np.float64]

_EXACT = 3e-5  # of zeta; a last Newton step squares what is left
_NARROW = 1e-8  # width of a bracket, in units of the estimate's speed, that is not halved again
_HALVINGS = 30
_STEPS = 60  # points at most on the way to one value of zeta
_LONGEST = 2.5  # zeta by which one step may go forward
_SHRINKS = 12  # times a step is halved where the criterion cannot be evaluated
_BETTER = 1e-6  # deviance by which a point must lie below the optimum to be a better one


class BetterOptimumError(Exception):
    """A point on a path lies below the optimum; never seen by a caller."""

    def __init__(self, name: str, start: Floats, gain: float) -> None:
        super().__init__(f"{name}: the deviance falls {gain:.3g} below that of the fit")
        self.name, self.start = name, start


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a path: ``rate`` is dzeta/dv."""

    solved: Solved
    zeta: float
    rate: float

    @property
    def v(self) -> float:
        """The coordinate."""
        return self.solved.v


@dataclass(frozen=True, slots=True)
class Reached:
    """Where zeta takes a value.

    Attributes
    ----------
    v : float, the coordinate; a bound, or infinite, where it does not get there
    zeta : float, at v (that of the bound; of the last point where infinite)
    hit : bool, zeta gets there
    """

    v: float
    zeta: float
    hit: bool


class Path:
    """The points known of one parameter's profile, the estimate among them."""

    def __init__(self, track: Track) -> None:
        self.track = track
        solved, self.speed, self.tangent = track.estimate()
        self.best = solved.value
        self.evaluations = solved.evaluations
        self.failed = 0  # points where the search ended without an optimum
        self.folds = 0  # times zeta fell on the way outwards
        self._known = [Point(solved, 0.0, 1.0 / self.speed)]

    @property
    def points(self) -> list[Point]:
        """All, by v."""
        return sorted(self._known, key=lambda p: p.v)

    @property
    def center(self) -> Point:
        """The estimate."""
        return self._known[0]

    def side(self, sign: int) -> list[Point]:
        """The estimate and what lies to one side of it, outwards."""
        own = [p for p in self._known[1:] if sign * (p.v - self.center.v) > 0]
        return [self.center, *sorted(own, key=lambda p: sign * p.v)]

    def bound(self, sign: int) -> float:
        """The end of the range of v on one side."""
        return self.track.upper if sign > 0 else self.track.lower

    def at(self, v: float) -> Point:
        """The point at v, found from the nearest ones.

        Raises
        ------
        BetterOptimumError
            It lies below the optimum.
        ConvergenceError
            The criterion cannot be evaluated there.
        """
        for known in self._known:
            if known.v == v:
                return known
        solved = self.track.solve(v, self._starts(v))
        self.evaluations += solved.evaluations
        self.failed += not solved.ok
        rise = solved.value - self.best
        if rise < -max(_BETTER, 1e-11 * abs(self.best)):
            raise BetterOptimumError(self.track.name, self.track.start(solved), -rise)
        sign = 1.0 if v > self.center.v else -1.0
        zeta = sign * math.sqrt(max(rise, 0.0))
        rate = 0.5 * solved.slope / zeta if zeta else self.center.rate
        point = Point(solved, zeta, rate)
        self._known.append(point)
        return point

    def _starts(self, v: float) -> list[Floats]:
        """Where to look for the others: on the curve through the nearest points, then as they are.

        Up to three points; at the estimate alone its tangent.
        """
        sign = 1 if v > self.center.v else -1
        near = sorted(self.side(sign), key=lambda p: abs(p.v - v))[:3]
        if len(near) == 1:
            other = self.side(-sign)
            if len(other) > 1:
                near.append(other[1])
            else:
                x = self.center.solved.x
                return [x + (v - self.center.v) * self.tangent, x]
        predicted = np.zeros_like(near[0].solved.x)
        for i, p in enumerate(near):
            others = [q for j, q in enumerate(near) if j != i]
            weight = math.prod((v - q.v) / (p.v - q.v) for q in others)
            predicted = predicted + weight * p.solved.x
        return [predicted, near[0].solved.x]

    def reach(self, target: float) -> Reached:
        """Where zeta first takes the value ``target`` (not 0) on the way outwards."""
        sign = 1 if target > 0 else -1
        for _ in range(_STEPS):
            side = self.side(sign)
            for inside, outside in pairwise(side):
                if abs(outside.zeta) >= abs(target):
                    return self._root(inside, outside, target)
            last = side[-1]
            if last.v == self.bound(sign):
                return Reached(last.v, last.zeta, False)
            if self._outwards(last, target, sign) is None:
                break
        last = self.side(sign)[-1]
        return Reached(sign * math.inf, last.zeta, False)

    def _outwards(self, last: Point, target: float, sign: int) -> Point | None:
        """One more point towards ``target``; None where no step can be evaluated."""
        step = self._step(last, target, sign)
        for _ in range(_SHRINKS):
            v = last.v + step
            if sign * v >= sign * self.bound(sign):
                v = self.bound(sign)
            try:
                new = self.at(v)
            except ConvergenceError:
                step *= 0.3
                continue
            self.folds += abs(new.zeta) < abs(last.zeta) - 1e-6
            return new
        return None

    def _step(self, last: Point, target: float, sign: int) -> float:
        """How far to go: along the slope, but not much further than the path is known."""
        wanted = min(abs(target) - abs(last.zeta), _LONGEST)
        rate = last.rate if last.rate > 0 else 0.0
        step = wanted / rate if rate > 0 else math.inf
        if last is self.center:
            return sign * step
        known = abs(last.v - self.center.v)
        return sign * min(step, 2.0 * known)

    def _root(self, inside: Point, outside: Point, target: float) -> Reached:
        """Where zeta is ``target`` between two points."""
        for _ in range(_HALVINGS):
            for p in (inside, outside):
                if abs(p.zeta - target) <= _EXACT and p.rate > 0:
                    v = p.v - (p.zeta - target) / p.rate
                    return Reached(min(max(v, self.track.lower), self.track.upper), target, True)
            width = abs(outside.v - inside.v)
            if width <= max(_NARROW * self.speed, 4e-16 * abs(outside.v)):
                break  # zeta jumps: an approximation with several modes, or a fold
            error = min(abs(p.zeta - target) for p in (inside, outside))
            middle = self.at(hermite_root(inside, outside, target))
            if abs(middle.zeta - target) > 0.3 * error:  # no smooth curve: halve as well
                inside, outside = _narrowed(inside, middle, outside, target)
                middle = self.at(0.5 * (inside.v + outside.v))
            inside, outside = _narrowed(inside, middle, outside, target)
        return Reached(outside.v, outside.zeta, True)

    def trace(self, cutoff: float, delta: float, most: int) -> None:
        """Points on both sides, about ``delta`` of zeta apart, until it exceeds ``cutoff``."""
        for sign in (-1, 1):
            for _ in range(most):
                last = self.side(sign)[-1]
                if abs(last.zeta) >= cutoff or last.v == self.bound(sign):
                    break
                if self._outwards(last, sign * (abs(last.zeta) + delta), sign) is None:
                    break

    def refined(self) -> None:
        """The slope of zeta at the estimate from the points next to it, once there are some.

        Before, it comes from the average information, which is not exactly the curvature.
        """
        near = [side[1] for side in (self.side(-1), self.side(1)) if len(side) > 1]
        near = [p for p in near if p.rate > 0]
        if not near:
            return
        v0 = self.center.v
        rows, right = [], []
        for p in near:
            h = p.v - v0
            powers = range(1, 2 * len(near) + 1)
            rows += [[h**j for j in powers], [j * h ** (j - 1) for j in powers]]
            right += [p.zeta, p.rate]
        unit = np.array([abs(near[0].v - v0) ** j for j in range(1, 2 * len(near) + 1)])
        found = np.linalg.solve(np.array(rows) / unit, np.array(right)) / unit
        if found[0] > 0:
            self._known[0] = replace(self.center, rate=float(found[0]))


def _narrowed(inside: Point, middle: Point, outside: Point, target: float) -> tuple[Point, Point]:
    """The half in which zeta crosses the target."""
    if middle.v in (inside.v, outside.v):
        return inside, outside
    return (middle, outside) if abs(middle.zeta) < abs(target) else (inside, middle)


def hermite_root(a: Point, b: Point, target: float) -> float:
    """Root of the cubic through values and slopes of two points, strictly between them."""
    h = b.v - a.v
    p0, p1 = a.zeta - target, b.zeta - target
    secant = (b.zeta - a.zeta) / h
    # Slopes that would make the cubic turn back are cut (Fritsch and Carlson 1980).
    m0, m1 = (h * min(max(p.rate, 0.0), 3.0 * secant) for p in (a, b))
    low, high, t = 0.0, 1.0, p0 / (p0 - p1)
    for _ in range(60):
        s = 1.0 - t
        value = (
            (1 + 2 * t) * s * s * p0 + t * s * s * m0 + t * t * (3 - 2 * t) * p1 - t * t * s * m1
        )
        if (value < 0) == (p0 < 0):
            low = t
        else:
            high = t
        slope = 6 * t * s * (p1 - p0) + s * (1 - 3 * t) * m0 + t * (3 * t - 2) * m1
        new = t - value / slope if slope else 0.5 * (low + high)
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - t) < 1e-14:
            break
        t = new
    return a.v + h * min(max(t, 1e-9), 1.0 - 1e-9)
