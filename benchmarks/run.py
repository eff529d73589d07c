"""Time mixeff beside lme4 (and statsmodels), print one table; see README.md in this folder."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cases import CASES, Case  # noqa: E402

Result = dict[str, Any]
# They force OpenBLAS onto kernels of another processor, which no fair comparison should carry.
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def environment(threads: int | None = None) -> dict[str, str]:
    """What a child process sees; ``threads`` for its BLAS, None leaves that to it."""
    child = {k: v for k, v in os.environ.items() if k not in (*UNSET, *THREADS)}
    if threads is not None:
        child |= dict.fromkeys(THREADS, str(threads))
    source = HERE.parent / "src"
    installed = subprocess.run(
        [sys.executable, "-c", "import mixeff"],
        cwd=tempfile.gettempdir(),
        env=child,
        capture_output=True,
        check=False,
    )
    if installed.returncode and source.is_dir():
        child["PYTHONPATH"] = str(source)
    return child


def run_child(command: list[str], env: dict[str, str]) -> Result | None:
    """The JSON a child prints last, or None with its complaint on stderr."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        complaint = done.stderr.strip().splitlines()[-1:] or ["no message"]
        print(f"  failed: {complaint[0]}", file=sys.stderr)
        return None
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def time_mixeff(case: Case, options: argparse.Namespace) -> Result | None:
    """mixeff with its own choice of threads."""
    limits = [str(options.repeats), str(options.budget)]
    command = [sys.executable, str(HERE / "fit_mixeff.py"), case.dataset, case.formula, *limits]
    return run_child(command, environment())


def time_lme4(case: Case, csv: Path, factors: str, options: argparse.Namespace) -> Result | None:
    """lme4 with one and with two BLAS threads, the faster of the two."""
    limits = [str(options.repeats), str(options.budget)]
    script = str(HERE / "fit_lme4.R")
    command = ["Rscript", "--vanilla", script, str(csv), factors, case.formula, *limits]
    best: Result | None = None
    for threads in (1, 2):
        result = run_child([*command, "plain"], environment(threads))
        if result is None:
            return None
        result["threads"] = threads
        if best is None or median(result["seconds"]) < median(best["seconds"]):
            best = result
    if best is not None:
        checked = run_child([*command, "checked"], environment(best["threads"]))
        best["seconds_checked"] = checked["seconds"] if checked else []
    return best


def time_statsmodels(case: Case, options: argparse.Namespace) -> Result | None:
    """statsmodels, where it can fit the same model."""
    if case.statsmodels is None:
        return None
    limits = [str(options.repeats), str(options.budget)]
    script = str(HERE / "fit_statsmodels.py")
    return run_child(
        [sys.executable, script, case.dataset, *case.statsmodels, *limits], environment()
    )


def export(case: Case, folder: Path) -> tuple[Path, str]:
    """The data as CSV for R, and the names of its factor columns."""
    import mixeff as mx

    frame = mx.load_dataset(case.dataset)
    path = folder / f"{case.dataset}.csv"
    frame.to_csv(path, index=False)
    return path, ",".join(c for c in frame if str(frame[c].dtype) == "category")


def has_lme4() -> bool:
    """Whether Rscript and lme4 are there."""
    if shutil.which("Rscript") is None:
        return False
    command = ["Rscript", "--vanilla", "-e", "library(lme4)"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def time_case(case: Case, folder: Path, lme4: bool, options: argparse.Namespace) -> Result:
    """One row of the table."""
    print(f"{case.name} ...", file=sys.stderr)
    row: Result = {"case": case.name, "formula": case.formula}
    row["mixeff"] = time_mixeff(case, options)
    if lme4:
        row["lme4"] = time_lme4(case, *export(case, folder), options)
    if options.statsmodels:
        row["statsmodels"] = time_statsmodels(case, options)
    return row


HEADER = (
    "case", "n", "mixeff s", "lme4 s", "ratio", "lme4 s, checked", "BLAS threads",
    "mixeff log L", "lme4 log L", "difference",
)  # fmt: skip


def cells(row: Result, statsmodels: bool) -> list[str]:
    """One row as text; what was not measured is a dash."""
    ours, theirs = row.get("mixeff"), row.get("lme4")
    out = [row["case"], str(ours["nobs"]) if ours else "-", seconds(ours)]
    out.append(seconds(theirs))
    both = ours is not None and theirs is not None
    ratio = median(theirs["seconds"]) / median(ours["seconds"]) if both else 0.0
    out.append(f"1/{ratio:.1f}" if both else "-")
    out.append(seconds(theirs, "seconds_checked"))
    out.append(str(theirs["threads"]) if theirs else "-")
    out += [f"{r['loglik']:#.12g}" if r else "-" for r in (ours, theirs)]
    out.append(f"{ours['loglik'] - theirs['loglik']:+.1e}" if both else "-")
    if statsmodels:
        other = row.get("statsmodels")
        out += [seconds(other), f"{other['loglik']:#.12g}" if other else "-"]
    return out


def seconds(result: Result | None, key: str = "seconds") -> str:
    """The median, to three digits."""
    return f"{median(result[key]):.3g}" if result and result.get(key) else "-"


def markdown(rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |" for r in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def describe_machine(results: list[Result]) -> str:
    """One line: machine and versions."""
    found = [f"Python {platform.python_version()}", f"{os.cpu_count()} cores", platform.machine()]
    for name in ("mixeff", "lme4", "statsmodels"):
        version = next((r[name]["version"] for r in results if r.get(name)), None)
        if version:
            found.append(f"{name} {version}")
    r_version = next((r["lme4"]["R"] for r in results if r.get("lme4")), None)
    return ", ".join([*found, f"R {r_version}"] if r_version else found)


def parse_options() -> argparse.Namespace:
    """The command line."""
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=names, default=names, metavar="CASE")
    parser.add_argument("--repeats", type=int, default=15, help="fits timed at most (default 15)")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds per case and program")
    parser.add_argument("--no-lme4", action="store_true", help="do not run lme4")
    parser.add_argument("--statsmodels", action="store_true", help="also run statsmodels")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements there")
    return parser.parse_args()


def main() -> None:
    """Run the cases in turn and print the table."""
    options = parse_options()
    lme4 = not options.no_lme4 and has_lme4()
    if not lme4 and not options.no_lme4:
        print("No Rscript with lme4 found: mixeff alone.", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        results = [
            time_case(case, Path(folder), lme4, options)
            for case in CASES
            if case.name in options.cases
        ]
    header = [*HEADER, "statsmodels s", "statsmodels log L"] if options.statsmodels else [*HEADER]
    print(markdown([header, *(cells(row, options.statsmodels) for row in results)]))
    print()
    print(describe_machine(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
