"""Conditional modes by penalized Newton steps: the random effects given theta, beta, dispersion.

Bates et al. (2015, section 4) for the linear algebra; the objective is the penalized deviance
-2 log p(y | u, beta) + |u|^2, whose Newton step is a weighted penalized least squares problem.

Factoring the penalized information is dear, solving with a factor is not. So between Newton steps
chord steps are taken with the factor at hand, of an earlier point or of the last parameters, for as
long as they converge fast. They only move the point: modes are accepted by one rule, that the
Newton step with the information factored at the point itself is of no length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import ConvergenceError, DesignError
from mixeff.factor.cholesky import BlockedFactor
from mixeff.factor.solves import solve
from mixeff.factor.threads import one_blas_thread
from mixeff.generalized.working import GeneralizedModel

Floats = NDArray[np.float64]
Effects = tuple[Floats, ...]

CONVERGED = 1e-20
"""Squared length of a Newton step, in the metric of the penalized information: what is left out of
the modes is its root, 1e-10 standard deviations of all modes together."""

_STALLED = 1e-13  # a step this small that does not get smaller is rounding
_ENDLESS = 1e-4  # ... and this is what a separated predictor still has to gain in the end
_STEPS, _HALVINGS, _ENLARGEMENTS = 100, 30, 8
_CHORDS = 4  # more steps with an old factor, at the rate seen, than this are not worth it
_SURPLUS = 0.01  # of the tolerance: chord steps go this far, for the Newton step to confirm


@dataclass(frozen=True, slots=True)
class Point:
    """Random effects (spherical), fixed effects, and the rows' scores and weights there."""

    u: Effects
    beta: Floats
    eta: Floats
    score: Floats
    weight: Floats
    objective: float

    @property
    def finite(self) -> bool:
        """The likelihood can be computed here."""
        return math.isfinite(self.objective)


@dataclass(frozen=True, slots=True)
class _Place:
    """Random effects (spherical), fixed effects, and the linear predictor there."""

    u: Effects
    beta: Floats
    eta: Floats


@dataclass(frozen=True, slots=True)
class Modes:
    """The modes at one theta.

    The latest factor of the system they were found with is that of the observed information there
    (expected where that failed).

    Attributes
    ----------
    point : Point
    steps : int, Newton steps
    """

    point: Point
    steps: int


