"""Orthogonal polynomials over observed points, as R's ``poly``.

The training values come from a QR decomposition of the centred powers, new values from the
three-term recurrence of the polynomials orthogonal over the training points (Kennedy and Gentle
1980, Statistical Computing, section 8.3.5, the source R itself names).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixeff.design.values import Floats


@dataclass(frozen=True, slots=True)
class OrthogonalPolynomials:
    """Recurrence of monic polynomials in ``t = (x - center) / spread``.

    Attributes
    ----------
    center, spread : float
        Mean and largest distance from it of the training points; R centres only, the scaling
        keeps high powers of large numbers from overflowing and changes no value.
    alpha : tuple of float, length ``degree``
    norms : tuple of float, length ``degree + 1``
        Squared norms of the monic polynomials of degree 0 .. ``degree`` over the training points.
    """

    center: float
    spread: float
    alpha: tuple[float, ...]
    norms: tuple[float, ...]

    def __call__(self, x: Floats) -> Floats:
        """Orthonormal polynomials of degree 1 .. ``degree`` at x (n,), as (n, degree)."""
        t = (x - self.center) / self.spread
        previous, current = np.zeros_like(t), np.ones_like(t)
        columns = []
        for k, alpha in enumerate(self.alpha):
            ratio = self.norms[k] / self.norms[k - 1] if k else 0.0
            previous, current = current, (t - alpha) * current - ratio * previous
            columns.append(current / np.sqrt(self.norms[k + 1]))
        return np.column_stack(columns)


def orthogonal_polynomials(x: Floats, degree: int) -> tuple[Floats, OrthogonalPolynomials]:
    """Values (n, degree) at the training points x (n, finite) and the recurrence for new points.

    The caller has checked that x has more than ``degree`` distinct points.
    """
    center = float(x.mean())
    spread = float(np.abs(x - center).max())
    t = (x - center) / spread
    basis, triangle = np.linalg.qr(np.vander(t, degree + 1, increasing=True))
    # basis * diagonal are the monic polynomials, whatever signs the decomposition chose
    diagonal = np.diag(triangle)
    norms = diagonal**2
    alpha = (t[:, None] * basis**2).sum(axis=0)[:degree]
    values = basis[:, 1:] * np.sign(diagonal[1:])
    recurrence = OrthogonalPolynomials(center, spread, tuple(alpha.tolist()), tuple(norms.tolist()))
    return np.ascontiguousarray(values), recurrence


def raw_powers(x: Floats, degree: int) -> Floats:
    """Powers 1 .. ``degree`` of x (n,), as (n, degree)."""
    return np.column_stack([x**power for power in range(1, degree + 1)])
