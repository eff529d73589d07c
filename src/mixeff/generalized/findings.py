"""What an optimum says, in the caller's units; the dear parts when they are first asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design
from mixeff.generalized.edge import TOUCHING, edge_of_means
from mixeff.generalized.estimate import LATE, GeneralizedEstimate
from mixeff.generalized.families.family import Family
from mixeff.generalized.information import Information, given_theta, observed_information
from mixeff.generalized.laplace import LaplaceEvaluation
from mixeff.generalized.notes import fit_notes, troubles
from mixeff.generalized.working import GeneralizedModel
from mixeff.linear.coordinates import sigma_slopes
from mixeff.optimize import Optimum, Verdict
from mixeff.optimize.sentences import TermNames, verdict

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Findings:
    """What is computed at an optimum.

    Attributes
    ----------
    design : Design
    optimum : Optimum, its evaluation a ``LaplaceEvaluation``
    theta : (k,) array, the optimum's in the caller's units
    n_agq : int
    seconds : float, what the fit took
    """

    design: Design
    optimum: Optimum
    theta: Floats
    n_agq: int
    seconds: float

    @property
    def evaluation(self) -> LaplaceEvaluation:
        """The criterion there."""
        found = self.optimum.evaluation
        assert isinstance(found, LaplaceEvaluation)
        return found

    @property
    def model(self) -> GeneralizedModel:
        """The model in working coordinates."""
        return self.evaluation.problem.model

    @cached_property
    def observed(self) -> Information:
        """Second derivatives, and the standard errors they give."""
        find = given_theta if self.n_agq == 0 else observed_information
        return find(self.evaluation, self.theta, self.model.coordinates)

    def part(self, name: str) -> Any:
        """One of the parts of an estimate that may wait."""
        if name == "covariance":
            return self.observed.covariance
        if name == "information":
            return self.observed.matrix
        return getattr(self, name)()

    def conditional_variances(self) -> tuple[Floats, ...]:
        """(J, q, q) per term."""
        found = self.model.partition.per_term_square(self.evaluation.conditional_variances())
        return self.model.coordinates.variances(found)

    def notes(self) -> tuple[str, ...]:
        """Sentences for the reader."""
        return fit_notes(self.design, self.evaluation, self.theta, self.observed, self.n_agq)

    def troubles(self) -> tuple[str, ...]:
        """Those of them that tell of trouble; the others are not computed."""
        return troubles(self.design, self.evaluation, self.theta, self.observed)

    def convergence(self) -> Verdict:
        """The verdict, with gradient and directions in the caller's units."""
        model = self.model
        gradient, slopes = callers_gradient(model, self.evaluation, self.theta)
        bases = zip(self.design.random, model.coordinates.random, strict=True)
        names = [TermNames(t.group, t.columns, t.label, b.matrix) for t, b in bases]
        factors = model.partition.term_factors(self.theta)
        found = verdict(self.optimum, names, factors, slopes, gradient, self.seconds)
        # Here the flat direction may be one of the fixed effects.
        sentence = found.sentence.replace("variance components", "parameters")
        if not found.ok and edge_of_means(self.design, self.evaluation):
            sentence = TOUCHING
        return replace(found, sentence=sentence)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Parameters at an optimum in the caller's units; see ``GeneralizedEstimate``."""

    theta: Floats
    Lambda: tuple[Floats, ...]
    beta: Floats
    dispersion: float | None
    loglik: float
    modes: tuple[Floats, ...]

    @classmethod
    def of(cls, optimum: Optimum) -> Numbers:
        """Read off the optimum."""
        evaluation = optimum.evaluation
        assert isinstance(evaluation, LaplaceEvaluation)
        model, point = evaluation.problem.model, evaluation.point
        effects = [u @ L.T for u, L in zip(point.u, evaluation.Lambda, strict=True)]
        inner = evaluation.problem.partition.theta(evaluation.theta)
        theta, Lambda, modes = model.coordinates.random_effects(model.partition, inner, effects)
        return cls(
            theta=theta,
            Lambda=Lambda,
            beta=model.coordinates.fixed.matrix @ point.beta,
            dispersion=evaluation.dispersion if model.family.has_dispersion else None,
            loglik=-0.5 * evaluation.value,
            modes=modes,
        )


def estimate_of(design: Design, optimum: Optimum, n_agq: int, began: float) -> GeneralizedEstimate:
    """Everything in the caller's units at the optimum, nothing left for later."""
    evaluation = optimum.evaluation
    assert isinstance(evaluation, LaplaceEvaluation)
    model, numbers = evaluation.problem.model, Numbers.of(optimum)
    findings = Findings(design, optimum, numbers.theta, n_agq, time.perf_counter() - began)
    return GeneralizedEstimate(
        family=with_dispersion(model.family, evaluation.dispersion),
        n_agq=n_agq,
        laplace="expected" if model.expected else "observed",
        theta=numbers.theta,
        Lambda=numbers.Lambda,
        beta=numbers.beta,
        dispersion=numbers.dispersion,
        loglik=numbers.loglik,
        modes=numbers.modes,
        linear_predictor=model.callers_rows(evaluation.point.eta),
        **{name: findings.part(name) for name in LATE},
    )


def with_dispersion(family: Family, dispersion: float) -> Family:
    """The family with its estimated shape in it, for those that carry one."""
    known = getattr(family, "with_dispersion", None)
    return family if known is None else known(dispersion)


def callers_gradient(
    model: GeneralizedModel, evaluation: LaplaceEvaluation, theta: Floats
) -> tuple[Floats, tuple[Floats, ...]]:
    """Gradient in (theta, beta, log dispersion) and Xi per term, in the caller's units."""
    partition, coordinates = model.partition, model.coordinates
    found = evaluation.callers_gradient(coordinates, theta)
    if not evaluation.problem.joint:
        behind = slice(partition.n_theta, partition.n_theta + model.p)
        found[behind] = coordinates.fixed.inverse.T @ found[behind]
    return found, sigma_slopes(evaluation.sigma_slopes, coordinates.random)
