"""`tests/conformance/client sign-bundle` against a private instance, and what it says without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dhallmark.digest import Digest
from dhallmark.errors import ExitCode
from dhallmark.lab.session import Lab
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject

pytestmark = pytest.mark.component

CLIENT = Path(__file__).parents[2] / "conformance" / "client"
SUBJECT = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"


def client(lab: Lab, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return lab.run([CLIENT, *words], env={"DHALLMARK_PYTHON": sys.executable}, check=False)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "artifact"
    path.write_bytes(b"artifact")
    return path


def verify(lab: Lab, bundle: Path, artifact: Path | str) -> int:
    return client(
        lab, "verify-bundle", "--bundle", bundle, "--trusted-root", lab.trusted_root(),
        "--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER, artifact,
    ).returncode  # fmt: skip


def sign(lab: Lab, bundle: Path, *words: str | Path, token: str | None = None) -> subprocess.CompletedProcess[str]:
    return client(
        lab, "sign-bundle", "--identity-token", token or lab.token(), "--bundle", bundle,
        "--trusted-root", lab.trusted_root(), "--signing-config", lab.signing_config(), *words,
    )  # fmt: skip


def test_a_file_is_signed_and_verified(lab: Lab, artifact: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    done = sign(lab, bundle, artifact)
    assert done.returncode == 0, done.stderr
    assert verify(lab, bundle, artifact) == 0
    assert verify(lab, bundle, str(Digest.of(b"artifact"))) == 0
    assert verify(lab, bundle, str(Digest.of(b"another"))) == 1


def test_a_statement_is_signed_and_verified_for_its_subject(lab: Lab, artifact: Path, tmp_path: Path) -> None:
    bundle, statement = tmp_path / "bundle.json", tmp_path / "statement.json"
    statement.write_bytes(
        Statement.build(
            predicate_type=COSIGN_SIGN_V1, subjects=[Subject("artifact", Digest.of(b"artifact"))], predicate={}
        ).payload
    )
    done = sign(lab, bundle, "--in-toto", statement)
    assert done.returncode == 0, done.stderr
    assert verify(lab, bundle, artifact) == 0
    assert verify(lab, bundle, statement) == 1


def test_what_cannot_be_signed_leaves_no_bundle(lab: Lab, artifact: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    assert sign(lab, bundle, artifact, token=lab.token(claims={"exp": 1})).returncode == ExitCode.SIGNING
    assert sign(lab, bundle, "--in-toto", artifact).returncode == ExitCode.SIGNING
    assert sign(lab, bundle, tmp_path / "none").returncode == ExitCode.INPUT
    assert not bundle.exists()


def test_without_a_signing_config_the_public_instance_is_meant(lab: Lab, artifact: Path, tmp_path: Path) -> None:
    done = client(lab, "sign-bundle", "--identity-token", "t", "--bundle", tmp_path / "bundle.json", artifact)
    assert done.returncode == ExitCode.UNAVAILABLE
    assert "the trust root of the public Sigstore instance cannot be had" in done.stderr
