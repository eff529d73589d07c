"""Time mixeff beside lme4 and other Python packages; see README.md in this folder."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import children  # noqa: E402
from cases import CASES, Case, frame_of, responses_of  # noqa: E402
from exchange import write_frame  # noqa: E402
from table import agreements, digest, fits_table, times_table  # noqa: E402

Row = dict[str, Any]
PEERS = ("glmm", "mixedlm", "statsmodels")


def time_case(case: Case, folder: Path, options: argparse.Namespace) -> Row:
    """One row: the numbers are written once, and every program reads them."""
    frame = frame_of(case, options.quick)
    responses = responses_of(case, frame, options.quick)
    write_frame(frame, folder, responses)
    spec: Row = {"folder": str(folder), "formula": case.formula, "kind": case.kind}
    spec |= {"limits": [options.repeats, options.budget], "once": options.r_once}
    spec |= {"family": case.family, "nodes": case.lme4_nodes, "work": case.work}
    row: Row = {"case": case.name, "title": case.title, "formula": case.formula}
    row |= {"kind": case.kind, "asked": case.asked, "beats_peer": case.beats_peer}
    row |= {"against": case.against, "family": case.family, "remark": case.remark}
    row["lme4_nodes"] = case.lme4_nodes
    row |= {"load_average": os.getloadavg(), "measured": now(), "revision": revision()}
    row["mixeff"] = children.mixeff(spec, options.timeout)
    spec["theta"] = next((r["theta"] for r in row["mixeff"] if "theta" in r), None)
    if options.lme4 and (case.kind != "evaluation" or spec["theta"]):
        limits = [5, options.budget] if case.kind == "evaluation" else spec["limits"]
        r_spec = spec | {"limits": limits, "replicates": 20 if options.quick else 100}
        row["lme4"] = children.lme4(r_spec, options.timeout, options.r_blas)
    row["peers"] = {}
    wanted = (*case.peers, "statsmodels") if case.statsmodels else case.peers
    for name in (p for p in wanted if p in options.peers):
        peer_spec = spec | {"peer": name, "statsmodels": case.statsmodels}
        peer_spec["stated"] = case.stated.get(name)
        seconds = max(options.peer_timeout, case.patience.get(name, 0.0))
        row["peers"][name] = children.peer(options.peer_python, peer_spec, seconds)
    for file in folder.iterdir():
        file.unlink()
    return row


def machine(rows: list[Row]) -> dict[str, str]:
    """What the numbers were measured with."""
    found = {"processor": _processor(), "cores": str(os.cpu_count())}
    found |= {"system": platform.platform(), "Python": platform.python_version()}
    for package in ("numpy", "scipy", "pandas"):
        found[package] = __import__(package).__version__
    for row in rows:
        ours = next((r for r in row["mixeff"] if "version" in r), {})
        theirs = next((r for r in row.get("lme4") or [] if "version" in r), {})
        found |= {"mixeff": ours["version"]} if ours else {}
        if theirs:
            found |= {"lme4": theirs["version"], "R": theirs["R"]}
            found |= {"BLAS of R": Path(theirs["blas"]).name}
        found |= {k: r["version"] for k, r in row["peers"].items() if "version" in r}
    times = sorted({row["measured"] for row in rows})
    if times:
        found["measured"] = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
    found["revisions"] = " ".join(dict.fromkeys(row["revision"] for row in rows))
    return found


def now() -> str:
    """The minute, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def revision() -> str:
    """The commit the tree stands at, with a plus sign when files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def busiest(rows: list[Row]) -> str:
    """A sentence on what else ran: cores others kept busy during the measurements."""
    loads = [
        r["others_load"]
        for row in rows
        for r in [*row["mixeff"], *(row.get("lme4") or []), *row["peers"].values()]
        if "others_load" in r
    ]
    if not loads:
        return "The load of other processes was not measured."
    mean = sum(loads) / len(loads)
    return (
        f"Other processes kept {mean:.2f} of {os.cpu_count()} cores busy on average while "
        f"a measurement ran, {max(loads):.2f} at most."
    )


def report(rows: list[Row], note: str) -> str:
    """The Markdown page."""
    about = ", ".join(f"{k} {v}" for k, v in machine(rows).items())
    missed = [(d["title"], d["verdicts"]) for d in map(digest, rows) if d["verdicts"]]
    lines = [times_table(rows), "", fits_table(rows), "", about + ".", busiest(rows)]
    lines += [note] if note else []
    lines += [row["remark"] for row in rows if row.get("remark")]
    lines += agreements(rows)
    for row in rows:
        for name, result in row["peers"].items():
            if "failed" in result:
                lines.append(f"{name} on {row['case']}: {result['failed']}.")
    lines += [f"Not met: {title}: {'; '.join(why)}." for title, why in missed]
    return "\n".join(lines) + "\n"


def parse_options() -> argparse.Namespace:
    """The command line."""
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(names))
    parser.add_argument("--merge", action="store_true", help="keep the rows of other cases")
    parser.add_argument("--quick", action="store_true", help="small versions of simulated data")
    parser.add_argument("--skip-r", action="store_true", help="do not run lme4")
    parser.add_argument("--r-once", action="store_true", help="one lme4 fit per setting")
    parser.add_argument("--r-blas", metavar="LIBRARY", help="BLAS put before R's own")
    parser.add_argument("--skip-peers", action="store_true", help="no other Python packages")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter with the peers")
    parser.add_argument("--repeats", type=int, default=30, help="fits timed at most (default 30)")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds per measurement")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds allowed to a child")
    parser.add_argument("--peer-timeout", type=float, default=120.0, help="the same for peers")
    parser.add_argument("--note", default="", help="a sentence to put below the table")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the results")
    options = parser.parse_args()
    unknown = set(options.cases) - set(names)
    if unknown:
        parser.error(f"no case named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    options.cases = options.cases or names
    options.lme4 = not options.skip_r and children.has_lme4()
    if not options.lme4 and not options.skip_r:
        print("No Rscript with lme4 and jsonlite found: mixeff alone.", file=sys.stderr)
    found = [p for p in PEERS if children.installed(options.peer_python, p)]
    options.peers = () if options.skip_peers else tuple(found)
    return options


def main() -> None:
    """Run the cases in turn, print the table, write it beside all measurements."""
    options = parse_options()
    rows: list[Row] = []
    stem = "quick" if options.quick else "latest"
    options.out.mkdir(parents=True, exist_ok=True)
    order = [case.name for case in CASES]
    if options.merge and (options.out / f"{stem}.json").exists():
        before = json.loads((options.out / f"{stem}.json").read_text(encoding="utf-8"))["rows"]
        rows = [row for row in before if row["case"] not in options.cases]
    with tempfile.TemporaryDirectory() as folder:
        for case in (c for c in CASES if c.name in options.cases):
            print(f"{case.name} ...", file=sys.stderr, flush=True)
            rows.append(time_case(case, Path(folder), options))
            rows.sort(key=lambda row: order.index(row["case"]))
            # Written after every case: a long run that is stopped leaves what it has.
            record = {"machine": machine(rows), "rows": rows, "note": options.note}
            text = json.dumps(record, indent=1) + "\n"
            (options.out / f"{stem}.json").write_text(text, encoding="utf-8")
            (options.out / f"{stem}.md").write_text(report(rows, options.note), encoding="utf-8")
    print(report(rows, options.note))


if __name__ == "__main__":
    main()
