"""The profile of a fit: its curves, and what is read off them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixeff.errors import ConvergenceWarning, OptionError
from mixeff.frames.notices import notify
from mixeff.inference.profile.curve import Curve
from mixeff.inference.profile.engine import Engine, adopting
from mixeff.inference.profile.pairs import LEVELS, pairs
from mixeff.inference.profile.path import Path
from mixeff.inference.table import ResultTable
from mixeff.inference.wald import IntervalTable
from mixeff.model.options import check_level, whole_number

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

_LEGEND = "zeta: signed root of the increase of the deviance; .confint() gives intervals."
_INTERVALS = (
    "Values that raise the deviance by no more than the chi-square quantile (1 df); assumes the "
    "model, and enough groups for that reference distribution."
)
_UNKNOWN = (
    "NaN: no optimum of the other parameters was found on the way to that limit. The approximation "
    "of the likelihood may fail there; bootstrap intervals do not depend on it."
)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The profile likelihood of parameters of a fit (Bates et al. 2015, section 5.1).

    zeta is the signed square root of the increase of the deviance when the parameter is held at a
    value and all others are optimized; it would be a straight line, the z statistic, were the
    deviance quadratic.

    Attributes
    ----------
    fit : the fitted model profiled, by maximum likelihood
    names : tuple of str, all parameters
    profiled : tuple of str, those with a curve
    curves : mapping from name to Curve
    cutoff : float, of |zeta|, up to which the curves go where they get there
    notes : tuple of str

    Examples
    --------
    >>> import mixeff as mx
    >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    >>> profile = m.profile(parameters=["sigma", "Days"])
    >>> profile.confint().round(2)
           lower  upper
    sigma  22.90  28.86
    Days    7.36  13.58
    """

    fit: MixedModel
    names: tuple[str, ...]
    profiled: tuple[str, ...]
    curves: Mapping[str, Curve]
    cutoff: float
    notes: tuple[str, ...]
    engine: Engine = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """The points: ``parameter, focal, zeta``, then every parameter at the point.

        ``focal`` is the value at which ``parameter`` was held; estimates have zeta 0.
        """
        import pandas as pd

        curves = [self.curves[name] for name in self.shown(None)]
        parts: dict[str, object] = {
            "parameter": [c.name for c in curves for _ in range(c.zeta.size)],
            "focal": np.concatenate([np.empty(0), *(c.focal for c in curves)]),
            "zeta": np.concatenate([np.empty(0), *(c.zeta for c in curves)]),
        }
        values = np.vstack([np.empty((0, len(self.names))), *(c.parameters for c in curves)])
        points = pd.DataFrame(values, columns=list(self.names))
        return pd.concat([pd.DataFrame(parts), points], axis=1)

    def confint(self, level: float = 0.95) -> ResultTable:
        """Intervals of all values at which |zeta| is below the normal quantile: ``lower, upper``.

        The limits are found on the profile itself, not on a curve through its points.

        Raises
        ------
        OptionError
            ``level`` is not between 0 and 1.
        """

        def work(engine: Engine) -> IntervalTable:
            return intervals(engine, self.profiled, level)

        # Roots lie between the points of the curves: a better optimum may still turn up.
        _, table, adopted = adopting(self.engine, work)
        for sentence in adopted:
            notify(sentence, ConvergenceWarning)
        return interval_table(table, (*self.notes, *adopted))

    def zeta(self, parameter: str, values: ArrayLike) -> Floats:
        """zeta of a parameter at some values, on the curve; NaN outside of it.

        Raises
        ------
        OptionError
            The parameter was not profiled.
        """
        return self.curve(parameter).at(np.atleast_1d(np.asarray(values, dtype=np.float64)))

    def curve(self, parameter: str) -> Curve:
        """The curve of one parameter.

        Raises
        ------
        OptionError
            It has none.
        """
        found = self.curves.get(parameter)
        if found is None:
            raise OptionError(
                f"profile: {parameter!r} has no curve here; there are those of "
                f"{', '.join(self.curves)}."
            )
        return found

    def shown(self, parameters: str | Sequence[str] | None) -> list[str]:
        """The parameters with a curve, of those asked for.

        Raises
        ------
        OptionError
            One has none.
        """
        if parameters is None:
            return [name for name in self.profiled if name in self.curves]
        names = [parameters] if isinstance(parameters, str) else list(parameters)
        return [self.curve(name).name for name in names]

    def density(self, parameter: str, n: int = 200) -> pd.DataFrame:
        """The density that makes zeta standard normal: columns ``value, density``.

        phi(zeta) dzeta / dvalue, what a confidence distribution for the parameter looks like.
        """
        import pandas as pd

        curve = self.curve(parameter)
        values = curve.grid(whole_number("density", "n", n, 2))
        zeta = curve.at(values)
        density = np.exp(-0.5 * zeta**2) / math.sqrt(2.0 * math.pi) * curve.slope(values)
        return pd.DataFrame({"value": values, "density": density})

    def pairs(
        self,
        parameters: Sequence[str] | None = None,
        levels: Sequence[float] = LEVELS,
        n: int = 101,
    ) -> pd.DataFrame:
        """Profile traces and joint regions of every pair: what lme4's ``splom`` draws.

        Parameters
        ----------
        parameters : sequence of str, optional
        levels : sequence of float
            Of the joint confidence regions of two parameters.
        n : int, points of a contour

        Returns
        -------
        pandas.DataFrame
            ``x, y, kind, along, level, x_value, y_value, x_zeta, y_zeta``; ``kind`` is ``"trace"``
            (of the profile of ``along``, ``"x"`` or ``"y"``) or ``"contour"``. A contour that the
            profiles do not reach, because a parameter's range ends before, is left out.
        """
        return pairs(self, parameters, levels, n)

    def __str__(self) -> str:
        return str(self.table())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def table(self) -> ResultTable:
        """What is printed: estimates, and how far each curve goes."""
        rows = [self.curves[name] for name in self.shown(None)]
        return ResultTable(
            "Profile likelihood",
            tuple(c.name for c in rows),
            {
                "estimate": np.array([c.estimate for c in rows]),
                "from": np.array([c.focal[0] for c in rows]),
                "to": np.array([c.focal[-1] for c in rows]),
                "zeta_from": np.array([c.zeta[0] for c in rows]),
                "zeta_to": np.array([c.zeta[-1] for c in rows]),
                "points": np.array([c.zeta.size for c in rows]),
            },
            (_LEGEND, *self.notes),
        )


