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
from mixeff.inference.profile import hermite
from mixeff.inference.profile.edge import Edge
from mixeff.inference.profile.track import Solved, Track

Floats = NDArray[np.float64]

_EXACT = 3e-5  # of zeta; a last Newton step squares what is left
_NARROW = 1e-8  # width of a bracket, in units of the estimate's speed, that is not halved again
_HALVINGS = 30
_STEPS = 60  # points at most on the way to one value of zeta
_LONGEST = 2.5  # zeta by which one step may go forward
_SHRINKS = 12  # times a step is shortened where no point is found
_NEAR = 0.01  # part of the way known that is not worth another step to where none was found
_FALL = 1e-6  # of zeta, more than rounding
_ENDLESS = 100.0  # size of a working parameter (a logit, a logarithm) that is as good as infinite
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
    v : float
        The coordinate; a bound, or infinite, where zeta does not get there; NaN where it cannot be
        followed so far.
    zeta : float, at v (that of the bound; of the last point where infinite or NaN)
    hit : bool, zeta gets there
    """

    v: float
    zeta: float
    hit: bool


class Path:
    """The points known of one parameter's profile, the estimate among them.

    Parameters
    ----------
    track : Track
    edge : Edge or None
        Above whose rise the deviance does not go. Points are those of the path nonetheless: there
        ``on_edge`` is true, and the optimum that of the edge.
    adopts : bool
        A better optimum is reported; else, where a fit from there has not confirmed one, it is a
        point that cannot be evaluated.
    """

    def __init__(self, track: Track, edge: Edge | None = None, adopts: bool = True) -> None:
        self.track, self.edge, self.adopts = track, edge, adopts
        self.ceiling = math.inf if edge is None else math.sqrt(edge.rise)
        solved, self.speed, self.tangent = track.estimate()
        self.best = solved.value
        self.evaluations = solved.evaluations
        self._known = {solved.v: Point(solved, 0.0, 1.0 / self.speed)}
        self._estimate = solved.v
        self._closed = {-1: -math.inf, 1: math.inf}  # where no point was found

    @property
    def points(self) -> list[Point]:
        """All, by v."""
        return [self._known[v] for v in sorted(self._known)]

    @property
    def center(self) -> Point:
        """The estimate."""
        return self._known[self._estimate]

    @property
    def failed(self) -> int:
        """Points where the search ended without an optimum."""
        return sum(not (p.solved.ok or self.on_edge(p)) for p in self.points)

    @property
    def folds(self) -> bool:
        """Somewhere zeta falls on the way outwards."""
        return any(
            _falls(a, b) and not self.on_edge(b)
            for sign in (-1, 1)
            for a, b in pairwise(self.side(sign))
        )

    def on_edge(self, point: Point) -> bool:
        """The edge lies below the point, or is where its search has ended."""
        return abs(point.zeta) >= self.ceiling - _EXACT

    def parameters(self, point: Point) -> tuple[float, ...]:
        """All parameters at a point, in the caller's units."""
        if self.edge is not None and self.on_edge(point):
            return self.edge.with_correlation(self.track.scale.outer(point.v))
        return self.track.parameters(point.solved)

    def side(self, sign: int) -> list[Point]:
        """The estimate and what lies to one side of it, outwards."""
        own = [p for p in self.points if sign * (p.v - self._estimate) > 0]
        return [self.center, *own[::sign]]

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
            The criterion cannot be evaluated there, or the search left the path without an optimum.
        """
        if v not in self._known:
            self._known[v] = self._solve(v, self._starts(v))
        return self._known[v]

    def _tried(self, v: float) -> Point | None:
        """The point at v, if there is one."""
        try:
            return self.at(v)
        except ConvergenceError:
            return None

    def _solve(self, v: float, starts: list[Floats]) -> Point:
        """The optimum of the others from given starts."""
        solved = self.track.solve(v, starts)
        self.evaluations += solved.evaluations
        rise = solved.value - self.best
        below = rise < -max(_BETTER, 1e-11 * abs(self.best))
        if below and solved.ok and self.adopts:
            raise BetterOptimumError(self.track.name, self.track.start(solved), -rise)
        sign = 1 if v > self.center.v else -1
        zeta = sign * math.sqrt(max(rise, 0.0))
        point = Point(solved, zeta, 0.5 * solved.slope / zeta if zeta else self.center.rate)
        inner = [p for p in self.side(sign) if sign * p.v < sign * v][-1]
        if below or (not solved.ok and _falls(inner, point)):
            # Laplace approximations have poles where a mode of the random effects vanishes.
            raise ConvergenceError(f"{self.track.name}: the search has left the path.")
        return point

    def _starts(self, v: float) -> list[Floats]:
        """Where to look for the others: on the curve through the nearest points, then as they are.

        Up to three points; at the estimate alone its tangent.
        """
        sign = 1 if v > self.center.v else -1
        inner, other = ([p for p in self.side(s) if not self.on_edge(p)] for s in (sign, -sign))
        near = sorted(inner, key=lambda p: abs(p.v - v))[:3]
        if len(near) == 1:
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
        if abs(target) >= self.ceiling:
            return Reached(self.bound(sign), sign * self.ceiling, False)
        for _ in range(_STEPS):
            side = self.side(sign)
            for inside, outside in pairwise(side):
                if abs(outside.zeta) >= abs(target) - _EXACT:
                    return self._root(inside, outside, target)
            last = side[-1]
            if last.v == self.bound(sign):
                return Reached(last.v, last.zeta, False)
            if self._outwards(last, target, sign) is None:
                break
        last = self.side(sign)[-1]
        return Reached(sign * (math.nan if self.lost(sign) else math.inf), last.zeta, False)

    def lost(self, sign: int) -> bool:
        """No point was found further out, and the last one is not as good as infinitely far."""
        last = self.side(sign)[-1]
        far = max(abs(last.v), float(np.abs(last.solved.x).max(initial=0.0)))
        return math.isfinite(self._closed[sign]) and far < _ENDLESS

    def _outwards(self, last: Point, target: float, sign: int) -> Point | None:
        """One more point towards ``target``; None where no step leads to one."""
        v = last.v + self._step(last, target, sign)
        for _ in range(_SHRINKS):
            if sign * v >= sign * self.bound(sign):
                v = self.bound(sign)
            if sign * v >= sign * self._closed[sign]:
                v = last.v + 0.3 * (self._closed[sign] - last.v)
                if abs(v - last.v) < _NEAR * abs(v - self.center.v):
                    return None
            new = self._tried(v)
            if new is None:
                self._closed[sign] = v
                continue
            if _falls(last, new) and not self.on_edge(new):
                self._back(new, sign)
            return new
        return None

    def _back(self, lower: Point, sign: int) -> None:
        """Follow a lower branch back to where it meets the one that was followed outwards."""
        for p in reversed(self.side(sign)[1:]):
            if sign * p.v >= sign * lower.v:
                continue
            try:
                again = self._solve(p.v, [lower.solved.x])
            except ConvergenceError:
                return
            if abs(again.zeta) >= abs(p.zeta) - _EXACT:
                return
            self._known[p.v] = lower = again

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
            middle = self._tried(hermite_root(inside, outside, target))
            if middle is not None:
                inside, outside = _narrowed(inside, middle, outside, target)
            if middle is None or abs(middle.zeta - target) > 0.3 * error:
                middle = self._tried(0.5 * (inside.v + outside.v))  # no smooth curve: halve
                if middle is None:
                    return Reached(math.nan, inside.zeta, False)
                inside, outside = _narrowed(inside, middle, outside, target)
        return Reached(outside.v, outside.zeta, True)

    def trace(self, cutoff: float, delta: float, most: int) -> None:
        """Points on both sides, about ``delta`` of zeta apart, until it exceeds ``cutoff``."""
        for sign in (-1, 1):
            for _ in range(most):
                last = self.side(sign)[-1]
                if abs(last.zeta) >= min(cutoff, self.ceiling) or last.v == self.bound(sign):
                    break
                if self._outwards(last, sign * (abs(last.zeta) + delta), sign) is None:
                    break
            if self.ceiling < cutoff:  # the corner, and the plateau
                self.reach(sign * (self.ceiling - 2.0 * _EXACT))
                self._tried(self.bound(sign))

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
            self._known[v0] = replace(self.center, rate=float(found[0]))


def _falls(inside: Point, outside: Point) -> bool:
    return abs(outside.zeta) < abs(inside.zeta) - _FALL


def _narrowed(inside: Point, middle: Point, outside: Point, target: float) -> tuple[Point, Point]:
    """The half in which zeta crosses the target."""
    if middle.v in (inside.v, outside.v):
        return inside, outside
    return (middle, outside) if abs(middle.zeta) < abs(target) else (inside, middle)


def hermite_root(a: Point, b: Point, target: float) -> float:
    """Root of the cubic through values and slopes of two points, strictly between them."""
    h, rise = b.v - a.v, b.zeta - a.zeta
    m0, m1 = hermite.slopes(rise, h, a.rate, b.rate)
    return a.v + h * hermite.crossing((target - a.zeta) / rise, m0 / rise, m1 / rise)
