"""Claims in the shape of the real issuers, and what of them follows what."""

from __future__ import annotations

import time

import pytest

from dhallmark.lab.model import DEFAULT_ISSUERS
from dhallmark.lab.tokens import make_claims

GITHUB, GITLAB, OTHER_GITLAB = (DEFAULT_ISSUERS[name] for name in ("github", "gitlab", "gitlab-other"))


@pytest.mark.parametrize("name", DEFAULT_ISSUERS)
def test_every_token_is_valid_now_for_fulcio(name: str) -> None:
    claims = make_claims(DEFAULT_ISSUERS[name])
    assert claims["iss"] == DEFAULT_ISSUERS[name].url
    assert claims["aud"] == "sigstore"
    assert claims["sub"]
    now = time.time()
    issued, expires = claims["iat"], claims["exp"]
    assert isinstance(issued, int)
    assert isinstance(expires, int)
    assert now - 5 < issued <= now < expires <= now + 300


def test_no_two_tokens_are_the_same() -> None:
    assert make_claims(GITHUB)["jti"] != make_claims(GITHUB)["jti"]


@pytest.mark.parametrize(
    ("given", "follows"),
    [
        (
            {"repository": "evil/fork"},
            {
                "repository_owner": "evil",
                "sub": "repo:evil/fork:ref:refs/heads/main",
                "workflow_ref": "evil/fork/.github/workflows/release.yml@refs/heads/main",
                "job_workflow_ref": "evil/fork/.github/workflows/release.yml@refs/heads/main",
            },
        ),
        ({"ref": "refs/tags/v1"}, {"ref_type": "tag", "sub": "repo:acme/platform:ref:refs/tags/v1"}),
        ({"sha": "f" * 40}, {"workflow_sha": "f" * 40, "job_workflow_sha": "f" * 40}),
    ],
)
def test_github_claims_follow_the_repository_the_ref_and_the_commit(
    given: dict[str, object], follows: dict[str, object]
) -> None:
    assert (given | follows).items() <= make_claims(GITHUB, claims=given).items()


def test_gitlab_claims_follow_project_and_ref() -> None:
    claims = make_claims(
        OTHER_GITLAB, claims={"project_path": "a/b/c", "ref": "v1", "ref_type": "tag", "sha": "0" * 40}
    )
    assert claims["namespace_path"] == "a/b"
    assert claims["ref_path"] == "refs/tags/v1"
    assert claims["sub"] == "project_path:a/b/c:ref_type:tag:ref:v1"
    assert claims["ci_config_ref_uri"] == "gitlab.other.test/a/b/c//.gitlab-ci.yml@refs/tags/v1"
    assert claims["ci_config_sha"] == "0" * 40
    assert make_claims(GITLAB)["ci_config_ref_uri"] == "gitlab.com/acme/platform//.gitlab-ci.yml@refs/heads/main"


def test_what_is_given_stands_as_given() -> None:
    given = {"repository": "evil/fork", "job_workflow_ref": None, "exp": 1, "aud": ["a"], "new": {"x": 1}}
    assert given.items() <= make_claims(GITHUB, claims=given).items()


def test_claims_can_be_left_out() -> None:
    claims = make_claims(GITHUB, without=("sub", "job_workflow_ref", "none"))
    assert "sub" not in claims
    assert "job_workflow_ref" not in claims
