"""One bundle: the good one, and each thing that can be wrong with one, by the reason that it must give."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance, Leaf

Json = dict[str, Any]
PAYLOAD = Statement.build(
    predicate_type=COSIGN_SIGN_V1, subjects=[Subject("registry.test/web", Digest.of(b"web"))], predicate={}
).payload


def judge(bundle: Json | bytes, trust: TrustRoot) -> Verdict:
    content = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
    result = verify_bundle(content, Terms(trust))
    if result.verdict.outcome is not Outcome.ACCEPTED:
        assert (result.statement, result.identity, result.times) == (None, None, ())
    return result.verdict


def entry(bundle: Json) -> Json:
    found: Json = bundle["verificationMaterial"]["tlogEntries"][0]
    return found


def flip(holder: Json, key: str, position: int = -1) -> None:
    """Flip a bit of a base64 field."""
    content = bytearray(base64.b64decode(holder[key]))
    content[position] ^= 1
    holder[key] = base64.b64encode(bytes(content)).decode()


def test_a_good_bundle_is_accepted_with_its_statement_signer_and_time(
    instance: Instance, make_leaf: type[Leaf]
) -> None:
    leaf = make_leaf(extensions={"sourceRepositoryURI": "https://github.com/acme/platform"})
    bundle = instance.sign(PAYLOAD, leaf=leaf)
    result = verify_bundle(json.dumps(bundle).encode(), Terms(instance.trust()), name="x")
    assert result.verdict.outcome is Outcome.ACCEPTED, result.verdict.to_json()
    assert result.verdict.subject == "x"
    assert result.statement is not None
    assert result.statement.payload == PAYLOAD
    assert isinstance(result.identity, Identity)
    assert result.identity.issuer == "https://token.actions.githubusercontent.com"
    assert result.identity.subject.endswith("release.yml@refs/heads/main")
    assert result.identity.extensions == {"sourceRepositoryURI": "https://github.com/acme/platform"}
    assert len(result.times) == 1


def _to_message_signature(bundle: Json) -> None:
    envelope = bundle.pop("dsseEnvelope")
    bundle["messageSignature"] = {"signature": envelope["signatures"][0]["sig"]}


CHANGES: dict[str, tuple[Callable[[Json], object], Reason]] = {
    "no media type": (lambda b: b.pop("mediaType"), Reason.BUNDLE_MALFORMED),
    "another media type": (lambda b: b.update(mediaType="application/json"), Reason.BUNDLE_MALFORMED),
    "a bundle of another version": (
        lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.4"),
        Reason.FORMAT_UNSUPPORTED,
    ),
    "an unknown field": (lambda b: b.update(extra=1), Reason.BUNDLE_MALFORMED),
    "no material": (lambda b: b.pop("verificationMaterial"), Reason.BUNDLE_MALFORMED),
    "no content": (lambda b: b.pop("dsseEnvelope"), Reason.BUNDLE_MALFORMED),
    "a message signature": (_to_message_signature, Reason.SIGNATURE_KIND),
    "a managed key beside the certificate": (
        lambda b: b["verificationMaterial"].update(publicKey={"hint": "x"}),
        Reason.BUNDLE_MALFORMED,
    ),
    "a chain of certificates": (
        lambda b: b["verificationMaterial"].update(
            x509CertificateChain={"certificates": [b["verificationMaterial"].pop("certificate")]}
        ),
        Reason.BUNDLE_MALFORMED,
    ),
    "no certificate": (lambda b: b["verificationMaterial"].pop("certificate"), Reason.CERTIFICATE_MISSING),
    "a cut certificate": (
        lambda b: b["verificationMaterial"]["certificate"].update(rawBytes="MIIB"),
        Reason.BUNDLE_MALFORMED,
    ),
    "an empty list of signatures": (lambda b: b["dsseEnvelope"].update(signatures=[]), Reason.ENVELOPE_MALFORMED),
    "two signatures": (
        lambda b: b["dsseEnvelope"].update(signatures=b["dsseEnvelope"]["signatures"] * 2),
        Reason.ENVELOPE_MALFORMED,
    ),
    "an empty signature": (
        lambda b: b["dsseEnvelope"]["signatures"][0].update(sig=""),
        Reason.ENVELOPE_MALFORMED,
    ),
    "a payload that is not base64": (lambda b: b["dsseEnvelope"].update(payload="{}"), Reason.ENVELOPE_MALFORMED),
    "a payload of both alphabets": (lambda b: b["dsseEnvelope"].update(payload="ab+_"), Reason.ENVELOPE_MALFORMED),
    "a flipped payload": (lambda b: flip(b["dsseEnvelope"], "payload"), Reason.SIGNATURE_INVALID),
    "a flipped signature": (
        lambda b: flip(b["dsseEnvelope"]["signatures"][0], "sig"),
        Reason.SIGNATURE_INVALID,
    ),
    "another payload type": (
        lambda b: b["dsseEnvelope"].update(payloadType="text/plain"),
        Reason.SIGNATURE_INVALID,
    ),
    "no log entry": (lambda b: b["verificationMaterial"].update(tlogEntries=[]), Reason.LOG_ENTRY_MISSING),
    "a doubled log entry": (
        lambda b: b["verificationMaterial"].update(tlogEntries=[entry(b)] * 2),
        Reason.BUNDLE_MALFORMED,
    ),
    "33 log entries": (
        lambda b: b["verificationMaterial"].update(tlogEntries=[{**entry(b), "logIndex": str(n)} for n in range(33)]),
        Reason.BUNDLE_MALFORMED,
    ),
    "an entry of an unknown log": (
        lambda b: entry(b)["logId"].update(keyId=base64.b64encode(b"x" * 32).decode()),
        Reason.LOG_ENTRY_MISSING,
    ),
    "no inclusion proof": (lambda b: entry(b).pop("inclusionProof"), Reason.LOG_INCLUSION),
    "no checkpoint": (lambda b: entry(b)["inclusionProof"].pop("checkpoint"), Reason.LOG_CHECKPOINT),
    "a negative index": (lambda b: entry(b)["inclusionProof"].update(logIndex="-1"), Reason.BUNDLE_MALFORMED),
    "an index beyond the tree": (
        lambda b: entry(b)["inclusionProof"].update(logIndex="2"),
        Reason.LOG_INCLUSION,
    ),
    "another index": (lambda b: entry(b)["inclusionProof"].update(logIndex="1"), Reason.LOG_INCLUSION),
    "another size": (lambda b: entry(b)["inclusionProof"].update(treeSize="3"), Reason.LOG_INCLUSION),
    "another root hash": (lambda b: flip(entry(b)["inclusionProof"], "rootHash"), Reason.LOG_INCLUSION),
    "another sibling": (
        lambda b: entry(b)["inclusionProof"].update(hashes=[base64.b64encode(b"x" * 32).decode()]),
        Reason.LOG_INCLUSION,
    ),
    "a changed checkpoint": (
        lambda b: entry(b)["inclusionProof"]["checkpoint"].update(
            envelope=entry(b)["inclusionProof"]["checkpoint"]["envelope"].replace("\n2\n", "\n3\n")
        ),
        Reason.LOG_CHECKPOINT,
    ),
    "a checkpoint without signature": (
        lambda b: entry(b)["inclusionProof"]["checkpoint"].update(
            envelope=entry(b)["inclusionProof"]["checkpoint"]["envelope"].partition("\u2014")[0]
        ),
        Reason.LOG_CHECKPOINT,
    ),
    "another integrated time": (lambda b: entry(b).update(integratedTime="1700000000"), Reason.LOG_PROMISE),
    "a forged promise": (
        lambda b: flip(entry(b)["inclusionPromise"], "signedEntryTimestamp", 8),
        Reason.LOG_PROMISE,
    ),
    "a time without promise": (lambda b: entry(b).pop("inclusionPromise"), Reason.TIMESTAMP_MISSING),
    "a timestamp that is none": (
        lambda b: b["verificationMaterial"].update(
            timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": "MAA="}]}
        ),
        Reason.TIMESTAMP_INVALID,
    ),
    "33 timestamps": (
        lambda b: b["verificationMaterial"].update(
            timestampVerificationData={
                "rfc3161Timestamps": [
                    {"signedTimestamp": base64.b64encode(bytes([48, 1, n])).decode()} for n in range(33)
                ]
            }
        ),
        Reason.TIMESTAMP_INVALID,
    ),
    "a doubled timestamp": (
        lambda b: b["verificationMaterial"].update(
            timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": "MAA="}] * 2}
        ),
        Reason.TIMESTAMP_INVALID,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_bundle_is_refused_for_what_was_changed(instance: Instance, name: str) -> None:
    change, reason = CHANGES[name]
    bundle = instance.sign(PAYLOAD)
    change(bundle)
    verdict = judge(bundle, instance.trust())
    assert verdict.reason is reason, verdict.to_json()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"payload_type": "text/plain"}, Reason.ENVELOPE_PAYLOAD_TYPE),
        ({"integrated": datetime.now(UTC) - timedelta(minutes=20)}, Reason.CERTIFICATE_OUTSIDE_VALIDITY),
        ({"integrated": datetime.now(UTC) + timedelta(minutes=20)}, Reason.TIMESTAMP_FUTURE),
        ({"origin": "other.unit.test - 7"}, Reason.LOG_ORIGIN),
        ({"origin": "rekor.unit.test.evil - 7"}, Reason.LOG_ORIGIN),
        ({"signer": "other.unit.test"}, Reason.LOG_ORIGIN),
        ({"body": lambda body: body.update(kind="intoto", apiVersion="0.0.1")}, Reason.FORMAT_UNSUPPORTED),
        ({"body": lambda body: body.update(kind="intoto", apiVersion="0.0.2")}, Reason.LOG_ENTRY_MISMATCH),
        (
            {"body": lambda body: body["spec"]["payloadHash"].update(value="11" * 32)},
            Reason.LOG_ENTRY_MISMATCH,
        ),
        ({"body": lambda body: body["spec"].update(signatures=[])}, Reason.LOG_ENTRY_MISMATCH),
        ({"body": lambda body: body["spec"].pop("payloadHash")}, Reason.LOG_ENTRY_MISMATCH),
    ],
)
def test_what_an_instance_signs_wrongly_is_refused(instance: Instance, arguments: Json, reason: Reason) -> None:
    verdict = judge(instance.sign(PAYLOAD, **arguments), instance.trust())
    assert verdict.reasons == {reason}, verdict.to_json()


_NAME = x509.UniformResourceIdentifier("https://github.com/acme/platform")
_FULCIO_NAME = ObjectIdentifier("1.3.6.1.4.1.57264.1.7")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"usage": ExtendedKeyUsageOID.CLIENT_AUTH}, Reason.CERTIFICATE_PROFILE),
        ({"digital_signature": False}, Reason.CERTIFICATE_PROFILE),
        ({"authority": True}, Reason.CERTIFICATE_PROFILE),
        ({"names": (_NAME, x509.RFC822Name("someone@example.com"))}, Reason.CERTIFICATE_PROFILE),
        ({"names": (x509.DNSName("acme.test"),)}, Reason.CERTIFICATE_PROFILE),
        ({"issuer": "https://evil.test"}, Reason.CERTIFICATE_PROFILE),
        ({"issuer": None, "legacy_issuer": None}, Reason.CERTIFICATE_PROFILE),
        ({"stamps": 0}, Reason.CERTIFICATE_SCT),
        ({"stamps": 33}, Reason.CERTIFICATE_SCT),
        ({"key": ec.generate_private_key(ec.SECP256K1())}, Reason.FORMAT_UNSUPPORTED),
    ],
)
def test_a_certificate_of_another_shape_is_refused(
    instance: Instance, make_leaf: type[Leaf], changes: Json, reason: Reason
) -> None:
    verdict = judge(instance.sign(PAYLOAD, leaf=make_leaf(**changes)), instance.trust())
    assert reason in verdict.reasons, verdict.to_json()


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"names": (x509.RFC822Name("someone@example.com"),)}, "someone@example.com"),
        ({"names": (x509.OtherName(_FULCIO_NAME, b"\x0c\x03foo"),)}, "foo"),
        ({"names": (_NAME,), "issuer": None}, _NAME.value),
        ({"names": (_NAME,), "legacy_issuer": None}, _NAME.value),
    ],
)
def test_each_kind_of_identity_is_read(instance: Instance, make_leaf: type[Leaf], changes: Json, subject: str) -> None:
    result = verify_bundle(
        json.dumps(instance.sign(PAYLOAD, leaf=make_leaf(**changes))).encode(), Terms(instance.trust())
    )
    assert isinstance(result.identity, Identity), result.verdict.to_json()
    assert result.identity.subject == subject
    assert result.identity.issuer == "https://token.actions.githubusercontent.com"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"{}",
        PAYLOAD.replace(b"Statement/v1", b"Statement/v2"),
        PAYLOAD.replace(b'"predicate":{}', b'"predicate":{},"predicate":{}'),
        PAYLOAD.replace(b'"predicate":{}', b'"predicate":NaN'),
        b"\xef\xbb\xbf" + PAYLOAD,
        PAYLOAD.replace(Digest.of(b"web").hex.encode(), Digest.of(b"web").hex.upper().encode()),
        b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"x","subject":[]}',
        b"[" * 100_000,
    ],
)
def test_a_payload_that_is_no_strict_statement_is_refused(instance: Instance, payload: bytes) -> None:
    assert judge(instance.sign(payload), instance.trust()).reasons == {Reason.STATEMENT_MALFORMED}


def test_a_subject_under_another_digest_algorithm_alone_is_refused(instance: Instance) -> None:
    payload = PAYLOAD.replace(b'"sha256"', b'"sha512"')
    assert judge(instance.sign(payload), instance.trust()).reasons == {Reason.SUBJECT_ALGORITHM}


@pytest.mark.parametrize("padding", ["=", ""])
def test_url_safe_base64_is_read_as_the_bytes_that_it_is(instance: Instance, padding: str) -> None:
    payload = PAYLOAD.replace(b"registry.test/web", "registry.test/\xff\xfe\xfb".encode())
    bundle = instance.sign(payload)

    def convert(value: object) -> object:
        if isinstance(value, dict):
            return {
                key: _url_safe(item, padding=padding)
                if key in ("payload", "sig", "rawBytes", "rootHash", "canonicalizedBody")
                else convert(item)
                for key, item in value.items()
            }
        return [convert(item) for item in value] if isinstance(value, list) else value

    converted = convert(bundle)
    assert converted != bundle
    assert judge(converted, instance.trust()).outcome is Outcome.ACCEPTED  # type: ignore[arg-type]


def _url_safe(text: str, *, padding: str) -> str:
    return text.replace("+", "-").replace("/", "_").replace("=", padding)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda root: root.update(tlogs=[]), Reason.LOG_ENTRY_MISSING),
        (lambda root: root.update(certificateAuthorities=[]), Reason.CERTIFICATE_UNTRUSTED),
        (lambda root: root.update(ctlogs=[]), Reason.CERTIFICATE_SCT),
        (
            lambda root: root["tlogs"][0]["publicKey"]["validFor"].update(end="2020-01-01T00:00:00Z"),
            Reason.LOG_KEY_VALIDITY,
        ),
        (
            lambda root: root["tlogs"][0]["publicKey"].update(keyDetails="PKIX_RSA_PSS_2048_SHA256"),
            Reason.FORMAT_UNSUPPORTED,
        ),
        (
            lambda root: root["ctlogs"][0]["publicKey"]["validFor"].update(end="2020-01-01T00:00:00Z"),
            Reason.CERTIFICATE_SCT,
        ),
        (
            lambda root: root["certificateAuthorities"][0]["validFor"].update(end="2020-01-01T00:00:00Z"),
            Reason.CERTIFICATE_OUTSIDE_VALIDITY,
        ),
        (lambda root: root["tlogs"][0].update(baseUrl="https://other.unit.test"), Reason.LOG_ORIGIN),
        (lambda root: root["tlogs"][0].update(baseUrl=""), Reason.LOG_ORIGIN),
    ],
)
def test_a_trust_root_without_what_it_takes_refuses(
    instance: Instance, change: Callable[[Json], object], reason: Reason
) -> None:
    verdict = judge(instance.sign(PAYLOAD), instance.trust(change))
    assert reason in verdict.reasons, verdict.to_json()


def test_another_instances_bundle_is_refused(instance: Instance, stranger: Instance) -> None:
    bundle = stranger.sign(PAYLOAD)
    assert Reason.LOG_ENTRY_MISSING in judge(bundle, instance.trust()).reasons

    def add_their_log(root: Json) -> None:
        root["tlogs"] += stranger.trusted_root()["tlogs"]

    # C3: the log is trusted, the authority is not.
    assert judge(bundle, instance.trust(add_their_log)).reason is Reason.CERTIFICATE_UNTRUSTED


def test_another_logs_signature_on_the_checkpoint_counts_for_nothing(instance: Instance, stranger: Instance) -> None:
    bundle = instance.sign(PAYLOAD)
    theirs = entry(stranger.sign(PAYLOAD))["inclusionProof"]["checkpoint"]["envelope"]
    checkpoint = entry(bundle)["inclusionProof"]["checkpoint"]
    note, _, line = checkpoint["envelope"].partition("\n\n")
    checkpoint["envelope"] = f"{note}\n\n{theirs.partition(chr(10) * 2)[2]}{line}"
    assert judge(bundle, instance.trust()).outcome is Outcome.ACCEPTED


def test_the_entry_of_another_bundle_is_refused(instance: Instance) -> None:
    bundle, other = instance.sign(PAYLOAD), instance.sign(PAYLOAD)
    bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    assert judge(bundle, instance.trust()).reasons == {Reason.LOG_ENTRY_MISMATCH}


def test_a_root_inside_the_bundle_is_not_read(instance: Instance, stranger: Instance) -> None:
    bundle = stranger.sign(PAYLOAD)
    root = stranger.fulcio.certificates[-1].public_bytes(Encoding.DER)
    bundle["verificationMaterial"]["x509CertificateChain"] = {
        "certificates": [{"rawBytes": base64.b64encode(root).decode()}]
    }
    assert judge(bundle, instance.trust()).reasons == {Reason.BUNDLE_MALFORMED}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_a_verdict(instance_for_hypothesis: tuple[Json, TrustRoot], content: bytes) -> None:
    assert judge(content, instance_for_hypothesis[1]).outcome is not Outcome.ACCEPTED


@pytest.fixture(scope="module")
def instance_for_hypothesis(instance: Instance) -> tuple[Json, TrustRoot]:
    return instance.sign(PAYLOAD), instance.trust()


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.lists(st.text(max_size=4), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=3),
)


def _paths(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _paths(item, (*path, key))
    return found


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), value=_VALUES)
def test_any_field_replaced_by_anything_gives_a_verdict(
    instance_for_hypothesis: tuple[Json, TrustRoot], data: st.DataObject, value: object
) -> None:
    good, trust = instance_for_hypothesis
    bundle = copy.deepcopy(good)
    path = data.draw(st.sampled_from(_paths(bundle)))
    holder: Any = bundle
    for key in path[:-1]:
        holder = holder[key]
    before = holder[path[-1]]
    holder[path[-1]] = value
    verdict = judge(bundle, trust)
    assert verdict.outcome is not Outcome.ACCEPTED or _same_integer(value, before), path


def _same_integer(value: object, before: object) -> bool:
    """ProtoJSON has three ways to say zero, and two for every other integer."""
    return value == before or str(0 if value is None else value) == before
