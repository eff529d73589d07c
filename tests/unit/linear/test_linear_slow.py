"""A fit that will take minutes says so, and why; others say nothing."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import mixeff as mx
from mixeff.factor.dense_tail import DenseTail
from mixeff.factor.sparse_tail import SparseTail
from mixeff.linear.slow import announce_slow
from support.neighbours import grown


def small_fit() -> mx.LinearMixedModel:
    rng = np.random.default_rng(1)
    g, h = np.repeat(np.arange(8), 6), np.tile(np.arange(6), 8)
    return mx.lmer("y ~ 1 + (1 | g) + (1 | h)", {"y": rng.normal(size=48), "g": g, "h": h})


def test_a_small_fit_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="mixeff"):
        small_fit()
    assert caplog.records == []


def test_a_large_dense_part_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """20,000 dense columns: 10 * 8e12 / 2.5e10 s = 53 minutes, 20000^2 doubles = 3.2 GB."""
    tail = DenseTail(SimpleNamespace(products=SimpleNamespace(size=20_000)), 1, np.empty(0))
    announce_slow(small_fit().design, tail, 20_000)
    (record,) = caplog.records
    message = record.getMessage()
    for word in (
        "53 minutes",
        "3.2 GB",
        "dense",
        "20,000",
        "g (8 random effects)",
        "h (6",
        "Control(threads",
    ):
        assert word in message


def test_a_sparse_tail_is_not_taken_for_a_dense_one(caplog: pytest.LogCaptureFixture) -> None:
    """Many more columns, a few entries in each: seconds, so nothing is said."""
    system = grown().build()
    assert isinstance(system.tail, SparseTail)
    announce_slow(small_fit().design, system.tail, 20_000)
    assert caplog.records == []
    # The same pattern with a factor of 1e11 squares: 10 * 3 * 3 * 1e11 / 2.5e10 s = 6 minutes.
    announce_slow(small_fit().design, replace(system.tail, flops=1e11), 20_000)
    (record,) = caplog.records
    assert "6 minutes" in record.getMessage()
    assert "sparse" in record.getMessage()
