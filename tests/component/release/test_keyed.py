"""Releases that are signed with a key: in a token, beside the lab's log, and in a file, with no service at all."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from tests.component.softhsm import SoftToken

from dhallmark.lab import pki
from dhallmark.sign.key import open_key, public_pem
from dhallmark.sign.secret import FileSecret

if TYPE_CHECKING:
    from tests.component.release.conftest import MakeProject, Project
else:
    MakeProject = Project = Any

pytestmark = pytest.mark.component

_LOGGED = "{logEntries: 1, timestamps: 1}"
_PASSWORD = "battery staple"


def policy_of(project: Project, identity: str, *, evidence: str) -> str:
    """The project's policy with another identity."""
    rest = (project.folder / "policy.yaml").read_text().partition("# Each must be there")[2]
    return f"schemaVersion: 1\nidentities: {{release: {identity}}}\nevidence: {evidence}\n# Each must be there{rest}"


def with_policy(project: Project, identity: str, *, evidence: str) -> None:
    (project.folder / "policy.yaml").write_text(policy_of(project, identity, evidence=evidence))


@pytest.fixture(scope="module")
def by_token(make_project: MakeProject, soft_token: SoftToken) -> Project:
    """A project that was released with a key in a token. Tests only look at it."""
    project = make_project()
    uri = soft_token.uri("p256")
    with open_key(uri, secret=FileSecret(soft_token.pin_file)) as key:
        (project.folder / "release.pub").write_bytes(public_pem(key))
    with_policy(project, "{key: release.pub}", evidence=_LOGGED)
    project.commit()
    done = project.release(
        "--deploy", str(project.deploy), "--key", uri, "--key-password-file", str(soft_token.pin_file)
    )
    assert done.returncode == 0, done.stderr
    return project


def test_the_release_and_its_deploy_tree_are_accepted(by_token: Project) -> None:
    report = json.loads((by_token.build / "release.json").read_text())
    assert {one["verdict"]["outcome"] for one in report["artifacts"]} == {"accepted"}
    programs = []
    for check in report["checks"]:
        program, *words = shlex.split(check["command"])
        programs.append(program)
        if program == "helm":
            continue
        done = by_token.dhallmark(*words) if program == "dhallmark" else by_token.tool([program, *words], check=False)
        assert done.returncode == 0, (check, done.stderr)
    assert programs == ["dhallmark", "cosign", "helm", "dhallmark"]
    for path in (by_token.build / "bundles").rglob("*.json"):
        material = json.loads(path.read_text())["verificationMaterial"]
        assert set(material) == {"publicKey", "tlogEntries", "timestampVerificationData"}


def verify(project: Project, folder: Path, identity: str, *, evidence: str = _LOGGED) -> tuple[str, str | None]:
    """What `dhallmark verify` says of the first artifact by another policy: outcome and reason."""
    report = json.loads((project.build / "release.json").read_text())
    words = shlex.split(report["checks"][0]["command"])
    for key in project.folder.glob("*.pub"):
        (folder / key.name).write_bytes(key.read_bytes())
    policy = folder / "policy.yaml"
    policy.write_text(policy_of(project, identity, evidence=evidence))
    done = project.dhallmark(
        "verify", "--ref", words[words.index("--ref") + 1], "--policy", str(policy), "--plain-http",
        "--trusted-root", str(project.build / "trusted_root.json"), "--output", "json",
    )  # fmt: skip
    (verdict,) = json.loads(done.stdout)["verdicts"]
    return verdict["outcome"], verdict.get("reason")


