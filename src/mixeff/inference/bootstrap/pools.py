"""What the semi-parametric bootstrap resamples: centred and rescaled effects and residuals.

Conditional modes and residuals are shrunken and vary less than the estimated variances say;
resampled as they are they would give variances biased downwards. They are therefore centred and
mapped so that their second moments are the estimates (Carpenter, Goldstein and Rasbash 2003, A
novel bootstrap procedure for assessing the relationship between class size and achievement,
Applied Statistics 52, 431-443).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError

if TYPE_CHECKING:
    from mixeff.design.design import Design, RandomTerm

Floats = NDArray[np.float64]

_NULL = 1e-10  # eigenvalues below this part of the largest are rounding


def residual_pool(design: Design, fitted: Floats, sigma: float) -> Floats:
    """(n,) residuals times root weight, centred, their mean square sigma^2."""
    residuals = design.response - fitted
    if design.weights is not None:
        residuals = residuals * np.sqrt(design.weights)
    residuals = residuals - residuals.mean()
    size = float(np.sqrt(np.mean(residuals**2)))
    return np.asarray(residuals * (sigma / size))


def effect_pool(term: RandomTerm, modes: Floats, root: Floats) -> Floats:
    """(J, q) conditional modes, centred, mapped to second moments ``root root'``.

    The map is the symmetric A with A S A = R, S the moments of the centred modes and R the wanted
    ones: of all maps the one that moves the modes least. Carpenter et al. take a triangular one,
    which depends on the order of the columns.

    Raises
    ------
    OptionError
        The modes do not vary in a direction in which the model says effects do.
    """
    centred = modes - modes.mean(axis=0)
    wanted = root @ root.T
    moments = centred.T @ centred / centred.shape[0]
    # Units of the wanted deviations: an effect a million times another is no rounding error.
    unit = np.sqrt(np.diag(wanted))
    unit[unit == 0] = 1.0
    S, R = moments / np.outer(unit, unit), wanted / np.outer(unit, unit)
    values, vectors = np.linalg.eigh(S)
    kept = values > _NULL * max(float(values[-1]), 0.0)
    V = vectors[:, kept]
    missed = float(np.trace(R) - np.einsum("ij,ik,kj->", V, R, V))
    if missed > 1e-6 * max(float(np.trace(R)), np.finfo(float).tiny):
        raise OptionError(
            f'bootstrap: kind="semiparametric" resamples the random effects of {term.label}, but '
            f"those of {term.n_levels} levels do not vary in every direction the model estimates a "
            'variance for. Use kind="parametric".'
        )
    half = V * np.sqrt(values[kept])
    back = V / np.sqrt(values[kept])
    inner, turn = np.linalg.eigh(half.T @ R @ half)
    middle = (turn * np.sqrt(np.maximum(inner, 0.0))) @ turn.T
    A = back @ middle @ back.T
    return np.asarray((centred / unit) @ A * unit)
