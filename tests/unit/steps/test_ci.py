"""The builder of a CI job, from its environment."""

from __future__ import annotations

import pytest

from dhallmark.errors import UsageError
from dhallmark.steps.ci import detect_builder

_GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/platform",
    "GITHUB_WORKFLOW_REF": "acme/platform/.github/workflows/release.yml@refs/heads/main",
    "GITHUB_RUN_ID": "70",
    "GITHUB_RUN_ATTEMPT": "2",
}
_GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_URL": "https://gitlab.com/acme/platform",
    "CI_CONFIG_PATH": ".gitlab-ci.yml",
    "CI_JOB_URL": "https://gitlab.com/acme/platform/-/jobs/9",
    "CI_COMMIT_REF_NAME": "main",
}


@pytest.mark.parametrize(
    ("environment", "builder", "invocation"),
    [
        (
            _GITHUB,
            "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main",
            "https://github.com/acme/platform/actions/runs/70/attempts/2",
        ),
        (
            _GITLAB,
            "https://gitlab.com/acme/platform//.gitlab-ci.yml@refs/heads/main",
            "https://gitlab.com/acme/platform/-/jobs/9",
        ),
        (
            _GITLAB | {"CI_COMMIT_TAG": "v1", "CI_COMMIT_REF_NAME": "v1"},
            "https://gitlab.com/acme/platform//.gitlab-ci.yml@refs/tags/v1",
            "https://gitlab.com/acme/platform/-/jobs/9",
        ),
    ],
)
def test_the_builder_is_the_workflow_that_the_certificate_will_name(
    environment: dict[str, str], builder: str, invocation: str
) -> None:
    found = detect_builder(environment)
    assert (found.id, found.invocation, found.image) == (builder, invocation, None)


@pytest.mark.parametrize("name", sorted(_GITHUB.keys() - {"GITHUB_ACTIONS"}))
def test_a_github_job_that_lacks_a_variable_is_no_builder(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        detect_builder({key: value for key, value in _GITHUB.items() if key != name})


@pytest.mark.parametrize("name", sorted(_GITLAB.keys() - {"GITLAB_CI"}))
def test_a_gitlab_job_that_lacks_a_variable_is_no_builder(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        detect_builder({key: value for key, value in _GITLAB.items() if key != name})


def test_elsewhere_the_builder_must_be_named() -> None:
    with pytest.raises(UsageError) as caught:
        detect_builder({"HOME": "/root"})
    assert "--builder-id" in str(caught.value.hint)
