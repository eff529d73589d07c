"""Run the Python blocks of a Markdown page in order and see what each prints.

A block's output is what it prints and, as at a prompt, the value of its last expression. The
``text`` block that follows directly holds that output.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import warnings
from dataclasses import dataclass
from typing import Any

_BLOCK = re.compile(
    r"^```python[^\n]*\n(?P<code>.*?)^```$(?P<shown>\n\n```text\n(?P<text>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was run: its code, the output the page shows (or None), and the real one."""

    code: str
    shown: str | None
    output: str
    span: tuple[int, int]


def run_blocks(page: str, *, quiet: bool = True) -> list[Block]:
    """Run every Python block of the page, top to bottom, in one namespace."""
    names: dict[str, Any] = {"__name__": "__page__"}
    done = []
    with warnings.catch_warnings():
        if quiet:
            warnings.simplefilter("ignore")
        for found in _BLOCK.finditer(page):
            output = run_code(found["code"], names)
            shown = None if found["shown"] is None else found["text"].rstrip("\n")
            span = found.span("text") if found["shown"] is not None else (-1, -1)
            done.append(Block(found["code"], shown, output, span))
    return done


def run_code(source: str, names: dict[str, Any]) -> str:
    """Run one block; its output without trailing blanks."""
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if last is not None:
        tree.body.pop()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<page>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<page>", "eval"), names)
            if value is not None:
                print(repr(value))
    return "\n".join(line.rstrip() for line in printed.getvalue().rstrip("\n").split("\n"))


def refreshed(page: str) -> str:
    """The page with every text block holding the output of today."""
    for block in reversed(run_blocks(page)):
        if block.shown is not None:
            start, end = block.span
            page = page[:start] + block.output + "\n" + page[end:]
    return page


_NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")
# Rounding noise: how often the criterion was evaluated and what a further step would gain.
_NOISE = re.compile(r"\(\d+ evaluations[^)]*\)|0x[0-9a-f]+")


def same_output(one: str, other: str, *, relative: float = 1e-7) -> bool:
    """Equal text, numbers to within ``relative``; evaluation counts and addresses left out."""
    one, other = _NOISE.sub("()", one), _NOISE.sub("()", other)
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(a == b or abs(float(a) - float(b)) <= relative * abs(float(a)) for a, b in pairs)
