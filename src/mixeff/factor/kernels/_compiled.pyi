"""Signatures of the compiled kernels; what each computes stands at its twin in twins.py."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]

def level_order(
    codes: Codes,
    n_levels: int,
    within: Longs | None,
    /,
) -> tuple[Longs, Longs]: ...
def level_gram(
    codes: Codes,
    pointer: Longs,
    order: Longs,
    values: Floats,
    shift: Floats,
    scale: Floats,
    X: Floats,
    X_shift: Floats,
    X_scale: Floats,
    y: Floats,
    y_shift: Floats,
    y_scale: Floats,
    root: Floats,
    threads: int,
    /,
) -> tuple[Floats, Floats]: ...
def pair_gram(
    pointer: Longs,
    order: Longs,
    codes: Codes,
    values: Floats,
    shift: Floats,
    scale: Floats,
    other: Floats,
    other_shift: Floats,
    other_scale: Floats,
    root: Floats,
    threads: int,
    /,
) -> tuple[Longs, Codes, Floats]: ...
def fixed_gram(
    X: Floats,
    X_shift: Floats,
    X_scale: Floats,
    y: Floats,
    y_shift: Floats,
    y_scale: Floats,
    root: Floats,
    threads: int,
    /,
) -> Floats: ...
def eliminate(
    G: Floats,
    pointer: Longs,
    B: Floats,
    Lambda: Floats,
    T: Floats,
    R: Floats,
    C: Floats,
    /,
) -> float: ...
def index_columns(
    pointer: Longs,
    skip: int,
    columns: Codes,
    tail: int,
    width: int,
    q: int,
    room: int,
    /,
) -> tuple[Longs, Codes, Codes]: ...
def scatter_tail(
    pointer: Longs,
    skip: int,
    columns: Codes,
    tail: int,
    C: Floats,
    S: Floats,
    panel: Floats,
    meets: Longs,
    meets_row: Codes,
    meets_level: Codes,
    threads: int,
    /,
) -> None: ...
def scatter_stage(
    pointer: Longs,
    offset: int,
    ancestor: Codes,
    place: Codes,
    C: Floats,
    G: Floats,
    B: Floats,
    /,
) -> None: ...
def place_pairs(
    indptr: Longs,
    indices: Codes,
    values: Floats,
    row: int,
    column: int,
    S: Floats,
    /,
) -> None: ...
def factor_tail(
    S: Floats,
    L: Floats,
    starts: Longs,
    Lambdas: tuple[Floats, ...],
    out: Floats,
    threads: int,
    /,
) -> int: ...
def solve_tail(
    L: Floats,
    right: Floats,
    transpose: bool,
    /,
) -> None: ...
def invert_tail(
    L: Floats,
    size: int,
    Q: Floats,
    threads: int,
    /,
) -> None: ...
def tail_traces(
    S: Floats,
    Q: Floats,
    size: int,
    starts: Longs,
    Lambdas: tuple[Floats, ...],
    panel: Floats,
    /,
) -> list[Floats]: ...
def scale_inverse(
    Q: Floats,
    size: int,
    starts: Longs,
    Lambdas: tuple[Floats, ...],
    /,
) -> None: ...

Panels = tuple[Longs, Longs, Codes, Longs, Longs, Longs, Longs, Longs, Codes, Codes]

def sparse_order(
    pointer: Longs,
    nodes: Codes,
    weights: Codes,
    border: int,
    limit: float,
    /,
) -> tuple[Codes, float, float]: ...
def sparse_pattern(
    pointer: Longs,
    nodes: Codes,
    order: Codes,
    weights: Codes,
    factors: Codes,
    border: int,
    /,
) -> tuple[Codes, Longs, Longs, Codes, Longs, Longs, Longs, Longs, Longs, Codes, Codes]: ...

# The pattern comes first, array by array; see sparse.hpp.
def sparse_places(*arguments: Longs | Codes) -> Longs: ...
def sparse_scatter(*arguments: Longs | Codes | Floats | int) -> None: ...
def sparse_factor(
    *arguments: Longs | Codes | Floats | tuple[Floats, ...],
) -> int: ...
def sparse_solve(*arguments: Longs | Codes | Floats | bool) -> None: ...
def sparse_multiply(*arguments: Longs | Codes | Floats) -> None: ...
def sparse_invert(*arguments: Longs | Codes | Floats | int) -> None: ...
def sparse_moved(*arguments: Longs | Codes | Floats | tuple[Floats, ...]) -> None: ...
def sparse_scale(*arguments: Longs | Codes | Floats | tuple[Floats, ...]) -> None: ...
def sparse_traces(
    *arguments: Longs | Codes | Floats | tuple[Floats, ...] | int,
) -> list[Floats]: ...
def sparse_trace_directly(
    *arguments: Longs | Codes | Floats | tuple[Floats, ...] | int,
) -> Floats: ...
def sparse_rows(*arguments: Longs | Codes | Floats | int) -> None: ...
def inverse_tail(
    pointer: Longs,
    skip: int,
    drop: int,
    columns: Codes,
    tail: int,
    B: Floats,
    Q: Floats,
    QB: Floats,
    panel: Floats,
    meets: Longs,
    meets_row: Codes,
    meets_level: Codes,
    half: bool,
    threads: int,
    /,
) -> None: ...
def inverse_stage(
    pointer: Longs,
    offset: int,
    drop: int,
    ancestor: Codes,
    place: Codes,
    B: Floats,
    diagonal: Floats,
    off: Floats,
    QB: Floats,
    /,
) -> None: ...
def level_quadratic(
    pointer: Longs,
    B: Floats,
    QB: Floats,
    K: Floats,
    /,
) -> None: ...
def stage_traces(
    G: Floats,
    Lambda: Floats,
    T: Floats,
    R: Floats,
    K: Floats,
    divide: bool,
    /,
) -> Floats: ...
def stage_inverse(
    R: Floats,
    K: Floats,
    diagonal: Floats,
    /,
) -> None: ...
def stage_off_inverse(
    pointer: Longs,
    R: Floats,
    QB: Floats,
    /,
) -> None: ...
def forward(
    T: Floats,
    R: Floats,
    Lambda: Floats,
    pointer: Longs,
    columns: Codes,
    B: Floats,
    start: int,
    t: Floats,
    gathered: Floats,
    /,
) -> None: ...
def backward(
    T: Floats,
    R: Floats,
    Lambda: Floats,
    pointer: Longs,
    columns: Codes,
    B: Floats,
    start: int,
    t: Floats,
    b: Floats,
    /,
) -> None: ...
def stage_information(
    G: Floats,
    Lambda: Floats,
    T: Floats,
    R: Floats,
    divide: bool,
    pointer: Longs,
    columns: Codes,
    B: Floats,
    start: int,
    z: Floats,
    slopes: Floats,
    earlier: int,
    origin: int,
    sums: Floats,
    information: Floats,
    /,
) -> None: ...
def symmetric_times(
    S: Floats,
    first: int,
    last: int,
    c: Floats,
    at: int,
    out: Floats,
    /,
) -> None: ...
def residual_scores(
    G: Floats,
    pointer: Longs,
    columns: Codes,
    B: Floats,
    start: int,
    b: Floats,
    z: Floats,
    /,
) -> None: ...
def small_fit(
    G: Floats,
    pointer: Longs,
    columns: Codes,
    B: Floats,
    A: Floats,
    blocks: Longs,
    terms: Longs,
    n: int,
    reml: bool,
    start: Floats,
    extra: Floats,
    tolerance: float,
    max_evaluations: int,
    /,
) -> tuple[
    int,
    Floats,
    float,
    Floats,
    Floats,
    Floats,
    float,
    float,
    int,
    int,
    Floats,
    float,
    Floats,
    Floats,
    Floats,
    Floats,
]: ...
def small_fits(
    G: Floats,
    pointer: Longs,
    columns: Codes,
    B: Floats,
    A: Floats,
    blocks: Longs,
    terms: Longs,
    n: int,
    reml: bool,
    By: Floats,
    Ay: Floats,
    start: Floats,
    extra: Floats,
    tolerance: float,
    max_evaluations: int,
    threads: int,
    /,
) -> tuple[Longs, Floats, Floats, Floats, Floats, Longs, Longs]: ...
def small_arrays(
    codes: Codes,
    n_levels: int,
    values: Floats,
    shift: Floats,
    scale: Floats,
    tail_codes: list[Codes],
    tail_levels: list[int],
    tail_values: list[Floats],
    tail_shifts: list[Floats],
    tail_scales: list[Floats],
    X_values: Floats,
    X_shift: Floats,
    X_scale: Floats,
    y: Floats,
    root: Floats,
    /,
) -> tuple[Floats, Longs, Codes, Floats, Floats]: ...
def term_units(
    basis: Floats, theta: Floats, modes: Floats, first: int, scale: float, /
) -> tuple[Floats, Floats, Floats]: ...
def fixed_units(
    basis: Floats,
    projection: Floats,
    scale: float,
    center: float,
    constant: Floats,
    beta: Floats,
    covariance: Floats,
    /,
) -> tuple[Floats, Floats]: ...
def nested_codes(left: Codes, n_left: int, right: Codes, n_right: int, /) -> tuple[bool, bool]: ...
def small_unprofiled(
    G: Floats,
    pointer: Longs,
    columns: Codes,
    B: Floats,
    A: Floats,
    blocks: Longs,
    terms: Longs,
    n: int,
    theta: Floats,
    log_tau: float,
    /,
) -> tuple[bool, float, float, Floats, Floats, Floats, Floats]: ...
def small_point(
    G: Floats,
    pointer: Longs,
    columns: Codes,
    B: Floats,
    A: Floats,
    blocks: Longs,
    terms: Longs,
    n: int,
    reml: bool,
    theta: Floats,
    by_class: bool,
    term: int,
    direction: Floats,
    /,
) -> tuple[
    int,
    float,
    float,
    Floats,
    Floats,
    Floats,
    float,
    Floats,
    Floats,
    Floats,
    Floats,
]: ...
def response_products(
    codes: Codes,
    n_levels: int,
    values: Floats,
    shift: Floats,
    scale: Floats,
    responses: Floats,
    threads: int,
    /,
) -> Floats: ...
def rescale_roots(
    basis: Floats,
    theta: Floats,
    /,
) -> Floats: ...
def subtract_fits(
    values: Floats,
    shift: Floats,
    scale: Floats,
    coefficients: Floats,
    responses: Floats,
    weights: Floats,
    threads: int,
    /,
) -> tuple[Floats, Floats]: ...
def weighted_levels(
    codes: Codes,
    pointer: Longs,
    order: Longs,
    Z: Floats,
    X: Floats,
    w: Floats,
    c: Floats,
    gram: Floats,
    dense: Floats,
    threads: int,
) -> None: ...
def weighted_pairs(
    start: Longs,
    order: Longs,
    Z: Floats,
    other: Floats,
    w: Floats,
    values: Floats,
    threads: int,
) -> None: ...
def weighted_fixed(X: Floats, w: Floats, c: Floats, fixed: Floats, threads: int) -> None: ...
def add_effects(codes: Codes, Z: Floats, effects: Floats, out: Floats, threads: int) -> None: ...
def add_quadratic(codes: Codes, Z: Floats, blocks: Floats, out: Floats, threads: int) -> None: ...
def add_bilinear(
    position: Codes, Z: Floats, other: Floats, blocks: Floats, out: Floats, threads: int
) -> None: ...
def level_products(
    codes: Codes,
    pointer: Longs,
    order: Longs,
    Z: Floats,
    values: Floats,
    out: Floats,
    threads: int,
) -> None: ...
def subtract_outer(
    pointer: Longs,
    columns: Longs,
    a: Floats,
    b: Floats,
    meets: Longs,
    order: Longs,
    level: Codes,
    out: Floats,
    threads: int,
) -> None: ...
