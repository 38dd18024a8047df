"""Every format of a bundle: versions, kinds of entries, keys and signatures, each good, and each for another's."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dhallmark.digest import Digest
from dhallmark.identity import Identity, KeyIdentity
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Outcome
from dhallmark.verify.bundle import BundleResult, verify_bundle
from dhallmark.verify.demands import KEYED, Demands, SignatureKind
from dhallmark.verify.keys import ManagedKey
from dhallmark.verify.period import Period
from dhallmark.verify.terms import Terms
from dhallmark.verify.trust import TrustRoot

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance, Leaf, PrivateKey

Json = dict[str, Any]
MESSAGE = b"the bytes of a file"
PAYLOAD = Statement.build(
    predicate_type=COSIGN_SIGN_V1, subjects=[Subject("registry.test/web", Digest.of(b"web"))], predicate={}
).payload
ANY = frozenset(SignatureKind)
V0_1, V0_2, V0_3 = (f"application/vnd.dev.sigstore.bundle+json;version=0.{n}" for n in (1, 2, 3))
KINDS = [
    ("hashedrekord", "0.0.1"),
    ("dsse", "0.0.1"),
    ("intoto", "0.0.2"),
    ("hashedrekord", "0.0.2"),
    ("dsse", "0.0.2"),
]
REKOR_V2 = KINDS[3:]
P256 = ec.generate_private_key(ec.SECP256R1())
KEYS: dict[str, PrivateKey] = {
    "P-256": P256,
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA": rsa.generate_private_key(65537, 2048),
}


def managed(key: PrivateKey, *, period: Period | None = None) -> ManagedKey:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return ManagedKey.parse(pem, period=period or Period(None, None))


def verify(bundle: Json, trust: TrustRoot | None, **how: Any) -> BundleResult:  # noqa: ANN401
    how.setdefault("demands", Demands(kinds=ANY))
    message = how.pop("message", None)
    return verify_bundle(json.dumps(bundle).encode(), Terms(trust, **how), message=message)


def accepted(result: BundleResult) -> BundleResult:
    assert result.verdict.outcome is Outcome.ACCEPTED, result.verdict.to_json()
    return result


def stamped(instance: Instance, kind: tuple[str, str], **how: Any) -> Json:  # noqa: ANN401
    """How to sign for a log of that kind: Rekor v2 gives no time, so that a timestamp must."""
    return {"kind": kind, "stamps": lambda content: [instance.stamp(content)] if kind in REKOR_V2 else [], **how}


def entry(bundle: Json) -> Json:
    found: Json = bundle["verificationMaterial"]["tlogEntries"][0]
    return found


def to_chain(bundle: Json, *more: x509.Certificate) -> None:
    """Turn the lone certificate into the chain that bundles before v0.3 have."""
    material = bundle["verificationMaterial"]
    others = [{"rawBytes": base64.b64encode(c.public_bytes(Encoding.DER)).decode()} for c in more]
    material["x509CertificateChain"] = {"certificates": [material.pop("certificate"), *others]}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_log_entry_is_read_for_a_statement(instance: Instance, kind: tuple[str, str]) -> None:
    result = accepted(verify(instance.sign(PAYLOAD, **stamped(instance, kind)), instance.trust()))
    assert result.statement is not None
    assert result.message is None
    assert len(result.times) == 1


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[3]])
def test_a_message_signature_gives_the_digest_of_what_was_signed(instance: Instance, kind: tuple[str, str]) -> None:
    bundle = instance.sign_message(MESSAGE, **stamped(instance, kind))
    for message in (None, Digest.of(MESSAGE), MESSAGE):
        result = accepted(verify(bundle, instance.trust(), message=message))
        assert (result.statement, result.message) == (None, Digest.of(MESSAGE))


def test_a_message_signature_is_refused_where_a_statement_is_demanded(instance: Instance) -> None:
    assert verify(instance.sign_message(MESSAGE), instance.trust(), demands=Demands()).verdict.reasons == {
        Reason.SIGNATURE_KIND
    }


def test_a_statement_is_refused_where_a_message_signature_is_demanded(instance: Instance) -> None:
    demands = Demands(kinds=frozenset({SignatureKind.MESSAGE}))
    assert verify(instance.sign(PAYLOAD), instance.trust(), demands=demands).verdict.reasons == {Reason.SIGNATURE_KIND}


@pytest.mark.parametrize("message", [b"other bytes", Digest.of(b"other bytes")])
def test_a_signature_of_another_file_is_refused(instance: Instance, message: Digest | bytes) -> None:
    bundle = instance.sign_message(MESSAGE)
    assert verify(bundle, instance.trust(), message=message).verdict.reason is Reason.MESSAGE_MISMATCH
    # Also where the bundle's own word on what it signs is taken out, or fits.
    del bundle["messageSignature"]["messageDigest"]
    assert verify(bundle, instance.trust(), message=message).verdict.reason is Reason.SIGNATURE_INVALID
    digest = base64.b64encode(hashlib.sha256(b"other bytes").digest()).decode()
    bundle["messageSignature"]["messageDigest"] = {"algorithm": "SHA2_256", "digest": digest}
    verdict = verify(bundle, instance.trust(), message=message).verdict
    assert verdict.reasons == {Reason.SIGNATURE_INVALID, Reason.LOG_ENTRY_MISMATCH}


def test_a_message_signature_that_names_no_file_needs_one(instance: Instance) -> None:
    bundle = instance.sign_message(MESSAGE)
    del bundle["messageSignature"]["messageDigest"]
    assert verify(bundle, instance.trust()).verdict.reasons == {Reason.FORMAT_UNSUPPORTED}
    accepted(verify(bundle, instance.trust(), message=Digest.of(MESSAGE)))


@pytest.mark.parametrize(
    "digest",
    [
        {"algorithm": "SHA2_256", "digest": "AAAA"},
        {"algorithm": "MD5", "digest": "AAAA"},
        {"digest": "AAAA"},
        {"algorithm": "SHA2_256"},
    ],
)
def test_a_malformed_message_digest_is_refused(instance: Instance, digest: Json) -> None:
    bundle = instance.sign_message(MESSAGE)
    bundle["messageSignature"]["messageDigest"] = digest
    assert verify(bundle, instance.trust()).verdict.reasons == {Reason.BUNDLE_MALFORMED}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["signature", "signer", "content"])
def test_an_entry_about_something_else_is_refused(instance: Instance, kind: tuple[str, str], part: str) -> None:
    """The log vouches for it, so that nothing but the comparison can tell (T1, CVE-2022-36056)."""

    def swap(body: Json) -> None:
        other = instance.sign(PAYLOAD + b" " if part == "content" else PAYLOAD, **stamped(instance, kind))
        theirs = json.loads(base64.b64decode(entry(other)["canonicalizedBody"]))["spec"]
        _graft(body["spec"], theirs, part)

    reasons = verify(instance.sign(PAYLOAD, body=swap, **stamped(instance, kind)), instance.trust()).verdict.reasons
    assert reasons == {Reason.LOG_ENTRY_MISMATCH}


_PARTS = {
    "signature": {"signature", "sig", "content"},
    "signer": {"verifier", "publicKey"},
    "content": {"digest", "value", "payload"},
}


def _graft(mine: Any, theirs: Any, part: str) -> None:  # noqa: ANN401
    """Replace one part of an entry's body by another's: the leaves, or the signer, that have its names."""
    if isinstance(mine, list):
        for one, other in zip(mine, theirs, strict=True):
            _graft(one, other, part)
    elif isinstance(mine, dict):
        for name, value in mine.items():
            if name in _PARTS[part] and (part == "signer" or isinstance(value, str)):
                mine[name] = theirs[name]
            elif not (part != "signer" and name in _PARTS["signer"]):
                _graft(value, theirs[name], part)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keyed", [True, False])
def test_an_entry_that_lacks_its_parts_is_refused(instance: Instance, kind: tuple[str, str], *, keyed: bool) -> None:
    how = stamped(instance, kind, **({"key": P256} if keyed else {}))
    paths: list[tuple[Any, ...]] = []

    def collect(value: Any, path: tuple[Any, ...] = ()) -> None:  # noqa: ANN401
        if (path and path[-1] not in {"envelopeHash", "keyDetails", "hash", "payload"}) or path == ("data", "hash"):
            paths.append(path)
        for key, item in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            if key != "envelopeHash" and not (key == "hash" and path == ("content",)):
                collect(item, (*path, key))

    def drop(body: Json, path: tuple[Any, ...]) -> None:
        holder = body["spec"]
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]

    instance.sign(PAYLOAD, body=lambda body: collect(body["spec"]), **how)
    assert len(paths) > 5
    for path in paths:
        bundle = instance.sign(PAYLOAD, body=lambda body, path=path: drop(body, path), **how)
        reasons = verify(bundle, instance.trust(), keys=[managed(P256)]).verdict.reasons
        assert reasons == {Reason.LOG_ENTRY_MISMATCH}, path


def test_a_log_may_leave_the_payload_out_of_an_intoto_entry(instance: Instance) -> None:
    bundle = instance.sign(
        PAYLOAD, kind=("intoto", "0.0.2"), body=lambda body: body["spec"]["content"]["envelope"].pop("payload")
    )
    accepted(verify(bundle, instance.trust()))


@pytest.mark.parametrize("kind", [("dsse", "0.0.1"), ("intoto", "0.0.2"), ("dsse", "0.0.2")])
def test_a_message_signature_is_not_logged_as_an_envelope(instance: Instance, kind: tuple[str, str]) -> None:
    bundle = instance.sign_message(MESSAGE, **stamped(instance, kind))
    assert verify(bundle, instance.trust()).verdict.reasons == {Reason.LOG_ENTRY_MISMATCH}


@pytest.mark.parametrize("media_type", [V0_1, V0_2, V0_3, "application/vnd.dev.sigstore.bundle.v0.3+json"])
def test_every_version_is_read(instance: Instance, media_type: str) -> None:
    bundle = instance.sign(PAYLOAD)
    bundle["mediaType"] = media_type
    if media_type in (V0_1, V0_2):
        to_chain(bundle, instance.fulcio.certificates[0])
    accepted(verify(bundle, instance.trust()))


@pytest.mark.parametrize(
    ("media_type", "change", "reason"),
    [
        (V0_3, to_chain, Reason.BUNDLE_MALFORMED),
        (V0_2, lambda b: entry(b).pop("inclusionProof"), Reason.LOG_INCLUSION),
        (V0_2, lambda b: entry(b)["inclusionProof"].pop("checkpoint"), Reason.LOG_CHECKPOINT),
        (V0_1, lambda b: entry(b).pop("inclusionProof"), None),
        (V0_1, lambda b: entry(b)["inclusionProof"].pop("checkpoint"), None),
        (V0_1, lambda b: [entry(b).pop(name) for name in ("inclusionProof", "inclusionPromise")], Reason.LOG_PROMISE),
        (V0_1, lambda b: entry(b).pop("inclusionPromise"), Reason.LOG_PROMISE),
        (V0_2, lambda b: entry(b).pop("inclusionPromise"), Reason.TIMESTAMP_MISSING),
        (
            V0_1,
            lambda b: [
                entry(b)["inclusionProof"].pop("checkpoint"),
                entry(b)["inclusionProof"].update(rootHash=base64.b64encode(b"x" * 32).decode()),
            ],
            Reason.LOG_INCLUSION,
        ),
        (
            V0_1,
            lambda b: [entry(b).pop("inclusionProof"), entry(b).update(integratedTime="1700000000")],
            Reason.LOG_PROMISE,
        ),
    ],
)
def test_what_each_version_asks_for(
    instance: Instance, media_type: str, change: Callable[[Json], object], reason: Reason | None
) -> None:
    bundle = instance.sign(PAYLOAD)
    bundle["mediaType"] = media_type
    change(bundle)
    verdict = verify(bundle, instance.trust()).verdict
    assert verdict.reason is reason, verdict.to_json()


def test_a_chain_counts_for_nothing_but_its_leaf(instance: Instance, stranger: Instance) -> None:
    bundle = stranger.sign(PAYLOAD, stamps=lambda content: [instance.stamp(content)])
    bundle["mediaType"] = V0_2
    to_chain(bundle, stranger.fulcio.certificates[0])
    assert Reason.CERTIFICATE_UNTRUSTED in verify(bundle, instance.trust()).verdict.reasons  # C3, with an intermediate
    del bundle["verificationMaterial"]["x509CertificateChain"]["certificates"][0]
    assert Reason.SIGNATURE_INVALID in verify(bundle, instance.trust()).verdict.reasons


def test_a_root_in_the_chain_is_refused(instance: Instance) -> None:
    bundle = instance.sign(PAYLOAD)
    bundle["mediaType"] = V0_1
    to_chain(bundle, *instance.fulcio.certificates)
    assert verify(bundle, instance.trust()).verdict.reasons == {Reason.CERTIFICATE_ROOT_INCLUDED}


def test_an_empty_chain_is_refused(instance: Instance) -> None:
    bundle = instance.sign(PAYLOAD)
    bundle["mediaType"] = V0_1
    to_chain(bundle)
    bundle["verificationMaterial"]["x509CertificateChain"]["certificates"] = []
    assert verify(bundle, instance.trust()).verdict.reasons == {Reason.CERTIFICATE_MISSING}


@pytest.mark.parametrize("name", KEYS)
def test_a_certificates_key_may_be_of_any_kind_that_fulcio_takes(
    instance: Instance, make_leaf: type[Leaf], name: str
) -> None:
    leaf = make_leaf(key=KEYS[name])
    assert isinstance(accepted(verify(instance.sign(PAYLOAD, leaf=leaf), instance.trust())).identity, Identity)
    bundle = instance.sign_message(MESSAGE, leaf=leaf)
    accepted(verify(bundle, instance.trust(), message=MESSAGE))


@pytest.mark.parametrize("name", KEYS)
def test_a_managed_key_verifies_what_it_signed(instance: Instance, name: str) -> None:
    key = managed(KEYS[name])
    for kind in KINDS:
        bundle = instance.sign(PAYLOAD, **stamped(instance, kind, key=KEYS[name]))
        result = accepted(verify(bundle, instance.trust(), keys=[key]))
        assert result.identity == key.identity
    assert isinstance(result.identity, KeyIdentity)
    bare = instance.sign(PAYLOAD, key=KEYS[name], kind=None)
    assert accepted(verify(bare, None, keys=[key], demands=KEYED)).times == ()
    accepted(verify(bare, instance.trust(), keys=[key], demands=KEYED))


@pytest.mark.parametrize("name", KEYS)
def test_a_file_signed_by_a_managed_key_is_known_by_its_bytes(instance: Instance, name: str) -> None:
    bundle = instance.sign_message(MESSAGE, key=KEYS[name])
    key = managed(KEYS[name])
    accepted(verify(bundle, instance.trust(), keys=[key], message=MESSAGE))
    by_digest = verify(bundle, instance.trust(), keys=[key], message=Digest.of(MESSAGE)).verdict.reasons
    # These sign more than a SHA-256: whoever has only that cannot know, which is no refusal.
    assert by_digest == ({Reason.FORMAT_UNSUPPORTED} if name in {"P-384", "P-521", "Ed25519"} else set())


@pytest.mark.parametrize("name", KEYS)
def test_another_keys_signature_is_refused(instance: Instance, name: str) -> None:
    bundle = instance.sign(PAYLOAD, key=KEYS[name])
    other = managed(P256 if name != "P-256" else ec.generate_private_key(ec.SECP256R1()))
    reasons = verify(bundle, instance.trust(), keys=[other]).verdict.reasons
    assert reasons == {Reason.SIGNATURE_INVALID, Reason.LOG_ENTRY_MISMATCH}


def test_the_hint_chooses_among_keys_and_proves_nothing(instance: Instance) -> None:
    keys = [managed(key) for key in KEYS.values()]
    bundle = instance.sign(PAYLOAD, key=P256)
    accepted(verify(bundle, instance.trust(), keys=keys))
    hinted = bundle["verificationMaterial"]["publicKey"]
    fingerprint = keys[0].identity.fingerprint
    for hint in (fingerprint, fingerprint.hex):
        hinted["hint"] = hint
        accepted(verify(bundle, instance.trust(), keys=keys))
    hinted["hint"] = keys[1].identity.fingerprint
    assert Reason.SIGNATURE_INVALID in verify(bundle, instance.trust(), keys=keys).verdict.reasons
    for hint in ("somebody", ""):
        hinted["hint"] = hint
        for some in (keys, keys[::-1], keys[:1]):
            assert accepted(verify(bundle, instance.trust(), keys=some)).identity == keys[0].identity
        assert verify(bundle, instance.trust(), keys=keys[1:]).verdict.reasons == {Reason.KEY_UNKNOWN}
        assert verify(bundle, instance.trust()).verdict.reasons == {Reason.KEY_UNKNOWN}


def test_a_certificate_is_never_replaced_by_a_key(instance: Instance, make_leaf: type[Leaf]) -> None:
    bundle = instance.sign(PAYLOAD, leaf=make_leaf(key=P256))
    result = accepted(verify(bundle, instance.trust(), keys=[managed(P256)]))
    assert isinstance(result.identity, Identity)
    assert verify(bundle, None, keys=[managed(P256)], demands=KEYED).verdict.reasons == {Reason.TRUST_ROOT_MISSING}


@pytest.mark.parametrize(
    "demands", [Demands(), Demands(log_entries=0, scts=0, timestamps=1), Demands(log_entries=1, scts=0)]
)
def test_what_takes_a_trust_root_is_not_concluded_without_one(instance: Instance, demands: Demands) -> None:
    bundle = instance.sign(PAYLOAD, key=P256)
    reasons = verify(bundle, None, keys=[managed(P256)], demands=demands).verdict.reasons
    assert reasons == {Reason.TRUST_ROOT_MISSING}


NOW = datetime.now(UTC)
PAST, FUTURE = NOW - timedelta(days=2), NOW + timedelta(days=2)


@pytest.mark.parametrize(
    ("period", "kind", "reason"),
    [
        (Period(PAST, FUTURE), KINDS[0], None),
        (Period(PAST, PAST), KINDS[0], Reason.KEY_OUTSIDE_VALIDITY),
        (Period(FUTURE, None), KINDS[0], Reason.KEY_OUTSIDE_VALIDITY),
        (Period(PAST, FUTURE), None, Reason.TIMESTAMP_MISSING),
        (Period(PAST, None), None, Reason.TIMESTAMP_MISSING),
        (Period(None, None), None, None),
    ],
)
def test_a_managed_key_counts_in_its_time(
    instance: Instance, period: Period, kind: tuple[str, str] | None, reason: Reason | None
) -> None:
    bundle = instance.sign(PAYLOAD, key=P256, kind=kind)
    verdict = verify(bundle, instance.trust(), keys=[managed(P256, period=period)], demands=KEYED).verdict
    assert verdict.reason is reason, verdict.to_json()


@pytest.mark.parametrize(("end", "reason"), [(FUTURE, None), (PAST, Reason.LOG_KEY_VALIDITY)])
def test_without_a_time_a_log_must_be_believable_today(
    instance: Instance, end: datetime, reason: Reason | None
) -> None:
    bundle = instance.sign(PAYLOAD, key=P256, kind=KINDS[3])
    trust = instance.trust(
        lambda root: root["tlogs"][0]["publicKey"]["validFor"].update(start="2020-01-01T00:00:00Z", end=end.isoformat())
    )
    assert verify(bundle, trust, keys=[managed(P256)]).verdict.reason is reason


def test_what_a_keyed_bundle_brings_must_verify(instance: Instance, stranger: Instance) -> None:
    keys = [managed(P256)]
    entry_of_others = stranger.sign(PAYLOAD, key=P256)
    assert verify(entry_of_others, instance.trust(), keys=keys, demands=KEYED).verdict.reasons == {
        Reason.LOG_ENTRY_MISSING
    }
    stamp_of_others = instance.sign(PAYLOAD, key=P256, stamps=lambda content: [stranger.stamp(content)])
    assert verify(stamp_of_others, instance.trust(), keys=keys, demands=KEYED).verdict.reasons == {
        Reason.TIMESTAMP_INVALID
    }


def two_logs(instance: Instance, stranger: Instance, **how: Any) -> tuple[Json, Callable[[Json], None]]:  # noqa: ANN401
    """A bundle in the logs of two instances, and the change to a trust root that believes both."""
    bundle = instance.sign(PAYLOAD, key=P256, **how)
    # The other log took the same signature: its entry is made from the body of the first.
    body = json.loads(base64.b64decode(entry(bundle)["canonicalizedBody"]))
    other = copy.deepcopy(stranger._entry(body, integrated=NOW, origin="rekor.unit.test - 9", signer="rekor.unit.test"))
    bundle["verificationMaterial"]["tlogEntries"].append(other)

    def believe(root: Json) -> None:
        root["tlogs"] += stranger.trusted_root()["tlogs"]

    return bundle, believe


def test_several_log_entries_are_all_verified(instance: Instance, stranger: Instance) -> None:
    bundle, believe = two_logs(instance, stranger)
    both = Demands(log_entries=2, scts=0)
    keys = [managed(P256)]
    assert len(accepted(verify(bundle, instance.trust(believe), keys=keys, demands=both)).times) == 2
    # One of a log that is not trusted counts for nothing, and does no harm.
    accepted(verify(bundle, instance.trust(), keys=keys))
    assert verify(bundle, instance.trust(), keys=keys, demands=both).verdict.reasons == {Reason.LOG_ENTRY_MISSING}
    # One of a trusted log that does not verify does.
    bundle["verificationMaterial"]["tlogEntries"][1]["inclusionProof"]["rootHash"] = base64.b64encode(
        b"x" * 32
    ).decode()
    assert verify(bundle, instance.trust(believe), keys=keys).verdict.reasons == {Reason.LOG_INCLUSION}


def test_two_entries_of_one_log_are_one(instance: Instance) -> None:
    bundle = instance.sign(PAYLOAD, key=P256)
    second = copy.deepcopy(entry(bundle))
    second["logIndex"] = "1001"
    del second["inclusionPromise"], second["integratedTime"]
    bundle["verificationMaterial"]["tlogEntries"].append(second)
    keys = [managed(P256)]
    accepted(verify(bundle, instance.trust(), keys=keys))
    demands = Demands(log_entries=2, scts=0)
    assert verify(bundle, instance.trust(), keys=keys, demands=demands).verdict.reasons == {Reason.LOG_ENTRY_MISSING}


@pytest.mark.parametrize(("stamps", "scts", "good"), [(1, 1, True), (2, 1, True), (2, 2, False), (0, 0, True)])
def test_two_scts_of_one_log_are_one(
    instance: Instance, make_leaf: type[Leaf], stamps: int, scts: int, *, good: bool
) -> None:
    bundle = instance.sign(PAYLOAD, leaf=make_leaf(stamps=stamps))
    reasons = verify(bundle, instance.trust(), demands=Demands(scts=scts)).verdict.reasons
    assert reasons == (set() if good else {Reason.CERTIFICATE_SCT})


def test_a_forged_sct_is_refused_also_where_none_is_demanded(instance: Instance) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def another_key(root: Json) -> None:
        root["ctlogs"][0]["publicKey"]["rawBytes"] = base64.b64encode(der).decode()

    demands = Demands(scts=0)
    assert verify(instance.sign(PAYLOAD), instance.trust(another_key), demands=demands).verdict.reasons == {
        Reason.CERTIFICATE_SCT
    }


def test_an_authority_of_the_same_name_does_not_hide_the_one_that_issued(
    instance: Instance, stranger: Instance
) -> None:
    """The issuer is found by its signature: two intermediates may have one name."""

    def decoy_first(root: Json) -> None:
        root["certificateAuthorities"][:0] = stranger.trusted_root()["certificateAuthorities"]

    assert instance.fulcio.certificates[0].subject == stranger.fulcio.certificates[0].subject
    accepted(verify(instance.sign(PAYLOAD), instance.trust(decoy_first)))


def test_a_broken_chain_in_the_trust_root_vouches_for_nothing(instance: Instance, stranger: Instance) -> None:
    def break_chain(root: Json) -> None:
        for kind in ("certificateAuthorities", "timestampAuthorities"):
            chain = root[kind][0]["certChain"]["certificates"]
            chain[1] = stranger.trusted_root()[kind][0]["certChain"]["certificates"][1]

    bundle = instance.sign(PAYLOAD, stamps=lambda content: [instance.stamp(content)])
    assert verify(bundle, instance.trust(break_chain)).verdict.reasons == {
        Reason.CERTIFICATE_UNTRUSTED,
        Reason.TIMESTAMP_INVALID,
    }


def test_a_checkpoint_may_name_the_port_of_the_log(instance: Instance) -> None:
    bundle = instance.sign(PAYLOAD, key=P256, origin="rekor.unit.test:3000 - 7", signer="rekor.unit.test:3000")
    keys = [managed(P256)]
    for url, reason in (("http://rekor.unit.test:3000", None), ("http://rekor.unit.test:3001", Reason.LOG_ORIGIN)):
        trust = instance.trust(lambda root, url=url: root["tlogs"][0].update(baseUrl=url))  # type: ignore[misc]
        assert verify(bundle, trust, keys=keys).verdict.reason is reason


@pytest.mark.parametrize(
    "change",
    [
        lambda log: log["publicKey"]["validFor"].update(end="2021-01-01T00:00:00Z", start="2020-01-01T00:00:00Z"),
        lambda log: log["publicKey"].update(keyDetails="PKIX_ED25519"),
        lambda log: log["publicKey"].update(
            keyDetails="PKIX_RSA_PKCS1V15_2048_SHA256", rawBytes=public_der(KEYS["RSA"])
        ),
        lambda log: log["publicKey"].update(keyDetails="PKIX_ECDSA_P384_SHA_384", rawBytes=public_der(KEYS["P-384"])),
        lambda log: log["publicKey"].update(rawBytes="AAAA"),
    ],
)
def test_an_sct_is_held_to_its_logs_key_and_time(instance: Instance, change: Callable[[Json], object]) -> None:
    trust = instance.trust(lambda root: change(root["ctlogs"][0]))
    assert verify(instance.sign(PAYLOAD), trust).verdict.reasons == {Reason.CERTIFICATE_SCT}


def test_a_log_whose_key_cannot_be_read_is_told_from_a_bad_entry(instance: Instance) -> None:
    trust = instance.trust(lambda root: root["tlogs"][0]["publicKey"].update(keyDetails="ML_DSA_65"))
    assert verify(instance.sign(PAYLOAD), trust).verdict.reasons == {
        Reason.FORMAT_UNSUPPORTED,
        Reason.TIMESTAMP_MISSING,
    }


def public_der(key: PrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()
