"""Refits of one generalized model to many responses, each judged as `refit` judges it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import MixeffError, MixeffWarning
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.many import GeneralizedBatch, ManyGeneralized
from mixeff.model.again import check_possible
from mixeff.model.scales import has_scale

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Refits:
    """A fit ready to be refitted many times.

    Attributes
    ----------
    fit : MixedModel, a generalized one
    batch : GeneralizedBatch
    """

    fit: MixedModel
    batch: GeneralizedBatch

    @classmethod
    def of(cls, fit: MixedModel, threads: int | None) -> Refits:
        """No digit of the results depends on ``threads``."""
        request = fit.request
        estimate = fit.estimate
        assert request.family is not None
        assert isinstance(estimate, GeneralizedEstimate)
        batch = GeneralizedBatch.of(
            fit.design,
            request.family,
            n_agq=request.n_agq,
            control=request.control,
            start=request.start,
            like=estimate,
            threads=threads,
        )
        return cls(fit, batch)

    def estimates(self, Y: Floats, watch: Callable[[int], None] | None = None) -> ManyGeneralized:
        """Estimates of the columns of Y (n, m), finite, on the rows of the fit."""
        return self.batch.fit(Y, impossible(self.fit, Y), watch)

    def singular(self, found: ManyGeneralized) -> NDArray[np.bool_]:
        """(m,) what ``is_singular`` would say of the fits."""
        from mixeff.diagnostics.singularity import are_singular

        # As there: weights are numbers of trials.
        return are_singular(replace(self.fit.design, weights=None), found.theta)

    def sigma(self, found: ManyGeneralized) -> Floats | None:
        """(m,) sigma of the fits, None where the family has none."""
        estimate = self.fit.estimate
        assert isinstance(estimate, GeneralizedEstimate)
        return np.sqrt(found.dispersion) if has_scale(estimate) else None


def impossible(fit: MixedModel, Y: Floats) -> dict[int, MixeffError]:
    """Which columns `refit` refuses, and what it says; they are warned of once."""
    family, weights = fit.request.family, fit.design.weights
    assert family is not None
    m = Y.shape[1]
    if not m:
        return {}
    rows = np.ascontiguousarray(Y.T)
    suspects = np.flatnonzero((rows == rows[:, :1]).all(axis=1))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", MixeffWarning)
            family.check_response(rows.ravel(), None if weights is None else np.tile(weights, m))
    except (MixeffError, MixeffWarning):
        suspects = np.arange(m)
    found: dict[int, MixeffError] = {}
    with warnings.catch_warnings():
        for place, j in enumerate(suspects.tolist()):
            if place:
                warnings.simplefilter("ignore", MixeffWarning)
            try:
                check_possible(family, rows[j], weights)
            except MixeffError as error:
                found[j] = error
    return found
