"""The caller's own name for an object: what R gets from ``substitute``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

UNNAMED_DATA = "data"


def calling_frame(depth: int = 1) -> FrameType | None:
    """The frame that called the function calling this one; ``depth`` counts further ones."""
    # Not every Python has frames; the names are a courtesy, never needed.
    getter = getattr(sys, "_getframe", None)
    if getter is None:
        return None
    try:
        frame: FrameType = getter(depth + 1)
    except ValueError:
        return None
    return frame


def variable_name(value: object, frame: FrameType | None) -> str | None:
    """The variable of ``frame`` bound to this very object: locals first, then globals.

    Of several, the one the running call was given.
    """
    if frame is None:
        return None
    names = _bound(value, frame.f_locals)
    if frame.f_globals is not frame.f_locals:
        names += [name for name in _bound(value, frame.f_globals) if name not in frame.f_locals]
    if len(names) > 1:
        return _loaded_last(names, frame) or names[0]
    return names[0] if names else None


def _bound(value: object, names: Mapping[str, Any]) -> list[str]:
    # Underscored names are interactive shells' memories (`_`, `_12`), not what the user wrote.
    # A list first: another thread may bind a name while we look.
    # Names that are no identifiers are a tool's own (pytest's `@py_assert1`).
    return [
        name
        for name, bound in list(names.items())
        if bound is value and name.isidentifier() and not name.startswith("_")
    ]


def _loaded_last(names: Sequence[str], frame: FrameType) -> str | None:
    """The one of ``names`` the frame's code read last before the instruction that runs now."""
    import dis

    last = None
    for instruction in dis.get_instructions(frame.f_code):
        if instruction.offset >= frame.f_lasti:
            break
        if instruction.opname.startswith("LOAD_"):
            read = instruction.argval
            # Newer Pythons read two locals with one instruction.
            for name in read if isinstance(read, tuple) else (read,):
                last = name if name in names else last
    return last


def data_name(data: object, frame: FrameType | None) -> str:
    """What to print after ``Data:``: the caller's variable, else the name the data carries."""
    found = variable_name(data, frame)
    if found is not None:
        return found
    attributes = getattr(data, "attrs", None)
    carried = attributes.get("mixeff_name") if isinstance(attributes, dict) else None
    return carried if isinstance(carried, str) else UNNAMED_DATA
