"""What the optimality conditions say about a fit, in one plain sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SingularDirection:
    """A direction in which a term's covariance matrix has no variance.

    ``term`` indexes ``design.random``; ``direction`` (q,) is a unit vector in the null space of
    Sigma (in the caller's units); ``leaving`` is v' Xi v >= 0, what the deviance would rise per
    unit of variance put there.
    """

    term: int
    group: str
    columns: tuple[str, ...]
    direction: NDArray[np.float64]
    leaving: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on the optimum found, from the exact gradient and curvature there.

    Attributes
    ----------
    ok : bool
        The optimality conditions hold (a singular optimum is ``ok``).
    sentence : str
        One plain sentence; ``str(verdict)`` gives it.
    gradient : (k,) array, d criterion / d theta at the solution
    curvature : float
        Smallest eigenvalue of the (scaled) Hessian model over the directions that are free.
    predicted_decrease : float, deviance units a further Newton step would gain
    evaluations : int, of the criterion, all starts together
    seconds : float
    optimizer : str, which method reached the optimum, ``"newton"`` or the fallback's name
    singular : tuple of SingularDirection, empty for an interior optimum
    """

    ok: bool
    sentence: str
    gradient: NDArray[np.float64]
    curvature: float
    predicted_decrease: float
    evaluations: int
    seconds: float
    optimizer: str
    singular: tuple[SingularDirection, ...] = ()

    def __str__(self) -> str:
        return self.sentence
