"""Where the search begins when nothing else is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.moments import SMALLEST, moment_factors
from mixeff.factor.cholesky import BlockedSystem
from mixeff.linear.coordinates import Coordinates
from mixeff.linear.direct import DirectSystem
from mixeff.linear.traces import TraceMemory

Floats = NDArray[np.float64]

_HELD = 10.0  # residual standard deviations; from here Newton finds the true size of a mean

DEAR_TAIL = 200
"""From this size of the dense tail on an evaluation costs more than the moments do."""

MANY_PARAMETERS = 12
"""With more the traces' curvature is known too roughly to continue them."""


def starting_theta(system: BlockedSystem | DirectSystem, partition: Partition) -> Floats:
    """Moments of the random effects for crossed factors of many levels, else the identity.

    Evaluations cost next to nothing where the dense tail is small; there every random effect
    starts with the variance of the residual.
    """
    if isinstance(system, DirectSystem) or not evaluations_are_dear(system):
        return partition.start()
    factors = moment_factors(system.products)
    if factors is None:
        return partition.start()
    return partition.from_factors(partition.per_term_square(factors))


def like_before(first: Floats, before: Floats, partition: Partition) -> bool:
    """The moments of a new response say that its variances are near those of a fit before.

    No standard deviation differs from the one before by more than a factor of two, both taken not
    smaller than moments can be.
    """
    new, old = (
        np.concatenate([np.linalg.norm(L, axis=1) for L in partition.term_factors(theta)])
        for theta in (first, before)
    )
    ratio = np.maximum(new, SMALLEST) / np.maximum(old, SMALLEST)
    return bool(np.all((ratio > 0.5) & (ratio < 2.0)))


def constant_starts(coordinates: Coordinates, partition: Partition) -> tuple[Floats, ...]:
    """Where to start besides: one start for each factor that may hold the mean of the response.

    Empty for ordinary models. Only where the fixed effects cannot represent the constant and the
    random effects of several factors can (``y ~ 0 + (1 | g) + (1 | h)``) a mean far from zero
    makes an optimum inside of each of them: its variance is as large as the square of the mean.
    From any start the search ends in one of these, be it the lowest or not.
    """
    if coordinates.fixed.constant is not None:
        return ()
    holders = [t for t, b in enumerate(coordinates.random) if b.constant is not None]
    places = partition.columns_of_terms()
    if len({places[t][0] for t in holders}) < 2:
        return ()
    starts = []
    for held in holders:
        basis = coordinates.random[held]
        assert basis.constant is not None
        roots = [np.eye(s.size) for s in partition.structures]
        along = _HELD * (basis.inverse @ basis.constant)  # Z_work times this is _HELD everywhere
        roots[held] = np.column_stack([roots[held], along])
        starts.append(partition.from_factors(roots))
    return tuple(starts)


def evaluations_are_dear(system: BlockedSystem | DirectSystem) -> bool:
    """The dense tail is so large that moments, being near the optimum, repay their cost."""
    if isinstance(system, DirectSystem):
        return False
    return system.layout.products.size >= DEAR_TAIL


def trace_memory(system: BlockedSystem | DirectSystem, partition: Partition) -> TraceMemory | None:
    """Room for exact traces where late evaluations can do without, and save much by it."""
    if partition.n_theta > MANY_PARAMETERS or not evaluations_are_dear(system):
        return None
    return TraceMemory()
