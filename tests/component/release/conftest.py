"""A small project that is released in the lab, as a job of GitHub Actions would."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import dhallmark
from dhallmark.cli.init import Platform, init
from dhallmark.lab.session import Lab, open_lab

SOURCE = "https://github.com/acme/platform"
WORKFLOW = "acme/platform/.github/workflows/release.yml@refs/heads/main"
_GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}


@dataclass(frozen=True, kw_only=True)
class Project:
    """A checkout with what `dhallmark init` writes."""

    folder: Path
    lab: Lab

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env=os.environ | _GIT_IDENTITY, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")

    @property
    def build(self) -> Path:
        return self.folder / "build"

    @property
    def deploy(self) -> Path:
        return self.folder.parent / "deploy"

    def job(self) -> dict[str, str]:
        """The environment of a job that runs on the commit that is checked out."""
        return {
            **self.lab.github_job(claims={"sha": self.git("rev-parse", "HEAD")}),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "acme/platform",
            "GITHUB_WORKFLOW_REF": WORKFLOW,
            "GITHUB_RUN_ID": "7000000001",
            "GITHUB_RUN_ATTEMPT": "1",
        }

    def dhallmark(
        self, *words: str, environment: Mapping[str, str] | None = None, before: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the lab; `before` are words to run it with."""
        pipeline = str(Path(dhallmark.__path__[0]).parent)
        return self.lab.run(
            [*before, sys.executable, "-m", "dhallmark.cli.app", *words],
            cwd=self.folder,
            env={**(self.job() if environment is None else environment), "PYTHONPATH": pipeline},
            check=False,
            timeout=900,
        )

    def release(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Release it, signed by the lab's Sigstore."""
        trust = ["--trust-config", str(self.lab.trust_config())]
        return self.dhallmark("release", *trust, "--output", "json", *words, environment=environment)

    def killed_after(self, seconds: str, *words: str) -> bool:
        """Run a command inside the lab, and kill it and what it started. False where it had ended before."""
        return self.dhallmark(*words, before=["timeout", "--signal=KILL", seconds]).returncode in (137, -9)

    def tool(self, command: Sequence[str | Path], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run another program inside the lab."""
        return self.lab.run(command, cwd=self.folder, check=check)


MakeProject = Callable[..., Project]


@pytest.fixture(scope="session")
def make_project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> MakeProject:
    """Makes projects whose registry is the lab's, each with repositories of its own."""

    def make(*, ci: Platform = Platform.GITHUB, source: str = SOURCE, apart: Lab | None = None) -> Project:
        folder = tmp_path_factory.mktemp("release") / "project"
        name = f"p{secrets.token_hex(6)}"
        used = apart or lab
        init(directory=folder, project=name, source=source, registry=used.registry, ci=ci, plain_http=True)
        project = Project(folder=folder, lab=used)
        project.git("init", "--quiet", "--initial-branch", "main")
        project.commit()
        return project

    return make


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """A new project."""
    return make_project()


@pytest.fixture(scope="module")
def lab_apart() -> Iterator[Lab]:
    """A lab of their own for tests that stop services: a registry forgets what others have pushed to it."""
    with tempfile.TemporaryDirectory(prefix="dhallmark-lab-") as folder, open_lab(Path(folder) / "lab") as running:
        yield running


@pytest.fixture
def project_apart(make_project: MakeProject, lab_apart: Lab) -> Project:
    """A new project in that lab."""
    return make_project(apart=lab_apart)


@pytest.fixture(scope="module")
def released(make_project: MakeProject) -> Project:
    """A project that was released with a deploy tree. Tests only look at it."""
    project = make_project()
    done = project.release("--deploy", str(project.deploy))
    assert done.returncode == 0, done.stderr
    return project
