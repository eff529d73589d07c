"""Joint tests of the terms of a model, from marginal means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.marginal.coefficients import coefficients
from mixeff.inference.marginal.compare import within_names
from mixeff.inference.marginal.estimates import Axis, Estimates, combinations_of
from mixeff.inference.marginal.functions import LinearFunctions, average
from mixeff.inference.marginal.nested import Nests, outer_names
from mixeff.inference.method import FTest, Method, f_tail
from mixeff.inference.table import Column, ResultTable

if TYPE_CHECKING:
    from mixeff.inference.marginal.grid import ReferenceGrid

Floats = NDArray[np.float64]

# A row of L of which less than this part is left beside the others depends on them.
_ZERO = 1e-9


def table_tests(estimates: Estimates, by: Any) -> ResultTable:
    """Tests of all variables of a table and their interactions."""
    arranged = estimates.arranged(within_names(estimates, by))
    names = [a.name for a in arranged.primary]
    subsets = [c for k in range(1, len(names) + 1) for c in combinations(names, k)]
    subsets = [c for c in subsets if _whole(c, names, arranged.nests)]
    return joint_table(
        f"joint tests of {arranged.subject}",
        [(subset, averaged(arranged, subset)) for subset in subsets],
    )


def averaged(estimates: Estimates, names: Sequence[str]) -> Estimates:
    """Equally weighted averages over the compared variables that are not named."""
    axes = tuple(a for a in estimates.axes if a.name in names or a.name in estimates.within)
    places = dict(
        zip([a.name for a in estimates.axes], combinations_of(estimates.axes), strict=True)
    )
    group = np.zeros(len(estimates.functions), dtype=np.intp)
    for axis in reversed(axes):
        group = group * len(axis) + places[axis.name]
    functions = average(estimates.functions, group, np.ones(group.size))
    return replace(estimates, functions=functions, axes=axes)


def model_subsets(
    grid: ReferenceGrid, terms: Iterable[frozenset[str]], within: Sequence[str]
) -> list[tuple[str, ...]]:
    """Sets of variables that stand together in a term, by size and then by their order."""
    names = [p.name for p in grid.predictors if p.in_model and p.name not in within]
    # What a factor is nested in belongs to its effect, also where no term has both.
    sets = [term | outer_names(grid.nests, tuple(term)) for term in terms]
    found = {
        subset
        for term in sets
        for k in range(1, len(term) + 1)
        for subset in combinations([n for n in names if n in term], k)
        if _whole(subset, names, grid.nests)
    }
    return sorted(found, key=lambda subset: (len(subset), [names.index(n) for n in subset]))


def _whole(subset: Sequence[str], names: Sequence[str], nests: Nests) -> bool:
    """Whether a set has, with a nested variable, all that it is nested in (of those compared)."""
    return not (outer_names(nests, subset) & set(names)).difference(subset)


def joint_table(
    title: str, tests: Sequence[tuple[tuple[str, ...], Estimates]], notes: Sequence[str] = ()
) -> ResultTable:
    """One row per set of variables and combination of the separating ones."""
    terms: list[str] = []
    results: list[FTest] = []
    labels: list[tuple[str, ...]] = []
    reduced: list[str] = []
    lost: list[str] = []
    inner: tuple[Axis, ...] = ()
    for names, estimates in tests:
        inner = estimates.inner
        where = combinations_of(inner) if inner else ()
        for place, (test, complete) in enumerate(_tests(estimates)):
            if not complete and test.num_df == 0:
                lost.append(":".join(names))
            if test.num_df == 0:
                continue
            terms.append(":".join(names))
            results.append(test)
            labels.append(tuple(a.labels[at[place]] for a, at in zip(inner, where, strict=True)))
            if not complete and terms[-1] not in reduced:
                reduced.append(terms[-1])
    columns: dict[str, Column] = {"term": tuple(terms)}
    for j, axis in enumerate(inner):
        columns[axis.name] = tuple(label[j] for label in labels)
    for name in ("num_df", "den_df", "f_value", "p_value"):
        columns[name] = np.array([getattr(r, name) for r in results], dtype=np.float64)
    method = tests[0][1].method.sentence if tests else ""
    return ResultTable(
        title=title[0].upper() + title[1:],
        index=("",) * len(results),
        columns=columns,
        notes=(*notes, *_reduced_note(reduced, lost), *([method] if method else []), _RULE),
    )


_RULE = (
    "F is the Wald statistic over its df; den_df is the smallest of orthogonal directions of the "
    "hypothesis (for scaled or averaged df see anova)."
)


def _reduced_note(reduced: Sequence[str], lost: Sequence[str]) -> list[str]:
    notes = []
    if reduced:
        notes.append(f"Only the part of {', '.join(reduced)} that the data can estimate is tested.")
    gone = [name for name in dict.fromkeys(lost) if name not in reduced]
    if gone:
        notes.append(f"The data can estimate nothing of {', '.join(gone)} averaged over the rest.")
    return notes


def _tests(estimates: Estimates) -> list[tuple[FTest, bool]]:
    """Each family's test that all interaction contrasts vanish; whether all were estimable.

    A nested variable is contrasted within each level of what it is nested in.
    """
    axes = estimates.primary
    outer = outer_names(estimates.nests, [a.name for a in axes])
    C: Floats = np.ones((1, 1))
    for axis in axes:
        separate = axis.name in outer
        own = np.eye(len(axis)) if separate else coefficients("consecutive", axis.labels).matrix
        C = np.asarray(np.kron(own, C))
    k = C.shape[1]
    out = []
    for start in range(0, len(estimates.functions), k):
        rows = np.arange(start, start + k)
        hypothesis = estimates.functions.take(rows).combine(C)
        part = _estimable_part(hypothesis)
        complete = bool((hypothesis.estimable | hypothesis.absent).all())
        out.append((f_test(part, estimates.beta, estimates.method), complete))
    return out


def _estimable_part(functions: LinearFunctions) -> LinearFunctions:
    """All combinations of the functions that the data can estimate."""
    if functions.estimable.all():
        return functions
    finite = np.isfinite(functions.L).all(axis=1)
    functions = functions.take(np.flatnonzero(finite))
    if not len(functions):
        return functions
    largest = functions.size.max(axis=0)
    scale = np.where(largest > 0, largest, 1.0)
    u, s, _ = np.linalg.svd(functions.outside / scale, full_matrices=True)
    rank = int((s > 1e-8).sum())
    C = u[:, rank:].T
    # What is left outside is rounding.
    part = functions.combine(C)
    return replace(part, outside=np.zeros_like(part.outside), absent=np.zeros(len(part), bool))


def f_test(functions: LinearFunctions, beta: Floats, method: Method) -> FTest:
    """Wald F of all functions being zero, df the smallest over orthogonal directions."""
    directions: list[Floats] = []
    values: list[float] = []
    for row, offset in zip(functions.L, functions.offset, strict=True):
        rest, value = row.copy(), float(row @ beta + offset)
        tolerance = _ZERO * float(np.linalg.norm(row))
        for _ in range(2):  # twice: orthogonal to rounding
            for d, v in zip(directions, values, strict=True):
                along = float(rest @ d)
                rest, value = rest - along * d, value - along * v
        length = float(np.linalg.norm(rest))
        if length > tolerance:
            directions.append(rest / length)
            values.append(value / length)
    if not directions:
        return FTest(np.nan, 0, np.nan, np.nan)
    L, difference = np.array(directions), np.array(values)
    f = float(difference @ np.linalg.solve(L @ method.covariance @ L.T, difference) / len(L))
    den_df = float(method.df(L).min())
    return FTest(f, len(L), den_df, f_tail(f, len(L), den_df))
