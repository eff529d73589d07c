"""The forms in which a caller may write L beta = rhs: arrays, texts, names with numbers, frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.inference.hypothesis_text import not_a_coefficient, parse_hypothesis
from mixeff.model.options import shown

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

LABEL = 40
"""Characters of a label that spells its row out."""


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """L beta = rhs.

    Attributes
    ----------
    L : (k, p) array
    rhs : (k,) array
    labels : tuple of k str
    """

    L: Floats
    rhs: Floats
    labels: tuple[str, ...]


def read_hypotheses(fit: MixedModel, L: Any, rhs: Any = 0.0) -> Hypotheses:
    """L and rhs in any of the forms a caller may use."""
    names, dropped = fit.design.names, fit.design.dropped
    rows, values, labels, equations = _rows(L, names, dropped)
    matrix = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    if not len(matrix):
        raise OptionError("contrast: L has no rows: there is nothing to test.")
    if not np.all(np.isfinite(matrix)):
        raise OptionError("contrast: L holds NaN or infinity.")
    for k, (row, label) in enumerate(zip(matrix, labels, strict=True), start=1):
        if not row.any():
            which = f'"{label}"' if label else f"{k} of L"
            raise OptionError(f"contrast: row {which} is zero: it tests nothing.")
    given = _values(rhs, len(matrix))
    if equations and np.any(given):
        raise OptionError(
            "contrast: the hypothetical value stands in the text already; leave rhs out."
        )
    spelled = [_spell(row, names, k) for k, row in enumerate(matrix, start=1)]
    named = tuple(label or text for label, text in zip(labels, spelled, strict=True))
    return Hypotheses(matrix, given + np.array(values), named)


Rows = tuple[list[Floats], list[float], list[str], bool]


def _rows(L: Any, names: Sequence[str], dropped: Sequence[str]) -> Rows:
    """Rows, values from texts, labels ("" where there is none), whether a text gives a value."""
    if isinstance(L, str):
        row, value, equation = parse_hypothesis(L, names, dropped)
        # An equation is rearranged: the row of L is what its label must say.
        return [row], [value], ["" if equation else L.strip()], equation
    if isinstance(L, Mapping):
        return _mapping(L, names, dropped)
    if hasattr(L, "columns") or hasattr(L, "column_names"):
        return _frame(L, names, dropped)
    if _is_named(L):  # a pandas Series such as fixef, in whatever order
        return _mapping(dict(L.items()), names, dropped)
    if isinstance(L, (list, tuple)) and any(_is_part(item) for item in L):
        parts = [_rows(item, names, dropped) for item in L]
        return (
            [row for part in parts for row in part[0]],
            [value for part in parts for value in part[1]],
            [label for part in parts for label in part[2]],
            any(part[3] for part in parts),
        )
    matrix = _matrix(L, names)
    return list(matrix), [0.0] * len(matrix), [""] * len(matrix), False


def _is_part(item: Any) -> bool:
    return isinstance(item, (str, Mapping)) or hasattr(item, "columns") or _is_named(item)


def _is_named(item: Any) -> bool:
    """Numbers with names for their places."""
    if isinstance(item, Mapping) or not (hasattr(item, "index") and hasattr(item, "items")):
        return False
    return all(isinstance(name, str) for name in item.index)


def _mapping(L: Mapping[Any, Any], names: Sequence[str], dropped: Sequence[str]) -> Rows:
    """A row by coefficient name, or rows by label."""
    if any(_is_number(v) for v in L.values()):
        row = np.zeros(len(names))
        for name, value in L.items():
            place = _position(name, names, dropped)
            if not _is_number(value):
                raise OptionError(
                    f'contrast: the multiple of "{name}" must be a number, not {shown(value)}.'
                )
            row[place] = value
        return [row], [0.0], [""], False
    rows, values, labels, equations = [], [], [], False
    for label, part in L.items():
        own = _rows(part, names, dropped)
        several = len(own[0]) > 1
        rows += own[0]
        values += own[1]
        labels += [f"{label} {k}" if several else str(label) for k in range(1, len(own[0]) + 1)]
        equations |= own[3]
    return rows, values, labels, equations


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _frame(L: Any, names: Sequence[str], dropped: Sequence[str]) -> Rows:
    """Coefficient names as columns; the others count as 0."""
    from mixeff.frames import NumericColumn, column_names, read_columns

    columns = read_columns(L, column_names(L))
    positions = {name: _position(name, names, dropped) for name in columns}
    lengths = [c.values.size for c in columns.values() if isinstance(c, NumericColumn)]
    if len(lengths) < len(columns):
        raise OptionError("contrast: the columns of L must hold numbers.")
    matrix = np.zeros((lengths[0] if lengths else 0, len(names)))
    for name, column in columns.items():
        assert isinstance(column, NumericColumn)
        matrix[:, positions[name]] = column.values
    index = getattr(L, "index", None)
    labelled = index is not None and all(isinstance(k, str) for k in index)
    labels = list(index) if labelled and index is not None else [""] * len(matrix)
    return list(matrix), [0.0] * len(matrix), labels, False


def _position(name: Any, names: Sequence[str], dropped: Sequence[str]) -> int:
    """Where a coefficient stands."""
    if name in names:
        return list(names).index(name)
    raise not_a_coefficient(str(name), names, dropped)


def _matrix(L: Any, names: Sequence[str]) -> Floats:
    try:
        matrix = np.asarray(L, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(())
    if matrix.ndim == 1:
        matrix = matrix[None, :]
    if matrix.ndim != 2:
        raise OptionError(
            "contrast: L must be numbers (p,) or (k, p), a text, a dict of coefficients, a data "
            f"frame with coefficient names as columns, or a list of these; not {type(L).__name__}."
        )
    if matrix.shape[1] != len(names):
        raise OptionError(
            f"contrast: L has {matrix.shape[1]} columns but the model has {len(names)} "
            f"coefficients ({', '.join(names)})."
        )
    return matrix


def _values(rhs: Any, k: int) -> Floats:
    try:
        values = np.asarray(rhs, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.full((0,), np.nan)
    if values.shape not in ((), (k,)) or not np.all(np.isfinite(values)):
        raise OptionError(
            f"contrast: rhs must be one finite number or {k}, one per row of L; got {shown(rhs)}."
        )
    return np.array(np.broadcast_to(values, (k,)))


def _spell(row: Floats, names: Sequence[str], k: int) -> str:
    """``IQ - 2 GS``; ``row k`` where that gets long."""
    text = ""
    for name, value in zip(names, row.tolist(), strict=True):
        if value == 0.0:
            continue
        size = "" if abs(value) == 1.0 else f"{abs(value):.4g} "
        sign = "-" if value < 0 else "+"
        text += f" {sign} {size}{name}" if text else f"{'-' if value < 0 else ''}{size}{name}"
        if len(text) > LABEL:
            return f"row {k}"
    return text
