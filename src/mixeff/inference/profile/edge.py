"""Where a correlation's profile levels off: a model in which it may take any value.

With one of its two standard deviations at zero a correlation does not exist, and zero is the limit
of small standard deviations with any correlation. So at no value of it does the best deviance lie
above that of the model without one of the two: there the curve of its profile ends in a plateau.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixeff.inference.profile.path import Path

FAR = 6.0
"""zeta up to which a plateau is looked for; no curve and no interval goes there."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The best model in which one of a correlation's standard deviations is zero.

    Attributes
    ----------
    name : str, of that standard deviation
    rise : float, of the deviance above the optimum
    parameters : tuple of float, all of them
    place : int, of the correlation among them
    """

    name: str
    rise: float
    parameters: tuple[float, ...]
    place: int

    @classmethod
    def nearest(cls, deviations: Sequence[Path], place: int) -> Edge | None:
        """Of both standard deviations the one that can better be zero; None where none can."""
        found = []
        for path in deviations:
            end = path.reach(-FAR)
            if not end.hit and end.v == path.track.lower:
                parameters = path.parameters(path.at(end.v))
                found.append(cls(path.track.name, end.zeta**2, parameters, place))
        return min(found, key=lambda edge: edge.rise, default=None)

    def with_correlation(self, value: float) -> tuple[float, ...]:
        """All parameters, the correlation at some value."""
        return (*self.parameters[: self.place], value, *self.parameters[self.place + 1 :])
