"""The tracks of a generalized linear mixed model: the same restrictions of its own criterion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.covariance import Partition
from mixeff.crossproducts.reweighted import LevelRows
from mixeff.design.design import Design
from mixeff.factor.threads import one_blas_thread
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.families.family import Family
from mixeff.generalized.laplace import LaplaceProblem
from mixeff.generalized.one_factor import OneFactorProblem, SortedRows
from mixeff.generalized.one_factor_nodes import OneFactorQuadrature
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.quadrature import QuadratureProblem
from mixeff.generalized.working import GeneralizedModel, working_generalized
from mixeff.inference.profile.kinds import (
    Kind,
    correlation_corners,
    deviations,
    has_both,
    kinds,
    turned_columns,
)
from mixeff.inference.profile.restriction import (
    Angle,
    Combination,
    Entry,
    Layout,
    Restriction,
    complement,
)
from mixeff.inference.profile.track import Describe, RestrictedTrack, Scale
from mixeff.optimize import solve
from mixeff.optimize.problem import Derivatives

Floats = NDArray[np.float64]


class GeneralizedModelTracks:
    """What the tracks of one fit share.

    Parameters
    ----------
    design : Design
    estimate : GeneralizedEstimate, with ``n_agq`` at least 1
    family : Family, as it was given (without an estimated shape)
    names : tuple of str, of all parameters in order
    control : Control
    """

    def __init__(
        self,
        design: Design,
        estimate: GeneralizedEstimate,
        family: Family,
        names: tuple[str, ...],
        control: Control,
    ) -> None:
        self.design, self.estimate, self.names, self.control = design, estimate, names, control
        expected = estimate.laplace == "expected"
        with one_blas_thread():
            self.model = working_generalized(
                design, family, expected=expected, threads=control.threads
            )
        chosen, partition = self.model.coordinates, self.model.partition
        parts = [chosen.working_theta(partition, estimate.theta)]
        parts.append(chosen.fixed.inverse @ estimate.beta)
        if self.model.observations.estimates_dispersion:
            assert estimate.dispersion is not None
            parts.append(np.array([math.log(estimate.dispersion)]))
        self.z = np.concatenate(parts)
        self._plain: LaplaceProblem | None = None

    @property
    def partition(self) -> Partition:
        """Theta -> Lambda, the plain order."""
        return self.model.partition

    def kinds(self) -> dict[str, Kind]:
        """The parameter behind every name."""
        dispersed = self.model.observations.estimates_dispersion
        found = kinds(self.design, scale=dispersed)
        return dict(zip(self.names, found, strict=True))

    def track(self, name: str) -> RestrictedTrack | None:
        """What following one parameter needs; None for a correlation that does not exist."""
        kind = self.kinds()[name]
        if kind.kind in ("sd", "cor"):
            return self._variance(name, kind)
        k, m = self.partition.n_theta, self.z.size
        if kind.kind == "scale":
            layout = Layout.of(self.partition, m, taken=[m - 1])
            entry = Entry(layout, m - 1, 1.0 if name == "shape" else 2.0)
            return self._track(name, entry, self.z, Scale("log"), None, None)
        row = self.model.coordinates.fixed.matrix[kind.first]
        length = float(np.linalg.norm(row))
        places = np.arange(k, k + row.size)
        layout = Layout.of(self.partition, m, taken=places.tolist(), added=row.size - 1)
        direction = row / length
        combination = Combination(layout, places, direction, complement(direction))
        return self._track(name, combination, self.z, Scale("linear", length), None, None)

    def _track(
        self,
        name: str,
        restriction: Restriction,
        z: Floats,
        scale: Scale,
        term: int | None,
        turn: Floats | None,
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> RestrictedTrack:
        full = (
            self.full() if turn is None or term is None else self.problem(self.turned(term, turn))
        )
        if turn is not None and self.estimate.n_agq > 1:
            # The grid of the quadrature turned with the columns: the optimum has moved a little.
            with one_blas_thread():
                z = solve(full, z, self.control, others=()).evaluation.theta
        describe = GeneralizedDescribe(self, term, turn)
        return RestrictedTrack(name, full, restriction, z, scale, describe, self.control, bounds)

    def full(self) -> LaplaceProblem:
        """The criterion in the fit's own working coordinates."""
        if self._plain is None:
            self._plain = self.problem(self.model)
        return self._plain

    def problem(self, model: GeneralizedModel) -> LaplaceProblem:
        """The criterion the fit was made by."""
        n_agq = self.estimate.n_agq
        partition = JointPartition(model.partition, self.z.size - model.partition.n_theta)
        rows = SortedRows.of(model)
        if rows is not None:
            laplace = OneFactorProblem(model, partition, rows)
            return laplace if n_agq == 1 else OneFactorQuadrature.like(laplace, n_agq)
        if n_agq == 1:
            return LaplaceProblem(model, partition, joint=False)
        return QuadratureProblem(model, partition, joint=False).with_nodes(n_agq)

    def turned(self, term: int, turn: Floats) -> GeneralizedModel:
        """The model with the columns of one term turned."""
        model = self.model
        block, columns = self.partition.columns_of_terms()[term]
        groups = list(model.rows.groups)
        old = groups[block]
        Z = old.Z.copy()
        Z[:, columns] = Z[:, columns] @ turn
        groups[block] = LevelRows(old.codes, Z, old.pointer, old.order)
        rows = replace(model.rows, groups=tuple(groups))
        return replace(model, rows=rows, bare_rows=rows.without_fixed(), _systems={})

    def _variance(self, name: str, kind: Kind) -> RestrictedTrack | None:
        """A standard deviation or correlation: its columns turned to the front."""
        k = self.partition.n_theta
        basis = self.model.coordinates.random[kind.term].matrix
        theta, turn, start, length = turned_columns(self.partition, self.z[:k], basis, kind)
        z = np.concatenate([theta, self.z[k:]])
        if kind.kind == "sd":
            layout = Layout.of(self.partition, z.size, term=kind.term, columns=1, taken=[start])
            units = Scale("linear", length)
            bounds = 0.0, math.inf
            return self._track(name, Entry(layout, start), z, units, kind.term, turn, bounds)
        size = self.partition.structures[kind.term].size
        corners = correlation_corners(start, size)
        if not has_both(z, corners):
            return None
        layout = Layout.of(
            self.partition, z.size, term=kind.term, columns=2, taken=corners, added=2
        )
        half = 0.5 * math.pi
        angle = Angle(layout, corners)
        return self._track(name, angle, z, Scale("sine"), kind.term, turn, (-half, half))

    def roots(self, theta: Floats, term: int | None, turn: Floats | None) -> list[Floats]:
        """Square roots of the covariance matrices in the caller's units."""
        factors = self.partition.term_factors(theta)
        found = []
        for t, (basis, L) in enumerate(zip(self.model.coordinates.random, factors, strict=True)):
            inner = turn @ L if turn is not None and t == term else L
            found.append(basis.matrix @ inner)
        return found


