"""Signing with a key that the engine is given as a secret."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from dagger import QueryError, dag
from tests.dagger.test_secrets import files_with

from dhallmark.lab import pki
from dhallmark.module import Dhallmark, Lab, Released

pytestmark = [pytest.mark.dagger, pytest.mark.anyio]

_PASSWORD = "a password that no layer holds"


@pytest.fixture
def keyed(project: Path, tmp_path: Path) -> Path:
    """The project, whose policy lets the key beside it sign."""
    folder = tmp_path / "platform"
    shutil.copytree(project, folder)
    key = pki.signing_key()
    encryption = BestAvailableEncryption(_PASSWORD.encode())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    (tmp_path / "password").write_text(_PASSWORD)
    (folder / "release.pub").write_bytes(pki.public_pem(key))
    policy = folder / "policy.yaml"
    head, rest = policy.read_text().split("\nstatements:", 1)
    assert "identities:" in head
    policy.write_text(f"schemaVersion: 1\nidentities: {{release: {{key: release.pub}}}}\nstatements:{rest}")
    return folder


async def test_a_key_signs_and_leaves_no_trace(
    module: Dhallmark,
    lab: Lab,
    released: Released,
    keyed: Path,
    engine_places: tuple[Path, ...],
    session_log: Path,
) -> None:
    began = time.time() - 1
    signed = await module.sign(
        source=dag.host().directory(str(keyed)),
        build=released.build(),
        key=dag.secret(f"file://{keyed.parent / 'key.pem'}"),
        key_password=dag.secret(f"file://{keyed.parent / 'password'}"),
        trust_config=lab.trust_config(),
        sigstore=lab.service(),
    )
    names = await signed.glob("bundles/links/*.json")
    assert len(names) == 4
    material = json.loads(await signed.file(names[0]).contents())["verificationMaterial"]
    assert set(material) == {"publicKey", "tlogEntries", "timestampVerificationData"}

    secret = (keyed.parent / "key.pem").read_text().splitlines()[3]
    for needle in (secret, _PASSWORD):
        assert files_with(needle, *engine_places, session_log, since=began) == []


async def test_a_key_that_the_policy_does_not_name_signs_nothing(
    module: Dhallmark, lab: Lab, released: Released, project: Path, keyed: Path
) -> None:
    with pytest.raises(QueryError, match="exit code: 1"):
        await module.sign(
            source=dag.host().directory(str(project)),
            build=released.build(),
            key=dag.secret(f"file://{keyed.parent / 'key.pem'}"),
            key_password=dag.secret(f"file://{keyed.parent / 'password'}"),
            trust_config=lab.trust_config(),
            sigstore=lab.service(),
        )
