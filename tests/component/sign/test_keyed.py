"""Signing a release with a key: the bundles, who accepts them, and what stops it before the first signature."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tests.component.softhsm import SoftToken

from dhallmark.digest import Digest
from dhallmark.errors import ConfigError, Error, SigningError
from dhallmark.identity import KeyIdentity
from dhallmark.lab.session import Lab
from dhallmark.sign.key import PemKey, SigningKey, open_key, public_pem
from dhallmark.sign.keyed import sign_release_with_key
from dhallmark.sign.secret import FileSecret
from dhallmark.sign.signer import SignedRelease
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Outcome
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.demands import KEYED, Demands
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.period import Period
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot

pytestmark = pytest.mark.component

_LOGGED = Demands(log_entries=1, timestamps=1, scts=0)
_NOW = datetime.now(UTC)


def p256() -> PemKey:
    return PemKey(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    for name in ("dev/web/sign", "dev/api/sign"):
        path = folder / "statements" / f"{name}.json"
        path.parent.mkdir(parents=True)
        subject = Subject(f"registry.example/{name}", Digest.of(b"artifact"))
        path.write_bytes(Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=[subject], predicate={}).payload)
    return folder


def sign(lab: Lab, build: Path, key: SigningKey, **options: object) -> SignedRelease[KeyIdentity]:
    arguments: dict[str, object] = {
        "trust_config": lab.trust_config(), "demands": _LOGGED, "timeout": 10.0, **options,
    }  # fmt: skip
    return lab.call(anyio.run, lambda: sign_release_with_key(build, key=key, **arguments))  # type: ignore[arg-type]


def bundle(build: Path, name: str = "dev/web/sign") -> bytes:
    return (build / "bundles" / f"{name}.sigstore.json").read_bytes()


def without(lab: Lab, path: Path, *services: str) -> Path:
    """The lab's trust config, its signing config without some services."""
    body: dict[str, Any] = json.loads(lab.trust_config().read_bytes())
    for service in services:
        body["signingConfig"][service] = []
    path.write_text(json.dumps(body))
    return path


_KINDS: dict[str, tuple[Callable[[], PemKey], bool]] = {
    "P-256": (p256, True),
    # cosign verifies with SHA-256, whatever the curve; Sigstore's algorithm registry says SHA-384.
    "P-384": (lambda: PemKey(ec.generate_private_key(ec.SECP384R1())), False),
    "RSA": (lambda: PemKey(rsa.generate_private_key(65537, 2048)), True),
}


def cosign(lab: Lab, build: Path, key: Path, *options: str) -> int:
    artifact = build.parent / "artifact"
    artifact.write_bytes(b"artifact")
    return lab.run(
        ["cosign", "verify-blob-attestation", "--type", COSIGN_SIGN_V1, "--trusted-root", lab.trusted_root(),
         "--bundle", build / "bundles" / "dev" / "web" / "sign.sigstore.json", "--key", key, *options, artifact],
        check=False,
    ).returncode  # fmt: skip


