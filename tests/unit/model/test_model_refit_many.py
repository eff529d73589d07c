"""refit_many: what the caller sees."""

from __future__ import annotations

import io
import sys

import numpy as np
import pandas as pd
import pytest

import mixeff as mx
from mixeff.model import progress as module
from mixeff.model import refit_many


@pytest.fixture(scope="module")
def fit():
    return mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))


@pytest.fixture(scope="module")
def responses(fit):
    rng = np.random.default_rng(1)
    return rng.normal(fit.fitted[:, None], fit.sigma, size=(180, 40))


def test_each_column_as_refit(fit, responses):
    many = mx.refit_many(fit, responses)
    assert len(many) == 40
    for j in (0, 17, 39):
        one = fit.refit(responses[:, j])
        # refit takes the same way, through the same numbers up to the order of sums over rows.
        assert many.loglik[j] == pytest.approx(one.loglik, abs=1e-9)
        np.testing.assert_allclose(many.theta[j], one.theta, atol=1e-7)
        np.testing.assert_allclose(many.beta[j], one.fixef, rtol=1e-9)
        assert many.sigma[j] == pytest.approx(one.sigma, rel=1e-8)
        assert many.evaluations[j] == one.convergence.evaluations
        assert bool(many.singular[j]) == one.is_singular
    assert many.converged.all()
    np.testing.assert_array_equal(many.loglik, -0.5 * many.criterion)


def test_the_own_response_gives_the_own_fit(fit):
    # lme4 1.1: fixef 251.40510, 10.46729; sigma 25.59180 (reference case sleepstudy).
    many = fit.refit_many(fit.design.response[:, None])
    np.testing.assert_allclose(many.beta[0], [251.405105, 10.467286], rtol=1e-8)
    assert many.sigma[0] == pytest.approx(25.5918, abs=1e-4)
    assert many.criterion[0] == pytest.approx(fit.reml_criterion, abs=1e-9)


def test_frame(fit, responses):
    frame = fit.refit_many(responses).to_frame()
    assert list(frame.columns) == [
        "(Intercept)",
        "Days",
        "Subject.(Intercept)",
        "Subject.Days.(Intercept)",
        "Subject.Days",
        "sigma",
        "criterion",
        "loglik",
        "converged",
        "singular",
        "evaluations",
    ]
    assert frame.shape[0] == 40
    assert frame["converged"].dtype == bool


def test_all_rows_or_the_rows_used(responses):
    data = mx.load_dataset("sleepstudy")
    data.loc[[3, 50], "Reaction"] = np.nan
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", data)
    used = np.delete(responses, [3, 50], axis=0)
    np.testing.assert_array_equal(fit.refit_many(responses).beta, fit.refit_many(used).beta)


def test_wrong_responses(fit, responses):
    with pytest.raises(mx.DataError, match="shape"):
        fit.refit_many(responses[:, 0])
    with pytest.raises(mx.DataError, match="shape"):
        fit.refit_many(responses.T)
    with pytest.raises(mx.DataError, match="not numeric"):
        fit.refit_many(np.full((180, 2), "a"))
    with pytest.raises(mx.OptionError, match="threads"):
        fit.refit_many(responses, threads=0)
    bad = responses.copy()
    bad[7, 3] = np.nan
    bad[9, 5] = np.inf
    with pytest.raises(mx.DataError, match=r"column 3 \(counted from 0\).*row 7.*2 of 40"):
        fit.refit_many(bad)
    named = pd.DataFrame(bad, columns=[f"gene{j}" for j in range(40)])
    with pytest.raises(mx.DataError, match="column 'gene3'"):
        fit.refit_many(named)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_only_when_a_person_watches(fit, responses, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    for stream, progress, shown in (
        (Terminal(), None, True),
        (Terminal(), False, False),
        (io.StringIO(), None, False),
        (io.StringIO(), True, True),
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        fit.refit_many(responses, progress=progress)
        assert ("40/40" in stream.getvalue()) is shown
        assert stream.getvalue().endswith("\n") is shown


def test_interruption_ends_the_line(fit, responses, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(module, "_PATIENCE", 0.0)

    def interrupted(*_, watch, **__):
        watch(3)
        raise KeyboardInterrupt

    monkeypatch.setattr(refit_many, "fit_many", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit.refit_many(responses)
    assert "3/40" in stream.getvalue()
    assert stream.getvalue().endswith("\n")
