"""From recorded steps to signed bundles: what is stated, what the policy refuses, and what never leaks."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dhallmark import strictjson
from dhallmark.package.package import load_artifacts
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, SLSA_PROVENANCE_V1
from dhallmark.steps.link import STEPS, read_links
from dhallmark.steps.schema import validate_statement
from dhallmark.steps.source import read_source

if TYPE_CHECKING:
    from tests.component.steps.conftest import Project

pytestmark = pytest.mark.component


def statement(project: Project, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((project.build / "statements" / f"{name}.json").read_text())
    return body


def payload(bundle: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(base64.b64decode(json.loads(bundle.read_text())["dsseEnvelope"]["payload"]))
    return body


def as_link(body: dict[str, Any]) -> dict[str, Any]:
    """A link statement as the old-style link, as the specification of link/v0.3 converts it."""
    predicate = body["predicate"]
    return {
        "_type": "link",
        "name": predicate["name"],
        "command": predicate["command"],
        "byproducts": predicate["byproducts"],
        "environment": predicate["environment"],
        "materials": {item["name"]: item["digest"] for item in predicate["materials"]},
        "products": {item["name"]: item["digest"] for item in body["subject"]},
    }


def test_every_artifact_has_its_statements_and_all_fit_the_schemas(packaged: Project) -> None:
    assert packaged.attest().returncode == 0
    folder = packaged.build / "statements"
    found = {}
    for path in folder.rglob("*.json"):
        found[path.relative_to(folder).as_posix()] = validate_statement(path.read_bytes()).predicate_type
    expected = {f"links/{step}.json": LINK_V0_3 for step in STEPS}
    for artifact in load_artifacts(packaged.build).artifacts:
        expected |= {
            f"{artifact.slug}/sign.json": COSIGN_SIGN_V1,
            f"{artifact.slug}/provenance.json": SLSA_PROVENANCE_V1,
        }
    assert found == expected


def test_provenance_names_the_artifact_its_files_and_every_material(packaged: Project) -> None:
    assert (
        packaged.attest(
            "--image", f"registry.example/ci@sha256:{'ab' * 32}", "--invocation-id", "https://ci/1"
        ).returncode
        == 0
    )
    artifacts = load_artifacts(packaged.build)
    artifact = next(item for item in artifacts.artifacts if item.slug == "prod/api")
    body = statement(packaged, "prod/api/provenance")
    subjects = {item["name"]: item["digest"]["sha256"] for item in body["subject"]}
    (reference,) = [name for name in subjects if name.startswith(f"{packaged.lab.registry}/")]
    assert reference.endswith("/live/prod/api")
    assert subjects == {
        reference: artifact.manifest_digest.hex,
        "api-1.2.3.tgz": artifact.archive.sha256,
        **{file.name: file.sha256 for file in artifact.files},
    }
    assert "environments/prod/charts/api/values.yaml" in subjects
    definition = body["predicate"]["buildDefinition"]
    source = read_source(packaged.root, allow_dirty=False)
    assert definition["externalParameters"] == {
        "repository": packaged.repository,
        "config": "dhallmark.yaml",
        "project": "platform",
        "version": "1.2.3",
        "environment": "prod",
        "application": "api",
        "artifact": "chart",
    }
    assert definition["internalParameters"]["dirty"] is False
    assert definition["internalParameters"]["sourceDateEpoch"] == source.commit_time == 1700000000
    assert set(definition["internalParameters"]["tools"]) == {"dhall", "dhallmark"}
    dependencies = {item["name"]: item for item in definition["resolvedDependencies"]}
    assert dependencies["source"]["digest"] == {"gitCommit": source.revision}
    assert dependencies["source-tree"]["digest"] == {"gitTree": source.tree}
    assert dependencies["materials"]["digest"] == {"sha256": artifacts.materials.sha256}
    assert set(dependencies) == {
        *("source", "source-tree", "materials", "dhallmark.yaml", "charts/api.yaml"),
        *("apps/api.dhall", "environments/prod.dhall", "lib/config.dhall"),
    }, "neither web nor dev is a material of prod/api"
    recorded = read_links(packaged.build)[0].materials
    for name in set(dependencies) - {"source", "source-tree", "materials"}:
        assert dependencies[name]["digest"] == recorded[name]
    assert dependencies["lib/config.dhall"]["annotations"]["semanticHash"].startswith("sha256:")
    details = body["predicate"]["runDetails"]
    assert details["builder"]["id"] == packaged.workflow
    assert details["builder"]["builderDependencies"][0]["digest"] == {"sha256": "ab" * 32}
    assert details["metadata"] == {"invocationId": "https://ci/1"}
    assert {item["name"] for item in details["byproducts"]} == {
        f"links/signed/{name}" for name in ("root.layout", "layout.pub", "functionary.pub")
    }


def test_the_builder_and_the_run_are_taken_from_the_ci_job(packaged: Project) -> None:
    done = packaged.run("attest", env={"GITHUB_ACTIONS": "", "GITLAB_CI": ""})
    assert done.returncode == 2
    assert "--builder-id" in done.stderr
    job = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "acme/platform",
        "GITHUB_WORKFLOW_REF": "acme/platform/.github/workflows/release.yml@refs/heads/main",
        "GITHUB_RUN_ID": "7",
        "GITHUB_RUN_ATTEMPT": "2",
    }
    packaged.ok("attest", env=job)
    details = statement(packaged, "dev/web/provenance")["predicate"]["runDetails"]
    assert details["builder"]["id"] == packaged.workflow
    assert details["metadata"]["invocationId"] == "https://github.com/acme/platform/actions/runs/7/attempts/2"


def test_one_link_is_signed_twice(packaged: Project) -> None:
    """By the functionary for in-toto-verify, and as a link statement in a bundle: the same link, field by field."""
    assert packaged.attest().returncode == 0
    done = packaged.sign()
    assert done.returncode == 0, done.stderr
    for step in STEPS:
        recorded = (packaged.build / "links" / f"{step}.link").read_bytes()
        (signed,) = (packaged.build / "links" / "signed").glob(f"{step}.*.link")
        functionarys = base64.b64decode(json.loads(signed.read_text())["payload"])
        stated = as_link(payload(packaged.build / "bundles" / "links" / f"{step}.sigstore.json"))
        assert functionarys == recorded
        assert stated == strictjson.parse(recorded)
        assert strictjson.dump_compact(stated) == recorded
    assert packaged.in_toto_verify().returncode == 0


def test_what_is_signed_is_what_was_attested(packaged: Project) -> None:
    packaged.attest()
    done = packaged.sign()
    assert packaged.workflow in done.stdout
    for path in (packaged.build / "statements").rglob("*.json"):
        name = path.relative_to(packaged.build / "statements").with_suffix(".sigstore.json")
        bundle = json.loads((packaged.build / "bundles" / name).read_text())
        assert base64.b64decode(bundle["dsseEnvelope"]["payload"]) == path.read_bytes()


def _edit_policy(project: Project, old: str, new: str) -> None:
    file = project.root / "policy.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    project.git("commit", "--quiet", "--all", "--message=policy")


def _dirty(project: Project) -> None:
    (project.root / "apps" / "web.dhall").write_text(
        '\\(env : { replicas : Natural }) -> [ ../lib/config.dhall "web" 99 ]\n'
    )


def test_a_dirty_tree_is_refused_and_if_allowed_the_default_policy_rejects_it(project: Project) -> None:
    _dirty(project)
    assert project.run("plan").returncode == 4
    project.steps()
    done = project.attest()
    assert done.returncode == 4
    assert "apps/web.dhall" in done.stderr
    assert "--allow-dirty" in done.stderr
    done = project.attest("--allow-dirty")
    assert done.returncode == 1
    assert "provenance.dirty" in done.stderr
    assert not (project.build / "statements").exists()
    assert project.sign().returncode == 4, "there is nothing to sign"


def test_a_dirty_tree_that_the_policy_allows_is_marked(project: Project) -> None:
    _edit_policy(project, "source: {repository:", "source: {allowDirty: true, repository:")
    _dirty(project)
    project.steps()
    assert project.attest("--allow-dirty").returncode == 0
    assert (
        statement(project, "dev/web/provenance")["predicate"]["buildDefinition"]["internalParameters"]["dirty"] is True
    )


def test_a_change_that_git_was_told_to_overlook_is_found(project: Project) -> None:
    project.git("update-index", "--assume-unchanged", "apps/web.dhall")
    _dirty(project)
    project.steps()
    done = project.attest()
    assert done.returncode == 4
    assert "apps/web.dhall" in done.stderr


def test_a_source_that_changed_after_it_was_resolved_is_refused(packaged: Project) -> None:
    _dirty(packaged)
    packaged.git("commit", "--quiet", "--all", "--message=second")
    done = packaged.attest()
    assert done.returncode == 4
    assert "apps/web.dhall" in done.stderr


def test_packages_of_another_commit_are_refused(project: Project) -> None:
    project.steps(("resolve", "render"))
    project.ok("step", "package", env={"SOURCE_DATE_EPOCH": "1600000000"})
    project.ok("step", "publish")
    done = project.attest()
    assert done.returncode == 4
    assert "another version or commit" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("builders: [https://github.com/acme/", "builders: [https://github.com/other/", "provenance.builder"),
        ("{repository: https://github.com/acme/", "{repository: https://github.com/fork/", "provenance.source"),
        ("package, publish]", "package, publish, verify]", "step.missing"),
        ("schemaVersion: 1", "schemaVersion: 1\nmaxSubjects: 3", "subject.too-many"),
    ],
)
def test_what_the_policy_refuses_leaves_nothing_to_sign(project: Project, old: str, new: str, reason: str) -> None:
    _edit_policy(project, old, new)
    project.steps()
    done = project.attest()
    assert done.returncode == 1, done.stderr
    assert reason in done.stderr
    assert not (project.build / "statements").exists()
    assert project.sign().returncode == 4


def test_a_refusal_takes_the_statements_and_bundles_of_the_older_run_away(packaged: Project) -> None:
    assert packaged.attest().returncode == 0
    assert packaged.sign().returncode == 0
    assert packaged.run("attest", "--builder-id", "https://other.example").returncode == 1
    assert not (packaged.build / "statements").exists()
    assert not (packaged.build / "bundles").exists()


def test_the_verdict_is_there_for_machines(packaged: Project) -> None:
    done = packaged.attest("--output", "json")
    body = json.loads(done.stdout)
    assert body["schema"] == "dhallmark.dev/attest/v1"
    assert body["verdict"]["outcome"] == "accepted"
    assert len(body["statements"]) == 18


def _forge_statement(project: Project) -> None:
    path = project.build / "statements" / "dev" / "web" / "provenance.json"
    path.write_text(path.read_text().replace('"dirty":false', '"dirty":true'))


def _foreign_statement(project: Project) -> None:
    path = project.build / "statements" / "dev" / "web" / "sign.json"
    (project.build / "statements" / "elsewhere.json").write_bytes(path.read_bytes())


def _another_artifact(project: Project) -> None:
    """Beside the good one, a signature on something that nobody judged."""
    body = statement(project, "dev/web/sign")
    body["subject"][0]["digest"]["sha256"] = "0" * 64
    (project.build / "statements" / "dev" / "web" / "another.json").write_bytes(strictjson.dump_compact(body))


def _another_link(project: Project) -> None:
    body = statement(project, "links/resolve")
    body["subject"].append({"name": "build/resolve/x", "digest": {"sha256": "0" * 64}})
    (project.build / "statements" / "links" / "another.json").write_bytes(strictjson.dump_compact(body))


def _longer_link(project: Project) -> None:
    body = statement(project, "links/resolve")
    body["subject"].append({"name": "build/resolve/x", "digest": {"sha256": "0" * 64}})
    (project.build / "statements" / "links" / "resolve.json").write_bytes(strictjson.dump_compact(body))


def _other_archive(project: Project) -> None:
    (project.build / "package" / "dev" / "web-1.2.3.tgz").write_bytes(b"other")


@pytest.mark.parametrize(
    "change",
    [_forge_statement, _foreign_statement, _another_artifact, _another_link, _longer_link, _other_archive],
)
def test_what_changed_since_attest_is_not_signed(packaged: Project, change: Callable[[Project], None]) -> None:
    packaged.attest()
    change(packaged)
    done = packaged.sign()
    assert done.returncode in (1, 4), done.stderr
    assert not (packaged.build / "bundles").exists()


def test_an_identity_that_the_policy_does_not_name_signs_nothing(packaged: Project) -> None:
    packaged.attest()
    done = packaged.sign(env=packaged.lab.github_job(claims={"repository": "evil/platform"}))
    assert done.returncode == 1
    assert "identity.subject-mismatch" in done.stderr
    assert not (packaged.build / "bundles").exists()


def test_without_a_trust_config_the_public_instance_is_meant_and_its_absence_is_told(packaged: Project) -> None:
    """The lab reaches nothing outside."""
    packaged.attest()
    done = packaged.run("sign", env=packaged.lab.github_job())
    assert done.returncode == 5
    assert "public Sigstore instance" in done.stderr
    assert not (packaged.build / "bundles").exists()


def test_what_is_signed_here_is_verified_and_published_by_the_later_steps(packaged: Project) -> None:
    packaged.attest()
    revision = packaged.git("rev-parse", "HEAD")
    publish = ("publish", "--trusted-root", str(packaged.lab.trusted_root()))
    assert packaged.sign().returncode == 0, "of another commit, says the certificate"
    done = packaged.run(*publish)
    assert done.returncode == 1
    assert "provenance.claim-mismatch" in done.stderr
    assert packaged.sign(env=packaged.lab.github_job(claims={"sha": revision})).returncode == 0
    done = packaged.run(*publish)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("claims", "message"),
    [({"exp": 1}, "expired"), ({"aud": "kubernetes"}, "audience"), ({"iss": "https://x"}, "https://x")],
)
def test_a_bad_token_is_explained_and_stays_secret(packaged: Project, claims: dict[str, object], message: str) -> None:
    packaged.attest()
    token = packaged.lab.token(claims=claims)
    done = packaged.sign("--token-env", "ID_TOKEN", env={"ID_TOKEN": token})
    assert done.returncode == 6
    assert message in done.stderr
    _assert_nowhere(token, packaged, done.stdout + done.stderr)


@pytest.mark.parametrize(
    ("service", "message"),
    [("rekor", "transparency log"), ("fulcio-main", "Fulcio"), ("timestamp", "timestamp authority")],
)
def test_a_service_that_is_away_leaves_nothing_and_the_next_run_recovers(
    packaged: Project, service: str, message: str
) -> None:
    packaged.attest()
    token = packaged.lab.token()
    packaged.lab.stop_service(service)
    try:
        started = time.monotonic()
        done = packaged.sign("--token-env", "ID_TOKEN", env={"ID_TOKEN": token})
        assert time.monotonic() - started < 90
    finally:
        packaged.lab.start_service(service)
    assert done.returncode == 6
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (packaged.build / "bundles").exists()
    _assert_nowhere(token, packaged, done.stdout + done.stderr)
    assert packaged.sign().returncode == 0


def test_the_token_is_in_no_file_output_or_debug_traceback(packaged: Project, tmp_path: Path) -> None:
    packaged.attest()
    token = packaged.lab.token()
    file = tmp_path / "token"
    file.write_text(token)
    done = packaged.sign("--token-file", str(file), "--debug")
    assert done.returncode == 0
    _assert_nowhere(token, packaged, done.stdout + done.stderr)
    file.write_text(packaged.lab.token(signed_by="gitlab"))
    done = packaged.sign("--token-file", str(file), "--debug")
    assert done.returncode == 6
    assert "Traceback" in done.stderr
    _assert_nowhere(file.read_text(), packaged, done.stdout + done.stderr)


def _assert_nowhere(token: str, project: Project, output: str) -> None:
    """Neither the token nor its signature part alone."""
    secret = token.rpartition(".")[2].encode()
    assert secret
    assert secret not in output.encode()
    for folder, _, names in os.walk(project.root):
        for name in names:
            assert secret not in (Path(folder) / name).read_bytes(), f"{folder}/{name}"
