"""Where else to start when an optimum on the boundary may only be a local one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition

Floats = NDArray[np.float64]

_SCALES = (0.2, 3.0)


@lru_cache(maxsize=64)
def extra_starts(partition: Partition, count: int) -> tuple[Floats, ...]:
    """``count`` deterministic starts: small and large standard deviations, then random factors.

    Lambda is in working units (a unit diagonal gives every random effect the variance of the
    residual), so the same starts serve every problem; they are remembered and cannot be written to.
    """
    starts = [scale * partition.start() for scale in _SCALES[:count]]
    generator = np.random.default_rng(20150107)  # fixed: a fit must be reproducible
    while len(starts) < count:
        roots = [generator.normal(size=(s.size, s.size)) for s in partition.structures]
        starts.append(partition.from_factors(roots))
    for start in starts:
        start.flags.writeable = False
    return tuple(starts)
