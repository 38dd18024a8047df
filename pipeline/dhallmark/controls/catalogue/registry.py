"""Group "registry": the right artifact, rightly signed, behind a registry that is down, slow, or lies.

An outage is never a refusal, and a failure to look never shows that there is nothing (ADR 1, point 5): what cannot be
read is `indeterminate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dhallmark.control import Control, Expectation, Group
from dhallmark.controls.catalogue.expected import (
    COSIGN,
    COSIGN_ATTESTATION,
    COSIGNS,
    FLUX,
    FLUX_2_8,
    FLUX_2_9,
    But,
    accepted_by_all,
    by_all,
    hole,
    mistaken,
    rejected,
)
from dhallmark.controls.catalogue.signature import flip_last_bit
from dhallmark.controls.consumers.dialect import COSIGN_2, KYVERNO, SIGSTORE_PYTHON
from dhallmark.controls.faults import Effect, Fault, Place
from dhallmark.controls.forge import Bench
from dhallmark.controls.mutations import as_it_is, of_type
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1

_OTHER = "other"
"""The tag of what a lying registry answers with."""
_OUTAGE = "egress policy blocked the referrers call, and signed images read as unsigned"


_SIGSTORE_GO: Final = (*COSIGNS, *FLUX, KYVERNO)
_TAKEN_FOR_UNSIGNED = "takes a listing that it cannot read for one without signatures: an outage reads as unsigned"
_FIRST_PAGE = hole("reads the first page of the listing alone, and takes it for all there is")
_PAGES: But = {_SIGSTORE_GO: _FIRST_PAGE}
_STUCK = rejected(Reason.CONSUMER_UNAVAILABLE)
"""It waits, and has no end of its own to that."""
_SLOW_ONES: But = {(COSIGN_ATTESTATION, COSIGN_2, *FLUX_2_8, KYVERNO, SIGSTORE_PYTHON): None}
"""Not asked where they would only wait, too: each waits for half a minute."""
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="{origin}/token",service="registry"'}
_INCOMPLETE = Reason.REGISTRY_LISTING_INCOMPLETE


async def _bare(bench: Bench) -> Digest:
    return await bench.forge.copy()


async def _listed(bench: Bench) -> Digest:
    """As it is, with signatures that a listing leads to."""
    _ = bench.bundles  # signatures in the older format are at tags, and asked for alike whatever is listed
    return await as_it_is(bench)


async def _indexed(bench: Bench) -> Digest:
    """As it is in a registry without the referrers API, with the fallback index."""
    digest = await bench.forge.copy()
    for bundle in bench.bundles:
        await bench.forge.attach(digest, bundle)
    await bench.forge.list_in_index(digest)
    return digest


async def _beside_an_unsigned_one(bench: Bench) -> Digest:
    """The good artifact with its signatures, and another one, under a tag, that nobody signed."""
    digest = await _indexed(bench)
    bench.forge.layout.tags[_OTHER] = await bench.forge.rebuild(flip_last_bit)
    return digest


async def _unsigned_beside_the_good_one(bench: Bench) -> Digest:
    """Another artifact that nobody signed, and the good one with its signatures, under a tag."""
    bench.forge.layout.tags[_OTHER] = await _indexed(bench)
    return await bench.forge.rebuild(flip_last_bit)


async def _lost(bench: Bench) -> Digest:
    """All is there, and the fallback index was last written by someone who had not seen the provenance."""
    lost = of_type(bench, SLSA_PROVENANCE_V1)
    digest = await bench.forge.copy()
    for bundle in bench.bundles:
        if bundle != lost.bundle:
            await bench.forge.attach(digest, bundle)
    await bench.forge.list_in_index(digest)
    await bench.forge.attach(digest, lost.bundle)
    return digest


def _by_all(reason: Reason, *, but: But | None = None) -> Mapping[str, Expectation]:
    """`reason` by dhallmark; others take the outage for an unsigned artifact, and sigstore-python asks our client."""
    usual: But = {
        _SIGSTORE_GO: mistaken(Reason.SIGNATURE_NONE, _TAKEN_FOR_UNSIGNED),
        SIGSTORE_PYTHON: rejected(Reason.REGISTRY_UNAVAILABLE),
    }
    return by_all(reason, but={**usual, **(but or {})})


def _listing(
    suffix: str,
    title: str,
    effect: Effect,
    reason: Reason = Reason.REGISTRY_UNAVAILABLE,
    *,
    but: But | None = None,
    **more: object,
) -> Control:
    """The referrers call, of a good artifact, has `effect`."""
    return Control(
        id=f"R9-{suffix}",
        group=Group.REGISTRY,
        title=f"listing of signatures {title}",
        flaw=_OUTAGE,
        mutate=_listed,
        faults=(Fault.model_validate({"place": Place.REFERRERS, "effect": effect, **more}),),
        expect=_by_all(reason, but=but),
    )


def _no_api(*more: Fault) -> tuple[Fault, ...]:
    return (Fault(place=Place.REFERRERS, effect=Effect.STATUS, status=404), *more)


CONTROLS = (
    Control(
        id="R1",
        group=Group.REGISTRY,
        title="tag moved to an unsigned artifact after its first request",
        flaw="The tag is verified, and pulled afterwards: two resolutions, two artifacts (CVE-2022-47633).",
        mutate=_beside_an_unsigned_one,
        by_tag=True,
        faults=(Fault(place=Place.TAG, effect=Effect.INSTEAD, instead=_OTHER, skip=1),),
        expect=by_all(
            Reason.REGISTRY_TAG_MOVED,
            but={
                # They ask twice themselves, and see what the second answer names.
                (*COSIGNS, *FLUX_2_8, KYVERNO): rejected(Reason.SIGNATURE_NONE),
                (*FLUX_2_9, SIGSTORE_PYTHON): hole(
                    "answers for the digest that it asked for: whoever pulls the tag then gets another"
                ),
            },
        ),
    ),
    Control(
        id="R2",
        group=Group.REGISTRY,
        title="unsigned artifact whose listing names what refers to the good one",
        flaw="What a registry lists is taken for what refers to the artifact.",
        mutate=_unsigned_beside_the_good_one,
        faults=(Fault(place=Place.REFERRERS, effect=Effect.INSTEAD, instead=_OTHER),),
        expect=by_all(Reason.SIGNATURE_NONE, but={_SIGSTORE_GO: rejected(Reason.SUBJECT_MISMATCH)}),
    ),
    Control(
        id="R6-crowd",
        group=Group.REGISTRY,
        title="listing with 2,500 referrers more, of which none is there",
        flaw="Referrers without end exhaust whoever verifies (CVE-2024-29902).",
        mutate=_listed,
        faults=(Fault(place=Place.REFERRERS, effect=Effect.CROWDED, count=2500),),
        # The others ask for each of them, one by one: whether they come to an end in time is chance.
        expect=_by_all(_INCOMPLETE, but={_SIGSTORE_GO: None}),
    ),
    Control(
        id="R6-layer",
        group=Group.REGISTRY,
        title="blobs without end",
        flaw="A layer or bundle of any size is read into memory (CVE-2024-29903).",
        mutate=_listed,
        faults=(Fault(place=Place.BLOB, effect=Effect.ENDLESS),),
        expect=_by_all(
            Reason.REGISTRY_UNAVAILABLE,
            but={
                _SIGSTORE_GO: hole(
                    "reads of a bundle what it can parse, and never the layer: its length is whoever pulls it's"
                )
            },
        ),
    ),
    Control(
        id="R8",
        group=Group.REGISTRY,
        title="no referrers API, and a fallback index that has lost the provenance to another writer",
        flaw="The index is read, changed and written without a lock: eight signers at once left two signatures listed.",
        mutate=_lost,
        faults=_no_api(),
        expect=by_all(Reason.STATEMENT_MISSING),
    ),
    _listing("401", "answers 401", Effect.STATUS, status=401),
    _listing(
        "401-challenge",
        "answers 401 and sends clients to a token service that refuses",
        Effect.STATUS,
        status=401,
        headers=_CHALLENGE,
    ),
    _listing(
        "303", "answers 303 to another host", Effect.STATUS, status=303, headers={"Location": "http://192.0.2.1/v2/"}
    ),
    _listing(
        "303-loop",
        "answers 303 to itself",
        Effect.STATUS,
        status=303,
        headers={"Location": "{target}"},
        but={(COSIGN_ATTESTATION, *FLUX_2_9, KYVERNO): None, COSIGN: _STUCK},
    ),
    _listing("403", "answers 403", Effect.STATUS, status=403),
    _listing("429", "answers 429", Effect.STATUS, status=429, headers={"Retry-After": "0"}),
    _listing("500", "answers 500", Effect.STATUS, status=500),
    _listing("503", "answers 503", Effect.STATUS, status=503),
    _listing("garbage", "answers garbage", Effect.GARBAGE, _INCOMPLETE),
    _listing("empty", "answers nothing", Effect.EMPTY, _INCOMPLETE),
    _listing("html", "answers as a web page does", Effect.CONTENT_TYPE, _INCOMPLETE),
    _listing("slow", "comes a byte a second", Effect.SLOW, but={**_SLOW_ONES, (COSIGN, *FLUX_2_9): None}),
    _listing("never", "never comes", Effect.NEVER, but={**_SLOW_ONES, (COSIGN, *FLUX_2_9): _STUCK}),
    _listing("reset", "ends before it begins", Effect.RESET),
    _listing("cut-off", "is cut off", Effect.CUT_OFF),
    # The others have no bound of their own here: what ends them first, memory or time, is chance.
    _listing("endless", "does not end", Effect.ENDLESS, but={(COSIGN_2, *FLUX): None}),
    _listing(
        "page-lost",
        "answers 500 for its second page",
        Effect.PAGE_LOST,
        _INCOMPLETE,
        but={**_PAGES, KYVERNO: None, COSIGN_ATTESTATION: None},
    ),
    _listing(
        "lost",
        "names three more bundles, of which none is there",
        Effect.CROWDED,
        but={
            (COSIGN, COSIGN_2, *FLUX): hole("passes over what is listed and not there: it may be what says FAILED"),
            (COSIGN_ATTESTATION, KYVERNO): None,
        },
        count=3,
    ),
    _listing("pages-loop", "has itself for its next page", Effect.PAGES_LOOP, _INCOMPLETE, but=_PAGES),
    _listing("pages-endless", "has another page after each", Effect.PAGES_ENDLESS, _INCOMPLETE, but=_PAGES),
    Control(
        id="R9-404",
        group=Group.REGISTRY,
        title="no referrers API, and a fallback index (must be accepted)",
        flaw="A registry before OCI 1.1 is taken for one without signatures.",
        mutate=_indexed,
        faults=_no_api(),
        expect=accepted_by_all(),
    ),
    Control(
        id="R9-404-bare",
        group=Group.REGISTRY,
        title="no referrers API, no fallback index, no legacy tag: unsigned",
        flaw="What is missing in all places is taken for an outage, and let through.",
        mutate=_bare,
        faults=_no_api(),
        expect=by_all(Reason.SIGNATURE_NONE),
    ),
    Control(
        id="R9-404-index-500",
        group=Group.REGISTRY,
        title="no referrers API, and 500 for the fallback index",
        flaw=_OUTAGE,
        mutate=_indexed,
        faults=_no_api(Fault(place=Place.FALLBACK, effect=Effect.STATUS, status=500)),
        expect=_by_all(Reason.REGISTRY_UNAVAILABLE),
    ),
    Control(
        id="R9-404-legacy-500",
        group=Group.REGISTRY,
        title="no referrers API, no fallback index, and 500 for the legacy tags",
        flaw=_OUTAGE,
        mutate=_bare,
        faults=_no_api(Fault(place=Place.LEGACY, effect=Effect.STATUS, status=500)),
        expect=by_all(Reason.REGISTRY_UNAVAILABLE),
    ),
    Control(
        id="R9-manifest-500",
        group=Group.REGISTRY,
        title="500 for every manifest",
        flaw=_OUTAGE,
        mutate=_listed,
        faults=(Fault(place=Place.MANIFEST, effect=Effect.STATUS, status=500),),
        expect=_by_all(Reason.REGISTRY_UNAVAILABLE, but={KYVERNO: rejected(Reason.REGISTRY_UNAVAILABLE)}),
    ),
    Control(
        id="R9-blob-404",
        group=Group.REGISTRY,
        title="404 for every blob",
        flaw="A signature that is listed and cannot be read may be the one that says FAILED.",
        mutate=_listed,
        faults=(Fault(place=Place.BLOB, effect=Effect.STATUS, status=404),),
        expect=_by_all(Reason.REGISTRY_UNAVAILABLE, but={KYVERNO: rejected(Reason.REGISTRY_UNAVAILABLE)}),
    ),
    Control(
        id="R9-blob-cut-off",
        group=Group.REGISTRY,
        title="every blob is cut off",
        flaw=_OUTAGE,
        mutate=_listed,
        faults=(Fault(place=Place.BLOB, effect=Effect.CUT_OFF),),
        expect=_by_all(Reason.REGISTRY_UNAVAILABLE, but={KYVERNO: rejected(Reason.REGISTRY_UNAVAILABLE)}),
    ),
    Control(
        id="R9-passing",
        group=Group.REGISTRY,
        title="503 for the first listing, and an answer to the second (must be accepted)",
        flaw="A hiccup of the registry stops delivery.",
        mutate=_listed,
        faults=(Fault(place=Place.REFERRERS, effect=Effect.STATUS, status=503, times=1),),
        expect=accepted_by_all(),
    ),
)
