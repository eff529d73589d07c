"""Peak memory of this process, counted from a moment of one's choice (Linux; elsewhere None)."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def kilobytes(field: str) -> int | None:
    """A field of /proc/self/status: VmRSS (now) or VmHWM (the most so far)."""
    if not _STATUS.exists():
        return None
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return None


def reset_peak() -> int | None:
    """Forget the peak so far; resident kilobytes now.

    The free heap that a warm-up left goes back to the system first: what a fit puts there counts.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
    if _RESET.exists():
        _RESET.write_text("5")
    return kilobytes("VmRSS")


def peak_above(before: int | None) -> float | None:
    """Megabytes the peak since ``reset_peak`` lies above what it returned."""
    peak = kilobytes("VmHWM")
    return None if peak is None or before is None else max(0, peak - before) / 1024
