"""Where the search begins when nothing else is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.moments import moment_factors
from mixeff.factor.cholesky import BlockedSystem
from mixeff.linear.direct import DirectSystem

Floats = NDArray[np.float64]

DEAR_TAIL = 200
"""From this size of the dense tail on an evaluation costs more than the moments do."""


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


def evaluations_are_dear(system: BlockedSystem | DirectSystem) -> bool:
    """The dense tail is so large that moments, being near the optimum, repay their cost."""
    if isinstance(system, DirectSystem):
        return False
    return system.layout.products.size >= DEAR_TAIL
