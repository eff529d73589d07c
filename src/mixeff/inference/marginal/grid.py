"""The reference grid: the fixed effects at every combination of the values of their variables.

Searle, S. R., Speed, F. M. and Milliken, G. A. (1980). Population marginal means in the linear
model: an alternative to least squares means. The American Statistician 34, 216-221.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.design.scoring import ReadFrame
from mixeff.errors import OptionError
from mixeff.inference.marginal.functions import (
    LinearFunctions,
    average,
    column_dependencies,
    every_column,
    linear_functions,
)
from mixeff.inference.marginal.nested import Nests, absent_rows
from mixeff.inference.marginal.predictors import Predictor, column_of
from mixeff.model.options import choose

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

WEIGHTS = ("equal", "proportional", "outer", "cells", "flat")
_LARGEST = 100_000


@dataclass(frozen=True, slots=True)
class ReferenceGrid:
    """Combinations of values of the predictors, the first varying fastest.

    Attributes
    ----------
    predictors : tuple of Predictor
    places : tuple of (G,) arrays, which value of each predictor a row of the grid has
    functions : LinearFunctions, the G linear predictors
    nests : pairs of a nested factor and what it is nested in
    """

    predictors: tuple[Predictor, ...]
    places: tuple[Places, ...]
    functions: LinearFunctions
    nests: Nests = ()

    def position(self, name: str) -> int:
        """Place of a predictor."""
        return [p.name for p in self.predictors].index(name)

    def means(self, names: Sequence[str], weights: str) -> LinearFunctions:
        """Averages over all predictors but the named ones; the first named varies fastest."""
        kept = [self.position(name) for name in names]
        group = np.zeros(len(self.functions), dtype=np.intp)
        for j in reversed(kept):
            group = group * len(self.predictors[j]) + self.places[j]
        return average(self.functions, group, self._weights(set(kept), weights))

    def _weights(self, kept: set[int], scheme: str) -> Floats:
        """(G,) weights of the rows of the grid."""
        factors = [j for j, p in enumerate(self.predictors) if p.codes is not None]
        over = [j for j in factors if j not in kept]
        if scheme == "equal" or not factors:
            return np.ones(len(self.functions))
        if scheme == "proportional":
            return self._frequencies(over)
        if scheme == "outer":
            return np.asarray(np.prod([self._frequencies([j]) for j in over], axis=0)) * np.ones(
                len(self.functions)
            )
        cells = self._frequencies(factors)
        return cells if scheme == "cells" else (cells > 0).astype(np.float64)

    def _frequencies(self, factors: Sequence[int]) -> Floats:
        """(G,) how many rows of the fit agree with a row of the grid in some factors.

        Rows count one each, whatever their prior weights: those are precisions, not frequencies.
        """
        seen = np.zeros(1, dtype=np.int64)
        own = np.zeros(len(self.functions), dtype=np.int64)
        size = 1
        for j in factors:
            predictor = self.predictors[j]
            codes = predictor.codes
            assert codes is not None
            # A row with a value that is not in the grid (-1) stays outside.
            seen = np.where((seen < 0) | (codes < 0), -1, seen * len(predictor) + codes)
            own = own * len(predictor) + self.places[j]
            size *= len(predictor)
        counts = np.bincount(seen[seen >= 0], minlength=size)
        return np.asarray(counts[own], dtype=np.float64)


def reference_grid(
    function: str,
    fit: MixedModel,
    predictors: Mapping[str, Predictor],
    nests: Nests,
    *,
    offset: float | None = None,
) -> ReferenceGrid:
    """The grid over all values of the predictors.

    Parameters
    ----------
    function : str, what the caller called, for messages
    fit : MixedModel
    predictors : Predictor by name
    nests : pairs of a nested factor and what it is nested in
    offset : float, optional, in place of the offset of the model

    Raises
    ------
    OptionError
        More combinations than are sensible.
    """
    ordered = tuple(predictors.values())
    size = int(np.prod([len(p) for p in ordered], dtype=np.float64)) if ordered else 1
    if size > _LARGEST:
        counts = ", ".join(f"{p.name} {len(p)}" for p in ordered if len(p) > 1)
        raise OptionError(
            f"{function}: the reference grid has {size} combinations of values ({counts}), more "
            f"than {_LARGEST}. Fix some of the variables with at=."
        )
    places = _places([len(p) for p in ordered])
    rows, known = score(fit, ordered, places, size, given=offset)
    infinite = ~(np.isfinite(rows).all(axis=1) & np.isfinite(known))
    if infinite.any():
        at = [j for j, p in enumerate(ordered) if not isinstance(p.values, tuple)]
        where = ", ".join(
            f"{ordered[j].name} = {ordered[j].labels[places[j][infinite.argmax()]]}" for j in at
        )
        raise OptionError(f"{function}: the fixed effects are not finite at {where}.")
    functions = linear_functions(column_dependencies(fit), fit.design.state, rows, known)
    absent = absent_rows(ordered, places, size, nests)
    return ReferenceGrid(ordered, places, replace(functions, absent=absent), nests)


def _places(lengths: Sequence[int]) -> tuple[Places, ...]:
    if not lengths:
        return ()
    return tuple(g.ravel(order="F") for g in np.indices(lengths))


def grid_frame(predictors: Sequence[Predictor], places: Sequence[Places], size: int) -> ReadFrame:
    """The grid as new data."""
    columns = {p.name: column_of(p, at) for p, at in zip(predictors, places, strict=True)}
    return ReadFrame(columns, tuple(columns), size)


def score(
    fit: MixedModel,
    predictors: Sequence[Predictor],
    places: Sequence[Places],
    size: int,
    *,
    given: float | None,
) -> tuple[Floats, Floats]:
    """All model columns (G, P) and the offset (G,) of a grid.

    An offset given to the fit as an array has no value in a grid: its mean stands for it.
    """
    state = every_column(fit.design.state)
    frame = grid_frame(predictors, places, size)
    if given is not None or state.offset_array:
        assert given is not None or fit.design.offset is not None
        value = given if given is not None else float(np.mean(fit.design.offset))  # type: ignore[arg-type]
        state = replace(state, offsets=(), offset_array=False)
        return state.fixed_matrix(frame)[0], np.full(size, value)
    X, offset, _ = state.fixed_matrix(frame)
    return X, np.zeros(size) if offset is None else offset


def check_weights(function: str, weights: object) -> str:
    """The name of a weighting scheme, or OptionError."""
    return choose(function, "weights", weights, WEIGHTS)
