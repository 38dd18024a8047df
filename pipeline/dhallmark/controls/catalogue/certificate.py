"""Group "certificate and identity": everything is signed as it should be, by someone else or another certificate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from dhallmark.control import Control, Group, Mutation, NotApplicableError
from dhallmark.controls.catalogue.expected import DHALLMARK, accepted_by_all, by_all, only, rejected
from dhallmark.controls.forge import Bench, SignedStatement
from dhallmark.controls.forging.authorities import PAST, RETIRED_FOR, Of
from dhallmark.controls.forging.bundle import BUNDLE, Recipe
from dhallmark.controls.forging.certificate import Leaf
from dhallmark.controls.forging.log import b64
from dhallmark.controls.mutations import (
    Json,
    as_it_is,
    by_expression,
    edited,
    exactly,
    foreigner,
    keyed,
    resigned,
    restated,
    stranger,
    under_policy,
    with_key,
)
from dhallmark.digest import Digest
from dhallmark.identity import Identity, SubjectKind
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1

_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
_BUNDLE_V0_2 = "application/vnd.dev.sigstore.bundle+json;version=0.2"
_SERVERS = ExtendedKeyUsageOID.SERVER_AUTH
_OTHER_COMMIT = "0" * 40


def _authorities_inside(media_type: str, *, count: int | None = None) -> Mutation:
    """Bundles by another instance's authority that carry its chain, root and all, or the first `count` of it."""

    async def mutate(bench: Bench) -> Digest:
        digest = await bench.forge.copy()
        chain = bench.original.forger.forgers.instances[Of.STRANGER].ca.certificates

        def change(body: Json) -> None:
            material = body["verificationMaterial"]
            body["mediaType"] = media_type
            leaf = material.pop("certificate")["rawBytes"]
            raw = [leaf, *(b64(one.public_bytes(Encoding.DER)) for one in chain)][:count]
            material["x509CertificateChain"] = {"certificates": [{"rawBytes": one} for one in raw]}

        for one in bench.signed:
            recipe = Recipe(ca=Of.STRANGER, change=change)
            await bench.forge.attach(digest, bench.forge.sign(one.statement.payload, one.identity, recipe))
        return digest

    return mutate


def _spelt(change: Callable[[str], str]) -> Callable[[Identity], Identity]:
    """The same identity with another subject."""
    return lambda identity: replace(identity, subject=change(identity.subject))


def _with_something_before(subject: str) -> str:
    return f"https://evil.test/?{subject}" if "://" in subject else f"evil.{subject}"


def _of_workflows(mutation: Mutation) -> Mutation:
    """`mutation`, for releases that a workflow signed."""

    async def mutate(bench: Bench) -> Digest | None:
        if bench.signer.subject_kind is not SubjectKind.URI:
            raise NotApplicableError("no workflow signed the release")
        return await mutation(bench)

    return mutate


def _another_repository(identity: Identity) -> Identity:
    """The repository beside the release's, of the same owner: `org/repo-evil` for `org/repo`."""
    repository = identity.extensions.get("sourceRepositoryURI", "")
    if not repository or repository not in identity.subject:
        raise NotApplicableError("the signer's certificate names no repository that its subject begins with")
    return replace(
        identity,
        subject=identity.subject.replace(repository, f"{repository}-evil", 1),
        extensions={
            name: value.replace(repository, f"{repository}-evil") for name, value in identity.extensions.items()
        },
    )


def _two_identities(bench: Bench, policy: Json) -> None:
    """Each statement may be signed by someone else, too."""
    policy["identities"]["another"] = exactly(stranger(bench.signer))
    for rule in policy["statements"]:
        rule["identities"].append("another")


def _claiming(change: Callable[[Json], None]) -> Mutation:
    """The provenance claims something else about its source than the certificate proves."""

    def payloads(_: Bench, one: SignedStatement) -> Iterator[bytes]:
        if one.statement.predicate_type == SLSA_PROVENANCE_V1:
            if "sourceRepositoryDigest" not in one.identity.extensions:
                raise NotApplicableError("the signer's certificate says nothing of a source")
            yield edited(one.statement.payload, change)
        else:
            yield one.statement.payload

    return restated(payloads, needs=SLSA_PROVENANCE_V1)


def _other_revision(body: Json) -> None:
    for item in body["predicate"]["buildDefinition"]["resolvedDependencies"]:
        if "gitCommit" in item.get("digest", {}):
            item["digest"]["gitCommit"] = _OTHER_COMMIT


