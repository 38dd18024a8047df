"""`dhallmark release` against a real Sigstore and registry: from the source to a deploy tree, and what stops it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dhallmark.config.load import load_config
from dhallmark.errors import ExitCode

if TYPE_CHECKING:
    from conftest import Project  # type: ignore[import-not-found]
else:
    Project = Any

pytestmark = pytest.mark.component


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def report_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The report of a release that ended well."""
    assert done.returncode == 0, done.stderr
    body: dict[str, Any] = json.loads(done.stdout)
    return body


def error_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The error of a release that did not."""
    assert done.returncode != 0, done.stdout
    body: dict[str, Any] = json.loads(done.stderr)
    assert body["exitCode"] == done.returncode
    return body


def tags_of(project: Project) -> list[str]:
    """The tags that consumers could follow, over all repositories of the project."""
    settings = load_config(project.folder / "dhallmark.yaml")
    catalog = project.tool(["crane", "catalog", "--insecure", settings.publish.registry]).stdout.split()
    found = []
    for repository in catalog:
        if repository.startswith(f"{settings.publish.repository}/"):
            listing = project.tool(
                ["crane", "ls", "--insecure", f"{settings.publish.registry}/{repository}"], check=False
            )
            found += [f"{repository}:{tag}" for tag in listing.stdout.split() if not tag.startswith("sha256-")]
    return found


def test_report_names_every_artifact_and_its_verdict(released: Project) -> None:
    report = json.loads((released.build / "release.json").read_text())
    assert [(one["environment"], one["kind"]) for one in report["artifacts"]] == [
        (environment, kind) for environment in ("dev", "prod") for kind in ("flux", "chart", "umbrella")
    ]
    assert {one["verdict"]["outcome"] for one in report["artifacts"]} == {"accepted"}
    assert {one["statements"] for one in report["artifacts"]} == {6}
    assert report["revision"] == released.git("rev-parse", "HEAD")
    assert len(tags_of(released)) == 6


def test_commands_that_the_report_gives_to_check_it_succeed(released: Project, tmp_path: Path) -> None:
    report = json.loads((released.build / "release.json").read_text())
    programs = []
    for check in report["checks"]:
        program, *words = shlex.split(check["command"])
        programs.append(program)
        if program == "dhallmark":
            done = released.dhallmark(*words)
        else:
            destination = ["--destination", str(tmp_path)] if program == "helm" else []
            done = released.tool([program, *words, *destination], check=False)
        assert done.returncode == 0, (check, done.stderr)
    assert programs == ["dhallmark", "cosign", "helm", "dhallmark"]


def test_helm_uses_the_deploy_tree_as_it_is_and_leaves_attestations_out(released: Project, tmp_path: Path) -> None:
    for environment in ("dev", "prod"):
        chart = released.deploy / "environments" / environment
        assert (chart / "attestation.json").is_file()
        assert (chart / "charts" / "greeter" / "attestation.json").is_file()
        for folder in (chart, chart / "charts" / "greeter"):
            subprocess.run(["helm", "lint", "--strict", folder], check=True, capture_output=True)
            done = subprocess.run(["helm", "template", folder], check=True, capture_output=True, text=True)
            assert "kind: Deployment" in done.stdout
            subprocess.run(["helm", "package", folder, "-d", tmp_path], check=True, capture_output=True)
        members = subprocess.run(
            ["tar", "--list", "--file", *tmp_path.glob("p*.tgz")], check=True, capture_output=True, text=True
        ).stdout
        assert "Chart.yaml" in members
        assert "attestation.json" not in members


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("environments/prod/charts/greeter/templates/001-configmap-greeter.yaml", "artifact.content-mismatch"),
        ("environments/prod/charts/greeter/templates/999-evil.yaml", "artifact.content-mismatch"),
        ("environments/prod/charts/greeter/.helmignore", "artifact.content-mismatch"),
    ],
)
def test_a_changed_deploy_tree_is_rejected(released: Project, tmp_path: Path, path: str, reason: str) -> None:
    tree = tmp_path / "deploy"
    shutil.copytree(released.deploy, tree)
    with (tree / path).open("a") as file:
        file.write("# changed\n")
    trust = ["--policy", "policy.yaml", "--trusted-root", "build/trusted_root.json"]
    assert released.dhallmark("verify", "--tree", str(released.deploy), *trust).returncode == ExitCode.OK
    done = released.dhallmark("verify", "--tree", str(tree), *trust, "--output", "json")
    assert done.returncode == ExitCode.REJECTED
    assert reason in done.stdout


def test_a_release_without_a_change_has_the_same_digests_and_changes_no_byte_of_the_tree(project: Project) -> None:
    first = report_of(project.release("--deploy", str(project.deploy)))
    before = contents(project.deploy)
    bundles = contents(project.build / "bundles")
    second = report_of(project.release("--deploy", str(project.deploy)))
    assert contents(project.build / "bundles") != bundles
    assert [one["digest"] for one in second["artifacts"]] == [one["digest"] for one in first["artifacts"]]
    assert second["tree"] == []
    assert contents(project.deploy) == before


def test_a_new_version_replaces_what_changed_in_the_tree(project: Project) -> None:
    report_of(project.release("--deploy", str(project.deploy)))
    config = project.folder / "dhallmark.yaml"
    config.write_text(config.read_text().replace("version: 0.1.0", "version: 0.2.0"))
    values = project.folder / "environments" / "prod.dhall"
    values.write_text(values.read_text().replace("replicas = 3", "replicas = 4"))
    project.commit()
    report_of(project.release("--deploy", str(project.deploy)))
    chart = project.deploy / "environments" / "prod" / "charts" / "greeter"
    assert 'version: "0.2.0"' in (chart / "Chart.yaml").read_text()
    assert "replicas: 4" in (chart / "templates" / "002-deployment-greeter.yaml").read_text()
    assert len(tags_of(project)) == 12


def test_controls_are_run_and_reported(project: Project) -> None:
    report = report_of(project.release("--controls"))
    asked = {control["id"].partition("-")[0] for control in report["controls"]}
    assert asked == {"S1", "S2", "S6", "C1", "C2", "P1"}
    assert {control["status"] for control in report["controls"]} <= {"passed", "out-of-scope"}
    by_dhallmark = [one["status"] for one in report["controls"] if one["consumer"].startswith("dhallmark")]
    assert set(by_dhallmark) == {"passed"}


def test_without_an_answer_to_every_control_nothing_is_promoted(project: Project) -> None:
    paths = [path for path in os.environ["PATH"].split(os.pathsep) if not (Path(path) / "cosign").exists()]
    error = error_of(
        project.release(
            "--controls",
            environment={**project.job(), "PATH": os.pathsep.join(paths)},
        )
    )
    assert error["exitCode"] == 3
    assert "control.unanswered" in error["message"]
    assert tags_of(project) == []


def test_an_identity_that_the_policy_does_not_allow_signs_nothing(project: Project) -> None:
    job = {
        **project.job(),
        **project.lab.github_job(claims={"sha": project.git("rev-parse", "HEAD"), "repository": "evil/platform"}),
    }
    error = error_of(project.release(environment=job))
    assert error["exitCode"] == ExitCode.REJECTED
    assert error["verdict"]["reason"] == "identity.subject-mismatch"
    assert not (project.build / "bundles").exists()
    assert tags_of(project) == []


def test_uncommitted_changes_stop_a_release_before_it_starts(project: Project) -> None:
    (project.folder / "environments" / "dev.dhall").write_text("{=}")
    error = error_of(project.release())
    assert error["exitCode"] == ExitCode.INPUT
    assert "environments/dev.dhall" in error["message"]
    assert not (project.build / "resolve").exists()


def test_allow_dirty_does_not_get_past_the_policy(project: Project) -> None:
    values = project.folder / "environments" / "dev.dhall"
    values.write_text(values.read_text().replace("replicas = 1", "replicas = 2"))
    error = error_of(project.release("--allow-dirty"))
    assert error["verdict"]["reason"] == "provenance.dirty"
    assert not (project.build / "bundles").exists()
    assert tags_of(project) == []


def test_without_a_token_nothing_is_done(project: Project) -> None:
    error = error_of(project.release(environment={}))
    assert error["exitCode"] == ExitCode.USAGE
    assert not project.build.exists()


@pytest.mark.parametrize(
    ("service", "code"),
    [("rekor", ExitCode.SIGNING), ("timestamp", ExitCode.SIGNING), ("registry", ExitCode.UNAVAILABLE)],
)
def test_a_service_that_is_away_leaves_no_tag_and_the_next_run_recovers(
    project_apart: Project, service: str, code: ExitCode
) -> None:
    project_apart.lab.stop_service(service)
    try:
        error = error_of(project_apart.release())
    finally:
        project_apart.lab.start_service(service)
    assert error["exitCode"] == code
    assert tags_of(project_apart) == []
    report_of(project_apart.release())
    assert len(tags_of(project_apart)) == 6


def test_the_token_is_left_nowhere(project: Project) -> None:
    token = project.lab.token(claims={"sha": project.git("rev-parse", "HEAD")})
    builder = ["--builder-id", project.job()["GITHUB_SERVER_URL"] + "/" + project.job()["GITHUB_WORKFLOW_REF"]]
    done = project.release("--token-env", "ANY_NAME", *builder, "--debug", environment={"ANY_NAME": token})
    report_of(done)
    everything = {**contents(project.folder.parent), "stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    _, payload, signature = token.split(".")
    parts = (payload.encode(), signature.encode())
    assert [name for name, content in everything.items() if any(part in content for part in parts)] == []


def test_killed_at_any_moment_no_tag_names_what_is_not_signed_and_the_next_run_recovers(project: Project) -> None:
    trust = ["--policy", "policy.yaml", "--trusted-root", str(project.lab.trusted_root()), "--plain-http"]
    killed = 0
    for seconds in ("2", "3", "3.5", "4", "4.5", "5"):
        killed += project.killed_after(seconds, "release", "--trust-config", str(project.lab.trust_config()))
        references = [f"--ref={project.lab.registry}/{tag}" for tag in tags_of(project)]
        if references:
            done = project.dhallmark("verify", *references, *trust)
            assert done.returncode == ExitCode.OK, done.stdout
    assert killed >= 3
    report_of(project.release())
    assert len(tags_of(project)) == 6


def test_a_full_disk_is_told_and_leaves_no_tag(project: Project) -> None:
    project.build.mkdir()
    script = 'mount -t tmpfs -o size=64k tmpfs build && exec "$@"'
    done = project.dhallmark(
        "release",
        "--trust-config",
        str(project.lab.trust_config()),
        before=["unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh"],
    )
    assert done.returncode == ExitCode.UNAVAILABLE, done.stderr
    assert "No space left on device" in done.stderr
    assert tags_of(project) == []
