"""Artifacts in real registries, with and without the referrers API, signed by a real Sigstore."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

import dhallmark
from dhallmark.consumer import Target
from dhallmark.digest import Digest
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import OCI_MANIFEST, fallback_tag, split_repository
from dhallmark.reasons import Reason
from dhallmark.statement import TEST_RESULT_V0_1, Statement, Subject
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify import reference as reference_module
from dhallmark.verify.artifact import gather, verify_artifact
from dhallmark.verify.judge import Evidence
from dhallmark.verify.reference import verify_reference
from dhallmark.verify.trust import TrustRoot

if TYPE_CHECKING:
    from tests.component.verify.conftest import Release

pytestmark = pytest.mark.component
STRANGER = {"repository": "evil/platform"}


def judge(release: Release, target: Target | None = None, *, trust: TrustRoot | None = None) -> Verdict:
    async def action(registry: Registry) -> Verdict:
        return await verify_artifact(registry, target or release.target, release.policy, trust or release.trust)

    return release.use(action)


def copy(release: Release, name: str, *bundles: bytes, replicas: int = 3) -> Target:
    """A copy of the artifact in a repository of its own, with `bundles`, that must have the good one's name."""
    repository = f"verify/{name}"

    async def action(registry: Registry) -> Digest:
        digest = await release.push_chart(registry, repository, replicas)
        for bundle in bundles:
            await release.attach(registry, repository, digest, bundle)
        return digest

    return replace(
        release.target,
        repository=f"{release.host}/{repository}",
        digest=release.use(action),
        subject_name=release.target.repository,
    )


def test_the_good_release_is_accepted(release: Release) -> None:
    verdict = judge(release)
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()
    assert verdict.ignored == ()
    assert {check.name for check in verdict.walk()} >= {"identity", "log.origin", "timestamps", "step.chain"}


def test_a_copy_elsewhere_is_accepted_under_its_name_and_no_other(release: Release) -> None:
    there = copy(release, "copy", *release.bundles.values())
    assert judge(release, there).outcome is Outcome.ACCEPTED
    assert judge(release, replace(there, subject_name="")).reason is Reason.SUBJECT_NAME
    dev = release.target.repository.replace("/prod/", "/dev/")
    assert judge(release, replace(there, subject_name=dev)).reason is Reason.SUBJECT_NAME


def test_a_complete_listing_without_a_signature_is_a_rejection(release: Release) -> None:
    verdict = judge(release, copy(release, "unsigned"))
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, Reason.SIGNATURE_NONE)


def test_what_is_not_there_is_no_rejection(release: Release) -> None:
    verdict = judge(release, replace(release.target, digest=Digest.of(b"nothing")))
    assert (verdict.outcome, verdict.reason) == (Outcome.INDETERMINATE, Reason.REGISTRY_UNAVAILABLE)


def test_a_registry_that_does_not_answer_is_no_rejection(release: Release) -> None:
    nowhere = f"{release.lab.model.hostname}:5999"

    async def main() -> Verdict:
        async with Registry(nowhere, plain_http=True) as registry:
            target = replace(release.target, repository=f"{nowhere}/web")
            return await verify_artifact(registry, target, release.policy, release.trust)

    verdict = release.lab.call(anyio.run, main)
    assert (verdict.outcome, verdict.reason) == (Outcome.INDETERMINATE, Reason.REGISTRY_UNAVAILABLE)


@pytest.mark.parametrize(
    ("claims", "result", "reason"),
    [
        ({}, "FAILED", Reason.TEST_RESULT_FAILED),
        ({}, "PASSED", None),
        (STRANGER, "FAILED", None),
    ],
)
def test_a_failed_test_counts_where_the_policy_knows_who_says_so(
    release: Release, claims: Mapping[str, str], result: str, reason: Reason | None
) -> None:
    subject = Subject(release.target.repository, release.target.digest)
    payload = Statement.build(predicate_type=TEST_RESULT_V0_1, subjects=[subject], predicate={"result": result}).payload
    name = f"test-{result.lower()}-{len(claims)}"
    bundle = release.sign(payload, claims=claims)
    verdict = judge(release, copy(release, name, *release.bundles.values(), bundle))
    assert verdict.reason is reason, verdict.to_json()


