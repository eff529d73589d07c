"""The likelihood of a linear model without random effects, as the null of a test needs it."""

from __future__ import annotations

import math

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.design.design import Design

Floats = NDArray[np.float64]


def criterion_without_random(design: Design, *, reml: bool) -> float:
    """Minus twice the maximized log-likelihood of y = X beta + e, Var(e) = sigma^2 / w.

    With r^2 = min (y - X beta)' W (y - X beta) and nu = n (ML) or n - p (REML):
    nu (1 + log(2 pi r^2 / nu)) - sum log w, plus log |X'W X| for REML (Harville 1974, in the form
    of Bates et al. 2015, eq. 34 and 42 at theta = 0).

    Parameters
    ----------
    design : Design, whose random terms are not looked at
    reml : bool

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> y = np.array([1.0, 2.0, 4.0])
    >>> d = SimpleNamespace(n=3, X=np.ones((3, 1)), response=y, offset=None, weights=None)
    >>> variance = ((y - y.mean()) ** 2).mean()
    >>> expected = 3 * (1 + np.log(2 * np.pi * variance))
    >>> bool(np.isclose(criterion_without_random(d, reml=False), expected))
    True
    """
    y = design.response if design.offset is None else design.response - design.offset
    X, w = design.X, design.weights
    shift = 0.0
    if w is not None:
        root = np.sqrt(w)
        X, y = X * root[:, None], y * root
        shift = float(np.log(w).sum())
    n, p = X.shape
    logdet = 0.0
    if p > 0:
        # Columns of length 1 first: predictors in large units would cost digits in R.
        scale = np.linalg.norm(X, axis=0)
        Q, R = scipy.linalg.qr(X / scale, mode="economic", check_finite=False)
        y = y - Q @ (Q.T @ y)
        y = y - Q @ (Q.T @ y)
        logdet = 2.0 * float(np.log(np.abs(np.diagonal(R))).sum() + np.log(scale).sum())
    nu = n - p if reml else n
    criterion = nu * (1.0 + math.log(2.0 * math.pi * float(y @ y) / nu)) - shift
    return float(criterion + (logdet if reml else 0.0))
