"""Layouts for a real release: written from the project, signed keyless by its owner or with a key, applied."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import dhallmark
from dhallmark.digest import Digest
from dhallmark.lab.signer import LabSigner
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot
from dhallmark.verify.vsa import Described, make_summary

if TYPE_CHECKING:
    from tests.component.steps.conftest import Project

pytestmark = pytest.mark.component

OWNER = {
    "repository": "acme/security",
    "workflow_ref": "acme/security/.github/workflows/layout.yml@refs/heads/main",
    "job_workflow_ref": "acme/security/.github/workflows/layout.yml@refs/heads/main",
}
LAYOUT_POLICY = """
layout:
  file: layout.sigstore.json
  identities: [security]
  minimumVersion: 2
"""
IDENTITY = """\
  security:
    issuer: https://token.actions.githubusercontent.com
    subject: https://github.com/acme/security/.github/workflows/layout.yml@refs/heads/main
"""


def command(project: Project, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    source = Path(dhallmark.__path__[0]).parent
    return project.lab.run(
        [sys.executable, "-m", "dhallmark.cli.app", *words],
        env={"PYTHONPATH": str(source)} | (env or {}),
        cwd=project.root,
        check=False,
    )


def sign_layout(
    project: Project, *words: str, claims: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    trust = ("--trust-config", str(project.lab.trust_config()))
    return command(
        project,
        "layout",
        "sign",
        *trust,
        *words,
        env=project.lab.github_job(claims=OWNER if claims is None else claims),
    )


def verify(project: Project, *words: str) -> tuple[int, dict[str, Any]]:
    done = command(
        project,
        *("--output", "json", "layout", "verify", "--trusted-root", str(project.lab.trusted_root()), *words),
    )
    assert done.stdout, done.stderr
    body: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, body


def change(project: Project, edit: Callable[[dict[str, Any]], object]) -> None:
    path = project.root / "layout.json"
    body = json.loads(path.read_text())
    edit(body)
    path.write_text(json.dumps(body))


@pytest.fixture(scope="session")
def released(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with a policy that asks for a layout, signed statements, and an unsigned layout of version 2."""
    root = tmp_path_factory.mktemp("layouts") / "project"
    shutil.copytree(finished.root, root, symlinks=True)
    project = replace(finished, root=root)
    assert project.attest().returncode == 0
    # In the run of the very commit that was built: what a step says must not contradict its certificate.
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()
    signed = project.sign(env=project.lab.github_job(claims={"sha": commit}))
    assert signed.returncode == 0, signed.stderr
    policy = (root / "policy.yaml").read_text()
    (root / "policy.yaml").write_text(policy.replace("statements:", f"{IDENTITY}statements:", 1) + LAYOUT_POLICY)
    done = command(project, "layout", "init", "--version", "2")
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture
def project(released: Project, tmp_path: Path) -> Project:
    shutil.copytree(released.root, tmp_path / "project", symlinks=True)
    return replace(released, root=tmp_path / "project")


def test_a_release_fulfils_the_layout_that_its_owner_signed(project: Project) -> None:
    done = sign_layout(project)
    assert done.returncode == 0, done.stderr
    assert "acme/security" in done.stdout
    code, body = verify(project)
    assert (code, body["outcome"]) == (0, "accepted"), json.dumps(body, indent=1)
    assert len(body["verdicts"]) == 7
    shown = command(project, "layout", "show")
    assert "step publish: 1 of release" in shown.stdout


def test_only_who_owns_the_layout_may_sign_it(project: Project) -> None:
    done = sign_layout(project, claims={})
    assert done.returncode == 1
    assert "identity.subject-mismatch" in done.stderr
    assert not (project.root / "layout.sigstore.json").exists()


def test_a_layout_of_who_releases_is_not_believed(project: Project) -> None:
    policy = (project.root / "policy.yaml").read_text()
    (project.root / "policy.yaml").write_text(policy.replace("identities: [security]", "identities: [release]"))
    assert sign_layout(project, claims={}).returncode == 0
    (project.root / "policy.yaml").write_text(policy)
    code, body = verify(project)
    assert (code, body["verdicts"][0]["reason"]) == (1, "identity.subject-mismatch")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda body: body.update(version=1), "version 2 or later"),
        (lambda body: body.update(expires="2020-01-01T00:00:00Z"), "expired"),
        (lambda body: body["steps"][0].update(identities=["nobody"]), "nobody"),
        (lambda body: body["steps"][0].update(treshold=2), "treshold"),
    ],
)
def test_what_would_be_refused_is_not_signed(
    edit: Callable[[dict[str, Any]], object], said: str, project: Project
) -> None:
    change(project, edit)
    done = sign_layout(project)
    assert done.returncode == 4
    assert said in done.stderr


def test_a_stricter_layout_refuses_the_release(project: Project) -> None:
    def stricter(body: dict[str, Any]) -> None:
        body["steps"][1].update(identities=["release", "security"], threshold=2)

    change(project, stricter)
    assert sign_layout(project).returncode == 0
    code, body = verify(project)
    assert (code, {one["reason"] for one in body["verdicts"]}) == (1, {"step.threshold"})


