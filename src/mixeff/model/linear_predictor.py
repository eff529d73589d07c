"""The linear predictor of the rows a model was fitted to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.design.design import Design, RandomTerm
    from mixeff.model.mixed import Estimate

Floats = NDArray[np.float64]


def fixed_part(design: Design, beta: Floats) -> Floats:
    """(n,) X beta plus the offset."""
    eta = np.asarray(design.X @ beta)
    return eta if design.offset is None else eta + design.offset


def term_part(term: RandomTerm, modes: Floats) -> Floats:
    """(n,) Z_i b_i of one random term."""
    return np.asarray(np.einsum("ij,ij->i", term.values, modes[term.codes]))


def fitted_values(design: Design, estimate: Estimate, terms: Iterable[int] | None = None) -> Floats:
    """(n,) X beta + offset + Z b; ``terms`` takes only some of the random terms (None: all)."""
    eta = fixed_part(design, estimate.beta)
    for i in range(len(design.random)) if terms is None else terms:
        eta = eta + term_part(design.random[i], estimate.modes[i])
    return eta
