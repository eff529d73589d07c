"""The tutorial as Markdown, as plain text, and as files with its pictures."""

from __future__ import annotations

import re
import textwrap
from importlib.resources import files
from pathlib import Path

from mixeff.tutorial.runner import Code, Picture, Piece, Prose, run_page

_WIDTH = 80


def run_tutorial(*, pictures: bool = True) -> tuple[Piece, ...]:
    """Run the tutorial's analysis; the pieces of the page in order.

    Without ``pictures`` matplotlib is not needed, and the blocks that draw are shown but not run.
    """
    page = files("mixeff.tutorial").joinpath("page.md").read_text(encoding="utf-8")
    pieces, _ = run_page(page, pictures=pictures)
    return pieces


def as_markdown(pieces: tuple[Piece, ...]) -> str:
    """The page as Markdown."""
    parts = []
    for piece in pieces:
        if isinstance(piece, Prose):
            parts.append(_wrapped(piece.text))
        elif isinstance(piece, Picture):
            parts.append(f"![{piece.alt}]({piece.file})")
        else:
            parts.append(f"```python\n{piece.source}\n```")
            if piece.output:
                parts.append(f"```text\n{_trimmed(piece.output)}\n```")
    return "\n\n".join(parts) + "\n"


def as_text(pieces: tuple[Piece, ...]) -> str:
    """The page for a terminal, 80 columns wide."""
    parts = []
    for piece in pieces:
        if isinstance(piece, Prose):
            parts.append(_plain(piece.text))
        elif isinstance(piece, Picture):
            parts.append(f"[picture {piece.file}: {piece.alt}]")
        else:
            parts.append(_session(piece))
    return "\n\n".join(parts) + "\n"


def write_tutorial(pieces: tuple[Piece, ...], folder: str | Path) -> list[Path]:
    """Write ``tutorial.md``, ``tutorial.txt`` and the pictures.

    Parameters
    ----------
    pieces : what `run_tutorial` gave
    folder : path
        Made if it does not exist.

    Returns
    -------
    list of Path
        The files written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = [target / "tutorial.md", target / "tutorial.txt"]
    for path, text in zip(written, (as_markdown(pieces), as_text(pieces)), strict=True):
        path.write_text(text, encoding="utf-8")
    return written + write_pictures(pieces, target)


def write_pictures(pieces: tuple[Piece, ...], folder: Path) -> list[Path]:
    """Write the pictures that were drawn, as PNG."""
    written = []
    for piece in pieces:
        if isinstance(piece, Picture) and piece.figure is not None:
            path = folder / piece.file
            # No software version in the file: the same picture gives the same bytes.
            piece.figure.savefig(path, metadata={"Software": None})
            written.append(path)
    return written


def _wrapped(text: str) -> str:
    """Paragraphs and list items wrapped anew, since the numbers filled in have changed them."""
    blocks = [_wrap_block(block) for block in re.split(r"\n\s*\n", text)]
    return "\n\n".join(blocks)


def _wrap_block(block: str) -> str:
    if block.startswith("#"):
        return block
    items = re.split(r"\n(?=- )", block)
    wrapped = []
    for item in items:
        hang = "  " if item.startswith("- ") else ""
        wrapped.append(
            textwrap.fill(
                " ".join(item.split()),
                _WIDTH,
                subsequent_indent=hang,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return "\n".join(wrapped)


def _plain(prose: str) -> str:
    """Prose for a terminal: headings underlined, no marks of emphasis or code."""
    unmarked = re.sub(r"\*{1,2}([^*]+)\*{1,2}", r"\1", prose).replace("`", "")
    lines: list[str] = []
    for line in _wrapped(unmarked).split("\n"):
        heading = re.match(r"(#+) (.*)", line)
        if heading:
            title = heading[2]
            lines += [title, "=-~"[min(len(heading[1]), 3) - 1] * len(title)]
        else:
            lines.append(line)
    return "\n".join(lines)


def _session(piece: Code) -> str:
    """Code as typed at Python's prompt, and its output."""
    lines = []
    for line in piece.source.split("\n"):
        prompt = "... " if line.startswith((" ", ")")) else ">>> "
        lines.append((prompt + line).rstrip())
    if piece.output:
        lines.append(_trimmed(piece.output))
    return "\n".join(lines)


def _trimmed(output: str) -> str:
    return "\n".join(line.rstrip() for line in output.split("\n"))
