"""`prove` and `gitops status`: what of a command line is refused before anything is started."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from dhallmark.cli.app import run
from dhallmark.errors import ExitCode

POLICY = """\
schemaVersion: 1
identities:
  release:
    issuer: https://token.actions.githubusercontent.com
    subject: https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main
statements:
  - predicateType: https://sigstore.dev/cosign/sign/v1
    identities: [release]
"""
SOURCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata:
  name: web
  namespace: apps
spec:
  interval: 1m
  url: oci://registry.example/web
  ref:
    semver: ">=1.0.0"
"""


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "trusted_root.json").write_text("{}")
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "source.yaml").write_text(SOURCE)
    return tmp_path / "manifests"


def refused(*words: str) -> tuple[int, dict[str, object]]:
    stderr = io.StringIO()
    status = run([*words, "--output", "json"], stdout=io.StringIO(), stderr=stderr)
    return status, json.loads(stderr.getvalue())


PROVE = ("prove", "manifests", "--environment", "sandbox", "--trusted-root", "trusted_root.json")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("prove", *PROVE[2:]), ExitCode.USAGE, "nothing to prove"),
        ((*PROVE[:3], "Sand box", *PROVE[4:]), ExitCode.USAGE, "no name of an environment"),
        ((*PROVE, "--flux", "2.7"), ExitCode.USAGE, 'Choose from: "2.8", "2.9"'),
        (("gitops", "lint", "manifests", "--flux", "2.7"), ExitCode.USAGE, 'Choose from: "2.8", "2.9"'),
        ((*PROVE, "--flux", "2.8", "--flux", "2.9"), ExitCode.INPUT, "a range of versions names no artifact"),
        ((*PROVE, "--after", "sandbox"), ExitCode.USAGE, "no proof of the form"),
        ((*PROVE, "--after", "sandbox=proof@sha256:1"), ExitCode.USAGE, "no digest"),
        ((*PROVE, "--proved-by", "nobody"), ExitCode.USAGE, "no identity 'nobody'"),
        ((*PROVE, "--flux-verify", "2.9"), ExitCode.USAGE, "no program of the form"),
        ((*PROVE, "--source-controller", "absent"), ExitCode.USAGE, "there is no program"),
        ((*PROVE, "--source-controller", "/bin/sh"), ExitCode.INPUT, "not a Go program"),
        ((*PROVE, "--report", "x"), ExitCode.USAGE, "no report of the form"),
        (PROVE, ExitCode.INPUT, "a range of versions names no artifact"),
        (("gitops", "status"), ExitCode.USAGE, "nothing to look for"),
        (("gitops", "status", "manifests", "--kubeconfig", "absent"), ExitCode.INPUT, "No such file"),
        (("gitops", "status", "absent"), ExitCode.INPUT, "No such file"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_reason(
    manifests: Path, words: tuple[str, ...], status: ExitCode, message: str
) -> None:
    found, error = refused(*words)
    assert (found, message in str(error["message"])) == (status, True), error


def test_a_file_that_is_wrong_is_named_with_its_line(manifests: Path) -> None:
    _, error = refused(*PROVE)
    assert error["where"] == {"file": "manifests/source.yaml", "line": 10, "field": "spec.ref.semver"}


def test_an_older_statement_is_not_taken_for_this_runs(manifests: Path) -> None:
    statement = manifests.parent / "proof.json"
    statement.write_text("{}")
    refused(*PROVE, "--statement", str(statement))
    assert not statement.exists()
