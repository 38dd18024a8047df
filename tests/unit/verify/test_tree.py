"""A deploy tree against its attestations: each file, each folder, and the environment that the path names."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1, Statement, Subject
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.tree import verify_tree

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance, Leaf

REPOSITORY, BUILDER = "https://github.com/acme/platform", "https://github.com/acme/builder"
POLICY = Policy.model_validate(
    {
        "schemaVersion": 1,
        "identities": {
            "release": {
                "issuer": "https://token.actions.githubusercontent.com",
                "subjectRegExp": "https://github[.]com/acme/platform/.*",
            }
        },
        "statements": [{"predicateType": SLSA_PROVENANCE_V1, "identities": ["release"]}],
        "source": {"repository": REPOSITORY},
        "builders": [BUILDER],
    }
)
WEB, UMBRELLA = "environments/prod/charts/web", "environments/prod"
POLICIES = "environments/prod/charts/policies"
FILES = {
    UMBRELLA: {
        "Chart.yaml": "name: platform\ndependencies: [{name: policies, version: 1.2.3}, {name: web, version: 1.2.3}]\n"
    },
    WEB: {"Chart.yaml": "name: web\nversion: 1.2.3\n", "templates/000-configmap-web.yaml": "kind: ConfigMap\n"},
    POLICIES: {"Chart.yaml": "name: policies\nversion: 1.2.3\n"},
    "environments/dev": {"Chart.yaml": "name: platform # dev\n"},
}


def attest(instance: Instance, chart: str, files: dict[str, str], *, builder: str = BUILDER) -> bytes:
    statement = Statement.build(
        predicate_type=SLSA_PROVENANCE_V1,
        subjects=[
            *(Subject(f"{chart}/{name}", Digest.of(text.encode())) for name, text in files.items()),
            Subject("web-1.2.3.tgz", Digest.of(b"archive")),
        ],
        predicate={
            "buildDefinition": {
                "internalParameters": {"dirty": False},
                "resolvedDependencies": [{"uri": f"git+{REPOSITORY}", "digest": {"gitCommit": "ab" * 20}}],
            },
            "runDetails": {"builder": {"id": builder}},
        },
    )
    return json.dumps(instance.sign(statement.payload)).encode()


@pytest.fixture
def tree(tmp_path: Path, instance: Instance) -> Path:
    for chart, files in FILES.items():
        for name, text in files.items():
            path = tmp_path / chart / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / chart / "attestation.json").write_bytes(attest(instance, chart, files))
    return tmp_path


def judge(tree: Path, instance: Instance) -> Verdict:
    return verify_tree(tree, POLICY, instance.trust())


def test_a_whole_tree_is_accepted(tree: Path, instance: Instance) -> None:
    verdict = judge(tree, instance)
    assert verdict.outcome is Outcome.ACCEPTED, verdict.to_json()
    assert [part.subject for part in verdict.parts] == ["environments/dev", UMBRELLA, POLICIES, WEB]


CHANGES: dict[str, tuple[Callable[[Path], object], Reason]] = {
    "a changed file": (lambda t: (t / WEB / "Chart.yaml").write_text("evil"), Reason.ARTIFACT_CONTENT_MISMATCH),
    "a changed umbrella": (
        lambda t: (t / UMBRELLA / "Chart.yaml").write_text("evil"),
        Reason.ARTIFACT_CONTENT_MISMATCH,
    ),
    "an extra template": (
        lambda t: (t / WEB / "templates/evil.yaml").write_text("kind: Role"),
        Reason.ARTIFACT_CONTENT_MISMATCH,
    ),
    "an extra template with the attestation's name": (
        lambda t: (t / WEB / "templates/attestation.json").write_text("{}"),
        Reason.ARTIFACT_CONTENT_MISMATCH,
    ),
    "an extra file beside the umbrella": (
        lambda t: (t / UMBRELLA / "values.yaml").write_text("x: 1"),
        Reason.ARTIFACT_CONTENT_MISMATCH,
    ),
    "a file outside of any chart": (
        lambda t: (t / "environments/evil.yaml").write_text("x"),
        Reason.ARTIFACT_CONTENT_MISMATCH,
    ),
    "a missing file": (
        lambda t: (t / WEB / "templates/000-configmap-web.yaml").unlink(),
        Reason.ARTIFACT_CONTENT_MISMATCH,
    ),
    "a symbolic link": (lambda t: (t / WEB / "link").symlink_to("/etc/passwd"), Reason.ARTIFACT_CONTENT_MISMATCH),
    "no attestation": (lambda t: (t / WEB / "attestation.json").unlink(), Reason.SIGNATURE_NONE),
    "an attestation that is none": (
        lambda t: (t / WEB / "attestation.json").write_text("{}"),
        Reason.BUNDLE_MALFORMED,
    ),
    "another chart's attestation": (
        lambda t: shutil.copy(t / UMBRELLA / "attestation.json", t / WEB / "attestation.json"),
        Reason.SUBJECT_NAME,
    ),
    "another environment's attestation and chart": (
        lambda t: shutil.copytree(t / "environments/dev", t / UMBRELLA, dirs_exist_ok=True),
        Reason.SUBJECT_NAME,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_tree_is_refused(tree: Path, instance: Instance, name: str) -> None:
    change, reason = CHANGES[name]
    change(tree)
    verdict = judge(tree, instance)
    assert verdict.reason is reason, verdict.to_json()


def details(verdict: Verdict) -> str:
    return " ".join(check.detail for check in verdict.walk())


def put_signed(tree: Path, instance: Instance, chart: str, files: dict[str, str]) -> None:
    """Put a chart that another release of the same identity signed."""
    (tree / chart).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (tree / chart / name).write_text(text)
    (tree / chart / "attestation.json").write_bytes(attest(instance, chart, files))


def test_an_application_of_an_older_release_is_refused(tree: Path, instance: Instance) -> None:
    put_signed(tree, instance, POLICIES, {"Chart.yaml": "name: policies\nversion: 1.2.2\n"})
    verdict = judge(tree, instance)
    assert verdict.reasons == {Reason.ARTIFACT_CONTENT_MISMATCH}, verdict.to_json()
    assert "another release" in details(verdict)


def test_an_application_that_the_release_no_longer_has_is_refused(tree: Path, instance: Instance) -> None:
    put_signed(tree, instance, f"{UMBRELLA}/charts/old", {"Chart.yaml": "name: old\nversion: 1.2.3\n"})
    verdict = judge(tree, instance)
    assert verdict.reasons == {Reason.ARTIFACT_CONTENT_MISMATCH}
    assert "not listed" in details(verdict)


def test_an_application_that_is_left_out_is_refused(tree: Path, instance: Instance) -> None:
    shutil.rmtree(tree / POLICIES)
    verdict = judge(tree, instance)
    assert verdict.reasons == {Reason.ARTIFACT_CONTENT_MISMATCH}
    assert "gone" in details(verdict)


def test_applications_without_the_chart_that_lists_them_are_refused(tree: Path, instance: Instance) -> None:
    (tree / UMBRELLA / "Chart.yaml").unlink()
    (tree / UMBRELLA / "attestation.json").unlink()
    shutil.rmtree(tree / POLICIES)
    assert judge(tree, instance).reasons == {Reason.ARTIFACT_CONTENT_MISMATCH}


@pytest.mark.parametrize("listed", ["dependencies: 3", "dependencies: [{name: web}]", "- web", "a: &x 1", "\x00"])
def test_a_chart_that_lists_nothing_readable_is_refused(tree: Path, instance: Instance, listed: str) -> None:
    put_signed(tree, instance, UMBRELLA, {"Chart.yaml": listed})
    assert judge(tree, instance).reasons == {Reason.ARTIFACT_CONTENT_MISMATCH}


@pytest.mark.parametrize("name", [b"\xff.yaml", b"\x1b[2J.yaml", b"a\nb.yaml"])
def test_a_name_that_cannot_be_shown_is_refused_in_words_that_can(tree: Path, instance: Instance, name: bytes) -> None:
    (tree / WEB / os.fsdecode(name)).write_text("kind: Role")
    verdict = judge(tree, instance)
    assert verdict.reason is Reason.ARTIFACT_CONTENT_MISMATCH
    assert json.dumps(verdict.to_json(), ensure_ascii=False).encode().decode().isprintable()


def test_an_attestation_that_the_policy_does_not_like_is_refused(tree: Path, instance: Instance) -> None:
    content = attest(instance, WEB, FILES[WEB], builder="https://evil.test")
    (tree / WEB / "attestation.json").write_bytes(content)
    assert judge(tree, instance).reasons == {Reason.PROVENANCE_BUILDER}


def test_an_attestation_by_a_stranger_is_refused(tree: Path, instance: Instance, make_leaf: type[Leaf]) -> None:
    statement = json.loads(attest(instance, WEB, FILES[WEB]))["dsseEnvelope"]["payload"]
    bundle = instance.sign(base64.b64decode(statement), leaf=make_leaf.of("https://github.com/evil/platform/x"))
    (tree / WEB / "attestation.json").write_text(json.dumps(bundle))
    assert judge(tree, instance).reasons == {Reason.IDENTITY_SUBJECT_MISMATCH}


def test_a_signed_statement_of_another_type_is_no_attestation(tree: Path, instance: Instance) -> None:
    other = Statement.build(
        predicate_type="https://example.test/x", subjects=[Subject(f"{WEB}/Chart.yaml", Digest.of(b"x"))], predicate={}
    )
    (tree / WEB / "attestation.json").write_text(json.dumps(instance.sign(other.payload)))
    assert judge(tree, instance).reason is Reason.STATEMENT_MISSING


@pytest.mark.parametrize("folder", ["environments", ""])
def test_a_tree_without_charts_is_no_success(tmp_path: Path, instance: Instance, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    verdict = judge(tmp_path, instance)
    assert verdict.outcome is not Outcome.ACCEPTED
    assert verdict.reason in (Reason.NOTHING_CHECKED, Reason.ARTIFACT_CONTENT_MISMATCH)
