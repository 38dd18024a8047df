"""Group "registry", repositories: what else lies in the repository, or no longer does."""

from __future__ import annotations

from dhallmark import strictjson
from dhallmark.control import Control, Group, Mutation
from dhallmark.controls.catalogue.expected import COSIGN, FLUX, accepted_by_all, by_all, hole
from dhallmark.controls.consumers.dialect import COSIGN_2
from dhallmark.controls.forge import Bench
from dhallmark.controls.forging.bundle import GENUINE, Recipe
from dhallmark.controls.forging.legacy import legacy_signature, legacy_tag
from dhallmark.controls.mutations import as_it_is, stranger, under_policy
from dhallmark.digest import Digest
from dhallmark.oci.descriptor import OCI_INDEX, Manifest
from dhallmark.reasons import Reason

_FALLS_BACK = "takes a signature in the older format where there is no bundle, which says less"
_PLATFORM = {"architecture": "amd64", "os": "linux"}
_OTHER_PLATFORM = {"architecture": "arm64", "os": "linux"}


def _index(*, carried: bool) -> Mutation:
    """An image index of the signed artifact and of one that nobody signed; asked about is the index."""

    async def mutate(bench: Bench) -> Digest:
        digest = await as_it_is(bench)
        other = await bench.forge.rebuild(lambda content: content + b"\n")
        manifests = bench.forge.layout.manifests
        listed = [
            {**manifests[one].descriptor.to_json(), "platform": platform}
            for one, platform in ((digest, _PLATFORM), (other, _OTHER_PLATFORM))
        ]
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
        index = Manifest.of(strictjson.dump_compact(body), OCI_INDEX)
        bench.forge.layout.add_manifest(index)
        for bundle in bench.bundles if carried else ():
            await bench.forge.attach(index.digest, bundle)
        return index.digest

    return mutate


async def _strangers_beside(bench: Bench) -> Digest:
    digest = await as_it_is(bench)
    for one in bench.signed:
        bundle = bench.forge.sign(one.statement.payload, one.identity, Recipe(identity=stranger))
        await bench.forge.attach(digest, bundle)
    return digest


def _older_format(bundles: Recipe | None) -> Mutation:
    """The artifact with a good signature in cosign's older format, and with bundles by `bundles`, if any."""

    async def mutate(bench: Bench) -> Digest:
        digest = await bench.forge.copy()
        repository = bench.name.partition("@")[0]
        manifest, blobs = legacy_signature(
            bench.original.forger.forgers, bench.signer, repository=repository, digest=digest
        )
        for blob in blobs:
            bench.forge.layout.add_blob(blob)
        bench.forge.layout.add_manifest(manifest)
        bench.forge.layout.tags[legacy_tag(digest)] = manifest.digest
        for one in bench.signed if bundles is not None else ():
            bundle = bench.forge.sign(one.statement.payload, one.identity, bundles or GENUINE)
            await bench.forge.attach(digest, bundle)
        return digest

    return under_policy(lambda _, policy: policy.pop("formats", None), mutate)


CONTROLS = (
    Control(
        id="R4-index",
        group=Group.REGISTRY,
        title="an image index of the signed artifact and another, where the artifact's own manifest is meant",
        flaw="A signature on one platform's image that stands for all of them.",
        mutate=_index(carried=False),
        expect=by_all(Reason.SIGNATURE_NONE),
    ),
    Control(
        id="R4-carried",
        group=Group.REGISTRY,
        title="an image index of the signed artifact and another, with the signatures of the one carried along",
        flaw="A signature on one platform's image that stands for all of them.",
        mutate=_index(carried=True),
        expect=by_all(Reason.SUBJECT_MISMATCH),
    ),
    Control(
        id="R5-beside",
        group=Group.REGISTRY,
        title="positive: a stranger's bundles beside the good ones",
        flaw="Anyone who can push a referrer stops the delivery.",
        mutate=_strangers_beside,
        expect=accepted_by_all(),
    ),
    Control(
        id="R5-older",
        group=Group.REGISTRY,
        title="all bundles removed, with a good signature in cosign's older format left",
        flaw="A verifier that falls back to a format which binds neither the type of a statement nor its name.",
        mutate=_older_format(None),
        expect=by_all(Reason.SIGNATURE_NONE, but={(*FLUX, COSIGN, COSIGN_2): hole(_FALLS_BACK)}),
    ),
    Control(
        id="R5-stranger",
        group=Group.REGISTRY,
        title="a stranger's bundles beside a good signature in cosign's older format",
        flaw="A verifier that falls back to the older format where the newer one says no.",
        mutate=_older_format(Recipe(identity=stranger)),
        expect=by_all(Reason.IDENTITY_SUBJECT_MISMATCH),
    ),
)
