"""The tutorial: a page whose every number comes out of the code it shows."""

from __future__ import annotations

from mixeff.tutorial.write import as_markdown, as_text, run_tutorial, write_tutorial

__all__ = ["as_markdown", "as_text", "run_tutorial", "write_tutorial"]
