"""The requests of the distribution specification, for one repository. Blocking; `client` runs them in threads."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import requests
from oras.utils.request import append_url_params

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, RegistryError
from dhallmark.oci.descriptor import MANIFEST_TYPES, MAX_MANIFEST_BYTES, OCI_INDEX, Manifest
from dhallmark.oci.referrers import Referrers, read_api, read_fallback, read_legacy
from dhallmark.oci.tags import read_tags
from dhallmark.oci.transport import Transport, failure, resolve_url

CHUNKED_ABOVE: Final = 32 * 1024 * 1024
"""Bytes from which on a file goes up in pieces, so that it need not fit in memory or in one request's deadline."""
_OK: Final = 200
_CREATED: Final = 201
_ACCEPTED: Final = 202
_NOT_FOUND: Final = 404


class DigestMismatchError(RegistryError):
    """The registry served bytes that are not those of the digest asked for."""

    def __init__(self, *, url: str, expected: Digest, found: Digest) -> None:
        super().__init__(
            f"asked for {expected}, got the bytes of {found}",
            method="GET",
            url=url,
            status=_OK,
            hint="the registry or something before it changed the content: stop, and compare with another copy",
        )
        self.expected = expected
        self.found = found


class RepositoryClient:
    """One repository of a registry."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def close(self) -> None:
        self._http.session.close()

    def find_manifest(self, reference: str) -> Manifest | None:
        """The manifest at a tag or digest; None for 404."""
        url = self._http.url(f"manifests/{quote(reference, safe=':')}")
        response = self._http.request(
            "GET", url, headers={"Accept": ", ".join(MANIFEST_TYPES)}, limit=MAX_MANIFEST_BYTES
        )
        if response.status_code == _NOT_FOUND:
            return None
        if response.status_code != _OK:
            raise failure(response, method="GET", url=url, doing=f"reading {self._http.repository}:{reference}")
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        if media_type not in MANIFEST_TYPES:
            raise RegistryError(
                f"a manifest was asked for, {media_type or 'something without a content type'} was served",
                method="GET",
                url=url,
                status=response.status_code,
                hint="is something between you and the registry, such as a proxy or a log-in page?",
            )
        manifest = Manifest.of(response.content, media_type)
        stated = reference if ":" in reference else response.headers.get("Docker-Content-Digest", "")
        if stated.startswith("sha256:") and stated != manifest.digest:
            raise DigestMismatchError(url=url, expected=Digest(stated), found=manifest.digest)
        try:
            manifest.body()
        except FormatError as error:
            raise RegistryError(error.message, method="GET", url=url, status=response.status_code) from error
        return manifest

    def get_manifest(self, reference: str) -> Manifest:
        """The manifest at a tag or digest."""
        manifest = self.find_manifest(reference)
        if manifest is None:
            raise RegistryError(
                f"there is no {reference} in {self._http.repository}",
                method="GET",
                url=self._http.url(f"manifests/{reference}"),
                status=_NOT_FOUND,
            )
        return manifest

    def tags(self) -> tuple[str, ...]:
        """All tags of the repository."""
        url = self._http.url("tags/list")
        return read_tags(
            url,
            fetch=lambda page: self._http.request("GET", page, limit=MAX_MANIFEST_BYTES),
            same_origin=self._http.same_origin,
            fail=lambda page: failure(page, method="GET", url=url, doing="listing tags"),  # type: ignore[arg-type]
        )

    def put_manifest(self, manifest: Manifest, reference: str) -> str:
        """Put a manifest at a tag or digest; returns the registry's `OCI-Subject`, empty where it has none."""
        url = self._http.url(f"manifests/{quote(reference, safe=':')}")
        response = self._http.request("PUT", url, headers={"Content-Type": manifest.media_type}, data=manifest.content)
        if response.status_code not in {_OK, _CREATED, _ACCEPTED}:
            raise failure(response, method="PUT", url=url, doing=f"writing {self._http.repository}:{reference}")
        stated = response.headers.get("Docker-Content-Digest", manifest.digest)
        if stated != manifest.digest:
            raise RegistryError(
                f"the registry stored {manifest.digest} as {stated}", method="PUT", url=url, status=response.status_code
            )
        return str(response.headers.get("OCI-Subject", ""))

    def has_blob(self, digest: Digest) -> bool:
        """Whether the registry has the blob."""
        url = self._http.url(f"blobs/{digest}")
        response = self._http.request("HEAD", url, follow=True)
        if response.status_code not in {_OK, _NOT_FOUND}:
            raise failure(response, method="HEAD", url=url)
        return response.status_code == _OK

    def get_blob(self, digest: Digest, *, max_bytes: int) -> bytes:
        """The blob, checked."""
        url = self._http.url(f"blobs/{digest}")
        # Registries send clients to their storage for blobs; the digest says whether the right bytes came from there.
        response = self._http.request("GET", url, limit=max_bytes, follow=True)
        if response.status_code != _OK:
            raise failure(response, method="GET", url=url, doing=f"reading a blob of {self._http.repository}")
        found = Digest.of(response.content)
        if found != digest:
            raise DigestMismatchError(url=url, expected=digest, found=found)
        return response.content

    def mount(self, digest: Digest, source: str) -> bool:
        """Make a blob of another repository one of this repository's, without moving bytes. False where that fails."""
        if self.has_blob(digest):
            return True
        query = urlencode({"mount": digest, "from": source})
        url = self._http.url("blobs/uploads/")
        response = self._http.request("POST", f"{url}?{query}")
        # 202 opens an upload instead, which the registry drops when nobody goes on with it.
        if response.status_code not in {_CREATED, _ACCEPTED}:
            raise failure(response, method="POST", url=url, doing=f"mounting a blob into {self._http.repository}")
        return response.status_code == _CREATED

    def push_blob(self, content: bytes | Path, *, digest: Digest | None, mount_from: str | None) -> Digest:
        """Make sure that the repository has `content`."""
        if digest is None:
            digest = Digest.of(content) if isinstance(content, bytes) else Digest.of_file(content)
        if self.mount(digest, mount_from) if mount_from else self.has_blob(digest):
            return digest
        if isinstance(content, Path) and content.stat().st_size > CHUNKED_ABOVE:
            response = self._http.chunked_upload(str(content), self._http.container, {"digest": str(digest)})
        else:
            response = self._upload(content if isinstance(content, bytes) else content.read_bytes(), digest)
        if response.status_code != _CREATED:
            raise failure(
                response, method="PUT", url=str(response.url), doing=f"writing a blob to {self._http.repository}"
            )
        return digest

    def _upload(self, content: bytes, digest: Digest) -> requests.Response:
        start = self._http.url("blobs/uploads/")
        opened = self._http.request("POST", start)
        location = opened.headers.get("Location", "")
        if opened.status_code != _ACCEPTED or not location:
            raise failure(opened, method="POST", url=start, doing=f"writing to {self._http.repository}")
        url = append_url_params(resolve_url(start, location, method="POST"), {"digest": str(digest)})
        return self._http.request("PUT", url, headers={"Content-Type": "application/octet-stream"}, data=content)

    def referrers(self, digest: Digest) -> Referrers:
        """What refers to `digest`: by the referrers API, or after its 404 by the fallback index."""
        url = self._http.url(f"referrers/{digest}")
        listing = read_api(
            url,
            fetch=lambda page: self._http.request("GET", page, headers={"Accept": OCI_INDEX}, limit=MAX_MANIFEST_BYTES),
            same_origin=self._http.same_origin,
            fail=lambda page: failure(page, method="GET", url=url, doing="listing referrers"),  # type: ignore[arg-type]
        )
        return listing or read_fallback(digest, find=self.find_manifest)

    def legacy(self, digest: Digest) -> tuple[Manifest, ...]:
        """The manifests at cosign's legacy tags of `digest`, whether or not there is a referrers API."""
        return read_legacy(digest, find=self.find_manifest)
