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
