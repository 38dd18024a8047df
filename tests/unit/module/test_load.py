"""Loading the module is what an engine does at every call, so it must stay light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = Path(__file__).parents[3] / "pipeline"
HEAVY = ("sigstore", "in_toto", "oras", "cyclopts", "rich.console", "cryptography", "tuf", "re2")
_PROGRAM = """
import sys
import dagger
before = set(sys.modules)
import dhallmark.module
print("\\n".join(sorted(set(sys.modules) - before)))
"""


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    """The modules that `import dhallmark.module` adds to those of dagger itself."""
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={"PYTHONPATH": str(PIPELINE), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return run.stdout.split()


@pytest.mark.parametrize("package", HEAVY)
def test_no_heavy_library_is_loaded(loaded: list[str], package: str) -> None:
    assert not [name for name in loaded if name == package or name.startswith(f"{package}.")]


def test_of_dhallmark_only_the_functions_and_the_typed_configuration_are_loaded(loaded: list[str]) -> None:
    own = {name for name in loaded if name.partition(".")[0] == "dhallmark"}
    # What the models are typed with: the standard library alone stands below these.
    typed = {"digest", "errors", "identity", "statement", "strictjson"}
    allowed = {"dhallmark", *(f"dhallmark.{name}" for name in typed)}
    assert {name for name in own - allowed if name.split(".")[1] not in {"module", "config"}} == set()
    assert "dhallmark.module.main" in own


def test_what_git_ignores_is_not_uploaded_with_the_module() -> None:
    """Results of earlier runs and caches of tools: hundreds of megabytes, and every change of them another module."""
    root = PIPELINE.parent
    left_out = {line.removeprefix("!") for line in json.loads((root / "dagger.json").read_text())["include"]}
    ignored = {line.strip("/") for line in (root / ".gitignore").read_text().splitlines() if line.endswith("/")}
    # What the SDK generates is the module's.
    assert {f"**/{name}" if name == "__pycache__" else name for name in ignored - {"sdk", "*.egg-info"}} <= left_out
    assert {"tests", "docs", "examples", "bench"} <= left_out
