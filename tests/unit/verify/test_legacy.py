"""cosign's older format: what is read out of it, and that it is verified as a bundle is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.identity import Identity
from dhallmark.lab import pki
from dhallmark.oci.descriptor import (
    EMPTY_CONFIG,
    EMPTY_CONFIG_TYPE,
    Descriptor,
    Manifest,
    build_manifest,
    fallback_tag,
)
from dhallmark.oci.layout import LayoutWriter
from dhallmark.oci.store import LayoutStore
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, SPDX_V2_3, Statement, Subject
from dhallmark.verdict import Outcome, Verdict
from dhallmark.verify.artifact import examine
from dhallmark.verify.bundle import BundleResult
from dhallmark.verify.demands import KEYED
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.legacy import (
    DSSE_ENVELOPE,
    MAX_LAYERS,
    SIMPLE_SIGNING,
    LegacySignature,
    legacy_layers,
    verify_legacy,
)
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.period import Period
from dhallmark.verify.terms import Terms

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance

Json = dict[str, Any]

ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
DIGEST = Digest.of(b"artifact")
SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
BUNDLE = "dev.sigstore.cosign/bundle"


def document(**changes: object) -> bytes:
    """What a `.sig` layer holds."""
    critical: Json = {
        "identity": {"docker-reference": "registry.example/acme/web"},
        "image": {"docker-manifest-digest": DIGEST},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical | changes, "optional": None}).encode()


def legacy(bundle: Json, content: bytes) -> LegacySignature:
    """A bundle as cosign 2 would have written it."""
    material, annotations = bundle["verificationMaterial"], {SIGNATURE: ""}
    if "messageSignature" in bundle:
        annotations[SIGNATURE] = bundle["messageSignature"]["signature"]
    if "certificate" in material:
        certificate = load_der_x509_certificate(base64.b64decode(material["certificate"]["rawBytes"]))
        annotations[CERTIFICATE] = certificate.public_bytes(Encoding.PEM).decode()
    for entry in material.get("tlogEntries", []):
        annotations[BUNDLE] = json.dumps(
            {
                "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
                "Payload": {
                    "body": entry["canonicalizedBody"],
                    "integratedTime": int(entry["integratedTime"]),
                    "logIndex": int(entry["logIndex"]),
                    "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
                },
            }
        )
    media_type = SIMPLE_SIGNING if "messageSignature" in bundle else DSSE_ENVELOPE
    return LegacySignature(media_type=media_type, annotations=annotations, content=content)


def sig(instance: Instance, content: bytes | None = None, **how: Any) -> LegacySignature:  # noqa: ANN401
    """A `.sig` layer that the instance signed."""
    signed = document() if content is None else content
    return legacy(instance.sign_message(signed, **how), signed)


def att(instance: Instance, **how: Any) -> LegacySignature:  # noqa: ANN401
    """An `.att` layer that the instance signed."""
    statement = Statement.build(
        predicate_type=SPDX_V2_3, subjects=[Subject("web", DIGEST)], predicate={"spdxVersion": "2.3"}
    )
    bundle = instance.sign(statement.payload, **how)
    return legacy(bundle, json.dumps(bundle["dsseEnvelope"]).encode())


def annotated(one: LegacySignature, /, **changes: str | None) -> LegacySignature:
    """With other annotations, by the ends of their names; None removes one."""
    annotations = dict(one.annotations)
    for name in list(annotations):
        end = name.rpartition("/")[2]
        if end in changes:
            value = changes[end]
            annotations.pop(name)
            if value is not None:
                annotations[name] = value
    return replace(one, annotations=annotations)


def in_bundle(change: Callable[[Json], object]) -> Callable[[LegacySignature], LegacySignature]:
    """A change to the log's entry."""

    def apply(signature: LegacySignature) -> LegacySignature:
        body = json.loads(signature.annotations[BUNDLE])
        change(body)
        return annotated(signature, bundle=json.dumps(body))

    return apply


def verify(instance: Instance, signature: LegacySignature, **options: Any) -> BundleResult:  # noqa: ANN401
    return verify_legacy(signature, Terms(instance.trust(), **options), name="layer")


def managed(key: Any, **options: Any) -> ManagedKey:  # noqa: ANN401
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return ManagedKey.parse(pem, **options)


def test_a_signature_is_the_statement_that_cosign_makes_of_it_today(instance: Instance) -> None:
    result = verify(instance, sig(instance))
    assert result.verdict.outcome is Outcome.ACCEPTED, result.verdict.to_json()
    assert result.statement == Statement(
        payload=document(),
        predicate_type=COSIGN_SIGN_V1,
        subjects=(Subject("registry.example/acme/web", DIGEST),),
        predicate={},
    )
    assert isinstance(result.identity, Identity)
    assert len(result.times) == 1


