"""Compiled passes over the columns of a data frame; NumPy twins of each in ``twins.py``.

A leaf room: it imports nothing of mixeff, so that frames, design and linear may all use it.
"""

from __future__ import annotations

try:
    from mixeff.compiled._columns import (
        column_moments,
        combine_codes,
        index_numbers,
        place_integers,
        plainly_full_rank,
        regress,
        standard_basis,
        used_levels,
    )
except ImportError as error:
    raise ImportError(
        "mixeff's compiled kernels are missing or do not load. Install the package with "
        "`pip install .` in the project's folder (a C++17 compiler is needed), or install a wheel. "
        f"The loader said: {error}"
    ) from error

__all__ = [
    "column_moments",
    "combine_codes",
    "index_numbers",
    "place_integers",
    "plainly_full_rank",
    "regress",
    "standard_basis",
    "used_levels",
]
