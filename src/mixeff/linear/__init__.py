"""Linear mixed models: the profiled criterion and its optimum."""

from __future__ import annotations

from mixeff.linear.estimate import LinearEstimate
from mixeff.linear.fit import evaluate_at, fit_linear
from mixeff.linear.variances import conditional_variances

__all__ = ["LinearEstimate", "conditional_variances", "evaluate_at", "fit_linear"]
