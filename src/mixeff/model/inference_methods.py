"""Tests, intervals and estimates of a fit: every method forwards to `mixeff.inference`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel


class InferenceMethods:
    """The methods of a fitted model that test and estimate."""

    __slots__ = ()

    @property
    def _model(self) -> MixedModel:
        return cast("MixedModel", self)

    # --- F tests, contrasts (anova_table.py, hypotheses.py)

    # --- deletions and random terms (single_terms.py, random_terms.py)

    # --- profile likelihood (profile/)

    # --- bootstrap and permutation (bootstrap/, permutation.py)

    # --- marginal means and slopes (marginal_means.py, slopes.py)

    # --- robust covariance, information (robust.py, conditional_aic.py)
