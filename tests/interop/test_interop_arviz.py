"""Draws as ArviZ takes them."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

import mixeff as mx


@pytest.fixture(scope="module")
def draws():
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", mx.load_dataset("sleepstudy"))
    return fit.bootstrap(12, seed=1)


def test_data_tree(draws):
    tree = draws.to_arviz()
    posterior = tree["posterior"]
    assert dict(posterior.sizes) == {"chain": 1, "draw": 12}
    assert list(posterior.data_vars) == list(draws.names)
    np.testing.assert_array_equal(posterior["Days"].values[0], draws.draws[:, 3])
    assert posterior.attrs["sampling"].startswith("parametric bootstrap")
    assert posterior.attrs["inference_library"] == "mixeff"


def test_failed_replicates_are_left_out():
    fit = mx.lmer("Reaction ~ Days + (1 | Subject)", mx.load_dataset("sleepstudy"))

    def picky(m):
        if m.sigma > fit.sigma:
            raise mx.ConvergenceError("no")
        return m.sigma

    found = fit.bootstrap(20, seed=1, statistic=picky)
    tree = found.to_arviz()
    kept = found.draws[~found.failed, 0]
    np.testing.assert_array_equal(tree["posterior"]["picky"].values[0], kept)
    assert tree["posterior"].attrs["failed_replicates"] == 20 - kept.size > 0


def test_versions_before_one(draws, monkeypatch):
    # A stand-in with the interface of arviz 0.23 (from_dict by group, attributes apart); tried by
    # hand with 0.23.4, whose dependencies are too many for the tests.
    given = {}
    stub = types.ModuleType("arviz")
    stub.from_dict = lambda **groups: given.update(groups) or "inference data"
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    monkeypatch.setitem(sys.modules, "arviz", stub)
    assert draws.to_arviz() == "inference data"
    assert set(given) == {"posterior", "posterior_attrs"}
    assert given["posterior"]["sigma"].shape == (1, 12)


def test_not_installed(draws, monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(mx.OptionError, match="pip install arviz"):
        draws.to_arviz()
