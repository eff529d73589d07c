"""Peak memory of big fits, in a process of its own (Linux, slow)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux only"),
    pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="benchmarks/ is not part of this copy"),
]

# What the data take: five doubles and a 4-byte code in each of 1e6 rows are 44 MB.
CHILD = """
import json, sys
sys.path.insert(0, sys.argv[1])
import pandas as pd
import fit_mixeff, simulated
import mixeff as mx
from memory import peak_above, reset_peak

maker, formula, arguments = json.loads(sys.argv[2])
columns = getattr(simulated, maker)(**arguments)
frame = pd.DataFrame({k: pd.Categorical(v) if v.dtype.kind in "iu" else v
                      for k, v in columns.items()})
del columns
data = int(frame.memory_usage(index=False).sum())
fit_mixeff.warm("")
before = reset_peak()
fit = mx.lmer(formula, frame, control=mx.Control(threads=1))
print(json.dumps({"data": data / 2**20, "peak": peak_above(before), "ok": fit.convergence.ok}))
"""

# The model matrix alone (5 columns with the intercept) is 38 of the data's 43 MB; the response, the
# random-effects columns, codes, fitted values and the sorted order of rows make two data sets more.
TIMES_THE_DATA = 4.0
# Peak of a fit in squares of its dense tail; two squares at a time would be above two.
BESIDE = 1.9


def measured(maker: str, formula: str, arguments: dict[str, object]) -> dict[str, float]:
    """Megabytes of the data and of the peak above them, in a process of its own."""
    spec = json.dumps([maker, formula, arguments])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(BENCHMARKS), spec],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["ok"]
    return found


def test_a_million_rows_peak_below_a_multiple_of_the_data():
    found = measured("groups", "y ~ x1 + x2 + x3 + x4 + (x1 | g)", {})
    assert found["peak"] <= TIMES_THE_DATA * found["data"], found


def test_three_crossed_vectors_hold_one_square():
    """2003 dense columns: S, its factor and its inverse share 31 MB; a second square would show."""
    found = measured(
        "crossed_vectors",
        "y ~ x + (x | a) + (x | b) + (x | c)",
        {"rows": 50_000, "levels": [200, 800, 8000]},
    )
    square = 2003**2 * 8 / 2**20
    # Beside it the rows of the largest factor twice and its index: half a square for these data.
    assert found["peak"] <= BESIDE * square, found


def test_crossed_intercepts_hold_one_square():
    """As InstEval: 1501 dense columns of two factors are 17 MB."""
    found = measured(
        "movielens_like",
        "rating ~ 1 + (1 | user) + (1 | item)",
        {"rows": 40_000, "users": 3000, "items": 1500},
    )
    assert found["peak"] <= BESIDE * (1502**2 * 8 / 2**20), found


def test_the_maximal_model_needs_little():
    """72 parameters: squares of 265 columns (0.5 MB), of which five were once alive at a time."""
    found = measured(
        "maximal_crossed", "y ~ x1 * x2 * x3 + (x1 * x2 * x3 | s) + (x1 * x2 * x3 | i)", {}
    )
    assert found["peak"] <= 9.0, found  # 7.2 when written; with a square per evaluation 10 and more
