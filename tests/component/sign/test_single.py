"""Signing one file by itself: what comes out, cosign and sigstore-python accept for that file and for no other."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from sigstore.errors import VerificationError
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity as IdentityPolicy

from dhallmark.digest import Digest
from dhallmark.errors import ConfigError, SigningError, UnavailableError
from dhallmark.lab.session import Lab
from dhallmark.sign.single import join_trust_config, sign_file
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject

pytestmark = pytest.mark.component

_SUBJECT = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
_ISSUER = "https://token.actions.githubusercontent.com"
_FILE = b"the bytes of a file\n"


def sign(lab: Lab, content: bytes, *, token: str | None = None, in_toto: bool = False) -> bytes:
    config = join_trust_config(trusted_root=lab.trusted_root(), signing_config=lab.signing_config())
    given = token or lab.token()
    return lab.call(anyio.run, lambda: sign_file(content, token=given, trust_config=config, in_toto=in_toto))


def statement(content: bytes) -> bytes:
    return Statement.build(
        predicate_type=COSIGN_SIGN_V1, subjects=[Subject("file", Digest.of(content))], predicate={}
    ).payload


def test_a_message_signature_is_of_one_file(lab: Lab, tmp_path: Path) -> None:
    content = sign(lab, _FILE)
    body = json.loads(content)
    assert body["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert body["messageSignature"]["messageDigest"]["algorithm"] == "SHA2_256"
    assert body["verificationMaterial"]["tlogEntries"][0]["kindVersion"]["kind"] == "hashedrekord"

    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(lab.trusted_root())))
    policy = IdentityPolicy(identity=_SUBJECT, issuer=_ISSUER)
    bundle = Bundle.from_json(content)
    verifier.verify_artifact(_FILE, bundle, policy)
    with pytest.raises(VerificationError):
        verifier.verify_artifact(b"another", bundle, policy)

    path, artifact = tmp_path / "bundle.json", tmp_path / "file"
    path.write_bytes(content)
    verify: list[str | Path] = [
        "cosign", "verify-blob", "--trusted-root", lab.trusted_root(), "--bundle", path,
        "--certificate-identity", _SUBJECT, "--certificate-oidc-issuer", _ISSUER, artifact,
    ]  # fmt: skip
    artifact.write_bytes(_FILE)
    assert lab.run(verify, check=False).returncode == 0
    artifact.write_bytes(b"another")
    assert lab.run(verify, check=False).returncode != 0


def test_a_statement_becomes_an_envelope(lab: Lab) -> None:
    payload = statement(_FILE)
    bundle = Bundle.from_json(sign(lab, payload, in_toto=True))
    kind, signed = Verifier(trusted_root=TrustedRoot.from_file(str(lab.trusted_root()))).verify_dsse(
        bundle, IdentityPolicy(identity=_SUBJECT, issuer=_ISSUER)
    )
    assert (kind, signed) == ("application/vnd.in-toto+json", payload)


def test_a_file_that_is_no_statement_is_not_signed_as_one(lab: Lab) -> None:
    with pytest.raises(SigningError, match="malformed in-toto statement"):
        sign(lab, _FILE, in_toto=True)


def test_a_bad_token_signs_nothing(lab: Lab) -> None:
    with pytest.raises(SigningError, match="expired"):
        sign(lab, _FILE, token=lab.token(claims={"exp": 1}))


def test_files_that_are_no_instance_are_refused(lab: Lab, tmp_path: Path) -> None:
    odd = tmp_path / "odd.json"
    for content in (b"[]", b"{}", b"no JSON"):
        odd.write_bytes(content)
        with pytest.raises(ConfigError):
            join_trust_config(trusted_root=lab.trusted_root(), signing_config=odd)
    with pytest.raises(ConfigError, match="cannot be read"):
        join_trust_config(trusted_root=tmp_path / "none.json", signing_config=lab.signing_config())


def test_the_public_instance_that_is_out_of_reach_is_named(lab: Lab) -> None:
    """In the lab's namespace there is no route to it."""
    with pytest.raises(UnavailableError, match="trust root of the public Sigstore instance cannot be had"):
        lab.call(join_trust_config, trusted_root=None, signing_config=lab.signing_config())
