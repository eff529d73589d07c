"""Means at the edge of what the family allows, where a link does not keep them inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design
from mixeff.frames.missing import first_rows
from mixeff.generalized.families.family import Family
from mixeff.generalized.families.links import BaseLink
from mixeff.generalized.laplace import LaplaceEvaluation

Floats = NDArray[np.float64]

TOUCHING = (
    "Not converged: the search ended where means touch the edge of what the family allows (see the "
    "note), and there is no optimum inside."
)
"""What the verdict says then."""

_NEAR = 1e-6  # of the average mean: the search ends far nearer, no optimum inside is so near


def edge_of_means(design: Design, evaluation: LaplaceEvaluation) -> list[str]:
    """The sentence about means that have run against the edge, if there are any.

    With an identity link a group of zero counts has its best mean at zero or, if it could, below:
    the likelihood rises up to the edge, the criterion ends there, and its slope is not zero.
    """
    model = evaluation.problem.model
    eta = model.callers_rows(evaluation.point.eta)
    edge, bad = at_the_edge(model.family, eta)
    if not bad.any():
        return []
    mask = np.zeros(int(design.rows.max()) + 1, dtype=np.bool_)
    mask[design.rows[bad]] = True
    count = int(bad.sum())
    rows = "row has a mean" if count == 1 else "rows have means"
    better = "logit" if model.family.name == "binomial" else "log"
    return [
        f"{count} {rows} at {edge}, the edge of what a {model.family.name.split('(')[0]} "
        f"distribution allows ({first_rows(mask)}, counted from 0): the {model.family.link.name} "
        "link does not keep the means inside, and the likelihood is best where they touch the "
        "edge. There is no optimum with a slope of zero, and standard errors mean nothing. Use "
        f'link="{better}", or leave out the predictors or random effects that lead there.'
    ]


def means_may_touch(family: Family) -> bool:
    """Whether the link lets means pass an edge the distribution has."""
    lower, upper = _mean_range(family)
    return lower < 0.0 or (family.name == "binomial" and upper > 1.0)


def _mean_range(family: Family) -> tuple[float, float]:
    """What the link lets pass; nothing to speak of where there is no edge or it is not known."""
    if family.name == "gaussian" or not isinstance(family.link, BaseLink):
        return 0.0, 1.0
    return family.link.mean_range


def at_the_edge(family: Family, eta: Floats) -> tuple[str, NDArray[np.bool_]]:
    """Which means are practically zero or one although the link would let them pass."""
    none = np.zeros(eta.size, dtype=np.bool_)
    if not means_may_touch(family):
        return "", none
    name, mu = family.name, family.link.mu(eta)
    lower, upper = _mean_range(family)
    low = mu <= _NEAR * float(np.abs(mu).mean()) if lower < 0.0 else none
    high = mu >= 1.0 - _NEAR if name == "binomial" and upper > 1.0 else none
    return " or ".join(e for e, m in (("zero", low), ("one", high)) if m.any()), low | high
