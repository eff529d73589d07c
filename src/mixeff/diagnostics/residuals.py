"""Residuals of a fitted model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.model.linear_predictor import fitted_values
from mixeff.model.options import choose

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.linear.estimate import LinearEstimate

Floats = NDArray[np.float64]
KINDS = ("response", "pearson", "deviance", "working", "scaled")


def residuals(design: Design, estimate: LinearEstimate, kind: str = "response") -> Floats:
    """(n,) residuals of the rows used; see `LinearMixedModel.residuals` for the kinds.

    For a linear model the working residuals are the response ones, and the deviance residuals are
    the Pearson ones: sqrt(w) (y - fitted), whose variance does not depend on the prior weight w.

    Raises
    ------
    OptionError
        Unknown kind.
    """
    kind = choose("residuals", "kind", kind, KINDS)
    raw = design.response - fitted_values(design, estimate)
    if kind in ("response", "working"):
        return raw
    pearson = raw if design.weights is None else np.sqrt(design.weights) * raw
    return pearson / estimate.sigma if kind == "scaled" else pearson
