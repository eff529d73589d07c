"""Every Python block of README and docs runs and prints what the page shows below it."""

from __future__ import annotations

import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
doc_blocks = importlib.import_module("doc_blocks")
same_output = doc_blocks.same_output

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PICTURES = ("caterpillar", "facet_lines", "qq", "residuals_vs_fitted")
WITH_EXAMPLES = (
    "mixeff.datasets.catalogue",
    "mixeff.datasets.loading",
    "mixeff.plots.data",
    *(f"mixeff.plots.{name}" for name in PICTURES),
)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run_and_print_what_the_page_shows(page):
    for block in doc_blocks.run_blocks(page.read_text(encoding="utf-8")):
        assert block.shown is None or same_output(block.shown, block.output), (
            f"{page.name} shows\n{block.shown}\nbut the code prints\n{block.output}\n"
            "If the new output is right: python scripts/build_docs.py"
        )


def test_pages_speak_of_pages_that_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstring_examples(name):
    # The attribute of the package may be a function of the same name: take the module itself.
    importlib.import_module(name)
    failed, tried = doctest.testmod(sys.modules[name], optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried > 0
    assert failed == 0


def test_reference_pages_are_up_to_date():
    docs = importlib.import_module("build_docs")
    made = {name: docs.page_of(name, value) for name, value in docs.public_names().items()}
    folder = ROOT / "docs" / "reference"
    kept = {page.stem: page.read_text(encoding="utf-8") for page in folder.glob("*.md")}
    kept.pop("index")
    stale = sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))
    assert not stale, f"out of date: {stale}. Run python scripts/build_docs.py reference"


def test_data_page_is_up_to_date():
    data_page = importlib.import_module("build_docs").data_page
    assert (ROOT / "docs" / "data.md").read_text(encoding="utf-8") == data_page()


def test_comparison_of_outputs_notices_what_it_should():
    # The checks above are worth what same_output is worth.
    assert same_output("a 1.00000001 (6 evaluations, gain 1e-9)", "a 1.0 (9 evaluations, gain 0)")
    assert not same_output("a 1.001", "a 1.0")
    assert not same_output("a 1.0", "b 1.0")
    assert not same_output("1 2", "1")
