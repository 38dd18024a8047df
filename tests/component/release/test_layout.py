"""A release whose layout is attached to its artifacts: dhallmark judges by it, and it disturbs no other consumer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from dhallmark.consumer import Consumer, Target
from dhallmark.controls.consumers.cosign import CosignConsumer
from dhallmark.controls.consumers.flux import FluxConsumer
from dhallmark.digest import Digest
from dhallmark.verdict import Outcome

if TYPE_CHECKING:
    from tests.component.release.conftest import MakeProject, Project

pytestmark = pytest.mark.component

OWNER = {
    "repository": "acme/security",
    "workflow_ref": "acme/security/.github/workflows/layout.yml@refs/heads/main",
    "job_workflow_ref": "acme/security/.github/workflows/layout.yml@refs/heads/main",
}
ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = f"https://github.com/{OWNER['workflow_ref']}"


def ask_for_a_layout(project: Project) -> None:
    """The policy asks for an attached layout; `dhallmark.yaml` attaches one; its owner signs it."""
    policy = project.folder / "policy.yaml"
    text = policy.read_text()
    owner = f"  security: {{issuer: {ISSUER}, subject: '{SUBJECT}'}}\n"
    policy.write_text(
        text.replace("identities:\n", f"identities:\n{owner}", 1)
        + "\nlayout:\n  identities: [security]\n  minimumVersion: 1\n"
    )
    config = project.folder / "dhallmark.yaml"
    config.write_text(config.read_text().replace("publish:\n", "publish:\n  layout: layout.sigstore.json\n", 1))
    done = project.dhallmark("layout", "init")
    assert done.returncode == 0, done.stderr
    sign(project)


def sign(project: Project) -> None:
    trust = ("--trust-config", str(project.lab.trust_config()))
    done = project.dhallmark("layout", "sign", *trust, environment=project.lab.github_job(claims=OWNER))
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def released(make_project: MakeProject) -> Project:
    project = make_project()
    ask_for_a_layout(project)
    project.commit()
    done = project.release()
    assert done.returncode == 0, done.stderr
    return project


def artifacts(project: Project) -> list[dict[str, Any]]:
    body: dict[str, Any] = json.loads((project.build / "publish.json").read_text())
    found: list[dict[str, Any]] = body["artifacts"]
    return found


def verify(project: Project, policy: Path) -> dict[str, Any]:
    refs = [word for one in artifacts(project) for word in ("--ref", f"{one['repository']}@{one['digest']}")]
    trust = ("--trusted-root", str(project.lab.trusted_root()), "--policy", str(policy))
    done = project.dhallmark("verify", "--output", "json", "--plain-http", *trust, *refs)
    assert done.stdout, done.stderr
    body: dict[str, Any] = json.loads(done.stdout)
    return body


def test_every_artifact_is_judged_by_the_attached_layout(released: Project) -> None:
    body = verify(released, released.folder / "policy.yaml")
    assert body["outcome"] == "accepted"
    for verdict in body["verdicts"]:
        layout = verdict["parts"][-1]
        assert layout["subject"] == "layout version 1"
        assert {one["subject"] for one in layout["parts"]} >= {"step resolve", "step publish", "inspection layer"}


def test_the_attached_layout_is_a_source_of_the_release(released: Project) -> None:
    link = json.loads((released.build / "links" / "resolve.link").read_text())
    assert "layout.sigstore.json" in link["materials"]


def test_a_policy_that_wants_a_newer_layout_refuses_the_release(released: Project, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text((released.folder / "policy.yaml").read_text().replace("minimumVersion: 1", "minimumVersion: 2"))
    body = verify(released, policy)
    assert {one["reason"] for one in body["verdicts"]} == {"layout.rollback"}


def ask(released: Project, consumer: Consumer, policy: Path) -> Outcome:
    """What another consumer says of an artifact that has a layout beside its statements."""
    one = artifacts(released)[0]
    target = Target(
        repository=one["repository"],
        digest=Digest(one["digest"]),
        trusted_root=Path(released.lab.trusted_root()),
        policy=policy,
        plain_http=True,
    )
    return released.lab.call(anyio.run, consumer.verify, target).outcome


@pytest.mark.parametrize("name", ["cosign", "flux-1.9"])
def test_other_consumers_are_not_disturbed_by_a_layout_and_take_none_for_a_permission(
    name: str, released: Project, tmp_path: Path
) -> None:
    """Who signs layouts does not deploy: the payload is no statement, and about no artifact."""
    consumer = CosignConsumer() if name == "cosign" else FluxConsumer(name, "flux-verify-1.9", names_trust_root=True)
    policy = released.folder / "policy.yaml"
    assert ask(released, consumer, policy) is Outcome.ACCEPTED
    owner = tmp_path / "policy.yaml"
    owner.write_text(policy.read_text().replace("identities: [release]", "identities: [security]"))
    assert ask(released, consumer, owner) is Outcome.REJECTED


def refused(project: Project, **changed: object) -> str:
    """What a release says whose layout differs in its step `render`; nothing is promoted."""
    ask_for_a_layout(project)
    path = project.folder / "layout.json"
    body = json.loads(path.read_text())
    body["steps"][1].update(changed)
    path.write_text(json.dumps(body))
    sign(project)
    project.commit()
    done = project.release()
    assert done.returncode == 1
    assert not (project.build / "publish.json").exists()
    said: str = done.stderr
    return said


def test_a_release_that_the_layout_refuses_is_not_promoted(make_project: MakeProject) -> None:
    project = make_project()
    assert "step.threshold" in refused(project, identities=["release", "security"], threshold=2)
    assert (project.build / "bundles").exists()


def test_a_release_whose_files_the_layout_refuses_is_not_even_signed(make_project: MakeProject) -> None:
    project = make_project()
    assert "step.artifact-rule" in refused(project, expected_products=[["DISALLOW", "*"]])
    assert not (project.build / "bundles").exists()
    assert not (project.build / "statements").exists()


def test_a_layout_that_is_none_stops_the_release_before_anything_is_done(make_project: MakeProject) -> None:
    project = make_project()
    ask_for_a_layout(project)
    (project.folder / "layout.sigstore.json").write_text("{}")
    project.commit()
    done = project.release()
    assert done.returncode == 4
    assert "layout.sigstore.json" in done.stderr
    assert not (project.build / "resolve").exists()