@pytest.mark.parametrize("kind", [("dsse", "0.0.1"), ("intoto", "0.0.2")], ids="/".join)
def test_an_attestation_is_its_statement(instance: Instance, kind: tuple[str, str]) -> None:
    result = verify(instance, att(instance, kind=kind))
    assert result.verdict.outcome is Outcome.ACCEPTED, result.verdict.to_json()
    assert result.statement is not None
    assert (result.statement.predicate_type, result.statement.predicate) == (SPDX_V2_3, {"spdxVersion": "2.3"})


@pytest.mark.parametrize("make", [sig, att])
def test_each_trusted_key_is_tried(instance: Instance, make: Callable[..., LegacySignature]) -> None:
    key, strangers = pki.signing_key(), [pki.signing_key() for _ in range(3)]
    signature = make(instance, key=key, kind=None)
    assert signature.annotations.keys() == {SIGNATURE}
    keys = [managed(one) for one in (*strangers, key)]
    result = verify(instance, signature, keys=keys, demands=KEYED)
    assert (result.verdict.outcome, result.identity) == (Outcome.ACCEPTED, keys[-1].identity)
    result = verify(instance, signature, keys=keys[:-1], demands=KEYED)
    assert result.verdict.reason is Reason.SIGNATURE_INVALID
    assert verify(instance, signature, demands=KEYED).verdict.reason is Reason.KEY_UNKNOWN
    assert verify(instance, signature, keys=keys).verdict.reason is Reason.LOG_ENTRY_MISSING


def test_what_is_wrong_with_the_right_key_outweighs_that_others_do_not_fit(instance: Instance) -> None:
    key = pki.signing_key()
    signature = sig(instance, key=key)
    ended = managed(key, period=Period(None, datetime.now(UTC) - timedelta(days=1)))
    for keys in ([ended, managed(pki.signing_key())], [managed(pki.signing_key()), ended]):
        result = verify(instance, signature, keys=keys)
        assert result.verdict.reason is Reason.KEY_OUTSIDE_VALIDITY


def test_a_certificate_is_never_verified_by_a_key(instance: Instance, make_leaf: Any) -> None:  # noqa: ANN401
    leaf = make_leaf()
    signature = sig(instance, leaf=leaf)
    by_key = annotated(signature, certificate=None)
    assert verify(instance, by_key, keys=[managed(leaf.key)], demands=KEYED).verdict.reason is Reason.LOG_ENTRY_MISMATCH
    result = verify(instance, signature, keys=[managed(leaf.key)])
    assert isinstance(result.identity, Identity)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("registry.example/acme/web", "registry.example/acme/web"),
        ("registry.example:5000/acme/web", "registry.example:5000/acme/web"),
        ("registry.example:5000/acme/web:1.2.3", "registry.example:5000/acme/web"),
        (f"registry.example/acme/web@{DIGEST}", "registry.example/acme/web"),
        (f"registry.example/acme/web:1@{DIGEST}", "registry.example/acme/web"),
        ("", ""),
    ],
)
def test_the_subject_is_named_by_the_signed_reference(instance: Instance, reference: str, name: str) -> None:
    content = document(identity={"docker-reference": reference})
    result = verify(instance, sig(instance, content))
    assert result.statement is not None
    assert result.statement.subjects == (Subject(name, DIGEST),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"critical": null}',
        document(type="atomic container signature"),
        document(type=None),
        document(image={}),
        document(image={"docker-manifest-digest": "sha256:AB"}),
        document(image={"docker-manifest-digest": f"sha512:{'ab' * 64}"}),
        document(identity=None),
        document(identity={"docker-reference": 7}),
        document()[:-1] + b', "critical": {}}',
    ],
)
def test_a_signed_document_of_another_kind_is_no_signature(instance: Instance, content: bytes) -> None:
    result = verify(instance, sig(instance, content))
    assert result.verdict.reason is Reason.STATEMENT_MALFORMED
    assert (result.statement, result.identity, result.times) == (None, None, ())


