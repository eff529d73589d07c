import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]

def column_moments(
    values: Floats, weights: Floats, threads: int, /
) -> tuple[Floats, Floats, Codes, float]: ...
def regress(
    X: Floats,
    shift: Floats,
    scale: Floats,
    mean: Floats,
    centred: Floats,
    total: float,
    response: Floats,
    weights: Floats,
    centre: bool,
    threads: int,
    /,
) -> tuple[float, Floats, float, Floats, float, float]: ...
def plainly_full_rank(
    mean: Floats, centred: Floats, first: int, n: int, clear: float, /
) -> bool: ...
def standard_basis(
    mean: Floats,
    centred: Floats,
    total: float,
    n: int,
    constant: Floats,
    collinear: float,
    /,
) -> tuple[Floats, Floats, Floats, bool]: ...
def used_levels(codes: Codes, n_levels: int, /) -> tuple[NDArray[np.bool_], int, int]: ...
def place_integers(values: Floats, low: float, size: int, /) -> tuple[Codes, Longs] | None: ...
def index_numbers(values: Floats, /) -> tuple[Codes, Floats]: ...
def combine_codes(
    left: Codes, n_left: int, right: Codes, n_right: int, /
) -> tuple[Codes, Longs]: ...
