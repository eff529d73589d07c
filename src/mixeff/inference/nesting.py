"""Whether two models are about the same data, and whether one contains the other.

Nested means here:

* fixed effects: every column of the smaller ``X`` (and the difference of the offsets) lies in the
  column space of the larger ``X``;
* random effects: every term of the smaller model lies within ONE term of the larger one. A term
  lies within another if both split the rows into the same groups and its model columns are in the
  column space of the other's (a term has an unstructured covariance, so any linear change of its
  columns keeps the family of covariances); or if its groups are the other's groups crossed with a
  factor whose indicator columns span the other's columns, and it is a random intercept
  (``(1 | Worker:Machine)`` within ``(Machine | Worker)``: a multiple of the identity).

The criterion is sufficient; it is exact for fixed effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import ComparisonError

if TYPE_CHECKING:
    from mixeff.design.design import Design, RandomTerm

Floats = NDArray[np.float64]

# Columns are scaled to length 1 first: what remains of one outside the other model's space is
# rounding (about n eps) or real (the sine of an angle).
_OUTSIDE = 1e-7

_ROUNDING = 1e-13  # of a column about its mean, relative to its largest entry

_CONTINUOUS = ("gaussian", "Gamma", "inverse.gaussian")


def check_same_data(models: Mapping[str, Any]) -> None:
    """Raise ComparisonError unless all models describe the same response on the same rows."""
    (first_name, first), *others = models.items()
    for name, model in others:
        problem = (
            _data_difference(first.design, model.design)
            or _row_difference(first, model)
            or _kind_difference(first, model)
        )
        if problem is not None:
            raise ComparisonError(f"{first_name} and {name} cannot be compared: {problem}")


def _data_difference(a: Design, b: Design) -> str | None:
    if a.n != b.n:
        return (
            f"they are not fitted to the same rows: {a.n} ({a.n_omitted} omitted) and {b.n} "
            f"({b.n_omitted} omitted). Fit all models to the rows that are complete for all."
        )
    if np.array_equal(a.response, b.response):
        return None
    if a.response_name != b.response_name:
        return (
            f"their responses differ, {a.response_name} and {b.response_name}. "
            "Likelihoods of a response and of its transform are not comparable."
        )
    if not np.array_equal(a.rows, b.rows):
        return (
            "they are fitted to as many rows, but not the same ones: missing values lie elsewhere. "
            "Fit all models to the rows that are complete for all."
        )
    return f"the values of {a.response_name} differ. Fit all models to the same data."


def _row_difference(a: Any, b: Any) -> str | None:
    """Equal responses of different rows of one data frame, as happens with zeros and ones."""
    if a.request.data is not b.request.data or np.array_equal(a.design.rows, b.design.rows):
        return None
    return (
        "they use as many rows of the same data, but not the same ones (their responses happen to "
        "be equal): missing values lie elsewhere. Fit all models to the rows that are complete "
        "for all."
    )


def _kind_difference(a: Any, b: Any) -> str | None:
    """Why two models of the same numbers still are about different things."""
    if is_discrete(a) != is_discrete(b):
        return (
            f"the {a.family} model gives probabilities of a response, the {b.family} model "
            "densities or the reverse; such likelihoods are on different scales."
        )
    binomial = a.family == b.family == "binomial"
    if binomial and not _same_weights(a.design, b.design):
        return "their numbers of trials differ. Fit all models to the same data."
    return None


def is_discrete(model: Any) -> bool:
    """Whether the likelihood is made of probabilities rather than densities."""
    return not model.family.startswith(_CONTINUOUS)


def _family_notes(smaller: tuple[str, Any], larger: tuple[str, Any]) -> list[str]:
    """What a change of family, link or approximation does to a comparison."""
    (name0, m0), (name1, m1) = smaller, larger
    notes = []
    nodes = [getattr(m.request, "n_agq", 1) for m in (m0, m1)]
    if nodes[0] != nodes[1]:
        notes.append(
            f"the log-likelihoods of {name0} and {name1} are approximated differently "
            f"(n_agq={nodes[0]} and {nodes[1]}): their difference holds the errors of both. Fit "
            "both with the same n_agq."
        )
    forms = [m.request.control.laplace if m.request.family else None for m in (m0, m1)]
    if forms[0] != forms[1] and None not in forms:
        notes.append(
            f"the log-likelihoods of {name0} and {name1} are approximated differently "
            f'(laplace="{forms[0]}" and "{forms[1]}"): their difference holds the errors of both. '
            "Fit both with the same control."
        )
    links = [getattr(m, "link", "identity") for m in (m0, m1)]
    changed = ""
    if not _family_within(m0.family, m1.family):
        changed = f"families {m0.family} and {m1.family}"
    elif not _shape_within(m0, m1):
        changed = "the shapes of their negative binomials are fixed at different values"
    elif links[0] != links[1]:
        changed = f"links {links[0]} and {links[1]}"
    if changed:
        notes.append(
            f"{name0} is not nested in {name1} ({changed}): the chi-square test does not apply; "
            "compare by AIC or BIC."
        )
    return notes


def _family_within(small: str, large: str) -> bool:
    """The same distribution, or Poisson within a negative binomial (on its boundary)."""
    small, large = (name.partition("(")[0] for name in (small, large))
    return small == large or (small == "poisson" and large in ("Negative Binomial", "nbinom1"))


def _shape_within(small: Any, large: Any) -> bool:
    """A shape the caller fixed must be the same in the larger model, or estimated there."""
    fixed = [getattr(m.request.family, "known", None) for m in (small, large)]
    return fixed[1] is None or fixed[0] == fixed[1]


def dispersion_at_end(small: Any, large: Any) -> bool:
    """A Poisson model within a negative binomial: the variance it adds is zero."""
    return bool(small.family == "poisson" and large.family != "poisson")


def nesting_notes(smaller: tuple[str, Any], larger: tuple[str, Any]) -> list[str]:
    """Why twice the difference of two log-likelihoods is not chi-square; empty if it is."""
    (name0, m0), (name1, m1) = smaller, larger
    notes = []
    if m0.is_reml and not _same_space(m0.design.X, m1.design.X):
        notes.append(
            f"{name0} and {name1} are REML fits with different fixed effects: their criteria are "
            "not comparable. Leave refit=True to compare ML fits."
        )
    elif m0.is_reml and not _same_volume(m0.design.X, m1.design.X):
        notes.append(
            f"{name0} and {name1} are REML fits whose fixed effects are coded differently (other "
            "contrasts or units), on which REML criteria depend. Leave refit=True to compare ML "
            "fits, or code them alike."
        )
    notes += _family_notes(smaller, larger)
    reason = _not_nested(m0.design, m1.design)
    if reason is not None:
        notes.append(
            f"{name0} is not nested in {name1} ({reason}): "
            "the chi-square test does not apply; compare by AIC or BIC."
        )
    return notes


def _not_nested(small: Design, large: Design) -> str | None:
    if not _same_weights(small, large):
        return "their prior weights differ"
    names = [c for c, out in zip(small.names, outside(small.X, large.X), strict=True) if out]
    if names:
        return f"fixed effect {names[0]} is not in the larger model"
    shift = _offset(small) - _offset(large)
    if outside(shift[:, None], large.X)[0]:
        return "their offsets differ"
    for term in small.random:
        if not any(within(term, other) for other in large.random):
            return f"random term {term.label} is not contained in one term of the larger model"
    return None


def _same_weights(a: Design, b: Design) -> bool:
    one = np.ones(1)
    left = one if a.weights is None else a.weights
    right = one if b.weights is None else b.weights
    return bool(np.all(left == right))


def _offset(design: Design) -> Floats:
    return np.zeros(design.n) if design.offset is None else design.offset


def _same_space(a: Floats, b: Floats) -> bool:
    return a.shape == b.shape and not outside(a, b).any()


def _same_volume(a: Floats, b: Floats) -> bool:
    """Whether |X'X| would be the same: b = a T with |det T| = 1."""
    if np.array_equal(a, b) or not a.shape[1]:
        return True
    scale = np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0)
    T = np.linalg.lstsq(a / scale[0], b / scale[1], rcond=None)[0]
    units = float(np.log(scale[1]).sum() - np.log(scale[0]).sum())
    return bool(abs(np.linalg.slogdet(T)[1] + units) < _OUTSIDE)


