"""No allocation in the loop over theta: counted by a preloaded malloc, in a process of its own.

What is left per evaluation is what a call from Python costs: argument lists of small matrices and
results of a few numbers. The derivatives pass some arrays of one row per level through NumPy; the
compiled kernels themselves must not allocate for them either.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CASES = ("slopes", "movielens", "vectors")

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("g++") is None,
    reason="needs glibc and g++",
)


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    library = tmp_path_factory.mktemp("counter") / "libcounter.so"
    source = HERE / "allocations.cpp"
    command = ["g++", "-O2", "-shared", "-fPIC", "-o", str(library), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.skip(f"the counter does not build here (glibc only): {built.stderr[:200]}")
    return library


def count(counter, name, scale):
    environment = os.environ | {"LD_PRELOAD": str(counter), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "loop_allocations.py"), name, str(scale)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=CASES)
def sizes(request, counter):
    """The counts of one model and of the same with twice the rows and levels."""
    return count(counter, request.param, 1), count(counter, request.param, 2)


def test_the_counter_sees_allocations(sizes):
    assert all(size["hessian"]["calls"] > 0 for size in sizes)


def test_the_criterion_allocates_nothing_that_grows(sizes):
    one, two = sizes
    assert two["levels"][0] > one["levels"][0]
    assert two["value"]["large"] == 0
    # A call's Python objects vary by one or two with the state of the interpreter's free lists.
    assert two["value"]["calls"] <= one["value"]["calls"] + 3
    assert two["value"]["bytes"] <= one["value"]["bytes"] + 1024


@pytest.mark.parametrize("part", ["value", "gradient", "hessian"])
def test_the_kernels_allocate_nothing_per_level(sizes, part):
    for size in sizes:
        found = size[part]
        assert found["own"] <= 40, found
        # Small matrices by value, and at most one number per column of the dense tail.
        assert found["own_bytes"] <= 4096 + 8 * size["tail"], found
