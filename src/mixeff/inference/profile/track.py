"""What following one parameter asks of a model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.inference.profile.restricted import (
    FullProblem,
    RestrictedEvaluation,
    RestrictedProblem,
    minimize,
)
from mixeff.inference.profile.restriction import Restriction
from mixeff.optimize.problem import Derivatives

Floats = NDArray[np.float64]

_FLOOR = 1e-8  # curvatures below this part of the largest are raised to it


@dataclass(frozen=True, slots=True)
class Scale:
    """From the coordinate v of a path to the parameter in the caller's units.

    ``kind`` linear: unit v + shift. log: unit exp(v). sine: sin(v).
    """

    kind: str
    unit: float = 1.0
    shift: float = 0.0

    def outer(self, v: float) -> float:
        """The parameter."""
        if self.kind == "log":
            return self.unit * math.exp(v)
        if self.kind == "sine":
            return math.sin(v)
        return self.unit * v + self.shift

    def inner(self, values: Floats) -> Floats:
        """The coordinate of values of the parameter."""
        if self.kind == "log":
            return np.log(values / self.unit)
        if self.kind == "sine":
            return np.arcsin(np.clip(values, -1.0, 1.0))
        return np.asarray((values - self.shift) / self.unit)

    def rate(self, v: float) -> float:
        """Derivative of ``outer``."""
        if self.kind == "log":
            return self.unit * math.exp(v)
        if self.kind == "sine":
            return math.cos(v)
        return self.unit


@dataclass(frozen=True, slots=True)
class Solved:
    """The minimum over the other parameters at one v.

    Attributes
    ----------
    v : float
    x : (m,) array, the other parameters, from which the next search starts
    value : float, the criterion in deviance units
    slope : float, its derivative in v
    ok : bool, the optimality conditions hold
    evaluations : int
    fixed : (p,) array, fixed effects in working coordinates
    """

    v: float
    x: Floats
    value: float
    slope: float
    ok: bool
    evaluations: int
    fixed: Floats


class Track(ABC):
    """The profile of one parameter as a function of a coordinate v that is smooth at its bounds.

    Attributes
    ----------
    name : str
    scale : Scale, from v to the parameter
    lower, upper : float, bounds of v
    """

    name: str
    scale: Scale
    lower: float = -math.inf
    upper: float = math.inf

    @abstractmethod
    def estimate(self) -> tuple[Solved, float, Floats]:
        """The optimum; dv per unit of zeta there; dx/dv along the path there."""

    @abstractmethod
    def solve(self, v: float, starts: Sequence[Floats]) -> Solved:
        """Minimize at v, from the first start that can be evaluated.

        Raises
        ------
        ConvergenceError
            None can be.
        """

    @abstractmethod
    def parameters(self, solved: Solved) -> tuple[float, ...]:
        """All parameters at a point, in the caller's units."""

    @abstractmethod
    def start(self, solved: Solved) -> Floats:
        """What a fit takes as ``start`` to begin at a point: the caller's units."""


class Describe(ABC):
    """All parameters, and a fit's start, from the full vector of a restricted problem."""

    @abstractmethod
    def fixed(self, full: Derivatives) -> Floats:
        """(p,) fixed effects, working coordinates."""

    @abstractmethod
    def parameters(self, z: Floats, fixed: Floats) -> tuple[float, ...]:
        """All parameters in the caller's units."""

    @abstractmethod
    def start(self, z: Floats) -> Floats:
        """What a fit takes as ``start``, the caller's units."""


class RestrictedTrack(Track):
    """A parameter held by a ``Restriction`` of the full problem."""

    def __init__(
        self,
        name: str,
        full: FullProblem,
        restriction: Restriction,
        z: Floats,
        scale: Scale,
        describe: Describe,
        control: Control,
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> None:
        self.name, self.scale = name, scale
        self.full, self.restriction, self.z = full, restriction, z
        self.describe, self.control = describe, control
        self.lower, self.upper = bounds

    def _solved(self, evaluation: RestrictedEvaluation, ok: bool, evaluations: int) -> Solved:
        return Solved(
            v=evaluation.v,
            x=self.restriction.layout.partition.canonical(evaluation.theta),
            value=evaluation.value,
            slope=evaluation.slope,
            ok=ok,
            evaluations=evaluations,
            fixed=self.describe.fixed(evaluation.full),
        )

    def parameters(self, solved: Solved) -> tuple[float, ...]:
        """See ``Track``."""
        z = self.restriction.expand(solved.x, solved.v)
        return self.describe.parameters(z, solved.fixed)

    def start(self, solved: Solved) -> Floats:
        """See ``Track``."""
        return self.describe.start(self.restriction.expand(solved.x, solved.v))

    def estimate(self) -> tuple[Solved, float, Floats]:
        """See ``Track``: by the model of the Hessian in x and v together."""
        x, v = self.restriction.reduce(self.z)
        found = RestrictedProblem(self.full, self.restriction, v).evaluate(x)
        along = self.restriction.along(x, v)
        J = np.column_stack([self.restriction.jacobian(x, v), along])
        model = J.T @ found.full.hessian @ J
        values, vectors = np.linalg.eigh(model)
        values = np.maximum(values, _FLOOR * max(float(values[-1]), 1e-300))
        column = vectors @ (vectors[-1] / values)  # of the inverse, in the direction of v
        speed = math.sqrt(2.0 * float(column[-1]))
        return self._solved(found, True, 1), speed, column[:-1] / column[-1]

    def solve(self, v: float, starts: Sequence[Floats]) -> Solved:
        """See ``Track``."""
        problem = RestrictedProblem(self.full, self.restriction, v)
        minimum = minimize(problem, starts, self.control)
        return self._solved(minimum.evaluation, minimum.ok, minimum.evaluations)
