"""Child processes: one measurement each, with a known environment."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve().parent
Result = dict[str, Any]
# They force OpenBLAS onto kernels of another processor, which no fair comparison should carry.
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def environment(threads: int | None = None, preload: str | None = None) -> dict[str, str]:
    """What a child sees; ``threads`` for its BLAS (None: its own choice), libraries put first."""
    child = {k: v for k, v in os.environ.items() if k not in (*UNSET, *THREADS)}
    child["PYTHONPATH"] = str(HERE)
    if threads is not None:
        child |= dict.fromkeys(THREADS, str(threads))
    if preload:
        child["LD_PRELOAD"] = preload
    return child


def run(command: list[str], spec: Result, env: dict[str, str], timeout: float) -> Result:
    """What the child prints last, with the load others put on the machine; or why it failed."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(spec, file)
    begin, busy, own = perf_counter(), _busy_seconds(), _child_seconds()
    try:
        child = subprocess.Popen(
            [*command, file.name],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            return {"failed": f"not done after {timeout:.0f} s", "timeout": timeout}
    finally:
        Path(file.name).unlink()
    if child.returncode:
        complaint = err.strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        return {"failed": complaint[0][:200]}
    result: Result = json.loads(out.strip().splitlines()[-1])
    wall = perf_counter() - begin
    if busy is not None:
        others = (_busy_seconds() or 0.0) - busy - (_child_seconds() - own)
        result["others_load"] = round(max(0.0, others / wall), 2)
    return result


def _busy_seconds() -> float | None:
    """Processor seconds the whole machine has worked so far (Linux)."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    fields = [int(v) for v in stat.read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _, _, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _child_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def mixeff(spec: Result, timeout: float) -> list[Result]:
    """mixeff with one and with two threads."""
    command = [sys.executable, str(HERE / "fit_mixeff.py")]
    counts = (1,) if spec["kind"] == "bootstrap" else (1, 2)
    return [
        run(command, spec | {"threads": t}, environment(), timeout) | {"threads": t} for t in counts
    ]


def lme4(spec: Result, timeout: float, preload: str | None) -> list[Result]:
    """lme4 with one and, where its BLAS has threads, with two BLAS threads."""
    command = ["Rscript", "--vanilla", str(HERE / "fit_lme4.R")]
    found: list[Result] = []
    for threads in (1, 2):
        result = run(command, spec, environment(threads, preload), timeout)
        found.append(result | {"threads": threads})
        blas = result.get("blas", "").lower()
        if blas and not any(name in blas for name in ("openblas", "mkl", "blis", "atlas")):
            break  # the reference BLAS has no threads
    return found


def has_lme4() -> bool:
    """Whether Rscript, lme4 and jsonlite are there."""
    if shutil.which("Rscript") is None:
        return False
    command = ["Rscript", "--vanilla", "-e", "library(lme4); library(jsonlite)"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def installed(python: str, package: str) -> bool:
    """Whether ``package`` can be imported by the interpreter of the peers."""
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"
    done = subprocess.run([python, "-c", code], capture_output=True, check=False)
    return done.returncode == 0


def peer(python: str, spec: Result, timeout: float) -> Result:
    """Another Python package."""
    return run([python, str(HERE / "fit_peer.py")], spec, environment(), timeout)
