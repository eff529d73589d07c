import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Longs = NDArray[np.int64]

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
def one_factor_fits(
    family: str,
    link: str,
    Y: Floats,
    weights: Floats,
    offset: Floats,
    X: Floats,
    Z: Floats,
    codes: NDArray[np.int32],
    levels: int,
    guess: Floats,
    dispersion: float,
    expected: bool,
    entry_row: NDArray[np.int32],
    entry_column: NDArray[np.int32],
    draws: NDArray[np.int64],
    shift: Floats,
    others: Floats,
    tolerance: float,
    most: int,
    threads: int,
    /,
) -> tuple[
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    NDArray[np.int64],
    Floats,
    Floats,
    NDArray[np.int8],
]: ...

class ModeSearch:
    def __init__(
        self,
        family: str,
        link: str,
        y: Floats,
        weights: Floats,
        offset: Floats,
        X: Floats,
        top: int,
        joint: bool,
        threads: int,
        /,
    ) -> None: ...
    def add_group(
        self,
        codes: Codes,
        pointer: Longs,
        order: Longs,
        Z: Floats,
        gram: Floats,
        dense: Floats,
        position: int,
        /,
    ) -> None: ...
    def add_pair(
        self,
        first: int,
        second: int,
        indptr: Longs,
        indices: Codes,
        start: Longs,
        order: Longs,
        values: Floats,
        /,
    ) -> None: ...
    def add_stage(
        self,
        group: int,
        start: int,
        G: Floats,
        pointer: Longs,
        columns: Codes,
        B: Floats,
        skip: int,
        meets: Longs,
        meets_row: Codes,
        meets_level: Codes,
        dense: Longs,
        rows: Floats,
        /,
    ) -> None: ...
    def add_place(self, stage: int, pair: int, flip: bool, rows: Longs, /) -> None: ...
    def add_link(
        self, stage: int, to: int, offset: int, ancestor: Codes, place: Codes, /
    ) -> None: ...
    def set_tail(
        self, groups: list[int], starts: Longs, column: int, fixed: Floats, room: Floats, /
    ) -> None: ...
    def lay_out(self) -> None: ...
    def set_store(
        self,
        G: list[Floats],
        B: list[Floats],
        T: list[Floats],
        R: list[Floats],
        S: Floats,
        L: Floats,
        scalars: Floats,
        /,
    ) -> None: ...
    def find(
        self,
        Lambda: list[Floats],
        earlier: list[Floats],
        beta: Floats,
        fixed: Floats,
        dispersion: float,
        constant: float,
        start: list[Floats],
        tolerance: float,
        u: list[Floats],
        beta_out: Floats,
        eta: Floats,
        score: Floats,
        weight: Floats,
        /,
    ) -> tuple[bool, float, float, int, bool]: ...
    def factor(self, weight: Floats, Lambda: list[Floats], /) -> tuple[bool, float]: ...
