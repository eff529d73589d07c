"""The hot loops under clean names: compiled from the C++ here, NumPy twins in ``twins.py``."""

from __future__ import annotations

try:
    from mixeff.factor.kernels._compiled import (
        backward,
        eliminate,
        factor_tail,
        fixed_gram,
        forward,
        index_columns,
        inverse_stage,
        inverse_tail,
        invert_tail,
        level_gram,
        level_order,
        level_quadratic,
        nested_codes,
        pair_gram,
        rescale_roots,
        residual_scores,
        response_products,
        scale_inverse,
        scatter_stage,
        scatter_tail,
        small_arrays,
        small_fit,
        small_fits,
        solve_tail,
        stage_information,
        stage_inverse,
        stage_off_inverse,
        stage_traces,
        subtract_fits,
        symmetric_times,
        tail_traces,
    )
except ImportError as error:
    raise ImportError(
        "mixeff's compiled kernels are missing or do not load. Install the package with "
        "`pip install .` in the project's folder (a C++17 compiler is needed), or install a wheel. "
        f"The loader said: {error}"
    ) from error

__all__ = [
    "backward",
    "eliminate",
    "factor_tail",
    "fixed_gram",
    "forward",
    "index_columns",
    "inverse_stage",
    "inverse_tail",
    "invert_tail",
    "level_gram",
    "level_order",
    "level_quadratic",
    "nested_codes",
    "pair_gram",
    "rescale_roots",
    "residual_scores",
    "response_products",
    "scale_inverse",
    "scatter_stage",
    "scatter_tail",
    "small_arrays",
    "small_fit",
    "small_fits",
    "solve_tail",
    "stage_information",
    "stage_inverse",
    "stage_off_inverse",
    "stage_traces",
    "subtract_fits",
    "symmetric_times",
    "tail_traces",
]