def _at_workflow(bench: Bench, policy: Json) -> None:
    """Only the commit of the workflow that signed may sign."""
    commit = bench.signer.extensions.get("buildSignerDigest")
    if not commit:
        raise NotApplicableError("the signer's certificate has no commit of its workflow")
    for rule in policy["identities"].values():
        if "key" not in rule:
            rule["extensions"] = {**rule.get("extensions", {}), "buildSignerDigest": [commit]}


def _of_other_commit(identity: Identity) -> Identity:
    return replace(identity, extensions={**identity.extensions, "buildSignerDigest": _OTHER_COMMIT})


def _without_keys(mutation: Mutation) -> Mutation:
    async def mutate(bench: Bench) -> Digest | None:
        if any("key" in rule for rule in bench.policy()["identities"].values()):
            raise NotApplicableError("the policy knows managed keys")
        return await mutation(bench)

    return mutate


def _without(*fields: str) -> Callable[[Bench, Json], None]:
    """A policy whose identities lack `fields`."""

    def change(_: Bench, policy: Json) -> None:
        for rule in policy["identities"].values():
            for field in fields:
                rule.pop(field, None)
                rule.pop(f"{field}RegExp", None)

    return change


CONTROLS = (
    Control(
        id="C1",
        group=Group.CERTIFICATE,
        title="wrong identity: the same statements, signed by a workflow of another owner's repository",
        flaw="A consumer whose identity is missing, a wildcard, or a regular expression that is not anchored.",
        mutate=resigned(Recipe(identity=stranger)),
        release=True,
        expect=by_all(Reason.IDENTITY_SUBJECT_MISMATCH),
    ),
    Control(
        id="C2",
        group=Group.CERTIFICATE,
        title="wrong issuer: the same statements, signed by the same subject of another OIDC issuer",
        flaw="A consumer that compares the subject alone: any issuer that Fulcio trusts can say that name.",
        mutate=resigned(Recipe(identity=foreigner)),
        release=True,
        expect=by_all(Reason.IDENTITY_ISSUER_MISMATCH),
    ),
    Control(
        id="C3",
        group=Group.CERTIFICATE,
        title="another instance's certificate authority, for the right identity",
        flaw="Anyone can run a Fulcio that certifies any name.",
        mutate=resigned(Recipe(ca=Of.STRANGER)),
        expect=by_all(Reason.CERTIFICATE_UNTRUSTED),
    ),
    Control(
        id="C4-current",
        group=Group.CERTIFICATE,
        title="another authority's whole chain in a bundle v0.3, which has room for one certificate",
        flaw="Certificates of the bundle taken for trusted ones.",
        mutate=_authorities_inside(BUNDLE),
        expect=by_all(Reason.BUNDLE_MALFORMED),
    ),
    Control(
        id="C4-older",
        group=Group.CERTIFICATE,
        title="another authority's whole chain, root and all, in a bundle v0.2",
        flaw="Certificates of the bundle taken for trusted ones.",
        mutate=_authorities_inside(_BUNDLE_V0_2),
        expect=by_all(Reason.CERTIFICATE_ROOT_INCLUDED),
    ),
    Control(
        id="C5",
        group=Group.CERTIFICATE,
        title="an empty chain of certificates",
        flaw="A chain without certificates in which none is untrusted.",
        mutate=_authorities_inside(_BUNDLE_V0_2, count=0),
        expect=by_all(Reason.CERTIFICATE_MISSING),
    ),
    Control(
        id="C6-before",
        group=Group.CERTIFICATE,
        title="signed an hour before the certificate became valid",
        flaw="A certificate that is checked against the clock of the verifier, or not at all.",
        mutate=resigned(Recipe(issued=_HOUR)),
        expect=by_all(Reason.CERTIFICATE_OUTSIDE_VALIDITY),
    ),
    Control(
        id="C6-after",
        group=Group.CERTIFICATE,
        title="signed an hour after the certificate was issued, when it had expired",
        flaw="A stolen key that signs for ever.",
        mutate=resigned(Recipe(issued=-_HOUR)),
        expect=by_all(Reason.CERTIFICATE_OUTSIDE_VALIDITY),
    ),
    Control(
        id="C7-issued",
        group=Group.CERTIFICATE,
        title="issued below an intermediate that had expired; the twin was issued while it was valid",
        flaw="An intermediate that the verifier takes for an anchor, and so for timeless (GHSA-wfqv-66vq-46rm).",
        mutate=resigned(Recipe(ca=Of.LAPSED)),
        good=resigned(Recipe(ca=Of.LAPSED, at=PAST)),
        expect=by_all(Reason.CERTIFICATE_UNTRUSTED),
    ),
    Control(
        id="C7-signed",
        group=Group.CERTIFICATE,
        title="issued below an intermediate that expired before the signature; the twin was signed earlier",
        flaw="An intermediate that the verifier takes for an anchor, and so for timeless (GHSA-wfqv-66vq-46rm).",
        mutate=resigned(Recipe(ca=Of.LAPSED, at=2 * _MINUTE - RETIRED_FOR, issued=-4 * _MINUTE)),
        good=resigned(Recipe(ca=Of.LAPSED, at=PAST)),
        expect=by_all(Reason.CERTIFICATE_OUTSIDE_VALIDITY),
    ),
    Control(
        id="C7-retired",
        group=Group.CERTIFICATE,
        title="issued by an authority that the trust root believes no longer; the twin was issued before that",
        flaw="`validFor` of an authority that nobody reads.",
        mutate=resigned(Recipe(ca=Of.RETIRED)),
        good=resigned(Recipe(ca=Of.RETIRED, at=PAST)),
        expect=by_all(Reason.CERTIFICATE_OUTSIDE_VALIDITY),
    ),
    Control(
        id="C8-expired",
        group=Group.CERTIFICATE,
        title="signed with a managed key after its last day; the twin was signed before that",
        flaw="A key's period of validity that nobody reads (GHSA-wqqc-jjcq-vfxm).",
        mutate=keyed(Recipe(keyed=True), until=-RETIRED_FOR),
        good=keyed(Recipe(keyed=True, at=PAST), until=-RETIRED_FOR),
        expect=only(DHALLMARK, rejected(Reason.KEY_OUTSIDE_VALIDITY)),
    ),
    Control(
        id="C8-unknown",
        group=Group.CERTIFICATE,
        title="signed with a managed key, under a policy that knows none",
        flaw="A key that comes with the signature, and so fits it.",
        mutate=_without_keys(resigned(Recipe(keyed=True))),
        expect=by_all(Reason.KEY_UNKNOWN),
    ),
    Control(
        id="C8-role",
        group=Group.CERTIFICATE,
        title="signed with a managed key of the policy, which may not sign these statements",
        flaw="Keys that are known and not told apart by what they may sign.",
        mutate=with_key(resigned(Recipe(keyed=True))),
        good=with_key(as_it_is),
        expect=only(DHALLMARK, rejected(Reason.IDENTITY_KEY_MISMATCH)),
    ),
    Control(
        id="C9",
        group=Group.CERTIFICATE,
        title="wrong identity, under a policy that names the right one by regular expressions",
        flaw="Expressions that are read and not used (CVE-2025-29778).",
        mutate=under_policy(by_expression(re.escape), resigned(Recipe(identity=stranger))),
        good=under_policy(by_expression(re.escape), as_it_is),
        expect=by_all(Reason.IDENTITY_SUBJECT_MISMATCH),
    ),
    Control(
        id="C10-repository",
        group=Group.CERTIFICATE,
        title="signed by a workflow of `org/repo-evil` instead of `org/repo`, under the policy as it is",
        flaw="An expression that is not anchored, or ends too early.",
        mutate=resigned(Recipe(identity=_another_repository)),
        expect=by_all(Reason.IDENTITY_SUBJECT_MISMATCH),
    ),
    Control(
        id="C10-after",
        group=Group.CERTIFICATE,
        title="an identity that begins with the right one, under a policy with regular expressions",
        flaw="An expression that is not anchored at its end.",
        mutate=under_policy(by_expression(re.escape), resigned(Recipe(identity=_spelt(lambda text: f"{text}-evil")))),
        good=under_policy(by_expression(re.escape), as_it_is),
        expect=by_all(Reason.IDENTITY_SUBJECT_MISMATCH),
    ),
    Control(
        id="C10-before",
        group=Group.CERTIFICATE,
        title="an identity that ends with the right one, under a policy with regular expressions",
        flaw="An expression that is not anchored at its beginning.",
        mutate=under_policy(by_expression(re.escape), resigned(Recipe(identity=_spelt(_with_something_before)))),
        good=under_policy(by_expression(re.escape), as_it_is),
        expect=by_all(Reason.IDENTITY_SUBJECT_MISMATCH),
    ),
    Control(
        id="C11",
        group=Group.CERTIFICATE,
        title="an e-mail address where a workflow's URI is meant, under a policy whose expression fits both",
        flaw="A name that is compared without its kind.",
        mutate=_of_workflows(
            under_policy(
                by_expression(lambda text: f"{re.escape(text)}|release@evil.test"),
                resigned(Recipe(leaf=Leaf(email="release@evil.test"))),
            )
        ),
        good=under_policy(by_expression(lambda text: f"{re.escape(text)}|release@evil.test"), as_it_is),
        expect=by_all(Reason.IDENTITY_SUBJECT_KIND),
    ),
    *(
        Control(
            id=name,
            group=Group.CERTIFICATE,
            title=f"signed by a stranger, under a policy whose identities have {what}",
            flaw="An identity without issuer or subject admits whoever has the other half.",
            mutate=under_policy(_without(*fields), resigned(Recipe(identity=stranger))),
            expect=only(DHALLMARK, rejected(Reason.POLICY_INVALID)),
        )
        for name, what, fields in (
            ("C12-subject", "no subject", ("subject",)),
            ("C12-issuer", "no issuer", ("issuer",)),
            ("C13", "neither issuer nor subject", ("issuer", "subject")),
        )
    ),
    Control(
        id="C14",
        group=Group.CERTIFICATE,
        title="positive: the good artifact under a policy that lets someone else sign, too",
        flaw="Flux refuses every bundle where `matchOIDCIdentity` has two entries: delivery stops.",
        mutate=under_policy(_two_identities, as_it_is),
        expect=accepted_by_all(),
    ),
    Control(
        id="C15-provenance",
        group=Group.CERTIFICATE,
        title="provenance that claims another commit than the certificate proves",
        flaw="A build script that writes what it likes into the provenance.",
        mutate=_claiming(_other_revision),
        expect=by_all(Reason.PROVENANCE_CLAIM_MISMATCH),
    ),
    Control(
        id="C17-missing",
        group=Group.CERTIFICATE,
        title="a certificate that no certificate transparency log has seen",
        flaw="A certificate that was issued in secret.",
        mutate=resigned(Recipe(leaf=Leaf(scts=()))),
        expect=by_all(Reason.CERTIFICATE_SCT),
    ),
    Control(
        id="C17-forged",
        group=Group.CERTIFICATE,
        title="a certificate transparency timestamp of another certificate",
        flaw="A timestamp that is counted and not verified.",
        mutate=resigned(Recipe(leaf=Leaf(sct_of_another=True))),
        expect=by_all(Reason.CERTIFICATE_SCT),
    ),
    Control(
        id="C17-stranger",
        group=Group.CERTIFICATE,
        title="a certificate transparency timestamp of a log that nobody trusts",
        flaw="A timestamp that is counted and not verified.",
        mutate=resigned(Recipe(leaf=Leaf(scts=(Of.STRANGER,)))),
        expect=by_all(Reason.CERTIFICATE_SCT),
    ),
    Control(
        id="C17-retired",
        group=Group.CERTIFICATE,
        title="a timestamp of a certificate transparency log that is believed no longer; the twin's is from before",
        flaw="`validFor` of a log that nobody reads.",
        mutate=resigned(Recipe(leaf=Leaf(scts=(Of.RETIRED,)))),
        good=resigned(Recipe(leaf=Leaf(scts=(Of.RETIRED,)), at=PAST)),
        expect=by_all(Reason.CERTIFICATE_SCT),
    ),
    Control(
        id="C18-list",
        group=Group.CERTIFICATE,
        title="signed by a commit of the workflow that is not on the policy's list",
        flaw="Whoever can push a branch can change the workflow on it, and sign.",
        mutate=under_policy(_at_workflow, resigned(Recipe(identity=_of_other_commit))),
        good=under_policy(_at_workflow, as_it_is),
        expect=by_all(Reason.IDENTITY_EXTENSION_MISMATCH),
    ),
    *(
        Control(
            id=f"C19-{name}",
            group=Group.CERTIFICATE,
            title=f"a certificate {what}",
            flaw="A certificate that was issued for another purpose, used to sign releases.",
            mutate=resigned(Recipe(leaf=leaf)),
            expect=by_all(reason),
        )
        for name, what, leaf, reason in (
            ("usage", "for servers, not for code", Leaf(usage=_SERVERS), Reason.CERTIFICATE_PROFILE),
            ("key", "whose key may not sign", Leaf(digital_signature=False), Reason.CERTIFICATE_PROFILE),
            ("names", "with two names, the right one and another", Leaf(names=2), Reason.CERTIFICATE_PROFILE),
            ("extension", "with an extension that cannot be read", Leaf(malformed=True), Reason.CERTIFICATE_PROFILE),
            ("authority", "of an authority", Leaf(authority=True), Reason.CERTIFICATE_UNTRUSTED),
        )
    ),
)
