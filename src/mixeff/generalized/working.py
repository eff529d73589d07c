"""A generalized model in working coordinates: rows, pattern and system for penalized IRLS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.reweighted import LevelRows, WeightedRows
from mixeff.design.design import Design
from mixeff.design.moments import moments_of
from mixeff.errors import DesignError
from mixeff.factor.refill import Refillable
from mixeff.generalized.families.family import Family, RowTerms
from mixeff.generalized.mode_search import CompiledSearch, compiled_search
from mixeff.generalized.observations import Observations
from mixeff.generalized.starting import FixedStart, fixed_start
from mixeff.linear.coordinates import Coordinates, Response
from mixeff.linear.standardize import Basis, standardize
from mixeff.linear.working import usable_threads

Floats = NDArray[np.float64]

SORTED = 100_000
"""From this number of rows on those of crossed models are sorted by the levels of a factor."""

SHARED = 20_000
"""Below, a pass over the rows of a crossed model takes no longer than to start a thread."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The part of a model in working coordinates that its response does not change.

    Attributes
    ----------
    fixed : Basis of X, standardized
    random : tuple of Basis, per random term
    partition : Partition of theta
    order : (n,) array or None, as in ``GeneralizedModel``
    weights : (n,) array or None, in that order
    offset : (n,) array, in that order
    """

    fixed: Basis
    random: tuple[Basis, ...]
    partition: Partition
    order: NDArray[np.int64] | None
    weights: Floats | None
    offset: Floats

    @classmethod
    def of(cls, design: Design, threads: int) -> Columns:
        """Standardize, and choose the order of the rows.

        Raises
        ------
        DesignError
            If the fixed-effect columns are linearly dependent to rounding.
        """
        fixed, random = standard_bases(design, threads)
        order = sorted_rows(design)
        return cls(
            fixed,
            random,
            Partition.of_groups(
                [t.group for t in design.random], [t.n_columns for t in design.random]
            ),
            order,
            None if design.weights is None else in_order(design.weights, order),
            np.zeros(design.n) if design.offset is None else in_order(design.offset, order),
        )


@dataclass(frozen=True, slots=True)
class GeneralizedModel:
    """What every evaluation shares.

    Attributes
    ----------
    observations : Observations
    offset : (n,) array
    rows : WeightedRows, X and Z in working coordinates
    bare_rows : the same without X: all that modes at known fixed effects need
    partition : Partition of theta
    coordinates : Coordinates, the way back to the caller's units
    expected : bool
        The expected information stands in the determinant of the Laplace approximation.
    first : FixedStart, the model without random effects
    columns : Columns, what of it does not depend on the response
    order : (n,) array or None
        The caller's row of each row here; the same where None.

    Notes
    -----
    Working columns are standardized and divided by the root mean square working weight, so that a
    coefficient, or a standard deviation theta, of one is that of a row's own (working) residual.
    """

    observations: Observations
    offset: Floats
    rows: WeightedRows
    bare_rows: WeightedRows
    partition: Partition
    coordinates: Coordinates
    expected: bool
    first: FixedStart
    columns: Columns
    order: NDArray[np.int64] | None = None
    _systems: dict[str, Refillable] = field(default_factory=dict, repr=False, compare=False)
    _searches: dict[bool, CompiledSearch | None] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def cell(self) -> Refillable:
        """The penalized system with X behind the random effects, laid out when first wanted."""
        return self._system("cell", self.rows)

    @property
    def bare(self) -> Refillable:
        """The same without X."""
        return self._system("bare", self.bare_rows)

    def _system(self, name: str, rows: WeightedRows) -> Refillable:
        if name not in self._systems:
            self._systems[name] = Refillable(rows.empty(), threads=rows.threads)
        return self._systems[name]

    def systems(self) -> dict[str, Refillable]:
        """The systems laid out so far, to be filled with the values of another response."""
        for system in self._systems.values():
            system.forget()
        return self._systems

    def search(self, *, joint: bool) -> CompiledSearch | None:
        """The compiled search for modes (``joint``: with the fixed effects), if it is for this."""
        if joint not in self._searches:
            self._searches[joint] = compiled_search(self, joint=joint)
        return self._searches[joint]

    def callers_rows(self, values: Floats) -> Floats:
        """(n,) values in the caller's order."""
        if self.order is None:
            return values
        out = np.empty_like(values)
        out[self.order] = values
        return out

    @property
    def family(self) -> Family:
        """The family."""
        return self.observations.family

    @property
    def y(self) -> Floats:
        """(n,) responses."""
        return self.observations.y

    @property
    def weights(self) -> Floats | None:
        """(n,) prior weights, or None."""
        return self.observations.weights

    @property
    def p(self) -> int:
        """Columns of X."""
        return int(self.rows.X.shape[1])

    def predictor(self, beta: Floats, effects: Sequence[Floats]) -> Floats:
        """(n,) offset + X beta + Z b; ``effects`` (J, q) per grouping factor."""
        eta = self.fixed_predictor(beta)
        self.rows.add_effects(eta, effects)
        return eta

    def fixed_predictor(self, beta: Floats) -> Floats:
        """(n,) offset + X beta."""
        return self.offset + self.rows.X @ beta

    def terms(
        self, eta: Floats, dispersion: float, *, expected: bool = False, curvature: bool = False
    ) -> RowTerms:
        """The family's terms of every row."""
        return self.observations.terms(eta, dispersion, expected=expected, curvature=curvature)

    def zero_effects(self) -> tuple[Floats, ...]:
        """No random effects at all."""
        return tuple(np.zeros((g.n_levels, g.Z.shape[1])) for g in self.rows.groups)