def test_a_strangers_bundles_neither_help_nor_harm(release: Release) -> None:
    theirs = [release.sign(payload, claims=STRANGER) for payload in release.statements.values()]
    verdict = judge(release, copy(release, "beside", *theirs, b"junk", *release.bundles.values()))
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()
    assert len(verdict.ignored) == len(theirs) + 1
    assert judge(release, copy(release, "stranger", *theirs)).reason is Reason.IDENTITY_SUBJECT_MISMATCH
    assert judge(release, copy(release, "junk", b"junk")).reasons == {Reason.BUNDLE_MALFORMED}


def test_bundles_of_another_artifact_are_refused(release: Release) -> None:
    verdict = judge(release, copy(release, "replay", *release.bundles.values(), replicas=4))
    assert verdict.reason is Reason.SUBJECT_MISMATCH


def test_another_instances_trust_root_refuses(release: Release) -> None:
    other = TrustRoot.load(release.lab.trusted_root("other"))
    verdict = judge(release, trust=other)
    assert verdict.reasons == {Reason.CERTIFICATE_UNTRUSTED}


def test_a_legacy_signature_alone_does_not_count_where_the_policy_does_not_say_so(release: Release) -> None:
    if release.host == release.lab.registry:
        pytest.skip("the referrers API is there: nobody looks for tags")
    target = copy(release, "legacy")

    async def sign_the_old_way(registry: Registry) -> None:
        manifest = await registry.get_manifest("verify/legacy", release.target.digest)
        tag = fallback_tag(release.target.digest) + ".sig"
        await registry.push_manifest("verify/legacy", manifest.content, OCI_MANIFEST, tag)

    release.use(sign_the_old_way)
    verdict = judge(release, target)
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, Reason.SIGNATURE_NONE)
    assert any("legacy tags" in check.detail for check in verdict.checks)


def test_a_tag_is_resolved_once_and_looked_at_again(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_tag(tag: str) -> Verdict:
        async def main() -> Verdict:
            text = f"{release.target.repository}:{tag}"
            return await verify_reference(text, release.policy, release.trust, plain_http=True)

        return release.lab.call(anyio.run, main)

    assert by_tag("1.2.3").outcome is Outcome.ACCEPTED
    assert by_tag("9.9.9").reason is Reason.REGISTRY_UNAVAILABLE
    _, path = split_repository(release.target.repository)

    async def gather_and_move(registry: Registry, *args: object, **kwargs: object) -> Evidence:
        evidence = await gather(registry, *args, **kwargs)  # type: ignore[arg-type]
        other = await release.push_chart(registry, path, 5)
        await registry.tag(path, other, "moved")
        return evidence

    async def tag_it(registry: Registry) -> None:
        await registry.tag(path, release.target.digest, "moved")

    release.use(tag_it)
    monkeypatch.setattr(reference_module, "gather", gather_and_move)
    verdict = by_tag("moved")
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, Reason.REGISTRY_TAG_MOVED)


@pytest.mark.parametrize(
    ("reference", "status"),
    [("{repository}@{digest}", 0), ("{repository}:1.2.3", 0), ("{host}/verify/nothing-here:1", 3), ("web", 2)],
)
def test_the_command_ends_as_the_verdict_says(release: Release, tmp_path: Path, reference: str, status: int) -> None:
    text = reference.format(repository=release.target.repository, digest=release.target.digest, host=release.host)
    done = release.lab.run(
        [
            *[sys.executable, "-c", "from dhallmark.cli.app import main; main()", "verify", "--output=json"],
            *["--plain-http", f"--ref={text}", f"--policy={release.target.policy}"],
            f"--trusted-root={release.target.trusted_root}",
        ],
        env={"PYTHONPATH": str(Path(str(dhallmark.__file__)).parents[1]), "HOME": str(tmp_path)},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert list(tmp_path.iterdir()) == []
