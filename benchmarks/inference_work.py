"""What the inference cases time, after the fit, and the numbers both programs are compared by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Floats = list[float]


def kenward_roger(fit: Any) -> Floats:
    """Adjusted standard errors and degrees of freedom of every coefficient."""
    table = fit.summary(ddf="kenward-roger").coefficients
    return [*table["std_error"], *table["df"]]


def profile(fit: Any) -> Floats:
    """Profile intervals of every parameter, from a new profile."""
    intervals = fit.profile().confint(level=0.95)
    return [float(v) for v in np.asarray(intervals)[:, :2].ravel()]


def bootstrap(fit: Any) -> Floats:
    """Percentile intervals from 1,000 replicates: random, so nothing to compare."""
    fit.confint(method="bootstrap", nsim=1000, seed=1)
    return []


WORK: dict[str, Callable[[Any], Floats]] = {
    "kenward-roger": kenward_roger,
    "profile": profile,
    "bootstrap interval": bootstrap,
}


def criterion(fit: Any, work: str) -> float:
    """The log-likelihood of the fit the work starts from: profiles are of the ML fit."""
    return float(fit.refit_ml().loglik if work == "profile" else fit.loglik)
