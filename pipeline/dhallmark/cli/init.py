"""`dhallmark init`: a project that can be released, with every choice explained where it is made."""

from __future__ import annotations

import re
import subprocess
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Annotated

from cyclopts import Parameter

from dhallmark.cli.result import Result
from dhallmark.config.load import parse_config, parse_policy
from dhallmark.errors import UsageError
from dhallmark.files import write_atomic

SCHEMA = "dhallmark.dev/init/v1"
_SCP_LIKE = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!//)(.+)")


class Platform(StrEnum):
    """Where releases will run; decides on the identity in the policy."""

    GITHUB = "github"
    GITLAB = "gitlab"


def init(
    *,
    directory: Path = Path(),
    project: str | None = None,
    source: str | None = None,
    registry: str = "registry.example",
    plain_http: Annotated[bool, Parameter(negative=())] = False,
    ci: Annotated[Platform | None, Parameter(name="--ci")] = None,
) -> Result:
    """Write a commented dhallmark.yaml, a policy, and a Dhall application that renders.

    Nothing is overwritten: where one of the files is there already, nothing at all is written.

    Parameters
    ----------
    directory
        Where to write; made if it is not there.
    project
        Name of the platform. The folder's name where this is not given.
    source
        URI of the Git repository, as in a certificate: https://host/owner/name. Git's remote `origin` where this is
        not given.
    registry
        Host and port of the registry.
    plain_http
        The registry has no TLS; meant for the lab.
    ci
        Where releases will run. Guessed from the host of `source`.
    """
    target = directory.resolve()
    name = project or _as_name(target.name)
    repository = _as_uri(source or _origin(target) or f"https://github.com/acme/{name}")
    platform = ci or (Platform.GITHUB if "//github" in repository else Platform.GITLAB)
    issuer, subject = _identity(platform, repository)
    values = {
        "project": name,
        "repository_uri": repository,
        "registry": registry,
        "plain_http": "true" if plain_http else "false",
        "issuer": issuer,
        "subject": subject,
        "builder": subject,
    }
    contents = {
        path: Template(source.read_text("utf-8")).substitute(values)
        if path.endswith(".yaml")
        else source.read_text("utf-8")
        for path, source in _walk(files("dhallmark.cli") / "starter")
    }
    # What a user gave may not fit; say so before anything is written.
    parse_config(contents["dhallmark.yaml"].encode(), file="dhallmark.yaml")
    parse_policy(contents["policy.yaml"].encode(), file="policy.yaml")
    there = sorted(path for path in contents if (target / path).exists())
    if there:
        raise UsageError(
            f"not written, because it is there already: {', '.join(there)}",
            hint="move it away, or name another folder with --directory",
        )
    for path, content in sorted(contents.items()):
        write_atomic(target / path, content)
    written = sorted(contents)
    return Result(
        data={"schema": SCHEMA, "directory": str(target), "files": written},
        text="\n".join(
            [
                f"Wrote to {target}:",
                *(f"  {path}" for path in written),
                "Next: read dhallmark.yaml and policy.yaml, commit, then run `dhallmark plan`.",
            ]
        ),
    )


def _walk(folder: Traversable, prefix: str = "") -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        else:
            found.append((f"{prefix}{entry.name}", entry))
    return found


def _as_name(text: str) -> str:
    """A folder's name as a project's."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "platform"


def _origin(folder: Path) -> str | None:
    if not folder.is_dir():
        return None
    try:
        answer = subprocess.run(
            ["git", "remote", "get-url", "origin"], cwd=folder, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _as_uri(remote: str) -> str:
    """A Git remote as the web address that certificates hold: without user, password and `.git`."""
    scp = _SCP_LIKE.fullmatch(remote)
    host_and_path = f"{scp[1]}/{scp[2]}" if scp else re.sub(r"^[a-z+]+://([^@/]*@)?", "", remote)
    return "https://" + host_and_path.removesuffix("/").removesuffix(".git")


def _identity(platform: Platform, repository: str) -> tuple[str, str]:
    """Issuer and subject that Fulcio writes for the release job on the branch main (Fulcio, docs/oidc.md)."""
    if platform is Platform.GITHUB:
        return (
            "https://token.actions.githubusercontent.com",
            f"{repository}/.github/workflows/release.yml@refs/heads/main",
        )
    host = "/".join(repository.split("/")[:3])
    return host, f"{repository}//.gitlab-ci.yml@refs/heads/main"
