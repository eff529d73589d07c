"""Where the search begins when nothing else is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.moments import SMALLEST, moment_factors
from mixeff.factor.cholesky import BlockedSystem
from mixeff.linear.direct import DirectSystem
from mixeff.linear.traces import TraceMemory

Floats = NDArray[np.float64]

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
