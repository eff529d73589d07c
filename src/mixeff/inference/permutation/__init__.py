"""Permutation tests of fixed effects."""

from __future__ import annotations

from mixeff.inference.permutation.run import permutation_test

__all__ = ["permutation_test"]
