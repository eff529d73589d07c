"""Instructions counted by callgrind: the same on a busy machine as on an idle one."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import scipy

HERE = Path(__file__).resolve().parents[1] / "work"
TABLE = HERE / "instructions.json"
CASES = ("sleepstudy call", "cbpp call", "slopes", "movielens", "vectors")


def can_count() -> str | None:
    """Why instructions cannot be counted here; None when they can."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    if shutil.which("gcc") is None:
        return "gcc is not installed"
    if not Path("/usr/include/valgrind/callgrind.h").exists():
        return "valgrind's headers are not installed"
    return None


def setting() -> dict[str, str]:
    """What instruction counts depend on besides our own code."""
    compiler = subprocess.run(
        ["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True
    )
    return {
        "gcc": compiler.stdout.strip(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def count_instructions(folder: Path, cases: tuple[str, ...] = CASES) -> dict[str, int]:
    """Instructions of one call per case, after two calls to warm up; ``folder`` is scratch."""
    shim = folder / "libinstructions.so"
    source = HERE / "count_instructions.c"
    build = ["gcc", "-O1", "-shared", "-fPIC", "-o", str(shim), str(source)]
    subprocess.run(build, capture_output=True, check=True)
    command = [
        "valgrind", "--tool=callgrind", "--instr-atstart=no",
        f"--callgrind-out-file={folder / 'counts'}",
        sys.executable, str(HERE / "instructions_child.py"), str(shim), *cases,
    ]  # fmt: skip
    environment = os.environ | {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, int] = {}
    for file in folder.glob("counts.*"):
        text = file.read_text(encoding="utf-8", errors="replace")
        name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
        total = re.search(r"^totals: (\d+)$", text, re.M)
        if name and total:
            found[name.group(1)] = int(total.group(1))
    return found
