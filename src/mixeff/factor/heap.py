"""Free heap given back to the system before a large array is made.

What the pass over the rows, the layout and the moments freed stays resident as holes of the heap,
though nothing that follows is small enough to fill them.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

LARGE = 8e6
"""Bytes of an array before which it is worth the millisecond that looking through a heap takes."""


def give_back(needed: float) -> None:
    """Free pages of the heap, if ``needed`` bytes are many (glibc only; elsewhere nothing)."""
    trim = _malloc_trim()
    if needed >= LARGE and trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    found = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if found is None:
        return None
    found.argtypes, found.restype = [ctypes.c_size_t], ctypes.c_int
    return found  # type: ignore[no-any-return]
