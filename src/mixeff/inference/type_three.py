"""Type III: hypotheses about each term given all others, whatever the coding of factors.

They follow the definition for estimable functions (Goodnight 1978; SAS/STAT, The four types of
estimable functions), in the parametrization with an indicator for every level and every cell,
X* b*: of the estimable functions that involve only the term and terms containing it, those
orthogonal to the ones that involve only the containing terms. No contrast matrix takes part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.design.fixed import linear_matrix
from mixeff.design.values import Categorical, Value
from mixeff.inference.spanning_rows import spanning_rows
from mixeff.inference.term_hypotheses import TermHypothesis, columns_of_terms, contains

if TYPE_CHECKING:
    from mixeff.design.fixed import TermPlan
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

_ZERO = 1e-8  # singular values below this part of the largest are rounding


def marginal(fit: MixedModel) -> list[TermHypothesis]:
    """Type III, from the estimable functions; terms without a column of their own are empty."""
    design = fit.design
    plan, kept = design.state.fixed, design.state.kept
    values, n = spanning_rows(fit)
    X = linear_matrix(plan, values, n)[:, kept]
    terms = [(t, own) for t, own in columns_of_terms(design) if own]
    blocks = [_every_cell(t, values, n) for t, _ in terms]
    constant = [np.ones((n, 1))] if plan.intercept else []
    # X* = X B; a row r stands for the estimable function r B of b*, which is r beta.
    B = _regress(X, np.hstack([*constant, *blocks]))
    ends = (len(constant) + np.cumsum([b.shape[1] for b in blocks])).tolist()
    places = {
        t.label: slice(end - b.shape[1], end)
        for (t, _), b, end in zip(terms, blocks, ends, strict=True)
    }
    found = []
    for term, own in columns_of_terms(design):
        L = np.empty((0, X.shape[1]))
        if own:
            inside = np.zeros(B.shape[1], dtype=bool)
            for other, _ in terms:
                inside[places[other.label]] = other is term or contains(other, term)
            at = places[term.label]
            L = _from_first_levels(_functions_of(B, inside, at), B[:, at], _not_first(term, values))
        found.append(TermHypothesis(term.label, L))
    return found


def _functions_of(B: Floats, inside: NDArray[np.bool_], own: slice) -> Floats:
    """Rows r with r B zero outside, orthogonal (as r B) to those that are zero on ``own`` too."""
    outside = B[:, ~inside].T
    free = scipy.linalg.null_space(outside, rcond=_ZERO).T if outside.size else np.eye(len(B))
    if not free.size:
        return np.empty((0, B.shape[0]))
    functions = free @ B
    # Orthonormal functions: then the part with something on ``own`` is a row space.
    u, s, vt = np.linalg.svd(functions, full_matrices=False)
    rank = int(np.count_nonzero(s > _ZERO * s[0]))
    rows = (u[:, :rank] / s[:rank]).T @ free
    left, size, _ = np.linalg.svd(vt[:rank, own], full_matrices=False)
    used = size > _ZERO * max(float(size[0]), 1e-300) if size.size else size > 0
    return np.asarray(left[:, used].T @ rows)


def _from_first_levels(L: Floats, of_term: Floats, rest: NDArray[np.intp]) -> Floats:
    """The same hypotheses as differences to the first levels, where these span them.

    Of cells without data, or that others determine, the first ones that span. The pooled degrees of
    freedom of several rows depend (a little) on which rows are chosen.
    """
    differences = L @ of_term[:, rest]
    differences = differences[:, _first_independent(differences)]
    if differences.shape[0] != differences.shape[1]:
        return L
    return np.asarray(np.linalg.solve(differences, L))


def _first_independent(columns: Floats) -> list[int]:
    """Positions of the columns that do not depend on those before them."""
    found = list[int]()
    basis = np.zeros((columns.shape[0], 0))
    for j, column in enumerate(columns.T):
        rest = column - basis @ (basis.T @ column)
        rest -= basis @ (basis.T @ rest)
        length = float(np.linalg.norm(rest))
        if length > _ZERO * float(np.linalg.norm(column)):
            found.append(j)
            basis = np.column_stack([basis, rest / length])
    return found


def _not_first(term: TermPlan, values: Mapping[str, Value]) -> NDArray[np.intp]:
    """Positions in ``_every_cell`` without the first level of factors coded by contrasts."""
    places = np.zeros(1, dtype=np.intp)
    width = 1
    for label, kind in term.codings:
        value = values[label]
        count = len(value.levels) if isinstance(value, Categorical) else value.values[0].size
        own = np.arange(1 if kind == "contrast" else 0, count)
        places = (own[:, None] * width + places[None, :]).ravel()
        width *= count
    return places


def _regress(X: Floats, Y: Floats) -> Floats:
    """B with Y = X B."""
    scale = np.linalg.norm(X, axis=0)
    Q, R = np.linalg.qr(X / scale)
    B = scipy.linalg.solve_triangular(R, Q.T @ Y) / scale[:, None]
    # Entries are small rational numbers; what is left of zeros by rounding would count as rank.
    B[np.abs(B) < 1e-11 * np.abs(B).max()] = 0.0
    return np.asarray(B)


def _every_cell(term: TermPlan, values: Mapping[str, Value], n: int) -> Floats:
    """Columns of a term with an indicator for every level of its factors."""
    block = np.ones((n, 1))
    for label, _ in term.codings:
        value = values[label]
        if isinstance(value, Categorical):
            own = (value.codes[:, None] == np.arange(len(value.levels))).astype(np.float64)
        else:
            own = value.values.reshape(n, -1)
        block = (own[:, :, None] * block[:, None, :]).reshape(n, -1)
    return block
