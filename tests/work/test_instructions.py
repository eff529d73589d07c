"""Instructions per call, counted by callgrind, must not rise (tests/work/instructions.json).

Calls of ``lmer`` and ``glmer`` on data of sleepstudy's and cbpp's shape, Python included; one
evaluation with derivatives of small versions of the benchmarks. Counts depend on compiler and
versions: elsewhere than where the table was made the test is skipped. Repeated counts agree to
0.1 %; 3 % are left for the heap.
"""

from __future__ import annotations

import json

import pytest

from support.instructions import CASES, TABLE, can_count, count_instructions, setting

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    why = can_count()
    if why:
        pytest.skip(why)
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    if table["setting"] != setting():
        pytest.skip(f"the table was made with {table['setting']}, here is {setting()}")
    return table["counts"], count_instructions(tmp_path_factory.mktemp("instructions"))


@pytest.mark.parametrize("case", CASES)
def test_instructions(counts, case):
    before, now = counts
    assert now[case] <= 1.03 * before[case], (
        "If the rise is meant and worth it: python scripts/count_work.py --instructions --write"
    )
