"""Columns centred, scaled and, where nearly collinear, rotated: an exact change of basis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROWS = 1 << 15  # rows worked on at a time, so that no copy of the data is ever whole
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
    def log_determinant(self) -> float:
        """Log |det matrix|."""
        return float(np.linalg.slogdet(self.matrix)[1]) if self.matrix.size else 0.0

    def apply(self, columns: Floats) -> Floats:
        """The working columns, as a new array."""
        out = (columns - self.shift) / self.scale
        return out if self.rotation is None else out @ self.rotation


def standardize(columns: Floats, weights: Floats | None) -> Basis:
    """Choose the basis of ``columns`` (n, q) in which cross-products lose no digits.

    The mean of a column may be taken out only along the constant, so columns are centred only
    when the constant is in their span; a random slope without a random intercept is another model
    when its predictor is shifted. Weighted root mean squares become 1.
    """
    q = columns.shape[1]
    constant = constant_combination(columns)
    shift = np.zeros(q)
    if constant is not None and np.count_nonzero(constant) < q:
        shift = np.where(constant == 0, weighted_mean(columns, weights), 0.0)
    products = _products(columns, weights, shift)
    scale = np.sqrt(np.diagonal(products))
    # A column that is itself constant up to rounding stays what it is.
    still = (shift != 0) & (scale <= 1e-13 * np.abs(shift) * _typical(weights))
    if still.any():
        shift = np.where(still, 0.0, shift)
        products = _products(columns, weights, shift)
        scale = np.sqrt(np.diagonal(products))
    scale = np.where(scale > 0, scale, 1.0)
    matrix = np.diag(1.0 / scale)
    if constant is not None:
        matrix -= np.outer(constant, shift / scale)
    plain = Basis(constant, shift, scale, None, matrix)
    if q < 2 or _well_conditioned(products / np.outer(scale, scale)):
        return plain
    rotation = _rotation(plain.apply(columns), weights)
    if rotation is None:
        return replace(plain, dependent=True)
    return Basis(constant, shift, scale, rotation, matrix @ rotation)


def _typical(weights: Floats | None) -> float:
    """Root mean square of the factor a row is multiplied with."""
    return 1.0 if weights is None else float(np.sqrt(np.mean(weights)))


def constant_combination(columns: Floats) -> Floats | None:
    """Coefficients c with ``columns @ c`` = 1 exactly, or None.

    Found are a constant column and sets of indicator columns (``0 + factor``); other ways to span
    the constant only cost the digits that centring would have saved.
    """
    q = columns.shape[1]
    c = np.zeros(q)
    if columns.shape[0] == 0:
        return None
    first = columns[0]
    for j in range(q):
        if first[j] != 0 and np.all(columns[:, j] == first[j]):
            c[j] = 1.0 / first[j]
            return c
    indicators = [j for j in range(q) if _is_indicator(columns[:, j])]
    if not indicators:
        return None
    dummies = columns[:, indicators]
    counts = dummies.T @ dummies
    found = np.rint(np.linalg.lstsq(counts, np.diagonal(counts), rcond=None)[0])
    c[indicators] = found
    return c if bool(np.all(dummies @ found == 1.0)) else None


def _is_indicator(column: Floats) -> bool:
    return bool(np.all((column == 0.0) | (column == 1.0)))


def row_blocks(n: int) -> Iterator[slice]:
    """Consecutive slices of rows small enough for the cache."""
    for first in range(0, n, _ROWS):
        yield slice(first, min(first + _ROWS, n))


def weighted_mean(values: Floats, weights: Floats | None) -> Floats:
    """Mean over rows, in two passes so that a large mean costs no digits."""
    n = values.shape[0]
    total = float(n) if weights is None else float(weights.sum())
    one = np.ones(min(n, _ROWS))
    mean: Floats = np.zeros(values.shape[1:])
    for _ in range(2):
        change = np.zeros_like(mean)
        for rows in row_blocks(n):
            part = values[rows] - mean
            change += (one[: len(part)] if weights is None else weights[rows]) @ part
        mean = mean + change / total
    return mean


def gram(columns: Floats, weights: Floats | None, basis: Basis) -> Floats:
    """(q, q) weighted cross-products of the working columns divided by n."""
    if basis.rotation is not None:
        return _products(basis.apply(columns), weights, np.zeros(basis.scale.size))
    products = _products(columns, weights, basis.shift)
    scaled: Floats = products / np.outer(basis.scale, basis.scale)
    return scaled


def _products(columns: Floats, weights: Floats | None, shift: Floats) -> Floats:
    """(q, q) weighted cross-products of the shifted columns divided by n."""
    n, q = columns.shape
    out = np.zeros((q, q))
    for rows in row_blocks(n):
        part = columns[rows] - shift
        out += part.T @ (part if weights is None else part * weights[rows][:, None])
    mean: Floats = out / n
    return mean


def _well_conditioned(correlation: Floats) -> bool:
    """Every column keeps a good part of itself beside the columns before it."""
    factor, info = scipy.linalg.lapack.dpotrf(correlation, lower=0, clean=1)
    if info != 0:
        return False
    left = np.diagonal(factor) / np.sqrt(np.diagonal(correlation))
    return bool(left.min() > _COLLINEAR)


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
