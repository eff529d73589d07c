"""Warnings that point at the user's line, not at ours."""

from __future__ import annotations

import sys
import warnings

from mixeff.errors import MixeffWarning


def notify(message: str, category: type[MixeffWarning]) -> None:
    """Warn with the first caller outside this package as the place of the warning."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and _ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def _ours(module: str) -> bool:
    return module == "mixeff" or module.startswith("mixeff.")
