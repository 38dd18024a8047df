"""What mutations do: each makes one side of a control, in memory, from the good artifact and never in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dhallmark import strictjson
from dhallmark.config import strictyaml
from dhallmark.control import NotApplicableError
from dhallmark.controls.case import Side
from dhallmark.controls.forging.bundle import GENUINE, Forger, Recipe
from dhallmark.controls.layout import Layout, Written
from dhallmark.digest import Digest
from dhallmark.files import write_new
from dhallmark.identity import Identity
from dhallmark.oci.descriptor import (
    BUNDLE_V0_3,
    EMPTY_CONFIG,
    Descriptor,
    Manifest,
    bundle_annotations,
    fallback_tag,
    referrer_manifest,
)
from dhallmark.statement import Statement
from dhallmark.verify.claimed import claimed_type

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatement:
    """One statement about the good artifact, by an identity of the policy."""

    bundle: bytes
    statement: Statement
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The good artifact and what it is checked against: what every control starts from."""

    layout: Layout
    """The artifact with everything that is attached to it."""
    digest: Digest
    """Of its manifest."""
    name: str
    """Its name in its statements."""
    signed: Sequence[SignedStatement]
    policy: bytes
    """The policy file."""
    beside: Mapping[str, bytes]
    """The files that the policy names, by their paths relative to it."""
    trusted_root: bytes
    """The user's, and the forgers' authorities beside them."""
    forger: Forger
    keyed: Sequence[bytes] = ()
    """Bundles by managed keys of the policy. They are carried along; nobody but the user can sign others like them."""
    legacy: Mapping[str, Digest] = field(default_factory=dict)
    """What is at cosign's older tags, by their suffix, where nothing is signed in bundles. It is carried along, too."""
    written: Written = field(default_factory=dict)
    """Its blobs that lie on the disk already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a mutation works on and with."""

    original: Original
    forge: Forge

    @property
    def good(self) -> Digest:
        return self.original.digest

    @property
    def name(self) -> str:
        return self.original.name

    @property
    def bundles(self) -> Sequence[bytes]:
        """The good artifact's Sigstore bundles, all of them verified, by identities of the policy; at least one.

        Raises NotApplicableError where there is none.
        """
        found = [*(one.bundle for one in self.original.signed), *self.original.keyed]
        if not found:
            raise NotApplicableError("what is signed about the artifact is in cosign's older format, not in bundles")
        return found

    @property
    def signed(self) -> Sequence[SignedStatement]:
        """The statements in `bundles` by certificate; at least one. Raises NotApplicableError where there is none."""
        if not self.original.signed:
            raise NotApplicableError(
                "no certificate of an identity of the policy signed a statement about the artifact"
            )
        return self.original.signed

    @property
    def signer(self) -> Identity:
        """Who signed the good artifact. Raises NotApplicableError."""
        return self.signed[0].identity

    def policy(self) -> Json:
        """The policy as YAML has it; a copy, to be changed."""
        value = strictyaml.parse(self.original.policy, file="policy").value
        if not isinstance(value, dict):
            raise NotApplicableError("the policy is no mapping")
        return value


