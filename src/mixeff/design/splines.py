"""B-spline and natural cubic spline bases equal to those of R's ``splines`` package.

The basis functions are de Boor's (A Practical Guide to Splines, 1978), evaluated by SciPy. Beyond
the boundary knots ``bs`` continues the outermost polynomial pieces; ``ns`` continues as straight
lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixeff.design.values import Floats


@dataclass(frozen=True, slots=True)
class SplineBasis:
    """A basis, fixed by its knots.

    Attributes
    ----------
    natural : bool, the second derivative vanishes at and beyond the boundary knots
    degree : int, of the polynomial pieces (3 when natural)
    intercept : bool, the basis contains the constant
    knots : tuple of float, the interior knots, increasing
    boundary : (float, float), the boundary knots
    """

    natural: bool
    degree: int
    intercept: bool
    knots: tuple[float, ...]
    boundary: tuple[float, float]

    def __call__(self, x: Floats) -> Floats:
        """The basis at x (n,), as (n, df); rows with NaN in x are NaN."""
        present = ~np.isnan(x)
        inner = self._natural(x[present]) if self.natural else self._polynomial(x[present])
        values = np.full((x.shape[0], inner.shape[1]), np.nan)
        values[present] = inner
        return values

    def _polynomial(self, x: Floats) -> Floats:
        basis = self._b_splines(x)
        return basis if self.intercept else basis[:, 1:]

    def _natural(self, x: Floats) -> Floats:
        low, high = self.boundary
        basis = self._b_splines(np.clip(x, low, high))
        for edge, beyond in ((low, x < low), (high, x > high)):
            slope = self._b_splines(np.array([edge]), derivative=1)
            basis[beyond] += slope * (x[beyond] - edge)[:, None]
        curvature = self._b_splines(np.array([low, high]), derivative=2)
        first = 0 if self.intercept else 1
        # the null space of the curvature at both ends, in R's orientation: its Householder
        # reflections choose the signs exactly as LAPACK's do
        rotation = np.linalg.qr(curvature[:, first:].T, mode="complete")[0]
        return np.asarray(basis[:, first:] @ rotation[:, 2:])

    def _b_splines(self, x: Floats, derivative: int = 0) -> Floats:
        """All basis functions (or a derivative of them) at x, (n, number of functions)."""
        from scipy.interpolate import BSpline

        order = self.degree + 1
        low, high = self.boundary
        knots = np.sort(np.array([low] * order + list(self.knots) + [high] * order))
        functions = np.eye(knots.shape[0] - order)
        spline = BSpline(knots, functions, self.degree, extrapolate=True)
        return np.asarray(spline(x, nu=derivative), dtype=np.float64)


def quantile_knots(x: Floats, count: int, boundary: tuple[float, float]) -> tuple[float, ...]:
    """``count`` interior knots at evenly spaced quantiles (type 7) of the points inside."""
    if count <= 0:
        return ()
    inside = x[(x >= boundary[0]) & (x <= boundary[1])]
    probabilities = np.linspace(0.0, 1.0, count + 2)[1:-1]
    return tuple(np.quantile(inside, probabilities).tolist())
