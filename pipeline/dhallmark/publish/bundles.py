"""The signed bundles of a release, as they are attached to its artifacts."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dhallmark import strictjson
from dhallmark.errors import FormatError
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
    body: Any = strictjson.parse(content, what=name)
    try:
        payload = base64.b64decode(body["dsseEnvelope"]["payload"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise FormatError(f"{name} is no bundle of a DSSE envelope", hint=_HINT) from error
    return SignedBundle(name, content, Statement.parse(payload))
