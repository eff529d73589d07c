"""Small models with one grouping factor: from the rows to the optimum in one compiled call.

Where the search gives up, the model is fitted as any other. What costs more than the fit itself
waits until somebody reads it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.design.design import Design
from mixeff.factor.threads import one_blas_thread
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.families.family import Family
from mixeff.generalized.findings import Findings, with_dispersion
from mixeff.generalized.one_factor import (
    Found,
    OneFactorEvaluation,
    OneFactorProblem,
    SortedRows,
)
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.small_model import Searches, SmallModel
from mixeff.generalized.working import working_generalized
from mixeff.linear.coordinates import Coordinates
from mixeff.optimize import Optimum
from mixeff.optimize.boundary import null_directions
from mixeff.optimize.newton import curvature

Floats = NDArray[np.float64]


def fit_small(
    design: Design, family: Family, control: Control, began: float
) -> GeneralizedEstimate | None:
    """Laplace's approximation maximized by the compiled search; None where that is not for it.

    Raises
    ------
    DesignError
        If the fixed-effect columns are linearly dependent to rounding.
    """
    model = SmallModel.of(design, family, control)
    found = None if model is None else model.search(np.reshape(design.response, (1, -1)))
    if model is None or found is None or not model.good(found)[0]:
        return None
    return Small.of(model, found, design.response, began).estimate()


@dataclass(frozen=True, eq=False)
class Small:
    """A small fit: from what is known of it everything else is computed when it is read."""

    model: SmallModel
    design: Design
    coordinates: Coordinates
    found: Searches
    began: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", time.perf_counter() - self.began)

    seconds: float = 0.0

    @classmethod
    def of(cls, model: SmallModel, found: Searches, response: Floats, began: float) -> Small:
        """The one fit of ``found``, to this response."""
        design = model.design
        if response is not design.response:
            design = replace(design, response=response)
        return cls(model, design, model.coordinates(float(found.scale[0])), found, began)

    @property
    def theta(self) -> Floats:
        """Theta, working coordinates."""
        return self.found.at[0, : self.model.partition.n_theta]

    @cached_property
    def Lambda(self) -> Floats:
        """(Q, Q) square root of the covariance matrix of a level."""
        (factor,) = self.model.partition.block_factors(self.theta)
        return np.ascontiguousarray(factor)

    @cached_property
    def sound(self) -> bool:
        """No note of trouble can be due."""
        return bool(self.model.sound(self.found, self.design.n)[0])

    def part(self, name: str) -> Any:
        """See ``estimate.Later``."""
        with one_blas_thread():
            return self.findings.part(name)

    def troubles(self) -> tuple[str, ...]:
        """Notes that tell of trouble."""
        if self.sound:
            return ()
        with one_blas_thread():
            return self.findings.troubles()

    @cached_property
    def callers(self) -> tuple[Floats, tuple[Floats, ...], tuple[Floats, ...]]:
        """Theta, Lambda and modes in the caller's units."""
        effects = self.found.u[0] @ self.Lambda.T
        return self.coordinates.random_effects(self.model.partition, self.theta, (effects,))

    @cached_property
    def findings(self) -> Findings:
        """The optimum as the search of any other model would give it."""
        found, control = self.found, self.model.control
        p, behind = self.design.X.shape[1], found.at.shape[1] - self.theta.size
        model = working_generalized(
            self.design,
            self.model.family,
            expected=control.laplace == "expected",
            threads=control.threads,
            start=(found.start[0, :p], float(found.start[0, -1]) if behind > p else None),
        )
        rows = SortedRows.of(model)
        assert rows is not None
        u = np.ascontiguousarray(found.u[0])
        problem = OneFactorProblem(model, JointPartition(self.model.partition, behind), rows, u)
        value = float(found.value[0])
        parts = u, found.scores[0], found.Xi[0], found.gradient[0], found.hessian[0]
        evaluation = OneFactorEvaluation(
            problem, found.at[0], self.Lambda, Found(value, *parts, 0.0, np.empty(0))
        )
        optimum = Optimum(
            evaluation=evaluation,
            ok=True,
            predicted_decrease=float(found.decrease[0]),
            curvature=curvature(evaluation),
            nulls=null_directions(evaluation, problem.partition),
            evaluations=int(found.evaluations[0]),
            optimizer="newton",
            local_values=(value,),
        )
        return Findings(self.design, optimum, self.callers[0], 1, self.seconds)

    def estimate(self) -> GeneralizedEstimate:
        """The estimate, whose dear parts wait."""
        theta, Lambda, modes = self.callers
        found, family = self.found, self.model.family
        p, dispersions = self.design.X.shape[1], self.model.dispersions(found)
        dispersion = None if dispersions is None else float(dispersions[0])
        return GeneralizedEstimate.waiting(
            self,
            family=family if dispersion is None else with_dispersion(family, dispersion),
            n_agq=1,
            laplace=self.model.control.laplace,
            theta=theta,
            Lambda=Lambda,
            beta=self.coordinates.fixed.matrix @ found.at[0, theta.size : theta.size + p],
            dispersion=dispersion,
            loglik=-0.5 * float(found.value[0]),
            modes=modes,
            linear_predictor=found.eta[0],
        )
