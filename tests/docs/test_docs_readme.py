"""README's two commands, and CI running the very same ones."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```sh\n(.*?)\n```", readme, re.DOTALL)


def test_readme_has_exactly_two_commands():
    first, second = commands()
    assert first.endswith(".venv/bin/mixeff tutorial --out tutorial-out")
    assert second.endswith(".venv-test/bin/pytest")
    assert all(
        command.startswith("python3 -m venv ") and "\n" not in command for command in commands()
    )


def test_ci_takes_its_commands_from_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "set -euo pipefail" in script
    # CI reads both lines out of README.md at run time: nothing to keep in step by hand.
    assert "readme_command 1" in script
    assert "readme_command 2" in script
    assert not any(command in script for command in commands())


def test_the_extras_readme_installs_exist():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    asked = set(re.findall(r"\.\[(\w+)\]", "\n".join(commands())))
    assert asked == {"tutorial", "test"}
    assert asked <= extras
