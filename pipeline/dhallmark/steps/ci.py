"""Which builder this is, by what the CI says of itself in the environment.

The certificate says the same, proven by the token: a verifier compares.
Sources: GitHub, "Default environment variables"; GitLab, "Predefined CI/CD variables reference".
"""

from __future__ import annotations

from collections.abc import Mapping

from dhallmark.errors import UsageError
from dhallmark.steps.provenance import Builder


def detect_builder(environment: Mapping[str, str]) -> Builder:
    """The builder of a GitHub Actions or GitLab CI job: the workflow or pipeline file at its ref, and the run.

    Raises UsageError in any other place: there, who builds must be said.
    """
    if environment.get("GITHUB_ACTIONS"):
        return _github(environment)
    if environment.get("GITLAB_CI"):
        return _gitlab(environment)
    raise UsageError(
        "this is neither a GitHub Actions nor a GitLab CI job, so the builder is not known",
        hint="name it with --builder-id, as the policy's `builders` lists it",
    )


def _github(environment: Mapping[str, str]) -> Builder:
    server, repository, workflow, run, attempt = _require(
        environment,
        "GITHUB_SERVER_URL",
        "GITHUB_REPOSITORY",
        "GITHUB_WORKFLOW_REF",
        "GITHUB_RUN_ID",
        "GITHUB_RUN_ATTEMPT",
    )
    return Builder(id=f"{server}/{workflow}", invocation=f"{server}/{repository}/actions/runs/{run}/attempts/{attempt}")


def _gitlab(environment: Mapping[str, str]) -> Builder:
    project, config, job = _require(environment, "CI_PROJECT_URL", "CI_CONFIG_PATH", "CI_JOB_URL")
    tag = environment.get("CI_COMMIT_TAG")
    if tag:
        ref = f"refs/tags/{tag}"
    else:
        (branch,) = _require(environment, "CI_COMMIT_REF_NAME")
        ref = f"refs/heads/{branch}"
    return Builder(id=f"{project}//{config}@{ref}", invocation=job)


def _require(environment: Mapping[str, str], *names: str) -> list[str]:
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise UsageError(
            f"the CI job's environment lacks {', '.join(missing)}", hint="name the builder with --builder-id"
        )
    return [environment[name] for name in names]
