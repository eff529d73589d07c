"""Bootstrap of a fit: replicates drawn or resampled, fitted on the batch engine, intervals."""

from __future__ import annotations

from mixeff.inference.bootstrap.result import INTERVALS, Bootstrap
from mixeff.inference.bootstrap.run import KINDS, bootstrap, bootstrap_intervals

__all__ = ["INTERVALS", "KINDS", "Bootstrap", "bootstrap", "bootstrap_intervals"]
