"""The numbers of one case, written once as raw files that Python and R both read.

A folder holds ``meta.json`` (column names, types, levels, in order), one file of little-endian
doubles (``.f64``) or 0-based int32 codes (``.i32``) per column, and ``Y.f64`` with further
responses, column after column, where a case has some.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


def write_frame(frame: pd.DataFrame, folder: Path, responses: NDArray[np.float64] | None) -> None:
    """Write ``frame`` and ``responses`` (n, m)."""
    folder.mkdir(parents=True, exist_ok=True)
    columns: list[dict[str, Any]] = []
    for name in frame.columns:
        column = frame[name]
        entry: dict[str, Any] = {"name": name}
        if str(column.dtype) == "category":
            entry["type"] = "factor"
            entry["levels"] = [str(level) for level in column.cat.categories]
            entry["ordered"] = bool(column.cat.ordered)
            column.cat.codes.to_numpy().astype("<i4").tofile(folder / f"{name}.i32")
        elif column.dtype.kind in "iuf":
            entry["type"] = "double"
            column.to_numpy().astype("<f8").tofile(folder / f"{name}.f64")
        else:
            raise TypeError(f"column {name} is neither numeric nor a factor: {column.dtype}")
        columns.append(entry)
    if responses is not None:
        np.ascontiguousarray(responses.T, dtype="<f8").tofile(folder / "Y.f64")
    meta = {"rows": len(frame), "responses": 0, "columns": columns}
    meta["responses"] = 0 if responses is None else responses.shape[1]
    (folder / "meta.json").write_text(json.dumps(meta))


def read_frame(folder: Path) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """What ``write_frame`` wrote: a frame with categorical factors, and the responses (n, m)."""
    import pandas as pd

    meta = json.loads((folder / "meta.json").read_text())
    data: dict[str, Any] = {}
    for entry in meta["columns"]:
        name = entry["name"]
        if entry["type"] == "factor":
            codes = np.fromfile(folder / f"{name}.i32", dtype="<i4")
            data[name] = pd.Categorical.from_codes(
                codes, categories=entry["levels"], ordered=entry["ordered"]
            )
        else:
            data[name] = np.fromfile(folder / f"{name}.f64", dtype="<f8")
    shape = (meta["responses"], meta["rows"])
    if not meta["responses"]:
        return pd.DataFrame(data), np.empty(shape).T
    return pd.DataFrame(data), np.fromfile(folder / "Y.f64", dtype="<f8").reshape(shape).T