@dataclass(frozen=True, slots=True)
class GeneralizedDescribe(Describe):
    """Of z = (theta, beta, log dispersion) with the columns of one term turned, if any."""

    tracks: GeneralizedModelTracks
    term: int | None
    turn: Floats | None

    def fixed(self, full: Derivatives) -> Floats:
        """See ``Describe``: they are part of z."""
        return np.empty(0)

    def _parts(self, z: Floats) -> tuple[Sequence[Floats], Floats]:
        """Square roots of the covariances, and beta."""
        k = self.tracks.partition.n_theta
        fixed = self.tracks.model.coordinates.fixed.matrix
        roots = self.tracks.roots(z[:k], self.term, self.turn)
        return roots, fixed @ z[k : k + fixed.shape[0]]

    def parameters(self, z: Floats, fixed: Floats) -> tuple[float, ...]:
        """See ``Describe``."""
        roots, beta = self._parts(z)
        scale: list[float] = []
        if self.tracks.model.observations.estimates_dispersion:
            half = 1.0 if "shape" in self.tracks.names else 0.5
            scale.append(math.exp(half * float(z[-1])))
        return (*deviations(roots), *scale, *beta.tolist())

    def start(self, z: Floats) -> Floats:
        """Theta in lme4's order, and beta behind it."""
        roots, beta = self._parts(z)
        return np.concatenate([self.tracks.partition.from_factors(roots), beta])
