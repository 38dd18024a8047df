"""`evidence attach` and `rebuild attach`: what ends before a registry is asked."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from dhallmark.cli.app import run
from dhallmark.errors import ExitCode

DIGEST = f"registry.example/web@sha256:{'a' * 64}"
POLICY = """\
schemaVersion: 1
identities: {release: {issuer: https://issuer.example, subject: https://git.example/acme}}
signature: {identities: [release]}
"""


@pytest.mark.parametrize("command", [("evidence", "attach", "--bundle={bundle}"), ("rebuild", "attach", "{bundle}")])
@pytest.mark.parametrize(
    ("ref", "content", "code", "message"),
    [
        ("registry.example/web:1.0", "{}", ExitCode.USAGE, "is a tag"),
        (DIGEST, "{}", ExitCode.USAGE, "there is no trust root"),
        (DIGEST, None, ExitCode.INPUT, "result.sigstore.json"),
    ],
)
def test_what_cannot_be_attached_is_said_before_a_registry_is_asked(
    command: tuple[str, ...], ref: str, content: str | None, code: ExitCode, message: str, tmp_path: Path
) -> None:
    bundle, policy = tmp_path / "result.sigstore.json", tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    if content is not None:
        bundle.write_text(content)
    words = [word.format(bundle=bundle) for word in command]
    stderr = io.StringIO()
    assert run([*words, f"--ref={ref}", f"--policy={policy}"], stdout=io.StringIO(), stderr=stderr) == code
    assert message in stderr.getvalue()
