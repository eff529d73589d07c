"""Real data sets with their source, licence and column notes."""

from __future__ import annotations

from mixeff.datasets.catalogue import Description, describe_dataset, list_datasets
from mixeff.datasets.loading import load_dataset

__all__ = ["Description", "describe_dataset", "list_datasets", "load_dataset"]
