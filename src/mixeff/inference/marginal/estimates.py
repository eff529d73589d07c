"""Estimates over combinations of variables: what every table of this room is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.marginal.functions import LinearFunctions, judge

if TYPE_CHECKING:
    from mixeff.inference.marginal.functions import Judged
    from mixeff.inference.marginal.nested import Nests
    from mixeff.inference.marginal.scale import Scale
    from mixeff.inference.method import Method
    from mixeff.inference.table import Column

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Axis:
    """One variable of a table: its values label the rows.

    Attributes
    ----------
    name : str
    labels : tuple of k str
    values : (k,) array of a numeric variable, else None
    """

    name: str
    labels: tuple[str, ...]
    values: Floats | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def column(self, places: NDArray[np.intp]) -> Column:
        """The values, row by row."""
        if self.values is not None:
            return np.asarray(self.values[places])
        return tuple(self.labels[j] for j in places)


@dataclass(frozen=True, slots=True)
class Estimates:
    """Linear functions of beta over all combinations of some variables, and how to judge them.

    Attributes
    ----------
    subject : str, what they are: ``marginal means``, ``slopes of x``
    functions : LinearFunctions, one per combination
    axes : tuple of Axis, the first varying fastest
    within : tuple of str, names of the axes that separate families; the last axes
    method : Method
    beta : (p,) array
    scale : Scale or None, by which the response follows from an estimate
    response : bool, show the response scale
    level : float, of the intervals
    notes : tuple of str, what the estimates depend on
    joined : str, what stands between subject and variables in a title
    nests : pairs of a nested variable and what it is nested in
    """

    subject: str
    functions: LinearFunctions
    axes: tuple[Axis, ...]
    within: tuple[str, ...]
    method: Method
    beta: Floats
    scale: Scale | None = None
    response: bool = False
    level: float = 0.95
    notes: tuple[str, ...] = ()
    joined: str = "of"
    nests: Nests = ()

    @property
    def primary(self) -> tuple[Axis, ...]:
        """The axes that are compared."""
        return tuple(a for a in self.axes if a.name not in self.within)

    @property
    def inner(self) -> tuple[Axis, ...]:
        """The axes that separate families."""
        return tuple(a for a in self.axes if a.name in self.within)

    @property
    def rows(self) -> NDArray[np.intp]:
        """Places of the combinations that can occur: the rows of a table."""
        return np.flatnonzero(~self.functions.absent)

    def judged(self) -> Judged:
        """Values, standard errors and df on the scale of the linear predictor."""
        return judge(self.functions, self.beta, self.method)

    def labels(self, *, plain: bool = False) -> tuple[str, ...]:
        """Names of the combinations that are compared.

        Bare numbers get their variable's name, unless ``plain``.
        """
        axes = self.primary
        if not axes:
            return ("overall",)
        words = [
            [a.labels[j] if plain else worded(a, a.labels[j]) for j in at]
            for a, at in zip(axes, combinations_of(axes), strict=True)
        ]
        return tuple(" ".join(parts) for parts in zip(*words, strict=True))

    def arranged(self, within: Sequence[str]) -> Estimates:
        """The same estimates with other separating variables, the rows reordered."""
        axes = (
            *(a for a in self.axes if a.name not in within),
            *(a for name in within for a in self.axes if a.name == name),
        )
        order = np.arange(len(self.functions)).reshape([len(a) for a in self.axes], order="F")
        moved = order.transpose([self.axes.index(a) for a in axes]).ravel(order="F")
        functions = self.functions.take(np.asarray(moved))
        return replace(self, functions=functions, axes=axes, within=tuple(within))


def worded(axis: Axis, label: str) -> str:
    """A label that says what it is: a bare number gets its variable's name."""
    try:
        float(label)
    except ValueError:
        return label
    return f"{axis.name}{label}"


def combinations_of(axes: Sequence[Axis]) -> tuple[NDArray[np.intp], ...]:
    """For each axis the place of every combination, the first axis varying fastest."""
    if not axes:
        return ()
    return tuple(g.ravel(order="F") for g in np.indices([len(a) for a in axes]))
