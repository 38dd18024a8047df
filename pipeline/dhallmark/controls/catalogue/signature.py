"""Group "signature and envelope": artifacts without a signature, with another's, or changed after signing."""

from __future__ import annotations

from dhallmark.control import Control, Group
from dhallmark.controls.catalogue.expected import by_all
from dhallmark.controls.forge import Bench
from dhallmark.digest import Digest
from dhallmark.reasons import Reason


async def _unsigned(bench: Bench) -> Digest:
    return await bench.forge.copy()


async def _tampered(bench: Bench) -> Digest:
    """The attacker changes the chart, pushes it, and carries all signatures along."""
    digest = await bench.forge.rebuild(flip_last_bit)
    for bundle in bench.bundles:
        await bench.forge.attach(digest, bundle)
    return digest


async def _tampered_in_place(bench: Bench) -> Digest:
    """The registry, or what stands before it, serves other bytes under the signed digest."""
    digest = await bench.forge.copy()
    for bundle in bench.bundles:
        await bench.forge.attach(digest, bundle)
    await bench.forge.corrupt(digest)
    return digest


async def _replayed(bench: Bench) -> Digest:
    """Another artifact altogether, with the good one's signatures."""
    digest = await bench.forge.rebuild(lambda _: b"an artifact that nobody signed")
    for bundle in bench.bundles:
        await bench.forge.attach(digest, bundle)
    return digest


def flip_last_bit(content: bytes) -> bytes:
    """`content` with its very last bit flipped; in a gzip file that is a bit of its length."""
    return content[:-1] + bytes([content[-1] ^ 1])


CONTROLS = (
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
        id="S6",
        group=Group.SIGNATURE,
        title="replayed bundle: the good signatures on another artifact",
        flaw="Signatures that are found but not compared with what they are about (CVE-2022-35929).",
        mutate=_replayed,
        release=True,
        expect=by_all(Reason.SUBJECT_MISMATCH),
    ),
)
