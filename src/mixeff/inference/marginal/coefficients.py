"""The coefficients of contrasts among k estimates, and what the contrasts are called."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.model.options import choose

Floats = NDArray[np.float64]

_ALIASES = {
    "pairs": "pairwise",
    "tukey": "pairwise",
    "treatment": "trt.vs.ctrl",
    "dunnett": "trt.vs.ctrl",
    "trt.vs.ctrl1": "trt.vs.ctrl",
    "trt.vs.ctrlk": "trt.vs.ctrl",
    "consec": "consecutive",
    "sequential": "consecutive",
    "effects": "eff",
    "polynomial": "poly",
}
KINDS = (
    "pairwise", "revpairwise", "trt.vs.ctrl", "consecutive", "mean_chg", "poly", "eff", "del.eff",
    "identity",
)  # fmt: skip
_DEGREES = ("linear", "quadratic", "cubic", "quartic")
_HIGHEST = 6
# Signs that would be read as part of the contrast: such labels get parentheses.
_SIGNS = re.compile(r"[-+/*]")


@dataclass(frozen=True, slots=True)
class Coefficients:
    """c contrasts of k estimates.

    Attributes
    ----------
    kind : str, one of the named ones or ``custom``
    names : tuple of c str
    matrix : (c, k) array
    """

    kind: str
    names: tuple[str, ...]
    matrix: Floats

    @property
    def differences(self) -> bool:
        """Whether every row sums to zero, so that logs of means become logs of ratios."""
        total = np.abs(self.matrix.sum(axis=1))
        return bool(np.all(total <= 1e-10 * np.abs(self.matrix).sum(axis=1)))


def coefficients(
    method: Any,
    labels: Sequence[str],
    *,
    plain: Sequence[str] = (),
    ref: Any = None,
    ratio: bool = False,
) -> Coefficients:
    """Contrasts by name, from a mapping of names to coefficients, or from an array of rows.

    Parameters
    ----------
    method : str, mapping or array-like (c, k)
    labels : k names of the estimates
    plain : k names without the variables' names before numbers, as ``ref`` may have them too
    ref : label or position of the control of ``trt.vs.ctrl`` (the first; the last for
        ``trt.vs.ctrlk``)
    ratio : bool
        Name differences ``a / b``: they will be shown as ratios.

    Raises
    ------
    OptionError
        No such contrast, or coefficients of the wrong number.
    """
    if not isinstance(method, str):
        return _custom(method, labels, plain)
    kind = choose("contrast", "method", _ALIASES.get(method.casefold(), method), KINDS)
    if ref is None and method.casefold() == "trt.vs.ctrlk":
        ref = len(labels) - 1
    if ref is not None and kind != "trt.vs.ctrl":
        raise OptionError(f'contrast: ref is for "trt.vs.ctrl", not for "{method}".')
    if len(labels) < 2 and kind != "identity":
        raise OptionError(
            "contrast: there is one estimate only, nothing to compare it with. Name a variable of "
            "several levels, or give a numeric one several values with at=."
        )
    return _named(kind, labels, _reference(ref, labels, plain), " / " if ratio else " - ")


def _named(kind: str, labels: Sequence[str], ref: int, minus: str) -> Coefficients:
    k = len(labels)
    if kind == "pairwise":
        return _differences(kind, list(combinations(range(k), 2)), labels, minus)
    if kind == "revpairwise":
        pairs = [(j, i) for j in range(k) for i in range(j)]
        return _differences(kind, pairs, labels, minus)
    if kind == "trt.vs.ctrl":
        return _differences(kind, [(j, ref) for j in range(k) if j != ref], labels, minus)
    if kind == "consecutive":
        return _differences(kind, [(j + 1, j) for j in range(k - 1)], labels, minus)
    if kind == "mean_chg":
        return _mean_changes(labels)
    if kind == "poly":
        return _polynomial(k)
    if kind == "identity":
        return Coefficients(kind, tuple(labels), np.eye(k))
    others = np.full((k, k), 1.0 / k) if kind == "eff" else _others(k)
    return Coefficients(kind, tuple(f"{_part(x)} effect" for x in labels), np.eye(k) - others)


def _part(label: str) -> str:
    """A label as part of a contrast's name."""
    return f"({label})" if _SIGNS.search(label) else label


def _others(k: int) -> Floats:
    """Averages of all estimates but one."""
    return np.asarray((1.0 - np.eye(k)) / max(k - 1, 1))


def _differences(
    kind: str, pairs: list[tuple[int, int]], labels: Sequence[str], minus: str
) -> Coefficients:
    matrix = np.zeros((len(pairs), len(labels)))
    for row, (left, right) in enumerate(pairs):
        matrix[row, left], matrix[row, right] = 1.0, -1.0
    names = tuple(f"{_part(labels[left])}{minus}{_part(labels[right])}" for left, right in pairs)
    return Coefficients(kind, names, matrix)


