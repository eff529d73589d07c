"""Which contrasts a factor gets, and R's rule for contrasts versus a full set of indicators."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixeff.design.values import Categorical, Value
from mixeff.design.variables import label_of
from mixeff.errors import DesignError
from mixeff.formula.contrasts import contrast_matrix
from mixeff.formula.tree import LinearPart

Floats = NDArray[np.float64]
Kind = Literal["numeric", "contrast", "indicator"]

_FEW = 32  # levels of a factor whose contrasts are remembered


@dataclass(frozen=True, slots=True)
class Contrast:
    """The contrasts of one factor.

    Attributes
    ----------
    kind : str, a name of ``contrast_matrix``, or ``"custom"``
    matrix : (k, m) float64 array, rows in the order of the factor's levels
    suffixes : tuple of str, what the m column names append to the factor's label
    """

    kind: str
    matrix: Floats
    suffixes: tuple[str, ...]


def resolve_contrasts(
    given: Mapping[str, Any] | None, values: Mapping[str, Value], used: Sequence[str]
) -> dict[str, Contrast]:
    """Check the caller's ``contrasts`` and make their matrices.

    Parameters
    ----------
    given : mapping of a factor's name (as in the formula) to a name, a matrix, or a mapping of
        levels to rows; or None
    values : values of all variables by label
    used : labels of the variables in the fixed part

    Raises
    ------
    DesignError
        A key that is no factor of the fixed part; a matrix of the wrong shape; an unknown name.
    """
    out: dict[str, Contrast] = {}
    if given is None:
        return out
    if not isinstance(given, Mapping):
        raise DesignError(
            'contrasts must be a mapping of factors to contrasts, e.g. {"COMB": "sum"}, not '
            f"{type(given).__name__}."
        )
    factors = [label for label in used if isinstance(values[label], Categorical)]
    for key, wanted in given.items():
        label = next((name for name in spellings(key) if name in factors), None)
        if label is None:
            raise DesignError(_no_factor(str(key), factors, used))
        value = values[label]
        assert isinstance(value, Categorical)
        out[label] = _make_contrast(label, wanted, value)
    return out


def spellings(key: Any) -> tuple[str, str, str]:
    """Labels a key of ``contrasts`` may mean.

    R's model frame says factor(k > 3L) where its coefficients say factor(k > 3).
    """
    return str(key), f"`{key}`", re.sub(r"(?<=\d)L\b", "", str(key))


def _no_factor(key: str, factors: Sequence[str], used: Sequence[str]) -> str:
    if key in used:
        return (
            f"contrasts given for {key!r}, which is numeric; write factor({key}) in the formula "
            "if it is meant as a factor."
        )
    near = [name for name in factors if name.lower() == key.lower()]
    near = near or get_close_matches(key, factors, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    listed = f" Its factors: {', '.join(factors)}." if factors else " It has no factors."
    return (
        f"contrasts given for {key!r}, which is no factor in the fixed part of the model"
        f"{hint}{listed}"
    )


def _make_contrast(label: str, wanted: Any, value: Categorical) -> Contrast:
    if isinstance(wanted, str):
        return named_contrast(wanted, tuple(value.levels))
    levels = tuple(value.levels)
    suffixes: tuple[str, ...] | None = None
    if isinstance(wanted, Mapping):
        lacking = [level for level in levels if level not in wanted]
        if lacking:
            raise DesignError(
                f"the contrasts given for {label!r} lack a row for the level {lacking[0]!r}."
            )
        wanted = [wanted[level] for level in levels]
    elif hasattr(wanted, "columns") and hasattr(wanted, "to_numpy"):
        suffixes = tuple(str(name) for name in wanted.columns)
        index = [str(name) for name in getattr(wanted, "index", ())]
        array = np.asarray(wanted.to_numpy(), dtype=np.float64)
        if sorted(index) == sorted(levels):
            array = array[[index.index(level) for level in levels]]
        wanted = array
    matrix = _as_matrix(label, wanted, levels)
    if suffixes is None:
        suffixes = tuple(str(j + 1) for j in range(matrix.shape[1]))
    return Contrast("custom", matrix, suffixes)


def _as_matrix(label: str, wanted: Any, levels: tuple[str, ...]) -> Floats:
    """A caller's matrix, checked against the levels in use."""
    try:
        matrix = np.array(wanted, dtype=np.float64)
    except (TypeError, ValueError):
        raise DesignError(
            f"the contrasts given for {label!r} must be a name or a matrix of numbers with one "
            "row per level."
        ) from None
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    k = len(levels)
    if matrix.ndim != 2 or matrix.shape[0] != k or not 1 <= matrix.shape[1] < k:
        raise DesignError(
            f"the contrasts given for {label!r} have shape {matrix.shape}; {k} levels "
            f"({', '.join(levels)}) need {k} rows and 1 to {k - 1} columns."
        )
    if not np.isfinite(matrix).all():
        raise DesignError(f"the contrasts given for {label!r} hold values that are not finite.")
    return matrix


def named_contrast(kind: str, levels: tuple[str, ...]) -> Contrast:
    """A contrast by name over the levels in use."""
    matrix, suffixes = contrast_matrix(kind, levels)
    return Contrast(kind, np.asarray(matrix, dtype=np.float64), tuple(suffixes))


def default_contrast(label: str, value: Categorical) -> Contrast:
    """R's default: treatment, polynomial for an ordered factor."""
    if len(value.levels) < 2:
        level = value.levels[0] if value.levels else "none"
        raise DesignError(
            f"the factor {label} has only one level ({level}) in the rows used, so it has no "
            "effect to estimate; leave it out of the model."
        )
    kind, levels = "poly" if value.ordered else "treatment", tuple(value.levels)
    return _few(kind, levels) if len(levels) <= _FEW else named_contrast(kind, levels)


@lru_cache(maxsize=256)
def _few(kind: str, levels: tuple[str, ...]) -> Contrast:
    """That of few levels is remembered, and so not to be written to."""
    found = named_contrast(kind, levels)
    found.matrix.flags.writeable = False
    return found


def codings(part: LinearPart, values: Mapping[str, Value]) -> list[tuple[tuple[str, Kind], ...]]:
    """R's coding of every variable in every term.

    A factor in a term is coded by contrasts if what is left of the term without it is contained in
    an earlier term (the empty rest in the intercept), otherwise by an indicator for every level
    (Chambers & Hastie 1992, Statistical Models in S, p. 38). Without an intercept the first factor
    of the first term that has one gets indicators too.

    Returns
    -------
    list of tuples of (label, kind), one tuple per term
    """
    labels = [tuple(label_of(v) for v in term.variables) for term in part.terms]
    sets = [frozenset(names) for names in labels]
    out: list[tuple[tuple[str, Kind], ...]] = []
    first_pending = not part.intercept
    for place, names in enumerate(labels):
        kinds: list[tuple[str, Kind]] = []
        for name in names:
            if not isinstance(values[name], Categorical):
                kinds.append((name, "numeric"))
                continue
            rest = sets[place] - {name}
            contrast = not rest or any(rest <= earlier for earlier in sets[:place])
            if first_pending:
                contrast, first_pending = False, False
            kinds.append((name, "contrast" if contrast else "indicator"))
        out.append(tuple(kinds))
    return out
