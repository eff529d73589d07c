"""The cubic through values and slopes of two points that does not turn back between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def slopes(rise: Any, width: Any, first: Any, last: Any) -> tuple[Floats, Floats]:
    """Slopes at both ends times the width, cut so that the cubic is monotone.

    Fritsch and Carlson (1980): none against the rise, none above three times the secant.
    """
    most = 3.0 * rise
    low, high = np.minimum(most, 0.0), np.maximum(most, 0.0)
    return np.clip(width * first, low, high), np.clip(width * last, low, high)


def value(t: Any, rise: Any, m0: Any, m1: Any) -> Any:
    """Rise of the cubic from the first point at the part t of the way."""
    s = 1.0 - t
    return t * t * (3 - 2 * t) * rise + t * s * s * m0 - t * t * s * m1


def derivative(t: Any, rise: Any, m0: Any, m1: Any) -> Any:
    """Derivative of ``value`` in t."""
    s = 1.0 - t
    return 6 * t * s * rise + s * (1 - 3 * t) * m0 + t * (3 * t - 2) * m1


def crossing(part: float, m0: Any, m1: Any) -> float:
    """The t at which the cubic has risen by a part (0 to 1) of its whole rise.

    Parameters
    ----------
    part : float
    m0, m1 : float, slopes at both ends, divided by the rise
    """
    low, high, t = 0.0, 1.0, part
    for _ in range(60):
        over = value(t, 1.0, m0, m1) - part
        low, high = (t, high) if over < 0 else (low, t)
        steep = derivative(t, 1.0, m0, m1)
        new = t - over / steep if steep else 0.5 * (low + high)
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - t) < 1e-14:
            break
        t = new
    return float(min(max(t, 1e-9), 1.0 - 1e-9))
