import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

def has_pass(family: str, link: str, /) -> bool: ...
def row_pass(
    family: str,
    link: str,
    y: Floats,
    eta: Floats,
    weights: Floats,
    dispersion: float,
    expected: bool,
    top: int,
    level: int,
    out: list[Floats],
    threads: int,
    /,
) -> tuple[float, float, float]: ...
def one_factor(
    family: str,
    link: str,
    y: Floats,
    weights: Floats,
    offset: Floats,
    X: Floats,
    Z: Floats,
    pointer: NDArray[np.int64],
    top: int,
    dispersed: bool,
    expected: bool,
    Lambda: Floats,
    beta: Floats,
    dispersion: float,
    entry_row: NDArray[np.int32],
    entry_column: NDArray[np.int32],
    u: Floats,
    scores: Floats,
    inverse: Floats,
    Xi: Floats,
    gradient: Floats,
    hessian: Floats,
    pK: Floats,
    pX: Floats,
    XX: Floats,
    fisher: bool,
    nodes: Floats,
    log_weights: Floats,
    integral_gradient: Floats,
    threads: int,
    /,
) -> tuple[int, float, float]: ...
