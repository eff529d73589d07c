"""What fitting a generalized linear mixed model estimates, in the caller's units."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.generalized.families.family import Family
    from mixeff.optimize.verdict import Verdict

Floats = NDArray[np.float64]

LATE = ("covariance", "information", "conditional_variances", "convergence", "notes")
"""Parts of an estimate that may wait until somebody reads them."""


class Later(Protocol):
    """What computes the parts that wait."""

    @property
    def sound(self) -> bool:
        """Known already: the optimality conditions hold and no note tells of trouble."""
        ...

    def part(self, name: str) -> Any:
        """The part called so in ``LATE``."""
        ...


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
    later : Later or None
        Of a small model: computes the parts named in ``LATE`` when they are first read. Copies and
        pickles hold the parts themselves.
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
    later: Later | None = field(default=None, repr=False, compare=False)

    @classmethod
    def waiting(cls, later: Later, **parts: Any) -> GeneralizedEstimate:
        """The estimate with ``parts``, all but those in ``LATE``."""
        out = object.__new__(cls)
        for name, value in parts.items():
            object.__setattr__(out, name, value)
        object.__setattr__(out, "later", later)
        return out

    @property
    def sound(self) -> bool:
        """Known without further work: converged, and no trouble to warn of."""
        return self.later is not None and self.later.sound

    if not TYPE_CHECKING:  # for the type checker the fields are all there is

        def __getattr__(self, name: str) -> Any:
            # Reached only for what is not set: a part that waits.
            if name not in LATE:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            value = self.later.part(name)
            object.__setattr__(self, name, value)
            return value

    def __reduce__(self) -> tuple[Any, ...]:
        names = (f.name for f in fields(self) if f.name != "later")
        return GeneralizedEstimate, tuple(getattr(self, name) for name in names)
