"""Variances the data say nothing about: their term varies only as the fixed effects do."""

from __future__ import annotations

import numpy as np

from mixeff.design.design import Design
from mixeff.errors import DesignError
from mixeff.linear.criterion import LinearEvaluation
from mixeff.linear.small import SmallEvaluation
from mixeff.optimize.newton import undetermined


def check_determined(design: Design, evaluation: LinearEvaluation | SmallEvaluation) -> None:
    """Refuse a fit whose standard errors would depend on an arbitrary variance.

    If the columns of a random term lie in the span of X (``y ~ a * b + (1 | a:b)``), the REML
    criterion is constant in its variance: any value fits equally well, and the standard errors of
    the fixed effects are whatever that value makes them.

    Raises
    ------
    DesignError
        Naming the term and its columns.
    """
    flat = undetermined(evaluation)
    if not flat.any():
        return
    partition = evaluation.criterion.partition
    structures = partition.structures
    for term, structure, part in zip(
        design.random, structures, partition.split(flat.astype(np.float64)), strict=True
    ):
        rows, _ = structure.entries
        if part.any():
            names = ", ".join(term.columns[i] for i in sorted(set(rows[part > 0].tolist())))
            raise DesignError(
                f"The data say nothing about the variance of {names} in {term.label}: the fixed "
                f"effects already tell all levels of {term.group} apart, so every variance fits "
                "equally well and the standard errors would be arbitrary. Leave out this random "
                f"term, or the fixed effects that are constant within {term.group}."
            )
