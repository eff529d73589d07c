"""The tracks of a linear mixed model: standard deviations, correlations, sigma, fixed effects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.covariance import Partition
from mixeff.crossproducts.blocks import CrossProducts
from mixeff.design.design import Design
from mixeff.factor.cholesky import BlockedSystem
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
    Entry,
    Layout,
    Restriction,
    ScaledDeviation,
)
from mixeff.inference.profile.track import Describe, RestrictedTrack, Scale, Track
from mixeff.linear.coordinates import Coordinates
from mixeff.linear.criterion import LinearCriterion
from mixeff.linear.direct import DirectSystem
from mixeff.linear.estimate import LinearEstimate
from mixeff.linear.starting import trace_memory
from mixeff.linear.unprofiled import UnprofiledCriterion
from mixeff.linear.working import Prepared, usable_threads, working_model
from mixeff.optimize.problem import Derivatives

Floats = NDArray[np.float64]


class LinearModel:
    """What the tracks of one fit share.

    Parameters
    ----------
    design : Design
    estimate : LinearEstimate, by maximum likelihood
    names : tuple of str, of all parameters in order
    control : Control
    """

    def __init__(
        self, design: Design, estimate: LinearEstimate, names: tuple[str, ...], control: Control
    ) -> None:
        self.design, self.estimate, self.names, self.control = design, estimate, names, control
        prepared = estimate.prepared
        if prepared is None:
            prepared = working_model(design, control.threads).prepared
        self.prepared: Prepared = prepared
        chosen = prepared.coordinates
        self.theta = chosen.working_theta(prepared.partition, estimate.theta)
        self.omega = 2.0 * math.log(estimate.sigma / chosen.response.scale)
        self._plain: UnprofiledCriterion | None = None

    @property
    def coordinates(self) -> Coordinates:
        """The way back to the caller's units."""
        return self.prepared.coordinates

    @property
    def partition(self) -> Partition:
        """Theta -> Lambda, the plain order."""
        return self.prepared.partition

    def kinds(self) -> dict[str, Kind]:
        """The parameter behind every name."""
        return dict(zip(self.names, kinds(self.design, scale=True), strict=True))

    def track(self, name: str) -> Track | None:
        """What following one parameter needs; None for a correlation that does not exist."""
        from mixeff.inference.profile.fixed_effects import FixedEffectTrack

        kind = self.kinds()[name]
        if kind.kind == "beta":
            return FixedEffectTrack(self, name, kind.first)
        if kind.kind == "scale":
            layout = Layout.of(self.partition, self.theta.size + 1, taken=[self.theta.size])
            scale = Scale("log", self.coordinates.response.scale)
            z = np.append(self.theta, self.omega)
            return self._track(name, Entry(layout, self.theta.size, 2.0), z, scale, None, None)
        return self._variance(name, kind)

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
        full = self.full() if turn is None or term is None else self.turned(term, turn)
        describe = LinearDescribe(self, term, turn)
        return RestrictedTrack(name, full, restriction, z, scale, describe, self.control, bounds)

    def full(self) -> UnprofiledCriterion:
        """The criterion in the fit's own working coordinates."""
        if self._plain is None:
            self._plain = UnprofiledCriterion(self.criterion())
        return self._plain

    def criterion(self) -> LinearCriterion:
        """The profiled deviance of the fit's own system."""
        source = self.prepared.source
        if isinstance(source, DirectSystem):
            return LinearCriterion(source, self.partition, False)
        return self.criterion_of(self.prepared.system(self.control.threads))

    def criterion_of(self, system: BlockedSystem) -> LinearCriterion:
        """The profiled deviance of a system of this model's shape."""
        memory = trace_memory(system, self.partition)
        return LinearCriterion(system, self.partition, False, memory)

    def turned(self, term: int, turn: Floats) -> UnprofiledCriterion:
        """The criterion with the columns of one term turned; the rows are not read again."""
        places = self.partition.columns_of_terms()
        columns = []
        for block, members in enumerate(self.partition.members):
            B = np.eye(sum(self.partition.structures[t].size for t in members))
            if places[term][0] == block:
                B[places[term][1], places[term][1]] = turn
            columns.append(B)
        products = self.prepared.products.transformed(columns=columns)
        return UnprofiledCriterion(self.criterion_of(self.system(products)))

    def system(self, products: CrossProducts) -> BlockedSystem:
        """Cross-products ready to be factored."""
        return BlockedSystem(products, threads=self.control.threads or usable_threads())

    def _variance(self, name: str, kind: Kind) -> RestrictedTrack | None:
        """A standard deviation or correlation: its columns turned to the front."""
        basis = self.coordinates.random[kind.term].matrix
        theta, turn, start, length = turned_columns(self.partition, self.theta, basis, kind)
        z = np.append(theta, self.omega)
        if kind.kind == "sd":
            layout = Layout.of(self.partition, z.size, term=kind.term, columns=1, taken=[start])
            units = Scale("linear", self.coordinates.response.scale * length)
            held = ScaledDeviation(layout, start)
            return self._track(name, held, z, units, kind.term, turn, (0.0, math.inf))
        corners = correlation_corners(start, self.partition.structures[kind.term].size)
        if not has_both(z, corners):
            return None
        layout = Layout.of(
            self.partition, z.size, term=kind.term, columns=2, taken=corners, added=2
        )
        half = 0.5 * math.pi
        angle = Angle(layout, corners)
        return self._track(name, angle, z, Scale("sine"), kind.term, turn, (-half, half))

    def beta(self, working: Floats) -> Floats:
        """Coefficients in the caller's units."""
        fixed, r = self.coordinates.fixed, self.coordinates.response
        outer = fixed.matrix @ (r.projection + r.scale * working)
        return outer if fixed.constant is None else outer + r.center * fixed.constant

    def parameters(
        self,
        theta: Floats,
        omega: float,
        fixed: Floats,
        term: int | None = None,
        turn: Floats | None = None,
    ) -> tuple[float, ...]:
        """All parameters in the caller's units, in the order of ``names``."""
        sigma = self.coordinates.response.scale * math.exp(0.5 * omega)
        roots = [sigma * root for root in self.roots(theta, term, turn)]
        return (*deviations(roots), sigma, *self.beta(fixed).tolist())

    def roots(self, theta: Floats, term: int | None, turn: Floats | None) -> list[Floats]:
        """Square roots of the covariance matrices relative to sigma^2, the caller's units."""
        factors = self.partition.term_factors(theta)
        found = []
        for t, (basis, L) in enumerate(zip(self.coordinates.random, factors, strict=True)):
            inner = turn @ L if turn is not None and t == term else L
            found.append(basis.matrix @ inner)
        return found


@dataclass(frozen=True, slots=True)
class LinearDescribe(Describe):
    """Of z = (theta, omega) with the columns of one term turned, if any."""

    model: LinearModel
    term: int | None
    turn: Floats | None

    def fixed(self, full: Derivatives) -> Floats:
        """See ``Describe``: the generalized least squares coefficients."""
        found: Floats = full.beta  # type: ignore[attr-defined]
        return found

    def parameters(self, z: Floats, fixed: Floats) -> tuple[float, ...]:
        """See ``Describe``."""
        return self.model.parameters(z[:-1], float(z[-1]), fixed, self.term, self.turn)

    def start(self, z: Floats) -> Floats:
        """Theta in lme4's order and the caller's units."""
        return self.model.partition.from_factors(self.model.roots(z[:-1], self.term, self.turn))