class Pirls:
    """Finds modes at given parameters, warm from the last ones.

    Parameters
    ----------
    model : GeneralizedModel
    joint : bool
        Fixed effects are found together with the random ones (``n_agq=0``).

    Attributes
    ----------
    last : Modes or None, the latest
    compiled : CompiledSearch or None
        Takes all steps in one call. What it leaves alone, and all steps of models it is not for,
        are taken here.
    """

    def __init__(self, model: GeneralizedModel, *, joint: bool) -> None:
        self.model = model
        self.joint = joint
        self.last: Modes | None = None
        self.compiled = model.search(joint=joint)
        self._fixed: tuple[Floats, Floats] | None = None  # the latest beta, offset + X beta

    def find(
        self,
        Lambda: Sequence[Floats],
        beta: Floats | None,
        dispersion: float,
        start: Point | None,
        tolerance: float = CONVERGED,
    ) -> Modes:
        """The modes.

        Parameters
        ----------
        Lambda : sequence of (q, q) arrays, per grouping factor
        beta : (p,) array or None, not used with ``joint``
        dispersion : float
        start : Point or None
            Where to begin; its random effects are ignored if the likelihood cannot be computed
            there. None begins at no random effects.
        tolerance : float, squared length of the step at which to stop

        Raises
        ------
        ConvergenceError
            If no step decreases the penalized deviance, or it cannot be computed at all.
        """
        Lambda = tuple(Lambda)
        found = self._compiled(Lambda, beta, dispersion, start, tolerance)
        if found is None:
            found = self._stepwise(Lambda, beta, dispersion, start, tolerance)
        self.last = found
        return found

    def _compiled(
        self,
        Lambda: Effects,
        beta: Floats | None,
        dispersion: float,
        start: Point | None,
        tolerance: float,
    ) -> Modes | None:
        """All steps in one call; None where one of them is not for the kernel."""
        if self.compiled is None:
            return None
        u = self.model.zero_effects() if start is None else start.u
        if beta is None:
            beta = np.zeros(self.model.p) if start is None else start.beta
        fixed = beta if self.joint else self._fixed_predictor(beta)
        found = self.compiled.find(Lambda, beta, fixed, dispersion, u, tolerance)
        return None if found is None else Modes(Point(*found[:-1]), found[-1])

    def _stepwise(
        self,
        Lambda: Effects,
        beta: Floats | None,
        dispersion: float,
        start: Point | None,
        tolerance: float,
    ) -> Modes:
        """The same step by step."""
        point = self._begin(Lambda, beta, dispersion, start)
        previous = math.inf
        for step in range(_STEPS):
            point = self._chord(Lambda, dispersion, point, previous, _SURPLUS * tolerance)
            factor = self._factor_at(Lambda, point, dispersion)
            u, moved, length = self._step(Lambda, factor, point)
            stalled = length <= _STALLED and length >= previous
            # Joint fixed effects may have no finite maximum: one unit further with every step.
            endless = self.joint and step == _STEPS - 1 and length <= _ENDLESS
            if length <= tolerance or stalled or endless:
                return Modes(point, step + 1)
            full = self._moved(Lambda, u, moved)
            point = self._search(dispersion, point, full, length)
            previous = length
        raise ConvergenceError(
            f"The conditional modes were not found in {_STEPS} Newton steps (the last was of "
            f"squared length {previous:.1e}): simplify the random effects, rescale the predictors "
            "or give other starting values."
        )

    def _begin(
        self, Lambda: Effects, beta: Floats | None, dispersion: float, start: Point | None
    ) -> Point:
        """The start."""
        model = self.model
        none = model.zero_effects()
        if start is None:
            fixed = np.zeros(model.p) if beta is None else beta
            point = self.at(Lambda, none, fixed, dispersion)
        else:
            fixed = start.beta if beta is None else beta
            point = self.at(Lambda, start.u, fixed, dispersion)
            if not point.finite:
                point = self.at(Lambda, none, fixed, dispersion)
        if not point.finite:
            raise ConvergenceError(
                "The likelihood cannot be computed at the starting values of the fixed effects: "
                "some means are outside the range the family allows. Give other starting values, "
                "rescale the predictors, or choose a link that keeps the means in range."
            )
        return point

    def _chord(
        self, Lambda: Effects, dispersion: float, point: Point, previous: float, target: float
    ) -> Point:
        """Steps with the factor at hand for as long as they converge fast.

        The first of them, at new parameters, carries the modes along to first order.

        Parameters
        ----------
        previous : float, squared length of the step that led to ``point``; infinite if none did
        target : float, squared length that need not be improved upon
        """
        cell = self.model.cell if self.joint else self.model.bare
        factor = cell.latest
        if factor is None or factor.inverts_in_place:
            return point
        while True:
            u, beta, length = self._step(Lambda, factor, point)
            rate = length / previous  # 0 for the first step, of which nothing is known yet
            if not (target < length < math.inf and length * rate**_CHORDS <= target):
                return point
            trial = self.at(Lambda, u, beta, dispersion)
            if not trial.objective <= _allowed(point):
                return point
            point, previous = trial, length
            if 0.0 < length * rate <= target:
                return point

    def _step(
        self, Lambda: Effects, factor: BlockedFactor, point: Point
    ) -> tuple[Effects, Floats, float]:
        """Where the step leads, and its squared length in the metric of ``factor``."""
        rows = self.model.rows if self.joint else self.model.bare_rows
        scores, fixed = rows.products(point.score)
        right = [p @ L - u for p, L, u in zip(scores, Lambda, point.u, strict=True)]
        step, change = solve_effects(factor, right, fixed if self.joint else None)
        length = sum(float(np.vdot(a, b)) for a, b in zip(step, right, strict=True))
        u = tuple(a + b for a, b in zip(point.u, step, strict=True))
        if not self.joint:
            return u, point.beta, length
        return u, point.beta + change, length + float(change @ fixed)

    def at(self, Lambda: Effects, u: Effects, beta: Floats, dispersion: float) -> Point:
        """The rows' terms at given effects."""
        return self._point(self._moved(Lambda, u, beta), dispersion)

    def _moved(self, Lambda: Effects, u: Effects, beta: Floats) -> _Place:
        """Effects and linear predictor."""
        eta = np.array(self._fixed_predictor(beta))
        self.model.rows.add_effects(eta, [v @ L.T for v, L in zip(u, Lambda, strict=True)])
        return _Place(u, beta, eta)

    def _fixed_predictor(self, beta: Floats) -> Floats:
        """Offset + X beta, computed once for the same array."""
        if self._fixed is None or self._fixed[0] is not beta:
            self._fixed = beta, self.model.fixed_predictor(beta)
        return self._fixed[1]

    def _point(self, place: _Place, dispersion: float) -> Point:
        u, beta, eta = place.u, place.beta, place.eta
        loglik, score, weight = self.model.observations.newton(eta, dispersion)
        objective = -2.0 * loglik + sum(float(np.vdot(v, v)) for v in u)
        if math.isnan(objective):
            objective = math.inf
        return Point(u, beta, eta, score, weight, objective)

    def _factor_at(self, Lambda: Effects, point: Point, dispersion: float) -> BlockedFactor:
        """Factor at the weights of ``point``."""
        try:
            return factor_rows(self.model, Lambda, point.weight, self.joint)
        except ConvergenceError:
            if bool((point.weight >= 0).all()):
                raise
        # Observed information need not be positive away from the mode; expected is.
        expected = self.model.terms(point.eta, dispersion, expected=True)
        return factor_rows(self.model, Lambda, expected.weight, self.joint)

    def _search(self, dispersion: float, point: Point, full: _Place, length: float) -> Point:
        """The longest of the steps 1, 1/2, 1/4 ... that decreases the penalized deviance."""
        part = 1.0
        allowed = _allowed(point)
        for _ in range(_HALVINGS):
            if part == 1.0:
                trial = self._point(full, dispersion)
            else:
                u = tuple(a + part * (b - a) for a, b in zip(point.u, full.u, strict=True))
                beta = point.beta + part * (full.beta - point.beta)
                eta = point.eta + part * (full.eta - point.eta)
                trial = self._point(_Place(u, beta, eta), dispersion)
            if trial.objective <= allowed or (length <= _STALLED and trial.finite):
                return trial
            part *= 0.5
        raise ConvergenceError(
            "The conditional modes were not found: no step in Newton's direction decreases the "
            "penalized deviance. The fixed effects or variances tried are too extreme for these "
            "data; rescale the predictors, look for separation, or give other starting values."
        )


