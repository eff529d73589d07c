"""Columns centred, scaled and, where nearly collinear, rotated: an exact change of basis."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.compiled import standard_basis
from mixeff.design.moments import Moments

Floats = NDArray[np.float64]

NO_CONSTANT: Floats = np.empty(0)

_COLLINEAR = 1e-3  # rotate when a column keeps less than this part of itself beside the others
_DEPENDENT = 1e-11  # ... but not when nothing but rounding is left of it


@dataclass(frozen=True, slots=True)
class Basis:
    """Working columns = original columns @ ``matrix`` (q, q), non-singular.

    Attributes
    ----------
    constant : (q,) array or None
        Coefficients c with columns @ c = 1; None when the constant is not in the span.
    shift, scale : (q,) arrays
        The working columns are (columns - shift) / scale, then ``@ rotation`` if there is one.
        ``shift`` is zero where ``constant`` is not, and everywhere if there is no constant.
    rotation : (q, q) array or None
    matrix : (q, q) array
        All of it as one matrix: (I - c shift') diag(1 / scale) rotation.
    dependent : bool
        The columns are linearly dependent to rounding (and therefore not rotated).
    """

    constant: Floats | None
    shift: Floats
    scale: Floats
    rotation: Floats | None
    matrix: Floats
    dependent: bool = False

    @property
    def inverse(self) -> Floats:
        """The inverse of ``matrix``; that of I - c shift' is I + c shift', as shift'c = 0."""
        out = np.diag(self.scale)
        if self.constant is not None:
            out += (self.scale * self.constant)[:, None] * self.shift
        if self.rotation is None:
            return out
        return np.asarray(scipy.linalg.solve_triangular(self.rotation, out))

    @property
    def log_determinant(self) -> float:
        """Log |det matrix|; that of I - c shift' is 1 - shift'c = 1."""
        out = -sum(map(math.log, self.scale.tolist()))
        if self.rotation is not None:  # triangular
            out += float(np.log(np.abs(self.rotation.diagonal())).sum())
        return out

    def working(self, columns: Floats) -> tuple[Floats, Floats, Floats]:
        """Columns, shift and scale that give the working columns as (columns - shift) / scale.

        Nothing is copied unless the columns must be rotated.
        """
        if self.rotation is None:
            return columns, self.shift, self.scale
        return self.apply(columns), np.zeros(self.scale.size), np.ones(self.scale.size)

    def apply(self, columns: Floats) -> Floats:
        """The working columns, as a new array."""
        out = (columns - self.shift) / self.scale
        return out if self.rotation is None else out @ self.rotation


def standardize(columns: Floats, weights: Floats | None, moments: Moments | None = None) -> Basis:
    """Choose the basis of ``columns`` (n, q) in which cross-products lose no digits.

    The mean of a column may be taken out only along the constant, so columns are centred only
    when the constant is in their span; a random slope without a random intercept is another model
    when its predictor is shifted. Weighted root mean squares become 1. ``moments`` are those of the
    columns, if they are known.
    """
    n = columns.shape[0]
    if moments is None:
        moments = Moments.of(columns, weights)
    constant = constant_combination(columns, moments)
    shift, scale, matrix, sound = standard_basis(
        moments.mean,
        moments.centred,
        moments.total,
        n,
        NO_CONSTANT if constant is None else constant,
        _COLLINEAR,
    )
    plain = Basis(constant, shift, scale, None, matrix)
    if sound:
        return plain
    rotation = _rotation(plain.apply(columns), weights)
    if rotation is None:
        return replace(plain, dependent=True)
    return Basis(constant, shift, scale, rotation, matrix @ rotation)


def constant_combination(columns: Floats, moments: Moments | None = None) -> Floats | None:
    """Coefficients c with ``columns @ c`` = 1 exactly, or None.

    Found are a constant column and sets of indicator columns (``0 + factor``); other ways to span
    the constant only cost the digits that centring would have saved.
    """
    n, q = columns.shape
    if n == 0:
        return None
    if moments is None:
        moments = Moments.of(columns)
    c = np.zeros(q)
    constant = moments.first_constant()
    if constant is not None:
        c[constant] = 1.0 / moments.mean[constant]
        return c
    indicators = np.flatnonzero(moments.indicator)
    if not indicators.size:
        return None
    dummies = columns[:, indicators]
    counts = dummies.T @ dummies
    found = np.rint(np.linalg.lstsq(counts, np.diagonal(counts), rcond=None)[0])
    c[indicators] = found
    return c if bool(np.all(dummies @ found == 1.0)) else None


def _rotation(columns: Floats, weights: Floats | None) -> Floats | None:
    """Inverse triangular factor that makes the columns orthonormal; None if they are dependent.

    A QR of the columns themselves, since their cross-products have lost half the digits.
    """
    if weights is not None:
        columns = columns * np.sqrt(weights)[:, None]
    norms = np.linalg.norm(columns, axis=0)
    factor: Floats = np.asarray(np.linalg.qr(columns, mode="r"))
    if factor.shape[0] < factor.shape[1] or not norms.all():
        return None
    if np.min(np.abs(np.diagonal(factor)) / norms) < _DEPENDENT:
        return None
    inverse: Floats = scipy.linalg.lapack.dtrtri(factor)[0] * np.sqrt(columns.shape[0])
    return inverse
