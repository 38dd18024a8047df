"""Group "signature and envelope": artifacts without a signature, with another's, or changed after signing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from dhallmark import strictjson
from dhallmark.control import Control, Group, Mutation
from dhallmark.controls.catalogue.expected import DHALLMARK, accepted_by_all, by_all, only, rejected
from dhallmark.controls.forge import Bench, SignedStatement
from dhallmark.controls.forging.bundle import GENUINE, Recipe
from dhallmark.controls.forging.log import b64
from dhallmark.controls.mutations import (
    Json,
    as_it_is,
    edited,
    keyed,
    resigned,
    restated,
    retargeted,
    to_url_safe,
    under_policy,
)
from dhallmark.digest import Digest
from dhallmark.reasons import Reason


async def _unsigned(bench: Bench) -> Digest:
    return await bench.forge.copy()


async def _tampered(bench: Bench) -> Digest:
    """The attacker changes the chart, pushes it, and carries all signatures along."""
    digest = await bench.forge.rebuild(flip_last_bit)
    await bench.forge.carry(digest)
    return digest


async def _tampered_in_place(bench: Bench) -> Digest:
    """The registry, or what stands before it, serves other bytes under the signed digest."""
    digest = await bench.forge.copy()
    await bench.forge.carry(digest)
    await bench.forge.corrupt(digest)
    return digest


async def _replayed(bench: Bench) -> Digest:
    """Another artifact altogether, with the good one's signatures."""
    digest = await bench.forge.rebuild(lambda _: b"an artifact that nobody signed")
    await bench.forge.carry(digest)
    return digest


async def _renamed(bench: Bench) -> Digest:
    """The attacker's artifact, with what is signed about the good one in bundles whose payloads now name it."""
    digest = await bench.forge.rebuild(flip_last_bit)
    for one in bench.signed:
        evil = retargeted(one.statement.payload, bench.good, digest)
        if evil != one.statement.payload:

            def change(body: Json, payload: bytes = evil) -> None:
                body["dsseEnvelope"]["payload"] = b64(payload)

            bundle = bench.forge.sign(one.statement.payload, one.identity, Recipe(change=change))
            await bench.forge.attach(digest, bundle)
    return digest


def _two_payloads(*, signed_first: bool) -> Mutation:
    """The attacker's artifact, with bundles that hold two payloads: the signed one, and one that names the artifact."""

    async def mutate(bench: Bench) -> Digest:
        digest = await bench.forge.rebuild(flip_last_bit)
        for one in bench.signed:
            good = b64(one.statement.payload)
            evil = b64(retargeted(one.statement.payload, bench.good, digest))
            first, second = (good, evil) if signed_first else (evil, good)
            body = strictjson.parse(bench.forge.sign(one.statement.payload, one.identity))
            body["dsseEnvelope"]["payload"] = first
            text = strictjson.dump_compact(body)
            key = b'"payload":"%b"' % first.encode()
            await bench.forge.attach(digest, text.replace(key, key + b',"payload":"%b"' % second.encode(), 1))
        return digest

    return mutate


async def _message(bench: Bench) -> Digest:
    """A bare signature over the manifest, as `cosign sign-blob` makes it, by the release's own identity."""
    digest = await bench.forge.copy()
    content = bench.forge.layout.manifests[digest].content
    bundle = bench.forge.sign(content, bench.signer, Recipe(message=True))
    await bench.forge.attach(digest, bundle)
    return digest


def _also_bare(over: Callable[[bytes], bytes]) -> Mutation:
    """The release, and a bare signature over what `over` makes of its manifest, under a policy that wants one."""

    def demand(_: Bench, policy: Json) -> None:
        policy["signature"] = {"identities": policy["statements"][0]["identities"]}

    async def mutate(bench: Bench) -> Digest:
        digest = await as_it_is(bench)
        content = over(bench.forge.layout.manifests[digest].content)
        await bench.forge.attach(digest, bench.forge.sign(content, bench.signer, Recipe(message=True)))
        return digest

    return under_policy(demand, mutate)


