"""Claims of a predicate against the certificate's extensions (C15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.identity import EXTENSION_OIDS, Identity, KeyIdentity
from dhallmark.reasons import Reason
from dhallmark.statement import LINK_V0_3, SLSA_PROVENANCE_V1, SPDX_V2_3, Statement, Subject
from dhallmark.verify.contradictions import require_no_contradiction
from dhallmark.verify.refusal import Refusal

SERVER = "https://github.com"
REPOSITORY, REVISION, REF = f"{SERVER}/acme/platform", "ab" * 20, "refs/heads/main"
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yml@{REF}"
RUN = f"{REPOSITORY}/actions/runs/7/attempts/1"
EXTENSIONS = {
    "sourceRepositoryURI": REPOSITORY,
    "sourceRepositoryDigest": REVISION,
    "sourceRepositoryRef": REF,
    "sourceRepositoryIdentifier": "1234",
    "sourceRepositoryOwnerIdentifier": "99",
    "buildSignerURI": f"{SERVER}/acme/workflows/.github/workflows/build.yml@{REF}",
    "buildConfigURI": WORKFLOW,
    "buildTrigger": "push",
    "runnerEnvironment": "github-hosted",
    "runInvocationURI": RUN,
}
PROVENANCE: dict[str, Any] = {
    "buildDefinition": {
        "externalParameters": {
            "repository": REPOSITORY,
            "workflow": {"repository": REPOSITORY, "ref": REF, "path": ".github/workflows/release.yml"},
        },
        "internalParameters": {
            "github": {
                "event_name": "push",
                "repository_id": 1234,
                "repository_owner_id": "99",
                "runner_environment": "github-hosted",
            }
        },
        "resolvedDependencies": [{"uri": f"git+{REPOSITORY}@{REF}", "digest": {"gitCommit": REVISION}}],
    },
    "runDetails": {"builder": {"id": WORKFLOW}, "metadata": {"invocationId": RUN}},
}
LINK: dict[str, Any] = {
    "name": "package",
    "materials": [],
    "environment": {
        "GITHUB_SERVER_URL": SERVER,
        "GITHUB_REPOSITORY": "acme/platform",
        "GITHUB_REPOSITORY_ID": "1234",
        "GITHUB_REPOSITORY_OWNER_ID": "99",
        "GITHUB_SHA": REVISION,
        "GITHUB_REF": REF,
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_WORKFLOW_REF": "acme/platform/.github/workflows/release.yml@refs/heads/main",
        "CI_PROJECT_URL": REPOSITORY,
        "CI_PROJECT_ID": "1234",
        "CI_COMMIT_SHA": REVISION,
        "CI_JOB_URL": RUN,
        "CI_PIPELINE_SOURCE": "push",
        "HOME": "/nowhere",
    },
}
RUN_OF_RELEASE = Identity(issuer="https://issuer.test", subject=WORKFLOW, extensions=EXTENSIONS)


def statement(kind: str, predicate: Mapping[str, Any]) -> Statement:
    return Statement.build(predicate_type=kind, subjects=[Subject("x", Digest.of(b"x"))], predicate=predicate)


def reason_of(item: Statement) -> Reason | None:
    try:
        require_no_contradiction(item, RUN_OF_RELEASE)
    except Refusal as refusal:
        return refusal.reason
    return None


def leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, (*path, index))]
    return [path]


def changed(value: Any, path: tuple[str | int, ...], to: object) -> Any:  # noqa: ANN401
    if not path:
        return to
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], to)
    return copy


NOT_CLAIMS = {
    ("buildDefinition", "externalParameters", "workflow", "path"),
    ("name",),
    ("environment", "HOME"),
}
CLAIMS = [
    (kind, predicate, path)
    for kind, predicate in ((SLSA_PROVENANCE_V1, PROVENANCE), (LINK_V0_3, LINK))
    for path in leaves(predicate)
    if path not in NOT_CLAIMS
]


@pytest.mark.parametrize(("kind", "predicate"), [(SLSA_PROVENANCE_V1, PROVENANCE), (LINK_V0_3, LINK), (SPDX_V2_3, {})])
def test_claims_that_the_certificate_proves_pass(kind: str, predicate: Mapping[str, Any]) -> None:
    require_no_contradiction(statement(kind, predicate), RUN_OF_RELEASE)


@pytest.mark.parametrize(("kind", "predicate", "path"), CLAIMS, ids=lambda value: str(value)[-60:])
def test_each_claim_alone_that_says_otherwise_is_refused(
    kind: str, predicate: Mapping[str, Any], path: tuple[str | int, ...]
) -> None:
    old: Any = predicate
    for step in path:
        old = old[step]
    text = str(old)
    new = text.replace("acme", "evil").replace("main", "evil") if "/" in text else f"{text}1"
    new = new if new != text else f"{text}1"
    lie = changed(predicate, path, new)
    assert reason_of(statement(kind, lie)) is Reason.PROVENANCE_CLAIM_MISMATCH


def test_a_commit_in_the_certificate_may_have_its_kind_before_it() -> None:
    kind = {"sourceRepositoryDigest": f"sha1:{REVISION}"}
    by = Identity(issuer="https://issuer.test", subject=WORKFLOW, extensions=EXTENSIONS | kind)
    require_no_contradiction(statement(SLSA_PROVENANCE_V1, PROVENANCE), by)


def test_variables_one_level_below_are_read_too() -> None:
    predicate = {"name": "x", "environment": {"variables": {"GITHUB_SHA": "cd" * 20}}}
    with pytest.raises(Refusal):
        require_no_contradiction(statement(LINK_V0_3, predicate), RUN_OF_RELEASE)


@pytest.mark.parametrize(
    "identity",
    [Identity(issuer="https://issuer.test", subject="x"), KeyIdentity(fingerprint=Digest.of(b"key"))],
)
def test_what_nobody_proves_is_not_compared(identity: Identity | KeyIdentity) -> None:
    for kind, predicate in ((SLSA_PROVENANCE_V1, PROVENANCE), (LINK_V0_3, LINK)):
        require_no_contradiction(statement(kind, predicate), identity)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("runDetails", "builder", "id"), "https://dhallmark.dev/builder/v1"),
        (("runDetails", "metadata", "invocationId"), "7-1"),
    ],
)
def test_names_that_no_certificate_speaks_of_are_not_compared(path: tuple[str, ...], value: str) -> None:
    require_no_contradiction(statement(SLSA_PROVENANCE_V1, changed(PROVENANCE, path, value)), RUN_OF_RELEASE)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(EXTENSION_OIDS)), inner),
    max_leaves=8,
)


@given(st.sampled_from(CLAIMS), st.integers(1, 4), _JSON)
def test_any_value_anywhere_gives_a_finding_or_none(
    case: tuple[str, Mapping[str, Any], tuple[str | int, ...]], depth: int, value: object
) -> None:
    kind, predicate, path = case
    found = reason_of(statement(kind, changed(predicate, path[:depth], value)))
    assert found in (None, Reason.PROVENANCE_CLAIM_MISMATCH, Reason.STATEMENT_PREDICATE)
