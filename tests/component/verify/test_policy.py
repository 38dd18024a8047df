"""Demands of a policy on real certificates, logs, timestamps and Git bundles."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dhallmark.config.load import load_policy
from dhallmark.consumer import Target
from dhallmark.digest import Digest
from dhallmark.identity import Identity, SubjectKind
from dhallmark.oci.client import Registry
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, SLSA_PROVENANCE_V1
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.artifact import verify_artifact
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.terms import Terms

if TYPE_CHECKING:
    from tests.component.verify.conftest import Release

# One kind of registry will do: what a policy says does not depend on it.
pytestmark = [pytest.mark.component, pytest.mark.parametrize("release", ["api"], indirect=True)]
ISSUER = "https://token.actions.githubusercontent.com"
MAIN = "refs/heads/main"


def git(folder: Path, *arguments: str) -> str:
    author = {f"GIT_{who}_{what}": "a@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **author}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def judge(
    release: Release, folder: Path, policy: Mapping[str, Any], *, target: Target | None = None, least: int = 0
) -> Verdict:
    """The verdict by a policy that is written to `folder`, where the files that it names are."""
    path = folder / "policy.yaml"
    path.write_text(json.dumps(policy))
    loaded = load_policy(path, minimum_version=least)

    async def action(registry: Registry) -> Verdict:
        return await verify_artifact(registry, target or release.target, loaded, release.trust)

    return release.use(action)


def publish(release: Release, name: str, *payloads: bytes, claims: Mapping[str, str], issuer: str = "github") -> Target:
    """The good artifact in a repository of its own, with `payloads` signed by a run that has these claims."""
    repository = f"verify/{name}"
    bundles = [release.sign(payload, issuer=issuer, claims=claims) for payload in payloads]

    async def action(registry: Registry) -> Digest:
        digest = await release.push_chart(registry, repository, 3)
        for bundle in bundles:
            await release.attach(registry, repository, digest, bundle)
        return digest

    there = f"{release.host}/{repository}"
    return replace(release.target, repository=there, digest=release.use(action), subject_name=release.target.repository)


def policy_of(identity: Mapping[str, Any], **more: object) -> dict[str, Any]:
    return {
        "schemaVersion": 1,
        "identities": {"release": dict(identity)},
        "statements": [{"predicateType": COSIGN_SIGN_V1, "identities": ["release"]}],
        **more,
    }


def strict(release: Release) -> dict[str, Any]:
    """All that can be demanded of the good release, by what Fulcio wrote into its certificate."""
    found = verify_bundle(release.bundles["signature"], Terms(release.trust)).identity
    assert isinstance(found, Identity)
    assert found.subject_kind is SubjectKind.URI
    extensions = {name: value for name, value in found.extensions.items() if name != "runInvocationURI"}
    assert set(extensions) >= {
        *("sourceRepositoryIdentifier", "sourceRepositoryOwnerIdentifier", "sourceRepositoryVisibility"),
        *("buildTrigger", "runnerEnvironment", "sourceRepositoryRef", "buildSignerDigest"),
    }
    now = datetime.now(UTC)
    assert release.trust.digest is not None
    return policy_of(
        {"issuer": ISSUER, "subject": found.subject, "extensions": extensions},
        version=3,
        expires=(now + timedelta(days=1)).isoformat(timespec="seconds"),
        freshness={"maxAge": "1h"},
        evidence={"logEntries": 1, "timestamps": 1, "scts": 1},
        trustRoot={
            "accepted": [
                {
                    "digest": str(release.trust.digest),
                    "confirmed": (now - timedelta(days=3)).isoformat(timespec="seconds"),
                }
            ],
            "maxAge": "30d",
        },
    )


def test_the_strictest_policy_accepts_the_good_release(release: Release, tmp_path: Path) -> None:
    verdict = judge(release, tmp_path, strict(release), least=3)
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()
    assert {check.name for check in verdict.walk()} >= {
        *("policy.expires", "policy.version", "trust-root", "freshness", "identity", "subject.own"),
    }


def test_each_demand_alone_refuses(release: Release, tmp_path: Path) -> None:
    good = strict(release)
    changes: list[tuple[dict[str, Any], Reason]] = [
        ({"expires": "2026-01-01T00:00:00Z"}, Reason.POLICY_EXPIRED),
        ({"version": 2}, Reason.POLICY_ROLLBACK),
        ({"trustRoot": good["trustRoot"] | {"maxAge": "1d"}}, Reason.TRUST_ROOT_STALE),
        (
            {"trustRoot": {"accepted": [{"digest": Digest.of(b""), "confirmed": "2026-11-01T00:00:00Z"}]}},
            Reason.TRUST_ROOT_UNKNOWN,
        ),
    ]
    identity = good["identities"]["release"]
    for name in identity["extensions"]:
        other = {**identity, "extensions": {**identity["extensions"], name: ["another", "one more"]}}
        changes.append(({"identities": {"release": other}}, Reason.IDENTITY_EXTENSION_MISMATCH))
    for change, reason in changes:
        verdict = judge(release, tmp_path, good | change, least=3)
        assert verdict.reason is reason, (change, verdict.to_json())


def test_a_commit_must_stand_on_the_protected_branch(release: Release, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    merged = commit(tmp_path, "merged")
    git(tmp_path, "bundle", "create", "--quiet", "source.bundle", MAIN)
    git(tmp_path, "checkout", "--quiet", "-b", "feature")
    unmerged = commit(tmp_path, "not merged")
    reachable = {"bundle": "source.bundle", "branches": [MAIN]}
    subject = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
    policy = policy_of(
        {"issuer": ISSUER, "subject": subject, "reachable": {"sourceRepositoryDigest": reachable}},
        source={"repository": "https://github.com/acme/platform", "reachable": reachable},
        builders=["https://github.com/acme/platform/.github/workflows/release.yml"],
    )
    policy["statements"].append({"predicateType": SLSA_PROVENANCE_V1, "identities": ["release"]})
    provenance = release.statements["provenance"]
    old = next(line for line in provenance.split(b'"') if len(line) == 40)
    for number, (revision, reason) in enumerate(((merged, None), (unmerged, Reason.SOURCE_UNREACHABLE))):
        payloads = [release.statements["signature"], provenance.replace(old, revision.encode())]
        target = publish(release, f"branch-{number}", *payloads, claims={"sha": revision})
        verdict = judge(release, tmp_path, policy, target=target)
        assert verdict.reason is reason, verdict.to_json()
        lone = [one for one in policy["statements"] if one["predicateType"] == COSIGN_SIGN_V1]
        without = {key: value for key, value in policy.items() if key not in ("source", "builders")}
        assert judge(release, tmp_path, without | {"statements": lone}, target=target).reason is reason
    (tmp_path / "source.bundle").unlink()
    verdict = judge(release, tmp_path, policy, target=target)
    assert (verdict.outcome, verdict.reason) == (Outcome.INDETERMINATE, Reason.SOURCE_UNAVAILABLE)


def test_a_pinned_reusable_workflow_is_known_by_its_commits(release: Release, tmp_path: Path) -> None:
    """Each bump changes the subject; a fork's commit has the same spelling."""
    workflow = "acme/workflows/.github/workflows/release.yml"
    pins = ["aa" * 20, "bb" * 20]
    policy = policy_of(
        {
            "issuer": ISSUER,
            "subjectRegExp": r"https://github\.com/acme/workflows/\.github/workflows/release\.yml@[0-9a-f]{40}",
            "extensions": {"buildSignerDigest": pins},
        }
    )
    for number, pin in enumerate((*pins, "cc" * 20)):
        claims = {"job_workflow_ref": f"{workflow}@{pin}", "job_workflow_sha": pin}
        target = publish(release, f"pin-{number}", release.statements["signature"], claims=claims)
        verdict = judge(release, tmp_path, policy, target=target)
        assert verdict.reason is (None if pin in pins else Reason.IDENTITY_EXTENSION_MISMATCH), verdict.to_json()


def test_an_e_mail_address_is_no_uri(release: Release, tmp_path: Path) -> None:
    claims = {"email": "release@acme.test", "sub": "release@acme.test"}
    target = publish(release, "e-mail", release.statements["signature"], claims=claims, issuer="email")
    who = {"issuer": "https://accounts.dhallmark.test", "subject": "release@acme.test"}
    assert judge(release, tmp_path, policy_of(who), target=target).outcome is Outcome.ACCEPTED
    uri = policy_of(who | {"subjectKind": "uri"})
    assert judge(release, tmp_path, uri, target=target).reason is Reason.IDENTITY_SUBJECT_KIND
