"""Separation: predictors that tell the responses apart, whose coefficients have no finite maximum.

A direction d of the fixed effects along which no row's likelihood falls and some row's rises,
looked for by a linear program (Konis 2007). Named is the least that does it: columns that separate
by themselves, else the fewest that do together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixeff.design.design import Design
from mixeff.generalized.families.family import Family
from mixeff.generalized.laplace import LaplaceEvaluation

Floats = NDArray[np.float64]

WEAK = 1e-4
"""Information per row of a coefficient, in units of a row's own: below, look closer."""

_LARGEST_LP = 200_000  # entries of X in a linear program
_COUNTS = ("poisson", "negative binomial", "nbinom1")
_FINITE = ("identity", "sqrt", "inverse", "1/mu^2")  # a mean of zero or one has a finite predictor
_MOST_COLUMNS = 60  # looked at one by one


def separation(design: Design, evaluation: LaplaceEvaluation) -> list[str]:
    """The sentence about predictors that tell the responses apart, if there are any.

    Looked for only where a coefficient has hardly any information.
    """
    model = evaluation.problem.model
    if not model.p or not separable(model.family):
        return []
    inner = evaluation.information_of_beta() / model.y.size
    if float(np.linalg.eigvalsh(inner)[0]) > WEAK or model.rows.X.size > _LARGEST_LP:
        return []
    binomial = model.family.name == "binomial"
    # Working columns are standardized, which a linear program likes.
    direction = separating_direction(model.rows.X, model.y, binomial)
    if direction is None:
        return []
    which = _culprits(design, binomial, model.coordinates.fixed.matrix @ direction)
    return [
        f"The responses are separated by {which}: some observations are predicted without error, "
        "and the likelihood gets better without end as the coefficient grows. It and its standard "
        "error mean nothing; leave the predictor out, merge its levels, or use a model that "
        "penalizes large coefficients."
    ]


def separable(family: Family) -> bool:
    """Whether a mean the family allows lies at the end of the predictor's range."""
    kind = family.name.split("(")[0].strip().lower()
    return kind in ("binomial", *_COUNTS) and family.link.name not in _FINITE


def separating_direction(X: Floats, y: Floats, binomial: bool) -> Floats | None:
    """Coefficients d, |d| <= 1, with x'd >= 0 where y is 1, <= 0 where it is 0, not all zero.

    Rows of a binomial between 0 and 1, and of a Poisson above 0, must have x'd = 0.
    """
    from scipy.optimize import linprog  # slow to import, rarely needed

    sign = np.where(y == 0, -1.0, np.where(y == 1, 1.0, 0.0)) if binomial else -1.0 * (y == 0)
    moving = sign != 0
    rows = X[moving] * sign[moving, None]
    fixed = X[~moving]
    found = linprog(
        -rows.sum(axis=0),
        A_ub=-rows if rows.size else None,
        b_ub=np.zeros(rows.shape[0]) if rows.size else None,
        A_eq=fixed if fixed.size else None,
        b_eq=np.zeros(fixed.shape[0]) if fixed.size else None,
        bounds=(-1.0, 1.0),
    )
    if not found.success or float(rows.sum(axis=0) @ found.x) <= 1e-7 * float(np.abs(X).max()):
        return None
    return np.asarray(found.x)


def _culprits(design: Design, binomial: bool, direction: Floats) -> str:
    """What separates, as a phrase."""
    X, y, names = design.X, design.response, design.names
    size = np.maximum(np.abs(X).max(axis=0), 1e-300)
    constant = [j for j in range(len(names)) if np.ptp(X[:, j]) == 0.0]
    others = [j for j in range(len(names)) if j not in constant]

    def separates(columns: Sequence[int]) -> bool:
        # The constant beside them: a predictor separates at any threshold.
        chosen = [*constant, *columns]
        return separating_direction(X[:, chosen] / size[chosen], y, binomial) is not None

    if len(others) > _MOST_COLUMNS:
        reach = np.abs(direction) * size
        needed = [j for j in others if reach[j] > 1e-6 * reach.max()]
        return f"a combination of {_listed([names[j] for j in needed])}"
    alone = [j for j in others if separates([j])]
    if alone:
        each = ", each by itself" if len(alone) > 1 else ""
        return _listed([names[j] for j in alone]) + each
    needed = others
    for j in others:
        fewer = [k for k in needed if k != j]
        needed = fewer if fewer and separates(fewer) else needed
    which = _listed([names[j] for j in needed])
    terms = {design.state.assign[j] for j in needed}
    if len(terms) > 1:
        return f"a combination of {which}"
    return f"{design.state.fixed.terms[terms.pop() - 1].label} ({which} together)"


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
