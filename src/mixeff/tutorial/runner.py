"""Run a page: Markdown in which Python blocks are executed and their output put below them.

A block opens with one of

- ```` ```python ```` : shown, run, and what it prints shown below it;
- ```` ```python picture=FILE.png alt="..." ```` : the same, and the figure it calls ``picture``;
- ```` ```python hidden ```` : run, not shown: numbers for the prose.

In the prose ``[[name:format]]`` stands for a value of the code above it, formatted as in an
f-string.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mixeff.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FENCE = re.compile(r"^```python(?P<info>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r'(\w+)=("[^"]*"|\S+)')
_VALUE = re.compile(r"\[\[([\w.]+)(?::([^\]]+))?\]\]")


@dataclass(frozen=True, slots=True)
class Prose:
    """Text between blocks, its values filled in."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """A block that is shown, and what it printed."""

    source: str
    output: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture; ``figure`` is None if pictures were not asked for."""

    file: str
    alt: str
    figure: Figure | None = field(repr=False)


Piece = Prose | Code | Picture


def run_page(page: str, *, pictures: bool = True) -> tuple[tuple[Piece, ...], dict[str, Any]]:
    """Execute a page from top to bottom.

    Parameters
    ----------
    page : str
        The page, in the form the module's docstring tells.
    pictures : bool
        Without, the blocks that draw are shown but not run (they need matplotlib).

    Returns
    -------
    pieces : tuple of Prose, Code and Picture, in order
    names : dict
        Every variable of the page at its end.
    """
    names: dict[str, Any] = {"__name__": "__page__"}
    return tuple(_pieces(page, names, pictures)), names


def _pieces(page: str, names: dict[str, Any], pictures: bool) -> Iterator[Piece]:
    end = 0
    for block in _FENCE.finditer(page):
        yield from _prose(page[end : block.start()], names)
        end = block.end()
        info, source = block["info"], block["code"].rstrip("\n")
        options = {key: value.strip('"') for key, value in _OPTION.findall(info)}
        file = options.get("picture")
        output = _run(source, names) if pictures or file is None else ""
        if "hidden" not in info.split():
            yield Code(source, output)
        if file is not None:
            figure = names["picture"] if pictures else None
            yield Picture(file, options.get("alt", ""), figure)
    yield from _prose(page[end:], names)


def _run(source: str, names: dict[str, Any]) -> str:
    """Run one block of the page (the package's own text, nothing of a user's) in ``names``."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "<page>", "exec"), names)
    return printed.getvalue().rstrip("\n")


def _prose(text: str, names: dict[str, Any]) -> Iterator[Prose]:
    if text.strip():
        yield Prose(_VALUE.sub(lambda found: _fill(found, names), text.strip("\n")))


def _fill(found: re.Match[str], names: dict[str, Any]) -> str:
    first, *attributes = found[1].split(".")
    if first not in names:
        raise OptionError(f"The page speaks of [[{found[1]}]], which no block above it defines.")
    value = names[first]
    for attribute in attributes:
        value = getattr(value, attribute)
    return format(value, found[2] or "")
