"""What fitting a linear mixed model estimates, in the caller's units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.linear.working import Prepared
    from mixeff.optimize.verdict import Verdict

Floats = NDArray[np.float64]


class Outcome:
    """How the search ended; the verdict is put into words when somebody reads it.

    Parameters
    ----------
    ok : bool, whether the optimality conditions hold
    make : callable without arguments
        Gives the verdict; called at most once. Copies and pickles hold the verdict itself.
    """

    __slots__ = ("_make", "_verdict", "ok")

    def __init__(self, ok: bool, make: Callable[[], Verdict]) -> None:
        self.ok = ok
        self._make: Callable[[], Verdict] | None = make
        self._verdict: Verdict | None = None

    @classmethod
    def known(cls, verdict: Verdict) -> Outcome:
        """The outcome with this verdict."""
        out = cls(verdict.ok, lambda: verdict)
        out.verdict()
        return out

    def verdict(self) -> Verdict:
        """The verdict."""
        found, make = self._verdict, self._make
        # Two threads may both make it: they make the same.
        if found is None:
            assert make is not None
            found = self._verdict = make()
            self._make = None  # what it was made from can go
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return Outcome.known, (self.verdict(),)


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
    outcome : Outcome, how the search ended; ``convergence`` is its verdict
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
    outcome: Outcome
    prepared: Prepared | None = field(default=None, repr=False, compare=False)

    @property
    def convergence(self) -> Verdict:
        """The verdict on the optimum."""
        return self.outcome.verdict()