def _allowed(point: Point) -> float:
    """The objective after a step that does not go up but by rounding."""
    return point.objective + 1e-13 * (1.0 + abs(point.objective))


def factor_rows(
    model: GeneralizedModel,
    Lambda: Sequence[Floats],
    weight: Floats,
    fixed: bool,
) -> BlockedFactor:
    """Cross-products with these weights, factored; earlier factors are of no use from then on.

    Without ``fixed`` X takes no part. With it the random effects still come first in the factor, so
    what is done to X'WX changes nothing for them: it is made larger where X'V^-1 X is not
    positive, by negative observed weights or by weights that vanish where groups are separated.
    """
    compiled = model.search(joint=fixed)
    found = None if compiled is None else compiled.factor(Lambda, weight)
    if found is not None:
        return found
    if not fixed:
        model.bare_rows.fill(model.bare.products, weight)
        return model.bare.factorize(Lambda, weight)
    cell = model.cell
    model.rows.fill(cell.products, weight)
    try:
        return cell.factorize(Lambda, weight)
    except DesignError:
        X = model.rows.X
        more = (X * np.abs(weight)[:, None]).T @ X
        more += np.eye(model.p) * (1e-10 * float(np.vdot(X, X)) / model.p)
    for _ in range(_ENLARGEMENTS):
        cell.products.fixed[:-1, :-1] += more
        more *= 10.0
        try:
            return cell.factorize(Lambda, weight)
        except DesignError:
            continue
    raise ConvergenceError(
        "The information on the fixed effects is not positive at the values tried: rescale the "
        "predictors, or look for a predictor that separates the responses."
    )


def solve_effects(
    factor: BlockedFactor, right: Sequence[Floats], fixed: Floats | None
) -> tuple[Effects, Floats]:
    """Solve with the penalized information; ``right`` (J, q) per factor, spherical.

    With ``fixed`` (p,) the fixed effects are solved for too: the factor must hold X then.
    """
    last = np.zeros(factor.system.p) if fixed is None else fixed
    column = np.concatenate([*(r.ravel() for r in right), last])
    with one_blas_thread():
        found = solve(factor, column, fixed is not None)
    parts, at = [], 0
    for r in right:
        parts.append(found[at : at + r.size].reshape(r.shape))
        at += r.size
    return tuple(parts), found[at:]
