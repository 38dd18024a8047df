"""A release that tests look at, and the auditor's command line in this process."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.component.audit.releases import HONEST, Lie, Maker

from dhallmark.cli.app import run


@dataclass(frozen=True)
class Said:
    """What a command said."""

    status: int
    body: dict[str, Any]
    """The result, or the error."""

    @property
    def audit(self) -> dict[str, Any]:
        """The one audit."""
        (found,) = self.body["audits"]
        assert isinstance(found, dict)
        return found

    @property
    def verdict(self) -> tuple[str, str, str | None]:
        """How the one artifact compares, the outcome, and the reason."""
        verdict = self.audit["verdict"]
        return self.audit["sameness"], verdict["outcome"], verdict.get("reason")


Command = Callable[..., Said]


@pytest.fixture(scope="session")
def command() -> Command:
    """Runs `dhallmark WORDS --output json`."""

    def call(*words: object) -> Said:
        stdout, stderr = io.StringIO(), io.StringIO()
        status = run([*map(str, words), "--output", "json"], stdout=stdout, stderr=stderr)
        return Said(int(status), json.loads(stdout.getvalue() or stderr.getvalue()))

    return call


@pytest.fixture(scope="session")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """A project that was built. Not to be changed."""
    made = Maker.new(tmp_path_factory.mktemp("audit"))
    made.make()
    return made


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where rebuilds are kept that several tests may share."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def audit(maker: Maker, command: Command, work: Path, tmp_path: Path) -> Callable[..., Said]:
    """Publishes the chart `greeter` of `prod` with a lie, and audits it by the auditor's policy."""

    def call(*words: object, lie: Lie = HONEST) -> Said:
        layout = tmp_path / "layout"
        maker.publish(layout, maker.artifact(), lie=lie)
        return command("audit", layout, "--policy", maker.policy, "--work", work, *words)

    return call
