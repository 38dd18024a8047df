"""The nouns of the OCI image specification: descriptors, manifests, and how they are read and written.

Source: OCI image-spec 1.1 (descriptor, manifest, image index), distribution-spec 1.1 ("Referrers Tag Schema").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, UsageError

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES: Final = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
INDEX_TYPES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
EMPTY_CONFIG_TYPE: Final = "application/vnd.oci.empty.v1+json"
EMPTY_CONFIG: Final = b"{}"

BUNDLE_V0_3: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_PREFIX: Final = "application/vnd.dev.sigstore.bundle"
"""What the media types of all Sigstore bundle versions start with."""

MAX_MANIFEST_BYTES: Final = 4 * 1024 * 1024
"""What registries are asked to accept at least, and what clients commonly refuse to exceed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """Points at content by type, digest and size."""

    media_type: str
    digest: Digest
    size: int
    """Bytes."""
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: bytes, media_type: str) -> Descriptor:
        return cls(media_type=media_type, digest=Digest.of(content), size=len(content))

    @classmethod
    def parse(cls, item: object, *, what: str) -> Descriptor:
        """Read a descriptor from decoded JSON. Raises FormatError."""
        if not isinstance(item, dict):
            raise FormatError(f"{what}: a descriptor must be an object")
        media_type, digest, size = item.get("mediaType"), item.get("digest"), item.get("size")
        artifact_type, annotations = item.get("artifactType", ""), item.get("annotations") or {}
        if not isinstance(media_type, str) or not media_type:
            raise FormatError(f"{what}: mediaType must be a non-empty string")
        if not isinstance(digest, str):
            raise FormatError(f"{what}: digest must be a string")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise FormatError(f"{what}: size must be a number of bytes")
        if not isinstance(artifact_type, str):
            raise FormatError(f"{what}: artifactType must be a string")
        if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
            raise FormatError(f"{what}: annotations must map strings to strings")
        return cls(
            media_type=media_type,
            digest=Digest(digest),
            size=size,
            artifact_type=artifact_type,
            annotations=dict(annotations),
        )

    def to_json(self) -> dict[str, object]:
        body: dict[str, object] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.artifact_type:
            body["artifactType"] = self.artifact_type
        if self.annotations:
            body["annotations"] = dict(self.annotations)
        return body


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or an index, as the bytes that its digest is of."""

    content: bytes
    media_type: str
    digest: Digest

    @classmethod
    def of(cls, content: bytes, media_type: str) -> Manifest:
        return cls(content, media_type, Digest.of(content))

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor that a referrers listing shows of this manifest."""
        body = self.body()
        artifact_type = body.get("artifactType") or ""
        config = body.get("config")
        if not artifact_type and isinstance(config, dict):
            artifact_type = config.get("mediaType") or ""
        annotations = body.get("annotations") or {}
        return Descriptor.parse(
            {
                "mediaType": self.media_type,
                "digest": str(self.digest),
                "size": len(self.content),
                "artifactType": artifact_type,
                "annotations": annotations,
            },
            what=f"manifest {self.digest}",
        )

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES

    def body(self) -> dict[str, Any]:
        """The manifest's JSON. Raises FormatError where it is none, or claims to be of another media type."""
        body = strictjson.parse(self.content, what=f"manifest {self.digest}", max_bytes=MAX_MANIFEST_BYTES)
        if not isinstance(body, dict):
            raise FormatError(f"manifest {self.digest}: must be an object")
        claimed = body.get("mediaType", self.media_type)
        if claimed != self.media_type:
            # One digest read as two types is two artifacts to two readers.
            raise FormatError(f"manifest {self.digest}: served as {self.media_type}, says {claimed!r}")
        return body

    def blobs(self) -> list[Descriptor]:
        """Configuration and layers, in this order; none for an index. Raises FormatError."""
        if self.is_index:
            return []
        body = self.body()
        layers = body.get("layers")
        if not isinstance(layers, list):
            raise FormatError(f"manifest {self.digest}: layers must be a list")
        items = [body.get("config"), *layers]
        return [Descriptor.parse(item, what=f"manifest {self.digest}") for item in items]

    def children(self) -> list[Descriptor]:
        """The manifests of an index; none for a manifest. Raises FormatError."""
        if not self.is_index:
            return []
        items = self.body().get("manifests")
        if not isinstance(items, list):
            raise FormatError(f"index {self.digest}: manifests must be a list")
        return [Descriptor.parse(item, what=f"index {self.digest}") for item in items]

    def subject(self) -> Descriptor | None:
        """What the manifest refers to. Raises FormatError."""
        item = self.body().get("subject")
        return None if item is None else Descriptor.parse(item, what=f"manifest {self.digest}: subject")


def build_manifest(
    *,
    config: Descriptor,
    layers: Sequence[Descriptor],
    artifact_type: str = "",
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """An OCI manifest in its one encoding: sorted keys, no white space."""
    body: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    if artifact_type:
        body["artifactType"] = artifact_type
    if subject is not None:
        # Type, digest and size alone: what else a descriptor says is not the referrer's to repeat.
        body["subject"] = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size).to_json()
    if annotations:
        body["annotations"] = dict(annotations)
    return Manifest.of(strictjson.dump_compact(body), OCI_MANIFEST)


def referrer_manifest(
    *, subject: Descriptor, artifact_type: str, layer: Descriptor, annotations: Mapping[str, str] | None = None
) -> Manifest:
    """A manifest with one layer and no configuration that refers to `subject`."""
    return build_manifest(
        config=Descriptor.of(EMPTY_CONFIG, EMPTY_CONFIG_TYPE),
        layers=[layer],
        artifact_type=artifact_type,
        subject=subject,
        annotations=annotations,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Something to attach to an artifact: a manifest with one layer."""

    artifact_type: str
    layer: bytes
    layer_type: str = ""
    """Media type of the layer; the artifact type where empty."""
    annotations: Mapping[str, str] = field(default_factory=dict)

    def manifest(self, subject: Descriptor) -> Manifest:
        """The manifest that attaches it to `subject`."""
        return referrer_manifest(
            subject=subject,
            artifact_type=self.artifact_type,
            layer=Descriptor.of(self.layer, self.layer_type or self.artifact_type),
            annotations=self.annotations,
        )


def bundle_annotations(*, predicate_type: str, created: int) -> dict[str, str]:
    """What cosign and Flux find on the manifest of a bundle; `created` in seconds since 1970."""
    return {
        "org.opencontainers.image.created": rfc3339(created),
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": predicate_type,
    }


def rfc3339(seconds: int) -> str:
    """A time, given in seconds since 1970, as annotations have it."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fallback_tag(digest: Digest) -> str:
    """The tag of the index of referrers where a registry has no referrers API."""
    return f"sha256-{digest.hex}"


def split_repository(name: str) -> tuple[str, str]:
    """`host[:port]/path` into host and path. Raises UsageError."""
    host, slash, path = name.partition("/")
    if not slash or not host or not path or ("." not in host and ":" not in host and host != "localhost"):
        raise UsageError(f"not a repository: {name!r}", hint="write it as registry.example/acme/web")
    return host, path
