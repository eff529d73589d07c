"""The verdict in words: what the optimality conditions say, in the caller's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.optimize.solve import Optimum
from mixeff.optimize.verdict import SingularDirection, Verdict

Floats = NDArray[np.float64]

_FLAT = 1e-8  # scaled curvature below this: the criterion does not determine the parameters
_ZERO = 1e-8  # a standard deviation below this part of the term's largest is zero
_COMBINATION = "the combination"


@dataclass(frozen=True, slots=True)
class TermNames:
    """How the caller knows a covariance term; ``basis`` is T in Z_work = Z T."""

    group: str
    columns: tuple[str, ...]
    label: str
    basis: Floats


def verdict(
    optimum: Optimum,
    names: Sequence[TermNames],
    factors: Sequence[Floats],
    slopes: Sequence[Floats],
    gradient: Floats,
    seconds: float,
) -> Verdict:
    """Put the optimum into words.

    Parameters
    ----------
    optimum : Optimum, in working coordinates
    names : per covariance term
    factors, slopes : Lambda and Xi per term, in the caller's units
    gradient : (k,) d criterion / d theta in the caller's units
    seconds : float
    """
    singular = singular_directions(optimum, names, factors, slopes)
    return Verdict(
        ok=optimum.ok,
        sentence=_sentence(optimum, singular),
        gradient=gradient,
        curvature=optimum.curvature,
        predicted_decrease=optimum.predicted_decrease,
        evaluations=optimum.evaluations,
        seconds=seconds,
        optimizer=optimum.optimizer,
        singular=singular,
    )


def singular_directions(
    optimum: Optimum,
    names: Sequence[TermNames],
    factors: Sequence[Floats],
    slopes: Sequence[Floats],
) -> tuple[SingularDirection, ...]:
    """Every null direction in the caller's units: columns without variance first."""
    found: list[SingularDirection] = []
    for term, name in enumerate(names):
        inner = [v.direction for v in optimum.nulls if v.term == term]
        if not inner:
            continue
        # Sigma = T Sigma_work T', so its null vectors are T'^-1 times those of Sigma_work.
        basis: Floats = np.asarray(np.linalg.solve(name.basis.T, np.column_stack(inner)))
        found += [
            SingularDirection(
                term=term,
                group=name.group,
                columns=name.columns,
                direction=v,
                leaving=float(v @ slopes[term] @ v),
                sentence=_describe(v, name, factors[term]),
            )
            for v in _readable(basis, factors[term], name.basis)
        ]
    return tuple(found)


def _readable(basis: Floats, Lambda: Floats, to_working: Floats) -> list[Floats]:
    """Unit vectors spanning the null space: coordinate axes where they lie in it, then the rest."""
    q = Lambda.shape[0]
    size = np.linalg.norm(Lambda, axis=1) / np.linalg.norm(to_working, axis=1)
    axes = [j for j in range(q) if size[j] <= _ZERO * max(1.0, float(size.max()))]
    axes = axes[: basis.shape[1]]
    vectors = [np.eye(q)[j] for j in axes]
    rest = np.array(basis)
    rest[axes] = 0.0
    left, sizes, _ = np.linalg.svd(rest, full_matrices=False)
    order = np.argsort(-sizes, kind="stable")[: basis.shape[1] - len(axes)]
    for i in order:
        v = left[:, i]
        vectors.append(v * (1.0 if v[np.argmax(np.abs(v))] > 0 else -1.0))
    return vectors


def _describe(v: Floats, name: TermNames, Lambda: Floats) -> str:
    """What has no variance, without the verdict on it."""
    used = np.flatnonzero(np.abs(v) > 0)
    columns = name.columns
    if used.size == 1:
        return f"the variance of {columns[used[0]]} in {name.label} is zero"
    sizes = np.linalg.norm(Lambda, axis=1)
    part = np.abs(v) * sizes  # what each column contributes to the combination, in its own SDs
    strong = np.flatnonzero(part > 1e-6 * part.max()) if part.max() > 0 else used
    if strong.size == 2:
        i, j = int(strong[0]), int(strong[1])
        sign = "1" if Lambda[i] @ Lambda[j] > 0 else "-1"
        return f"the correlation of {columns[j]} with {columns[i]} by {name.group} is {sign}"
    terms = " ".join(f"{'-' if v[j] < 0 else '+'} {abs(v[j]):.3g} {columns[j]}" for j in strong)
    return f"{_COMBINATION} {terms.removeprefix('+ ')} in {name.label} has no variance"


def _sentence(optimum: Optimum, singular: Sequence[SingularDirection]) -> str:
    count = f"{optimum.evaluations} evaluation" + ("s" if optimum.evaluations != 1 else "")
    gain = _gain(optimum.predicted_decrease)
    if not optimum.ok:
        return (
            f"Not converged: no point that satisfies the optimality conditions was found ({count}, "
            f"{gain}); simplify the random effects, rescale the predictors, or allow more "
            f"evaluations with Control(max_evaluations=...)." + _history(optimum)
        )
    if singular:
        what = "; ".join(_summary(singular))
        return (
            f"The fit is singular: {what}, and moving away from it would raise the deviance; "
            f"this is the optimum." + _history(optimum)
        )
    if optimum.curvature < _FLAT:
        return (
            f"Converged, but the criterion is flat in some direction: the data do not determine "
            f"all variance components of this model ({count}, {gain})." + _history(optimum)
        )
    return (
        f"Converged: the gradient is zero and the curvature positive ({count}, {gain})."
        + _history(optimum)
    )


def _summary(singular: Sequence[SingularDirection]) -> list[str]:
    """One clause per direction; several combinations within a term in one clause."""
    clauses: list[str] = []
    for term in dict.fromkeys(d.term for d in singular):
        mine = [d for d in singular if d.term == term]
        plain = [d.sentence for d in mine if not d.sentence.startswith(_COMBINATION)]
        if len(mine) - len(plain) < 2:
            clauses += [d.sentence for d in mine]
            continue
        clauses += plain
        q = len(mine[0].columns)
        clauses.append(
            f"the {q} random effects by {mine[0].group} vary in only {q - len(mine)} directions"
        )
    return clauses


def _gain(decrease: float) -> str:
    """The predicted decrease; what is left below 1e-12 is rounding and differs by machine."""
    left = "below 1e-12" if decrease < 1e-12 else f"{decrease:.1g}"
    return f"predicted further decrease {left}"


def _history(optimum: Optimum) -> str:
    """What else happened on the way, if anything did."""
    story = ""
    if optimum.optimizer != "newton":
        story += (
            f" Newton's method stopped short; {optimum.optimizer.upper()} was started by itself "
            "and reached this point."
        )
    first = optimum.local_values[0]
    worse = first - optimum.evaluation.value
    if worse > 1e-6:
        story += (
            f" The default start led to a local optimum {worse:.3g} higher; another start led here."
        )
    return story
