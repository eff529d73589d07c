"""A user's own link, from three functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.generalized.families.jets import Jet
from mixeff.generalized.families.links import BaseLink, _inside

Floats = NDArray[np.float64]

# Central differences of twelfth order of a function at -6 .. 6 steps: first, second and third
# derivative. With a step of 1/50 of the scale truncation is below 1e-14 for a function analytic
# within one scale, rounding below 1e-10 in the third derivative.
_STEP = 0.02
_REACH = 6
_PROBES = (-2.0, -1.1, -0.3, 0.2, 0.7, 1.3, 2.5)


@cache
def _stencil() -> NDArray[np.float64]:
    """(13, 3) weights: derivatives at zero of the Lagrange polynomials, in exact arithmetic."""
    points = range(-_REACH, _REACH + 1)
    rows = []
    for j in points:
        polynomial = [Fraction(1)]
        for i in points:
            if i != j:
                raised = [Fraction(0), *polynomial]
                lowered = [*(-i * c for c in polynomial), Fraction(0)]
                polynomial = [(a + b) / (j - i) for a, b in zip(raised, lowered, strict=True)]
        rows.append([float(polynomial[n] * math.factorial(n)) for n in (1, 2, 3)])
    return np.array(rows)


@dataclass(frozen=True)
class UserLink(BaseLink):
    """A link from three vectorized functions.

    Parameters
    ----------
    link : function
        eta of mu, (n,) array to (n,) array.
    inverse : function
        mu of eta.
    derivative : function
        dmu/deta as a function of eta, analytic inside ``domain``; second to fourth derivatives
        are differences of twelfth order of it (relative accuracy about 1e-13, 1e-12, 1e-10).
    name : str
    domain : (float, float)
        Open interval of the valid eta. The step of the differences shrinks towards a finite end,
        where links of the power kind have a singularity.
    mean_range : (float, float)
        Open interval of the means: ``(0, 1)``, ``(0, inf)`` or everything.

    Raises
    ------
    OptionError
        If the functions do not belong together (``link(inverse(eta))`` is not ``eta``, or
        ``derivative`` is not the slope of ``inverse``), or later if one of them returns NaN at a
        valid eta.

    Examples
    --------
    >>> import numpy as np
    >>> from mixeff.generalized.families.user_link import UserLink
    >>> loglog = UserLink(
    ...     lambda mu: -np.log(-np.log(mu)),
    ...     lambda eta: np.exp(-np.exp(-eta)),
    ...     lambda eta: np.exp(-eta - np.exp(-eta)),
    ...     name="loglog",
    ...     mean_range=(0.0, 1.0),
    ... )
    >>> loglog.mu(np.array([0.0])).round(4)
    array([0.3679])
    """

    link: Callable[[Floats], Floats]
    inverse: Callable[[Floats], Floats]
    derivative: Callable[[Floats], Floats]
    name: str = "user"  # type: ignore[misc]
    domain: tuple[float, float] = (-math.inf, math.inf)
    mean_range: tuple[float, float] = (-math.inf, math.inf)  # type: ignore[misc]
    checked: bool = field(default=True, repr=False)

    def __post_init__(self) -> None:
        if self.checked:
            _check_functions(self)

    def eta(self, mu: Floats) -> Floats:
        return self._call("link", self.link, mu)

    def mu(self, eta: Floats) -> Floats:
        return _inside(self._call("inverse", self.inverse, eta), self.mean_range)

    def mean_jet(self, eta: Floats) -> Jet:
        mean = self.mu(eta)
        slope = self._call("derivative", self.derivative, eta)
        step = _STEP * self._scale(eta)
        sums = [np.zeros_like(eta) for _ in range(3)]
        for j, weights in zip(range(-_REACH, _REACH + 1), _stencil(), strict=True):
            near = slope if j == 0 else self._call("derivative", self.derivative, eta + j * step)
            for total, weight in zip(sums, weights, strict=True):
                total += weight * near
        return mean, slope, sums[0] / step, sums[1] / step**2, sums[2] / step**3

    def _scale(self, eta: Floats) -> Floats:
        lower, upper = self.domain
        room = np.minimum(eta - lower, upper - eta)
        return np.where(room > 0.0, np.minimum(0.5 * room, 1.0), 1.0)

    def _call(self, part: str, function: Callable[[Floats], Floats], at: Floats) -> Floats:
        with np.errstate(all="ignore"):
            values = np.asarray(function(at), dtype=np.float64)
        if values.shape != at.shape:
            raise OptionError(
                f"The {part} function of the link {self.name!r} returned an array of shape "
                f"{values.shape} for one of shape {at.shape}; it must work element by element."
            )
        bad = np.isnan(values) & np.isfinite(at)
        if part != "link":
            bad &= (at > self.domain[0]) & (at < self.domain[1])
        if bad.any():
            what = "mu" if part == "link" else "eta"
            raise OptionError(
                f"The {part} function of the link {self.name!r} returned NaN at {what} = "
                f"{at[bad][0]:.6g} ({int(bad.sum())} of {at.size} rows). If not every eta is "
                "valid, say which are: domain=(lower, upper)."
            )
        return values


def _check_functions(link: UserLink) -> None:
    """At a few valid eta: link and inverse undo each other, derivative is the slope."""
    lower, upper = link.domain
    eta = np.array(_PROBES)
    if math.isfinite(lower):
        eta = lower + np.exp(eta)
    elif math.isfinite(upper):
        eta = upper - np.exp(eta)
    eta = eta[(eta > lower) & (eta < upper)]
    mean = link.mu(eta)
    usable = np.isfinite(mean)
    back = link.eta(mean[usable])
    if not np.allclose(back, eta[usable], rtol=1e-6, atol=1e-6):
        raise OptionError(
            f"The functions of the link {link.name!r} do not belong together: "
            f"link(inverse(eta)) is {back.round(4).tolist()} at eta = "
            f"{eta[usable].round(4).tolist()}."
        )
    step = 1e-3 * link._scale(eta)
    # Fourth order, so that an error above 1e-6 is the functions' and not the difference's.
    two, one = (link.inverse(eta + s * step) - link.inverse(eta - s * step) for s in (2, 1))
    slope, given = (8.0 * one - two) / (12.0 * step), link.derivative(eta)
    if not np.allclose(slope[usable], given[usable], rtol=1e-5, atol=1e-7):
        raise OptionError(
            f"The derivative of the link {link.name!r} is not the slope of its inverse: "
            f"{given[usable].round(6).tolist()}, but the inverse rises by "
            f"{slope[usable].round(6).tolist()} at eta = {eta[usable].round(4).tolist()}."
        )
