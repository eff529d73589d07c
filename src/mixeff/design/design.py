"""The numbers of a model: what formula and columns become, and the state to score new data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.frames.labels import Levels

if TYPE_CHECKING:
    from mixeff.design.moments import Moments
    from mixeff.design.scoring import DesignState

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class RandomTerm:
    """One random term: ``Z`` is never formed, only the codes and the model columns.

    Attributes
    ----------
    group : str
        Name of the grouping factor as lme4 writes it (``class``, ``cask:batch``).
    levels : tuple of str, or LazyLevels that behave as one
        Level labels present in the data used, in lme4's order, length J.
    codes : (n,) int32 array
        Level of each row, 0 .. J-1.
    columns : tuple of str
        Names of the q model columns (``(Intercept)``, ``IQ``, ``COMB1``).
    values : (n, q) float64 array, C-contiguous
        The model columns.
    label : str
        The term as the user may name it, ``(IQ | class)``.
    has_intercept : bool
        The first column is the constant 1.
    """

    group: str
    levels: Levels
    codes: Codes
    columns: tuple[str, ...]
    values: Floats
    label: str
    has_intercept: bool

    @property
    def n_levels(self) -> int:
        """J."""
        return len(self.levels)

    @property
    def n_columns(self) -> int:
        """q."""
        return len(self.columns)

    @property
    def n_theta(self) -> int:
        """Free entries of the lower triangular relative factor, q (q + 1) / 2."""
        q = len(self.columns)
        return q * (q + 1) // 2


@dataclass(frozen=True, slots=True)
class Design:
    """Everything a fit needs, row-aligned after the one missing-row mask.

    Attributes
    ----------
    response : (n,) float64 array, the response as modelled (offset NOT subtracted)
    response_name : str, e.g. ``log(distance)``
    X : (n, p) float64 array, C-contiguous, full column rank
    names : tuple of str, the p coefficient names (R's)
    dropped : tuple of str, names of columns dropped for rank deficiency, in R's order
    random : tuple of RandomTerm
        In lme4's order: by decreasing number of levels (``random.lme4_order``). A ``||`` term is
        already split into one RandomTerm per column.
    weights : (n,) array or None, prior weights (residual variance sigma^2 / w), all > 0
    offset : (n,) array or None
    rows : (n,) int64 array, positions in the caller's data of the rows used
    n_omitted : int, rows left out because of missing values
    state : DesignState, frozen training state (levels, transforms, contrasts) to score new data
    notes : tuple of str, plain sentences worth telling (a ``||`` factor split, columns dropped)
    moments : tuple of Moments
        Sums over rows that checking the columns gave, kept for the fit. They name the arrays they
        belong to; see ``moments_of``.
    """

    response: Floats
    response_name: str
    X: Floats
    names: tuple[str, ...]
    dropped: tuple[str, ...]
    random: tuple[RandomTerm, ...]
    weights: Floats | None
    offset: Floats | None
    rows: NDArray[np.int64]
    n_omitted: int
    state: DesignState
    notes: tuple[str, ...] = ()
    moments: tuple[Moments, ...] = field(default=(), repr=False, compare=False)

    @property
    def n(self) -> int:
        """Number of observations used."""
        return int(self.response.shape[0])
