"""Which hypothesis each term of the fixed effects stands for: types I and II.

A term contains another if it has the same covariates and more factors, all of the other's among
them. Type III has a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.design.fixed import TermPlan

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TermHypothesis:
    """L beta = 0 of one term.

    Attributes
    ----------
    label : str, R's term label
    L : (r, p) array, without rows where nothing of the term can be tested
    """

    label: str
    L: Floats


def sequential(design: Design, root: Floats) -> list[TermHypothesis]:
    """Type I: the rows of an upper triangular root of an information of beta, term by term.

    ``root`` (p, p): R of X = QR gives the sums of squares of ordinary least squares, the Cholesky
    factor of vcov(beta)^-1 those given the estimated variances.
    """
    return [TermHypothesis(t.label, root[own]) for t, own in columns_of_terms(design)]


def least_squares_root(X: Floats) -> Floats:
    """R of X = QR, the rows scaled to a diagonal of ones."""
    root = np.linalg.qr(X, mode="r")
    return np.asarray(root / np.diag(root)[:, None])


def covariance_root(covariance: Floats) -> Floats:
    """Upper triangular R with R'R = covariance^-1."""
    p = covariance.shape[0]
    # With J the reversal, J C J = L L' gives C^-1 = (J L^-T J)(J L^-1 J).
    lower = scipy.linalg.cholesky(covariance[::-1, ::-1], lower=True)
    inverse = scipy.linalg.solve_triangular(lower, np.eye(p), lower=True)
    return np.asarray(inverse[::-1, ::-1])


def after_others(
    design: Design, contains: Callable[[TermPlan, TermPlan], bool]
) -> list[TermHypothesis]:
    """Type II: each term sequentially after all that do not contain it (least squares)."""
    terms = columns_of_terms(design)
    first = [0] if design.state.fixed.intercept else []
    found = []
    for term, own in terms:
        before, after = list(first), list[int]()
        for other, columns in terms:
            if other is not term:
                (after if contains(other, term) else before).extend(columns)
        if not after:  # nothing is eliminated: the coefficients themselves
            found.append(TermHypothesis(term.label, np.eye(design.X.shape[1])[own]))
            continue
        order = np.array([*before, *own, *after], dtype=np.intp)
        root = least_squares_root(design.X[:, order])
        L = np.zeros((len(own), order.size))
        L[:, order] = root[len(before) : len(before) + len(own)]
        found.append(TermHypothesis(term.label, L))
    return found


def given_relatives(design: Design, covariance: Floats) -> list[TermHypothesis]:
    """Type II with the estimated variances: coefficients of a term cleared of its relatives.

    What is left of them when the coefficients of all terms that have the term's variables and more
    are zero: beta_T - C_TR C_RR^-1 beta_R (Fox 2016, section 8.2, as a Wald test).
    """
    terms = columns_of_terms(design)
    found = []
    for term, own in terms:
        names = {label for label, _ in term.codings}
        relatives = [
            column
            for other, columns in terms
            if other is not term and names < {label for label, _ in other.codings}
            for column in columns
        ]
        L = np.zeros((len(own), covariance.shape[0]))
        L[np.arange(len(own)), own] = 1.0
        if relatives and own:
            block = covariance[np.ix_(relatives, relatives)]
            L[:, relatives] = -np.linalg.solve(block, covariance[np.ix_(relatives, own)]).T
        found.append(TermHypothesis(term.label, L))
    return found


def own_coefficients(design: Design) -> list[TermHypothesis]:
    """The coefficients of each term, the intercept first: they mean what the coding makes them."""
    identity = np.eye(design.X.shape[1])
    found = [TermHypothesis(t.label, identity[own]) for t, own in columns_of_terms(design)]
    if 0 in design.state.assign:
        found.insert(0, TermHypothesis("(Intercept)", identity[:1]))
    return found


def contains(large: TermPlan, small: TermPlan) -> bool:
    """The same covariates, and more factors with all of the smaller term's among them."""
    factors, numbers = factors_and_numbers(large)
    own, same = factors_and_numbers(small)
    return numbers == same and own < factors


def partly_dropped(design: Design) -> tuple[str, ...]:
    """Terms of which some but not all columns were dropped, for empty cells as a rule."""
    every = design.state.fixed.assign
    left = design.state.assign
    return tuple(
        term.label
        for k, term in enumerate(design.state.fixed.terms, start=1)
        if 0 < left.count(k) < every.count(k)
    )


def factors_and_numbers(term: TermPlan) -> tuple[frozenset[str], frozenset[str]]:
    """Labels of factors and of numeric variables."""
    numbers = frozenset(label for label, kind in term.codings if kind == "numeric")
    return frozenset(label for label, _ in term.codings) - numbers, numbers


def columns_of_terms(design: Design) -> list[tuple[TermPlan, list[int]]]:
    """The columns of X that belong to each term."""
    assign = design.state.assign
    return [
        (term, [j for j, a in enumerate(assign) if a == k])
        for k, term in enumerate(design.state.fixed.terms, start=1)
    ]
