"""Where the results computed with R lie, and how they are read."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

_ROOT = Path(__file__).resolve().parents[2]


def reference_dir() -> Path:
    """The reference folder; a test that needs it is skipped without it, but never in CI."""
    folder = Path(os.environ.get("MIXEFF_REFERENCE", _ROOT.parent / "shared" / "reference"))
    if not (folder / "cases").is_dir():
        message = (
            f"no reference results at {folder}: put shared/ beside the project "
            "or set MIXEFF_REFERENCE"
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message, allow_module_level=True)
    return folder


@cache
def _schema() -> dict[str, Any]:
    return json.loads((reference_dir() / "data" / "schema.json").read_text())


@cache
def load_case(name: str) -> dict[str, Any]:
    """One reference case as a dict (see SCHEMA.md)."""
    return json.loads((reference_dir() / "cases" / f"{name}.json").read_text())


@cache
def case_ids(kind: str) -> tuple[str, ...]:
    """Ids of all reference cases of one kind, sorted."""
    files = sorted((reference_dir() / "cases").glob("*.json"))
    return tuple(f.stem for f in files if json.loads(f.read_text())["kind"] == kind)


@cache
def load_frame(name: str) -> pd.DataFrame:
    """A reference data set in pandas, factors with their levels in R's order. Do not modify."""
    entry = _schema()[name]
    columns = entry["columns"]
    factors = [c for c, s in columns.items() if s["type"] in ("factor", "ordered")]
    frame = pd.read_csv(
        reference_dir() / "data" / entry["file"],
        keep_default_na=False,
        na_values=["NA"],
        dtype=dict.fromkeys(factors, str),
    )
    for c in factors:
        spec = columns[c]
        frame[c] = pd.Categorical(
            frame[c], categories=spec["levels"], ordered=spec["type"] == "ordered"
        )
    return frame
