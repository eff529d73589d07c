"""Contrast matrices of factors, with R's column suffixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import DesignError, OptionError
from mixeff.formula.problems import either, nearest

Floats = NDArray[np.float64]
Contrast = tuple[Floats, tuple[str, ...]]

_CANONICAL = {
    "treatment": "treatment", "contr.treatment": "treatment",
    "sas": "SAS", "contr.sas": "SAS",
    "sum": "sum", "contr.sum": "sum", "deviation": "sum", "effects": "sum",
    "helmert": "helmert", "contr.helmert": "helmert",
    "poly": "poly", "polynomial": "poly", "contr.poly": "poly",
    "difference": "difference", "contr.sdif": "difference", "sdif": "difference",
    "dummy": "dummy", "full": "dummy",
}  # fmt: skip


def contrast_matrix(kind: Any, levels: Sequence[str]) -> Contrast:
    """The contrast matrix of a factor and the suffixes of its columns.

    Parameters
    ----------
    kind : str, tuple, matrix, mapping or data frame
        ``"treatment"``, ``"sum"``, ``"helmert"``, ``"poly"``, ``"difference"`` (successive
        differences, ``contr.sdif`` of R's MASS), ``"SAS"``, ``"dummy"``; R's names
        ``"contr.treatment"`` ... mean the same. ``("treatment", level)`` chooses the base level,
        ``("poly", scores)`` the scores. A matrix has one row per level. A mapping gives each
        level its row, or each column name its values (in the order of the levels, or as a mapping
        from levels). A data frame with the levels as index gives its columns their names.
    levels : sequence of str
        The k levels in order.

    Returns
    -------
    matrix : (k, m) float64 array
        The rows of the model matrix for each level.
    suffixes : tuple of str, length m
        What follows the factor's name in the coefficient's name.

    Raises
    ------
    OptionError
        Unknown kind, wrong number of rows, values that are no numbers.
    DesignError
        Fewer than two levels.

    Examples
    --------
    >>> matrix, suffixes = contrast_matrix("sum", ("a", "b", "c"))
    >>> matrix.tolist(), suffixes
    ([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], ('1', '2'))
    """
    levels = tuple(str(level) for level in levels)
    if isinstance(kind, str):
        return _named(kind, levels, None)
    if isinstance(kind, tuple) and len(kind) == 2 and isinstance(kind[0], str):
        return _named(kind[0], levels, kind[1])
    _need_two(levels)
    if isinstance(kind, Mapping):
        return _from_mapping(kind, levels)
    if hasattr(kind, "columns") and hasattr(kind, "to_numpy"):
        return _from_frame(kind, levels)
    return _checked(kind, levels, None)


def full_dummy(levels: Sequence[str]) -> Contrast:
    """One indicator column per level (R's ``contrasts = FALSE``).

    Parameters
    ----------
    levels : sequence of str

    Returns
    -------
    matrix : (k, k) float64 array
    suffixes : tuple of str
        The levels themselves.
    """
    return np.eye(len(levels)), tuple(str(level) for level in levels)


def canonical_kind(kind: str) -> str:
    """The name of a contrast kind without R's prefix; an error for an unknown one."""
    found = _CANONICAL.get(kind.lower())
    if found is None:
        choices = dict.fromkeys(_CANONICAL.values())
        close = nearest(kind, _CANONICAL, 1)
        hint = f" Did you mean `{close[0]}`?" if close else ""
        raise OptionError(f"There are no contrasts `{kind}`.{hint} Known are {either(choices)}.")
    return found


# -- named kinds ---------------------------------------------------------------------------------


def _named(kind: str, levels: tuple[str, ...], option: Any) -> Contrast:
    name = canonical_kind(kind)
    if name == "dummy":
        return full_dummy(levels)
    _need_two(levels)
    if name == "treatment":
        return _treatment(levels, 0 if option is None else _base(option, levels))
    if name == "poly":
        return _polynomial(levels, option)
    if option is not None:
        raise OptionError(f'Contrasts "{kind}" take no option ({option!r} was given).')
    return _PLAIN[name](levels)


def _need_two(levels: tuple[str, ...]) -> None:
    if len(levels) < 2:
        which = f"only the level `{levels[0]}`" if levels else "no level"
        raise DesignError(f"A factor with {which} has no contrasts; leave it out of the formula.")


def _base(option: Any, levels: tuple[str, ...]) -> int:
    """Position of the base level, given by name."""
    if str(option) in levels:
        return levels.index(str(option))
    close = nearest(str(option), levels, 1)
    hint = f" Did you mean `{close[0]}`?" if close else f" Its levels are {either(levels[:20])}."
    raise OptionError(f"The factor has no level `{option}` to be the base of contrasts.{hint}")


def _treatment(levels: tuple[str, ...], base: int) -> Contrast:
    others = [i for i in range(len(levels)) if i != base]
    return np.ascontiguousarray(np.eye(len(levels))[:, others]), tuple(levels[i] for i in others)


def _sas(levels: tuple[str, ...]) -> Contrast:
    return _treatment(levels, len(levels) - 1)


def _sum(levels: tuple[str, ...]) -> Contrast:
    k = len(levels)
    return np.vstack([np.eye(k - 1), -np.ones((1, k - 1))]), _numbers(k - 1)


def _helmert(levels: tuple[str, ...]) -> Contrast:
    k = len(levels)
    matrix = np.zeros((k, k - 1))
    for j in range(k - 1):
        matrix[: j + 1, j] = -1.0
        matrix[j + 1, j] = j + 1.0
    return matrix, _numbers(k - 1)


def _difference(levels: tuple[str, ...]) -> Contrast:
    """Coefficients are differences of neighbouring levels (Venables and Ripley 2002, 6.2)."""
    k = len(levels)
    step = np.arange(1, k) / k
    below = np.arange(k)[:, None] <= np.arange(k - 1)[None, :]
    matrix = np.where(below, step - 1.0, step)
    names = tuple(f"{b}-{a}" for a, b in pairwise(levels))
    return np.ascontiguousarray(matrix), names


_PLAIN: dict[str, Callable[[tuple[str, ...]], Contrast]] = {
    "SAS": _sas,
    "sum": _sum,
    "helmert": _helmert,
    "difference": _difference,
}


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(i + 1) for i in range(count))


def _polynomial(levels: tuple[str, ...], scores: Any) -> Contrast:
    k = len(levels)
    points = np.arange(1.0, k + 1.0) if scores is None else _numeric(scores, "scores")
    if points.shape != (k,) or len(np.unique(points)) < k:
        raise OptionError(f"Polynomial contrasts of {k} levels need {k} different scores.")
    suffixes = [".L", ".Q", ".C"] + [f"^{degree}" for degree in range(4, k)]
    return orthonormal_polynomials(points, k - 1), tuple(suffixes[: k - 1])


def orthonormal_polynomials(points: Floats, degree: int) -> Floats:
    """Values of the orthonormal polynomials of degree 1 to ``degree`` over ``points``.

    The polynomials are orthogonal to each other and to the constant over the points, of length
    one, with a positive leading coefficient. The next one is the last one times the (centred)
    points, made orthogonal to all before it, twice: so it stays orthogonal for any degree, where
    the QR of powers loses its digits (Emerson 1968; Giraud et al. 2005 on the second pass).

    Parameters
    ----------
    points : (k,) array
        Different numbers.
    degree : int
        At most k - 1.

    Returns
    -------
    (k, degree) float64 array
    """
    k = points.shape[0]
    centred = points - points.mean()
    centred = centred / np.abs(centred).max()
    basis = np.empty((k, degree + 1))
    basis[:, 0] = 1.0 / np.sqrt(k)
    for j in range(degree):
        column = centred * basis[:, j]
        for _ in range(2):
            known = basis[:, : j + 1]
            column = column - known @ (known.T @ column)
        basis[:, j + 1] = column / np.linalg.norm(column)
    return np.ascontiguousarray(basis[:, 1:])


# -- given by the caller -------------------------------------------------------------------------


def _from_mapping(given: Mapping[Any, Any], levels: tuple[str, ...]) -> Contrast:
    entries = {str(key): value for key, value in given.items()}
    if set(entries) == set(levels):
        return _checked([np.atleast_1d(entries[level]) for level in levels], levels, None)
    columns = []
    for name, values in entries.items():
        if isinstance(values, Mapping):
            weights = {str(level): value for level, value in values.items()}
            unknown = [level for level in weights if level not in levels]
            if unknown:
                raise OptionError(
                    f"The contrast `{name}` gives a weight to {either(unknown)}, but the levels "
                    f"are {either(levels[:20])}."
                )
            values = [weights.get(level, 0.0) for level in levels]
        columns.append(_numeric(values, f"The contrast `{name}`"))
        if columns[-1].shape != (len(levels),):
            raise OptionError(
                f"The contrast `{name}` has {columns[-1].size} values for {len(levels)} levels "
                f"({either(levels[:20])})."
            )
    if not columns:
        raise OptionError("The mapping of contrasts is empty.")
    return _checked(np.column_stack(columns), levels, tuple(entries))


def _from_frame(frame: Any, levels: tuple[str, ...]) -> Contrast:
    matrix = _numeric(frame.to_numpy(), "The contrast matrix")
    names = tuple(str(name) for name in frame.columns)
    index = [str(label) for label in getattr(frame, "index", ())]
    if len(index) == len(levels) and set(index) == set(levels):
        matrix = matrix[[index.index(level) for level in levels]]
    return _checked(matrix, levels, names)


def _checked(given: Any, levels: tuple[str, ...], names: tuple[str, ...] | None) -> Contrast:
    matrix = _numeric(given, "The contrast matrix")
    k = len(levels)
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or matrix.shape[0] != k or not 1 <= matrix.shape[1] <= k:
        shape = " x ".join(str(n) for n in matrix.shape)
        raise OptionError(
            f"A contrast matrix for the {k} levels {either(levels[:20])} has {k} rows and up to "
            f"{k - 1} columns, not {shape}."
        )
    return matrix, _numbers(matrix.shape[1]) if names is None else names


def _numeric(values: Any, what: str) -> Floats:
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"{what} must consist of numbers only, all rows equally long.") from None
    if not np.all(np.isfinite(array)):
        raise OptionError(f"{what} must not contain missing or infinite numbers.")
    return array
