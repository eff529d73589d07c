"""Shared fixtures: where the reference results are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support.reference import reference_dir


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of results computed with R."""
    return reference_dir()