@dataclass(slots=True)
class Forge:
    """One side of a control, as far as it is made. All of it is apart from the user's registry and files."""

    original: Original
    layout: Layout = field(default_factory=Layout)
    policy: bytes = b""
    """Another policy than the user's, where it is not empty."""
    beside: dict[str, bytes] = field(default_factory=dict)
    """More files beside the policy."""
    working_directory: dict[str, bytes] = field(default_factory=dict)
    """What lies in the working directory of the consumer."""
    files: Path | None = None
    """The folder of a control that is about files; None for one about an artifact."""

    async def copy(self) -> Digest:
        """Put the good artifact there, bare: without anything that refers to it."""
        self.layout.add_artifact(self.original.digest, self.original.layout)
        return self.original.digest

    async def carry(self, digest: Digest) -> None:
        """Give the artifact `digest` everything that is signed about the good one."""
        for bundle in (*(one.bundle for one in self.original.signed), *self.original.keyed):
            await self.attach(digest, bundle)
        for suffix, manifest in self.original.legacy.items():
            self.layout.add_artifact(manifest, self.original.layout)
            self.layout.tags[f"{fallback_tag(digest)}{suffix}"] = manifest

    async def rebuild(self, change: Callable[[bytes], bytes]) -> Digest:
        """Put the good artifact there with its first layer changed and a manifest that fits: another digest, bare."""
        return self._rebuilt(self.original.digest, change).digest

    def _rebuilt(self, digest: Digest, change: Callable[[bytes], bytes]) -> Manifest:
        good = self.original.layout
        manifest = good.manifests[digest]
        body = manifest.body()
        if manifest.is_index:
            # One of its manifests is another; the rest stays as it is.
            first = next(place for place, child in enumerate(manifest.children()) if good.first_layer(child.digest))
            for place, child in enumerate(manifest.children()):
                if place == first:
                    made = self._rebuilt(child.digest, change)
                    body["manifests"][place] |= {"digest": made.digest, "size": len(made.content)}
                else:
                    self.layout.add_artifact(child.digest, good)
        else:
            config, layer, *others = manifest.blobs()
            for blob in (config, *others):
                self.layout.blobs[blob.digest] = good.blobs[blob.digest]
            changed = change(good.blobs[layer.digest])
            body["layers"][0] |= {"digest": self.layout.add_blob(changed), "size": len(changed)}
        mutant = Manifest.of(strictjson.dump_compact(body), manifest.media_type)
        self.layout.add_manifest(mutant)
        return mutant

    async def corrupt(self, digest: Digest) -> None:
        """Flip a bit in the stored bytes of the first layer of `digest`: served under its old digest."""
        layer = first_layer(self.layout, digest).digest
        content = bytearray(self.layout.blobs[layer])
        content[len(content) // 2] ^= 1
        self.layout.blobs[layer] = bytes(content)

    async def attach(self, digest: Digest, bundle: bytes, *, annotations: Mapping[str, str] | None = None) -> None:
        """Attach a bundle to the artifact `digest`, with more annotations on its manifest."""
        attach_bundle(self.layout, self.layout.manifests[digest], bundle, annotations=annotations)

    async def list_in_index(self, digest: Digest) -> None:
        """List what is attached to `digest` now in its fallback index, for a registry without the referrers API."""
        self.layout.add_fallback_index(digest)

    def sign(self, payload: bytes, identity: Identity, recipe: Recipe = GENUINE) -> bytes:
        """A bundle over the statement `payload`, by whom `recipe` makes of `identity`."""
        return self.original.forger.bundle(payload, identity, recipe)

    def judge_by(self, policy: Json) -> None:
        """Give the consumer this policy instead of the user's."""
        self.policy = strictjson.dump(policy)  # JSON is YAML, too

    def write(self, side: Side) -> None:
        """Write what was made as one side of a prepared case."""
        if self.files is None:
            self.layout.write(side.artifact, written=self.original.written)
        write_new(side.policy, self.policy or self.original.policy)
        for name, content in {**self.original.beside, **self.beside}.items():
            write_new(side.policy.parent / name, content)
        write_new(side.trusted_root, self.original.trusted_root)
        for name, content in self.working_directory.items():
            write_new(side.working_directory / name, content)


def first_layer(layout: Layout, digest: Digest) -> Descriptor:
    """As the method of `layout`. Raises NotApplicableError where there is no layer."""
    found = layout.first_layer(digest)
    if found is None:
        raise NotApplicableError("the artifact has no layer")
    return found


def only_layer(layout: Layout, digest: Digest) -> Descriptor:
    """The one layer that the artifact `digest` has. Raises NotApplicableError where there are others, or an index."""
    layers = layout.manifests[digest].blobs()[1:]
    if len(layers) != 1:
        raise NotApplicableError("the artifact is not a manifest with one layer")
    return layers[0]


def attach_bundle(
    layout: Layout, subject: Manifest, bundle: bytes, *, annotations: Mapping[str, str] | None = None
) -> Manifest:
    """Put `bundle` into `layout` as a referrer of `subject`, as cosign and dhallmark do; gives its manifest."""
    layout.add_blob(EMPTY_CONFIG)
    layout.add_blob(bundle)
    manifest = referrer_manifest(
        subject=subject.descriptor,
        artifact_type=BUNDLE_V0_3,
        layer=Descriptor.of(bundle, BUNDLE_V0_3),
        annotations={
            **bundle_annotations(predicate_type=claimed_type(bundle) or "", created=0),
            **(annotations or {}),
        },
    )
    layout.add_manifest(manifest)
    return manifest
