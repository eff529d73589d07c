"""A pandas response goes by position; where its labels say otherwise, it is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixeff as mx

FORMULA = "Reaction ~ Days + (Days | Subject)"


def test_a_shuffled_series_is_refused() -> None:
    """Permuted on purpose, or joined in the wrong order: only the caller knows."""
    sleep = mx.load_dataset("sleepstudy")
    fit = mx.lmer(FORMULA, sleep)
    shuffled = sleep["Reaction"].sample(frac=1.0, random_state=3)
    with pytest.raises(mx.DataError, match=r"to_numpy.*reindex"):
        fit.refit(shuffled)
    by_label = fit.refit(shuffled.reindex(sleep.index))
    assert by_label.reml_criterion == pytest.approx(fit.reml_criterion, abs=1e-8)
    assert fit.refit(shuffled.to_numpy()).reml_criterion > fit.reml_criterion + 1


def test_another_index_goes_by_position() -> None:
    sleep = mx.load_dataset("sleepstudy").set_index(np.arange(180) + 1000)
    fit = mx.lmer(FORMULA, sleep)
    fresh = pd.Series(sleep["Reaction"].to_numpy())
    assert fit.refit(fresh).reml_criterion == pytest.approx(fit.reml_criterion, abs=1e-8)
