"""What other clients and instances write, which is right though ours does not."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import LINK_V0_3, MAX_SUBJECTS, SLSA_PROVENANCE_V1
from dhallmark.verdict import Outcome
from dhallmark.verify.bundle import BundleResult, verify_bundle
from dhallmark.verify.demands import Demands, SignatureKind
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.links import LinkRecord
from dhallmark.verify.refusal import Refusal
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance, Leaf

Json = dict[str, Any]
MESSAGE = b"the bytes of a file"
ED25519 = ed25519.Ed25519PrivateKey.generate()
TRUSTED = ManagedKey.parse(ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
SHA256, SHA512 = {"sha256": Digest.of(b"web").hex}, {"sha512": "ab" * 64}


def verify(
    bundle: Json,
    trust: TrustRoot,
    message: Digest | bytes | None = None,
    **how: Any,  # noqa: ANN401
) -> BundleResult:
    how.setdefault("demands", Demands(kinds=frozenset(SignatureKind)))
    return verify_bundle(json.dumps(bundle).encode(), Terms(trust, **how), message=message)


def statement(*digests: Json, predicate_type: str = SLSA_PROVENANCE_V1, **predicate: object) -> bytes:
    subjects = [{"name": f"file {number}", "digest": digest} for number, digest in enumerate(digests)]
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    ).encode()


@pytest.mark.parametrize(
    "said", [{}, {"algorithm": "HASH_ALGORITHM_UNSPECIFIED"}, {"algorithm": "HASH_ALGORITHM_UNSPECIFIED", "digest": ""}]
)
def test_cosigns_empty_digest_of_what_ed25519_signs_is_none(instance: Instance, said: Json) -> None:
    bundle = instance.sign_message(MESSAGE, key=ED25519)
    bundle["messageSignature"]["messageDigest"] = said
    for message, reasons in ((MESSAGE, set()), (b"other bytes", {Reason.SIGNATURE_INVALID, Reason.LOG_ENTRY_MISMATCH})):
        assert verify(bundle, instance.trust(), message, keys=[TRUSTED]).verdict.reasons == reasons


def test_ed25519ph_is_told_from_a_forgery(instance: Instance) -> None:
    bundle = instance.sign_message(MESSAGE, key=ED25519, kind=None)
    digest = Digest.of(MESSAGE)
    bundle["messageSignature"] = {
        "signature": base64.b64encode(b"s" * 64).decode(),
        "messageDigest": {
            "algorithm": "SHA2_512",
            "digest": base64.b64encode(hashlib.sha512(MESSAGE).digest()).decode(),
        },
    }
    demands = Demands(kinds=frozenset(SignatureKind), log_entries=0, scts=0)
    result = verify(bundle, instance.trust(), MESSAGE, keys=[TRUSTED], demands=demands)
    assert result.verdict.reasons == {Reason.FORMAT_UNSUPPORTED}
    assert "Ed25519ph" in str(result.verdict.to_json())
    # Where the bytes are not there, nothing was tried.
    by_digest = verify(bundle, instance.trust(), digest, keys=[TRUSTED], demands=demands)
    assert "needs the bytes" in str(by_digest.verdict.to_json())
    bundle["messageSignature"]["messageDigest"] = {
        "algorithm": "SHA2_256",
        "digest": base64.b64encode(bytes.fromhex(digest.hex)).decode(),
    }
    result = verify(bundle, instance.trust(), MESSAGE, keys=[TRUSTED], demands=demands)
    assert result.verdict.reasons == {Reason.SIGNATURE_INVALID}


def test_a_subject_without_sha256_beside_one_with_it_is_kept_apart(instance: Instance) -> None:
    result = verify(instance.sign(statement(SHA512, SHA256, {"gitCommit": "ab" * 20})), instance.trust())
    assert result.verdict.outcome is Outcome.ACCEPTED
    assert result.statement is not None
    assert [(one.name, one.digest) for one in result.statement.subjects] == [("file 1", Digest.of(b"web"))]
    assert result.statement.foreign == (
        "subject[0] has no sha256 digest, only sha512",
        "subject[2] has no sha256 digest, only gitCommit",
    )


def test_a_product_that_cannot_be_compared_spoils_a_link(instance: Instance) -> None:
    payload = statement(SHA256, SHA512, predicate_type=LINK_V0_3, name="render", materials=[])
    found = verify(instance.sign(payload), instance.trust()).statement
    assert found is not None
    with pytest.raises(Refusal) as refused:
        LinkRecord.read(found)
    assert refused.value.reason is Reason.SUBJECT_ALGORITHM


@pytest.mark.parametrize(
    ("subjects", "reasons"),
    [
        ([SHA256] * MAX_SUBJECTS, set()),
        ([SHA256] * (MAX_SUBJECTS + 1), {Reason.SUBJECT_TOO_MANY}),
        ([SHA256] + [SHA512] * MAX_SUBJECTS, {Reason.SUBJECT_TOO_MANY}),
    ],
    ids=["as many as may be", "one more", "one more, of another kind"],
)
def test_too_many_subjects_are_refused_whoever_asks(
    instance: Instance, subjects: list[Json], reasons: set[Reason]
) -> None:
    assert verify(instance.sign(statement(*subjects)), instance.trust()).verdict.reasons == reasons


NOW = datetime.now(UTC)


def window(start: timedelta, end: timedelta) -> Json:
    return {name: (NOW + after).strftime("%Y-%m-%dT%H:%M:%SZ") for name, after in (("start", start), ("end", end))}


EARLIER = window(timedelta(days=-900), timedelta(days=-800))
TODAY = window(timedelta(days=-3), timedelta(days=3))


@pytest.mark.parametrize("name", ["tlogs", "ctlogs"])
@pytest.mark.parametrize(
    ("windows", "good"), [((EARLIER, TODAY), True), ((TODAY, EARLIER), True), ((EARLIER,) * 2, False)]
)
def test_a_log_may_be_listed_for_several_times(
    instance: Instance, name: str, windows: tuple[Json, ...], *, good: bool
) -> None:
    def change(root: Json) -> None:
        log = root[name][0]
        root[name] = [{**log, "publicKey": {**log["publicKey"], "validFor": valid}} for valid in windows]

    reasons = verify(instance.sign(statement(SHA256)), instance.trust(change)).verdict.reasons
    refused = Reason.LOG_KEY_VALIDITY if name == "tlogs" else Reason.CERTIFICATE_SCT
    assert reasons == (set() if good else {refused})


@pytest.mark.parametrize("valid", [{}, {"end": TODAY["end"]}])
def test_an_authoritys_time_may_have_no_start(instance: Instance, valid: Json) -> None:
    def change(root: Json) -> None:
        for name in ("certificateAuthorities", "timestampAuthorities"):
            root[name][0]["validFor"] = valid

    bundle = instance.sign(statement(SHA256), stamps=lambda content: [instance.stamp(content)])
    assert verify(bundle, instance.trust(change)).verdict.reasons == set()


@pytest.mark.parametrize(("least", "reasons"), [(1, set()), (2, {Reason.CERTIFICATE_SCT})])
def test_an_sct_of_a_log_that_had_retired_counts_for_nothing_and_spoils_nothing(
    instance: Instance, make_leaf: type[Leaf], monkeypatch: pytest.MonkeyPatch, least: int, reasons: set[Reason]
) -> None:
    retired = dataclasses.replace(instance, ct=ec.generate_private_key(ec.SECP256R1()))
    authors = iter((instance, retired))
    stamp: Callable[[Instance, x509.Certificate], bytes] = type(instance)._stamp
    monkeypatch.setattr(type(instance), "_stamp", lambda _, certificate: stamp(next(authors), certificate))
    bundle = instance.sign(statement(SHA256), leaf=make_leaf(stamps=2))

    def change(root: Json) -> None:
        (log,) = retired.trusted_root()["ctlogs"]
        root["ctlogs"].append({**log, "publicKey": {**log["publicKey"], "validFor": EARLIER}})

    demands = Demands(kinds=frozenset(SignatureKind), scts=least)
    assert verify(bundle, instance.trust(change), demands=demands).verdict.reasons == reasons


def test_the_usage_of_an_issuing_certificate_may_be_critical(instance: Instance) -> None:
    old, key = instance.fulcio.certificates[0], ec.generate_private_key(ec.SECP256R1())
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])

    def issue(subject: x509.Name, public: Any) -> x509.CertificateBuilder:  # noqa: ANN401
        return (
            x509.CertificateBuilder(issuer_name=root, subject_name=subject, public_key=public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(old.not_valid_before_utc)
            .not_valid_after(old.not_valid_after_utc)
        )

    above = issue(root, key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    issuing = issue(old.subject, old.public_key())
    for extension in old.extensions:
        if extension.oid != ExtendedKeyUsage.oid:
            issuing = issuing.add_extension(extension.value, extension.critical)
    issuing = issuing.add_extension(ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=True)

    def change(trust: Json) -> None:
        certificates = [builder.sign(key, hashes.SHA256()) for builder in (issuing, above)]
        listed = [{"rawBytes": base64.b64encode(one.public_bytes(Encoding.DER)).decode()} for one in certificates]
        trust["certificateAuthorities"][0]["certChain"]["certificates"] = listed

    assert verify(instance.sign(statement(SHA256)), instance.trust(change)).verdict.reasons == set()
