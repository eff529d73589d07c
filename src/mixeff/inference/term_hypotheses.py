"""Which hypothesis each term of the fixed effects stands for: type I, II and III.

Type III follows its definition for estimable functions (Goodnight 1978; SAS/STAT, The four types of
estimable functions), in the parametrization with an indicator for every level and every cell,
X* b*: of the estimable functions that involve only the term and terms containing it, those
orthogonal to the ones that involve only the containing terms. No contrast matrix takes part, so
the hypotheses do not depend on the coding of factors. A term contains another if it has the same
covariates and more factors, all of the other's among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.design.fixed import LinearPlan, linear_matrix
from mixeff.design.values import Categorical, Numeric, Value
from mixeff.design.variables import Variable, apply_variable, columns_used

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.design.fixed import TermPlan
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

_ZERO = 1e-8  # singular values below this part of the largest are rounding
_FACTORIAL = 20_000  # rows of a complete factorial that is written out


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
    return [TermHypothesis(t.label, root[own]) for t, own in _columns(design)]


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
    terms = _columns(design)
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
    terms = _columns(design)
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
    found = [TermHypothesis(t.label, identity[own]) for t, own in _columns(design)]
    if 0 in design.state.assign:
        found.insert(0, TermHypothesis("(Intercept)", identity[:1]))
    return found


def marginal(fit: MixedModel) -> list[TermHypothesis]:
    """Type III, from the estimable functions; terms without a column of their own are empty."""
    design = fit.design
    plan, kept = design.state.fixed, design.state.kept
    values, n = _rows(fit)
    X = linear_matrix(plan, values, n)[:, kept]
    terms = [(t, own) for t, own in _columns(design) if own]
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
    for term, own in _columns(design):
        L = np.empty((0, X.shape[1]))
        if own:
            inside = np.zeros(B.shape[1], dtype=bool)
            for other, _ in terms:
                inside[places[other.label]] = other is term or contains(other, term)
            at = places[term.label]
            L = _from_first_levels(_functions_of(B, inside, at), B[:, at], _not_first(term, values))
        found.append(TermHypothesis(term.label, L))
    return found


def contains(large: TermPlan, small: TermPlan) -> bool:
    """The same covariates, and more factors with all of the smaller term's among them."""
    factors, numbers = _variables(large)
    own, same = _variables(small)
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


def _variables(term: TermPlan) -> tuple[frozenset[str], frozenset[str]]:
    """Labels of factors and of numeric variables."""
    numbers = frozenset(label for label, kind in term.codings if kind == "numeric")
    return frozenset(label for label, _ in term.codings) - numbers, numbers


def _columns(design: Design) -> list[tuple[TermPlan, list[int]]]:
    """The columns of X that belong to each term."""
    assign = design.state.assign
    return [
        (term, [j for j, a in enumerate(assign) if a == k])
        for k, term in enumerate(design.state.fixed.terms, start=1)
    ]


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


def _rows(fit: MixedModel) -> tuple[dict[str, Value], int]:
    """Values of the variables that span what the data span.

    The rows of the data where columns were dropped: which cells are empty matters. Otherwise every
    coefficient is estimable and any rows in which they are all seen will do, far fewer.
    """
    design = fit.design
    plan = design.state.fixed
    used = [v for v in design.state.variables if v.label in plan.variables]
    if not design.dropped:
        values, n = invented(plan, used)
        if _spans(linear_matrix(plan, values, n)):
            return values, n
    frame = design.state.open(fit.request.data)
    columns = frame.read(columns_used([v.expression for v in used], frame))
    values = {}
    for variable in used:
        value = apply_variable(variable, columns, design.state.n_rows)
        values[variable.label] = _taken(value, design.rows)
    return values, design.n


def _spans(X: Floats) -> bool:
    """The columns are independent on these rows: no combination of levels is lacking."""
    norms = np.linalg.norm(X, axis=0)
    if X.shape[0] < X.shape[1] or not norms.all():
        return False
    size = np.abs(np.diag(np.linalg.qr(X / norms, mode="r")))
    return bool(size.min() > _ZERO)


def _taken(value: Value, rows: NDArray[np.int64]) -> Value:
    if isinstance(value, Categorical):
        return Categorical(value.codes[rows], value.levels, value.ordered, value.logical)
    return Numeric(value.values[rows], value.suffixes)


def invented(plan: LinearPlan, variables: Sequence[Variable]) -> tuple[dict[str, Value], int]:
    """Rows with every combination of levels and numbers that satisfy no equation."""
    rng = np.random.default_rng(0)
    factors = [v for v in variables if v.levels is not None]
    numbers = [v for v in variables if v.levels is None]
    widths = [max(1, len(v.suffixes)) for v in numbers]
    counts = [len(v.levels or ()) for v in factors]
    cells = int(np.prod([float(c) for c in counts])) if counts else 1
    width_of = dict(zip((v.label for v in numbers), widths, strict=True))
    products = {_variables(term)[1] for term in plan.terms}
    repeats = 2 + sum(int(np.prod([width_of[v] for v in sorted(p)])) for p in products)
    if 0 < cells <= _FACTORIAL:
        grid = np.indices(counts).reshape(len(counts), -1) if counts else np.zeros((0, 1), int)
        codes = np.tile(grid, repeats)
    else:
        codes = np.array([rng.integers(0, c, 20 * len(plan.names)) for c in counts])
    n = int(codes.shape[1])
    values: dict[str, Value] = {}
    for variable, own in zip(factors, codes, strict=True):
        assert variable.levels is not None
        values[variable.label] = Categorical(own.astype(np.int32), variable.levels)
    for variable, width in zip(numbers, widths, strict=True):
        drawn = rng.normal(size=(n, width))
        matrix = bool(variable.suffixes)
        values[variable.label] = Numeric(drawn if matrix else drawn[:, 0], variable.suffixes)
    return values, n
