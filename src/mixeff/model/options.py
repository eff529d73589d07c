"""Arguments nobody knows or that are missing: say so, and name the nearest one that exists."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

from mixeff.errors import OptionError


def closest(name: str, known: Sequence[str]) -> str | None:
    """The known name most like ``name``, or None if none is near."""
    folded = {_folded(k): k for k in known}
    found = difflib.get_close_matches(_folded(name), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def _folded(word: str) -> str:
    """Without case and without what separates its parts: R's ``Kenward-Roger`` is ours."""
    return word.casefold().translate(_SEPARATORS)


_SEPARATORS = str.maketrans("", "", "-_. ")


def refuse_unknown(function: str, unknown: Iterable[str], known: Sequence[str]) -> None:
    """Raise OptionError for the first unknown argument, with the nearest known name."""
    for name in unknown:
        near = closest(name, known)
        hint = f'Did you mean "{near}"?' if near else f"It takes {', '.join(known)}."
        raise OptionError(f'{function} has no argument "{name}". {hint}')


def choose(function: str, argument: str, value: object, allowed: Sequence[str]) -> str:
    """The allowed word that the value is, whatever its case and hyphens, else OptionError."""
    if isinstance(value, str):
        for word in allowed:
            if _folded(word) == _folded(value):
                return word
    near = closest(value, allowed) if isinstance(value, str) else None
    hint = f' Did you mean "{near}"?' if near else ""
    words = ", ".join(f'"{a}"' for a in allowed)
    raise OptionError(f"{function}: {argument} must be one of {words}, not {shown(value)}.{hint}")


def check_level(function: str, level: Any, argument: str = "level") -> float:
    """The number between 0 and 1 that ``level`` is, else OptionError."""
    number = isinstance(level, Real) and not isinstance(level, bool)
    if not (number and 0 < level < 1):
        raise OptionError(f"{function}: {argument} must lie between 0 and 1, not {shown(level)}.")
    return float(level)


def whole_number(function: str, argument: str, value: Any, least: int) -> int:
    """The value if it is a whole number, at least ``least``."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least:
        raise OptionError(
            f"{function}: {argument} must be a whole number, at least {least}, not {shown(value)}."
        )
    return int(value)


def check_switch(function: str, argument: str, value: Any) -> None:
    """Raise OptionError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise OptionError(f"{function}: {argument} must be True or False, not {shown(value)}.")


def shown(value: Any) -> str:
    """A value in a message; of what prints long (a model, an array, a frame) its type."""
    small = value is None or isinstance(value, str | Real | list | tuple | dict)
    text = repr(value) if small else ""
    return text if text and len(text) <= 60 else f"a value of type {type(value).__name__}"


MISSING: Any = object()
"""What stands for an argument that was not given."""


def require(function: str, **given: Any) -> None:
    """Raise OptionError for the first argument that is missing."""
    for name, value in given.items():
        if value is MISSING:
            family = ', family="binomial"' if "family" in given else ""
            raise OptionError(
                f"{function}: {name} is missing; for example "
                f'{function}("y ~ x + (1 | g)", data=frame{family}).'
            )