def _mean_changes(labels: Sequence[str]) -> Coefficients:
    """The average of all later estimates minus that of all up to each."""
    k = len(labels)
    rows = [np.repeat([-1.0 / j, 1.0 / (k - j)], [j, k - j]) for j in range(1, k)]
    names = tuple(f"{_part(a)}|{_part(b)}" for a, b in pairwise(labels))
    return Coefficients("mean_chg", names, np.array(rows))


def _reference(ref: Any, labels: Sequence[str], plain: Sequence[str]) -> int:
    if ref is None:
        return 0
    whole = isinstance(ref, int | np.integer) and not isinstance(ref, bool)
    if whole and 0 <= ref < len(labels):
        return int(ref)
    for names in (plain, labels):
        if isinstance(ref, str) and ref in names:
            return list(names).index(ref)
    raise OptionError(
        f"contrast: {ref!r} is none of the estimates; give one of {_shortened(labels)}, or a "
        f"position from 0 to {len(labels) - 1}."
    )


def _polynomial(k: int) -> Coefficients:
    """Orthogonal polynomials over k equally spaced points, in the smallest whole numbers.

    Fisher and Yates (1938), table XXIII; exact, by orthogonalizing powers in fractions.
    """
    points = [Fraction(2 * j - k + 1, 2) for j in range(k)]
    basis: list[list[Fraction]] = [[Fraction(1)] * k]
    for degree in range(1, min(k, _HIGHEST + 1)):
        column = [x**degree for x in points]
        for other in basis:
            along = sum((a * b for a, b in zip(column, other, strict=True)), Fraction(0))
            size = sum((b * b for b in other), Fraction(0))
            column = [a - along / size * b for a, b in zip(column, other, strict=True)]
        basis.append(column)
    rows = [_whole(column) for column in basis[1:]]
    names = [*_DEGREES, *(f"degree {d}" for d in range(5, _HIGHEST + 1))][: len(rows)]
    return Coefficients("poly", tuple(names), np.array(rows).reshape(len(rows), k))


def _whole(column: Sequence[Fraction]) -> list[float]:
    common = math.lcm(*(x.denominator for x in column))
    whole = [int(x * common) for x in column]
    divisor = math.gcd(*whole)
    return [x / divisor for x in whole]


def _custom(given: Any, labels: Sequence[str], plain: Sequence[str]) -> Coefficients:
    """Coefficients the caller gave: rows, one row, or a mapping of names to rows."""
    names: tuple[str, ...] = ()
    if isinstance(given, Mapping) and not all(_is_number(x) for x in given.values()):
        names, rows = tuple(str(name) for name in given), list(given.values())
    elif isinstance(given, Mapping):
        rows = [given] if given else []
    else:
        rows = list(given) if hasattr(given, "__iter__") else [given]
        if rows and all(_is_number(x) for x in rows):
            rows = [rows]
    if not rows:
        raise OptionError(f"contrast: no coefficients; {_HOW}")
    matrix = np.array([_row(row, labels, plain) for row in rows])
    return Coefficients("custom", names or tuple(_spelt(row) for row in matrix), matrix)


def _is_number(x: object) -> bool:
    return isinstance(x, int | float | np.number)


def _row(given: Any, labels: Sequence[str], plain: Sequence[str]) -> Floats:
    """One contrast: a number for each estimate, or numbers by the estimates' names."""
    if isinstance(given, Mapping):
        return _row_by_name(given, labels, plain)
    try:
        row = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        row = np.zeros((0, 0))
    if row.ndim != 1:
        raise OptionError(f"contrast: {given!r} are no coefficients; {_HOW}")
    if row.size != len(labels):
        raise OptionError(
            f"contrast: {_counted(row.size, 'coefficient')} for "
            f"{_counted(len(labels), 'estimate')} ({_shortened(labels)}); give one for each."
        )
    if not np.isfinite(row).all():
        raise OptionError("contrast: coefficients must be finite numbers.")
    return row


def _row_by_name(given: Mapping[Any, Any], labels: Sequence[str], plain: Sequence[str]) -> Floats:
    row = [0.0] * len(labels)
    for name, value in given.items():
        row[_reference(name, labels, plain)] = value
    return _row(row, labels, plain)


_HOW = (
    f"give a named method ({', '.join(KINDS)}), or rows of one number for each estimate, as a list "
    "or as a mapping of names to rows."
)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _shortened(labels: Sequence[str]) -> str:
    return ", ".join(labels[:8]) + (" ..." if len(labels) > 8 else "")


def _spelt(row: Floats) -> str:
    return "c(" + ", ".join(f"{x:.4g}" for x in row) + ")"