def _of_another_version(body: Json) -> None:
    body["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.9+json"


def _signed_anew(change: Callable[[bytes], bytes]) -> Callable[[Bench, SignedStatement], Iterator[bytes]]:
    """The text of each payload after `change`, to be signed by whom it should be."""

    def payloads(_: Bench, one: SignedStatement) -> Iterator[bytes]:
        yield change(one.statement.payload)

    return payloads


def _with_predicate(value: bytes) -> Callable[[bytes], bytes]:
    """A payload with one more field, of which `value` is the text, in its predicate."""

    def change(payload: bytes) -> bytes:
        mark = b'"control-S13-mark"'
        marked = edited(payload, lambda body: body.setdefault("predicate", {}).update(control="control-S13-mark"))
        return marked.replace(mark, value)

    return change


def _doubled_subject(payload: bytes) -> bytes:
    """The subject stands twice: once for something else, then as it should be."""
    other = b'{"subject":[{"name":"other","digest":{"sha256":"%b"}}],' % (b"0" * 64)
    return other + payload.removeprefix(b"{")


def _first_digest_in_capitals(body: Json) -> None:
    for subject in body["subject"]:
        subject["digest"]["sha256"] = subject["digest"]["sha256"].upper()


def _no_subject_value(body: Json) -> None:
    body["subject"] = None


async def _with_a_key_twice(bench: Bench) -> Digest:
    digest = await bench.forge.copy()
    for one in bench.signed:
        bundle = bench.forge.sign(one.statement.payload, one.identity)
        await bench.forge.attach(digest, bundle.replace(b"{", b'{"mediaType":"text/plain",', 1))
    return digest


def _without_signatures(body: Json) -> None:
    body["dsseEnvelope"]["signatures"] = []


def _signed_twice(body: Json) -> None:
    body["dsseEnvelope"]["signatures"] *= 2


def _named(body: Json) -> None:
    """The signature, too, names the policy's key."""
    body["dsseEnvelope"]["signatures"][0]["keyid"] = body["verificationMaterial"]["publicKey"]["hint"]


def _with_one_character_too_many(payload: bytes) -> bytes:
    """`payload` with a remark, so that one character more than a multiple of four is another in URL-safe base64.

    Who drops the characters that it does not know notices by the length, or else goes on with other bytes.
    """
    for count in range(1, 5):
        # Three of them: one is the third byte of a group, whose last six bits they are.
        marked = edited(payload, lambda body: body.setdefault("predicate", {}).update(control="~~~" * count))  # noqa: B023
        text = b64(marked)
        if (text.count("+") + text.count("/")) % 4 == 1:
            break
    return marked


def _in_url_safe_base64() -> Mutation:
    async def mutate(bench: Bench) -> Digest:
        digest = await bench.forge.copy()
        for one in bench.signed:
            payload = _with_one_character_too_many(one.statement.payload)
            bundle = bench.forge.sign(payload, one.identity, Recipe(change=to_url_safe))
            await bench.forge.attach(digest, bundle)
        return digest

    return mutate


def _no_base64(body: Json) -> None:
    body["dsseEnvelope"]["payload"] = "%" + body["dsseEnvelope"]["payload"][1:]


def _with_line_ends(body: Json) -> None:
    # Four of them: protobuf for Go goes by a text's length modulo four when it decides whether to expect padding, so
    # that what it says of one alone would depend on the length of the payload.
    payload = body["dsseEnvelope"]["payload"]
    body["dsseEnvelope"]["payload"] = payload[:8] + "\n" * 4 + payload[8:]


def flip_last_bit(content: bytes) -> bytes:
    """`content` with its very last bit flipped; in a gzip file that is a bit of its length."""
    return content[:-1] + bytes([content[-1] ^ 1])


CONTROLS = (
    Control(
        id="S0",
        group=Group.SIGNATURE,
        title="positive: every statement signed again by the forger, with nothing wrong",
        flaw="A consumer that refuses whatever is strange to it, and so proves nothing by refusing.",
        mutate=resigned(),
        expect=accepted_by_all(),
    ),
    Control(
        id="S1",
        group=Group.SIGNATURE,
        title="unsigned: the artifact without anything attached",
        flaw="A deploy path that does not sign, or a tag moved before signing ended.",
        mutate=_unsigned,
        release=True,
        expect=by_all(Reason.SIGNATURE_NONE),
    ),
    Control(
        id="S2-repacked",
        group=Group.SIGNATURE,
        title="tampered chart: one bit of the archive flipped, signatures carried along",
        flaw="Someone with write access to the registry changes what is deployed.",
        mutate=_tampered,
        release=True,
        expect=by_all(Reason.SUBJECT_MISMATCH),
    ),
    Control(
        id="S2-served",
        group=Group.SIGNATURE,
        title="tampered chart: one bit of the archive flipped, served under the signed digest",
        flaw="A registry, mirror or proxy that serves other bytes than those of the digest.",
        mutate=_tampered_in_place,
        release=True,
        expect=by_all(Reason.ARTIFACT_DIGEST_MISMATCH),
    ),
    Control(
        id="S3-rewritten",
        group=Group.SIGNATURE,
        title="changed payload: another artifact, and the signed statements rewritten to name it",
        flaw="A consumer that reads statements without verifying what was signed.",
        mutate=_renamed,
        expect=by_all(Reason.SIGNATURE_INVALID),
    ),
    Control(
        id="S3-logged",
        group=Group.SIGNATURE,
        title="changed payload: log and timestamp vouch for it, the signature is over another",
        flaw="A consumer that takes the log's entry for a signature: a log takes what it is given.",
        mutate=resigned(replace(GENUINE, signs=lambda payload: payload + b" ")),
        expect=by_all(Reason.SIGNATURE_INVALID),
    ),
    Control(
        id="S4",
        group=Group.SIGNATURE,
        title="changed signature: one bit flipped, and so logged and timestamped",
        flaw="A consumer that counts signatures without verifying them.",
        mutate=resigned(replace(GENUINE, signature=flip_last_bit)),
        expect=by_all(Reason.SIGNATURE_INVALID),
    ),
    Control(
        id="S5",
        group=Group.SIGNATURE,
        title="an envelope without signatures",
        flaw="A loop over no signatures in which none fails.",
        mutate=resigned(Recipe(change=_without_signatures)),
        expect=by_all(Reason.ENVELOPE_MALFORMED),
    ),
    Control(
        id="S6",
        group=Group.SIGNATURE,
        title="replayed bundle: the good signatures on another artifact",
        flaw="Signatures that are found but not compared with what they are about (CVE-2022-35929).",
        mutate=_replayed,
        release=True,
        expect=by_all(Reason.SUBJECT_MISMATCH),
    ),
    Control(
        id="S7-base64",
        group=Group.SIGNATURE,
        title="a payload that is not base64",
        flaw="A payload that cannot be read, and so is never refused (CVE-2026-39395).",
        mutate=resigned(Recipe(change=_no_base64)),
        expect=by_all(Reason.ENVELOPE_MALFORMED),
    ),
    Control(
        id="S7-json",
        group=Group.SIGNATURE,
        title="a payload that is not JSON, signed by the right identity",
        flaw="A payload that cannot be read, and so is never refused (CVE-2026-39395).",
        mutate=restated(_signed_anew(lambda _: b"not JSON")),
        expect=by_all(Reason.STATEMENT_MALFORMED),
    ),
    Control(
        id="S8",
        group=Group.SIGNATURE,
        title="another payload type than in-toto's, signed as such",
        flaw="Bytes that were signed for another purpose, read as a statement.",
        mutate=resigned(replace(GENUINE, payload_type="application/json")),
        expect=by_all(Reason.ENVELOPE_PAYLOAD_TYPE),
    ),
    Control(
        id="S9",
        group=Group.SIGNATURE,
        title="positive: all base64 in the URL-safe alphabet, which protobuf's JSON allows, too",
        flaw="A verifier that drops the characters it does not know, and verifies other bytes.",
        mutate=_in_url_safe_base64(),
        expect=accepted_by_all(),
    ),
    Control(
        id="S10-first",
        group=Group.SIGNATURE,
        title="two payloads in one envelope, the signed one first; the other names the attacker's artifact",
        flaw="The payload is parsed again instead of the bytes that were verified.",
        mutate=_two_payloads(signed_first=True),
        expect=by_all(Reason.BUNDLE_MALFORMED),
    ),
    Control(
        id="S10-last",
        group=Group.SIGNATURE,
        title="two payloads in one envelope, the signed one last; the other names the attacker's artifact",
        flaw="The payload is parsed again instead of the bytes that were verified.",
        mutate=_two_payloads(signed_first=False),
        expect=by_all(Reason.BUNDLE_MALFORMED),
    ),
    Control(
        id="S10-lines",
        group=Group.SIGNATURE,
        title="a payload in base64 with line ends in it, which some decoders drop and others do not",
        flaw="Two decoders of one payload that see different bytes.",
        mutate=resigned(Recipe(change=_with_line_ends)),
        expect=by_all(Reason.ENVELOPE_MALFORMED),
    ),
    Control(
        id="S11",
        group=Group.SIGNATURE,
        title="signed with another key than the policy's, under the name of that one",
        flaw="A key id that is believed: it is the bundle's own word.",
        mutate=keyed(Recipe(keyed=True, other_key=True, change=_named)),
        good=keyed(Recipe(keyed=True, change=_named)),
        expect=only(DHALLMARK, rejected(Reason.SIGNATURE_INVALID)),
    ),
    Control(
        id="S12-envelope",
        group=Group.SIGNATURE,
        title="the same signature twice in one envelope",
        flaw="One signature that counts twice for a threshold.",
        mutate=resigned(Recipe(change=_signed_twice)),
        expect=by_all(Reason.ENVELOPE_MALFORMED),
    ),
    *(
        Control(
            id=f"S13-{name}",
            group=Group.SIGNATURE,
            title=f"{what}, signed by the right identity",
            flaw="Two parsers of one statement that see different things.",
            mutate=restated(_signed_anew(change)),
            expect=by_all(Reason.STATEMENT_MALFORMED),
        )
        for name, what, change in (
            ("duplicate", "a statement with two subjects lists", _doubled_subject),
            ("nan", "a number that is none (NaN)", _with_predicate(b"NaN")),
            ("depth", "a predicate nested 10,000 deep", _with_predicate(b"[" * 10_000 + b"]" * 10_000)),
            ("integer", "an integer of 5,000 digits", _with_predicate(b"9" * 5_000)),
            ("bom", "a byte order mark before the statement", lambda payload: b"\xef\xbb\xbf" + payload),
            ("null", "a subject that is null", lambda payload: edited(payload, _no_subject_value)),
            ("capitals", "digests in capitals", lambda payload: edited(payload, _first_digest_in_capitals)),
        )
    ),
    Control(
        id="S13-bundle",
        group=Group.SIGNATURE,
        title="bundles with a key that stands twice",
        flaw="Two parsers of one bundle that see different things.",
        mutate=_with_a_key_twice,
        expect=by_all(Reason.BUNDLE_MALFORMED),
    ),
    Control(
        id="S14-kind",
        group=Group.SIGNATURE,
        title="a bare signature over the manifest where a statement is required",
        flaw="A signature without a statement: it says neither what the artifact is nor for which environment.",
        mutate=_message,
        expect=by_all(Reason.SIGNATURE_KIND),
    ),
    Control(
        id="S14-other",
        group=Group.SIGNATURE,
        title="a bare signature over something else, under a policy that wants one over the manifest",
        flaw="A signature that is found but not compared with what it is over.",
        mutate=_also_bare(lambda manifest: manifest + b"\n"),
        good=_also_bare(lambda manifest: manifest),
        expect=only(DHALLMARK, rejected(Reason.MESSAGE_MISMATCH)),
    ),
    Control(
        id="S15",
        group=Group.SIGNATURE,
        title="bundles of a version that does not exist yet",
        flaw="A format that is not known, and so is read as another.",
        mutate=resigned(Recipe(change=_of_another_version)),
        expect=by_all(Reason.FORMAT_UNSUPPORTED),
    ),
)
