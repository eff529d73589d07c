"""Variances without an estimate: the data say nothing about them, or want them infinite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design
from mixeff.errors import DesignError
from mixeff.linear.criterion import LinearEvaluation
from mixeff.linear.small import SmallEvaluation
from mixeff.optimize import Optimum
from mixeff.optimize.newton import undetermined

_LEVEL = 1e-6  # values of the criterion this close (relative) are one


def check_determined(design: Design, optimum: Optimum) -> None:
    """Refuse a fit whose standard errors would depend on an arbitrary variance.

    If the columns of a random term lie in the span of X (``y ~ a * b + (1 | a:b)``), the REML
    criterion is constant in its variance: any value fits equally well, and the standard errors of
    the fixed effects are whatever that value makes them. If there are fewer residual degrees of
    freedom than random effects, the criterion may instead fall towards a limit as a variance grows
    without bound and the residual variance vanishes.

    Raises
    ------
    DesignError
        Naming the term and its columns.
    """
    if optimum.curvature > 0:  # zero where a parameter is undetermined
        return
    evaluation = optimum.evaluation
    assert isinstance(evaluation, LinearEvaluation | SmallEvaluation)
    flat = undetermined(evaluation)
    if not flat.any():
        return
    endless = _falls_without_end(evaluation, flat)
    partition = evaluation.criterion.partition
    structures = partition.structures
    for term, structure, part in zip(
        design.random, structures, partition.split(flat.astype(np.float64)), strict=True
    ):
        rows, _ = structure.entries
        if part.any():
            names = ", ".join(term.columns[i] for i in sorted(set(rows[part > 0].tolist())))
            if endless:
                raise DesignError(
                    f"The variance of {names} in {term.label} has no finite estimate: with the "
                    f"fixed effects in the model ({design.X.shape[1]} coefficients, {design.n} "
                    f"observations) the random effects of {term.group} reproduce the response, and "
                    "the fit gets better without end as their variance grows and the residual "
                    "variance goes to zero. Leave out this random term or some fixed effects."
                )
            raise DesignError(
                f"The data say nothing about the variance of {names} in {term.label}: the fixed "
                f"effects already tell all levels of {term.group} apart, so every variance fits "
                "equally well and the standard errors would be arbitrary. Leave out this random "
                f"term, or the fixed effects that are constant within {term.group}."
            )


def _falls_without_end(
    evaluation: LinearEvaluation | SmallEvaluation, flat: NDArray[np.bool_]
) -> bool:
    """The criterion is flat where the search ended, but lies higher without those variances."""
    without = evaluation.criterion.evaluate(np.where(flat, 0.0, evaluation.theta))
    return without.value > evaluation.value + _LEVEL * (1.0 + abs(evaluation.value))