def interval_table(found: IntervalTable, notes: Sequence[str]) -> ResultTable:
    """Profile intervals as they are printed."""
    if np.isnan([found.lower, found.upper]).any():
        notes = (*notes, _UNKNOWN)
    return ResultTable(
        f"{100 * found.level:g} % profile likelihood intervals",
        found.names,
        {"lower": found.lower, "upper": found.upper},
        (_INTERVALS, *notes),
    )


def intervals(engine: Engine, names: tuple[str, ...], level: float) -> IntervalTable:
    """Profile intervals of some parameters.

    Raises
    ------
    OptionError
        ``level`` is not between 0 and 1.
    """
    quantile = normal_quantile(level)
    limits = [limits_of(engine.path(name), quantile) for name in names]
    lower, upper = np.array(limits).reshape(-1, 2).T
    return IntervalTable(names, lower, upper, level, "profile")


def normal_quantile(level: float) -> float:
    """|zeta| at the limits of an interval.

    Raises
    ------
    OptionError
        ``level`` is not a number between 0 and 1.
    """
    from scipy.special import ndtri

    return float(ndtri(0.5 + check_level("confint", level) / 2))


def limits_of(path: Path | None, quantile: float) -> tuple[float, float]:
    """Both ends; the bounds of the range where zeta does not get there.

    A correlation with a standard deviation of zero may be anything: (-1, 1).
    """
    if path is None:
        return -1.0, 1.0
    found = []
    for sign in (-1, 1):
        v = path.reach(sign * quantile).v
        if math.isinf(v) and path.track.scale.kind == "log":
            found.append(0.0 if v < 0 else math.inf)
        else:
            found.append(path.track.scale.outer(v) if math.isfinite(v) else v)
    return found[0], found[1]
