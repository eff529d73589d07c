"""Cross-products of arrays that lie in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import GroupBlock
from mixeff.crossproducts.gram import Columns, accumulate
from mixeff.factor.cholesky import BlockedSystem

Floats = NDArray[np.float64]


def build_system(
    response: Floats,
    X: Floats,
    blocks: Sequence[GroupBlock],
    *,
    weights: Floats | None = None,
    response_shift: float = 0.0,
    response_scale: float = 1.0,
    X_shift: Floats | None = None,
    X_scale: Floats | None = None,
    threads: int = 1,
    blas_threads: int | None = None,
) -> BlockedSystem:
    """Pass over the rows once and prepare the penalized system.

    A working column is ``(value - shift) / scale``; it is never stored. Every grouping factor may
    occur in one block only.

    Parameters
    ----------
    response : (n,) array
    X : (n, p) array, p may be 0
    blocks : sequence of GroupBlock, results come back in this order
    weights : (n,) array of prior weights or None; rows are multiplied by their square root
    response_shift, response_scale : float
    X_shift, X_scale : (p,) arrays or None
    threads : int, threads of the pass; results do not depend on it
    blas_threads : int or None
        Threads the dense algebra may use where the dense tail is large; None is ``threads``.

    Returns
    -------
    BlockedSystem
        Satisfies the protocol ``mixeff.factor.system.System``; independent of n.

    Examples
    --------
    >>> import numpy as np
    >>> from mixeff.crossproducts.blocks import GroupBlock
    >>> from mixeff.crossproducts.in_memory import build_system
    >>> codes = np.array([0, 0, 1, 1], dtype=np.int32)
    >>> block = GroupBlock(codes, 2, np.ones((4, 1)))
    >>> system = build_system(np.array([1.0, 2, 4, 5]), np.ones((4, 1)), [block])
    >>> float(round(system.factorize([np.eye(1)]).pwrss, 12))
    4.0
    """
    y = Columns.of(
        np.asarray(response, dtype=np.float64).reshape(-1, 1),
        np.array([response_shift]),
        np.array([response_scale]),
    )
    products = accumulate(
        y, Columns.of(X, X_shift, X_scale), blocks, weights=weights, threads=threads
    )
    return BlockedSystem(products, threads=threads if blas_threads is None else blas_threads)
