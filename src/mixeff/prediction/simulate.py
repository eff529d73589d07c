"""New responses drawn from a fitted model."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.design.scoring import MISSING
from mixeff.errors import OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.model.options import refuse_unknown
from mixeff.model.padding import total_rows
from mixeff.prediction.predict import predicted
from mixeff.prediction.scored import ScoredRows, rows_of_the_fit, score, told_apart
from mixeff.prediction.selection import Mask, select
from mixeff.prediction.trials import new_weights

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]
ARGUMENTS = ("nsim", "seed", "random", "newdata", "allow_new_levels", "offset")


@dataclass(frozen=True, slots=True)
class _Rows:
    """What draws start from.

    Attributes
    ----------
    eta : (m,) linear predictor without the effects that are drawn
    rows : ScoredRows, codes of unseen levels counted on from the seen ones
    drawn : per term (J, q) bool, the effects drawn anew; J counts unseen levels
    weights : (m,) array or None
    """

    eta: Floats
    rows: ScoredRows
    drawn: tuple[NDArray[np.bool_], ...]
    weights: Floats | None


def simulate(
    fit: MixedModel,
    nsim: int,
    *,
    seed: Any,
    random: str | None,
    newdata: Any,
    allow_new_levels: bool,
    offset: Any,
    unknown: Mapping[str, Any],
) -> Any:
    """See `FitMethods.simulate`."""
    refuse_unknown("simulate", unknown, ARGUMENTS)
    whole = isinstance(nsim, int | np.integer) and not isinstance(nsim, bool)
    if not whole or nsim < 1:
        raise OptionError(f"simulate: nsim must be a whole number, at least 1, not {nsim!r}.")
    masks = select(fit.design, fit.request.parsed, random, "simulate")
    if newdata is None:
        if offset is not None:
            raise OptionError("simulate: offset is for newdata; the rows of the fit have theirs.")
        start = _of_the_fit(fit, masks)
    else:
        start = _of_new_data(fit, newdata, masks, allow_new_levels=allow_new_levels, offset=offset)
    rng = np.random.default_rng(seed)
    draws = np.full((start.eta.size, int(nsim)), np.nan)
    keep = start.rows.complete
    for j, eta in enumerate(_predictors(fit, start, rng, int(nsim))):
        draws[keep, j] = _responses(fit, eta[keep], start.weights, keep, rng)
    return _labelled(fit, draws, newdata)


def _of_the_fit(fit: MixedModel, masks: tuple[Mask, ...]) -> _Rows:
    rows = rows_of_the_fit(fit.design)
    drawn = tuple(
        np.tile(~mask, (term.n_levels, 1))
        for mask, term in zip(masks, fit.design.random, strict=True)
    )
    return _Rows(predicted(fit.estimate, rows, masks), rows, drawn, fit.design.weights)


def _of_new_data(
    fit: MixedModel,
    newdata: Any,
    masks: tuple[Mask, ...],
    *,
    allow_new_levels: bool,
    offset: Any,
) -> _Rows:
    """New rows; levels the fit has not seen have effects of their own, always drawn."""
    design = fit.design
    frame = design.state.open(newdata, responses=True)
    used = tuple(bool(mask.any()) for mask in masks)
    # Only effects that are conditioned on need a level that was seen.
    score(design, frame, used, allow_new_levels=allow_new_levels, offset=offset)
    everything = tuple(True for _ in masks)
    rows = score(design, frame, everything, allow_new_levels=True, offset=offset)
    eta = predicted(fit.estimate, rows, masks)
    drawn = []
    for i, (mask, term) in enumerate(zip(masks, design.random, strict=True)):
        codes, count = told_apart(design, frame, i, rows.codes[i])
        rows.codes[i][:] = codes
        rows.complete[codes == MISSING] = False
        fresh = np.ones((count - term.n_levels, term.n_columns), dtype=bool)
        drawn.append(np.vstack([np.tile(~mask, (term.n_levels, 1)), fresh]))
    return _Rows(eta, rows, tuple(drawn), new_weights(fit, frame, eta.size))


def _predictors(
    fit: MixedModel, start: _Rows, rng: np.random.Generator, nsim: int
) -> Iterator[Floats]:
    """Linear predictors with effects drawn anew, one after another."""
    estimate = fit.estimate
    scale = 1.0 if isinstance(estimate, GeneralizedEstimate) else fit.sigma
    for _ in range(nsim):
        eta = start.eta.copy()
        for codes, values, drawn, factor in zip(
            start.rows.codes, start.rows.values, start.drawn, estimate.Lambda, strict=True
        ):
            if drawn.any():
                effects = scale * rng.standard_normal(drawn.shape) @ factor.T
                eta += np.einsum("ij,ij->i", values, np.where(drawn, effects, 0.0)[codes])
        yield eta


def _responses(
    fit: MixedModel,
    eta: Floats,
    weights: Floats | None,
    keep: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Floats:
    """(m,) responses given the linear predictor."""
    w = None if weights is None else weights[keep]
    estimate = fit.estimate
    if isinstance(estimate, GeneralizedEstimate):
        dispersion = 1.0 if estimate.dispersion is None else estimate.dispersion
        return estimate.family.simulate(rng, estimate.family.link.mu(eta), w, dispersion)
    noise = fit.sigma * rng.standard_normal(eta.size)
    return eta + (noise if w is None else noise / np.sqrt(w))


def _labelled(fit: MixedModel, draws: Floats, newdata: Any) -> Any:
    """The array; of pandas data a DataFrame with its index and R's names of the columns."""
    if newdata is None:
        if fit.request.na_action != "exclude":
            return draws
        out = np.full((total_rows(fit.design), draws.shape[1]), np.nan)
        out[fit.design.rows] = draws
        return out
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(newdata, pandas.DataFrame):
        return draws
    names = [f"sim_{j + 1}" for j in range(draws.shape[1])]
    return pandas.DataFrame(draws, index=newdata.index, columns=names)
