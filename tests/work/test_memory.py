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
import numpy as np
import pandas as pd
import mixeff as mx
from memory import peak_above, reset_peak
from simulated import groups

columns = groups()
frame = pd.DataFrame({k: pd.Categorical(v) if v.dtype.kind in "iu" else v
                      for k, v in columns.items()})
del columns
data = int(frame.memory_usage(index=False).sum())
small = {"y": np.arange(8.0) ** 2, "g": np.repeat(["a", "b", "c", "d"], 2)}
mx.lmer("y ~ 1 + (1 | g)", small)
before = reset_peak()
fit = mx.lmer("y ~ x1 + x2 + x3 + x4 + (x1 | g)", frame, control=mx.Control(threads=1))
print(json.dumps({"data": data / 2**20, "peak": peak_above(before), "ok": fit.convergence.ok}))
"""

# The model matrix alone (5 columns with the intercept) is 38 of the data's 43 MB; the response, the
# random-effects columns, codes, fitted values and the sorted order of rows make two data sets more.
TIMES_THE_DATA = 4.0


def test_a_million_rows_peak_below_a_multiple_of_the_data():
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(BENCHMARKS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["ok"]
    assert found["peak"] <= TIMES_THE_DATA * found["data"], found
