"""A bar on standard error for work that takes long."""

from __future__ import annotations

import sys
import time

_PATIENCE = 0.5  # seconds of work before a bar is shown


class ProgressBar:
    """One line on standard error, only while a person watches and the work is long.

    Parameters
    ----------
    total : int, pieces of work
    progress : bool or None
        True and False show it always and never; None shows it when a person watches.
    """

    def __init__(self, total: int, progress: bool | None) -> None:
        self._total = total
        self._on = total > 1 and (bool(progress) or (progress is None and _watched()))
        self._began = time.perf_counter()
        self._shown = False

    def __enter__(self) -> ProgressBar:
        return self

    def show(self, done: int) -> None:
        """Say that so many pieces are done."""
        spent = time.perf_counter() - self._began
        if not self._on or (spent < _PATIENCE and not self._shown):
            return
        self._shown = True
        filled = 30 * done // self._total
        left = spent / done * (self._total - done)
        line = f"\r|{'#' * filled}{' ' * (30 - filled)}| {done}/{self._total}, {left:.0f} s left "
        sys.stderr.write(line)
        sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        # Also after Ctrl-C: the prompt starts on a line of its own.
        if self._shown:
            sys.stderr.write("\n")
            sys.stderr.flush()


def _watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
