"""The caller's own name for an object: what R gets from ``substitute``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
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
    """The variable of ``frame`` bound to this very object: locals first, then globals."""
    if frame is None:
        return None
    return _bound(value, frame.f_locals) or _bound(value, frame.f_globals)


def _bound(value: object, names: Mapping[str, Any]) -> str | None:
    # Underscored names are interactive shells' memories (`_`, `_12`), not what the user wrote.
    # A list first: another thread may bind a name while we look.
    for name, bound in list(names.items()):
        # Names that are no identifiers are a tool's own (pytest's `@py_assert1`).
        if bound is value and name.isidentifier() and not name.startswith("_"):
            return name
    return None


def data_name(data: object, frame: FrameType | None) -> str:
    """What to print after ``Data:``: the caller's variable, else the name the data carries."""
    found = variable_name(data, frame)
    if found is not None:
        return found
    attributes = getattr(data, "attrs", None)
    carried = attributes.get("mixeff_name") if isinstance(attributes, dict) else None
    return carried if isinstance(carried, str) else UNNAMED_DATA
