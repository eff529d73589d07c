"""Small models with one grouping factor: from the rows to the optimum in one compiled call.

The compiled search takes the steps of ``starting`` and ``optimize.newton`` as long as nothing out
of the ordinary happens. Where it does (a variance on its way to zero, a Hessian that is not
positive definite, a likelihood that cannot be computed at the start) it says so, and the model is
fitted as any other. What costs more than the fit itself waits until somebody reads it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.covariance import Partition
from mixeff.design.design import Design
from mixeff.factor.threads import one_blas_thread
from mixeff.generalized.edge import at_the_edge
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.families.family import Family
from mixeff.generalized.findings import Findings
from mixeff.generalized.kernels import one_factor_fit
from mixeff.generalized.notes import ENDLESS
from mixeff.generalized.observations import Observations
from mixeff.generalized.one_factor import (
    CANONICAL,
    MOST_COLUMNS,
    Entries,
    Found,
    OneFactorEvaluation,
    OneFactorProblem,
    SortedRows,
)
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.separation import WEAK
from mixeff.generalized.working import in_units, standard_bases, working_generalized
from mixeff.linear.coordinates import Coordinates, Response
from mixeff.linear.standardize import Basis
from mixeff.linear.working import usable_threads
from mixeff.optimize import Optimum
from mixeff.optimize.boundary import SNAP
from mixeff.optimize.newton import curvature

Floats = NDArray[np.float64]

LARGEST_ROWS = 10_000
"""Beyond, what surrounds the search costs little beside it, and the rows are not kept."""


@dataclass(frozen=True, slots=True)
class _Search:
    """What the compiled search returns, in working coordinates.

    Attributes
    ----------
    at : (k + p,) array, theta and beta
    value : float
    gradient, hessian, u, scores, Xi : as in ``one_factor.Found``
    eta : (n,) array, linear predictors
    start : (p,) array, coefficients of the standardized columns without random effects
    scale : float, root mean square working weight there
    decrease : float, what a further step is predicted to gain
    evaluations : int
    least_information : float, smallest eigenvalue of X'V^-1 X of the working linear model
    least_weight : float, of a row
    """

    at: Floats
    value: float
    gradient: Floats
    hessian: Floats
    u: Floats
    scores: Floats
    Xi: Floats
    eta: Floats
    start: Floats
    scale: float
    decrease: float
    evaluations: int
    least_information: float
    least_weight: float


def fit_small(
    design: Design, family: Family, control: Control, began: float
) -> GeneralizedEstimate | None:
    """Laplace's approximation maximized by the compiled search; None where that is not for it.

    Raises
    ------
    DesignError
        If the fixed-effect columns are linearly dependent to rounding.
    """
    terms = design.random
    columns = sum(t.n_columns for t in terms)
    others = any(t.group != terms[0].group for t in terms)
    if others or design.n > LARGEST_ROWS or columns > MOST_COLUMNS:
        return None
    threads = usable_threads() if control.threads is None else control.threads
    observations = Observations.of(
        family, np.ascontiguousarray(design.response), design.weights, threads
    )
    if observations.compiled is None or observations.estimates_dispersion:
        return None
    bases = standard_bases(design, threads)
    partition = Partition.of_groups([t.group for t in terms], [t.n_columns for t in terms])
    found = _search(design, observations, bases, partition, control, threads)
    if found is None or not _interior(partition, found.at[: partition.n_theta]):
        return None
    unit = 1.0 / found.scale
    same = Response(0.0, np.zeros(design.X.shape[1]), 1.0, np.empty(0))
    random = tuple([in_units(b, unit) for b in bases[1]])
    coordinates = Coordinates(in_units(bases[0], unit), random, same, 0.0)
    return _estimate(_Small(design, family, control, partition, coordinates, found, began))


def _search(
    design: Design,
    observations: Observations,
    bases: tuple[Basis, tuple[Basis, ...]],
    partition: Partition,
    control: Control,
    threads: int,
) -> _Search | None:
    compiled, family = observations.compiled, observations.family
    dispersion = observations.known_dispersion
    assert compiled is not None
    assert dispersion is not None
    first = design.random[0]
    entries = Entries.of(partition)
    offset = np.zeros(design.n) if design.offset is None else design.offset
    columns = [b.apply(t.values) for b, t in zip(bases[1], design.random, strict=True)]
    Z = columns[0] if len(columns) == 1 else np.hstack(columns)
    guess = family.link.eta(family.initial_mu(compiled.y, observations.weights))
    names = compiled.family, compiled.link
    found = one_factor_fit(
        *names,
        compiled.y,
        compiled.weights,
        np.ascontiguousarray(offset, dtype=np.float64),
        np.ascontiguousarray(bases[0].apply(design.X)),
        np.ascontiguousarray(Z),
        np.ascontiguousarray(first.codes, dtype=np.int32),
        first.n_levels,
        np.ascontiguousarray(guess, dtype=np.float64),
        compiled.top,
        dispersion,
        control.laplace == "expected" and names not in CANONICAL,
        entries.rows,
        entries.columns,
        -2.0 * compiled.constants(dispersion)[0],
        control.tolerance,
        control.max_evaluations,
        threads,
    )
    return None if found is None else _Search(*found)


def _interior(partition: Partition, theta: Floats) -> bool:
    """Whether ``optimize`` would leave the optimum: no small variance, columns in order."""
    for structure, part in zip(partition.structures, partition.split(theta), strict=True):
        if structure.size == 1:
            if not part[0] >= SNAP:
                return False
            continue
        sizes = np.linalg.svd(structure.expand(part), compute_uv=False)
        flipped = bool((part[structure.is_diagonal] < 0.0).any())
        if not sizes[-1] >= SNAP * max(1.0, sizes[0]) or flipped:
            return False
        if structure.pivoted(part) is not structure:
            return False
    return True


@dataclass(frozen=True, eq=False)
class _Small:
    """A small fit: from what is known of it everything else is computed when it is read."""

    design: Design
    family: Family
    control: Control
    partition: Partition
    coordinates: Coordinates
    found: _Search
    began: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", time.perf_counter() - self.began)

    seconds: float = 0.0

    @property
    def theta(self) -> Floats:
        """Theta, working coordinates."""
        return self.found.at[: self.partition.n_theta]

    @cached_property
    def Lambda(self) -> Floats:
        """(Q, Q) square root of the covariance matrix of a level."""
        (factor,) = self.partition.block_factors(self.theta)
        return np.ascontiguousarray(factor)

    @cached_property
    def sound(self) -> bool:
        """No note of trouble can be due: see the conditions of ``notes.fit_notes``.

        The Hessian the search ended with is positive definite; with one random effect per level
        that of the caller's parameters is the same but for units.
        """
        found = self.found
        known = found.least_weight >= 0.0 and found.least_information > WEAK * self.design.n
        ends = float(np.abs(self.Lambda).max()) <= ENDLESS
        if not (known and ends and self.partition.n_theta == 1):
            return False
        _, touching = at_the_edge(self.family, found.eta)
        return not bool(touching.any())

    def part(self, name: str) -> Any:
        """See ``estimate.Later``."""
        with one_blas_thread():
            return self.findings.part(name)

    @cached_property
    def callers(self) -> tuple[Floats, tuple[Floats, ...], tuple[Floats, ...]]:
        """Theta, Lambda and modes in the caller's units."""
        effects = self.found.u @ self.Lambda.T
        return self.coordinates.random_effects(self.partition, self.theta, (effects,))

    @cached_property
    def findings(self) -> Findings:
        """The optimum as the search of any other model would give it."""
        found, p = self.found, self.design.X.shape[1]
        model = working_generalized(
            self.design,
            self.family,
            expected=self.control.laplace == "expected",
            threads=self.control.threads,
            start=found.start,
        )
        rows = SortedRows.of(model)
        assert rows is not None
        problem = OneFactorProblem(model, JointPartition(self.partition, p), rows, found.u)
        parts = found.u, found.scores, found.Xi, found.gradient, found.hessian
        evaluation = OneFactorEvaluation(
            problem, found.at, self.Lambda, Found(found.value, *parts, 0.0, np.empty(0))
        )
        optimum = Optimum(
            evaluation=evaluation,
            ok=True,
            predicted_decrease=found.decrease,
            curvature=curvature(evaluation),
            nulls=(),
            evaluations=found.evaluations,
            optimizer="newton",
            local_values=(found.value,),
        )
        return Findings(self.design, optimum, self.callers[0], 1, self.seconds)


def _estimate(small: _Small) -> GeneralizedEstimate:
    theta, Lambda, modes = small.callers
    found, family = small.found, small.family
    return GeneralizedEstimate.waiting(
        small,
        family=family,
        n_agq=1,
        laplace=small.control.laplace,
        theta=theta,
        Lambda=Lambda,
        beta=small.coordinates.fixed.matrix @ found.at[theta.size :],
        dispersion=getattr(family, "known", None) if family.has_dispersion else None,
        loglik=-0.5 * found.value,
        modes=modes,
        linear_predictor=found.eta,
    )
