"""The CI image as a release of its own: its statements, signed, and the image with them in a registry."""

from __future__ import annotations

import tarfile
import tempfile
from datetime import datetime
from pathlib import Path

from anyio import to_thread

from dhallmark import strictjson
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, Location, UsageError
from dhallmark.files import directory_atomic, write_atomic
from dhallmark.identity import Identity
from dhallmark.oci.client import Registry
from dhallmark.oci.descriptor import Manifest
from dhallmark.oci.layout import blob_path, read_manifest
from dhallmark.publish.bundles import SignedBundle, read_bundle
from dhallmark.sign.signer import SignedRelease, sign_release
from dhallmark.sign.token import AUDIENCE, TokenSource
from dhallmark.statement import COSIGN_SIGN_V1, SPDX_V2_3, Statement, Subject

_STATEMENTS = {"signature": COSIGN_SIGN_V1, "sbom": SPDX_V2_3}


def write_statements(out: Path, *, repository: str) -> tuple[Path, ...]:
    """Write the statements about the image that `build` left in `out`: its signature and its bill of materials.

    `repository` is where consumers will find it, with the registry's host, without a tag. Raises FormatError where the
    archive, the digest and the bill of materials are not of one build.
    """
    digest = image_digest(out)
    sbom = strictjson.parse((out / "sbom.spdx.json").read_bytes(), what="sbom.spdx.json")
    described = sbom["packages"][0]["versionInfo"] if isinstance(sbom, dict) and sbom.get("packages") else None
    if described != digest:
        raise FormatError(
            f"the bill of materials is about {described}, the image is {digest}",
            where=Location(file=str(out / "sbom.spdx.json")),
            hint="run `dhallmark image build` again",
        )
    subject = Subject(repository, digest)
    predicates = {COSIGN_SIGN_V1: {}, SPDX_V2_3: sbom}
    with directory_atomic(out / "statements") as folder:
        for name, kind in _STATEMENTS.items():
            statement = Statement.build(predicate_type=kind, subjects=[subject], predicate=predicates[kind])
            write_atomic(folder / "image" / f"{name}.json", statement.payload)
    return tuple(out / "statements" / "image" / f"{name}.json" for name in _STATEMENTS)


async def sign_image(
    out: Path, *, repository: str, token: TokenSource, trust_config: Path | None, audience: str = AUDIENCE
) -> SignedRelease[Identity]:
    """Write the statements and sign them with one certificate, into `bundles/`. Errors as of `sign_release`."""
    await to_thread.run_sync(lambda: write_statements(out, repository=repository))
    return await sign_release(out, token=token, trust_config=trust_config, audience=audience)


async def push_image(out: Path, *, repository: str, tag: str, registry: Registry) -> Digest:
    """Push the signed image to `repository` (without host), attach its bundles, and set the tag last.

    Raises UsageError where it is not signed, FormatError where a bundle is about another image, RegistryError.
    """
    digest = image_digest(out)
    bundles = _bundles(out, digest)
    with tempfile.TemporaryDirectory(prefix="dhallmark-image-") as folder:
        layout = Path(folder)
        await to_thread.run_sync(_unpack, out / "image.tar", layout)
        manifest = read_manifest(layout, digest)
        for blob in manifest.blobs():
            await registry.push_blob(repository, blob_path(layout, blob.digest), digest=blob.digest)
        await registry.push_manifest(repository, manifest.content, manifest.media_type)
    epoch = _created(manifest)
    await registry.attach_all(repository, manifest.descriptor, [bundle.attachment(created=epoch) for bundle in bundles])
    await registry.tag(repository, digest, tag)
    return digest


def image_digest(out: Path) -> Digest:
    """The digest of the image that `build` left in `out`. Raises UsageError where there is none."""
    try:
        return Digest((out / "digest").read_text().strip())
    except FileNotFoundError:
        raise UsageError(f"no image in {out}", hint="run `dhallmark image build`") from None


def _bundles(out: Path, digest: Digest) -> list[SignedBundle]:
    found = [read_bundle(path, out) for path in sorted((out / "bundles" / "image").glob("*.sigstore.json"))]
    kinds = {bundle.statement.predicate_type for bundle in found}
    missing = [kind for kind in _STATEMENTS.values() if kind not in kinds]
    if missing:
        raise UsageError(f"the image has no signed statement of type {missing[0]}", hint="run `dhallmark image sign`")
    for bundle in found:
        if digest not in {subject.digest for subject in bundle.statement.subjects}:
            raise FormatError(f"{bundle.path} is not about {digest}", hint="run `dhallmark image sign` again")
    return found


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")


def _created(manifest: Manifest) -> int:
    """The image's own time, in seconds since 1970: attaching the same bundles twice gives the same manifests."""
    text = str(manifest.body()["annotations"]["org.opencontainers.image.created"])
    return int(datetime.fromisoformat(text).timestamp())