@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_of_key_is_logged_and_timestamped(lab: Lab, build: Path, tmp_path: Path, kind: str) -> None:
    make, in_cosign = _KINDS[kind]
    key = make()
    release = sign(lab, build, key)
    managed = ManagedKey.parse(public_pem(key))
    assert (release.identity, release.expires) == (managed.identity, None)
    assert release.bundles == ("bundles/dev/api/sign.sigstore.json", "bundles/dev/web/sign.sigstore.json")

    body = json.loads(bundle(build))
    assert body["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    material = body["verificationMaterial"]
    hint = base64.b64encode(bytes.fromhex(managed.identity.fingerprint.hex)).decode()
    assert material["publicKey"] == {"hint": hint}
    assert len(material["tlogEntries"]) == len(material["timestampVerificationData"]["rfc3161Timestamps"]) == 1

    unsigned = (build / "statements" / "dev" / "web" / "sign.json").read_bytes()
    result = verify_bundle(bundle(build), Terms(TrustRoot.load(lab.trusted_root()), [managed], _LOGGED))
    assert (result.verdict.outcome, result.identity) == (Outcome.ACCEPTED, managed.identity)
    assert result.statement is not None
    assert result.statement.payload == unsigned
    assert len(result.times) == 1

    public, stranger = tmp_path / "key.pub", tmp_path / "stranger.pub"
    public.write_bytes(public_pem(key))
    stranger.write_bytes(public_pem(make()))
    assert (cosign(lab, build, public) == 0) is in_cosign
    assert cosign(lab, build, stranger) != 0


def test_a_key_in_a_token_signs_as_one_in_a_file(lab: Lab, build: Path, tmp_path: Path, soft_token: SoftToken) -> None:
    for index in range(20):
        path = build / "statements" / "dev" / f"{index}.json"
        path.write_bytes((build / "statements" / "dev" / "web" / "sign.json").read_bytes())
    with open_key(soft_token.uri("p256"), secret=FileSecret(soft_token.pin_file)) as key:
        assert len(sign(lab, build, key).bundles) == 22
        public = tmp_path / "key.pub"
        public.write_bytes(public_pem(key))
    assert cosign(lab, build, public) == 0


@pytest.mark.parametrize("make", [p256, lambda: PemKey(ed25519.Ed25519PrivateKey.generate())], ids=["P-256", "Ed25519"])
def test_without_an_instance_nothing_is_contacted(build: Path, tmp_path: Path, make: Callable[[], PemKey]) -> None:
    key = make()
    release = anyio.run(lambda: sign_release_with_key(build, key=key, trust_config=None, demands=KEYED))
    assert len(release.bundles) == 2
    material = json.loads(bundle(build))["verificationMaterial"]
    assert material["tlogEntries"] == []
    assert material["timestampVerificationData"] == {"rfc3161Timestamps": []}
    result = verify_bundle(bundle(build), Terms(None, [ManagedKey.parse(public_pem(key))], KEYED))
    assert result.verdict.outcome is Outcome.ACCEPTED


def test_cosign_accepts_it_where_it_is_told_to_do_without_a_log(lab: Lab, build: Path, tmp_path: Path) -> None:
    key = p256()
    sign(lab, build, key, trust_config=None, demands=KEYED)
    public = tmp_path / "key.pub"
    public.write_bytes(public_pem(key))
    assert cosign(lab, build, public) != 0
    assert cosign(lab, build, public, "--insecure-ignore-tlog") == 0


@pytest.mark.parametrize(
    ("missing", "demands", "entries", "timestamps"),
    [
        (["caUrls"], _LOGGED, 1, 1),
        (["caUrls", "rekorTlogUrls"], Demands(log_entries=0, timestamps=1, scts=0), 0, 1),
        (["tsaUrls"], Demands(log_entries=1, scts=0), 1, 0),
    ],
)
def test_an_instance_may_have_some_services_only(
    lab: Lab, build: Path, tmp_path: Path, missing: list[str], demands: Demands, entries: int, timestamps: int
) -> None:
    sign(lab, build, p256(), trust_config=without(lab, tmp_path / "config.json", *missing), demands=demands)
    material = json.loads(bundle(build))["verificationMaterial"]
    assert len(material["tlogEntries"]) == entries
    assert len(material["timestampVerificationData"]["rfc3161Timestamps"]) == timestamps


def _nobody(_: KeyIdentity) -> None:
    raise SigningError("not this one")


def _period(start: datetime | None, end: datetime | None) -> Callable[[PemKey], dict[str, object]]:
    return lambda key: {"trusted": [ManagedKey.parse(public_pem(key), period=Period(start, end))]}


_REFUSED: dict[str, tuple[Callable[[], PemKey], Callable[[PemKey], dict[str, object]], type[Error], str]] = {
    "no log": (p256, lambda _: {"trust_config": None}, ConfigError, "demands 1 entries of a transparency log"),
    "too few timestamps": (
        p256, lambda _: {"demands": Demands(timestamps=2)}, ConfigError, "demands 2 signed timestamps, .* gives 1",
    ),
    "Ed25519 in a log": (
        lambda: PemKey(ed25519.Ed25519PrivateKey.generate()), lambda _: {}, ConfigError, "used with a Rekor v2",
    ),
    "an ended key": (p256, _period(None, _NOW - timedelta(days=1)), SigningError, "lets this key sign from"),
    "a key of tomorrow": (p256, _period(_NOW + timedelta(days=1), None), SigningError, "lets this key sign from"),
    "not allowed": (p256, lambda _: {"allow": _nobody}, SigningError, "not this one"),
}  # fmt: skip


@pytest.mark.parametrize("case", _REFUSED)
def test_what_a_verifier_would_refuse_is_not_signed(lab: Lab, build: Path, case: str) -> None:
    make, options, kind, message = _REFUSED[case]
    key = make()
    sign(lab, build, p256())
    before = _indexes(build)
    with pytest.raises(kind, match=message):
        sign(lab, build, key, **options(key))
    assert _indexes(build) == before, "the older bundles stay"
    sign(lab, build, p256())
    assert min(_indexes(build)) == max(before) + 1, "the refused run left nothing in the log"


def _indexes(build: Path) -> set[int]:
    bundles = [json.loads(path.read_text()) for path in (build / "bundles").rglob("*.json")]
    return {int(bundle["verificationMaterial"]["tlogEntries"][0]["logIndex"]) for bundle in bundles}


def test_a_key_with_an_end_needs_a_time(lab: Lab, build: Path, tmp_path: Path) -> None:
    key = p256()
    trusted = [ManagedKey.parse(public_pem(key), period=Period(None, _NOW + timedelta(days=1)))]
    sign(lab, build, key, trusted=trusted)
    for config in (None, without(lab, tmp_path / "config.json", "tsaUrls")):
        with pytest.raises(ConfigError, match="nothing would prove when it did"):
            sign(lab, build, key, trusted=trusted, trust_config=config, demands=KEYED)


@pytest.mark.parametrize(
    ("service", "message"),
    [("rekor", "transparency log at .* took no entry"), ("timestamp", "timestamp authority at .* gave no timestamp")],
)
def test_a_service_that_is_away_is_named_and_nothing_is_written(
    lab: Lab, build: Path, service: str, message: str
) -> None:
    lab.stop_service(service)
    try:
        with pytest.raises(SigningError, match=message):
            sign(lab, build, p256())
    finally:
        lab.start_service(service)
    assert not (build / "bundles").exists()


def test_a_trust_root_of_another_instance_is_noticed(lab: Lab, build: Path, tmp_path: Path) -> None:
    body = json.loads(lab.trust_config().read_bytes())
    other = json.loads(lab.trusted_root().read_bytes())
    key = other["tlogs"][0]["publicKey"]
    key["rawBytes"] = base64.b64encode(ManagedKey.parse(public_pem(p256())).der).decode()
    body["trustedRoot"] = other
    path = tmp_path / "config.json"
    path.write_text(json.dumps(body))
    with pytest.raises(SigningError, match="does not verify"):
        sign(lab, build, p256(), trust_config=path)
    assert not (build / "bundles").exists()
