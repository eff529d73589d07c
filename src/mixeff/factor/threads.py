"""BLAS on one thread while the kernels share out tiles of the dense tail.

Two threads on small blocks spin on a busy core and make the same code 20 to 300 times slower
(ENGINE section 8), and the sums of a threaded BLAS depend on the number of threads. NumPy
and SciPy each carry an OpenBLAS of their own: both are held.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import scipy

_SYMBOLS = (
    "scipy_openblas_{}_num_threads",
    "scipy_openblas_{}_num_threads64_",
    "openblas_{}_num_threads",
    "openblas_{}_num_threads64_",
)


Handle = tuple[Callable[[], int], Callable[[int], None]]


@cache
def _openblas() -> tuple[Handle, ...]:
    """Getter and setter of every OpenBLAS that came with SciPy and NumPy; none for another BLAS."""
    modules = (str(scipy.__file__), str(np.__file__))
    found = (_handle(path) for module in modules for path in _libraries(module))
    return tuple(handle for handle in found if handle is not None)


def _libraries(module: str) -> list[Path]:
    """OpenBLAS files in a wheel, beside the package or within it."""
    package = Path(module).parent
    folders = (package.parent / f"{package.name}.libs", package / ".dylibs", package / ".libs")
    return [path for folder in folders for path in sorted(folder.glob("*openblas*"))]


def _handle(path: Path) -> Handle | None:
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    for symbol in _SYMBOLS:
        getter = getattr(library, symbol.format("get"), None)
        setter = getattr(library, symbol.format("set"), None)
        if getter is not None and setter is not None:
            getter.restype = ctypes.c_int
            setter.argtypes, setter.restype = [ctypes.c_int], None
            return getter, setter
    return None


class one_blas_thread:  # noqa: N801  (used as a function)
    """The BLAS of SciPy and NumPy on one thread inside the block; restored afterwards.

    A plain class, not a generator: it is entered several times in every evaluation.
    """

    __slots__ = ("before",)

    def __init__(self) -> None:
        self.before: tuple[int, ...] = ()

    def __enter__(self) -> None:
        self.before = tuple(get() for get, _ in _openblas())
        for (_, put), threads in zip(_openblas(), self.before, strict=True):
            if threads != 1:
                put(1)

    def __exit__(self, *problem: object) -> None:
        for (_, put), threads in zip(_openblas(), self.before, strict=True):
            if threads != 1:
                put(threads)
