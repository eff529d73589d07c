"""Results per row, put back among the rows that were left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]


def pad(fit: MixedModel, values: Floats) -> Floats:
    """``values`` (n,) as they are; under ``na_action="exclude"`` with NaN in the rows left out."""
    if fit.request.na_action != "exclude":
        return values
    return spread(fit.design, values)


def spread(design: Design, values: Floats) -> Floats:
    """(rows of the data,) array: ``values`` in the rows used, NaN elsewhere."""
    out = np.full(total_rows(design), np.nan)
    out[design.rows] = values
    return out


def total_rows(design: Design) -> int:
    """Rows of the data the design was built from, those of weight zero included."""
    return design.state.n_rows
