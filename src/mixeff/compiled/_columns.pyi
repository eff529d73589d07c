import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]

def column_moments(
    values: Floats, weights: Floats, threads: int, /
) -> tuple[Floats, Floats, Codes, float]: ...
def subtract_fit(
    X: Floats,
    shift: Floats,
    scale: Floats,
    change: Floats,
    left: Floats,
    weights: Floats,
    threads: int,
    /,
) -> tuple[Floats, float]: ...
def used_levels(codes: Codes, n_levels: int, /) -> tuple[NDArray[np.bool_], int, int]: ...
def place_integers(values: Floats, low: float, size: int, /) -> tuple[Codes, Longs] | None: ...
def index_numbers(values: Floats, /) -> tuple[Codes, Floats]: ...
def combine_codes(
    left: Codes, n_left: int, right: Codes, n_right: int, /
) -> tuple[Codes, Longs]: ...
