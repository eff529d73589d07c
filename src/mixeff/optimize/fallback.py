"""The second optimizer: derivative-free, for when Newton's method ends without an optimum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.optimize.problem import Evaluation, Problem

Floats = NDArray[np.float64]

NAME = "cobyqa"
_BARRIER = 1e100  # stands for +inf, which the quadratic model cannot hold


def fallback(problem: Problem, start: Evaluation, *, max_evaluations: int) -> Evaluation:
    """SciPy's COBYQA (Ragonneau and Zhang 2023) with diagonal entries bounded below by zero.

    Returns the best evaluation it met, never worse than ``start``.
    """
    from scipy.optimize import Bounds, minimize  # imported here: rarely needed, slow to import

    best = start

    def objective(theta: Floats, *_: Any) -> float:
        nonlocal best
        trial = problem.evaluate(np.array(theta))
        if trial.value < best.value:
            best = trial
        return trial.value if math.isfinite(trial.value) else _BARRIER

    diagonal = problem.partition.is_diagonal
    minimize(
        objective,
        problem.partition.canonical(start.theta),
        method="COBYQA",
        bounds=Bounds(np.where(diagonal, 0.0, -np.inf), np.full(diagonal.shape, np.inf)),
        options={
            "maxfev": max_evaluations,
            "initial_tr_radius": 0.5,
            "final_tr_radius": 1e-7,
        },
    )
    return best
