"""`dhallmark verify` and `dhallmark controls`: what they ask for, and how a verdict is shown."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from dhallmark.cli.app import run
from dhallmark.cli.controls import controls
from dhallmark.cli.verify import verify
from dhallmark.control import Group
from dhallmark.errors import ExitCode, FormatError, UsageError
from dhallmark.reasons import CATALOGUE, Reason
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.show import verdict_tree

DIGEST = "sha256:" + "ab" * 32
TRUSTED_ROOT = json.dumps(
    {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [],
        "certificateAuthorities": [],
        "ctlogs": [],
    }
)
POLICY = """\
schemaVersion: 1
identities: {release: {issuer: https://issuer.test, subject: https://subject.test}}
statements: [{predicateType: https://slsa.dev/provenance/v1, identities: [release]}]
source: {repository: https://git.test/acme}
builders: [https://builder.test]
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "root.json").write_text(TRUSTED_ROOT)
    return tmp_path


def test_nothing_to_verify_is_a_usage_error(files: Path) -> None:
    with pytest.raises(UsageError, match="nothing to verify"):
        verify(policy=files / "policy.yaml", trusted_root=files / "root.json")


def test_a_subject_name_is_for_one_reference(files: Path) -> None:
    with pytest.raises(UsageError, match="exactly one"):
        verify(
            ref=(f"r.test/a@{DIGEST}", f"r.test/b@{DIGEST}"),
            subject_name="r.test/a",
            policy=files / "policy.yaml",
            trusted_root=files / "root.json",
        )


def test_a_trust_root_that_is_missing_is_told_by_name(files: Path) -> None:
    with pytest.raises(FormatError, match=r"none\.json"):
        verify(tree=files, policy=files / "policy.yaml", trusted_root=files / "none.json")


def test_a_tree_without_charts_is_no_success(files: Path) -> None:
    (files / "environments").mkdir()
    out, err = io.StringIO(), io.StringIO()
    words = ["verify", "--output=json", f"--tree={files}", f"--policy={files}/policy.yaml"]
    assert run([*words, f"--trusted-root={files}/root.json"], stdout=out, stderr=err) is ExitCode.INDETERMINATE
    body = json.loads(out.getvalue())
    assert (body["schema"], body["outcome"]) == ("dhallmark.dev/verdicts/v1", "indeterminate")
    assert body["verdicts"][0]["reason"] == "check.none"


def test_a_verdict_is_shown_with_what_was_found_and_what_to_do() -> None:
    bad = Check(name="x", reason=Reason.SIGNATURE_INVALID, detail="seen", evidence={"expected": "a", "found": "b"})
    verdict = Verdict.of(
        "web",
        checks=[Check(name="passed")],
        parts=[Verdict.of("good", checks=[Check(name="y")]), Verdict.of("bad", checks=[bad])],
        ignored=[Verdict.of("a stranger's bundle", checks=[bad])],
    )
    console = Console(width=200, file=io.StringIO())
    with console.capture() as capture:
        console.print(verdict_tree(verdict))
    text = capture.get()
    assert "✗ rejected(signature.invalid): web" in text
    assert "✓ accepted: good" in text
    assert "signature.invalid: seen" in text
    assert "expected: a" in text
    assert CATALOGUE[Reason.SIGNATURE_INVALID].remedy in text
    assert "1 beside them that counts for nothing" in text
    assert "passed" not in text
    assert verdict.outcome is Outcome.REJECTED


def test_controls_are_listed_with_what_they_need() -> None:
    listed = controls(list_controls=True, group=(Group.CERTIFICATE,)).data["controls"]
    assert isinstance(listed, list)
    assert ("C1", True) in [(item["id"], item["release"]) for item in listed]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --ref"),
        ([f"--ref=r.test/web@{DIGEST}", "--prepared=x"], "give --ref"),
        ([f"--ref=r.test/web@{DIGEST}"], "needs --trusted-root"),
        (["--ref=r.test/web:1", "--trusted-root=x"], "need a digest"),
        ([f"--ref=r.test/web@{DIGEST}", "--prepare-only"], "needs --into"),
        (["--prepared=x", "--only=S99"], "no control 'S99'"),
        (["--prepared=x", "--consumer=kyverno"], "no consumer 'kyverno'"),
        (["--prepared=x"], "no prepared controls in x"),
    ],
)
def test_controls_that_cannot_be_run_are_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    out, err = io.StringIO(), io.StringIO()
    assert run(["controls", *words], stdout=out, stderr=err) is ExitCode.USAGE
    assert message in err.getvalue()
    assert not list(tmp_path.iterdir())
