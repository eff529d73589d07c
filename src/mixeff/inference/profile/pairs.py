"""Joint regions of two parameters from their profiles alone (Bates and Watts 1988, section 6.1.3).

Along the profile of one parameter the others move: the two traces of a pair cross a contour of
their joint profile deviance where it has horizontal and vertical tangents. In the units of zeta,
divided by the size c of the contour, a point of it is

    (cos(a + d / 2), cos(a - d / 2)) ,

with a constant phase d for an ellipse; a periodic spline of d in a goes through the four tangents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.profile.curve import Curve
from mixeff.model.options import check_level, whole_number

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.inference.profile.result import Profile

Floats = NDArray[np.float64]

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
_FEWEST = 4  # points a trace is drawn through


def pairs(
    profile: Profile,
    parameters: Sequence[str] | None = None,
    levels: Sequence[float] = LEVELS,
    n: int = 101,
) -> pd.DataFrame:
    """See `Profile.pairs`."""
    import pandas as pd
    from scipy.special import chdtri

    levels = [check_level("pairs", level, "levels") for level in np.atleast_1d(levels).tolist()]
    n = whole_number("pairs", "n", n, 2)
    curves = [profile.curve(name) for name in profile.shown(parameters)]
    rows = []
    for j, y in enumerate(curves):
        for x in curves[:j]:
            forth, back = trace(profile, x, y), trace(profile, y, x)
            rows.append(_part(x, y, "trace", "x", math.nan, *forth))
            rows.append(_part(x, y, "trace", "y", math.nan, *back[::-1]))
            for level in levels:
                size = math.sqrt(float(chdtri(2, 1.0 - level)))
                found = contour(forth, back, size, n)
                if found is not None:
                    rows.append(_part(x, y, "contour", "", level, *found))
    columns = ["x", "y", "kind", "along", "level", "x_value", "y_value", "x_zeta", "y_zeta"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def trace(profile: Profile, x: Curve, y: Curve) -> tuple[Floats, Floats]:
    """zeta of x along its own profile, and that of y where x's profile leads it."""
    own = x.parameters[:, profile.names.index(y.name)]
    other = y.at(own)
    known = np.isfinite(other)
    return x.zeta[known], other[known]


def contour(
    forth: tuple[Floats, Floats], back: tuple[Floats, Floats], size: float, n: int
) -> tuple[Floats, Floats] | None:
    """zeta of x and y on the contour of one size; None where a trace does not reach it."""
    from scipy.interpolate import CubicSpline

    tangents = []
    for along, across, swapped in ((*forth, False), (*back, True)):
        if along.size < _FEWEST or not (along[0] <= -size and along[-1] >= size):
            return None
        if np.any(np.diff(along) <= 0):
            return None
        spline = CubicSpline(along, across)
        for end in (-1.0, 1.0):
            other = float(np.clip(spline(end * size) / size, -1.0, 1.0))
            tangents.append((other, end) if swapped else (end, other))
    angles = np.arccos(np.array(tangents))
    difference = angles[:, 0] - angles[:, 1]
    a = np.where(difference < 0, -1.0, 1.0) * angles.mean(axis=1)
    order = np.argsort(a)
    a, d = a[order], np.abs(difference[order])
    if np.any(np.diff(a) <= 1e-9):
        return None
    phase = CubicSpline(np.append(a, a[0] + 2.0 * math.pi), np.append(d, d[0]), bc_type="periodic")
    at = np.linspace(-math.pi, math.pi, n)
    shift = 0.5 * phase(at)
    return size * np.cos(at + shift), size * np.cos(at - shift)


def _part(
    x: Curve, y: Curve, kind: str, along: str, level: float, x_zeta: Floats, y_zeta: Floats
) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "x": x.name,
            "y": y.name,
            "kind": kind,
            "along": along,
            "level": level,
            "x_value": x.value_at(x_zeta),
            "y_value": y.value_at(y_zeta),
            "x_zeta": x_zeta,
            "y_zeta": y_zeta,
        }
    )
