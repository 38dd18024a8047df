"""The small functions that make mutants, and whom they sign as."""

from __future__ import annotations

import re

import anyio
import pytest

from dhallmark.control import Mutation, NotApplicableError
from dhallmark.controls.forge import Bench, Forge, Original, SignedStatement, attach_bundle
from dhallmark.controls.forging.authorities import Forgers
from dhallmark.controls.forging.bundle import Forger
from dhallmark.controls.layout import Layout
from dhallmark.controls.mutations import (
    Json,
    as_it_is,
    by_expression,
    foreigner,
    note,
    of_type,
    resigned,
    retargeted,
    stranger,
    to_url_safe,
    under_policy,
)
from dhallmark.digest import Digest
from dhallmark.identity import Identity, SubjectKind
from dhallmark.oci.descriptor import Descriptor, build_manifest
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, Statement, Subject
from dhallmark.verify.parse import parse_bundle

NAME = "registry.test/prod/web"
SIGNER = Identity(
    issuer="https://issuer.test",
    subject="https://git.test/acme/web/release.yml@refs/heads/main",
    extensions={
        "sourceRepositoryURI": "https://git.test/acme/web",
        "sourceRepositoryOwnerURI": "https://git.test/acme",
    },
)
POLICY = (
    b"identities:\n  release: {issuer: https://issuer.test, subject: x}\nstatements:\n  - {identities: [release]}\n"
)


def bench(*, signed: bool = True, policy: bytes = POLICY) -> Bench:
    layout, forger = Layout(), Forger(Forgers.make())
    for blob in (b"{}", b"chart"):
        layout.add_blob(blob)
    manifest = build_manifest(
        config=Descriptor.of(b"{}", "application/x"), layers=[Descriptor.of(b"chart", "application/y")]
    )
    layout.add_manifest(manifest)
    statement = Statement.build(predicate_type=COSIGN_SIGN_V1, subjects=[Subject(NAME, manifest.digest)], predicate={})
    bundle = forger.bundle(statement.payload, SIGNER)
    attach_bundle(layout, manifest, bundle)
    original = Original(
        layout=layout,
        digest=manifest.digest,
        name=NAME,
        signed=(SignedStatement(bundle=bundle, statement=statement, identity=SIGNER),) if signed else (),
        policy=policy,
        beside={},
        trusted_root=b"{}",
        forger=forger,
    )
    return Bench(original=original, forge=Forge(original))


def run(mutation: Mutation, one: Bench) -> Digest | None:
    async def main() -> Digest | None:
        return await mutation(one)

    return anyio.run(main)


def attached(one: Bench, digest: Digest | None) -> list[bytes]:
    assert digest is not None
    layout = one.forge.layout
    return [layout.blobs[manifest.blobs()[1].digest] for manifest in layout.referrers(digest)]


def test_what_stays_as_it_is_is_a_copy() -> None:
    one = bench()
    assert attached(one, run(as_it_is, one)) == list(one.bundles)
    one.forge.layout.manifests.clear()
    assert one.original.layout.manifests


def test_statements_are_signed_again_word_for_word() -> None:
    one = bench()
    (bundle,) = attached(one, run(resigned(), one))
    envelope = parse_bundle(bundle).envelope
    assert envelope is not None
    assert envelope.payload == one.signed[0].statement.payload
    assert bundle != one.bundles[0]


def test_a_policy_is_changed_for_one_side_alone() -> None:
    one = bench()
    run(under_policy(by_expression(re.escape), as_it_is), one)
    assert b"subjectRegExp" in one.forge.policy
    assert one.original.policy == POLICY


@pytest.mark.parametrize(
    ("one", "message"),
    [(bench(signed=False), "no certificate"), (bench(policy=b"a: b\n"), "shape"), (bench(policy=b"[]\n"), "mapping")],
)
def test_what_cannot_be_made_does_not_apply(one: Bench, message: str) -> None:
    with pytest.raises(NotApplicableError, match=message):
        run(under_policy(by_expression(re.escape), resigned()), one)


def test_a_note_is_about_the_artifact_under_its_name() -> None:
    one = bench()
    (subject,) = Statement.parse(note(one, predicate_type="x", predicate={})).subjects
    assert subject == Subject(NAME, one.good)
    with pytest.raises(NotApplicableError, match=re.escape(LINK_V0_3)):
        of_type(one, LINK_V0_3)


@pytest.mark.parametrize(
    ("kind", "subject", "other"),
    [
        (SubjectKind.URI, SIGNER.subject, "https://git.test/stranger/web/release.yml@refs/heads/main"),
        (
            SubjectKind.URI,
            "https://git.test/acme/web//ci.yml@refs/heads/acme",
            "https://git.test/stranger/web//ci.yml@refs/heads/acme",
        ),
        (SubjectKind.EMAIL, "someone@example.com", "stranger@example.com"),
        (SubjectKind.OTHER, "someone!example.com", "stranger!example.com"),
    ],
)
def test_a_stranger_is_alike_but_for_its_name(kind: SubjectKind, subject: str, other: str) -> None:
    identity = Identity(issuer=SIGNER.issuer, subject=subject, subject_kind=kind, extensions=SIGNER.extensions)
    assert stranger(identity).subject == other
    assert stranger(identity).issuer == identity.issuer


def test_what_a_certificate_says_of_the_owner_changes_with_it() -> None:
    extensions = stranger(SIGNER).extensions
    assert extensions["sourceRepositoryURI"] == "https://git.test/stranger/web"
    assert extensions["sourceRepositoryOwnerURI"] == "https://git.test/stranger"
    assert foreigner(SIGNER).subject == SIGNER.subject
    assert foreigner(SIGNER).issuer != SIGNER.issuer


def test_only_base64_changes_its_alphabet() -> None:
    body: Json = {
        "payload": "a+/b",
        "url": "a+/b",
        "list": [{"sig": "+"}],
        "hashes": ["/"],
        "inner": {"rawBytes": "/+"},
    }
    to_url_safe(body)
    assert body == {
        "payload": "a-_b",
        "url": "a+/b",
        "list": [{"sig": "-"}],
        "hashes": ["_"],
        "inner": {"rawBytes": "_-"},
    }


def test_a_payload_is_retargeted_wherever_it_names_the_artifact() -> None:
    good, other = Digest.of(b"good"), Digest.of(b"other")
    assert retargeted(f"{good.hex} {good.hex}".encode(), good, other) == f"{other.hex} {other.hex}".encode()
