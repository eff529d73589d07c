"""Covariance structures: parameters theta -> the relative factor Lambda and back."""

from __future__ import annotations

from mixeff.covariance.partition import Partition
from mixeff.covariance.triangle import lower_factor, null_space
from mixeff.covariance.unstructured import Unstructured

__all__ = ["Partition", "Unstructured", "lower_factor", "null_space"]
