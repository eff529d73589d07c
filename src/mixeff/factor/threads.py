"""SciPy's own OpenBLAS on one thread while the kernels share out tiles of the dense tail.

Two threads on small blocks spin on a busy core and make the same code 20 to 300 times slower
(ENGINE section 8), and the sums of a threaded BLAS depend on the number of threads; numpy and scipy
each carry a BLAS of their own, and it is SciPy's that counts.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import scipy

_SYMBOLS = (
    "scipy_openblas_{}_num_threads",
    "scipy_openblas_{}_num_threads64_",
    "openblas_{}_num_threads",
    "openblas_{}_num_threads64_",
)


@cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Getter and setter of the OpenBLAS that came with SciPy; None when SciPy uses another BLAS."""
    package = Path(scipy.__file__).parent
    folders = (package.parent / "scipy.libs", package / ".dylibs", package / ".libs")
    for path in (p for folder in folders for p in sorted(folder.glob("*openblas*"))):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for symbol in _SYMBOLS:
            getter = getattr(library, symbol.format("get"), None)
            setter = getattr(library, symbol.format("set"), None)
            if getter is not None and setter is not None:
                getter.restype = ctypes.c_int
                setter.argtypes, setter.restype = [ctypes.c_int], None
                return getter, setter
    return None


class one_blas_thread:  # noqa: N801  (used as a function)
    """SciPy's BLAS on one thread inside the block; restored afterwards.

    A plain class, not a generator: it is entered several times in every evaluation.
    """

    __slots__ = ("before",)

    def __init__(self) -> None:
        self.before = 1

    def __enter__(self) -> None:
        handle = _openblas()
        if handle is not None:
            self.before = handle[0]()
            if self.before != 1:
                handle[1](1)

    def __exit__(self, *problem: object) -> None:
        handle = _openblas()
        if handle is not None and self.before != 1:
            handle[1](self.before)
