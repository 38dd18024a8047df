"""A small project in a Git repository, released by the real commands."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import dhallmark
from dhallmark.lab.session import Lab

REPOSITORY = "https://github.com/acme/platform"
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yml@refs/heads/main"
_ISSUER = "https://token.actions.githubusercontent.com"
_TIME = "1700000000 +0000"

_FILES = {
    "dhallmark.yaml": """\
schemaVersion: 1
project: platform
version: 1.2.3
source: {{repository: {repository}}}
layers: [base]
environments:
  dev: {{values: environments/dev.dhall}}
  prod: {{values: environments/prod.dhall}}
applications:
  api: {{entry: apps/api.dhall, layer: base, chart: {{values: charts/api.yaml}}}}
  web: {{entry: apps/web.dhall, layer: base, environments: [dev]}}
publish:
  registry: {registry}
  repository: {name}/live
  staging: {name}/staging
  plainHttp: true
policy: policy.yaml
""",
    "policy.yaml": """\
schemaVersion: 1
identities:
  release: {{issuer: {issuer}, subject: {workflow}}}
statements:
  - {{predicateType: https://sigstore.dev/cosign/sign/v1, identities: [release]}}
  - {{predicateType: https://slsa.dev/provenance/v1, identities: [release]}}
  - predicateType: https://in-toto.io/attestation/link/v0.3
    identities: [release]
    steps: [resolve, render, package, publish]
source: {{repository: {repository}}}
builders: [{workflow}]
""",
    "environments/dev.dhall": "{{ replicas = 1 }}\n",
    "environments/prod.dhall": "{{ replicas = 3 }}\n",
    "lib/config.dhall": """\
\\(name : Text) -> \\(replicas : Natural) ->
  {{ apiVersion = "v1", kind = "ConfigMap", metadata.name = name, data.replicas = Natural/show replicas }}
""",
    "apps/web.dhall": '\\(env : {{ replicas : Natural }}) -> [ ../lib/config.dhall "web" env.replicas ]\n',
    "apps/api.dhall": '\\(env : {{ replicas : Natural }}) -> [ ../lib/config.dhall "api" env.replicas ]\n',
    "charts/api.yaml": "debug: false\n",
    "README.md": "Not part of the release.\n",
    ".gitignore": "/build/\n",
}


@dataclass(frozen=True, slots=True)
class Project:
    """A project, and the `dhallmark` commands on it, in the lab."""

    root: Path
    lab: Lab
    repository: str = REPOSITORY
    workflow: str = WORKFLOW

    @property
    def build(self) -> Path:
        return self.root / "build"

    def git(self, *arguments: str) -> str:
        environment = {"GIT_AUTHOR_DATE": _TIME, "GIT_COMMITTER_DATE": _TIME, "PATH": os.environ["PATH"], "HOME": "/"}
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "safe.directory=*")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.root, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def run(
        self, *words: str, env: dict[str, str] | None = None, build: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One command line; options that name project and build directory are added."""
        head, *rest = words
        position = 1 if head == "step" else 0
        options = ("--config", str(self.root / "dhallmark.yaml"), "--build", str(build or self.build))
        source = Path(dhallmark.__path__[0]).parent
        return self.lab.run(
            [sys.executable, "-m", "dhallmark.cli.app", head, *rest[:position], *options, *rest[position:]],
            env={"PYTHONPATH": str(source)} | (env or {}),
            cwd=Path("/"),
            check=False,
        )

    def ok(self, *words: str, env: dict[str, str] | None = None, build: Path | None = None) -> str:
        done = self.run(*words, env=env, build=build)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def steps(self, names: Sequence[str] = ("resolve", "render", "package", "publish")) -> None:
        for name in names:
            self.ok("step", name)

    def attest(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("attest", "--builder-id", self.workflow, *words)

    def sign(self, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`sign` in a GitHub Actions job of the lab, unless `env` says otherwise."""
        environment = self.lab.github_job() if env is None else env
        return self.run("sign", "--trust-config", str(self.lab.trust_config()), *words, env=environment)

    def in_toto_verify(self) -> subprocess.CompletedProcess[str]:
        """The real program on the signed links, in an empty folder."""
        signed = self.build / "links" / "signed"
        empty = self.root.parent / "empty"
        empty.mkdir(exist_ok=True)
        program = Path(sys.executable).parent / "in-toto-verify"
        options = (
            "--layout",
            signed / "root.layout",
            "--verification-keys",
            signed / "layout.pub",
            "--link-dir",
            signed,
        )
        return subprocess.run([program, *options], cwd=empty, capture_output=True, text=True, check=False)


def make_project(root: Path, lab: Lab, *, name: str) -> Project:
    """The project in `root`, committed. `name` is its own prefix in the lab's registry."""
    settings = {
        "repository": REPOSITORY,
        "workflow": WORKFLOW,
        "issuer": _ISSUER,
        "registry": lab.registry,
        "name": name,
    }
    for path, content in _FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content.format_map(settings))
    project = Project(root, lab)
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("add", ".")
    project.git("commit", "--quiet", "--message=first")
    return project


MakeProject = Callable[[Path], Project]


@pytest.fixture
def make(lab: Lab, tmp_path: Path) -> MakeProject:
    """Makes the same project in any folder; two of one test share their repositories in the registry."""
    name = f"steps-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    return lambda root: make_project(root, lab, name=name)


@pytest.fixture
def project(tmp_path: Path, make: MakeProject) -> Project:
    return make(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose four steps have run; not to be changed."""
    project = make_project(tmp_path_factory.mktemp("finished") / "project", lab, name="steps-finished")
    project.steps()
    return project


@pytest.fixture
def packaged(finished: Project, tmp_path: Path) -> Project:
    """A copy of the project whose four steps have run: no step records where it ran."""
    shutil.copytree(finished.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", finished.lab)
