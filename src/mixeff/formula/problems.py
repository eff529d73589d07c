"""How a formula error is shown: the sentence, the formula's line, a caret under the place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from mixeff.errors import FormulaError

#: Characters of the formula shown around the place of an error.
WINDOW = 70


def formula_error(message: str, text: str, position: int, width: int = 1) -> FormulaError:
    """The error ``message`` with the formula below it and a caret under ``position``.

    Parameters
    ----------
    message : str
        One or two sentences: what is wrong and what to do.
    text : str
        The whole formula; of a long one, about 70 characters around the place are shown.
    position : int
        Index of the offending character.
    width : int, optional
        Number of characters to underline.

    Returns
    -------
    FormulaError
        To be raised by the caller.
    """
    line, column = excerpt(text, position)
    carets = "^" * max(1, min(width, len(line) - column))
    return FormulaError(f"{message}\n  {line}\n  {' ' * column}{carets}")


def excerpt(text: str, position: int, window: int = WINDOW) -> tuple[str, int]:
    """The piece of ``text`` around ``position`` on one line, and the column of it there."""
    position = max(0, min(position, len(text)))
    start = 0
    stop = len(text)
    if stop > window:
        start = max(0, min(position - window // 2, stop - window))
        stop = min(stop, start + window)
    # Unprintable characters would move the caret or hide the place.
    body = "".join(c if c.isprintable() else " " for c in text[start:stop])
    prefix = "..." if start > 0 else ""
    suffix = "..." if stop < len(text) else ""
    return f"{prefix}{body}{suffix}", position - start + len(prefix)


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to ``count`` members of ``known`` spelt most like ``name``, best first."""
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(candidate.lower(), candidate)
    close = difflib.get_close_matches(name.lower(), list(by_folded), n=count, cutoff=0.6)
    return [by_folded[c] for c in close]


def either(names: Iterable[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``: names joined for a sentence, each in backquotes."""
    quoted = [f"`{n}`" for n in names]
    if len(quoted) < 2:
        return "".join(quoted)
    return ", ".join(quoted[:-1]) + " or " + quoted[-1]
