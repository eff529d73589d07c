"""The likelihood of a generalized linear model without random effects, as a null needs it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design
from mixeff.errors import ConvergenceError
from mixeff.generalized.families.family import Family
from mixeff.generalized.observations import Observations
from mixeff.generalized.starting import _dispersion, _least_squares, fixed_start
from mixeff.generalized.working import standard_bases
from mixeff.linear.working import usable_threads

Floats = NDArray[np.float64]

_STEPS, _HALVINGS = 500, 40
_GAIN = 1e-13  # of the log-likelihood, relative: nothing is left to gain


def loglik_without_random(design: Design, family: Family, threads: int | None = None) -> float:
    """Maximized log-likelihood over coefficients and, if the family has one, dispersion.

    Fisher scoring in the coefficients, Newton's method in the dispersion, in turn.

    Parameters
    ----------
    design : Design, whose random terms are not looked at
    family : Family, as asked for: a shape to be estimated is not in it
    threads : int, optional

    Raises
    ------
    ConvergenceError
        The likelihood cannot be computed, or goes on rising.
    """
    threads = usable_threads() if threads is None else threads
    fixed, _ = standard_bases(design, threads)
    X = fixed.apply(design.X)
    offset = np.zeros(design.n) if design.offset is None else design.offset
    observations = Observations.of(family, design.response, design.weights, threads)
    constant = None if fixed.constant is None else fixed.inverse @ fixed.constant
    start = fixed_start(observations, offset, X, constant)
    beta, dispersion, value = start.beta, start.dispersion, float(start.terms.loglik.sum())
    for _ in range(_STEPS):
        eta = offset + X @ beta
        if observations.estimates_dispersion:
            dispersion = _dispersion(observations, eta, dispersion)
        terms = observations.terms(eta, dispersion, expected=True)
        now = float(terms.loglik.sum())
        step, part = _least_squares(X, terms.weight, X.T @ terms.score), 1.0
        for _ in range(_HALVINGS):
            trial = observations.terms(offset + X @ (beta + part * step), dispersion)
            if float(trial.loglik.sum()) >= now:
                break
            part *= 0.5
        else:
            part = 0.0
        beta = beta + part * step
        new = max(now, float(trial.loglik.sum()) if part else now)
        if new - value <= _GAIN * (1.0 + abs(new)):
            return new
        value = new
    raise ConvergenceError(
        "The likelihood of the model without random effects goes on rising: some of its means "
        "are on the edge of their range (complete separation)."
    )
