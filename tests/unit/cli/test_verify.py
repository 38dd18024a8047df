"""`dhallmark verify` and `dhallmark controls`: what they ask for, and how a verdict is shown."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from dhallmark.cli.app import run
from dhallmark.cli.controls import controls
from dhallmark.cli.verify import MAX_SHOWN, verify
from dhallmark.control import Group
from dhallmark.errors import ExitCode, FormatError, UsageError
from dhallmark.reason_catalogue import CATALOGUE
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Outcome, Verdict
from dhallmark.verify.show import verdict_tree

DIGEST = "sha256:" + "ab" * 32
COMMAND = [sys.executable, "-m", "dhallmark.cli.app", "verify"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "pipeline")}
BEFORE = {"policy.yaml", "root.json"}
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


def command(files: Path, *words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """`dhallmark verify` as a process of its own, in the folder of the policy."""
    return subprocess.run(
        [*COMMAND, *words, "--policy=policy.yaml", "--trusted-root=root.json"],
        cwd=files,
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_one_file_is_judged_without_what_only_others_need(files: Path) -> None:
    """A short command takes longer to load than to verify."""
    (files / "a").write_bytes(b"a")
    (files / "a.sigstore.json").write_bytes(b"{}")
    words = ["verify", "a", "--policy=policy.yaml", "--trusted-root=root.json", "--output=json"]
    code = f"import sys; from dhallmark.cli.app import run; run({words!r}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=files, env=ENVIRONMENT, capture_output=True, check=False, timeout=120
    )
    *printed, loaded = done.stdout.splitlines()
    assert json.loads(b"\n".join(printed))["verdicts"][0]["reason"] == "bundle.malformed"
    others = {"anyio", "httpx", "in_toto", "rich", "sigstore", "tuf"}
    others |= {f"dhallmark.verify.{name}" for name in ("ancestry", "artifact", "legacy", "reference", "vsa")}
    assert not others & set(loaded.decode().split())


def test_a_list_from_standard_input_is_judged_line_by_line(files: Path) -> None:
    (files / "a").write_bytes(b"a")
    (files / "a.sigstore.json").write_bytes(b"{}")
    lines = f"a.sigstore.json\ta\nmissing\ta\na.sigstore.json\t{DIGEST}\n".encode()
    done = command(files, "--files-from=-", "--output=json", "--record=out.json", stdin=lines)
    assert done.returncode == ExitCode.REJECTED, done.stderr
    body = json.loads(done.stdout)
    assert [(one["subject"], one["reason"]) for one in body["verdicts"]] == [
        ("a", "file.unreadable"),
        (DIGEST, "bundle.malformed"),
    ]
    assert (files / "out.json").read_bytes() == done.stdout


def test_reports_are_written_in_every_format_that_is_asked_for(files: Path) -> None:
    (files / "a").write_bytes(b"a")
    words = ["a", "--report=junit=out.xml", "--report=html=out.html", "--report=json=out.json", "--output=json"]
    done = command(files, *words)
    assert done.returncode == ExitCode.REJECTED, done.stderr
    assert json.loads((files / "out.json").read_bytes()) == json.loads(done.stdout)
    assert b"signature.none" in (files / "out.xml").read_bytes()
    assert b"signature.none" in (files / "out.html").read_bytes()
    assert command(files, "a", "--report=pdf=x").returncode == ExitCode.USAGE


def test_a_mistake_in_a_list_is_told_with_its_line_and_nothing_is_written(files: Path) -> None:
    (files / "list").write_bytes(b"a\tb\nno tab here\n")
    done = command(files, "--files-from=list", "--record=out.json", "--stream=lines")
    assert done.returncode == ExitCode.INPUT
    assert b"error: list:2: not a bundle, one tab and an artifact" in done.stderr
    assert not (files / "out.json").exists()
    assert not (files / "lines").exists()


def test_verdicts_are_streamed_as_whole_lines_and_the_last_one_says_that_it_is_the_last(files: Path) -> None:
    lines = "".join(f"bundle\tfile-{number}\n" for number in range(40)).encode()
    done = command(files, "--files-from", "-", "--stream", "-", stdin=lines)
    assert done.returncode == ExitCode.INDETERMINATE
    *verdicts, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(one["number"] for one in verdicts) == list(range(40))
    assert {one["verdict"]["subject"] for one in verdicts} == {f"file-{number}" for number in range(40)}
    assert last == {
        "schema": "dhallmark.dev/verdict-stream/v1",
        "outcome": "indeterminate",
        "counts": {"indeterminate": 40},
    }


@pytest.mark.parametrize("what", ["empty-list", "empty-folder"])
def test_an_empty_input_is_no_success(files: Path, what: str) -> None:
    (files / "folder").mkdir()
    words = ["--files-from=-"] if what == "empty-list" else ["folder"]
    done = command(files, *words, "--output=json", stdin=b"")
    assert done.returncode == ExitCode.INDETERMINATE
    assert [one["reason"] for one in json.loads(done.stdout)["verdicts"]] == ["check.none"]


@pytest.mark.parametrize(("count", "forked"), [(100, False), (101, True)])
def test_many_files_are_judged_by_copies_of_the_command(files: Path, count: int, *, forked: bool) -> None:
    (files / "list").write_text("".join(f"bundle\tfile-{number}\n" for number in range(count)))
    words = ["verify", "--files-from=list", "--jobs=2", "--policy=policy.yaml", "--trusted-root=root.json"]
    code = f"""
