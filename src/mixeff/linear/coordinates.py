"""Working coordinates: where a fit is computed, and the exact way back to the caller's units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.compiled import regress
from mixeff.covariance import Partition
from mixeff.design.design import Design
from mixeff.design.moments import NO_WEIGHTS, Moments, moments_of
from mixeff.errors import DesignError
from mixeff.factor import kernels
from mixeff.linear.standardize import NO_CONSTANT, Basis, standardize

Floats = NDArray[np.float64]

LARGEST_TERM = 15
"""Columns of a term the kernels change the units of; larger ones take longer in any case."""


@dataclass(frozen=True, slots=True)
class Response:
    """y - offset = center + X_work @ projection + scale * y_work.

    The response is replaced by its least-squares residuals: whatever X explains cannot cost digits
    in the sums of squares, however large it is.
    """

    center: float
    projection: Floats
    scale: float
    values: Floats


@dataclass(frozen=True, slots=True)
class Coordinates:
    """The change of basis of one model; all methods are exact linear maps.

    Attributes
    ----------
    fixed : Basis of X
    random : tuple of Basis, one per random term
    response : Response
    log_weights : float, sum of log prior weights
    """

    fixed: Basis
    random: tuple[Basis, ...]
    response: Response
    log_weights: float

    def criterion_shift(self, n: int, p: int, reml: bool) -> float:
        """Criterion in the caller's units minus criterion in working coordinates."""
        nu = n - p if reml else n
        shift = 2.0 * nu * math.log(self.response.scale) - self.log_weights
        return shift - (2.0 * self.fixed.log_determinant if reml else 0.0)

    def fixed_effects(self, beta: Floats, covariance: Floats) -> tuple[Floats, Floats]:
        """Coefficients and (X'V^-1 X)^-1 in the caller's units."""
        r, constant = self.response, self.fixed.constant
        return kernels.fixed_units(
            np.ascontiguousarray(self.fixed.matrix),
            r.projection,
            r.scale,
            r.center,
            NO_CONSTANT if constant is None else constant,
            beta,
            covariance,
        )

    def random_effects(
        self, partition: Partition, theta: Floats, modes: Sequence[Floats]
    ) -> tuple[Floats, tuple[Floats, ...], tuple[Floats, ...]]:
        """Theta (lme4's), Lambda and conditional modes (J, q) per term, in the caller's units.

        ``theta`` and ``modes`` (per grouping block) are the working ones, in the plain order.
        """
        found = []
        first = 0
        places = zip(partition.structures, self.random, partition.columns_of_terms(), strict=True)
        for structure, basis, (block, columns) in places:
            part = theta[first : first + structure.n_theta]
            first += structure.n_theta
            matrix, b = np.ascontiguousarray(basis.matrix), np.ascontiguousarray(modes[block])
            if structure.size <= LARGEST_TERM:
                scale = self.response.scale
                found.append(kernels.term_units(matrix, part, b, columns.start, scale))
                continue
            outer = structure.from_root(matrix @ structure.expand(part))
            own = self.response.scale * (b[:, columns] @ matrix.T)
            found.append((outer, structure.expand(outer), own))
        thetas, factors, own_modes = zip(*found, strict=True)
        whole = thetas[0] if len(thetas) == 1 else np.concatenate(thetas)
        return whole, factors, own_modes

    def thetas(self, partition: Partition, working: Floats) -> Floats:
        """Lme4's theta for every row of (m, k) working ones; structures in the plain order."""
        return rescaled(partition, [b.matrix for b in self.random], working)

    def working_theta(self, partition: Partition, theta: Floats) -> Floats:
        """The inverse of ``thetas`` for one theta."""
        inverses = [b.inverse for b in self.random]
        return rescaled(partition, inverses, theta[None, :]).ravel()

    def variances(self, working: Sequence[Floats]) -> tuple[Floats, ...]:
        """(J, q, q) relative variances of the modes per term."""
        return tuple(
            basis.matrix @ C @ basis.matrix.T for C, basis in zip(working, self.random, strict=True)
        )


def rescaled(partition: Partition, matrices: Sequence[Floats], thetas: Floats) -> Floats:
    """Theta of the roots (matrix Lambda) per term, triangular again, for every row of (m, k)."""
    out = np.empty_like(thetas)
    first = 0
    for structure, matrix in zip(partition.structures, matrices, strict=True):
        part = slice(first, first + structure.n_theta)
        first = part.stop
        own = np.ascontiguousarray(thetas[:, part])
        if structure.size <= LARGEST_TERM:
            out[:, part] = kernels.rescale_roots(np.ascontiguousarray(matrix), own)
        else:
            out[:, part] = [structure.from_root(matrix @ structure.expand(t)) for t in own]
    return out


def sigma_slopes(working: Sequence[Floats], bases: Sequence[Basis]) -> tuple[Floats, ...]:
    """Xi per term in the caller's units: Z_work = Z T makes Xi_work = T'Xi T."""
    slopes = []
    for Xi, basis in zip(working, bases, strict=True):
        back = basis.inverse
        slopes.append(back.T @ Xi @ back)
    return tuple(slopes)


def coordinates(design: Design, threads: int = 1) -> Coordinates:
    """Choose working coordinates for a design; the numbers do not depend on ``threads``.

    Raises
    ------
    DesignError
        If there are no more rows than fixed effects, or X reproduces the response exactly.
    """
    n, p = design.X.shape
    if n <= p:
        raise DesignError(
            f"The model has {p} fixed-effect coefficients but only {n} observations, so nothing "
            "is left to estimate a variance from: use fewer terms or more data."
        )
    weights = design.weights
    known = list(design.moments)
    bases: dict[int, Basis] = {}  # terms often share their columns, with X or with each other
    for columns in (design.X, *(t.values for t in design.random)):
        if id(columns) not in bases:
            moments = moments_of(columns, weights, known, threads)
            known.append(moments)
            bases[id(columns)] = standardize(columns, weights, moments)
    fixed = bases[id(design.X)]
    if fixed.dependent:
        raise DesignError(
            "The fixed-effect columns are linearly dependent to the precision of the numbers, "
            f"although none is a combination of the others by R's rule ({', '.join(design.names)}):"
            " centre the predictors or drop one of them."
        )
    log_weights = 0.0 if weights is None else float(np.log(weights).sum())
    random = tuple(bases[id(t.values)] for t in design.random)
    return Coordinates(fixed, random, response(design, fixed, known, threads), log_weights)


def response(
    design: Design, fixed: Basis, known: Sequence[Moments] = (), threads: int = 1
) -> Response:
    """Residuals of the least-squares regression on X, in units of their root mean square.

    ``known`` are moments that may be those of X.
    """
    weights = design.weights
    y = design.response if design.offset is None else design.response - design.offset
    X, shift, scale = fixed.working(design.X)
    m = moments_of(X, weights, known, threads)
    w = NO_WEIGHTS if weights is None else weights
    # What the centre misses of the mean, the projection takes out.
    center, projection, unit, left, largest, start = regress(
        X, shift, scale, m.mean, m.centred, m.total, y, w, fixed.constant is not None, threads
    )
    typical = 1.0 if weights is None else math.sqrt(float(np.mean(weights)))
    if unit <= 1e-14 * largest * typical or unit <= 1e-12 * start:
        raise DesignError(
            f"The fixed effects reproduce the response {design.response_name} exactly, so there is "
            "no variance left to divide among random effects and residual: check whether the "
            "response was computed from a predictor."
        )
    return Response(center, projection, unit, left)
