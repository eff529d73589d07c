"""Conditional variances of the random effects, given theta and beta."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design
from mixeff.linear.estimate import LinearEstimate
from mixeff.linear.working import working_model

Floats = NDArray[np.float64]


def conditional_variances(
    design: Design, estimate: LinearEstimate, *, threads: int | None = None
) -> tuple[Floats, ...]:
    """Variance of the random effects of every level given the data, theta and beta.

    Bates et al. (2015), section 4.4.1: the diagonal blocks of
    sigma^2 Lambda (Lambda'Z'WZ Lambda + I)^-1 Lambda'.

    Parameters
    ----------
    design : Design
    estimate : LinearEstimate
        Of the same design.
    threads : int, optional

    Returns
    -------
    tuple of (J, q, q) arrays
        One per term of ``design.random``, in the caller's units (sigma^2 included).
    """
    model = estimate.prepared or working_model(design, threads).prepared
    theta = model.coordinates.working_theta(model.partition, estimate.theta)
    factor = model.system(threads).factorize(model.partition.block_factors(theta))
    relative = model.partition.per_term_square(factor.conditional_variances())
    return tuple(estimate.sigma**2 * C for C in model.coordinates.variances(relative))