def outside(columns: Floats, space: Floats) -> NDArray[np.bool_]:
    """For each column, whether a part of it lies outside the column space of ``space``.

    If the constant lies in the space, columns are judged about their means: a year number differs
    from a constant however far its origin is.
    """
    ones = np.ones((space.shape[0], 1))
    if space.shape[1] and not _outside_as_is(ones, space)[0]:
        columns = _about_means(columns)
        space = np.hstack([ones, _about_means(space)])
    return _outside_as_is(columns, space)


def _about_means(columns: Floats) -> Floats:
    """Columns minus their means; what is then rounding error is zero."""
    centred = columns - columns.mean(axis=0)
    noise = _ROUNDING * np.abs(columns).max(axis=0, initial=0.0)
    return np.where(np.abs(centred).max(axis=0, initial=0.0) > noise, centred, 0.0)


def _outside_as_is(columns: Floats, space: Floats) -> NDArray[np.bool_]:
    columns = _unit(columns)
    basis = _basis(space)
    rest = columns - basis @ (basis.T @ columns)
    rest -= basis @ (basis.T @ rest)
    return np.asarray(np.linalg.norm(rest, axis=0) > _OUTSIDE)


def _unit(columns: Floats) -> Floats:
    """Columns scaled to length 1; zero columns stay zero."""
    length = np.linalg.norm(columns, axis=0)
    return columns / np.where(length > 0, length, 1.0)


