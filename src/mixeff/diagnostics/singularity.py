"""Whether a fit lies on the boundary of its parameter space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError

if TYPE_CHECKING:
    from mixeff.design.design import Design

Floats = NDArray[np.float64]


def is_singular(design: Design, Lambda: tuple[Floats, ...], tol: float = 1e-4) -> bool:
    """Whether some random term has (numerically) no variance in some direction.

    True if a diagonal entry of a relative Cholesky factor Lambda, times the root mean square of
    its model column, is below ``tol``: a standard deviation (given the earlier columns of the
    term) of less than ``tol`` residual standard deviations of an average row. lme4 leaves the root
    mean square (weighted by the prior weights) out, so that its answer changes with the units of a
    slope or of the weights; for intercepts without weights both agree.

    Parameters
    ----------
    design : Design
    Lambda : tuple of (q, q) arrays
        Lower triangular relative factors, one per random term.
    tol : float
        Positive.
    """
    if not tol > 0:
        raise OptionError(f"is_singular: tol must be positive, not {tol!r}.")
    return any(
        bool(np.any(np.abs(np.diag(factor)) * column_sizes(term.values, design.weights) < tol))
        for term, factor in zip(design.random, Lambda, strict=True)
    )


def are_singular(design: Design, theta: Floats, tol: float = 1e-4) -> NDArray[np.bool_]:
    """(m,) the same of every row of (m, k) theta: lower triangles by columns, term by term."""
    out = np.zeros(theta.shape[0], dtype=np.bool_)
    first = 0
    for term in design.random:
        lengths = np.arange(term.n_columns, 0, -1)
        diagonal = first + np.cumsum(lengths) - lengths
        first += term.n_theta
        sizes = np.abs(theta[:, diagonal]) * column_sizes(term.values, design.weights)
        out |= (sizes < tol).any(axis=1)
    return out


def column_sizes(values: Floats, weights: Floats | None = None) -> Floats:
    """(q,) weighted root mean square of each model column."""
    # einsum: no squared copy of the columns.
    if weights is None:
        squares = np.einsum("ij,ij->j", values, values)
    else:
        squares = np.einsum("ij,ij,i->j", values, values, weights)
    return np.asarray(np.sqrt(squares / values.shape[0]))