import os, sys
made = []
os.register_at_fork(after_in_parent=lambda: made.append("anyio._backends._asyncio" in sys.modules))
from dhallmark.cli.app import run
run({words!r})
print(made)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=files, env=ENVIRONMENT, capture_output=True, check=False, timeout=120
    )
    assert done.stdout.splitlines()[-1] == (b"[False, False]" if forked else b"[]"), done.stderr


def test_of_many_verdicts_some_are_shown_and_all_are_counted(files: Path) -> None:
    lines = "".join(f"bundle\tfile-{number}\n" for number in range(MAX_SHOWN + 50)).encode()
    done = command(files, "--files-from=-", stdin=lines)
    text = done.stdout.decode()
    assert "? indeterminate(file.unreadable): file-0\n" in text
    assert "… and 50 more that are not accepted" in text
    assert text.endswith("150 verified: 150 indeterminate\n  150 file.unreadable\n")
    assert b"verify: 150 verified" in done.stderr


def test_a_stopped_run_leaves_nothing_half_written_and_no_process(files: Path) -> None:
    (files / "huge").touch()
    os.truncate(files / "huge", 48 * 1024**3)
    (files / "huge.sigstore.json").write_bytes(b"{}")
    (files / "list").write_bytes(b"huge.sigstore.json\thuge\n\nx\tsmall\n" * 800)
    words = ["--files-from=list", "--record=out.json", "--stream=lines", "--jobs=2", "--policy=policy.yaml"]
    process = subprocess.Popen(
        # Tests that run in the background have SIGINT ignored, and so would this.
        ["env", "--default-signal=INT", *COMMAND, *words, "--trusted-root=root.json"],
        cwd=files,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        group = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + 60
        while len(group.read_text().split()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        # As Ctrl-C does: to all processes of the terminal.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(120) == ExitCode.INTERRUPTED
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        assert process.stderr is not None
        process.stderr.close()
        process.wait()
    assert {path.name for path in files.iterdir()} == BEFORE | {"huge", "huge.sigstore.json", "list", "lines"}
    assert all(json.loads(line) for line in (files / "lines").read_bytes().splitlines())
    assert b"verdict-stream" not in (files / "lines").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x", "--files-from=-", "--subject-name=x"], "exactly one target"),
        (["x", "--tree=.", "--bundle=b"], "exactly one file or digest"),
        (["--files-from=-", "--bundle=b"], "exactly one file or digest"),
        (["missing"], "there is no missing"),
        ([DIGEST], "nothing is known"),
        (["oci://r.test/web:1", "--platform=linux"], "not a platform"),
    ],
)
def test_what_does_not_fit_together_is_a_usage_error(
    files: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(files)
    out, err = io.StringIO(), io.StringIO()
    given = ["verify", *words, "--policy=policy.yaml", "--trusted-root=root.json"]
    assert run(given, stdout=out, stderr=err) is ExitCode.USAGE
    assert message in err.getvalue()


def test_a_summary_is_never_of_the_digest_that_a_file_is_called_by(files: Path) -> None:
    path = files / "prod" / f"web@{DIGEST}"
    path.parent.mkdir()
    path.write_bytes(b"")
    (files / "layout").mkdir()
    (files / "layout" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for word in (str(path), str(files / "layout")):
        with pytest.raises(UsageError, match="artifact of a registry"):
            verify(word, vsa=files / "vsa", policy=files / "policy.yaml", trusted_root=files / "root.json")
    assert not (files / "vsa").exists()


def test_a_policy_of_certificates_needs_a_trust_root(files: Path) -> None:
    with pytest.raises(UsageError, match="'release' of the policy is a certificate's"):
        verify(tree=files, policy=files / "policy.yaml")


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
        (["--prepared=x", "--consumer=nobody"], "no consumer 'nobody'"),
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