@pytest.mark.parametrize(
    ("identity", "evidence", "expected"),
    [
        ("{key: release.pub}", _LOGGED, ("accepted", None)),
        ("{key: release.pub, validUntil: 2100-01-01T00:00:00Z}", _LOGGED, ("accepted", None)),
        ("{key: release.pub, validUntil: 2025-01-01T00:00:00Z}", _LOGGED, ("rejected", "key.outside-validity")),
        ("{key: release.pub, validFrom: 2100-01-01T00:00:00Z}", _LOGGED, ("rejected", "key.outside-validity")),
        ("{key: stranger.pub}", _LOGGED, ("rejected", "signature.invalid")),
        ("{issuer: 'https://issuer.example', subject: someone@example.org}", _LOGGED, ("rejected", "key.unknown")),
        ("{key: release.pub}", "{logEntries: 1, timestamps: 2}", ("rejected", "timestamp.missing")),
    ],
)
def test_another_policy_says_its_own_reason(
    by_token: Project, tmp_path: Path, identity: str, evidence: str, expected: tuple[str, str | None]
) -> None:
    (tmp_path / "stranger.pub").write_bytes(pki.public_pem(pki.signing_key()))
    assert verify(by_token, tmp_path, identity, evidence=evidence) == expected


def test_a_keyless_release_does_not_pass_for_one_by_key(released: Project, tmp_path: Path) -> None:
    (tmp_path / "release.pub").write_bytes(pki.public_pem(pki.signing_key()))
    assert verify(released, tmp_path, "{key: release.pub}") == ("rejected", "identity.key-mismatch")


def _write_key(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "release.pub").write_bytes(pki.public_pem(key))
    path = folder.parent / "key.pem"
    encryption = BestAvailableEncryption(_PASSWORD.encode())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return path


def _job(project: Project, secrets: Mapping[str, str]) -> dict[str, str]:
    return {**project.job(), **secrets}


def test_a_site_without_any_service_releases_with_a_key_in_a_file(project: Project, tmp_path: Path) -> None:
    key = _write_key(project.folder)
    with_policy(project, "{key: release.pub}", evidence="{logEntries: 0}")
    project.commit()
    done = project.dhallmark(
        "release", "--output", "json", "--key", str(key), "--key-password-env", "KEY_PASSWORD",
        environment=_job(project, {"KEY_PASSWORD": _PASSWORD}),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    root = json.loads((project.build / "trusted_root.json").read_text())
    assert root["tlogs"] == root["certificateAuthorities"] == root["timestampAuthorities"] == []
    assert verify(project, tmp_path, "{key: release.pub}", evidence="{logEntries: 0}") == ("accepted", None)
    logged = verify(project, tmp_path, "{key: release.pub}", evidence="{logEntries: 1}")
    assert logged == ("rejected", "log.entry-missing")
    ended = "{key: release.pub, validUntil: 2100-01-01T00:00:00Z}"
    assert verify(project, tmp_path, ended, evidence="{logEntries: 0}") == ("rejected", "timestamp.missing")
    written = [path for path in project.build.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if _PASSWORD.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--key", "../key.pem", "--key-password-env", "KEY_PASSWORD"], 1, "identity.key-mismatch"),
        (["--key", "../key.pem", "--key-password-env", "WRONG"], 6, "the password does not open the key"),
        (["--key", "../key.pem"], 6, "is needed, and none is given"),
        (["--key", "../key.pem", "--key-password-env", "KEY_PASSWORD", "--token-file", "t"], 2, "both a key and"),
        (["--key-password-file", "p"], 2, "password without a key"),
        (["--key", "pkcs11:object=a?pin-value=1234"], 2, "must not stand in the URI"),
    ],
)
def test_what_does_not_fit_signs_nothing(project: Project, words: list[str], code: int, said: str) -> None:
    _write_key(project.folder)
    (project.folder / "other.pub").write_bytes(pki.public_pem(pki.signing_key()))
    with_policy(project, "{key: other.pub}", evidence=_LOGGED)
    project.commit()
    done = project.dhallmark(
        "release", "--output", "json", "--trust-config", str(project.lab.trust_config()), *words,
        environment=_job(project, {"KEY_PASSWORD": _PASSWORD, "WRONG": "hunter2"}),
    )  # fmt: skip
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert not (project.build / "bundles").exists()
