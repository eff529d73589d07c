"""Rebuild the packed data sets of the package from the reference data.

    python scripts/pack_datasets.py [--reference DIR]

Each set becomes one gzipped JSON file, column by column: ``{"name", "columns": [{"name", "type",
"levels", "values"}]}``; factors are stored as 0-based codes, a missing value is ``null``. The words
about a set (source, licence, columns) are written by hand in ``datasets/catalogue.json``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "mixeff" / "datasets"
DEFAULT_REFERENCE = ROOT.parent / "shared" / "reference"

Column = dict[str, Any]


def read_reference(folder: Path, entry: dict[str, Any]) -> list[Column]:
    """The columns of one reference CSV, typed as its schema says."""
    path = folder / "data" / entry["file"]
    raw = path.read_bytes()
    text = gzip.decompress(raw).decode() if path.suffix == ".gz" else raw.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    return [
        typed(name, spec, [row[name] for row in rows]) for name, spec in entry["columns"].items()
    ]


def typed(name: str, spec: dict[str, Any], cells: list[str]) -> Column:
    """One column: numbers as numbers, factor cells as codes."""
    if spec["type"] in ("factor", "ordered"):
        code = {level: i for i, level in enumerate(spec["levels"])}
        values: list[Any] = [None if cell == "NA" else code[cell] for cell in cells]
        return {"name": name, "type": spec["type"], "levels": spec["levels"], "values": values}
    number = int if spec["type"] == "integer" else float
    values = [None if cell == "NA" else _short(number(cell)) for cell in cells]
    return {"name": name, "type": spec["type"], "values": values}


def _short(value: float) -> float:
    # 46.0 packs as 46; the reader makes float64 of it again because the type says numeric.
    return int(value) if value == int(value) else value


def nlme_oats(columns: list[Column]) -> list[Column]:
    """nlme's Oats from MASS's oats: the same trial under other names and types."""
    block, variety, nitrogen, grain = columns
    order = ["VI", "V", "III", "IV", "II", "I"]
    to_new = [order.index(level) for level in block["levels"]]
    doses = [_short(float(level.removesuffix("cwt"))) for level in nitrogen["levels"]]
    return [
        {
            "name": "Block",
            "type": "ordered",
            "levels": order,
            "values": [to_new[code] for code in block["values"]],
        },
        {
            "name": "Variety",
            "type": "factor",
            "levels": [level.replace(".rain", " Rain") for level in variety["levels"]],
            "values": variety["values"],
        },
        {
            "name": "nitro",
            "type": "numeric",
            "values": [doses[code] for code in nitrogen["values"]],
        },
        {"name": "yield", "type": "numeric", "values": grain["values"]},
    ]


def pack(name: str, columns: list[Column]) -> int:
    """Write one set; return its size in bytes."""
    body = json.dumps({"name": name, "columns": columns}, separators=(",", ":")).encode()
    target = PACKAGE / "data" / f"{name}.json.gz"
    target.write_bytes(gzip.compress(body, compresslevel=9, mtime=0))
    return target.stat().st_size


def main() -> None:
    """Pack every set of the catalogue."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, default=DEFAULT_REFERENCE)
    reference: Path = parser.parse_args().reference
    schema = json.loads((reference / "data" / "schema.json").read_text())
    catalogue = json.loads((PACKAGE / "catalogue.json").read_text())
    (PACKAGE / "data").mkdir(exist_ok=True)
    total = 0
    for name, words in catalogue.items():
        columns = read_reference(reference, schema[words["stored"]])
        if words["derived"]:
            columns = nlme_oats(columns)
        told = list(words["columns"])
        if told != [column["name"] for column in columns]:
            raise SystemExit(f"{name}: the catalogue tells of the columns {told}")
        size = pack(name, columns)
        total += size
        print(f"{name:15s} {size:8d} bytes")
    print(f"{'together':15s} {total:8d} bytes")


if __name__ == "__main__":
    main()
