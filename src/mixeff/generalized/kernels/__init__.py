"""Compiled passes over the rows of a generalized model; ``Family.row_terms`` is their twin."""

from __future__ import annotations

try:
    from mixeff.generalized.kernels._rows import (
        ModeSearch,
        has_pass,
        one_factor,
        one_factor_fits,
        row_pass,
    )
except ImportError as error:
    raise ImportError(
        "mixeff's compiled kernels are missing or do not load. Install the package with "
        "`pip install .` in the project's folder (a C++17 compiler is needed), or install a wheel. "
        f"The loader said: {error}"
    ) from error

__all__ = ["ModeSearch", "has_pass", "one_factor", "one_factor_fits", "row_pass"]
