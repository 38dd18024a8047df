"""The scripts of the CI templates, run as they stand, in the lab.

In place of the `dagger` client stands a program that takes the same words, resolves the secrets in the same way and
runs the same release by the CLI: a Dagger engine has no way into the lab's network. The engine runs the same function
in tests/dagger.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import dhallmark
from dhallmark.cli.init import Platform

if TYPE_CHECKING:
    from conftest import Project  # type: ignore[import-not-found]
else:
    Project = Any

pytestmark = pytest.mark.component

TEMPLATES = Path(__file__).parents[3] / "ci" / "templates"
_DAGGER = '''\
#!{python}
"""Takes `dagger --mod M call … release … build export --path P`."""
import os, subprocess, sys, tempfile
from pathlib import Path

words = sys.argv[1:]
Path(sys.argv[0]).with_name("dagger-words").write_text("\\n".join(words))
options = {{word[2:]: words[index + 1] for index, word in enumerate(words) if word.startswith("--")}}


def secret(uri):
    scheme, _, rest = uri.partition("://")
    if scheme == "env":
        return os.environ[rest].encode()
    if scheme == "file":
        return Path(rest).read_bytes()
    assert scheme == "cmd", uri
    return subprocess.run(["sh", "-c", rest], check=True, stdout=subprocess.PIPE).stdout


with tempfile.TemporaryDirectory() as folder:
    token, config = Path(folder, "token"), Path(folder, "config.json")
    token.write_bytes(secret(options["token"]))
    config.write_bytes(secret(options["registry-config"]))
    sys.exit(
        subprocess.run(
            [
                sys.executable, "-m", "dhallmark.cli.app", "release",
                "--config", options["source"] + "/dhallmark.yaml",
                "--build", options["path"],
                "--token-file", str(token),
                "--trusted-root", options["trusted-root"],
                "--builder-id", options["builder-id"],
            ],
            env={{**os.environ, "PYTHONPATH": {pipeline!r}, "DOCKER_CONFIG": folder}},
        ).returncode
    )
'''  # fmt: skip


def dagger() -> bytes:
    """The stand-in for the client."""
    return _DAGGER.format(python=sys.executable, pipeline=str(Path(dhallmark.__path__[0]).parent)).encode()


def with_trust(project: Project) -> None:
    """Put what a user of a private instance has into the repository."""
    for source in (project.lab.trusted_root(), project.lab.trust_config()):
        (project.folder / source.name).write_bytes(source.read_bytes())
    config = project.folder / "dhallmark.yaml"
    text = config.read_text()
    assert "  mode: keyless\n" in text
    config.write_text(text.replace("  mode: keyless\n", "  mode: keyless\n  trustConfig: trust_config.json\n"))
    project.commit()


def run(project: Project, script: str, environment: Mapping[str, str]) -> None:
    """Run a script as GitHub's runner does."""
    done = project.lab.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=project.folder,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def published(project: Project) -> list[str]:
    return [one["digest"] for one in json.loads((project.build / "publish.json").read_text())["artifacts"]]


def test_github_template_releases(make_project: Callable[..., Project], tmp_path: Path) -> None:
    project = make_project()
    with_trust(project)
    archive = tmp_path / "tools.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        member = tarfile.TarInfo("dagger")
        member.mode, member.size = 0o755, len(dagger())
        file.addfile(member, io.BytesIO(dagger()))
    runner = tmp_path / "runner"
    runner.mkdir()
    credentials = runner / "docker" / "config.json"
    (job,) = yaml.safe_load((TEMPLATES / "github" / "release.yml").read_text())["jobs"].values()
    expressions = {
        "runner.temp": str(runner),
        "vars.TOOLS_URL": f"file://{archive}",
        "vars.TOOLS_SHA256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "vars.REGISTRY": project.lab.registry,
        "github.actor": "someone",
        "secrets.GITHUB_TOKEN": "registry-password",
        "vars.DHALLMARK_MODULE": "module@commit",
        "vars.DHALLMARK_CI_IMAGE": "ci@sha256:digest",
    }
    ran = []
    for step in (step for step in job["steps"] if "run" in step):
        given = {
            name: re.sub(r"\$\{\{ (\S+) \}\}", lambda match: expressions[match[1]], value)
            for name, value in step.get("env", {}).items()
        }
        environment = {**project.job(), "RUNNER_TEMP": str(runner), **given}
        # The archive comes from this machine here; everything else is as it stands.
        run(project, step["run"].replace("--proto '=https'", "--proto '=file'"), environment)
        ran.append(step["name"])
        if step["name"].startswith("Write the registry"):
            assert credentials.stat().st_mode & 0o077 == 0
            assert json.loads(credentials.read_text()) == {
                "auths": {project.lab.registry: {"auth": "c29tZW9uZTpyZWdpc3RyeS1wYXNzd29yZA=="}}
            }
    assert len(ran) == 4
    assert len(published(project)) == 6
    assert not credentials.exists()
    words = (runner / "dagger-words").read_text()
    assert "registry-password" not in words
    assert project.lab.model.hostname not in words


def test_gitlab_template_releases_and_a_retry_publishes_the_same(
    make_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = make_project(ci=Platform.GITLAB, source="https://gitlab.com/acme/platform")
    with_trust(project)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "dagger").write_bytes(dagger())
    (programs / "dagger").chmod(0o755)
    (tmp_path / "config.json").write_text("{}")
    (script,) = yaml.safe_load((TEMPLATES / "gitlab" / "release.gitlab-ci.yml").read_text())["release"]["script"]
    path = project.lab.environment()["PATH"]

    def release() -> list[str]:
        environment = {
            **project.lab.gitlab_job(claims={"sha": project.git("rev-parse", "HEAD")}),
            "PATH": f"{programs}:{path}",
            "DHALLMARK_MODULE": "module@commit",
            "DHALLMARK_CI_IMAGE": "ci@sha256:digest",
            "REGISTRY_CONFIG": str(tmp_path / "config.json"),
            "CI_PROJECT_URL": "https://gitlab.com/acme/platform",
            "CI_CONFIG_PATH": ".gitlab-ci.yml",
            "CI_COMMIT_BRANCH": "main",
            "CI_JOB_URL": "https://gitlab.com/acme/platform/-/jobs/1",
        }
        run(project, script, environment)
        return published(project)

    first = release()
    assert len(first) == 6
    assert release() == first
