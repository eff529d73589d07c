"""Write tests/work/counts.json anew and print what changed.

python scripts/count_work.py            show the changes only
python scripts/count_work.py --write    and write the table
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.work import TABLE, measure_all  # noqa: E402


def flat(table: dict[str, Any], path: str = "") -> dict[str, int]:
    """Nested tables as one, names joined by slashes."""
    out: dict[str, int] = {}
    for key, value in table.items():
        name = f"{path}/{key}" if path else key
        out |= flat(value, name) if isinstance(value, dict) else {name: value}
    return out


def main() -> None:
    """Count, compare, write."""
    found = measure_all()
    before = flat(json.loads(TABLE.read_text(encoding="utf-8"))) if TABLE.exists() else {}
    after = flat(found)
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            print(f"{name}: {before.get(name, '-')} -> {after.get(name, '-')}")
    if "--write" in sys.argv[1:]:
        TABLE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
