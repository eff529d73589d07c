"""A fit that will take minutes says so, and why; others say nothing."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import mixeff as mx
from mixeff.linear.slow import announce_slow


def small_fit() -> mx.LinearMixedModel:
    rng = np.random.default_rng(1)
    g, h = np.repeat(np.arange(8), 6), np.tile(np.arange(6), 8)
    return mx.lmer("y ~ 1 + (1 | g) + (1 | h)", {"y": rng.normal(size=48), "g": g, "h": h})


def test_a_small_fit_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="mixeff"):
        small_fit()
    assert caplog.records == []


def test_a_large_dense_part_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """20,000 dense columns: 10 * 8e12 / 2.5e10 s = 53 minutes, 2 * 20000^2 doubles = 6.4 GB."""
    announce_slow(small_fit().design, 20_000)
    (record,) = caplog.records
    message = record.getMessage()
    for word in (
        "53 minutes",
        "6.4 GB",
        "20,000",
        "g (8 random effects)",
        "h (6",
        "Control(threads",
    ):
        assert word in message
