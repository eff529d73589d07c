"""Put the measured tables between the markers of docs/performance.md (and README.md).

    python benchmarks/page.py

A page holds ``<!-- measured: NAME -->`` ... ``<!-- end -->``; what stands between becomes the
table NAME: ``times``, ``fits``, ``about``, ``growth``, ``work`` or ``coverage``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

from run import busiest  # noqa: E402
from table import agreements, digest, fits_table, markdown, times_table  # noqa: E402

PAGES = (ROOT / "docs" / "performance.md", ROOT / "docs" / "which-test.md", ROOT / "README.md")
MARKED = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def about(record: dict[str, Any]) -> str:
    """Machine, versions, what else ran, what is not met."""
    parts = ", ".join(f"{k} {v}" for k, v in record["machine"].items())
    lines = [f"Measured with: {parts}. {busiest(record['rows'])} {record['note']}".strip()]
    missed = [(d["title"], d["verdicts"]) for d in map(digest, record["rows"]) if d["verdicts"]]
    if missed:
        lines += ["", "Not met:", ""]
        lines += [f"- {title}: {'; '.join(why)}." for title, why in missed]
    for sentence in agreements(record["rows"]):
        lines += ["", sentence]
    for row in record["rows"]:
        if row.get("remark"):
            lines += ["", row["remark"]]
        for name, result in row["peers"].items():
            if "failed" in result:
                lines += ["", f"{name} gave no result for {row['title']}: {result['failed']}"]
    return "\n".join(lines)


def growth(record: dict[str, Any]) -> str:
    """Seconds by size, and the exponents over the three largest sizes."""
    names = {
        "one_factor": "groups of one factor, 10 rows each",
        "two_crossed": "smaller of two crossed factors (the larger: 6,000)",
        "rows_only": "rows, 1,000 groups",
    }
    lines = [["what grows", "from", "to", "evaluation s", "power", "cross-products s", "power"]]
    for key, name in names.items():
        first, last = record[key][0], record[key][-1]
        powers = [record["exponents"][f"{key}, {k}"] for k in ("evaluation", "products")]
        lines.append([
            name, f"{first['size']:,.0f}", f"{last['size']:,.0f}",
            f"{first['evaluation']:.2g} to {last['evaluation']:.2g}", f"{powers[0]:.1f}",
            f"{first['products']:.2g} to {last['products']:.2g}", f"{powers[1]:.1f}",
        ])  # fmt: skip
    return markdown(lines)


def coverage(record: dict[str, Any]) -> str:
    """Sizes of tests and coverage of intervals, a table per design."""
    parts: list[str] = []
    for design in record["designs"].values():
        names = list(dict.fromkeys(n for by in design["coverage"].values() for n in by))
        lines = [["method", f"rejects a true `{design['tested']} = 0`", *(f"`{n}`" for n in names)]]
        for method in dict.fromkeys([*design["size"], *design["coverage"]]):
            held = design["coverage"].get(method, {})
            size = design["size"].get(method)
            cells = [f"{held[n]:.1f} %" if n in held else "-" for n in names]
            lines.append([method, "-" if size is None else f"{size:.1f} %", *cells])
        error = 100 * (0.05 * 0.95 / design["data_sets"]) ** 0.5
        parts += [
            f"**{design['title']}**: `{design['formula']}`, {design['data_sets']:,} data sets, "
            f"{design['singular']:,} of them with a singular fit. Tests at 5 %, intervals at 95 %; "
            f"a percentage that should be 5 or 95 has a standard error of {error:.2f}.",
            markdown(lines),
        ]
    return "\n\n".join(parts)


def work(counts: dict[str, Any], instructions: dict[str, Any]) -> str:
    """The numbers the checks in tests/work hold, in a sentence each."""
    evaluations = sorted(counts["reference"].values())
    lines = [
        f"- {len(evaluations)} reference models: {median(evaluations):g} evaluations in the "
        f"median, {evaluations[0]} to {evaluations[-1]}."
    ]
    if counts.get("generalized"):
        found = sorted(counts["generalized"].values())
        lines.append(
            f"- {len(found)} generalized models: {median(found):g} evaluations in the median, "
            f"{found[0]} to {found[-1]}."
        )
    for name, found in counts["simulated"].items():
        lines.append(
            f"- small version of `{name}`: {found['evaluations']} evaluations, "
            f"{found['bytes'] / 2**20:.1f} MB in the system and one factor."
        )
    for name, count in instructions["counts"].items():
        verb = "glmer" if name.startswith("cbpp") else "lmer"
        what = f"a whole `{verb}` call" if name.endswith("call") else "one evaluation"
        millions = f"{count / 1e6:.1f} million instructions"
        lines.append(f"- {name.removesuffix(' call')}, {what}: {millions}.")
    return "\n".join(lines)


def blocks() -> dict[str, str]:
    """Every table there are results for."""
    found: dict[str, str] = {}
    results = HERE / "results" / "latest.json"
    if results.exists():
        record = json.loads(results.read_text(encoding="utf-8"))
        found["times"] = times_table(record["rows"])
        found["fits"] = fits_table(record["rows"])
        found["about"] = about(record)
    grown = ROOT / "docs" / "growth.json"
    if grown.exists():
        found["growth"] = growth(json.loads(grown.read_text(encoding="utf-8")))
    simulated = ROOT / "docs" / "coverage.json"
    if simulated.exists():
        found["coverage"] = coverage(json.loads(simulated.read_text(encoding="utf-8")))
    tables = [ROOT / "tests" / "work" / f"{name}.json" for name in ("counts", "instructions")]
    found["work"] = work(*(json.loads(t.read_text(encoding="utf-8")) for t in tables))
    return found


def main() -> None:
    """Replace what stands between the markers."""
    measured = blocks()

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}{measured[match[2]]}\n{match[3]}" if match[2] in measured else match[0]

    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(MARKED.sub(fill, text), encoding="utf-8")


if __name__ == "__main__":
    main()
