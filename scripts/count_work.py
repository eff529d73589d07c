"""Write tests/work/counts.json anew and print what changed.

python scripts/count_work.py            show the changes only
python scripts/count_work.py --write    and write the table
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import instructions, work  # noqa: E402


def flat(table: dict[str, Any], path: str = "") -> dict[str, int]:
    """Nested tables as one, names joined by slashes."""
    out: dict[str, int] = {}
    for key, value in table.items():
        name = f"{path}/{key}" if path else key
        out |= flat(value, name) if isinstance(value, dict) else {name: value}
    return out


def main() -> None:
    """Count, compare, write."""
    if "--instructions" in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            counts = instructions.count_instructions(Path(folder))
        found: dict[str, Any] = {"setting": instructions.setting(), "counts": counts}
        table = instructions.TABLE
    else:
        found, table = work.measure_all(), work.TABLE
    before = flat(json.loads(table.read_text(encoding="utf-8"))) if table.exists() else {}
    after = flat(found)
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            print(f"{name}: {before.get(name, '-')} -> {after.get(name, '-')}")
    if "--write" in sys.argv[1:]:
        table.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