def standard_bases(design: Design, threads: int) -> tuple[Basis, tuple[Basis, ...]]:
    """The standardized bases of X and of the columns of every random term.

    Raises
    ------
    DesignError
        If the fixed-effect columns are linearly dependent to rounding.
    """
    bases: dict[int, Basis] = {}
    known = list(design.moments)
    for columns in (design.X, *(t.values for t in design.random)):
        if id(columns) not in bases:
            moments = moments_of(columns, design.weights, known, threads)
            known.append(moments)
            bases[id(columns)] = standardize(columns, design.weights, moments)
    fixed = bases[id(design.X)]
    if fixed.dependent:
        raise DesignError(
            "The fixed-effect columns are linearly dependent to the precision of the numbers, "
            f"although none is a combination of the others by R's rule ({', '.join(design.names)}):"
            " centre the predictors or drop one of them."
        )
    return fixed, tuple(bases[id(t.values)] for t in design.random)


def working_generalized(
    design: Design,
    family: Family,
    *,
    expected: bool = False,
    threads: int | None = None,
    start: tuple[Floats, float | None] | None = None,
    sibling: GeneralizedModel | None = None,
) -> GeneralizedModel:
    """Choose working coordinates and find the pattern of the penalized system.

    Parameters
    ----------
    design : Design
    family : Family
    expected : bool
    threads : int, optional
    start : (p,) array and float or None, optional
        Coefficients of the standardized columns of the model without random effects, and its
        dispersion if that is estimated, where they are known already.
    sibling : GeneralizedModel, optional
        Of the same design with another response: its standardized columns, orders, patterns and
        systems are taken over. It must not be asked for anything afterwards.

    Raises
    ------
    DesignError
        If the fixed-effect columns are linearly dependent to rounding.
    """
    threads = usable_threads() if threads is None else threads
    if design.n < SHARED and len({t.group for t in design.random}) > 1:
        threads = 1
    made = Columns.of(design, threads) if sibling is None else sibling.columns
    order, fixed = made.order, made.fixed
    y = in_order(np.asarray(design.response, dtype=np.float64), order)
    X = in_order(fixed.apply(design.X), order)
    observations = Observations.of(family, y, made.weights, threads)
    if start is None:
        constant = None if fixed.constant is None else fixed.inverse @ fixed.constant
        first = fixed_start(observations, made.offset, X, constant)
    else:
        first = FixedStart.at(observations, made.offset, X, *start)
    unit = 1.0 / first.scale
    random = tuple(in_units(basis, unit) for basis in made.random)
    partition = made.partition
    groups = []
    for g, members in enumerate(partition.members):
        Z = in_order(np.hstack([random[t].apply(design.random[t].values) for t in members]), order)
        if sibling is None:
            term = design.random[members[0]]
            groups.append(LevelRows.of(in_order(term.codes, order), term.n_levels, Z))
        else:
            groups.append(replace(sibling.rows.groups[g], Z=Z))
    if sibling is None:
        rows = WeightedRows.of(X * unit, groups, threads)
    else:
        rows = replace(sibling.rows, X=X * unit, groups=tuple(groups))
    unchanged = Response(0.0, np.zeros(design.X.shape[1]), 1.0, np.empty(0))
    return GeneralizedModel(
        observations=observations,
        offset=made.offset,
        rows=rows,
        bare_rows=rows.without_fixed(),
        partition=partition,
        coordinates=Coordinates(in_units(fixed, unit), random, unchanged, 0.0),
        expected=expected,
        first=replace(first, beta=first.beta / unit),
        columns=made,
        order=order,
        _systems={} if sibling is None else sibling.systems(),
    )


def sorted_rows(design: Design) -> NDArray[np.int64] | None:
    """The rows by the levels of the largest factor, for many rows of crossed factors, else None.

    Sums within levels, and within pairs of levels, then run through memory instead of about it.
    """
    if len({t.group for t in design.random}) < 2 or design.n < SORTED:
        return None
    largest = max(design.random, key=lambda t: t.n_levels)
    return np.argsort(largest.codes, kind="stable")


def in_order(values: NDArray[Any], order: NDArray[np.int64] | None) -> NDArray[Any]:
    """The rows taken in an order, contiguous."""
    return np.ascontiguousarray(values if order is None else values[order])


def in_units(basis: Basis, unit: float) -> Basis:
    """Working columns times ``unit``: coefficients in units of a row's residual deviation."""
    if basis.rotation is not None:
        return replace(basis, rotation=basis.rotation * unit, matrix=basis.matrix * unit)
    return replace(basis, scale=basis.scale / unit, matrix=basis.matrix * unit)