def _basis(space: Floats) -> Floats:
    """Orthonormal basis of the column space."""
    if space.shape[1] == 0:
        return space
    u, s, _ = np.linalg.svd(_unit(space), full_matrices=False)
    return np.asarray(u[:, s > max(1e-10 * s[0], 1e-300)])


def within(term: RandomTerm, other: RandomTerm) -> bool:
    """Whether every covariance ``term`` can give, ``other`` can give too."""
    if same_groups(term.codes, other.codes):
        return not outside(term.values, other.values).any()
    return split_intercept_within(term, other)


def same_groups(a: NDArray[np.int32], b: NDArray[np.int32]) -> bool:
    """Whether two codings split the rows into the same groups."""
    pairs = len(_distinct(a, b))
    return pairs == len(np.unique(a)) == len(np.unique(b))


def _distinct(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.unique(a.astype(np.int64) * (int(b.max()) + 1) + b)


def split_intercept_within(term: RandomTerm, other: RandomTerm) -> bool:
    """``(1 | g:f)`` within ``(f | g)``: the indicators of f span the other's columns."""
    constant = term.n_columns == 1 and bool(np.all(term.values == term.values[0, 0]))
    if not constant or len(_distinct(term.codes, other.codes)) != len(np.unique(term.codes)):
        return False
    patterns, kind = np.unique(other.values, axis=0, return_inverse=True)
    if patterns.shape[0] != np.linalg.matrix_rank(patterns):
        return False
    return same_groups(term.codes, _crossed(other.codes, kind.reshape(-1)))


def _crossed(a: NDArray[np.int32], b: NDArray[np.intp]) -> NDArray[np.int32]:
    combined = a.astype(np.int64) * (int(b.max()) + 1) + b
    places = np.unique(combined, return_inverse=True)[1]
    return np.asarray(places.reshape(-1), dtype=np.int32)
