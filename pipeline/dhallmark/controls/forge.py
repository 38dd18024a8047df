"""What mutations do to a release: in memory, on a copy; and as whom they sign: by a lab, never by the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from dhallmark.control import Signer
from dhallmark.controls.layout import Layout
from dhallmark.digest import Digest
from dhallmark.errors import UsageError
from dhallmark.identity import Identity
from dhallmark.lab.model import Issuer
from dhallmark.oci.descriptor import (
    BUNDLE_V0_3,
    EMPTY_CONFIG,
    Descriptor,
    Manifest,
    build_manifest,
    bundle_annotations,
    referrer_manifest,
)
from dhallmark.verify.artifact import claimed_type

_STRANGER = "stranger/platform"


class IdentitySigner(Protocol):
    """Signs with a token of one of the lab's issuers."""

    async def sign(self, payload: bytes, issuer: str, claims: Mapping[str, str]) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Which tokens give a certificate like the release's own, or nearly."""

    signer: IdentitySigner
    issuers: Mapping[str, Issuer]
    """The lab's issuers, by name."""
    release: Identity
    """Who signed the good artifact."""

    async def sign(self, payload: bytes, signer: Signer) -> bytes:
        """A bundle over `payload`. Raises UsageError where the lab cannot play the release's issuer."""
        own = self._own_issuer()
        if signer is Signer.FOREIGN:
            return await self.signer.sign(payload, self._other_issuer(own), self._claims(own))
        claims = self._strangers_claims(own) if signer is Signer.STRANGER else self._claims(own)
        return await self.signer.sign(payload, own, claims)

    def _own_issuer(self) -> str:
        for name, issuer in self.issuers.items():
            if issuer.url == self.release.issuer:
                return name
        raise UsageError(
            f"the lab has no issuer {self.release.issuer}, which signed the release",
            hint="give it one when the lab is made, or leave out the controls that sign",
        )

    def _other_issuer(self, own: str) -> str:
        for name, issuer in self.issuers.items():
            if issuer.shape == self.issuers[own].shape and name != own:
                return name
        raise UsageError(f"the lab has no second issuer of the kind of {own!r}")

    def _claims(self, own: str) -> Mapping[str, str]:
        """The claims that Fulcio turns into the release's own subject and extensions."""
        extensions = self.release.extensions
        subject = self.release.subject.removeprefix("https://")
        claims = {"sha": extensions.get("sourceRepositoryDigest", "")}
        match self.issuers[own].shape:
            case "github":
                claims["repository"] = _path(extensions.get("sourceRepositoryURI", ""))
                claims["ref"] = extensions.get("sourceRepositoryRef", "")
                claims["job_workflow_ref"] = subject.partition("/")[2]
            case "gitlab":
                claims["project_path"] = _path(extensions.get("sourceRepositoryURI", ""))
                claims["ci_config_ref_uri"] = subject
            case "email":
                claims["email"] = self.release.subject
        return {name: value for name, value in claims.items() if value}

    def _strangers_claims(self, own: str) -> Mapping[str, str]:
        match self.issuers[own].shape:
            case "github":
                return {"repository": _STRANGER}
            case "gitlab":
                return {"project_path": _STRANGER}
            case "email":
                return {"email": "stranger@example.com"}


def _path(uri: str) -> str:
    return urlsplit(uri).path.strip("/")


@dataclass(slots=True)
class LayoutForge:
    """The forge of one control: makes its mutant in `layout`."""

    good: Layout
    digest: Digest
    """The good artifact's manifest in `good`."""
    tokens: Tokens | None
    """None where there is no lab: then nothing can be signed."""
    layout: Layout = field(default_factory=Layout)

    async def copy(self) -> Digest:
        manifest = self.good.manifests[self.digest]
        self.layout.add_manifest(manifest)
        for blob in manifest.blobs():
            self.layout.blobs[blob.digest] = self.good.blobs[blob.digest]
        return manifest.digest

    async def rebuild(self, change: Callable[[bytes], bytes]) -> Digest:
        manifest = self.good.manifests[self.digest]
        config, first, *others = manifest.blobs()
        changed = change(self.good.blobs[first.digest])
        for blob in (config, *others):
            self.layout.blobs[blob.digest] = self.good.blobs[blob.digest]
        self.layout.add_blob(changed)
        mutant = build_manifest(config=config, layers=[Descriptor.of(changed, first.media_type), *others])
        self.layout.add_manifest(mutant)
        return mutant.digest

    async def corrupt(self, digest: Digest) -> None:
        layer = self.layout.manifests[digest].blobs()[1].digest
        content = bytearray(self.layout.blobs[layer])
        content[len(content) // 2] ^= 1
        self.layout.blobs[layer] = bytes(content)

    async def attach(self, digest: Digest, bundle: bytes) -> None:
        attach_bundle(self.layout, self.layout.manifests[digest], bundle)

    async def list_in_index(self, digest: Digest) -> None:
        self.layout.add_fallback_index(digest)

    async def sign(self, payload: bytes, signer: Signer) -> bytes:
        if self.tokens is None:
            raise UsageError("this control signs: it needs a lab", hint="name one with --lab")
        return await self.tokens.sign(payload, signer)


def attach_bundle(layout: Layout, subject: Manifest, bundle: bytes) -> None:
    """Put `bundle` into `layout` as a referrer of `subject`, as cosign and dhallmark do."""
    layout.add_blob(EMPTY_CONFIG)
    layout.add_blob(bundle)
    layout.add_manifest(
        referrer_manifest(
            subject=subject.descriptor,
            artifact_type=BUNDLE_V0_3,
            layer=Descriptor.of(bundle, BUNDLE_V0_3),
            annotations=bundle_annotations(predicate_type=claimed_type(bundle) or "", created=0),
        )
    )
