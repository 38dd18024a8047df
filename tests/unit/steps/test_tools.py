"""The tools that the provenance names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhallmark.errors import ToolError
from dhallmark.render.closure import load_closure
from dhallmark.steps.tools import tool_versions


@pytest.mark.parametrize("templated", [False, True])
def test_helm_is_named_where_a_chart_is_templated(
    make_small_release: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, templated: bool
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "helm").write_text('#!/bin/sh\n[ "$1" = version ] && echo v3.22.0\n')
    (programs / "helm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    small = make_small_release(tmp_path, templated=templated)
    found = tool_versions(load_closure(small.build), small.plan.config)
    assert found["dhall"] == "1.42.1"
    assert found.get("helm") == ("v3.22.0" if templated else None)


@pytest.mark.parametrize("script", [None, "#!/bin/sh\nexit 1\n"], ids=["missing", "failing"])
def test_a_helm_that_does_not_say_its_version_is_an_error(
    make_small_release: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    if script is not None:
        (programs / "helm").write_text(script)
        (programs / "helm").chmod(0o755)
    small = make_small_release(tmp_path, templated=True)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(ToolError):
        tool_versions(load_closure(small.build), small.plan.config)
