"""What fitting a generalized linear mixed model estimates, in the caller's units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.generalized.families.family import Family
    from mixeff.optimize.verdict import Verdict

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GeneralizedEstimate:
    """The maximum of the approximated marginal likelihood over theta, beta and dispersion.

    Attributes
    ----------
    family : Family
        With the estimated shape of a negative binomial in it.
    n_agq : int
        0: beta inside the penalized IRLS; 1: Laplace; more: adaptive Gauss-Hermite.
    laplace : str
        ``"observed"`` or ``"expected"``: the information in the determinant.
    theta : (k,) array
        Cholesky factors of the covariances (of the linear predictor's units; with a Gamma, inverse
        Gaussian or Gaussian family these are NOT relative to the dispersion: see ``sigma``), term
        by term of ``design.random``, the lower triangle by columns, diagonals >= 0.
    Lambda : tuple of (q, q) arrays, the same
    beta : (p,) array
    dispersion : float or None
        The family's parameter phi (Gamma, inverse Gaussian, Gaussian: Var = phi V(mu); negative
        binomial: the shape); None for binomial and Poisson.
    loglik : float
        Log-likelihood with all constants of the family.
    modes : tuple of (J, q) arrays, conditional modes b per term of ``design.random``
    linear_predictor : (n,) array, X beta + Z b + offset at the modes
    covariance : (p, p) array, vcov(beta) from the inverse of ``hessian``
    information : (k + p + d, k + p + d) array
        Exact Hessian of -loglik in (theta, beta, log dispersion); rows of theta entries that
        are zero on the boundary are left out of the inverse behind ``covariance``.
    conditional_variances : tuple of (J, q, q) arrays
        Covariances of the random effects given data, theta and beta, per term.
    convergence : Verdict
    notes : tuple of str
        Sentences for the reader: separation, a variance that runs away, the error of Laplace.
    """

    family: Family
    n_agq: int
    laplace: str
    theta: Floats
    Lambda: tuple[Floats, ...]
    beta: Floats
    dispersion: float | None
    loglik: float
    modes: tuple[Floats, ...]
    linear_predictor: Floats
    covariance: Floats
    information: Floats
    conditional_variances: tuple[Floats, ...]
    convergence: Verdict
    notes: tuple[str, ...] = ()
