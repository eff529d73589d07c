"""What fitting a linear mixed model estimates, in the caller's units."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.linear.working import Prepared
    from mixeff.optimize.verdict import Verdict

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinearEstimate:
    """The optimum of the profiled criterion (Bates et al. 2015, eq. 34 and 42).

    Attributes
    ----------
    reml : bool
    theta : (k,) array
        Relative Cholesky factors, term by term of ``design.random``, each the lower triangle by
        columns (lme4's order), diagonal entries >= 0.
    Lambda : tuple of (q, q) arrays
        The same, one lower triangle per term.
    beta : (p,) array
    unscaled_covariance : (p, p) array
        (X' V^-1 X)^-1 with V relative to sigma^2: vcov(beta) = sigma^2 times this.
    sigma : float, residual standard deviation
    criterion : float, REML criterion or ML deviance (-2 log-likelihood, prior weights included)
    pwrss : float, penalized weighted residual sum of squares r^2
    modes : tuple of (J, q) arrays, conditional modes b per term of ``design.random``
    convergence : Verdict
    prepared : Prepared or None
        Cross-products and coordinates, from which a fit of another response starts.
    """

    reml: bool
    theta: Floats
    Lambda: tuple[Floats, ...]
    beta: Floats
    unscaled_covariance: Floats
    sigma: float
    criterion: float
    pwrss: float
    modes: tuple[Floats, ...]
    convergence: Verdict
    prepared: Prepared | None = field(default=None, repr=False, compare=False)
