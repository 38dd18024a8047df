"""`dhallmark policy` and `dhallmark reasons`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from dhallmark.cli.app import run
from dhallmark.cli.reasons import page
from dhallmark.errors import ExitCode
from dhallmark.reasons import Reason

REASONS = Path(__file__).parents[3] / "docs" / "reasons.md"
POLICY = """\
schemaVersion: 1
version: 2
identities:
  release:
    issuer: https://issuer.example
    subjectRegExp: https://git.example/acme/.*
statements:
  - predicateType: https://sigstore.dev/cosign/sign/v1
    identities: [release]
    allowUnnamed: true
"""


def call(*words: str) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    return run(words, stdout=stdout, stderr=stderr), stdout.getvalue(), stderr.getvalue()


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def test_warnings_are_told_with_their_lines(policy: Path) -> None:
    code, stdout, _ = call("policy", "check", str(policy))
    assert code == ExitCode.OK
    assert f"{policy}:6:5 (identities.release.subjectRegExp): warning: admits a dot that is not escaped" in stdout
    assert "such as https://gitxexample/acme/" in stdout
    assert f"{policy}:10:5 (statements[0].allowUnnamed): warning: nothing binds the statement" in stdout


def test_warnings_fail_where_that_is_asked_for(policy: Path) -> None:
    assert call("policy", "check", str(policy), "--strict")[0] == ExitCode.REJECTED
    policy.write_text(
        POLICY.replace("subjectRegExp: https://git.example/acme/.*", "subject: x").replace("allowU", "# ")
    )
    assert call("policy", "check", str(policy), "--strict")[0] == ExitCode.OK


def test_the_check_as_json(policy: Path) -> None:
    code, stdout, _ = call("policy", "check", str(policy), "--output", "json")
    body: dict[str, Any] = json.loads(stdout)
    assert (code, body["schema"]) == (ExitCode.OK, "dhallmark.dev/policy-check/v1")
    assert body["digest"].startswith("sha256:")
    first = body["warnings"][0]
    assert (first["line"], first["column"], first["field"]) == (6, 5, "identities.release.subjectRegExp")
    assert first["hint"]


KEYLESS = "    issuer: https://issuer.example\n    subjectRegExp: https://git.example/acme/.*"


@pytest.mark.parametrize(
    ("old", "new", "words", "said"),
    [
        ("version: 2\n", "versoin: 2\n", [], ":2:1 (versoin): unknown key"),
        ("version: 2\n", "version: 2\n", ["--minimum-policy", "3"], "version 2 is below 3"),
        ("version: 2\n", "", ["--minimum-policy", "1"], "version none is below 1"),
        (KEYLESS, "    key: gone.pem", [], ":5:5 (identities.release.key): there is no file 'gone.pem'"),
        (KEYLESS, "    key: policy.yaml", [], "not a public key in PEM"),
    ],
)
def test_a_policy_that_is_wrong_is_an_error(policy: Path, old: str, new: str, words: list[str], said: str) -> None:
    policy.write_text(POLICY.replace(old, new))
    code, _, stderr = call("policy", "check", str(policy), *words)
    assert code == ExitCode.INPUT
    assert said in stderr


def test_the_reference_is_printed() -> None:
    code, stdout, _ = call("policy", "reference")
    assert code == ExitCode.OK
    assert stdout.startswith("# The policy file\n")


def test_the_published_page_of_reasons_is_that_of_the_catalogue() -> None:
    assert REASONS.read_text("utf-8") == page(list(Reason)), "run: dhallmark reasons --markdown > docs/reasons.md"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["signature.none"], {"signature.none"}),
        (["source"], {"source.unreachable", "source.unavailable"}),
        (["subject.name", "policy"], {"subject.name", "policy.invalid", "policy.expired", "policy.rollback"}),
    ],
)
def test_reasons_are_explained(codes: list[str], expected: set[str]) -> None:
    code, stdout, _ = call("reasons", *codes, "--output", "json")
    body = json.loads(stdout)
    assert code == ExitCode.OK
    assert {one["code"] for one in body["reasons"]} == expected
    assert all(one["meaning"] and one["remedy"] and one["outcome"] for one in body["reasons"])
    assert all(name in call("reasons", *codes)[1] for name in expected)


def test_an_unknown_reason_is_a_usage_error() -> None:
    code, _, stderr = call("reasons", "sig")
    assert code == ExitCode.USAGE
    assert "no reason 'sig'" in stderr


def test_who_verifies_is_warned_of_a_loose_policy(policy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    root = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": [], "ctlogs": []}
    (tmp_path / "root.json").write_text(json.dumps({**root, "certificateAuthorities": []}))
    words = ["verify", "--tree", str(tmp_path / "empty"), "--policy", str(policy)]
    words += ["--trusted-root", str(tmp_path / "root.json")]
    code, _, stderr = call(*words)
    assert code == ExitCode.REJECTED
    assert f"warning: {policy} (identities.release.subjectRegExp) admits a dot that is not escaped, such as" in stderr
    policy.write_text(POLICY.replace("subjectRegExp", "subject"))
    assert "warning" not in call(*words)[2]