_CHANGES: dict[str, tuple[Callable[[LegacySignature], LegacySignature], Reason]] = {
    "content": (lambda one: replace(one, content=one.content.replace(b"acme", b"evil")), Reason.SIGNATURE_INVALID),
    "no signature": (lambda one: annotated(one, signature=""), Reason.BUNDLE_MALFORMED),
    "signature that is none": (lambda one: annotated(one, signature="!"), Reason.BUNDLE_MALFORMED),
    "no certificate": (lambda one: annotated(one, certificate=None), Reason.KEY_UNKNOWN),
    "certificate that is none": (lambda one: annotated(one, certificate="PEM"), Reason.BUNDLE_MALFORMED),
    "no log entry": (lambda one: annotated(one, bundle=None), Reason.LOG_ENTRY_MISSING),
    "log entry that is none": (lambda one: annotated(one, bundle="{}"), Reason.BUNDLE_MALFORMED),
    "log entry that is a list": (lambda one: annotated(one, bundle="[]"), Reason.BUNDLE_MALFORMED),
    "no promise": (in_bundle(lambda body: body.update(SignedEntryTimestamp=None)), Reason.BUNDLE_MALFORMED),
    "empty promise": (in_bundle(lambda body: body.update(SignedEntryTimestamp="")), Reason.LOG_PROMISE),
    "another time": (in_bundle(lambda body: body["Payload"].update(integratedTime=1)), Reason.LOG_PROMISE),
    "another index": (in_bundle(lambda body: body["Payload"].update(logIndex=1)), Reason.LOG_PROMISE),
    "negative index": (in_bundle(lambda body: body["Payload"].update(logIndex=-1)), Reason.BUNDLE_MALFORMED),
    "a truth for an index": (in_bundle(lambda body: body["Payload"].update(logIndex=True)), Reason.BUNDLE_MALFORMED),
    "a huge index": (in_bundle(lambda body: body["Payload"].update(logIndex=2**63)), Reason.BUNDLE_MALFORMED),
    "another log": (in_bundle(lambda body: body["Payload"].update(logID="00" * 32)), Reason.LOG_ENTRY_MISSING),
    "no hex": (in_bundle(lambda body: body["Payload"].update(logID="log")), Reason.BUNDLE_MALFORMED),
    "no body": (in_bundle(lambda body: body["Payload"].update(body="")), Reason.BUNDLE_MALFORMED),
}


@pytest.mark.parametrize("case", _CHANGES)
def test_a_change_is_named(instance: Instance, case: str) -> None:
    change, reason = _CHANGES[case]
    result = verify(instance, change(sig(instance)))
    assert result.verdict.outcome is Outcome.REJECTED
    assert result.verdict.reason is reason
    assert result.statement is None


def test_an_entry_of_another_signature_does_not_count(instance: Instance, make_leaf: Any) -> None:  # noqa: ANN401
    leaf = make_leaf()
    one, other = (sig(instance, document(identity={"docker-reference": name}), leaf=leaf) for name in ("a", "b"))
    swapped = annotated(one, bundle=other.annotations[BUNDLE])
    assert verify(instance, swapped).verdict.reason is Reason.LOG_ENTRY_MISMATCH


def test_another_instance_is_not_trusted(instance: Instance, stranger: Instance) -> None:
    assert verify(instance, sig(stranger)).verdict.reason is Reason.LOG_ENTRY_MISSING
    mixed = replace(instance, fulcio=stranger.fulcio, ct=stranger.ct)
    assert verify(instance, sig(mixed)).verdict.reason is Reason.CERTIFICATE_UNTRUSTED


def test_an_envelope_that_is_none_is_refused(instance: Instance) -> None:
    for content in (b"", b"[]", b"{}", b'{"payload": "", "payloadType": "", "signatures": []}'):
        result = verify(instance, replace(att(instance), content=content))
        assert result.verdict.reason in {Reason.BUNDLE_MALFORMED, Reason.ENVELOPE_MALFORMED}


_TEXT = st.none() | st.text(max_size=20) | st.sampled_from(["{}", "[]", '{"Payload": {}}', "AAAA", "null"])


@given(
    st.sampled_from([SIMPLE_SIGNING, DSSE_ENVELOPE]),
    st.binary(max_size=40) | st.sampled_from([document(), b"{}"]),
    st.fixed_dictionaries({}, optional={SIGNATURE: _TEXT, CERTIFICATE: _TEXT, BUNDLE: _TEXT, "x": _TEXT}),
)
def test_any_layer_gives_a_verdict(
    instance: Instance, media_type: str, content: bytes, annotations: dict[str, str | None]
) -> None:
    given_ = {name: value for name, value in annotations.items() if value is not None}
    signature = LegacySignature(media_type=media_type, annotations=given_, content=content)
    assert verify(instance, signature).verdict.outcome is not Outcome.ACCEPTED


def _manifest(*layers: Descriptor) -> Manifest:
    return build_manifest(config=Descriptor.of(EMPTY_CONFIG, EMPTY_CONFIG_TYPE), layers=list(layers))