def test_two_identities_sign_a_step(project: Project) -> None:
    """P21: the same record, signed by the release and by who reviewed it; twice by one of them is not enough."""

    def stricter(body: dict[str, Any]) -> None:
        body["steps"][1].update(identities=["release", "security"], threshold=2)

    change(project, stricter)
    assert sign_layout(project).returncode == 0
    record = (project.build / "statements" / "links" / "render.json").read_bytes()
    again = project.build / "bundles" / "links" / "render-again.sigstore.json"
    for claims, outcome in (({"run_id": "2"}, "rejected"), (OWNER, "accepted")):
        again.write_bytes(sign(project, record, claims))
        code, body = verify(project)
        assert (code, body["outcome"]) == (0 if outcome == "accepted" else 1, outcome), json.dumps(body, indent=1)


def sign(project: Project, payload: bytes, claims: dict[str, str]) -> bytes:
    return project.lab.call(anyio.run, LabSigner(project.lab.directory).sign, payload, "github", claims)


def test_a_layout_signed_with_a_key(project: Project) -> None:
    """A regulated site: the owner's key, with the instance's log and timestamps."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = project.root / "owner.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (project.root / "owner.pub").write_bytes(public)
    policy = (project.root / "policy.yaml").read_text().replace(IDENTITY, "  security: {key: owner.pub}\n")
    (project.root / "policy.yaml").write_text(policy)
    done = sign_layout(project, "--key", str(private))
    assert done.returncode == 0, done.stderr
    assert "signed by the key sha256:" in done.stdout
    code, body = verify(project)
    assert (code, body["outcome"]) == (0, "accepted"), json.dumps(body, indent=1)


def test_a_file_that_was_changed_in_a_chart_is_found_by_the_inspection(project: Project) -> None:
    """What was packed is not what was rendered, and whoever packed it recorded and signed that."""
    assert sign_layout(project).returncode == 0
    bundles = project.build / "bundles" / "links"
    record = json.loads((project.build / "statements" / "links" / "render.json").read_bytes())
    chart = next(one for one in record["subject"] if one["name"] == "dir:build/render/prod/api")
    chart["digest"]["sha256"] = "0" * 64
    package = json.loads((project.build / "statements" / "links" / "package.json").read_bytes())
    material = next(one for one in package["predicate"]["materials"] if one["name"] == chart["name"])
    material["digest"]["sha256"] = "0" * 64
    for name, body in (("render", record), ("package", package)):
        (bundles / f"{name}.sigstore.json").write_bytes(sign(project, json.dumps(body).encode(), {}))
    code, said = verify(project)
    refused = {one["subject"].rpartition("/")[2].partition("@")[0] for one in said["verdicts"] if "reason" in one}
    assert (code, refused) == (1, {"api"})
    reasons = {one["reason"] for one in said["verdicts"] if "reason" in one}
    assert reasons == {"step.artifact-rule"}


def test_provenance_stands_for_a_step_and_names_every_file_of_a_chart(project: Project) -> None:
    """One step, which the build type of the provenance names; each file of the layer is matched with its subjects."""

    def by_provenance(body: dict[str, Any]) -> None:
        build = {**body["steps"][0], "name": "build", "build_types": ["https://dhallmark.dev/build/v1"]}
        body["steps"] = [{**build, "expected_materials": [["ALLOW", "*"]], "expected_products": [["ALLOW", "*"]]}]
        body["inspect"][0]["expected_products"] = [
            *(
                [
                    "MATCH",
                    "*",
                    "IN",
                    f"chart/{name}",
                    "WITH",
                    "PRODUCTS",
                    "IN",
                    f"environments/{name}/charts",
                    "FROM",
                    "build",
                ]
                for name in ("dev", "prod")
            ),
            ["ALLOW", "dir:chart/*"],
            ["DISALLOW", "*"],
        ]

    change(project, by_provenance)
    assert sign_layout(project).returncode == 0
    _, body = verify(project)
    said = {one["subject"].partition("@")[0].partition("/live/")[2]: one for one in body["verdicts"]}
    accepted = {name for name, one in said.items() if one["outcome"] == "accepted"}
    assert accepted == {"dev/api", "dev/web", "prod/api"}
    assert {said[name]["reason"] for name in said.keys() - accepted} == {"step.artifact-rule"}


def test_a_summary_that_failed_is_not_signed_by_who_releases(project: Project) -> None:
    digest = Digest.of(b"artifact")
    failed = Verdict.of("x", checks=[Check(name="artifact", reason=Reason.SIGNATURE_NONE)])
    summary = make_summary(
        failed,
        name="registry.test/acme/prod/api",
        digest=digest,
        policy=Described(uri="policy.yaml", digest=digest),
        inputs=[],
        version="1",
        time=datetime.now(UTC),
    )
    (project.root / "vsa.json").write_bytes(summary.payload)
    words = ("vsa", "sign", "--trust-config", str(project.lab.trust_config()))
    refused = command(project, *words, env=project.lab.github_job())
    assert refused.returncode == 6
    assert "must not be signed by release" in refused.stderr
    assert not (project.root / "vsa.sigstore.json").exists()
    signed = command(project, *words, env=project.lab.github_job(claims=OWNER))
    assert signed.returncode == 0, signed.stderr
    trust = TrustRoot.load(Path(project.lab.trusted_root()))
    result = verify_bundle((project.root / "vsa.sigstore.json").read_bytes(), Terms(trust))
    assert result.statement is not None
    assert result.statement.payload == summary.payload
