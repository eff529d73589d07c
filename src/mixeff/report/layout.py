"""Text columns as R prints them: padding, and wrapping of columns at the width of a line."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

LINE_WIDTH = 80


def display_width(text: str) -> int:
    """Columns a text takes on a screen: wide East Asian characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_character_width(c) for c in text)


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad_left(text: str, width: int) -> str:
    """Blanks before the text up to ``width``."""
    return " " * (width - display_width(text)) + text


def pad_right(text: str, width: int) -> str:
    """Blanks after the text up to ``width``."""
    return text + " " * (width - display_width(text))


def widest(texts: Sequence[str]) -> int:
    """Width of the widest text, 0 for none."""
    return max((display_width(t) for t in texts), default=0)


def text_matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    *,
    right: bool = True,
    width: int = LINE_WIDTH,
) -> list[str]:
    """Lines of a matrix of texts: row labels on the left, columns wrapped in blocks.

    Parameters
    ----------
    rows : sequence of m str, row labels (empty texts take no room)
    columns : sequence of k str, headings
    cells : m sequences of k str
    right : bool
        Align headings and cells on the right, else on the left.
    width : int
        Columns that would pass it start a new block with the row labels repeated.
    """
    pad = pad_left if right else pad_right
    widths = [widest([heading, *(row[j] for row in cells)]) for j, heading in enumerate(columns)]
    stub = widest(rows)
    lines: list[str] = []
    for block in column_blocks(widths, stub, width):
        for label, texts in zip(["", *rows], [columns, *cells], strict=True):
            parts = [pad(texts[j], widths[j]) for j in block]
            lines.append(" ".join([pad_right(label, stub), *parts]))
    return lines


def column_blocks(widths: Sequence[int], stub: int, width: int) -> list[range]:
    """Which columns share a block; each block holds at least one."""
    blocks: list[range] = []
    first, used = 0, stub
    for j, w in enumerate(widths):
        # R leaves the last place of a line empty: 79 of 80 are used.
        if j > first and used + 1 + w >= width:
            blocks.append(range(first, j))
            first, used = j, stub
        used += 1 + w
    blocks.append(range(first, len(widths)))
    return blocks


def named_vector(
    names: Sequence[str], values: Sequence[str], *, gap: int = 1, width: int = LINE_WIDTH
) -> list[str]:
    """Lines of a named vector: names above values, all cells of one width, ``gap`` blanks after."""
    cell = max(widest(names), widest(values))
    per_line = max(1, width // (cell + gap))
    lines: list[str] = []
    for first in range(0, len(names), per_line):
        for texts in (names, values):
            part = texts[first : first + per_line]
            lines.append("".join(pad_left(t, cell) + " " * gap for t in part))
    return lines
