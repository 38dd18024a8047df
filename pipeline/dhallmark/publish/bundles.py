"""The signed bundles of a release, as they are attached to its artifacts."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dhallmark import strictjson
from dhallmark.errors import FormatError, Location
from dhallmark.oci.descriptor import BUNDLE_V0_3, Attachment, bundle_annotations
from dhallmark.package.model import Artifact
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, SLSA_PROVENANCE_V1, Statement

_FOLDER = "bundles"
_LINKS = "links"
_PATTERN = "*.sigstore.json"
_HINT = "run `dhallmark attest` and `dhallmark sign` again"


@dataclass(frozen=True, slots=True)
class SignedBundle:
    """A bundle and what it says it is. Nothing here verifies it."""

    path: str
    """Below the build directory."""
    content: bytes
    statement: Statement

    def attachment(self, *, created: int) -> Attachment:
        """How it is attached; `created` in seconds since 1970."""
        return Attachment(
            artifact_type=BUNDLE_V0_3,
            layer=self.content,
            annotations=bundle_annotations(predicate_type=self.statement.predicate_type, created=created),
        )


@dataclass(frozen=True, slots=True)
class AttachedLayout:
    """A signed layout, as it is attached beside the statements. Nothing here verifies it."""

    path: str
    """As `dhallmark.yaml` names it."""
    content: bytes

    def attachment(self, *, created: int) -> Attachment:
        """How it is attached: as a bundle without a predicate type; `created` in seconds since 1970."""
        annotations = bundle_annotations(predicate_type="", created=created)
        return Attachment(
            artifact_type=BUNDLE_V0_3,
            layer=self.content,
            annotations={name: value for name, value in annotations.items() if value},
        )

    @classmethod
    def read(cls, root: Path, name: str) -> AttachedLayout:
        """The layout `name` of the project in `root`. Raises FormatError for a file that is none."""
        where = Location(file=name)
        hint = "`dhallmark layout sign` writes one"
        try:
            content = (root / name).read_bytes()
        except OSError as error:
            raise FormatError(f"the layout cannot be read: {error.strerror}", where=where, hint=hint) from error
        payload = _payload(strictjson.parse(content, what=name), name=name)
        body = strictjson.parse(payload, what=name)
        if not isinstance(body, dict) or body.get("_type") != "layout":
            raise FormatError("the bundle holds no layout", where=where, hint=hint)
        return cls(name, content)


def read_bundles(build: Path, artifact: Artifact) -> list[SignedBundle]:
    """The bundles of `artifact`: its own, then the links that all artifacts of the release share.

    Raises FormatError where there is none, where one cannot be read, where the signature or the provenance is missing,
    and where one is about another artifact: a build directory that was mixed up is found before anything is pushed.
    """
    own = [read_bundle(path, build) for path in sorted((build / _FOLDER / artifact.slug).glob(_PATTERN))]
    links = [read_bundle(path, build) for path in sorted((build / _FOLDER / _LINKS).glob(_PATTERN))]
    for bundle in own:
        if artifact.manifest_digest not in {subject.digest for subject in bundle.statement.subjects}:
            raise FormatError(f"{bundle.path} is not about {artifact.slug}@{artifact.digest}", hint=_HINT)
    found = {bundle.statement.predicate_type for bundle in own}
    missing = [kind for kind in (COSIGN_SIGN_V1, SLSA_PROVENANCE_V1) if kind not in found]
    if missing:
        raise FormatError(f"{artifact.slug} has no signed statement of type {missing[0]}", hint=_HINT)
    strangers = [bundle.path for bundle in links if bundle.statement.predicate_type != LINK_V0_3]
    if strangers:
        raise FormatError(f"{strangers[0]} is no link", hint=_HINT)
    return own + links


def read_bundle(path: Path, build: Path) -> SignedBundle:
    """The bundle in the file `path`, which lies below `build`. Raises FormatError for anything else."""
    name = path.relative_to(build).as_posix()
    content = path.read_bytes()
    return SignedBundle(name, content, Statement.parse(_payload(strictjson.parse(content, what=name), name=name)))


def _payload(body: Any, *, name: str) -> bytes:  # noqa: ANN401 - JSON of any shape
    try:
        return base64.b64decode(body["dsseEnvelope"]["payload"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise FormatError(f"{name} is no bundle of a DSSE envelope", hint=_HINT) from error