def _layer(
    content: bytes, media_type: str = SIMPLE_SIGNING, *, size: int | None = None, **annotations: str
) -> Descriptor:
    descriptor = Descriptor.of(content, media_type)
    return replace(descriptor, size=descriptor.size if size is None else size, annotations=annotations)


def test_layers_of_all_signatures_are_found_each_once() -> None:
    one, again, two = _layer(b"a", sig="1"), _layer(b"a", sig="1"), _layer(b"a", sig="2")
    attestation, other = _layer(b"b", DSSE_ENVELOPE), _layer(b"c", "text/plain")
    found = legacy_layers([_manifest(one, again, two, other), _manifest(attestation)])
    assert found == (one, two, attestation)


def test_more_than_anyone_signs_is_not_read() -> None:
    many = [_layer(b"a", sig=str(index)) for index in range(MAX_LAYERS + 1)]
    assert len(legacy_layers([_manifest(*many[:-1])])) == MAX_LAYERS
    with pytest.raises(FormatError, match="at most"):
        legacy_layers([_manifest(*many)])
    with pytest.raises(FormatError, match="at most"):
        legacy_layers([_manifest(_layer(b"a", size=MAX_BUNDLE_BYTES + 1))])


def _policy(formats: list[str]) -> Policy:
    return Policy.model_validate(
        {
            "schemaVersion": 1,
            "identities": {"release": {"issuer": ISSUER, "subject": SUBJECT}},
            "statements": [{"predicateType": COSIGN_SIGN_V1, "identities": ["release"]}],
            "formats": formats,
        }
    )


NAME = "registry.example/acme/web"


def _layout(folder: Path, artifact: Manifest, signatures: list[LegacySignature]) -> LayoutStore:
    """An image layout with an artifact, and its signatures at the legacy tag."""
    writer = LayoutWriter(folder)
    writer.add_blob(EMPTY_CONFIG)
    writer.add_manifest(artifact, name="1.0")
    for signature in signatures:
        writer.add_blob(signature.content)
    layers = [
        replace(_layer(signature.content, signature.media_type), annotations=signature.annotations)
        for signature in signatures
    ]
    if layers:
        writer.add_manifest(_manifest(*layers), name=f"{fallback_tag(artifact.digest)}.sig")
    writer.finish()
    return LayoutStore.open(folder)


def _examine(instance: Instance, store: LayoutStore, artifact: Manifest, formats: list[str]) -> Verdict:
    return anyio.run(
        partial(examine, store, NAME, artifact.digest, name=NAME, policy=_policy(formats), trust=instance.trust())
    )


def test_an_image_layout_is_judged_by_its_legacy_signatures(instance: Instance, tmp_path: Path) -> None:
    artifact = _manifest()
    signed = document(image={"docker-manifest-digest": artifact.digest})
    other = document(image={"docker-manifest-digest": DIGEST})
    store = _layout(tmp_path / "good", artifact, [sig(instance, other), sig(instance, signed), sig(instance, signed)])
    for formats in (["legacy"], ["bundle", "legacy"]):
        assert _examine(instance, store, artifact, formats).outcome is Outcome.ACCEPTED
    assert _examine(instance, store, artifact, ["bundle"]).reason is Reason.SIGNATURE_NONE

    replayed = _layout(tmp_path / "replayed", artifact, [sig(instance, other)])
    assert _examine(instance, replayed, artifact, ["legacy"]).reason is Reason.SUBJECT_MISMATCH
    unsigned = _layout(tmp_path / "unsigned", artifact, [])
    assert _examine(instance, unsigned, artifact, ["legacy"]).reason is Reason.SIGNATURE_NONE


@pytest.mark.parametrize("formats", [["legacy"], ["bundle", "legacy"]])
def test_legacy_signatures_without_end_are_no_answer(instance: Instance, tmp_path: Path, formats: list[str]) -> None:
    artifact = _manifest()
    layers = [_layer(b"%d" % index, size=MAX_BUNDLE_BYTES) for index in range(5)]
    writer = LayoutWriter(tmp_path)
    writer.add_blob(EMPTY_CONFIG)
    writer.add_manifest(artifact, name="1.0")
    writer.add_manifest(_manifest(*layers), name=f"{fallback_tag(artifact.digest)}.sig")
    writer.finish()
    verdict = _examine(instance, LayoutStore.open(tmp_path), artifact, formats)
    assert (verdict.outcome, verdict.reason) == (Outcome.INDETERMINATE, Reason.REGISTRY_LISTING_INCOMPLETE)
