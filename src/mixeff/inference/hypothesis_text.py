"""Linear hypotheses written as text: ``"IQ = 0"``, ``"(N0.2cwt + N0.4cwt) / 2 - N0.6cwt = 1"``.

Sums, differences, multiples and quotients of coefficient names and numbers, nothing else: a small
grammar of its own, since names such as ``(Intercept)``, ``IQ:COMB1`` or ``poly(Days, 2)1`` are
no expressions of any language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.model.options import closest

Floats = NDArray[np.float64]

_NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?(?![\w.])")
_WORD = re.compile(r"[\w.:(][\w.:]*")


@dataclass(frozen=True, slots=True)
class Affine:
    """``row @ beta + constant``."""

    row: Floats
    constant: float

    @property
    def is_constant(self) -> bool:
        """No coefficient takes part."""
        return not self.row.any()

    def plus(self, other: Affine, sign: float) -> Affine:
        """self + sign * other."""
        return Affine(self.row + sign * other.row, self.constant + sign * other.constant)

    def times(self, factor: float) -> Affine:
        """factor * self."""
        return Affine(factor * self.row, factor * self.constant)


def parse_hypothesis(
    text: str, names: Sequence[str], dropped: Sequence[str] = ()
) -> tuple[Floats, float, bool]:
    """A row of L, its hypothetical value, and whether the text gives one (an equals sign).

    Parameters
    ----------
    text : str
    names : sequence of p str, the coefficients
    dropped : sequence of str, columns of the model matrix that have none

    Raises
    ------
    OptionError
        A name the model does not have, a product of coefficients, anything that is not linear.

    Examples
    --------
    >>> parse_hypothesis("2 * b - a = 0.5", ("a", "b"))
    (array([-1.,  2.]), 0.5, True)
    """
    sides = text.replace("==", "=").split("=")
    if len(sides) > 2:
        raise OptionError(f'contrast: "{text}" has more than one "=": write one equation a text.')
    left, *right = (_Reader(side, text, names, dropped).whole() for side in sides)
    difference = left.plus(right[0], -1.0) if right else left
    if not right and difference.constant:
        raise OptionError(
            f'contrast: "{text}" adds the number {difference.constant:g} to the coefficients; '
            'write the hypothetical value after "=".'
        )
    return difference.row, 0.0 - difference.constant, bool(right)


class _Reader:
    """Recursive descent over one side of the equation."""

    def __init__(self, side: str, text: str, names: Sequence[str], dropped: Sequence[str]) -> None:
        self.side, self.text, self.names, self.dropped = side, text, names, dropped
        self.longest = sorted([*names, *dropped], key=len, reverse=True)
        self.at = 0

    def whole(self) -> Affine:
        """The side, to its end."""
        found = self.sum()
        if self.next():
            raise self.problem()
        return found

    def next(self) -> str:
        """The next character that is no blank, or nothing."""
        while self.at < len(self.side) and self.side[self.at].isspace():
            self.at += 1
        return self.side[self.at : self.at + 1]

    def taken(self, characters: str) -> str:
        """The next character if it is one of these, passed over."""
        found = self.next()
        if not found or found not in characters:
            return ""
        self.at += 1
        return found

    def sum(self) -> Affine:
        """Products with + and - between them."""
        total = self.product()
        while sign := self.taken("+-"):
            total = total.plus(self.product(), 1.0 if sign == "+" else -1.0)
        return total

    def product(self) -> Affine:
        """Factors with * and / between them, at most one of which names a coefficient."""
        found = self.factor()
        while operator := self.taken("*/"):
            other = self.factor()
            if operator == "*" and found.is_constant:
                found, other = other, found
            if not other.is_constant or (operator == "/" and other.constant == 0.0):
                raise OptionError(
                    f'contrast: "{self.text}" is not linear in the coefficients: only multiples '
                    "and quotients by numbers other than 0 can be tested."
                )
            found = found.times(other.constant if operator == "*" else 1.0 / other.constant)
        return found

    def factor(self) -> Affine:
        """A signed coefficient, number or sum in parentheses."""
        sign = self.taken("+-")
        if sign:
            return self.factor().times(1.0 if sign == "+" else -1.0)
        self.next()
        name = self.name()
        if name is not None:
            row = np.zeros(len(self.names))
            row[self.names.index(name)] = 1.0
            return Affine(row, 0.0)
        number = _NUMBER.match(self.side, self.at)
        if number is not None:
            self.at = number.end()
            return Affine(np.zeros(len(self.names)), float(number.group()))
        if not self.side.startswith("(", self.at):
            raise self.problem()
        self.at += 1
        inner = self.sum()
        if self.taken(")"):
            return inner
        if self.next():
            raise self.problem()
        raise OptionError(f'contrast: a parenthesis in "{self.text}" is not closed.')

    def name(self) -> str | None:
        """The longest coefficient name that stands here (backticks may surround it)."""
        if self.side.startswith("`", self.at):
            end = self.side.find("`", self.at + 1)
            quoted = self.side[self.at + 1 : end] if end > 0 else ""
            if quoted not in self.names:
                raise self.problem()
            self.at = end + 1
            return quoted
        for name in self.longest:
            end = self.at + len(name)
            if self.side.startswith(name, self.at) and not _goes_on(self.side, end):
                if name not in self.names:
                    raise not_a_coefficient(name, self.names, self.dropped, self.text)
                self.at = end
                return name
        return None

    def problem(self) -> OptionError:
        """What stands here is no coefficient of the model."""
        if not self.next():
            return OptionError(f'contrast: "{self.text}" ends where a coefficient is expected.')
        found = _WORD.match(self.side, self.at)
        word = found.group() if found else self.side[self.at]
        return not_a_coefficient(word, self.names, self.dropped, self.text)


def not_a_coefficient(
    name: str, names: Sequence[str], dropped: Sequence[str], text: str = ""
) -> OptionError:
    """The error for a name without a coefficient, and where it stands if in a text."""
    where = f' in "{text}"' if text and text.strip() != name else ""
    if name in dropped:
        return OptionError(
            f'contrast: "{name}"{where} was dropped from the model, since the other columns '
            "determine it: it has no coefficient to test."
        )
    near = closest(name, names)
    hint = f'did you mean "{near}"?' if near else f"they are {', '.join(names)}."
    if not names:
        hint = "it has none."
    return OptionError(f'contrast: "{name}"{where} is not a coefficient of the model; {hint}')


def _goes_on(side: str, end: int) -> bool:
    """Whether a name that ended here would be cut in two."""
    before, after = side[end - 1 : end], side[end : end + 1]
    return after == ":" or bool(after and (after.isalnum() or after in "._") and before != "`")
